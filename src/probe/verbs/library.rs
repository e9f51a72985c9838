//! The functions of libibverbs that are taken by name.
#![allow(unsafe_code, reason = "functions of a library written in C")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt;
use std::sync::Arc;

use rdma_sys as sys;

use crate::probe::rdma::RdmaError;

/// Its name, as the loader looks for it: the ABI of 2005 and since.
const NAME: &str = "libibverbs.so.1";

/// Declares the functions, by the names that the library exports.
macro_rules! functions {
    ($($name:ident: fn($($arg:ty),*) $(-> $result:ty)?;)*) => {
        /// The library, loaded.
        pub(super) struct Library {
            $(pub(super) $name: unsafe extern "C" fn($($arg),*) $(-> $result)?,)*
            /// Keeps the library loaded, and so the functions where they are.
            _loaded: libloading::Library,
        }

        impl Library {
            /// Loads it.
            ///
            /// # Errors
            /// When it is not there or lacks a function.
            pub(super) fn load() -> Result<Arc<Self>, RdmaError> {
                let missing = |e| RdmaError::NoLibrary(Box::new(e));
                // SAFETY: what the library does when it is loaded is what
                // each program that is linked with it relies on.
                let loaded = unsafe { libloading::Library::new(NAME) }
                    .map_err(missing)?;
                // SAFETY: the types are those of <infiniband/verbs.h>. The
                // pointers are used while the library is loaded.
                unsafe {
                    Ok(Arc::new(Self {
                        $($name: *loaded
                            .get(stringify!($name).as_bytes())
                            .map_err(missing)?,)*
                        _loaded: loaded,
                    }))
                }
            }
        }
    };
}

functions! {
    ibv_get_device_list: fn(*mut c_int) -> *mut *mut sys::ibv_device;
    ibv_free_device_list: fn(*mut *mut sys::ibv_device);
    ibv_get_device_name: fn(*mut sys::ibv_device) -> *const c_char;
    ibv_open_device: fn(*mut sys::ibv_device) -> *mut sys::ibv_context;
    ibv_close_device: fn(*mut sys::ibv_context) -> c_int;
    ibv_query_device:
        fn(*mut sys::ibv_context, *mut sys::ibv_device_attr) -> c_int;
    ibv_query_port:
        fn(*mut sys::ibv_context, u8, *mut sys::ibv_port_attr) -> c_int;
    ibv_alloc_pd: fn(*mut sys::ibv_context) -> *mut sys::ibv_pd;
    ibv_dealloc_pd: fn(*mut sys::ibv_pd) -> c_int;
    ibv_reg_mr:
        fn(*mut sys::ibv_pd, *mut c_void, usize, c_int) -> *mut sys::ibv_mr;
    ibv_dereg_mr: fn(*mut sys::ibv_mr) -> c_int;
    ibv_create_cq:
        fn(
            *mut sys::ibv_context,
            c_int,
            *mut c_void,
            *mut sys::ibv_comp_channel,
            c_int
        ) -> *mut sys::ibv_cq;
    ibv_destroy_cq: fn(*mut sys::ibv_cq) -> c_int;
    ibv_create_qp:
        fn(*mut sys::ibv_pd, *mut sys::ibv_qp_init_attr) -> *mut sys::ibv_qp;
    ibv_modify_qp:
        fn(*mut sys::ibv_qp, *mut sys::ibv_qp_attr, c_int) -> c_int;
    ibv_destroy_qp: fn(*mut sys::ibv_qp) -> c_int;
    ibv_wc_status_str: fn(c_uint) -> *const c_char;
}

impl Library {
    /// Returns the library's words for the status of a completion.
    pub(super) fn status(&self, status: c_uint) -> String {
        // SAFETY: the library has a text for each number, also for those that
        // it does not know, and the text stays.
        let text = unsafe {
            let text = (self.ibv_wc_status_str)(status);
            (!text.is_null()).then(|| CStr::from_ptr(text))
        };
        let unknown = || format!("status {status}");
        text.map_or_else(unknown, |t| t.to_string_lossy().into_owned())
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}
