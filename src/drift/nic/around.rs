//! What a card needs around it for what its unit sets to be of use: a way
//! for large packets, a bridge for its functions, a bond that it can take over.

use super::setting::is_passed_through;
use super::{PlannedSetting, Sight};
use crate::drift::Finding;
use crate::model::facts::{EswitchMode, Master, Network, Nic};
use crate::model::{Fact, NicSetting};

/// Looks around the cards that the unit sets up.
pub(super) fn findings(
    planned: &[PlannedSetting],
    seen: &Network,
) -> Vec<Finding> {
    let nics = seen.nics.value().map_or(&[][..], Vec::as_slice);
    let mut findings = Vec::new();
    let mut switches: Vec<(&Nic, bool)> = Vec::new();
    for PlannedSetting { setting, booted } in planned {
        match setting {
            NicSetting::Mtu { interface, mtu } => {
                let nic = nics.iter().find(|nic| {
                    let wire = nic.uplink.value();
                    wire.is_some_and(|wire| wire.interface == *interface)
                });
                findings.extend(
                    nic.into_iter().flat_map(|n| way(n, *mtu, *booted)),
                );
            }
            NicSetting::Mode { function, mode: EswitchMode::Switchdev } => {
                let nic = nics.iter().find(|nic| nic.function == *function);
                switches.extend(nic.map(|nic| (nic, *booted)));
            }
            _ => {}
        }
    }
    for (nic, booted) in &switches {
        findings.extend(ends(nic, seen, *booted));
    }
    findings.extend(offload(&switches, seen));
    findings.extend(bonds(&switches));
    findings
}

/// Looks at the MTU of what is between the wire, which is the unit's, and the
/// guests.
fn way(nic: &Nic, mtu: u32, booted: bool) -> impl Iterator<Item = Finding> {
    nic.way().into_iter().skip(1).map(move |(name, found)| {
        let sight = match found {
            Fact::Known { value, .. } => {
                Sight::of(value, &mtu, ToString::to_string)
            }
            Fact::Unknown { unknown } => Sight::Unknown(unknown.clone()),
        };
        sight.finding(format!("MTU of {name}"), mtu.to_string(), booted)
    })
}

/// Looks whether the functions that VMs have reach anybody: their ends in the
/// switch are at a bridge.
fn ends(
    nic: &Nic,
    seen: &Network,
    booted: bool,
) -> impl Iterator<Item = Finding> {
    let given = nic.representors.iter().filter(|end| {
        let vf = end.port.virtual_function();
        vf.is_some_and(|vf| is_passed_through(seen, nic, vf))
    });
    given.map(move |end| {
        let sight = match &end.master {
            Fact::Known { value: Some(_), .. } => Sight::AsPlanned,
            Fact::Known { value: None, .. } => {
                Sight::Otherwise("at none".to_owned())
            }
            Fact::Unknown { unknown } => Sight::Unknown(unknown.clone()),
        };
        let what = format!("representor {} ({})", end.interface, end.port);
        sight.finding(what, "at a bridge".to_owned(), booted)
    })
}

/// Looks whether Open vSwitch hands its work to the cards that are at it.
fn offload(switches: &[(&Nic, bool)], seen: &Network) -> Option<Finding> {
    let (_, booted) =
        switches.iter().find(|(nic, _)| nic.is_at_open_vswitch())?;
    let wanted = Some("true");
    let sight = match &seen.open_vswitch {
        Fact::Known { value, .. } => {
            let found = value.get("hw-offload").map(String::as_str);
            Sight::of(&found, &wanted, |found| {
                found.unwrap_or("not set").to_owned()
            })
        }
        Fact::Unknown { unknown } => Sight::Unknown(unknown.clone()),
    };
    let what = "hw-offload of Open vSwitch".to_owned();
    Some(sight.finding(what, "true".to_owned(), *booted))
}

/// Looks at bonds of the kernel that hold several ports of one card: whether
/// the card has taken them over, and whether the other end answers.
fn bonds(switches: &[(&Nic, bool)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, (one, booted)) in switches.iter().enumerate() {
        let Some(bond) = bond(one) else { continue };
        let same = |(other, _): &(&Nic, bool)| {
            other.function.is_beside(one.function)
                && self::bond(other).is_some_and(|its| its.name == bond.name)
        };
        // Each bond once, at its last port.
        if !switches[..at].iter().any(same)
            || switches[at + 1..].iter().any(same)
        {
            continue;
        }
        let sight = match &one.lag {
            Fact::Known { value, .. } => {
                Sight::of(value, &true, |_| "the host's alone".to_owned())
            }
            Fact::Unknown { unknown } => Sight::Unknown(unknown.clone()),
        };
        let name = &bond.name;
        let what = format!("bond {name}");
        let card = "the card's own (VF-LAG)".to_owned();
        findings.push(sight.finding(what, card, *booted));
        if bond.kind.has_lacp() {
            let sight = match &bond.partner {
                Fact::Known { value: Some(_), .. } => Sight::AsPlanned,
                Fact::Known { value: None, .. } => {
                    Sight::Otherwise("no partner answers".to_owned())
                }
                Fact::Unknown { unknown } => Sight::Unknown(unknown.clone()),
            };
            let what = format!("LACP of {name}");
            let agreed = "agreed with a partner".to_owned();
            findings.push(sight.finding(what, agreed, *booted));
        }
    }
    findings
}

/// Returns the bond that the wire of a card is in.
fn bond(nic: &Nic) -> Option<&Master> {
    let wire = nic.uplink.value().filter(|wire| wire.is_in_a_bond())?;
    wire.master.value()?.as_ref()
}
