//! Ports of RDMA devices, from `/sys/class/infiniband` and `ibv_devinfo`.

use std::collections::BTreeMap;

use crate::host::net::INFINIBAND;
use crate::host::{Root, text};
use crate::model::Fact;
use crate::model::facts::{Gid, RdmaPort};

/// Largest table of addresses that is looked through.
const MAX_GIDS: u32 = 1024;

/// Reads the ports of a device, sorted.
pub(super) fn ports(root: &Root, device: &str) -> Vec<RdmaPort> {
    let folder = format!("{INFINIBAND}/{device}/ports");
    let names = root.list(&folder).unwrap_or_default();
    let numbers = names.iter().filter_map(|name| text::number_after(name, ""));
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    let mtus = mtus(root, device);
    let port = |port: u32| {
        let at = format!("{folder}/{port}");
        RdmaPort {
            device: device.to_owned(),
            port,
            link_layer: root
                .fact(&format!("{at}/link_layer"), |t| Some(t.to_owned())),
            active_mtu: match &mtus {
                Fact::Known { value, origin } => value.get(&port).map_or_else(
                    || Fact::unknown(format!("{origin} does not tell")),
                    |mtu| Fact::known(*mtu, origin.0.clone()),
                ),
                Fact::Unknown { unknown } => Fact::unknown(unknown),
            },
            gids: gids(root, device, port),
        }
    };
    numbers.into_iter().map(port).collect()
}

/// Reads what the port of an RDMA device has counted since it was made: the
/// kernel's names, of `counters` and `hw_counters`.
#[must_use]
pub fn counters(
    root: &Root,
    device: &str,
    port: u32,
) -> Fact<BTreeMap<String, u64>> {
    let at = format!("{INFINIBAND}/{device}/ports/{port}");
    let mut found = BTreeMap::new();
    for folder in ["counters", "hw_counters"].map(|n| format!("{at}/{n}")) {
        for name in root.list(&folder).unwrap_or_default() {
            // Some can be set and not read, or are no numbers.
            let text = root.read(&format!("{folder}/{name}"));
            let count = text.ok().and_then(|text| text.trim().parse().ok());
            found.extend(count.map(|count| (name, count)));
        }
    }
    match found.is_empty() {
        true => Fact::unknown(format!("/{at} has no counters")),
        false => Fact::known(found, format!("/{at}")),
    }
}

/// Reads the addresses of an RDMA device's port that are taken.
#[must_use]
pub fn gids(root: &Root, device: &str, port: u32) -> Fact<Vec<Gid>> {
    let port = format!("{INFINIBAND}/{device}/ports/{port}");
    let folder = format!("{port}/gids");
    let names = match root.list(&folder) {
        Ok(names) => names,
        Err(e) => return Fact::unknown(e.reason()),
    };
    let indexes = names.iter().filter_map(|name| text::number_after(name, ""));
    let mut indexes: Vec<u32> =
        indexes.filter(|index| *index < MAX_GIDS).collect();
    indexes.sort_unstable();
    let own =
        |name: &str| root.fact(name, |t| (!t.is_empty()).then(|| t.to_owned()));
    let gid = |index: u32| {
        let address = root.read(&format!("{folder}/{index}")).ok()?;
        let address = address.trim();
        // An empty place reads as zeros, and its attributes cannot be read.
        let taken = address.bytes().any(|b| !matches!(b, b'0' | b':'));
        taken.then(|| Gid {
            index,
            address: address.to_owned(),
            kind: own(&format!("{port}/gid_attrs/types/{index}")),
            interface: own(&format!("{port}/gid_attrs/ndevs/{index}")),
        })
    };
    let gids = indexes.into_iter().filter_map(gid).collect();
    Fact::known(gids, format!("/{folder}"))
}

/// Asks for the MTU of each port; sysfs does not have it.
fn mtus(root: &Root, device: &str) -> Fact<BTreeMap<u32, u32>> {
    // Of the kernel's making, but also a word of a command.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !device.chars().all(plain) || device.starts_with('-') {
        return Fact::unknown("the device's name is none to ask by");
    }
    let matters = |line: &str| {
        let line = line.trim_start();
        line.starts_with("port:") || line.starts_with("active_mtu:")
    };
    root.ask_lines(&["ibv_devinfo", "-d", device], matters, mtus_of)
}

fn mtus_of(text: &str) -> Option<BTreeMap<u32, u32>> {
    let mut found = BTreeMap::new();
    let mut port = None;
    for line in text.lines() {
        let (key, value) = line.trim().split_once(':')?;
        let number = value.split_whitespace().next()?.parse().ok()?;
        match (key, port) {
            ("port", _) => port = Some(number),
            ("active_mtu", Some(port)) => {
                found.insert(port, number);
            }
            _ => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let at = dir.path().join(INFINIBAND).join(name);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, text).unwrap();
        }
        dir
    }

    #[test]
    fn counters_are_those_that_are_numbers() {
        let dir = tree(&[
            ("rxe0/ports/1/counters/port_xmit_data", "12\n"),
            ("rxe0/ports/1/hw_counters/rcvd_pkts", "7\n"),
            ("rxe0/ports/1/hw_counters/lifespan", "off\n"),
            ("rxe0/ports/2/state", "4: ACTIVE\n"),
        ]);
        let root = Root::tree(dir.path());
        let found = counters(&root, "rxe0", 1).value().cloned().unwrap();
        let expected = [("port_xmit_data", 12), ("rcvd_pkts", 7)];
        let expected = expected.map(|(name, n)| (name.to_owned(), n));
        assert_eq!(found, BTreeMap::from(expected));
        let none = counters(&root, "rxe0", 2);
        let why = "/sys/class/infiniband/rxe0/ports/2 has no counters";
        assert_eq!(none.reason(), Some(why));
    }

    #[test]
    fn empty_places_of_the_table_are_no_addresses() {
        let gids = "rxe0/ports/1/gids";
        let kinds = "rxe0/ports/1/gid_attrs/types";
        let local = "fe80:0000:0000:0000:0a00:27ff:fe00:0001";
        let dir = tree(&[
            (&format!("{gids}/0"), local),
            (&format!("{gids}/1"), "0000:0000:0000:0000:0000:0000:0000:0000"),
            (&format!("{gids}/10"), "0000:0000:0000:0000:0000:ffff:0a09:0001"),
            (&format!("{kinds}/10"), "RoCE v2\n"),
        ]);
        let found = super::gids(&Root::tree(dir.path()), "rxe0", 1);
        let found = found.value().unwrap();
        let indexes: Vec<u32> = found.iter().map(|gid| gid.index).collect();
        assert_eq!(indexes, [0, 10]);
        assert!(found[1].kind.is(&"RoCE v2".to_owned()));
        assert_eq!(found[0].kind.value(), None);
    }

    #[test]
    fn each_port_has_its_mtu() {
        let text = "\t\tport:\t1\n\t\t\tactive_mtu:\t\t1024 (3)\n\
                    \t\tport:\t2\n\t\t\tactive_mtu:\t\t4096 (5)\n";
        let found = mtus_of(text).unwrap();
        assert_eq!(Vec::from_iter(found), [(1, 1024), (2, 4096)]);
        assert_eq!(mtus_of("active_mtu: 1024\n"), None);
    }
}
