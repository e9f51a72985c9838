//! What the rules about network cards share: the cards that the policy
//! names, and the unit of systemd by which their functions are made.
//!
//! The unit has its steps in drop-ins, one of each rule, and systemd takes
//! them in the order of their names. That order is the only one that works:
//! functions are made without drivers; then the switch changes its mode, which
//! it refuses while a function is in use; then the MTU of the wire, which
//! those of the functions cannot exceed; then the address of each function,
//! which its driver reads once, when it is bound; and last the drivers, of
//! which some ask the physical function for the address, so that it must be
//! up.

use std::collections::BTreeSet;

use crate::base::{PciAddress, SwitchId};
use crate::model::facts::{Facts, Nic, PciFunction, Sriov, Uplink};
use crate::model::policy::{NicName, Policy};
use crate::model::{Stage, Target};
use crate::rules::{Edit, HostContext, Verdict, place, sriov_vfs};

/// The unit.
pub(super) const UNIT: &str = "vmtune-nic.service";

/// Programs that the unit starts.
const PROGRAMS: [&str; 4] = ["devlink", "ip", "systemd-tmpfiles", "udevadm"];

/// What a rule says where the unit is not planned.
pub(super) const ELSEWHERE: &str =
    "the unit for network cards is not planned, and sriov-vfs says why";

/// A physical function that the policy names, with all that is needed of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Card<'a> {
    pub(super) nic: &'a Nic,
    pub(super) uplink: &'a Uplink,
    pub(super) sriov: Option<&'a Sriov>,
}

/// Returns the cards that the policy names, or what there is to say instead.
pub(super) fn cards<'a>(
    facts: &'a Facts,
    policy: &Policy,
) -> Result<Vec<Card<'a>>, Verdict> {
    let unknown = |fact, why: Option<&str>| Verdict::Unknown {
        fact,
        why: why.unwrap_or_default().to_owned(),
    };
    let all = &facts.nics;
    let nics =
        all.value().ok_or_else(|| unknown("network cards", all.reason()))?;
    let functions = facts.pci.value().map_or(&[][..], Vec::as_slice);
    let mut cards: Vec<Card<'a>> = Vec::new();
    for name in &policy.nic.functions {
        let nic = nics
            .iter()
            .find(|nic| is_called(nic, name))
            .ok_or_else(|| Verdict::Advise(vec![no_such(name, nics)]))?;
        let uplink = nic.uplink.value().ok_or_else(|| {
            unknown("the interface of a card", nic.uplink.reason())
        })?;
        let is_it = |f: &&PciFunction| f.address == nic.function;
        let function = functions.iter().find(is_it);
        let sriov = function.and_then(|function| function.sriov.as_ref());
        if cards.iter().all(|card| card.nic.function != nic.function) {
            cards.push(Card { nic, uplink, sriov });
        }
    }
    let services = &facts.services;
    let systemd = &services.systemd;
    match systemd.value() {
        Some(true) => {}
        Some(false) => {
            let why = "functions are made by a unit of systemd, which does \
                       not run this host: make them before the network is \
                       configured, in the order that `vmtune explain \
                       sriov-vfs` gives";
            return Err(Verdict::Advise(vec![why.to_owned()]));
        }
        None => return Err(unknown("systemd", systemd.reason())),
    }
    if services.programs.value().is_none() {
        return Err(unknown("programs", services.programs.reason()));
    }
    let absent = PROGRAMS.iter().filter(|name| !services.has(name));
    let absent: Vec<_> = absent.copied().collect();
    if !absent.is_empty() {
        let text = format!(
            "install {}: the unit that makes functions starts them",
            absent.join(", ")
        );
        return Err(Verdict::Advise(vec![text]));
    }
    Ok(cards)
}

/// Returns the cards for a rule that adds a step to the unit; none where
/// there will be no unit.
pub(super) fn steps<'a>(cx: &HostContext<'a>) -> Option<Vec<Card<'a>>> {
    let planned = cx.policy.plans(sriov_vfs::RULE.id);
    planned.then(|| sriov_vfs::admitted(cx).ok()).flatten()
}

