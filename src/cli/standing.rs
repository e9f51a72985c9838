//! What all transactions that stand amount to: the last word on each place.

use std::collections::BTreeMap;

use anyhow::Context;

use super::exit::CliError;
use crate::base::{DomainName, DomainUuid, Vmid, nearest};
use crate::files::journal::{
    Header, Journal, Left, Status, Transaction, TransactionId,
};
use crate::model::{Change, Place, VmPlan};

/// What was applied and not undone.
pub(super) struct Standing {
    /// Oldest first. One that waits to be confirmed is in force.
    transactions: Vec<Transaction>,
    /// One that was cut off.
    unfinished: Option<TransactionId>,
}

impl Standing {
    /// Reads all transactions that stand.
    pub(super) fn read(journal: &Journal) -> Result<Self, CliError> {
        let entries = journal.history().context("reading the journal")?;
        let (mut transactions, mut unfinished) = (Vec::new(), None);
        for entry in entries {
            let summary = entry
                .summary
                .with_context(|| format!("reading {}", entry.id))?;
            match summary.status {
                Status::Applied | Status::Waiting { .. } => {
                    let read = journal.read(entry.id);
                    transactions.push(read.context("reading the journal")?);
                }
                Status::Unfinished { .. } => unfinished = Some(entry.id),
                Status::RolledBack => {}
            }
        }
        Ok(Self { transactions, unfinished })
    }

    /// Returns the transaction that was cut off, where there is one.
    pub(super) const fn unfinished(&self) -> Option<TransactionId> {
        self.unfinished
    }

    /// Returns the last change of each place of the host, and the beginning
    /// of its transaction.
    pub(super) fn host(&self) -> Vec<(&Change, &Header)> {
        let all = self.transactions.iter().map(|one| &one.header);
        let changes = all.flat_map(|header| {
            header.plan.changes.iter().map(move |change| (change, header))
        });
        let of_host = changes.filter(|(change, _)| !change.target.is_of_vm());
        let last: BTreeMap<_, _> = of_host
            .map(|(change, header)| (&change.target, (change, header)))
            .collect();
        last.into_values().collect()
    }

    /// Returns the VMs that were asked for; all where none was.
    pub(super) fn choose(
        &self,
        wanted: &[String],
    ) -> Result<Vec<&DomainName>, CliError> {
        let all = self.vms();
        if wanted.is_empty() {
            return Ok(all.into_keys().collect());
        }
        let one = |wanted: &String| {
            let mut names = all.iter();
            let found = names.find(|(name, (vm, _))| {
                let uuid = vm.uuid.map(|uuid| uuid.to_string());
                let vmid = vm.vmid.map(|vmid| vmid.to_string());
                name.as_str() == wanted
                    || uuid.as_ref() == Some(wanted)
                    || vmid.as_ref() == Some(wanted)
            });
            found.map(|(name, _)| *name).ok_or_else(|| {
                let names = all.keys().map(|name| name.as_str());
                let error = CliError::from(anyhow::anyhow!(
                    "no plan that stands is for a VM {wanted:?}"
                ));
                match nearest(wanted, names) {
                    Some(near) => error.hint(format!("did you mean {near}?")),
                    None => error.hint("`vmtune history` lists what stands"),
                }
            })
        };
        wanted.iter().map(one).collect()
    }

    /// Returns how each VM was planned last, and when that was applied.
    fn vms(&self) -> BTreeMap<&DomainName, (&VmPlan, u64)> {
        let all = self.transactions.iter().map(|one| &one.header);
        let vms = all.flat_map(|header| {
            header.plan.vms.iter().map(|vm| (vm, header.started))
        });
        vms.map(|(vm, applied)| (&vm.name, (vm, applied))).collect()
    }

    /// Returns how a VM was planned last, and when that was applied.
    pub(super) fn vm(&self, name: &DomainName) -> Option<(&VmPlan, u64)> {
        self.vms().get(name).copied()
    }

    /// Returns the connection of the last plan that was made from one.
    pub(super) fn connection(&self) -> Option<String> {
        let plans = self.transactions.iter().rev().map(|t| &t.header.plan);
        let mut uris = plans.map(|plan| &plan.connection);
        uris.find(|uri| *uri != "files").cloned()
    }

    /// Returns the last change of each place of a VM.
    pub(super) fn changes(&self, name: &DomainName) -> Vec<&Change> {
        let all = self.transactions.iter();
        let of_vm = all
            .flat_map(|one| &one.header.plan.changes)
            .filter(|change| change.vm.as_deref() == Some(name.as_str()));
        let last: BTreeMap<_, _> =
            of_vm.map(|change| (&change.target, change)).collect();
        last.into_values().collect()
    }

    /// Returns the definition of a VM as the last change left it.
    pub(super) fn left(&self, uuid: &DomainUuid) -> Option<&str> {
        self.left_at(|place| {
            matches!(place, Place::Definition { uuid: of, .. } if of == uuid)
        })
    }

    /// Returns the definition of a VM of Proxmox as the last change left it.
    pub(super) fn conf_left(&self, vmid: Vmid) -> Option<&str> {
        self.left_at(|place| {
            matches!(place, Place::Conf { vmid: of, .. } if *of == vmid)
        })
    }

    fn left_at(&self, is_there: impl Fn(&Place) -> bool) -> Option<&str> {
        let all = self.transactions.iter().rev();
        let mut steps = all.flat_map(|one| &one.steps);
        let step = steps.find(|step| is_there(&step.place))?;
        match &step.left {
            Left::Known(text) => text.as_deref(),
            Left::Unknown => None,
        }
    }
}
