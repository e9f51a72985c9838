//! The host's services, and who else changes what vmtune changes.

mod claims;
mod lines;
mod network;
mod programs;
mod tools;

pub(super) use programs::Programs;

use super::Root;
use crate::model::Fact;
use crate::model::facts::ServiceFacts;

/// The folder by which programs tell that systemd is in charge
/// (`sd_booted(3)`).
const SYSTEMD: &str = "run/systemd/system";
/// Only cgroup v2 has this file.
const CONTROLLERS: &str = "sys/fs/cgroup/cgroup.controllers";

/// Reads what there is besides VMs.
pub(super) fn read(root: &Root, programs: &Programs) -> ServiceFacts {
    ServiceFacts {
        systemd: match root.exists(SYSTEMD) {
            true => Fact::known(true, format!("/{SYSTEMD}")),
            false => absent(root, false, SYSTEMD),
        },
        cgroup_controllers: match root.read(CONTROLLERS) {
            Ok(text) => {
                let words = text.split_whitespace().map(str::to_owned);
                let mut words: Vec<_> = words.collect();
                words.sort_unstable();
                Fact::known(words, format!("/{CONTROLLERS}"))
            }
            Err(_) => absent(root, Vec::new(), CONTROLLERS),
        },
        tuners: programs.tuners(root),
        lines_of_others: lines::read(root),
        claims: claims::read(root),
        programs: tools::read(root),
        network: network::read(root),
    }
}

/// What it means that something is not there: nothing, in a tree that may
/// lack what the machine had.
fn absent<T>(root: &Root, value: T, path: &str) -> Fact<T> {
    match root.is_complete() {
        true => Fact::known(value, format!("/{path}: none")),
        false => Fact::unknown(format!("/{path} does not exist")),
    }
}
