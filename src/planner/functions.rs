//! VMs with the functions that they are given: what rules see.

use std::borrow::Cow;

use super::{Inputs, Neighbour, Subject};
use crate::base::PciAddress;
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::{Fact, Missing, NicPlacement, VmPlacement};
use crate::rules::{hostdev_vf, sriov_vfs};

/// Returns the facts with the functions that the plan makes, so that VMs can
/// be given them by the same plan.
pub(super) fn forecast<'a>(inputs: &Inputs<'a>) -> Cow<'a, Facts> {
    let subjects = inputs.subjects.iter().map(|subject| &subject.domain);
    let neighbours = inputs.neighbours.iter().flat_map(|n| &n.definitions);
    let domains: Vec<&Domain> = subjects.chain(neighbours).collect();
    let new = sriov_vfs::to_come(inputs.facts, inputs.policy, &domains);
    let mut facts = Cow::Borrowed(inputs.facts);
    if !new.is_empty()
        && let Fact::Known { value, .. } = &mut facts.to_mut().pci
    {
        value.extend(new);
        value.sort_unstable_by_key(|function| function.address);
    }
    facts
}

/// Returns the subjects as they will be with the functions that their
/// placements give them. A rule that counts devices counts these too.
pub(super) fn equip(
    inputs: &Inputs<'_>,
    subjects: &[&Subject],
    placements: &[VmPlacement],
) -> Vec<Subject> {
    let equip = |(subject, placement): (&&Subject, &VmPlacement)| {
        let mut subject = (*subject).clone();
        let policy = inputs.policy.for_vm(placement.name.as_str());
        if policy.plans(hostdev_vf::RULE.id) {
            let devices = &mut subject.domain.devices;
            *devices = devices.with_nics(&placement.nics);
        }
        subject
    };
    subjects.iter().zip(placements).map(equip).collect()
}

/// Returns the functions that the VMs have and that they are to be given.
pub(super) fn cited(
    subjects: &[&Subject],
    placements: &[VmPlacement],
) -> Vec<PciAddress> {
    let had = subjects.iter().flat_map(|s| s.domain.functions());
    let nics = placements.iter().flat_map(|placement| &placement.nics);
    had.chain(nics.filter_map(NicPlacement::added)).collect()
}

/// Says whose functions cannot be seen: a network can hand one out when its
/// VM starts, and the VM's definition does not name it before.
pub(super) fn unseen(
    inputs: &Inputs<'_>,
    placements: &[VmPlacement],
) -> Option<Missing> {
    let mut nics = placements.iter().flat_map(|placement| &placement.nics);
    nics.find_map(NicPlacement::added)?;
    let of_network = |neighbour: &&Neighbour| {
        let mut all = neighbour.definitions.iter();
        let named = |domain: &Domain| {
            domain.devices.interfaces.iter().any(|i| i.kind == "network")
        };
        !neighbour.running && all.any(named)
    };
    let names: Vec<_> = inputs
        .neighbours
        .iter()
        .filter(of_network)
        .map(|neighbour| neighbour.name.to_string())
        .collect();
    (!names.is_empty()).then(|| Missing {
        rule: hostdev_vf::RULE.id.to_owned(),
        vm: None,
        fact: "functions that libvirt's networks give out".to_owned(),
        why: format!(
            "{} will have a function only when started, where its network has \
             <forward mode='hostdev'>",
            names.join(", ")
        ),
    })
}
