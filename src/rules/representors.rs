//! Puts what stands for virtual functions at a bridge of the host.
//!
//! In switchdev mode each function has an end in the card's switch, which is
//! an interface of the host: its representor. A function reaches nobody until
//! that is at a bridge. The interfaces get names that stay; who puts them at
//! the bridge is who configures the host's network.

use super::nic::{self, Card};
use super::sriov_vfs::changed;
use super::{Edit, Evaluate, Group, HostContext, Rule, Verdict, filled};
use crate::base::{InterfaceName, PortName, SwitchId};
use crate::model::facts::{BridgeKind, EswitchMode, NetworkConfigurator};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "representors",
    group: Group::Network,
    why: "In switchdev mode a function reaches nobody until its representor \
          is at a bridge.",
    hurts: "Who is at the bridge is on the same network as the VM. Names are \
            new: what goes by the old ones goes by nothing.",
    folklore: "Guides rename all ports of the switch but p0, p1, …, and so \
               what stands for subfunctions and other hosts too, by a switch \
               id that was pasted from another machine. The name that udev \
               would give (enp129s0f0npf0vf0) is longer than the 15 \
               characters that an interface can have.",
    sources: &[
        "the kernel's Documentation/networking/representors.rst: \
         phys_switch_id and phys_port_name",
        "systemd.network(5): Bridge=, [Match] Name=",
        "openvswitch, debian/openvswitch-switch.README.Debian: ovs_type \
         OVSPort",
    ],
    level: Level::Plan,
    owns: &[INTERFACES, NETWORKD, UDEV],
    evaluate: Evaluate::Host(evaluate),
};

const INTERFACES: &str = "/etc/network/interfaces.d/vmtune-representors";
const NETWORKD: &str = "/etc/systemd/network/60-vmtune-representors.network";
const UDEV: &str = "/etc/udev/rules.d/70-vmtune-representors.rules";

const OF_INTERFACES: &str =
    include_str!("../../templates/host/representors.interfaces");
const OF_NETWORKD: &str =
    include_str!("../../templates/host/representors.network");
const OF_UDEV: &str = include_str!("../../templates/host/representors.rules");

/// Why a file is written.
const BECAUSE: &str = "a function reaches nobody until its end in the card's \
                       switch is at a bridge";

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let policy = &cx.policy.nic;
    let count = policy.count.unwrap_or(0);
    let named = !policy.functions.is_empty() && count > 0;
    let Some(bridge) = policy.bridge.as_ref().filter(|_| named) else {
        return cx.without(RULE.owns, "the policy names no bridge");
    };
    if policy.mode != Some(EswitchMode::Switchdev) {
        return Verdict::Advise(vec![format!(
            "functions are at the bridge {bridge} only in switchdev mode: set \
             [nic] mode = \"switchdev\""
        )]);
    }
    let Some(cards) = nic::steps(cx) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    let unknown = |fact, why: Option<&str>| Verdict::Unknown {
        fact,
        why: why.unwrap_or_default().to_owned(),
    };
    let bridges = &cx.facts.bridges;
    let Some(known) = bridges.value() else {
        return unknown("bridges", bridges.reason());
    };
    let Some(kind) = known.get(bridge) else {
        return Verdict::Advise(vec![no_such(bridge, known.keys())]);
    };
    let configurators = &cx.facts.services.network;
    let Some(by) = configurators.value() else {
        return unknown("what configures the network", configurators.reason());
    };
    let mut ends = Vec::new();
    for card in &cards {
        match End::of(card) {
            Ok(end) => ends.push(end),
            Err(why) => {
                return unknown("the id of a switch", Some(&why));
            }
        }
    }
    let plan = Plan { bridge, ends: &ends, count, mtu: policy.mtu };
    let rules: Vec<_> = ends.iter().map(End::udev).collect();
    let render = |lines: &str| filled(OF_UDEV, &[("lines", lines)]);
    let mut edits = vec![nic::file(UDEV, &rules, render, BECAUSE)];
    let mut advice = others(cx);
    match (kind, by.as_slice()) {
        (BridgeKind::Kernel, [NetworkConfigurator::Networkd]) => {
            edits.push(plan.networkd());
        }
        (BridgeKind::OpenVswitch, [NetworkConfigurator::Ifupdown2]) => {
            edits.push(plan.interfaces());
        }
        (kind, by) => advice.push(plan.by_hand(*kind, by)),
    }
    Verdict::of(
        changed(cx, edits),
        advice,
        "the functions are put at their bridge",
    )
}

