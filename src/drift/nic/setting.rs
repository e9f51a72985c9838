//! One setting of the unit against the card.

use super::{PlannedSetting, Sight};
use crate::base::{InterfaceName, PciAddress};
use crate::drift::Finding;
use crate::model::facts::{Identity, Network, Nic, PciFunction, Uplink};
use crate::model::{Fact, NicSetting};

/// Compares a setting with the card.
pub(super) fn finding(planned: &PlannedSetting, seen: &Network) -> Finding {
    let (what, wanted, sight) = match &planned.setting {
        NicSetting::Functions { function, count } => (
            format!("virtual functions of {function}"),
            count.to_string(),
            functions(seen, *function, *count),
        ),
        NicSetting::Driver { function } => (
            format!("driver of {function}"),
            "bound".to_owned(),
            driver(seen, *function),
        ),
        NicSetting::Mode { function, mode } => (
            format!("switch of {function}"),
            mode.to_string(),
            of_card(
                seen,
                *function,
                |nic| &nic.eswitch,
                |found| Sight::of(found, mode, ToString::to_string),
            ),
        ),
        NicSetting::Mtu { interface, mtu } => (
            format!("MTU of {interface}"),
            mtu.to_string(),
            of_wire(
                seen,
                interface,
                |wire| &wire.mtu,
                |found| Sight::of(found, mtu, ToString::to_string),
            ),
        ),
        NicSetting::Identity { interface, identity } => (
            format!("virtual function {} of {interface}", identity.vf),
            spelled(identity, identity),
            self::identity(seen, interface, identity),
        ),
        NicSetting::Rings { interface, size } => (
            format!("ring buffers of {interface}"),
            size.to_string(),
            of_wire(
                seen,
                interface,
                |wire| &wire.rings,
                |found| {
                    let both = (found.rx, found.tx);
                    let spell = |_: &_| format!("rx {}, tx {}", both.0, both.1);
                    Sight::of(&both, &(*size, *size), spell)
                },
            ),
        ),
        NicSetting::Lossless { interface, priority } => (
            format!("lossless priorities of {interface}"),
            priority.to_string(),
            of_wire(
                seen,
                interface,
                |wire| &wire.pause,
                |found| Sight::of(found, &vec![*priority], |found| list(found)),
            ),
        ),
        NicSetting::Dscp { interface, dscp, priority } => (
            format!("priority of DSCP {dscp} at {interface}"),
            priority.to_string(),
            of_wire(
                seen,
                interface,
                |wire| &wire.dscp_priorities,
                |found| {
                    Sight::of(&found.get(dscp), &Some(priority), |found| {
                        found.map_or("none".to_owned(), ToString::to_string)
                    })
                },
            ),
        ),
        NicSetting::ReadRequest { function, size } => (
            format!("reads of {function}"),
            format!("{size} bytes"),
            of_card(
                seen,
                *function,
                |nic| &nic.pcie.max_read_request,
                |found| {
                    Sight::of(found, size, |found| format!("{found} bytes"))
                },
            ),
        ),
    };
    sight.finding(what, wanted, planned.booted)
}

fn list(priorities: &[u8]) -> String {
    let all: Vec<_> = priorities.iter().map(ToString::to_string).collect();
    match all.is_empty() {
        true => "none".to_owned(),
        false => all.join(", "),
    }
}

/// Looks at a fact of a card.
fn of_card<T>(
    seen: &Network,
    function: PciAddress,
    fact: impl Fn(&Nic) -> &Fact<T>,
    compare: impl FnOnce(&T) -> Sight,
) -> Sight {
    known(&seen.nics, |nics| {
        let nic = nics.iter().find(|nic| nic.function == function);
        nic.map_or_else(gone, |nic| known(fact(nic), compare))
    })
}

/// Looks at a fact of the interface of a wire.
fn of_wire<T>(
    seen: &Network,
    name: &InterfaceName,
    fact: impl Fn(&Uplink) -> &Fact<T>,
    compare: impl FnOnce(&T) -> Sight,
) -> Sight {
    known(&seen.nics, |nics| {
        let mut wires = nics.iter().filter_map(|nic| nic.uplink.value());
        let wire = wires.find(|wire| wire.interface == *name);
        wire.map_or_else(gone, |wire| known(fact(wire), compare))
    })
}

