//! A node of Proxmox: its definitions are read as files and written by `qm`.

use std::ffi::OsString;

use nix::errno::Errno;
use nix::fcntl::readlinkat;

use super::program::{self, Ended, PATIENCE};
use super::{Kind, Live, System as _, failed};
use crate::base::{HostPath, Vmid};
use crate::system::{QmSet, SystemError};

/// The cluster's file system.
const CLUSTER: &str = "/etc/pve";
/// The folder of this node's definitions in it.
const FOLDER: &str = "qemu-server";

impl Live {
    /// Reads a definition.
    pub(super) fn read_conf(
        &self,
        vmid: Vmid,
    ) -> Result<Option<String>, SystemError> {
        Ok(self.file(&self.conf_path(vmid)?)?.text)
    }

    /// Returns where a definition is. The node's folder is a link that the
    /// cluster's file system makes; nobody else can make one there.
    fn conf_path(&self, vmid: Vmid) -> Result<HostPath, SystemError> {
        let path = |folder: &str| -> Option<HostPath> {
            format!("{CLUSTER}/{folder}/{vmid}.conf").parse().ok()
        };
        let usual = path(FOLDER).expect("a VMID is digits");
        let link = format!("{}/{FOLDER}", &CLUSTER[1..]);
        let target = match readlinkat(&self.root, link.as_str()) {
            Ok(target) => OsString::into_string(target).ok(),
            // A folder as it is, or none.
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(usual),
            Err(error) => return Err(failed("opening", &usual, error)),
        };
        let target = target.and_then(|target| path(&target));
        target.ok_or(SystemError::NotRegular(usual))
    }

    /// Runs `qm set`.
    pub(super) fn run_qm(&self, set: &QmSet) -> Result<(), SystemError> {
        let words = set.words();
        let refused = |said| {
            let command = words.join(" ");
            SystemError::Proxmox { command, said }
        };
        let Kind::Host = self.kind else {
            let said = "a folder that stands for a node has no `qm`";
            return Err(refused(said.to_owned()));
        };
        let path = program::find("qm")
            .ok_or_else(|| refused("there is no such program".to_owned()))?;
        let ran = program::run(&path, &words[1..], PATIENCE);
        ran.map_err(|ended| match ended {
            Ended::Start(error) => refused(error.to_string()),
            Ended::Failed(said) => refused(said),
        })
    }
}
