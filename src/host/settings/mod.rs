//! What stands at the places of the host that vmtune may change: one list of
//! places for each topic.

mod cpu;
mod memory;
mod network;

use std::collections::BTreeMap;
use std::io::ErrorKind::NotFound;

use super::{ReadError, Root, text};
use crate::base::{CpuSet, HostPath};
use crate::model::Fact;
use crate::model::facts::{CpuPower, Interrupt};

/// What decides which places there are.
pub(super) struct Host<'a> {
    /// CPUs that are online.
    pub(super) online: &'a CpuSet,
    pub(super) power: &'a CpuPower,
    pub(super) interrupts: &'a Fact<Vec<Interrupt>>,
}

/// Reads all places. A value of the kernel that is not there is left out: it
/// cannot be set either.
pub(super) fn read(
    root: &Root,
    host: &Host<'_>,
) -> BTreeMap<HostPath, Fact<Option<String>>> {
    let paths =
        [cpu::places(host), memory::places(root), network::places()].concat();
    let paths = paths.iter().filter_map(|path| path.parse().ok());
    let read = |path: HostPath| {
        let fact = match path.is_below("/etc") {
            true => file(root, &path),
            false => value(root, &path)?,
        };
        Some((path, fact))
    };
    paths.filter_map(read).collect()
}

/// Reads a file whole. What is not there was not on the machine, unless
/// somebody gathered this tree who did not know of it.
fn file(root: &Root, path: &HostPath) -> Fact<Option<String>> {
    match root.read(path.relative()) {
        Ok(text) => Fact::known(Some(text), path.to_string()),
        Err(e) if e.source.kind() == NotFound && root.is_complete() => {
            Fact::known(None, path.to_string())
        }
        Err(e) => Fact::unknown(e.reason()),
    }
}

/// Reads a value of the kernel: without the end of its line, and of a list of
/// choices the one that is chosen. A cpuset that names no CPUs is read as
/// those that it has: while processes are in it the kernel takes some in place
/// of none, and never none in place of some. A group without a cpuset has all
/// CPUs, until systemd gives one to each because one unit needs it.
fn value(root: &Root, path: &HostPath) -> Option<Fact<Option<String>>> {
    let mut read = root.read(path.relative());
    let blank = read.as_ref().is_ok_and(|text| text.trim().is_empty());
    if path.name() == "cpuset.cpus" {
        let group = path.relative().trim_end_matches("cpuset.cpus");
        if blank {
            read = root.read(&format!("{}.effective", path.relative()));
        } else if is_absent(&read)
            && root.read(&format!("{group}cgroup.controllers")).is_ok()
        {
            read = root.read("sys/devices/system/cpu/online");
        }
    }
    match read {
        Ok(whole) => {
            let whole = whole.trim_end_matches('\n');
            let value = text::selected(whole).unwrap_or(whole);
            Some(Fact::known(Some(value.to_owned()), path.to_string()))
        }
        absent if is_absent(&absent) => None,
        Err(e) => Some(Fact::unknown(e.reason())),
    }
}

fn is_absent(read: &Result<String, ReadError>) -> bool {
    read.as_ref().is_err_and(|e| e.source.kind() == NotFound)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Without this a plan would not say what a rollback has to put back.
    #[test]
    fn a_group_without_a_limit_has_all_cpus() {
        const GROUP: &str = "sys/fs/cgroup/system.slice";
        let temp = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = temp.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let read = || {
            let path = format!("/{GROUP}/cpuset.cpus").parse().unwrap();
            let fact = value(&Root::tree(temp.path()), &path)?;
            fact.value().cloned().flatten()
        };
        write("sys/devices/system/cpu/online", "0-3\n");
        assert_eq!(read(), None, "there is no group");
        write(&format!("{GROUP}/cgroup.controllers"), "memory pids\n");
        assert_eq!(read().as_deref(), Some("0-3"));
        write(&format!("{GROUP}/cpuset.cpus"), "\n");
        write(&format!("{GROUP}/cpuset.cpus.effective"), "0-2\n");
        assert_eq!(read().as_deref(), Some("0-2"));
        write(&format!("{GROUP}/cpuset.cpus"), "1\n");
        assert_eq!(read().as_deref(), Some("1"));
    }
}
