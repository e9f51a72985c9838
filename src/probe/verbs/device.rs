//! Devices and their ports.
#![allow(unsafe_code, reason = "functions of a library written in C")]

use std::ffi::{CStr, c_int};
use std::io;
use std::mem::zeroed;
use std::sync::Arc;

use rdma_sys as sys;

use super::library::Library;
use crate::host::{Root, rdma_gids};
use crate::probe::rdma::{Port, RdmaError};

/// A device that is open.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) library: Arc<Library>,
    pub(super) context: *mut sys::ibv_context,
}

// SAFETY: a context may be used from each thread; verbs(7) calls the library
// thread-safe.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: all that was made of the context holds this device, and so
        // has gone. There is nothing to do where it cannot be closed.
        unsafe { (self.library.ibv_close_device)(self.context) };
    }
}

/// Returns the ports of all devices.
///
/// # Errors
/// When there is none, or one cannot be asked.
pub(super) fn ports(
    library: &Arc<Library>,
    root: &Root,
) -> Result<Vec<Port>, RdmaError> {
    let mut found = Vec::new();
    each(library, |name, device| {
        let device = opened(library, name, device)?;
        let count = device.limits()?.phys_port_cnt;
        for number in 1..=count {
            found.push(port(&device, root, name, number)?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Opens the device of this name.
///
/// # Errors
/// When there is none, or it may not be opened.
pub(super) fn open(
    library: &Arc<Library>,
    wanted: &str,
) -> Result<Arc<Device>, RdmaError> {
    let mut found = None;
    each(library, |name, device| {
        if name == wanted {
            found = Some(opened(library, name, device)?);
        }
        Ok(())
    })?;
    found.map(Arc::new).ok_or(RdmaError::NoDevice)
}

/// Does something with each device of the machine.
fn each(
    library: &Arc<Library>,
    mut work: impl FnMut(&str, *mut sys::ibv_device) -> Result<(), RdmaError>,
) -> Result<(), RdmaError> {
    let mut count: c_int = 0;
    // SAFETY: the list has `count` devices, and is given back below.
    let list = unsafe { (library.ibv_get_device_list)(&raw mut count) };
    // A kernel without RDMA is an error of the library's, and no list.
    if list.is_null() {
        return Err(RdmaError::NoDevice);
    }
    let mut done = Ok(());
    for at in 0..usize::try_from(count).unwrap_or_default() {
        // SAFETY: `at` is less than `count`, and names end with a zero.
        let (device, name) = unsafe {
            let device = *list.add(at);
            let name = (library.ibv_get_device_name)(device);
            (device, CStr::from_ptr(name).to_string_lossy().into_owned())
        };
        done = done.and_then(|()| work(&name, device));
    }
    // SAFETY: the list is the library's, and devices that were opened stay.
    unsafe { (library.ibv_free_device_list)(list) };
    done
}

fn opened(
    library: &Arc<Library>,
    name: &str,
    device: *mut sys::ibv_device,
) -> Result<Device, RdmaError> {
    // SAFETY: the device is of a list that is not given back yet.
    let context = unsafe { (library.ibv_open_device)(device) };
    if context.is_null() {
        return Err(refused(format!("opening the RDMA device {name}")));
    }
    Ok(Device { library: Arc::clone(library), context })
}

impl Device {
    /// Returns what the device can do.
    ///
    /// # Errors
    /// When it does not tell.
    pub(super) fn limits(&self) -> Result<sys::ibv_device_attr, RdmaError> {
        // SAFETY: numbers alone, for which zeros are values; the library
        // fills them in.
        let (failed, limits) = unsafe {
            let mut limits: sys::ibv_device_attr = zeroed();
            let query = self.library.ibv_query_device;
            (query(self.context, &raw mut limits), limits)
        };
        checked(failed, || "asking what an RDMA device can do".to_owned())?;
        Ok(limits)
    }
}

fn port(
    device: &Device,
    root: &Root,
    name: &str,
    number: u8,
) -> Result<Port, RdmaError> {
    // SAFETY: numbers alone, for which zeros are values. Libraries that know
    // less of a port fill in less of it.
    let (failed, port) = unsafe {
        let mut port: sys::ibv_port_attr = zeroed();
        let query = device.library.ibv_query_port;
        (query(device.context, number, &raw mut port), port)
    };
    checked(failed, || format!("asking for port {number} of {name}"))?;
    Ok(Port {
        device: name.to_owned(),
        number,
        is_active: port.state == sys::ibv_port_state::IBV_PORT_ACTIVE,
        // Of InfiniBand before there was Ethernet: unspecified.
        is_infiniband: port.link_layer != ETHERNET,
        lid: port.lid,
        mtu: 128 << port.active_mtu.min(sys::ibv_mtu::IBV_MTU_4096),
        gids: rdma_gids(root, name, number.into()),
    })
}

/// IBV_LINK_LAYER_ETHERNET.
const ETHERNET: u8 = 2;

/// Makes an error of what the C library keeps in `errno`.
pub(super) fn refused(what: impl Into<String>) -> RdmaError {
    RdmaError::Refused { what: what.into(), source: io::Error::last_os_error() }
}

/// Makes an error of what a function returns that is not zero.
///
/// # Errors
/// When it is not.
pub(super) fn checked(
    failed: c_int,
    what: impl FnOnce() -> String,
) -> Result<(), RdmaError> {
    if failed == 0 {
        return Ok(());
    }
    // Some return the number of the error, older ones -1.
    let source = match failed {
        1.. => io::Error::from_raw_os_error(failed),
        _ => io::Error::last_os_error(),
    };
    Err(RdmaError::Refused { what: what(), source })
}