/// Says which rules for udev make functions beside the unit, and which go by
/// a switch that there is none of.
pub(super) fn rivals(cx: &HostContext<'_>) -> Vec<String> {
    const FOLDER: &str = "/etc/udev/rules.d";
    let others = cx.facts.services.lines_of_others.value();
    let rules = others.into_iter().flatten();
    let rules = rules.filter(|(file, _)| file.is_below(FOLDER));
    let nics = cx.facts.nics.value().map_or(&[][..], Vec::as_slice);
    let mut said = Vec::new();
    for (file, lines) in rules {
        let sets = |line: &&String| {
            line.contains("sriov_numvfs") || line.contains("eswitch")
        };
        if lines.iter().any(|line| sets(&line)) {
            said.push(format!(
                "{file} makes functions or changes the switch as well, at \
                 another time: take these rules away before the host boots"
            ));
        }
        let mut ids: Vec<_> = lines.iter().flat_map(|l| ids(l)).collect();
        ids.sort_unstable();
        ids.dedup();
        let strange = ids.into_iter().filter(|id| !has_switch(nics, id));
        said.extend(strange.map(|id| {
            format!(
                "{file} goes by the switch {id}, which no card of this host \
                 has{}: such a rule never holds",
                own_switches(nics)
            )
        }));
    }
    said
}

/// Returns the switches that a rule for udev goes by.
fn ids(line: &str) -> Vec<SwitchId> {
    let keys = line.split("phys_switch_id}==\"").skip(1);
    let values = keys.filter_map(|rest| rest.split('"').next());
    values.filter_map(|value| value.parse().ok()).collect()
}

fn has_switch(nics: &[Nic], id: &SwitchId) -> bool {
    nics.iter().filter_map(|nic| nic.uplink.value()).any(|uplink| {
        let told = uplink.switch_id.value().and_then(Option::as_ref);
        // A card tells no id before its switch is in use.
        told == Some(id) || uplink.derived_switch_id.is(id)
    })
}

/// Names the switches that there are, in a clause.
fn own_switches(nics: &[Nic]) -> String {
    let own = nics.iter().filter_map(|nic| {
        let uplink = nic.uplink.value()?;
        let told = uplink.switch_id.value().and_then(Option::as_ref);
        told.or(uplink.derived_switch_id.value())
    });
    let own: BTreeSet<String> = own.map(ToString::to_string).collect();
    let own: Vec<String> = own.into_iter().collect();
    match own.is_empty() {
        true => String::new(),
        false => format!(" (there is {})", own.join(", ")),
    }
}

/// Says that a program is not there that a step starts.
pub(super) fn lacks(cx: &HostContext<'_>, program: &str) -> Option<Verdict> {
    let text = format!("install {program}: a step of the unit starts it");
    let there = cx.facts.services.has(program);
    (!there).then(|| Verdict::Advise(vec![text]))
}

/// Returns whether a card is called so.
pub(super) fn is_called(nic: &Nic, name: &NicName) -> bool {
    match name {
        NicName::Address(address) => nic.function == *address,
        NicName::Interface(name) => {
            nic.uplink.value().is_some_and(|up| up.interface == *name)
        }
    }
}

fn no_such(name: &NicName, nics: &[Nic]) -> String {
    let one = |nic: &Nic| match nic.uplink.value() {
        Some(uplink) => format!("{} ({})", nic.function, uplink.interface),
        None => nic.function.to_string(),
    };
    let known: Vec<_> = nics.iter().map(one).collect();
    let known = match known.is_empty() {
        true => "it has none".to_owned(),
        false => format!("it has {}", known.join(", ")),
    };
    format!(
        "[nic] names {name}, which is no physical network function of this \
         host with an interface; {known}"
    )
}

/// Returns where the virtual functions of a card are or will be.
pub(super) fn addresses<'a>(
    card: &Card<'a>,
    count: u16,
) -> Option<&'a [PciAddress]> {
    card.nic.virtual_addresses.value()?.get(..usize::from(count))
}

/// Writes a file for the next boot, or takes it away where there is nothing
/// to say.
pub(super) fn file(
    path: &str,
    lines: &[String],
    render: impl FnOnce(&str) -> String,
    because: &str,
) -> Edit {
    let target = Target::File(place(path));
    let edit = match lines.is_empty() {
        true => Edit::remove(target, "nothing is left to be done there"),
        false => Edit::set(target, render(&lines.join("\n")), because),
    };
    edit.at(Stage::HostBoot)
}

/// Writes a step of the unit.
pub(super) fn step(path: &str, commands: &[String], because: &str) -> Edit {
    const STEP: &str = include_str!("../../../templates/host/nic-step.conf");
    let start = |command: &String| format!("ExecStart={command}");
    let lines: Vec<_> = commands.iter().map(start).collect();
    let render = |lines: &str| STEP.replace("{{ lines }}", lines);
    file(path, &lines, render, because)
}