fn gone() -> Sight {
    Sight::Otherwise("not there".to_owned())
}

fn known<T>(fact: &Fact<T>, compare: impl FnOnce(&T) -> Sight) -> Sight {
    match fact {
        Fact::Known { value, .. } => compare(value),
        Fact::Unknown { unknown } => Sight::Unknown(unknown.clone()),
    }
}

fn functions(seen: &Network, function: PciAddress, count: u16) -> Sight {
    known(&seen.pci, |all| {
        let own = function_at(all, function);
        own.map_or_else(gone, |own| {
            let made =
                own.sriov.as_ref().map_or(0, |sriov| sriov.virtfns.len());
            Sight::of(&made, &usize::from(count), ToString::to_string)
        })
    })
}

fn driver(seen: &Network, function: PciAddress) -> Sight {
    known(&seen.pci, |all| {
        let own = function_at(all, function);
        own.map_or_else(gone, |own| {
            known(&own.driver, |driver| match driver {
                Some(_) => Sight::AsPlanned,
                None => Sight::Otherwise("none".to_owned()),
            })
        })
    })
}

fn function_at(
    all: &[PciFunction],
    address: PciAddress,
) -> Option<&PciFunction> {
    all.iter().find(|function| function.address == address)
}

/// Looks at what a virtual function is to the network. That of a function
/// which a VM has is set by libvirt as the definition says it.
fn identity(seen: &Network, name: &InterfaceName, wanted: &Identity) -> Sight {
    known(&seen.nics, |nics| {
        let nic = nics.iter().find(|nic| {
            nic.uplink.value().is_some_and(|wire| wire.interface == *name)
        });
        nic.map_or_else(gone, |nic| {
            known(&nic.identities, |all| {
                let Some(own) = all.iter().find(|own| own.vf == wanted.vf)
                else {
                    return gone();
                };
                let found = spelled(wanted, own);
                if found == spelled(wanted, wanted) {
                    Sight::AsPlanned
                } else if is_passed_through(seen, nic, wanted.vf) {
                    Sight::Unknown(format!(
                        "a VM has it, and {found} may be what its definition \
                         says"
                    ))
                } else {
                    Sight::Otherwise(found)
                }
            })
        })
    })
}

/// Spells what `found` says of all that is `wanted`.
fn spelled(wanted: &Identity, found: &Identity) -> String {
    let mut text = format!("MAC {}", found.mac);
    let mut add = |is_wanted: bool, name: &str, value: Option<String>| {
        if is_wanted {
            let value = value.unwrap_or_else(|| "none".to_owned());
            text += &format!(", {name} {value}");
        }
    };
    let word = |on: bool| if on { "on" } else { "off" }.to_owned();
    let vlan = found.vlan.map(|vlan| vlan.to_string());
    add(wanted.vlan.is_some(), "VLAN", vlan);
    let rate = found.max_rate.map(|rate| format!("{rate} Mbit/s"));
    add(wanted.max_rate.is_some(), "rate", rate);
    let rate = found.min_rate.map(|rate| format!("{rate} Mbit/s"));
    add(wanted.min_rate.is_some(), "least rate", rate);
    let check = found.spoof_check.map(word);
    add(wanted.spoof_check.is_some(), "spoof check", check);
    add(wanted.trust.is_some(), "trust", found.trust.map(word));
    text
}

/// Returns whether a VM has a virtual function of a card.
pub(super) fn is_passed_through(seen: &Network, nic: &Nic, vf: u16) -> bool {
    let all = seen.pci.value().map_or(&[][..], Vec::as_slice);
    let own = function_at(all, nic.function);
    let made = own.and_then(|own| own.sriov.as_ref());
    let at = made.and_then(|made| made.virtfns.get(usize::from(vf)));
    let function = at.and_then(|at| function_at(all, *at));
    function.is_some_and(PciFunction::is_passed_through)
}
