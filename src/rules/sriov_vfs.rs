//! Makes virtual functions of network cards, at each boot and before the
//! network is configured.
//!
//! A VM with a function of its own passes the host by. Functions are gone
//! after a boot; a unit of systemd makes them again, and rules beside this one
//! add the steps that belong to them.

use super::nic::{self, Card, UNIT};
use super::{
    AFTER_BOOT, Edit, Evaluate, Group, HostContext, Rule, Verdict, filled,
};
use crate::base::PciAddress;
use crate::model::domain::Domain;
use crate::model::facts::{Facts, PciFunction};
use crate::model::policy::{Level, Policy};
use crate::model::{Fact, NicSetting, Target};

/// The rule.
pub const RULE: Rule = Rule {
    id: "sriov-vfs",
    group: Group::Network,
    why: "A VM with a virtual function of a network card reaches the wire \
          without the host.",
    hurts: "The host cannot filter, count or migrate what goes past it. The \
            unit needs systemd 251 or later; it waits a minute for a card \
            that is not there, and a step that fails leaves the functions \
            without a driver.",
    folklore: "Guides make functions by a udev rule on the card's interface. \
               Such rules run beside each other and beside the network's \
               configuration, a match on DRIVERS holds only once the driver \
               is bound, and nothing waits until all functions are there. \
               Some paste the id of another card's switch into the rule, \
               which then never matches.",
    sources: &[
        "the kernel's Documentation/PCI/pci-iov-howto.rst and \
         Documentation/ABI/testing/sysfs-bus-pci (sriov_numvfs, \
         sriov_drivers_autoprobe)",
        "systemd.special(7), on network-pre.target",
        "k8snetworkplumbingwg/sriov-network-operator, issue 1015: the switch \
         of a ConnectX-6 Lx refuses its mode while functions come up",
    ],
    level: Level::Plan,
    owns: &[
        "/etc/systemd/system/multi-user.target.d/90-vmtune.conf",
        "/etc/systemd/system/vmtune-nic.service",
        "/etc/systemd/system/vmtune-nic.service.d/10-create.conf",
        "/etc/systemd/system/vmtune-nic.service.d/50-bind.conf",
        "/etc/vmtune/nic-bind.conf",
        "/etc/vmtune/nic-create.conf",
    ],
    evaluate: Evaluate::Host(evaluate),
};

const SERVICE: &str = include_str!("../../templates/host/nic.service");
const VALUES: &str = include_str!("../../templates/host/nic-values.conf");
const WANTS: &str = include_str!("../../templates/host/wants.conf");

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    if cx.policy.nic.functions.is_empty() {
        let why = "the policy names no network card";
        return cx.without(RULE.owns, why);
    }
    let cards = match admitted(cx) {
        Ok(cards) => cards,
        Err(verdict) => return verdict,
    };
    let count = cx.policy.nic.count.unwrap_or(0);
    let edits = changed(cx, edits(&cards, count));
    let mut advice = nic::rivals(cx);
    if !edits.is_empty() && may_start(cx, &cards, count) {
        advice.push(format!(
            "to have the functions before the host boots: systemctl start \
             {UNIT}"
        ));
    }
    Verdict::of(edits, advice, "vmtune's own unit makes the functions")
}

/// Returns the virtual functions that the unit will make, those that there
/// are already left out. They are what their card is, and where it is;
/// `domains` are all VMs.
#[must_use]
pub fn to_come(
    facts: &Facts,
    policy: &Policy,
    domains: &[&Domain],
) -> Vec<PciFunction> {
    let Some(count) = policy.nic.count.filter(|_| policy.plans(RULE.id)) else {
        return Vec::new();
    };
    let cards = admit(facts, policy, domains).unwrap_or_default();
    let known = facts.pci.value().map_or(&[][..], Vec::as_slice);
    let of_card = |card: &Card<'_>| -> Vec<PciFunction> {
        let at = card.nic.function;
        let Some(physical) = known.iter().find(|f| f.address == at) else {
            return Vec::new();
        };
        let made = card.sriov.map_or(&[][..], |sriov| &sriov.virtfns);
        let all = nic::addresses(card, count).unwrap_or_default().iter();
        let new = all.filter(|address| !made.contains(address));
        new.map(|address| to_be(physical, *address)).collect()
    };
    cards.iter().flat_map(of_card).collect()
}

