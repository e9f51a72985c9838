//! Which port and which of its addresses to send from.
//!
//! A port has an address of each kind for each address of its interface, in
//! an order that differs from machine to machine and changes with time. So
//! the number of one means nothing, and is chosen anew for each measurement.

use std::net::{IpAddr, Ipv6Addr};

use super::fabric::{Address, Port, RdmaError};
use crate::model::facts::Gid;
use crate::model::probe::RdmaEnd;

/// The kind of address that routers understand.
const ROUTABLE: &str = "RoCE v2";

/// What a person asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The device.
    pub device: Option<String>,
    /// The place of the address.
    pub gid_index: Option<u8>,
}

/// Chooses where to send from: the address that the two sides talk by where a
/// device has it, else one of the same family.
///
/// # Errors
/// When no port will do.
pub fn choose(
    ports: &[Port],
    wish: &Wish,
    talk: IpAddr,
) -> Result<Address, RdmaError> {
    let mut best: Option<(u32, Address)> = None;
    let mut faults = Vec::new();
    for port in ports {
        let Port { device, number, .. } = port;
        if wish.device.as_ref().is_some_and(|wanted| wanted != device) {
            faults.push(format!("{device} was not asked for"));
            continue;
        }
        if !port.is_active {
            faults.push(format!("port {number} of {device} has no link"));
            continue;
        }
        let gids = match (port.gids.value(), port.gids.reason()) {
            (Some(gids), _) => gids,
            (None, why) => {
                faults.push(format!("{device}: {}", why.unwrap_or_default()));
                continue;
            }
        };
        let ranked = gids.iter().filter_map(|gid| rank(port, gid, wish, talk));
        match ranked.min_by_key(|(rank, at)| (*rank, at.end.gid_index)) {
            None => faults.push(match wish.gid_index {
                Some(index) => format!("{device} has no GID {index}"),
                None => format!(
                    "port {number} of {device} has no {ROUTABLE} address"
                ),
            }),
            Some((rank, at)) => {
                // The first of equal ones.
                if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                    best = Some((rank, at));
                }
            }
        }
    }
    match best {
        Some((_, address)) => Ok(address),
        None if ports.is_empty() => Err(RdmaError::NoDevice),
        None => Err(RdmaError::NoPort { why: faults.join("; ") }),
    }
}

/// Returns how good an address is, the best with the least number; `None`
/// where it will not do.
fn rank(
    port: &Port,
    gid: &Gid,
    wish: &Wish,
    talk: IpAddr,
) -> Option<(u32, Address)> {
    let address: Ipv6Addr = gid.address.parse().ok()?;
    let index = u8::try_from(gid.index).ok()?;
    let kind = gid.kind.value().map_or("", String::as_str);
    let wanted = match wish.gid_index {
        Some(wanted) => index == wanted,
        None => port.is_infiniband || kind == ROUTABLE,
    };
    if !wanted {
        return None;
    }
    let own = match talk {
        IpAddr::V4(talk) => talk.to_ipv6_mapped(),
        IpAddr::V6(talk) => talk,
    };
    let family = |address: &Ipv6Addr| address.to_ipv4_mapped().is_some();
    let rank = if address == own {
        0
    } else if address.is_unicast_link_local() {
        3
    } else if family(&address) == family(&own) {
        1
    } else {
        2
    };
    let end = RdmaEnd {
        device: port.device.clone(),
        port: port.number,
        gid_index: index,
        gid: address,
        kind: kind.to_owned(),
        mtu: port.mtu,
    };
    Some((rank, Address { end, lid: port.lid }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;

    fn port(device: &str, gids: &[(u32, &str, &str)]) -> Port {
        let gid = |(index, kind, address): &(u32, &str, &str)| Gid {
            index: *index,
            address: (*address).to_owned(),
            kind: Fact::known((*kind).to_owned(), "types"),
            interface: Fact::unknown("of no concern"),
        };
        Port {
            device: device.to_owned(),
            number: 1,
            is_active: true,
            is_infiniband: false,
            lid: 0,
            mtu: 1024,
            gids: Fact::known(gids.iter().map(gid).collect(), "gids"),
        }
    }

    const LOCAL: &str = "fe80:0000:0000:0000:0a00:27ff:fe00:0001";
    const OURS: &str = "0000:0000:0000:0000:0000:ffff:0a09:0001";
    const OTHER: &str = "0000:0000:0000:0000:0000:ffff:0a0a:0001";
    const WIDE: &str = "2001:0db8:0000:0000:0000:0000:0000:0001";

    fn chosen(ports: &[Port], wish: &Wish, talk: &str) -> (String, u8) {
        let address = choose(ports, wish, talk.parse().unwrap()).unwrap();
        (address.end.device, address.end.gid_index)
    }

    #[test]
    fn the_address_of_the_talk_wins_and_is_routable() {
        let ports = [
            port("a", &[(0, "RoCE v2", LOCAL), (1, "RoCE v2", OTHER)]),
            port(
                "b",
                &[
                    (0, "IB/RoCE v1", LOCAL),
                    (1, "RoCE v2", LOCAL),
                    (2, "IB/RoCE v1", OURS),
                    (3, "RoCE v2", OURS),
                    (4, "RoCE v2", WIDE),
                ],
            ),
        ];
        let any = Wish::default();
        for (talk, expected) in [
            ("10.9.0.1", ("b", 3)),
            // Neither has it: the first of the family.
            ("192.0.2.1", ("a", 1)),
            ("2001:db8::1", ("b", 4)),
            ("2001:db8::2", ("b", 4)),
        ] {
            let (device, index) = chosen(&ports, &any, talk);
            assert_eq!((device.as_str(), index), expected, "{talk}");
        }
        let wish = Wish { device: Some("a".into()), gid_index: None };
        assert_eq!(chosen(&ports, &wish, "10.9.0.1"), ("a".into(), 1));
        // A person may want what the choice would not take.
        let wish = Wish { device: Some("b".into()), gid_index: Some(2) };
        assert_eq!(chosen(&ports, &wish, "10.9.0.1"), ("b".into(), 2));
    }

    #[test]
    fn a_local_address_is_better_than_none() {
        let ports = [port("a", &[(0, "RoCE v2", LOCAL)])];
        let any = Wish::default();
        assert_eq!(chosen(&ports, &any, "10.9.0.1"), ("a".into(), 0));
    }

    #[test]
    fn what_will_not_do_is_told_of_each() {
        let mut down = port("down", &[(0, "RoCE v2", OURS)]);
        down.is_active = false;
        let mut dark = port("dark", &[]);
        dark.gids = Fact::unknown("/sys is not there");
        let old = port("old", &[(0, "IB/RoCE v1", OURS)]);
        let talk = "10.9.0.1".parse().unwrap();
        let none = choose(&[down, dark, old], &Wish::default(), talk);
        assert_eq!(
            none.unwrap_err().to_string(),
            "no RDMA port will do: port 1 of down has no link; dark: /sys is \
             not there; port 1 of old has no RoCE v2 address"
        );
        let none = choose(&[], &Wish::default(), talk).unwrap_err();
        assert_eq!(none.to_string(), "there is no RDMA device");
    }

    #[test]
    fn infiniband_has_its_own_kind() {
        let mut ib = port("ib", &[(0, "IB/RoCE v1", LOCAL)]);
        (ib.is_infiniband, ib.lid) = (true, 7);
        let any = Wish::default();
        let found = choose(&[ib], &any, "10.9.0.1".parse().unwrap()).unwrap();
        assert_eq!((found.lid, found.end.gid_index), (7, 0));
    }
}
