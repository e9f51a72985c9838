//! What configures the host's network.

use crate::host::Root;
use crate::model::Fact;
use crate::model::facts::NetworkConfigurator;

/// Where a daemon that runs keeps its state.
const DAEMONS: [(&str, NetworkConfigurator); 2] = [
    ("run/NetworkManager", NetworkConfigurator::NetworkManager),
    ("run/systemd/netif/links", NetworkConfigurator::Networkd),
];
/// netplan's files.
const NETPLAN: &str = "etc/netplan";
/// The file of ifupdown, the folder beside it, and the program that only
/// ifupdown2 has.
const INTERFACES: &str = "etc/network/interfaces";
const FOLDER: &str = "/etc/network/interfaces.d";
const IFRELOAD: [&str; 2] = ["usr/sbin/ifreload", "sbin/ifreload"];

/// Looks for what each of them leaves. Several may be there.
pub(super) fn read(root: &Root) -> Fact<Vec<NetworkConfigurator>> {
    if !root.is_complete() {
        return Fact::unknown("the tree need not hold what configures it");
    }
    let there = DAEMONS.iter().filter(|(path, _)| root.exists(path));
    let mut all: Vec<_> = there.map(|(_, which)| *which).collect();
    let plans = root.list(NETPLAN).unwrap_or_default();
    if plans.iter().any(|name| name.ends_with(".yaml")) {
        // What it writes is read by one of the others.
        all = vec![NetworkConfigurator::Netplan];
    }
    // Other lines may hold a password.
    let sources = |line: &str| line.trim_start().starts_with("source");
    if let Ok(lines) = root.lines(INTERFACES, sources) {
        let second = IFRELOAD.iter().any(|path| root.exists(path));
        let reads = lines.iter().any(|line| line.contains(FOLDER));
        all.push(match second && reads {
            true => NetworkConfigurator::Ifupdown2,
            false => NetworkConfigurator::Ifupdown,
        });
    }
    all.sort_unstable();
    Fact::known(all, "/run, /etc/netplan, /etc/network")
}