/// Describes a function that is not there yet.
fn to_be(physical: &PciFunction, address: PciAddress) -> PciFunction {
    const WHY: &str = "it is made when the host boots";
    PciFunction {
        address,
        id: Fact::unknown(WHY),
        class: physical.class,
        nodes: physical.nodes.clone(),
        driver: Fact::unknown(WHY),
        iommu_group: Fact::unknown(WHY),
        physfn: Some(physical.address),
        sriov: None,
        interfaces: Vec::new(),
    }
}

/// Returns the cards that the policy names, where they can have as many
/// functions as it wants; else what there is to say.
pub(super) fn admitted<'a>(
    cx: &HostContext<'a>,
) -> Result<Vec<Card<'a>>, Verdict> {
    let planned = cx.vms.iter().map(|vm| vm.domain);
    let all = planned.chain(cx.neighbours.iter().copied());
    admit(cx.facts, cx.policy, &all.collect::<Vec<_>>())
}

fn admit<'a>(
    facts: &'a Facts,
    policy: &Policy,
    domains: &[&Domain],
) -> Result<Vec<Card<'a>>, Verdict> {
    let cards = nic::cards(facts, policy)?;
    let Some(count) = policy.nic.count else { return Ok(cards) };
    let mut wrong = Vec::new();
    for card in &cards {
        let function = card.nic.function;
        let Some(sriov) = card.sriov else {
            wrong.push(format!(
                "{function} can have no virtual functions; sriov-firmware says \
                 what to switch on"
            ));
            continue;
        };
        let Some(total) = sriov.total.value() else {
            let why = sriov.total.reason().unwrap_or_default().to_owned();
            let fact = "how many functions a card can have";
            return Err(Verdict::Unknown { fact, why });
        };
        if u32::from(count) > *total {
            wrong.push(format!(
                "{function} can have {total} virtual functions and [nic] \
                 wants {count}: ask for fewer, or raise what the card allows \
                 (sriov-firmware)"
            ));
            continue;
        }
        if nic::addresses(card, count).is_none() {
            let addresses = &card.nic.virtual_addresses;
            let why = addresses.reason().unwrap_or("not all are told");
            let fact = "where the functions of a card will be";
            return Err(Verdict::Unknown { fact, why: why.to_owned() });
        }
        wrong.extend(lost(domains, card, count));
    }
    if wrong.is_empty() { Ok(cards) } else { Err(Verdict::Advise(wrong)) }
}

/// Names the VMs that have a function of a card that there will not be.
fn lost(domains: &[&Domain], card: &Card<'_>, count: u16) -> Vec<String> {
    let made = card.sriov.map_or(&[][..], |sriov| &sriov.virtfns);
    let gone = made.iter().skip(usize::from(count));
    gone.flat_map(|address| {
        holders(domains, *address).map(move |vm| {
            let function = card.nic.function;
            format!(
                "{} has {address}, which there will not be when {function} \
                 has {count} virtual functions: raise [nic] count, or take \
                 it from the VM",
                vm.name
            )
        })
    })
    .collect()
}

/// Returns the VMs that have a function, each by one of its definitions.
fn holders<'a>(
    domains: &'a [&Domain],
    address: PciAddress,
) -> impl Iterator<Item = &'a Domain> {
    let all = domains.iter().copied();
    all.filter(move |domain| domain.functions().any(|own| own == address))
}

/// Returns whether the unit does no harm to a host that runs: there are no
/// functions that it would take the driver from, and no switch changes.
fn may_start(cx: &HostContext<'_>, cards: &[Card<'_>], count: u16) -> bool {
    let none = |card: &Card<'_>| {
        card.sriov.is_some_and(|sriov| sriov.virtfns.is_empty())
    };
    count > 0 && cx.policy.nic.mode.is_none() && cards.iter().all(none)
}

