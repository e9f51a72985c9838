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

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "the test makes a node")]

    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::base::ConfDigest;

    fn vmid() -> Vmid {
        "101".parse().unwrap()
    }

    #[test]
    fn a_definition_is_read_through_the_clusters_link_and_no_other() {
        let temp = tempfile::tempdir().unwrap();
        let at = |path: &str| temp.path().join(path);
        fs::create_dir_all(at("etc/pve/nodes/a/qemu-server")).unwrap();
        fs::write(at("etc/pve/nodes/a/qemu-server/101.conf"), "x").unwrap();
        fs::create_dir(at("etc/secret")).unwrap();
        fs::write(at("etc/secret/101.conf"), "secret").unwrap();
        let live = Live::at(temp.path()).unwrap();
        let link = at("etc/pve/qemu-server");
        assert_eq!(live.conf(vmid()).unwrap(), None, "no link, no VM");
        for (target, expected) in
            [("nodes/a/qemu-server", Some("x")), ("nodes/b/qemu-server", None)]
        {
            symlink(target, &link).unwrap();
            let text = live.conf(vmid()).unwrap();
            assert_eq!(text.as_deref(), expected, "{target}");
            fs::remove_file(&link).unwrap();
        }
        for target in ["../secret", "/etc/secret", "nodes/../../secret"] {
            symlink(target, &link).unwrap();
            let error = live.conf(vmid()).unwrap_err();
            assert!(matches!(error, SystemError::NotRegular(_)), "{error}");
            fs::remove_file(&link).unwrap();
        }
        fs::create_dir(&link).unwrap();
        fs::write(link.join("101.conf"), "y").unwrap();
        assert_eq!(live.conf(vmid()).unwrap().as_deref(), Some("y"));
    }

    #[test]
    fn a_folder_has_no_qm() {
        let temp = tempfile::tempdir().unwrap();
        let live = Live::at(temp.path()).unwrap();
        let set = QmSet {
            vmid: vmid(),
            set: BTreeMap::from([("cores".to_owned(), "4".to_owned())]),
            delete: BTreeSet::new(),
            revert: BTreeSet::new(),
            digest: ConfDigest::of(""),
        };
        let error = live.set_conf(&set).unwrap_err().to_string();
        assert!(error.starts_with("`qm set 101 --cores 4 "), "{error}");
    }
}
