//! The CPUs of a cgroup. Until somebody limits them, its cpuset names none,
//! or is not there: systemd has cpusets only where a unit needs one.

use super::{Live, System as _, SystemError};
use crate::base::HostPath;

/// The CPUs of a group without a cpuset.
const ALL: &str = "/sys/devices/system/cpu/online";

impl Live {
    /// Reads a cpuset, and in place of one that names no CPUs those that the
    /// group has.
    pub(super) fn cpuset(
        &self,
        path: &HostPath,
    ) -> Result<String, SystemError> {
        let from = match self.raw_value(path) {
            Ok(text) if text.is_empty() => format!("{path}.effective"),
            Err(error) if error.is_not_there() => ALL.to_owned(),
            other => return other,
        };
        match from.parse() {
            Ok(from) => self.raw_value(&from),
            Err(_) => Ok(String::new()),
        }
    }

    /// Gives a group a cpuset where it has none, as systemd does.
    pub(super) fn make_cpuset(
        &self,
        path: &HostPath,
    ) -> Result<(), SystemError> {
        match self.raw_value(path) {
            Err(error) if error.is_not_there() => {}
            _ => return Ok(()),
        }
        let group = path.as_str().rsplit_once('/').map_or("", |(up, _)| up);
        let parent = group.rsplit_once('/').map_or("", |(up, _)| up);
        match format!("{parent}/cgroup.subtree_control").parse() {
            Ok(control) => self.set_value(&control, "+cpuset"),
            Err(_) => Ok(()),
        }
    }
}

/// Returns whether a cgroup's CPUs are there.
pub(super) fn is_cpuset(path: &HostPath) -> bool {
    path.is_below("/sys/fs/cgroup") && path.name() == "cpuset.cpus"
}
