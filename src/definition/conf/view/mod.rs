//! What a definition of Proxmox says, as values.
//!
//! Keys that nothing here asks for may say anything. What is asked for must be
//! readable: CPUs that were dropped in silence would look free.

mod cpu;
pub(super) mod devices;
mod memory;
mod value;

use std::collections::BTreeMap;

use self::value::Reader;
use super::error::{ConfError, ConfProblem};
use super::text::Conf;
use crate::base::{Digest, DomainName, VcpuSet, Vmid};
use crate::model::domain::{Cputune, Dialect, Domain};

/// Largest number of vCPUs, as KVM has it.
const MAX_VCPUS: u32 = 4096;

/// Reads a definition of Proxmox. `vmid` is the number that its file is
/// called by: a VM without a name is called after it.
pub(in crate::definition) fn read(
    text: &str,
    vmid: Option<Vmid>,
) -> Result<Domain, ConfError> {
    let conf = Conf::parse(text)?;
    let at = Reader::new(&conf);
    let sockets = cpu::sockets(&at)?;
    let cores = at.number("cores", 1..=MAX_VCPUS)?.unwrap_or(1);
    let vcpus = sockets.saturating_mul(cores);
    if vcpus > MAX_VCPUS {
        let what = "a number that makes no more than 4096 vCPUs";
        return Err(at.fault("cores", what));
    }
    let fewer = at.number("vcpus", 1..=vcpus)?;
    let memory = memory::amounts(&at)?;
    let cpu = cpu::read(&at, sockets, cores, memory.total)?;
    Ok(Domain {
        name: name(&at, vmid)?,
        dialect: Dialect::Proxmox(vmid),
        uuid: at.parse("smbios1/uuid", str::parse)?,
        digest: Digest::of(text.as_bytes()),
        virt_type: match at.flag("kvm", true)? {
            true => "kvm".to_owned(),
            false => "qemu".to_owned(),
        },
        arch: at.text("arch"),
        machine: Some(at.text("machine/type").unwrap_or_else(|| "pc".into())),
        uefi: at.is("bios", "ovmf"),
        vcpus,
        current_vcpus: fewer.filter(|&fewer| fewer < vcpus),
        vcpu_placement: None,
        vcpu_cpuset: at.parse("affinity", str::parse)?,
        disabled_vcpus: VcpuSet::new(),
        iothreads: devices::iothreads(&at)?,
        cputune: Cputune::default(),
        numatune: memory::numatune(&at)?,
        memory,
        memory_backing: memory::backing(&at)?,
        cpu: Some(cpu),
        features: features(&at)?,
        devices: devices::read(&at)?,
        qemu_arguments: at.text("args").map_or_else(Vec::new, |a| words(&a)),
        qemu_environment: false,
        launch_security: at
            .text("amd-sev/type")
            .map(|kind| match kind.as_str() {
                "snp" => "sev-snp".to_owned(),
                _ => "sev".to_owned(),
            })
            .or_else(|| at.text("intel-tdx/type")),
    })
}

/// Returns what libvirt has among its features, by its names.
fn features(at: &Reader<'_>) -> Result<BTreeMap<String, String>, ConfError> {
    let mut features = BTreeMap::new();
    if at.flag("cpu/hidden", false)? {
        features.insert("kvm/hidden@state".to_owned(), "on".to_owned());
    }
    // Proxmox splits the interrupt controller for this IOMMU.
    if at.is("machine/viommu", "intel") {
        features.insert("ioapic@driver".to_owned(), "qemu".to_owned());
    }
    Ok(features)
}

/// Returns the VM's name, or the one that Proxmox gives to a VM without.
fn name(at: &Reader<'_>, vmid: Option<Vmid>) -> Result<DomainName, ConfError> {
    let own = at.parse("name", str::parse)?;
    let made = || format!("vm{}", vmid?).parse().ok();
    let problem = ConfProblem::NoName;
    own.or_else(made).ok_or(ConfError { line: 1, problem })
}

/// Splits arguments as a shell does: blanks part them, quotes hold them
/// together.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            ('\\', None | Some('"')) => {
                word.get_or_insert_default().extend(rest.next());
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests;
