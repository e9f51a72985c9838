//! Network cards on the screen: what is behind each, and what holds it back.

use anstyle::Style;

use super::count;
use super::page::{FAINT, KEY, PLAIN, Page, WARN};
use crate::model::Fact;
use crate::model::facts::{
    Facts, Gid, Identity, Master, MasterKind, Nic, PcieLink, RdmaPort,
    Representor, Rings, Uplink,
};

/// Shows the cards that have virtual functions or RDMA; with `all`, every
/// card and every fact of it.
pub(super) fn nics(page: &mut Page, facts: &Facts, all: bool) {
    let functions = facts.pci.value().map_or(&[][..], Vec::as_slice);
    let can_share = |nic: &Nic| {
        let mut own = functions.iter().filter(|f| f.address == nic.function);
        own.any(|f| f.sriov.is_some()) || !nic.rdma.is_empty()
    };
    for nic in facts.nics.value().into_iter().flatten() {
        if all || can_share(nic) {
            let mut sheet = Sheet { page, all, unknown: Vec::new() };
            sheet.nic(nic);
        }
    }
}

/// The lines about one card.
struct Sheet<'a> {
    page: &'a mut Page,
    /// Whether everything is shown, and why what is not known is not.
    all: bool,
    unknown: Vec<&'static str>,
}

