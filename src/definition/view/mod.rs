//! What a definition says, as values.
//!
//! libvirt is lenient about elements that it does not know and about what has
//! a default, and so is this. What it does read must be readable here too: a
//! pin that was dropped in silence would be a CPU that looks free.

mod cpu;
mod devices;
mod error;
mod memory;
mod node;
mod tune;

use std::collections::BTreeMap;

pub use error::{ReadError, ReadProblem};

use self::node::Node;
use super::xml::Document;
use crate::base::{Digest, VcpuId, VcpuSet};
use crate::model::domain::{Dialect, Domain};

/// Largest number of vCPUs and of I/O threads. KVM ends at 4096 vCPUs
/// (`KVM_MAX_NR_VCPUS` of Linux on x86); beyond it a number is a mistake.
const MAX_THREADS: u32 = 4096;

/// Virt types whose definitions are QEMU's, and the one of libvirt's test
/// driver, which takes them all.
const VIRT_TYPES: [&str; 3] = ["kvm", "qemu", "test"];

/// Reads a libvirt domain definition.
pub(super) fn read(text: &str) -> Result<Domain, ReadError> {
    let document = Document::parse(text)?;
    let root = Node::new(document.root());
    if !root.is("domain") {
        return Err(root.fault(ReadProblem::of_root(&root.name())));
    }
    let virt_type = root.required("type")?;
    if !VIRT_TYPES.contains(&virt_type.as_str()) {
        return Err(root.fault_at("type", ReadProblem::VirtType(virt_type)));
    }
    let name = root.child("name");
    let name = name.ok_or_else(|| root.fault(ReadProblem::Missing("name")))?;
    let uuid = root.child("uuid").map(|uuid| uuid.text_as(str::parse));
    let (vcpus, current_vcpus) = vcpu_counts(root)?;
    let vcpu = root.child("vcpu");
    let os = root.child("os");
    let os_type = os.and_then(|os| os.child("type"));
    let cpu = root.child("cpu").map(cpu::read).transpose()?;
    Ok(Domain {
        name: name.text_as_is(str::parse)?,
        dialect: Dialect::Libvirt,
        uuid: uuid.transpose()?,
        digest: Digest::of(text.as_bytes()),
        virt_type,
        arch: os_type.and_then(|os_type| os_type.attribute("arch")),
        machine: os_type.and_then(|os_type| os_type.attribute("machine")),
        uefi: os.is_some_and(is_uefi),
        vcpus,
        current_vcpus,
        vcpu_placement: vcpu.and_then(|vcpu| vcpu.attribute("placement")),
        vcpu_cpuset: match vcpu {
            Some(vcpu) => vcpu.parse("cpuset")?,
            None => None,
        },
        disabled_vcpus: disabled_vcpus(root)?,
        iothreads: tune::iothreads(root)?,
        cputune: tune::cputune(root)?,
        numatune: memory::numatune(root)?,
        memory: memory::amounts(root, cpu.as_ref())?,
        memory_backing: memory::backing(root)?,
        cpu,
        features: features(root),
        devices: devices::read(root)?,
        qemu_arguments: root
            .all(&["qemu:commandline", "qemu:arg"])
            .map(|argument| argument.required("value"))
            .collect::<Result<_, _>>()?,
        qemu_environment: root
            .all(&["qemu:commandline", "qemu:env"])
            .next()
            .is_some(),
        launch_security: root
            .child("launchSecurity")
            .and_then(|security| security.attribute("type")),
    })
}

/// Returns the largest number of vCPUs, and that at start where it is fewer.
fn vcpu_counts(root: Node<'_>) -> Result<(u32, Option<u32>), ReadError> {
    let Some(vcpu) = root.child("vcpu") else { return Ok((1, None)) };
    let range = "a number of vCPUs from 1 to 4096";
    let count = node::number_in(1..=MAX_THREADS, range);
    let max = vcpu.text_as(count)?;
    let fewer = node::number_in(1..=max, "a number from 1 to that of vCPUs");
    let current = vcpu.parse_with("current", fewer)?;
    Ok((max, current.filter(|&current| current < max)))
}

/// Returns the vCPUs that `<vcpus>` says are not there at start.
fn disabled_vcpus(root: Node<'_>) -> Result<VcpuSet, ReadError> {
    let mut disabled = VcpuSet::new();
    for vcpu in root.all(&["vcpus", "vcpu"]) {
        if vcpu.attribute("enabled").as_deref() == Some("no") {
            disabled.insert(VcpuId(vcpu.required_number("id", MAX_THREADS)?));
        }
    }
    Ok(disabled)
}

/// Returns whether firmware autoselection asks for EFI, or the loader is in
/// flash memory, where only EFI is.
fn is_uefi(os: Node<'_>) -> bool {
    let loader = os.child("loader").and_then(|l| l.attribute("type"));
    os.attribute("firmware").as_deref() == Some("efi")
        || loader.as_deref() == Some("pflash")
}

/// Returns the attributes below `<features>` by path, `kvm/hidden@state`.
fn features(root: Node<'_>) -> BTreeMap<String, String> {
    fn walk(
        node: Node<'_>,
        prefix: &str,
        found: &mut BTreeMap<String, String>,
    ) {
        for child in node.children() {
            let path = format!("{prefix}{}", child.name());
            let mut bare = true;
            for (name, value) in child.attributes() {
                bare = false;
                found.entry(format!("{path}@{name}")).or_insert(value);
            }
            if bare {
                found.entry(path.clone()).or_default();
            }
            walk(child, &format!("{path}/"), found);
        }
    }
    let mut found = BTreeMap::new();
    if let Some(features) = root.child("features") {
        walk(features, "", &mut found);
    }
    found
}

#[cfg(test)]
mod tests;