fn edits(cards: &[Card<'_>], count: u16) -> Vec<Edit> {
    let [wants, unit, create_step, bind_step, bind, create] = RULE.owns else {
        return Vec::new();
    };
    let interface = |card: &Card<'_>| {
        let name = &card.uplink.interface;
        format!("ExecStart=udevadm wait --timeout=60 /sys/class/net/{name}")
    };
    let waits: Vec<_> = cards.iter().map(interface).collect();
    let service = |lines: &str| filled(SERVICE, &[("lines", lines)]);
    let wanted = |units: &str| filled(WANTS, &[("units", units)]);
    let mut hold = Vec::new();
    let mut make = Vec::new();
    let mut wait = Vec::new();
    let mut release = Vec::new();
    let mut probe = Vec::new();
    let mut wake = Vec::new();
    for card in cards {
        let folder = format!("/sys/bus/pci/devices/{}", card.nic.function);
        let autoprobe = format!("w {folder}/sriov_drivers_autoprobe - - - -");
        if count == 0 {
            continue;
        }
        hold.push(format!("{autoprobe} 0"));
        let function = card.nic.function;
        make.push(NicSetting::Functions { function, count }.to_string());
        let links = (0..count).map(|n| format!(" {folder}/virtfn{n}"));
        wait.push(format!(
            "udevadm wait --timeout=120 --initialized=false{}",
            links.collect::<String>()
        ));
        release.push(format!("{autoprobe} 1"));
        let name = &card.uplink.interface;
        wake.push(format!("ip link set dev {name} up"));
        let addresses = nic::addresses(card, count).unwrap_or_default();
        let driver = |one: &PciAddress| {
            NicSetting::Driver { function: *one }.to_string()
        };
        probe.extend(addresses.iter().map(driver));
    }
    hold.extend(make);
    release.extend(probe);
    let run = |file: &str| format!("systemd-tmpfiles --create {file}");
    let values = |what: &'static str| {
        move |lines: &str| filled(VALUES, &[("what", what), ("lines", lines)])
    };
    let mut creates = Vec::new();
    let mut binds = Vec::new();
    if count > 0 {
        creates.push(run(create));
        creates.extend(wait);
        binds.extend(wake);
        binds.push(run(bind));
    }
    let names: Vec<_> =
        cards.iter().map(|c| c.nic.function.to_string()).collect();
    let because = match count {
        0 => format!("what is set of {} is set again", names.join(", ")),
        _ => format!(
            "{} shall have {count} virtual functions each, which a boot \
             takes away",
            names.join(", ")
        ),
    };
    let held = "functions come without drivers, so that what is set of each \
                is set before its driver looks";
    let bound = "drivers are bound last, when all is set and the wire is up: \
                 some ask the physical function, which must answer";
    vec![
        nic::file(unit, &waits, service, &because),
        nic::file(create, &hold, values("functions to make."), held),
        nic::step(create_step, &creates, held),
        nic::file(bind, &release, values("drivers to bind."), bound),
        nic::step(bind_step, &binds, bound),
        nic::file(wants, &[UNIT.to_owned()], wanted, AFTER_BOOT),
    ]
}