impl Sheet<'_> {
    fn nic(&mut self, nic: &Nic) {
        let mut title =
            vec![(KEY, "NIC".to_owned()), (PLAIN, nic.function.to_string())];
        let uplink = nic.uplink.value();
        title.extend(uplink.map(|up| (PLAIN, up.interface.to_string())));
        let port = uplink.and_then(|uplink| uplink.port.value()?.as_ref());
        title.extend(port.map(|port| (FAINT, format!("port {port}"))));
        self.page.gap();
        self.page.flow("  ", "    ", &title);
        self.link(&nic.pcie);
        self.fact("switch", &nic.eswitch, ToString::to_string);
        match uplink {
            Some(uplink) => self.wire(uplink),
            None => self.fact("interface", &nic.uplink, |_| String::new()),
        }
        if self.all || uplink.is_some_and(Uplink::is_in_a_bond) {
            self.fact("bond", &nic.lag, |lag| match lag {
                true => "the card's own".to_owned(),
                false => "the host's alone".to_owned(),
            });
        }
        self.fact("firmware", &nic.firmware, Clone::clone);
        nic.rdma.iter().for_each(|port| self.rdma(port));
        self.identities(&nic.identities);
        self.representors(&nic.representors);
        if !self.unknown.is_empty() && !self.all {
            let what = self.unknown.join(", ");
            self.line(FAINT, format!("not known: {what} (-v says why)"));
        }
    }

    fn line(&mut self, style: Style, text: String) {
        self.page.flow("    ", "      ", &[(style, text)]);
    }

    /// Shows a fact; what is not known is named at the end.
    fn fact<T>(
        &mut self,
        what: &'static str,
        fact: &Fact<T>,
        show: impl FnOnce(&T) -> String,
    ) {
        match fact {
            Fact::Known { value, .. } => {
                self.line(PLAIN, format!("{what}: {}", show(value)));
            }
            Fact::Unknown { unknown } if self.all => {
                self.line(FAINT, format!("{what} not known: {unknown}"));
            }
            Fact::Unknown { .. } => self.unknown.push(what),
        }
    }

    /// Shows how the card hangs on the bus, and whether that holds it back.
    fn link(&mut self, pcie: &PcieLink) {
        let lanes = |speed: &Fact<String>, width: &Fact<u32>| {
            Some(format!("{} x{}", speed.value()?, width.value()?))
        };
        let now = lanes(&pcie.speed, &pcie.width);
        match (&now, lanes(&pcie.max_speed, &pcie.max_width)) {
            (Some(now), Some(most)) if *now != most => {
                let text = format!("PCIe: {now}, and could be {most}");
                self.line(WARN, text);
            }
            (Some(now), _) => self.line(PLAIN, format!("PCIe: {now}")),
            (None, _) => self.fact("PCIe", &pcie.speed, Clone::clone),
        }
        let bytes = |n: &u32| format!("{n} bytes");
        self.fact("largest packet", &pcie.max_payload, bytes);
        self.fact("largest read", &pcie.max_read_request, bytes);
    }

    fn wire(&mut self, uplink: &Uplink) {
        let (mtu, most) = (&uplink.mtu, uplink.max_mtu.value());
        let most = most.map(|most| format!(" of {most}"));
        self.fact("MTU", mtu, |mtu| {
            format!("{mtu}{}", most.unwrap_or_default())
        });
        if let Some(master) = uplink.master.value().and_then(Option::as_ref) {
            self.line(PLAIN, belongs(master));
        }
        let told = uplink.switch_id.value().and_then(Option::as_ref);
        if let Some(id) = told {
            match uplink.derived_switch_id.value() {
                Some(derived) if derived != id => {
                    let text = format!(
                        "switch id: {id}, and by its address {derived}"
                    );
                    self.line(WARN, text);
                }
                _ => self.line(PLAIN, format!("switch id: {id}")),
            }
        }
        self.fact("rings", &uplink.rings, |rings| {
            let Rings { rx, max_rx, tx, max_tx } = rings;
            format!("rx {rx} of {max_rx}, tx {tx} of {max_tx}")
        });
        self.fact("lossless priorities", &uplink.pause, |all| {
            words(all.iter().map(u8::to_string))
        });
        let pair = |(dscp, priority): (&u8, &u8)| format!("{dscp}:{priority}");
        let priorities = &uplink.dscp_priorities;
        self.fact("priorities by DSCP", priorities, |map| {
            words(map.iter().map(pair))
        });
    }

    fn rdma(&mut self, port: &RdmaPort) {
        let mut text = format!("RDMA: {} port {}", port.device, port.port);
        if let Some(layer) = port.link_layer.value() {
            text += &format!(", {layer}");
        }
        if let Some(mtu) = port.active_mtu.value() {
            text += &format!(", MTU {mtu}");
        }
        let second =
            |gid: &&Gid| gid.kind.value().is_some_and(|kind| kind == "RoCE v2");
        if let Some(gids) = port.gids.value() {
            let gids = gids.iter().filter(second);
            let gids = words(gids.map(|gid| gid.index.to_string()));
            text += &format!(", RoCE v2 at index {gids}");
        }
        self.line(PLAIN, text);
        if port.active_mtu.value().is_none() {
            self.fact("RDMA MTU", &port.active_mtu, u32::to_string);
        }
    }

    fn identities(&mut self, identities: &Fact<Vec<Identity>>) {
        match identities.value().map(Vec::as_slice) {
            Some([]) => {}
            Some(each) if self.all => {
                each.iter().for_each(|one| self.line(PLAIN, identity(one)));
            }
            Some(each) => {
                let zero = each.iter().filter(|one| one.mac.is_zero()).count();
                let text = count(each.len(), "virtual function");
                match zero {
                    0 => self.line(PLAIN, text),
                    n => {
                        let text = format!("{text}, {n} without an address");
                        self.line(WARN, text);
                    }
                }
            }
            None => {
                self.fact("virtual functions", identities, |_| String::new());
            }
        }
    }

    fn representors(&mut self, representors: &[Representor]) {
        let one = |one: &Representor| {
            let master = one.master.value().and_then(Option::as_ref);
            let master = master.map(|m| format!(" {}", belongs(m)));
            let Representor { port, interface, .. } = one;
            format!("{port} {interface}{}", master.unwrap_or_default())
        };
        if !representors.is_empty() {
            let each = words(representors.iter().map(one));
            self.line(PLAIN, format!("representors: {each}"));
        }
    }
}

