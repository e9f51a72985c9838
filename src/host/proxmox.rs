//! A node of Proxmox VE: the definitions of its VMs, which of them run, and
//! its resource mappings.
//!
//! /etc/pve is the cluster's file system; `qemu-server` in it is the folder of
//! this node, and `local` a link that says what the node is called.

use super::{ReadError, Root, process};
use crate::base::Vmid;
use crate::model::RunningVm;

/// The definitions of this node's VMs.
const DEFINITIONS: &str = "etc/pve/qemu-server";
/// What passed-through devices are called in the cluster.
const MAPPINGS: &str = "etc/pve/mapping/pci.cfg";

/// A VM of this node.
#[derive(Debug)]
pub struct ProxmoxVm {
    /// Its number.
    pub vmid: Vmid,
    /// Its definition, byte for byte.
    pub text: Result<String, ReadError>,
    /// Whether it runs.
    pub running: bool,
}

/// Returns whether a machine is a node of Proxmox.
#[must_use]
pub fn is_node(root: &Root) -> bool {
    root.exists(DEFINITIONS)
}

/// Returns the VMs of a node, sorted by number.
///
/// # Errors
/// When the folder of their definitions cannot be read.
pub fn vms(root: &Root) -> Result<Vec<ProxmoxVm>, ReadError> {
    let names = root.list(DEFINITIONS)?;
    let vmids = names.iter().filter_map(|name| Vmid::of_file(name));
    let mut found: Vec<_> = vmids
        .map(|vmid| ProxmoxVm {
            vmid,
            text: root.read(&format!("{DEFINITIONS}/{vmid}.conf")),
            running: runs(root, vmid),
        })
        .collect();
    found.sort_by_key(|vm| vm.vmid);
    Ok(found)
}

/// Returns whether the process that a VM was started as is there.
#[must_use]
pub fn runs(root: &Root, vmid: Vmid) -> bool {
    pid(root, vmid).is_some_and(|pid| root.exists(&format!("proc/{pid}/stat")))
}

/// Returns the process that a VM runs as; `None` where it does not run, or
/// where that process is no QEMU of this VM.
#[must_use]
pub fn running(root: &Root, vmid: Vmid) -> Option<RunningVm> {
    process::of_node(root, pid(root, vmid)?, vmid)
}

/// Reads the file that has the number of a VM's process; it may be an old one.
fn pid(root: &Root, vmid: Vmid) -> Option<u32> {
    let pid = root.read(&format!("run/qemu-server/{vmid}.pid")).ok()?;
    pid.trim().parse().ok()
}

/// Returns the resource mappings of PCI functions, as text; none where there
/// are no such mappings.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn mappings(root: &Root) -> Result<Option<String>, ReadError> {
    match root.exists(MAPPINGS) {
        true => root.read(MAPPINGS).map(Some),
        false => Ok(None),
    }
}

/// Returns what the node is called in its cluster.
///
/// # Errors
/// When there is no such link.
pub fn name(root: &Root) -> Result<String, ReadError> {
    root.link_name("etc/pve/local")
}
