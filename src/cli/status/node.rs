//! The part of `status` that is a VM's of Proxmox: its definition, and how it
//! runs.

use anyhow::Context;

use super::vm::{finding, settings};
use crate::apply::misses;
use crate::base::{CpuSet, Vmid};
use crate::cli::exit::CliError;
use crate::cli::standing::Standing;
use crate::definition::conf::Conf;
use crate::drift::{self, Finding, State};
use crate::host::{Root, proxmox};
use crate::model::{Change, Target, VmPlan};
use crate::system::System;

/// What is looked at.
pub(super) struct Node<'a> {
    pub(super) system: &'a dyn System,
    pub(super) root: &'a Root,
    pub(super) standing: &'a Standing,
}

impl Node<'_> {
    /// Compares a VM, planned and applied like this, with all that was
    /// applied to it.
    pub(super) fn findings(
        &self,
        vmid: Vmid,
        planned: &VmPlan,
        applied: u64,
    ) -> Result<Vec<Finding>, CliError> {
        let name = &planned.name;
        let doing = || format!("reading the definition of {name}");
        let current = self.system.conf(vmid).with_context(doing)?;
        let Some(current) = current else {
            let state = State::Drifted { found: "no such VM".into() };
            return Ok(vec![finding(name, "definition", "there", state)]);
        };
        let changes = self.standing.changes(name);
        // What was so already was not written.
        let left = self.standing.conf_left(vmid).unwrap_or(&current);
        let missed = |given: &str| misses(left, given, changes.iter().copied());
        let drifted = missed(&current).with_context(doing)?;
        let running = proxmox::running(self.root, vmid);
        let conf = Conf::parse(&current).with_context(doing)?;
        let mut waiting = match running {
            Some(_) => missed(conf.main()).with_context(doing)?,
            None => Vec::new(),
        };
        waiting.retain(|one| drifted.iter().all(|d| d.target != one.target));
        let mut findings =
            settings(name, changes.len(), &drifted, waiting.len());
        let affinity = affinity(&changes);
        if let (Some(placement), Some(affinity)) =
            (&planned.placement, affinity.or_else(|| of(&conf)))
        {
            let running = running.as_ref();
            let more = drift::node_vm(placement, &affinity, applied, running);
            findings.extend(more);
        }
        Ok(findings)
    }
}

/// Returns the CPUs that were planned for all threads.
fn affinity(changes: &[&Change]) -> Option<CpuSet> {
    let of_threads = |change: &&&Change| match &change.target {
        Target::Conf(path) => path.to_string() == "affinity",
        _ => false,
    };
    changes.iter().find(of_threads)?.to.as_deref()?.parse().ok()
}

/// Returns the CPUs of a definition that had them already.
fn of(conf: &Conf) -> Option<CpuSet> {
    conf.value("affinity")?.parse().ok()
}

#[cfg(test)]
mod tests;
