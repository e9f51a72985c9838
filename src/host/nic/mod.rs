//! Network cards, from sysfs where it has it, else from the programs that
//! show it: `ip`, `devlink`, `ethtool`, `dcb`, `ibv_devinfo`, `ovs-vsctl`.

mod bridges;
mod interface;
mod ovs;
mod pcie;
mod port;
mod qos;
mod rdma;

use std::collections::BTreeMap;

pub(super) use bridges::read as bridges;
pub(super) use ovs::settings as ovs_settings;
pub use rdma::{counters as rdma_counters, gids as rdma_gids};

use super::{Root, pci};
use crate::base::{InterfaceName, MacAddress, PciAddress, SwitchId};
use crate::model::Fact;
use crate::model::facts::{
    EswitchMode, Identity, Nic, PciClass, PciFunction, RdmaDevice, Uplink,
};

/// Reads the physical network functions that a driver has given an interface.
pub(super) fn read(
    root: &Root,
    functions: &Fact<Vec<PciFunction>>,
    rdma: &Fact<Vec<RdmaDevice>>,
) -> Fact<Vec<Nic>> {
    let (functions, origin) = match functions {
        Fact::Known { value, origin } => (value, origin),
        Fact::Unknown { unknown } => return Fact::unknown(unknown),
    };
    let representors = interface::representors(root);
    let devices = rdma.value().map_or(&[][..], Vec::as_slice);
    let physical = functions.iter().filter(|function| {
        function.class == PciClass::Network
            && function.physfn.is_none()
            && !function.interfaces.is_empty()
    });
    let mut nics: Vec<Nic> = physical
        .map(|function| {
            let address = function.address;
            let switch = function.sriov.is_some();
            let (uplink, identities) = wire(root, function);
            Nic {
                function: address,
                pcie: pcie::read(root, address),
                eswitch: match switch {
                    true => eswitch(root, address),
                    false => Fact::unknown(
                        "it has no virtual functions, and so no switch",
                    ),
                },
                lag: lag(root, address),
                firmware: match &uplink {
                    Fact::Known { value, .. } => {
                        firmware(root, &value.interface)
                    }
                    Fact::Unknown { unknown } => Fact::unknown(unknown),
                },
                uplink,
                virtual_addresses: virtual_addresses(root, function),
                identities,
                representors: representors
                    .iter()
                    .filter(|(owner, _)| *owner == address)
                    .map(|(_, representor)| representor.clone())
                    .collect(),
                rdma: devices
                    .iter()
                    .filter(|device| device.pci == Some(address))
                    .flat_map(|device| rdma::ports(root, &device.name))
                    .collect(),
            }
        })
        .collect();
    derive_switch_ids(&mut nics, functions);
    Fact::known(nics, origin.0.clone())
}

/// Reads the interface of a function's wire, and what its virtual functions
/// are to the network.
fn wire(
    root: &Root,
    function: &PciFunction,
) -> (Fact<Uplink>, Fact<Vec<Identity>>) {
    let name = match function.interfaces.as_slice() {
        [only] => only.parse::<InterfaceName>().map_err(|e| e.to_string()),
        several => Err(format!("it has {} interfaces", several.len())),
    };
    match name {
        Ok(name) => interface::read(root, name, function),
        Err(why) => (Fact::unknown(&why), Fact::unknown(&why)),
    }
}

/// Computes where virtual functions are: so far behind the physical one, so
/// far from each other.
fn virtual_addresses(
    root: &Root,
    function: &PciFunction,
) -> Fact<Vec<PciAddress>> {
    let Some(sriov) = &function.sriov else {
        return Fact::known(Vec::new(), "it can have no virtual functions");
    };
    let address = function.address;
    let folder = format!("{}/{address}", pci::FOLDER);
    let number = |name: &str| {
        root.fact(&format!("{folder}/{name}"), |text| text.parse::<u32>().ok())
    };
    let (offset, stride) = (number("sriov_offset"), number("sriov_stride"));
    let known = (offset.value(), stride.value(), sriov.total.value());
    let (Some(offset), Some(stride), Some(total)) = known else {
        let facts = [&offset, &stride, &sriov.total];
        let why = facts.into_iter().find_map(Fact::reason);
        return Fact::unknown(why.unwrap_or_default());
    };
    let at =
        |n: u32| address.routed(n.checked_mul(*stride)?.checked_add(*offset)?);
    let all: Vec<_> = (0..*total).map_while(at).collect();
    // What the kernel has made says it better.
    match all.starts_with(&sriov.virtfns) {
        true => Fact::known(all, format!("/{folder}/sriov_offset")),
        false => Fact::unknown("functions are not where the card says"),
    }
}

/// Computes what the switch of each card calls itself. All ports of a card
/// tell the same, made of the address of the first.
fn derive_switch_ids(nics: &mut [Nic], functions: &[PciFunction]) {
    const DRIVER: &str = "mlx5_core";
    let card = |address: PciAddress| {
        (address.segment(), address.bus(), address.slot())
    };
    let first = |nic: &Nic| nic.function.function() == 0;
    let bases: BTreeMap<_, Fact<MacAddress>> = nics
        .iter()
        .filter(|nic| first(nic))
        .filter_map(|nic| Some((nic, nic.uplink.value()?)))
        .map(|(nic, uplink)| (card(nic.function), uplink.mac.clone()))
        .collect();
    for nic in nics {
        let Fact::Known { value: uplink, .. } = &mut nic.uplink else {
            continue;
        };
        let driver = functions.iter().find(|f| f.address == nic.function);
        let driver = driver.and_then(|f| f.driver.value()?.as_deref());
        uplink.derived_switch_id = match bases.get(&card(nic.function)) {
            _ if driver != Some(DRIVER) => {
                Fact::unknown("it is known only how mlx5_core makes such ids")
            }
            Some(base) => base.clone().map(SwitchId::of_mlx5),
            None => Fact::unknown("the card's first port was not read"),
        };
    }
}

/// Asks how the switch of a card works.
fn eswitch(root: &Root, address: PciAddress) -> Fact<EswitchMode> {
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Answer {
        dev: BTreeMap<String, Switch>,
    }
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Switch {
        mode: EswitchMode,
    }
    let device = format!("pci/{address}");
    let words = ["devlink", "-j", "dev", "eswitch", "show", &device];
    let origin = format!("`{}`", words.join(" "));
    match root.ask_json::<Answer>(&words) {
        Ok(answer) => match answer.dev.get(&device) {
            Some(switch) => Fact::known(switch.mode, origin),
            None => Fact::unknown(format!("{origin} does not tell")),
        },
        Err(why) => Fact::unknown(why),
    }
}

/// Reads whether the card has taken over the bond of its ports, as mlx5_core
/// tells it.
fn lag(root: &Root, address: PciAddress) -> Fact<bool> {
    let path = format!("sys/kernel/debug/mlx5/{address}/lag/state");
    root.fact(&path, |text| match text {
        "active" => Some(true),
        "disabled" => Some(false),
        _ => None,
    })
}

fn firmware(root: &Root, interface: &InterfaceName) -> Fact<String> {
    const KEY: &str = "firmware-version:";
    root.ask_lines(
        &["ethtool", "-i", interface.as_str()],
        |line| line.starts_with(KEY),
        |kept| {
            let version = kept.trim().strip_prefix(KEY)?.trim();
            let told = !version.is_empty() && version != "N/A";
            told.then(|| version.to_owned())
        },
    )
}