/// Joins words; says so where there are none.
fn words(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn belongs(master: &Master) -> String {
    let name = &master.name;
    let mut text = match &master.kind {
        MasterKind::Bond(mode) => format!("in bond {name} ({mode})"),
        MasterKind::Bridge => format!("in bridge {name}"),
        MasterKind::Openvswitch => "in Open vSwitch".to_owned(),
        MasterKind::Other => format!("in {name}"),
    };
    match master.partner.value() {
        Some(Some(partner)) => text += &format!(", LACP with {partner}"),
        Some(None) => text += ", nobody answers by LACP",
        None => {}
    }
    if let Some(above) = &master.above {
        text += &format!(", which is in {above}");
    }
    text
}

fn identity(identity: &Identity) -> String {
    let mut parts = vec![match identity.mac.is_zero() {
        true => "no address".to_owned(),
        false => identity.mac.to_string(),
    }];
    parts.extend(identity.vlan.map(|vlan| format!("VLAN {vlan}")));
    let flag = |name: &str, is: Option<bool>| {
        is.map(|on| format!("{name} {}", if on { "on" } else { "off" }))
    };
    parts.extend(flag("trust", identity.trust));
    parts.extend(flag("spoof check", identity.spoof_check));
    let state = identity.link_state.as_ref();
    parts.extend(state.map(|state| format!("link {state}")));
    let limit = identity.max_rate.filter(|rate| *rate != 0);
    parts.extend(limit.map(|rate| format!("{rate} Mbit/s at most")));
    let promise = identity.min_rate.filter(|rate| *rate != 0);
    parts.extend(promise.map(|rate| format!("{rate} Mbit/s at least")));
    format!("VF {}: {}", identity.vf, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn facts() -> Facts {
        let text = include_str!("../../../tests/hosts/connectx-ovs.json");
        serde_json::from_str(text).unwrap()
    }

    fn page(facts: &Facts, all: bool) -> String {
        let mut page = Page::new(80);
        nics(&mut page, facts, all);
        sample::plain(&page.into_text())
    }

    fn draw(all: bool) -> String {
        let mut facts = facts();
        if let Fact::Known { value, .. } = &mut facts.nics {
            value[1].firmware = Fact::unknown("`ethtool` is not installed");
        }
        page(&facts, all)
    }

    #[test]
    fn a_card_is_shown_with_what_holds_it_back() {
        insta::assert_snapshot!(draw(false), @r"
        NIC 0000:81:00.0 enp129s0f0np0 port p0
          PCIe: 8.0 GT/s PCIe x8, and could be 16.0 GT/s PCIe x8
          largest packet: 256 bytes
          largest read: 512 bytes
          switch: switchdev
          MTU: 9000 of 9978
          in Open vSwitch
          switch id: 3264160003bd70c4
          rings: rx 1024 of 8192, tx 1024 of 8192
          lossless priorities: none
          priorities by DSCP: none
          firmware: 26.35.4030 (MT_0000000532)
          RDMA: mlx5_0 port 1, Ethernet, MTU 4096, RoCE v2 at index 1
          4 virtual functions
          representors: pf0vf0 ovs-sw1pf0vf0 in Open vSwitch, pf0vf1 ovs-sw1pf0vf1 in
            Open vSwitch, pf0vf2 ovs-sw1pf0vf2 in Open vSwitch, pf0vf3 ovs-sw1pf0vf3
            in Open vSwitch

        NIC 0000:81:00.1 enp129s0f1np1 port p1
          PCIe: 8.0 GT/s PCIe x8, and could be 16.0 GT/s PCIe x8
          largest packet: 256 bytes
          largest read: 512 bytes
          switch: switchdev
          MTU: 9000 of 9978
          in Open vSwitch
          switch id: 3264160003bd70c4
          rings: rx 1024 of 8192, tx 1024 of 8192
          lossless priorities: none
          priorities by DSCP: none
          RDMA: mlx5_1 port 1, Ethernet, MTU 4096, RoCE v2 at index 1
          not known: firmware (-v says why)
        ");
    }

    #[test]
    fn a_bond_is_shown_with_who_does_it() {
        let mut facts = facts();
        let Fact::Known { value, .. } = &mut facts.nics else { panic!() };
        let Fact::Known { value: wire, .. } = &mut value[0].uplink else {
            panic!()
        };
        let bond = |partner| Master {
            name: "bond0".to_owned(),
            kind: MasterKind::Bond("802.3ad".to_owned()),
            mtu: Fact::known(9000, "made up"),
            partner: Fact::known(partner, "made up"),
            above: None,
        };
        wire.master = Fact::known(Some(bond(None)), "made up");
        value[0].lag = Fact::known(false, "made up");
        let text = page(&facts, false);
        let line = "in bond bond0 (802.3ad), nobody answers by LACP\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("bond: the host's alone\n"), "{text}");
        assert_eq!(
            belongs(&bond("02:00:00:00:00:01".parse().ok())),
            "in bond bond0 (802.3ad), LACP with 02:00:00:00:00:01"
        );
    }

    #[test]
    fn everything_is_shown_to_who_asks() {
        let text = draw(true);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for line in [
            "VF 3: c4:70:ff:ff:ff:e3, trust off, spoof check off, link auto",
            "firmware not known: `ethtool` is not installed",
        ] {
            assert!(lines.contains(&line), "{line}\n{text}");
        }
    }
}
