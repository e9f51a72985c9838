//! Moving a thread of a running domain to other CPUs.
//!
//! The one `unsafe` call of this floor: the client library has no function of
//! its own for I/O threads.

use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

use crate::base::CpuSet;
use crate::model::Role;

/// Pins a thread of a running domain. A role that libvirt does not pin by
/// itself is the emulator's.
pub(super) fn pin(
    domain: &Domain,
    thread: Role,
    cpus: &CpuSet,
) -> Result<(), Error> {
    let map = map(cpus);
    let live = sys::VIR_DOMAIN_AFFECT_LIVE;
    match thread {
        Role::Vcpu(vcpu) => domain.pin_vcpu_flags(vcpu.0, &map, live),
        Role::IoThread(id) => pin_iothread(domain, id, map, live),
        Role::Emulator | Role::Vhost => domain.pin_emulator(&map, live),
    }
}

#[allow(unsafe_code, reason = "see the module")]
fn pin_iothread(
    domain: &Domain,
    id: u32,
    mut map: Vec<u8>,
    flags: sys::virDomainModificationImpact,
) -> Result<(), Error> {
    // A map of so many bytes would be of CPUs that no kernel has.
    let length = i32::try_from(map.len()).unwrap_or(i32::MAX);
    // SAFETY: the domain's pointer is valid while `domain` lives, and libvirt
    // reads `length` bytes of `map`, which lives until it returns.
    let done = unsafe {
        sys::virDomainPinIOThread(
            domain.as_ptr(),
            id,
            map.as_mut_ptr(),
            length,
            flags,
        )
    };
    if done < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// Returns the CPUs as libvirt takes them: a bit each, the lowest first.
fn map(cpus: &CpuSet) -> Vec<u8> {
    let mut map = Vec::new();
    for cpu in cpus.iter() {
        let byte = cpu.0 as usize / 8;
        if map.len() <= byte {
            map.resize(byte + 1, 0);
        }
        map[byte] |= 1 << (cpu.0 % 8);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_bits_from_the_lowest() {
        let cpus: CpuSet = "0,9-10,23".parse().unwrap();
        assert_eq!(map(&cpus), [1, 0b110, 0b1000_0000]);
        assert!(map(&CpuSet::new()).is_empty());
    }
}
