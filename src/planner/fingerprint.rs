//! The fingerprint of the facts that a plan rests on.

use serde::Serialize;

use crate::base::{Digest, NodeId, PageSize, PciAddress};
use crate::model::facts::{Hardware, PciFunction, Topology};

/// The facts that a plan cites.
#[derive(Serialize)]
struct Cited<'a> {
    topology: &'a Topology,
    cpu_vendor: Option<&'a String>,
    pools: Vec<(NodeId, PageSize)>,
    devices: Vec<&'a PciFunction>,
}

/// Returns the digest of the hardware that a plan rests on for VMs that have,
/// or are given, these devices.
///
/// Amounts that come and go are left out: a pool counts by being there, its
/// free pages are looked at when the plan is applied.
#[must_use]
pub fn fingerprint(hardware: &Hardware, devices: &[PciAddress]) -> Digest {
    let functions = hardware.pci.value().into_iter().flatten();
    let pools = hardware.hugepages.value().into_iter().flatten();
    let cited = Cited {
        topology: &hardware.topology,
        cpu_vendor: hardware.cpu_vendor.value(),
        pools: pools.map(|pool| (pool.node, pool.size)).collect(),
        devices: functions.filter(|f| devices.contains(&f.address)).collect(),
    };
    // A tree of plain values always serialises.
    let text = serde_json::to_string(&cited).unwrap_or_default();
    Digest::of(text.as_bytes())
}
