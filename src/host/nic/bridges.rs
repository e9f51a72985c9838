//! Bridges of the host, from `/sys/class/net` and `ovs-vsctl`.

use std::collections::BTreeMap;

use super::ovs;
use crate::base::InterfaceName;
use crate::host::Root;
use crate::host::net::NET;
use crate::model::Fact;
use crate::model::facts::BridgeKind;

/// Reads the bridges, the kernel's and those of Open vSwitch where it runs.
pub(in crate::host) fn read(
    root: &Root,
) -> Fact<BTreeMap<InterfaceName, BridgeKind>> {
    let names = match root.list(NET) {
        Ok(names) => names,
        Err(e) => return Fact::unknown(e.reason()),
    };
    let is_kernels =
        |name: &String| root.exists(&format!("{NET}/{name}/bridge"));
    let kernels = names.into_iter().filter(is_kernels);
    let kernels = kernels.filter_map(|name| name.parse().ok());
    let mut all: BTreeMap<_, _> =
        kernels.map(|name| (name, BridgeKind::Kernel)).collect();
    if ovs::runs(root) {
        match ovs::bridges(root) {
            Fact::Known { value, .. } => {
                let each = value.into_iter();
                all.extend(each.map(|name| (name, BridgeKind::OpenVswitch)));
            }
            Fact::Unknown { unknown } => return Fact::Unknown { unknown },
        }
    }
    Fact::known(all, format!("/{NET}/*/bridge"))
}
