//! Interfaces of cards and of the switches in them, from `/sys/class/net` and
//! `ip`.

use std::io::ErrorKind::NotFound;

use serde::{Deserialize, Serialize};

use super::{port, qos};
use crate::base::{InterfaceName, MacAddress, PciAddress, PortName};
use crate::host::Root;
use crate::host::net::{self, NET};
use crate::model::Fact;
use crate::model::facts::{
    Identity, Master, MasterKind, PciFunction, Representor, Uplink,
};

/// What `ip` tells of an interface, as far as it is used.
#[derive(Deserialize, Serialize)]
struct Link {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<MacAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    permaddr: Option<MacAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_mtu: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    vfinfo_list: Vec<Function>,
}

#[derive(Deserialize, Serialize)]
struct Function {
    vf: u16,
    /// Called `mac` before iproute2 5.1.
    #[serde(alias = "mac")]
    address: MacAddress,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    vlan_list: Vec<Vlan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spoofchk: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link_state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust: Option<bool>,
}

#[derive(Deserialize, Serialize)]
struct Vlan {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vlan: Option<u16>,
}

#[derive(Deserialize, Serialize)]
struct Rate {
    max_tx: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_tx: Option<u32>,
}

/// Reads the interface of a wire, and what the virtual functions behind it
/// are to the network.
pub(super) fn read(
    root: &Root,
    name: InterfaceName,
    function: &PciFunction,
) -> (Fact<Uplink>, Fact<Vec<Identity>>) {
    let words = ["ip", "-json", "-details", "link", "show", "dev"];
    let words = [&words[..], &[name.as_str()]].concat();
    let origin = format!("`{}`", words.join(" "));
    let link = root.ask_json::<Vec<Link>>(&words).and_then(|links| {
        let only = links.into_iter().next();
        only.ok_or_else(|| format!("{origin} answers nothing"))
    });
    let told = |of: fn(&Link) -> Option<u32>| match &link {
        Ok(link) => of(link).map_or_else(
            || Fact::unknown(format!("{origin} does not tell")),
            |value| Fact::known(value, &origin),
        ),
        Err(why) => Fact::unknown(why),
    };
    let mac = match &link {
        Ok(Link { permaddr: Some(mac), .. }) => Fact::known(*mac, &origin),
        Ok(Link { address: Some(mac), .. }) => Fact::known(*mac, &origin),
        Ok(_) => Fact::unknown(format!("{origin} does not tell")),
        Err(why) => Fact::unknown(why),
    };
    let folder = format!("{NET}/{name}");
    let uplink = Uplink {
        mac,
        mtu: mtu(root, name.as_str()),
        max_mtu: told(|link| link.max_mtu.filter(|mtu| *mtu != 0)),
        port: port::of(root, &folder, "phys_port_name"),
        switch_id: port::of(root, &folder, "phys_switch_id"),
        derived_switch_id: Fact::not_read(),
        master: master(root, name.as_str()),
        rings: qos::rings(root, &name),
        pause: qos::pause(root, &name),
        dscp_priorities: qos::dscp_priorities(root, &name),
        interface: name,
    };
    let virtual_functions = function.sriov.as_ref();
    let identities = match (virtual_functions, link) {
        (None, _) => Fact::known(Vec::new(), "it has no virtual functions"),
        (Some(_), Err(why)) => Fact::unknown(why),
        (Some(sriov), Ok(link)) => {
            let all: Vec<_> = link.vfinfo_list.iter().map(identity).collect();
            // Some drivers tell nothing of their functions.
            match all.is_empty() && !sriov.virtfns.is_empty() {
                true => Fact::unknown(format!("{origin} does not tell")),
                false => Fact::known(all, origin),
            }
        }
    };
    (Fact::known(uplink, format!("/{folder}")), identities)
}

fn identity(function: &Function) -> Identity {
    Identity {
        vf: function.vf,
        mac: function.address,
        vlan: function.vlan_list.iter().find_map(|vlan| vlan.vlan),
        trust: function.trust,
        spoof_check: function.spoofchk,
        link_state: function.link_state.clone(),
        max_rate: function.rate.as_ref().map(|rate| rate.max_tx),
        min_rate: function.rate.as_ref().and_then(|rate| rate.min_tx),
    }
}

/// Reads the interfaces that stand for parts of functions, with the function
/// whose switch they are of, sorted by name. They hang below the physical
/// function, as its own interface does.
pub(super) fn representors(root: &Root) -> Vec<(PciAddress, Representor)> {
    let names = root.list(NET).unwrap_or_default().into_iter();
    let representor = |name: String| {
        let folder = format!("{NET}/{name}");
        let text = root.read(&format!("{folder}/phys_port_name")).ok()?;
        let port: PortName = text.trim().parse().ok()?;
        if !port.is_representor() {
            return None;
        }
        let representor = Representor {
            interface: name.parse().ok()?,
            port,
            mtu: mtu(root, &name),
            master: master(root, &name),
        };
        Some((net::function_of(root, &folder)?, representor))
    };
    names.filter_map(representor).collect()
}

fn mtu(root: &Root, name: &str) -> Fact<u32> {
    root.fact(&format!("{NET}/{name}/mtu"), |text| text.parse().ok())
}

/// Reads what an interface belongs to.
fn master(root: &Root, name: &str) -> Fact<Option<Master>> {
    let path = format!("{NET}/{name}/master");
    let name = match root.link_name(&path) {
        Ok(name) => name,
        Err(e) if e.source.kind() == NotFound && root.is_complete() => {
            return Fact::known(None, format!("/{path}"));
        }
        Err(e) => return Fact::unknown(e.reason()),
    };
    let folder = format!("{NET}/{name}");
    let kind = if let Ok(mode) = root.read(&format!("{folder}/bonding/mode")) {
        let mode = mode.split_whitespace().next().unwrap_or_default();
        MasterKind::Bond(mode.to_owned())
    } else if root.exists(&format!("{folder}/bridge")) {
        MasterKind::Bridge
    } else if name == "ovs-system" {
        MasterKind::Openvswitch
    } else {
        MasterKind::Other
    };
    let above = root.link_name(&format!("{folder}/master")).ok();
    let mtu = mtu(root, &name);
    let partner = partner(root, &folder, &kind);
    let master = Master { name, kind, mtu, partner, above };
    Fact::known(Some(master), format!("/{path}"))
}

/// Reads who answers a bond by LACP. The kernel shows it to root only.
fn partner(
    root: &Root,
    folder: &str,
    kind: &MasterKind,
) -> Fact<Option<MacAddress>> {
    if !kind.has_lacp() {
        return Fact::unknown("it does not speak LACP");
    }
    let partner = root
        .fact(&format!("{folder}/bonding/ad_partner_mac"), |text| {
            text.parse::<MacAddress>().ok()
        });
    partner.map(|mac| Some(mac).filter(|mac| !mac.is_zero()))
}
