//! Where the threads of a running domain run, and moving them.
//!
//! The only `unsafe` calls of this floor: the client library has no functions
//! of its own for I/O threads, and none that read pins.

use std::collections::BTreeMap;
use std::ffi::c_int;

use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use crate::base::{CpuId, CpuSet, VcpuId};
use crate::model::Role;

/// Bytes of a map that libvirt fills in: as many CPUs as a kernel can have.
const MAP: usize = 8192 / 8;

/// Returns where the threads of a running domain may run.
pub(super) fn pins(domain: &Domain) -> Result<BTreeMap<Role, CpuSet>, Error> {
    let mut pins = BTreeMap::new();
    let vcpus = domain.vcpus_flags(sys::VIR_DOMAIN_VCPU_LIVE)?;
    for (n, cpus) in (0..).zip(vcpu_pins(domain, vcpus)?) {
        pins.insert(Role::Vcpu(VcpuId(n)), cpus);
    }
    pins.insert(Role::Emulator, emulator_pin(domain)?);
    match iothread_pins(domain) {
        Ok(threads) => pins.extend(threads),
        // A driver that has no I/O threads.
        Err(error) if error.code().is(ErrorNumber::NoSupport) => {}
        Err(error) => return Err(error),
    }
    Ok(pins)
}

#[allow(unsafe_code, reason = "see the module")]
fn vcpu_pins(domain: &Domain, vcpus: u32) -> Result<Vec<CpuSet>, Error> {
    let count = vcpus as usize;
    let mut maps = vec![0; count * MAP];
    // SAFETY: the domain's pointer is valid while `domain` lives, and libvirt
    // writes at most `count` maps of `MAP` bytes each.
    let found = unsafe {
        sys::virDomainGetVcpuPinInfo(
            domain.as_ptr(),
            length(count),
            maps.as_mut_ptr(),
            length(MAP),
            sys::VIR_DOMAIN_AFFECT_LIVE,
        )
    };
    let found = usize::try_from(found).map_err(|_| Error::last_error())?;
    Ok(maps.chunks(MAP).take(found).map(cpus).collect())
}

#[allow(unsafe_code, reason = "see the module")]
fn emulator_pin(domain: &Domain) -> Result<CpuSet, Error> {
    let mut map = [0; MAP];
    // SAFETY: as above; there is one map.
    let found = unsafe {
        sys::virDomainGetEmulatorPinInfo(
            domain.as_ptr(),
            map.as_mut_ptr(),
            length(MAP),
            sys::VIR_DOMAIN_AFFECT_LIVE,
        )
    };
    if found < 0 { Err(Error::last_error()) } else { Ok(cpus(&map)) }
}

#[allow(unsafe_code, reason = "see the module")]
fn iothread_pins(domain: &Domain) -> Result<Vec<(Role, CpuSet)>, Error> {
    let mut list = std::ptr::null_mut();
    let live = sys::VIR_DOMAIN_AFFECT_LIVE;
    // SAFETY: libvirt sets `list` to an array of as many pointers as it
    // returns, all of which are the caller's to free.
    let found = unsafe {
        sys::virDomainGetIOThreadInfo(domain.as_ptr(), &raw mut list, live)
    };
    let found = usize::try_from(found).map_err(|_| Error::last_error())?;
    let mut pins = Vec::new();
    for n in 0..found {
        // SAFETY: see above; a thread's map has as many bytes as it says, and
        // nothing of the thread is used after it is freed.
        unsafe {
            let thread = *list.add(n);
            let bytes = usize::try_from((*thread).cpumaplen).unwrap_or(0);
            let map = match (*thread).cpumap.is_null() {
                true => &[][..],
                false => std::slice::from_raw_parts((*thread).cpumap, bytes),
            };
            pins.push((Role::IoThread((*thread).iothread_id), cpus(map)));
            sys::virDomainIOThreadInfoFree(thread);
        }
    }
    // SAFETY: the array came from libvirt's `malloc`, or is null.
    unsafe { nix::libc::free(list.cast()) };
    Ok(pins)
}

/// Spells a length as C does. One that does not fit is of CPUs that no kernel
/// has.
fn length(length: usize) -> c_int {
    c_int::try_from(length).unwrap_or(c_int::MAX)
}

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
    let length = length(map.len());
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

/// Returns the CPUs that a map of libvirt's has.
fn cpus(map: &[u8]) -> CpuSet {
    let bits = (0..).zip(map).flat_map(|(n, byte)| {
        (0..8)
            .filter(move |bit| byte >> bit & 1 == 1)
            .map(move |bit| n * 8 + bit)
    });
    bits.map(CpuId).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_bits_from_the_lowest() {
        let cpus: CpuSet = "0,9-10,23".parse().unwrap();
        assert_eq!(map(&cpus), [1, 0b110, 0b1000_0000]);
        assert_eq!(super::cpus(&[1, 0b110, 0b1000_0000, 0]), cpus);
        assert!(map(&CpuSet::new()).is_empty());
    }
}
