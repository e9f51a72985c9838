//! Network cards: what is behind a physical function, and in front of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{
    InterfaceName, MacAddress, ParseValueError, PciAddress, PortName, SwitchId,
};
use crate::model::Fact;

/// A physical network function of a card.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// The physical function.
    pub function: PciAddress,
    /// How it hangs on the PCI Express bus.
    pub pcie: PcieLink,
    /// How the switch in the card works.
    pub eswitch: Fact<EswitchMode>,
    /// Whether the switch in the card treats its ports as one (VF-LAG).
    #[serde(default = "Fact::<bool>::not_read")]
    pub lag: Fact<bool>,
    /// The version of the card's firmware, as its driver tells it.
    pub firmware: Fact<String>,
    /// The interface of its wire.
    pub uplink: Fact<Uplink>,
    /// Where its virtual functions are, or would be if it had all of them.
    pub virtual_addresses: Fact<Vec<PciAddress>>,
    /// What its virtual functions are to the network, in their order; empty
    /// where there are none.
    pub identities: Fact<Vec<Identity>>,
    /// Interfaces that stand for virtual functions in the card's switch,
    /// sorted by name.
    pub representors: Vec<Representor>,
    /// The ports of its RDMA devices, sorted.
    pub rdma: Vec<RdmaPort>,
}

impl Nic {
    /// Returns the interfaces of the host between the wire and the guests,
    /// from the outside in, each with its MTU. The datapath of Open vSwitch
    /// is left out: its MTU says nothing.
    #[must_use]
    pub fn way(&self) -> Vec<(&str, &Fact<u32>)> {
        fn above(master: &Fact<Option<Master>>) -> Option<(&str, &Fact<u32>)> {
            let master = master.value()?.as_ref()?;
            let counts = master.kind != MasterKind::Openvswitch;
            counts.then_some((master.name.as_str(), &master.mtu))
        }
        let Some(wire) = self.uplink.value() else { return Vec::new() };
        let ends = self.representors.iter().flat_map(|end| {
            let own = (end.interface.as_str(), &end.mtu);
            above(&end.master).into_iter().chain([own])
        });
        let mut way: Vec<(&str, &Fact<u32>)> = Vec::new();
        for one in [(wire.interface.as_str(), &wire.mtu)]
            .into_iter()
            .chain(above(&wire.master))
            .chain(ends)
        {
            if way.iter().all(|(name, _)| *name != one.0) {
                way.push(one);
            }
        }
        way
    }

    /// Returns whether a port or what stands for its functions is at a bridge
    /// of Open vSwitch, by itself or in a bond.
    #[must_use]
    pub fn is_at_open_vswitch(&self) -> bool {
        let wire = self.uplink.value().map(|wire| &wire.master);
        let ends = self.representors.iter().map(|end| &end.master);
        let mut all = wire.into_iter().chain(ends);
        all.any(|master| {
            let master = master.value().and_then(Option::as_ref);
            master.is_some_and(Master::is_open_vswitch)
        })
    }
}

/// How a function hangs on the PCI Express bus, and how it could.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct PcieLink {
    /// The rate of a lane, as the kernel spells it: `16.0 GT/s PCIe`.
    pub speed: Fact<String>,
    /// The rate that the card could have.
    pub max_speed: Fact<String>,
    /// Lanes.
    pub width: Fact<u32>,
    /// Lanes that the card has.
    pub max_width: Fact<u32>,
    /// Most bytes of a packet of data (MPS).
    pub max_payload: Fact<u32>,
    /// Most bytes that one request may ask for (MRRS).
    pub max_read_request: Fact<u32>,
}

/// How the switch in a card works.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum EswitchMode {
    /// By hardware addresses and VLANs that the physical function is told.
    Legacy,
    /// By rules that a bridge of the host gives to it.
    Switchdev,
}

impl EswitchMode {
    const ALL: [(Self, &str); 2] =
        [(Self::Legacy, "legacy"), (Self::Switchdev, "switchdev")];
}

impl fmt::Display for EswitchMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = Self::ALL.iter().find(|(mode, _)| mode == self);
        f.write_str(own.map_or("", |(_, name)| *name))
    }
}

impl FromStr for EswitchMode {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let own = Self::ALL.iter().find(|(_, name)| *name == text);
        let bad = || ParseValueError::new(text, "\"legacy\" or \"switchdev\"");
        own.map(|(mode, _)| *mode).ok_or_else(bad)
    }
}