/// Leaves out what stands there already.
pub(super) fn changed(cx: &HostContext<'_>, edits: Vec<Edit>) -> Vec<Edit> {
    let differs = |edit: &Edit| match &edit.target {
        Target::File(path) => cx.setting(path) != edit.to.as_deref(),
        _ => true,
    };
    edits.into_iter().filter(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::DomainName;
    use crate::model::Fact;
    use crate::rules::host_fixture::HostCase;
    use crate::rules::nic_fixture::{case, nic};

    fn text(case: &HostCase, path: &str) -> String {
        let edits = case.edits(&RULE);
        let found = edits.iter().find(|edit| edit.starts_with(path));
        found.cloned().unwrap_or_default()
    }

    #[test]
    fn functions_are_made_at_each_boot() {
        let mut case = case("functions = ['0000:81:00.0']\ncount = 2");
        assert!(text(&case, RULE.owns[1]).ends_with(
            "|ExecStart=udevadm wait --timeout=60 /sys/class/net/enp129s0f0np0"
        ));
        assert!(
            text(&case, RULE.owns[0]).ends_with("Wants=vmtune-nic.service")
        );
        let folder = "/sys/bus/pci/devices/0000:81:00.0";
        assert_eq!(
            text(&case, RULE.owns[5]),
            format!(
                "/etc/vmtune/nic-create.conf = \
                 w {folder}/sriov_drivers_autoprobe - - - - 0|\
                 w {folder}/sriov_numvfs - - - - 2"
            )
        );
        assert_eq!(
            text(&case, RULE.owns[4]),
            format!(
                "/etc/vmtune/nic-bind.conf = \
                 w {folder}/sriov_drivers_autoprobe - - - - 1|\
                 w+ /sys/bus/pci/drivers_probe - - - - 0000:81:00.2|\
                 w+ /sys/bus/pci/drivers_probe - - - - 0000:81:00.3"
            )
        );
        case.settle(&RULE);
        assert!(case.satisfied(&RULE));
        // What the policy no longer names is taken away.
        case.policy.nic.functions.clear();
        assert_eq!(case.edits(&RULE).len(), RULE.owns.len());
        assert!(case.edits(&RULE).iter().all(|e| e.ends_with(" removed")));
    }

    #[test]
    fn without_functions_to_make_the_unit_only_waits() {
        let case = case("functions = ['enp129s0f0np0']\nmtu = 9000");
        let edits = case.edits(&RULE);
        assert_eq!(edits.len(), 2, "{edits:?}");
    }

    #[test]
    fn a_host_may_have_them_at_once_where_nothing_is_in_the_way() {
        let mut busy = case("functions = ['0000:81:00.0']\ncount = 4");
        assert_eq!(busy.advice(&RULE), [""; 0], "there are functions");
        busy = case("functions = ['0000:81:00.1']\ncount = 4");
        assert!(busy.advice(&RULE)[0].contains("systemctl start vmtune-nic"));
    }

    #[test]
    fn what_cannot_be_is_said_and_not_planned() {
        for (policy, said) in [
            ("functions = ['0000:99:00.0']\ncount = 1", "[nic] names 0000:99"),
            ("functions = ['eth7']\ncount = 1", "it has 0000:81:00.0 (enp1"),
            ("functions = ['0000:81:00.0']\ncount = 9", "(sriov-firmware)"),
        ] {
            let case = case(policy);
            assert_eq!(case.edits(&RULE), [""; 0], "{policy}");
            let advice = case.advice(&RULE).join("\n");
            assert!(advice.contains(said), "{advice}");
        }
    }

    #[test]
    fn a_function_that_a_vm_has_stays() {
        let mut case = case("functions = ['0000:81:00.0']\ncount = 2");
        let device = crate::model::domain::Hostdev {
            source: "0000:81:00.5".parse().unwrap(),
            is_interface: false,
            position: 1,
            managed: true,
            mac: None,
            guest_bus: None,
        };
        case.domain.devices.hostdevs.push(device);
        case.domain.name = "db".parse::<DomainName>().unwrap();
        assert_eq!(case.edits(&RULE), [""; 0]);
        let said = case.advice(&RULE).remove(0);
        assert!(said.starts_with("db has 0000:81:00.5, which there"), "{said}");
        case.policy.nic.count = Some(4);
        assert!(!case.edits(&RULE).is_empty());
    }

    /// The id is that of a card in somebody else's host.
    #[test]
    fn rules_for_udev_that_do_the_same_are_named() {
        let mut case = case("functions = ['0000:81:00.0']\ncount = 4");
        let file = "/etc/udev/rules.d/70-persistent-net-vf.rules";
        case.other(
            file,
            "ATTR{phys_switch_id}==\"52ac120003bd70c4\", \
             ATTR{device/sriov_numvfs}=\"4\"",
        );
        let [also, strange] = &case.advice(&RULE)[..] else { panic!("two") };
        assert!(also.starts_with(&format!("{file} makes functions")), "{also}");
        assert!(strange.contains("switch 52ac120003bd70c4"), "{strange}");
        assert!(strange.contains("(there is 3264160003bd70c4)"));
        case.facts.services.lines_of_others =
            Fact::known(std::collections::BTreeMap::new(), "etc");
        case.other(file, "ATTR{phys_switch_id}==\"3264160003bd70c4\"");
        assert_eq!(case.advice(&RULE), [""; 0], "its own id is no fault");
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let mut case = case("functions = ['0000:81:00.0']\ncount = 2");
        nic(&mut case, 0, |nic| {
            nic.virtual_addresses = Fact::unknown("not read");
        });
        let fact = "where the functions of a card will be";
        assert_eq!(case.unknown(&RULE), Some(fact));
        case.facts.services.programs = Fact::known(vec!["ip".into()], "bin");
        assert!(case.advice(&RULE)[0].starts_with("install devlink"));
        case.facts.services.systemd = Fact::known(false, "run");
        assert!(case.advice(&RULE)[0].contains("does not run this host"));
        case.facts.nics = Fact::unknown("not read");
        assert_eq!(case.unknown(&RULE), Some("network cards"));
    }
}