/// What stands for the functions of a card: which switch, which names.
struct End {
    switch: SwitchId,
    /// The physical function's number in names of ports.
    physical: u16,
    /// What names begin with.
    prefix: String,
}

impl End {
    fn of(card: &Card<'_>) -> Result<Self, String> {
        let told = card.uplink.switch_id.value().and_then(Option::as_ref);
        let derived = &card.uplink.derived_switch_id;
        let switch = told.or(derived.value()).cloned();
        let why = || derived.reason().unwrap_or_default().to_owned();
        let at = card.nic.function;
        if at.segment() != 0 {
            return Err(format!("{at} is in a segment of its own"));
        }
        let own = card.nic.representors.iter().map(|end| end.port);
        let physical = own.into_iter().find_map(|port| match port {
            PortName::Function { physical, .. } => Some(physical),
            PortName::Physical { .. } => None,
        });
        Ok(Self {
            switch: switch.ok_or_else(why)?,
            physical: physical.unwrap_or_else(|| at.function().into()),
            prefix: format!("r{:02x}s{:x}", at.bus(), at.slot()),
        })
    }

    /// The rule for udev that gives the names.
    fn udev(&self) -> String {
        let Self { switch, physical, prefix } = self;
        format!(
            "SUBSYSTEM==\"net\", ACTION==\"add\", \
             ATTR{{phys_switch_id}}==\"{switch}\", \
             ATTR{{phys_port_name}}==\"pf{physical}vf[0-9]*\", \
             NAME=\"{prefix}$attr{{phys_port_name}}\""
        )
    }

    /// The name of what stands for a function.
    fn name(&self, n: u16) -> String {
        format!("{}pf{}vf{n}", self.prefix, self.physical)
    }

    /// A pattern for all of them.
    fn pattern(&self) -> String {
        format!("{}pf{}vf*", self.prefix, self.physical)
    }
}

/// What shall be at which bridge.
struct Plan<'a> {
    bridge: &'a InterfaceName,
    ends: &'a [End],
    count: u16,
    mtu: Option<u32>,
}

impl Plan<'_> {
    fn names(&self) -> impl Iterator<Item = String> {
        let of = |end| (0..self.count).map(move |n| End::name(end, n));
        self.ends.iter().flat_map(of)
    }

    fn networkd(&self) -> Edit {
        let mtu = self.mtu.map(|mtu| format!("MTUBytes={mtu}\n"));
        let mtu = mtu.unwrap_or_default();
        let bridge = self.bridge.to_string();
        let render = |names: &str| {
            let names = names.replace('\n', " ");
            let values = [("names", &*names), ("mtu", &mtu)];
            filled(OF_NETWORKD, &[&values[..], &[("bridge", &bridge)]].concat())
        };
        let names: Vec<_> = self.ends.iter().map(End::pattern).collect();
        nic::file(NETWORKD, &names, render, BECAUSE)
    }

    fn interfaces(&self) -> Edit {
        let mtu = self.mtu.map(|mtu| format!("\n    ovs_mtu {mtu}"));
        let mtu = mtu.unwrap_or_default();
        let stanza = |name: String| {
            format!(
                "\nauto {name}\niface {name} inet manual\n    \
                 ovs_type OVSPort\n    ovs_bridge {}{mtu}",
                self.bridge
            )
        };
        let stanzas: Vec<_> = self.names().map(stanza).collect();
        let render = |all: &str| filled(OF_INTERFACES, &[("stanzas", all)]);
        nic::file(INTERFACES, &stanzas, render, BECAUSE)
    }

    /// Says what to do where vmtune has no file for it.
    fn by_hand(&self, kind: BridgeKind, by: &[NetworkConfigurator]) -> String {
        let names: Vec<_> = self.names().collect();
        let (bridge, all) = (self.bridge, names.join(" "));
        let how = match (kind, by) {
            (BridgeKind::OpenVswitch, _) => format!(
                "for each, ovs-vsctl --may-exist add-port {bridge} NAME once: \
                 the database keeps it"
            ),
            (_, [NetworkConfigurator::Netplan]) => format!(
                "in netplan's files name each below ethernets, and in \
                 `interfaces` of {bridge}"
            ),
            (_, [NetworkConfigurator::NetworkManager]) => format!(
                "for each, nmcli connection add type bridge-slave ifname NAME \
                 master {bridge}"
            ),
            (
                _,
                [
                    NetworkConfigurator::Ifupdown
                    | NetworkConfigurator::Ifupdown2,
                ],
            ) => format!("add them to bridge-ports of {bridge}"),
            _ => format!(
                "for each, ip link set dev NAME master {bridge} after each \
                 boot: not one program configures this network alone"
            ),
        };
        let mtu = self.mtu.map(|mtu| format!("; their MTU is {mtu}"));
        let mtu = mtu.unwrap_or_default();
        format!("put {all} at {bridge}: {how}{mtu}")
    }
}