/// The interface of a card's wire.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Uplink {
    /// Its name.
    pub interface: InterfaceName,
    /// The address that the card was made with, whatever a bond has set.
    pub mac: Fact<MacAddress>,
    /// The MTU.
    pub mtu: Fact<u32>,
    /// The largest MTU.
    pub max_mtu: Fact<u32>,
    /// Its port of the card's switch.
    pub port: Fact<Option<PortName>>,
    /// The card's switch, as the card tells it.
    pub switch_id: Fact<Option<SwitchId>>,
    /// The card's switch, as it follows from the address of its first port.
    pub derived_switch_id: Fact<SwitchId>,
    /// The bond or bridge that it belongs to.
    pub master: Fact<Option<Master>>,
    /// Its ring buffers.
    pub rings: Fact<Rings>,
    /// Priorities that are paused rather than lost (PFC).
    pub pause: Fact<Vec<u8>>,
    /// Priorities by DSCP. A card that has none goes by the VLAN's priority.
    pub dscp_priorities: Fact<BTreeMap<u8, u8>>,
}

/// What an interface belongs to.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Master {
    /// The name of the bond or bridge.
    pub name: String,
    /// What it is.
    pub kind: MasterKind,
    /// Its MTU.
    pub mtu: Fact<u32>,
    /// Who answers at the other end of a bond by LACP; none where nobody
    /// does.
    #[serde(default = "Fact::<Option<MacAddress>>::not_read")]
    pub partner: Fact<Option<MacAddress>>,
    /// What the bond or bridge belongs to in turn, by name.
    pub above: Option<String>,
}

impl Uplink {
    /// Returns whether it is in a bond of the kernel.
    #[must_use]
    pub fn is_in_a_bond(&self) -> bool {
        let master = self.master.value().and_then(Option::as_ref);
        master.is_some_and(|master| matches!(master.kind, MasterKind::Bond(_)))
    }
}

impl Master {
    /// Returns whether it is a bridge of Open vSwitch, or at one.
    #[must_use]
    pub fn is_open_vswitch(&self) -> bool {
        const DATAPATH: &str = "ovs-system";
        self.kind == MasterKind::Openvswitch
            || self.above.as_deref() == Some(DATAPATH)
    }
}

/// What holds interfaces together.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum MasterKind {
    /// A bond of the kernel, with its mode: `802.3ad`.
    Bond(String),
    /// A bridge of the kernel.
    Bridge,
    /// The datapath of Open vSwitch, whichever of its bridges.
    Openvswitch,
    /// Something else.
    Other,
}

impl MasterKind {
    /// Returns whether it is a bond that agrees with its other end by LACP.
    #[must_use]
    pub fn has_lacp(&self) -> bool {
        matches!(self, Self::Bond(mode) if mode == "802.3ad")
    }
}

/// Ring buffers, in descriptors.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Rings {
    /// For receiving.
    pub rx: u32,
    /// The most for receiving.
    pub max_rx: u32,
    /// For sending.
    pub tx: u32,
    /// The most for sending.
    pub max_tx: u32,
}

/// What a virtual function is to the network, as its physical function says.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its number.
    pub vf: u16,
    /// Its hardware address; all zeros where it may choose.
    pub mac: MacAddress,
    /// The VLAN that it is in without knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Whether it may listen to all and change its address; `None` where the
    /// driver does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<bool>,
    /// Whether what it sends from another address is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<bool>,
    /// Whether its link is up: `auto`, `enable`, `disable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_state: Option<String>,
    /// The most that it may send, in Mbit/s; 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u32>,
    /// What it may send in any case, in Mbit/s; 0 for no promise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rate: Option<u32>,
}

impl Identity {
    /// A function with an address of which nothing else is known.
    #[must_use]
    pub const fn new(vf: u16, mac: MacAddress) -> Self {
        Self {
            vf,
            mac,
            vlan: None,
            trust: None,
            spoof_check: None,
            link_state: None,
            max_rate: None,
            min_rate: None,
        }
    }
}

/// An interface that stands for a part of a function in the card's switch.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Representor {
    /// Its name.
    pub interface: InterfaceName,
    /// What it stands for.
    pub port: PortName,
    /// The MTU.
    pub mtu: Fact<u32>,
    /// The bridge that it belongs to.
    pub master: Fact<Option<Master>>,
}

/// A port of an RDMA device.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct RdmaPort {
    /// The device, as `mlx5_0`.
    pub device: String,
    /// The port's number, from 1.
    pub port: u32,
    /// `Ethernet` or `InfiniBand`.
    pub link_layer: Fact<String>,
    /// Most bytes of a packet on the wire.
    pub active_mtu: Fact<u32>,
    /// Its addresses; those that are empty are left out.
    pub gids: Fact<Vec<Gid>>,
}

/// An address of an RDMA port.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Gid {
    /// Its place in the table; it moves when addresses come and go.
    pub index: u32,
    /// The address, as eight groups.
    pub address: String,
    /// How it is used: `RoCE v2`, `IB/RoCE v1`.
    pub kind: Fact<String>,
    /// The interface that it belongs to.
    pub interface: Fact<String>,
}