/// Names rules for udev that give names to representors as well.
fn others(cx: &HostContext<'_>) -> Vec<String> {
    let lines = cx.facts.services.lines_of_others.value();
    let names = |line: &String| {
        line.contains("phys_port_name") && line.contains(" NAME=")
    };
    let files = lines.into_iter().flatten();
    let files = files.filter(|(_, lines)| lines.iter().any(names));
    let said = files.map(|(file, _)| {
        format!(
            "{file} gives names to representors as well: take these lines \
             away, for the last one wins"
        )
    });
    said.collect()
}

fn no_such<'a>(
    bridge: &InterfaceName,
    known: impl Iterator<Item = &'a InterfaceName>,
) -> String {
    let known: Vec<_> = known.map(ToString::to_string).collect();
    let known = match known.is_empty() {
        true => "it has none".to_owned(),
        false => format!("it has {}", known.join(", ")),
    };
    format!("[nic] bridge is {bridge}, and the host has no such; {known}")
}

#[cfg(test)]
mod tests {
    use NetworkConfigurator::{
        Ifupdown, Ifupdown2, Netplan, NetworkManager, Networkd,
    };

    use super::*;
    use crate::model::Fact;
    use crate::rules::host_fixture::HostCase;
    use crate::rules::nic_fixture::{case, nic};

    const NIC: &str = "functions = ['0000:81:00.0', '0000:81:00.1']\n\
                       count = 2\nmode = 'switchdev'\nbridge = 'br0'";

    fn on(
        kind: BridgeKind,
        by: &[NetworkConfigurator],
        policy: &str,
    ) -> HostCase {
        let mut case = case(policy);
        let bridge = [("br0".parse().unwrap(), kind)];
        case.facts.bridges = Fact::known(bridge.into(), "made up");
        case.facts.services.network = Fact::known(by.to_vec(), "made up");
        case
    }

    #[test]
    fn names_stay_and_networkd_has_the_bridge() {
        let policy = format!("{NIC}\nmtu = 9000");
        let mut case = on(BridgeKind::Kernel, &[Networkd], &policy);
        let [names, network] = &case.edits(&RULE)[..] else { panic!() };
        let line = |n: u8| {
            format!(
                "SUBSYSTEM==\"net\", ACTION==\"add\", \
                 ATTR{{phys_switch_id}}==\"3264160003bd70c4\", \
                 ATTR{{phys_port_name}}==\"pf{n}vf[0-9]*\", \
                 NAME=\"r81s0$attr{{phys_port_name}}\""
            )
        };
        assert_eq!(*names, format!("{UDEV} = {}|{}", line(0), line(1)));
        assert_eq!(
            *network,
            format!(
                "{NETWORKD} = [Match]|Name=r81s0pf0vf* r81s0pf1vf*||[Link]|\
                 RequiredForOnline=no|MTUBytes=9000||[Network]|Bridge=br0|\
                 LinkLocalAddressing=no"
            )
        );
        case.settle(&RULE);
        // What the policy no longer names is taken away.
        case.policy.nic.bridge = None;
        let removed =
            [format!("{NETWORKD} removed"), format!("{UDEV} removed")];
        assert_eq!(case.edits(&RULE), removed);
    }

    #[test]
    fn ifupdown2_gives_them_to_open_vswitch() {
        let kind = BridgeKind::OpenVswitch;
        let policy = NIC.replace("count = 2", "count = 1\nmtu = 4200");
        let mut case = on(kind, &[Ifupdown2], &policy);
        let edits = case.edits(&RULE);
        let stanza = |name: &str| {
            format!(
                "|auto {name}|iface {name} inet manual|    ovs_type OVSPort|\
                 \x20   ovs_bridge br0|    ovs_mtu 4200"
            )
        };
        let (first, second) = (stanza("r81s0pf0vf0"), stanza("r81s0pf1vf0"));
        assert_eq!(edits[1], format!("{INTERFACES} = {first}|{second}"));
        case.settle(&RULE);
    }

    #[test]
    fn where_vmtune_has_no_file_it_says_what_to_do() {
        use BridgeKind::{Kernel, OpenVswitch};
        for (kind, by, said) in [
            (OpenVswitch, &[Networkd][..], "add-port br0 NAME once"),
            (Kernel, &[Netplan], "`interfaces` of br0"),
            (Kernel, &[NetworkManager], "type bridge-slave ifname NAME"),
            (Kernel, &[Ifupdown], "bridge-ports of br0"),
            (Kernel, &[Ifupdown2], "bridge-ports of br0"),
            (Kernel, &[], "not one program"),
            (Kernel, &[NetworkManager, Networkd], "not one program"),
        ] {
            let case = on(kind, by, NIC);
            let text = case.advice(&RULE).remove(0);
            let all = "put r81s0pf0vf0 r81s0pf0vf1 r81s0pf1vf0 r81s0pf1vf1 at \
                       br0: ";
            assert!(text.starts_with(all), "{text}");
            assert!(text.contains(said), "{text}");
            // The names stay all the same.
            assert_eq!(case.edits(&RULE).len(), 1, "{by:?}");
        }
    }

    #[test]
    fn a_name_is_short_enough_for_an_interface() {
        let mut case = on(BridgeKind::Kernel, &[Networkd], NIC);
        nic(&mut case, 0, |nic| {
            nic.function = "0000:ff:1f.7".parse().unwrap();
        });
        let cards = &case.facts.nics.value().unwrap()[0];
        let uplink = cards.uplink.value().unwrap();
        let card = Card { nic: cards, uplink, sriov: None };
        let name = End::of(&card).unwrap().name(255);
        assert_eq!(name, "rffs1fpf0vf255");
        assert!(name.parse::<InterfaceName>().is_ok());
    }

    #[test]
    fn what_is_in_the_way_is_said() {
        let legacy = NIC.replace("switchdev", "legacy");
        let case = on(BridgeKind::Kernel, &[Networkd], &legacy);
        assert!(case.advice(&RULE)[0].contains("only in switchdev mode"));
        let other = NIC.replace("br0", "br7");
        let case = on(BridgeKind::Kernel, &[Networkd], &other);
        let said = "[nic] bridge is br7, and the host has no such; it has br0";
        assert_eq!(case.advice(&RULE), [said]);
        let mut case = on(BridgeKind::Kernel, &[Networkd], NIC);
        let file = "/etc/udev/rules.d/70-persistent-net-vf.rules";
        case.other(file, "ATTR{phys_port_name}!=\"p[0-9]*\", NAME=\"x\"");
        let said = case.advice(&RULE).remove(0);
        assert!(said.starts_with(&format!("{file} gives names")), "{said}");
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let mut case = on(BridgeKind::Kernel, &[Networkd], NIC);
        nic(&mut case, 0, |nic| {
            if let Fact::Known { value, .. } = &mut nic.uplink {
                value.switch_id = Fact::unknown("not read");
                value.derived_switch_id = Fact::unknown("another driver");
            }
        });
        assert_eq!(case.unknown(&RULE), Some("the id of a switch"));
        case.facts.services.network = Fact::unknown("not read");
        let fact = "what configures the network";
        assert_eq!(case.unknown(&RULE), Some(fact));
        case.facts.bridges = Fact::unknown("not read");
        assert_eq!(case.unknown(&RULE), Some("bridges"));
    }
}
