//! Hosts whose settings are known, and what a plan makes of them.

use vmtune::base::{HostPath, NodeId, PageSize};
use vmtune::model::facts::{
    BootArgument, BootArguments, Facts, HugepagePool, Zone,
};
use vmtune::model::{Fact, Plan, Target};

const READ: &str = "made up";

/// Files that rules for memory and devices own.
const FILES: [&str; 6] = [
    "/etc/modprobe.d/vmtune-vhost-net.conf",
    "/etc/security/limits.d/90-vmtune-rdma.conf",
    "/etc/sysctl.d/90-vmtune-numa-balancing.conf",
    "/etc/tmpfiles.d/vmtune-hugepages.conf",
    "/etc/tmpfiles.d/vmtune-ksm.conf",
    "/etc/tmpfiles.d/vmtune-transparent-hugepages.conf",
];

/// Makes the settings of a host known: pools of these sizes on each node,
/// nothing set by others, a recent kernel that saves memory where it can.
pub fn known(facts: &mut Facts, sizes: &[PageSize]) {
    facts.kernel.release = Fact::known("6.8.0".to_owned(), READ);
    facts.kernel.boot_arguments = Fact::known(
        BootArguments {
            file: path("/etc/default/grub.d/vmtune.cfg"),
            arguments: Vec::new(),
        },
        READ,
    );
    let programs = ["systemctl", "systemd-tmpfiles", "update-grub"];
    let programs = programs.map(str::to_owned).to_vec();
    facts.services.programs = Fact::known(programs, READ);
    facts.services.tuners = Fact::known(Vec::new(), READ);
    facts.services.claims = Fact::known(Vec::new(), READ);
    facts.memory.ksm_sharing = Fact::known(0, READ);
    for file in FILES {
        facts.settings.insert(path(file), Fact::known(None, READ));
    }
    for (place, value) in [
        ("/sys/kernel/mm/ksm/run", "1"),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "never"),
        ("/proc/sys/kernel/numa_balancing", "1"),
    ] {
        set(facts, &path(place), Some(value));
    }
    let nodes: Vec<_> = facts.topology.nodes.iter().map(|n| n.id).collect();
    let mut pools = facts.memory.hugepages.value().cloned().unwrap_or_default();
    for node in nodes {
        for &size in sizes {
            let is =
                |pool: &&HugepagePool| (pool.node, pool.size) == (node, size);
            let total = pools.iter().find(is).map(|pool| pool.total);
            if total.is_none() {
                pools.push(HugepagePool {
                    node,
                    size,
                    total: 0,
                    free: Fact::known(0, READ),
                    surplus: Fact::known(0, READ),
                });
            }
            let total = total.unwrap_or(0).to_string();
            let fact = Fact::known(Some(total), READ);
            facts.settings.insert(pool(node, size), fact);
        }
    }
    facts.memory.hugepages = Fact::known(pools, READ);
}

/// Says that a node's free memory lies in so many pieces of 4 MiB, and none
/// of them on other nodes.
pub fn free_pieces(facts: &mut Facts, node: NodeId, pieces: u64) {
    let mut free_pieces = vec![0; 10];
    free_pieces.push(pieces);
    let zone = Zone {
        node,
        name: "Normal".to_owned(),
        free_pieces,
        blocks: Fact::unknown(READ),
    };
    facts.memory.zones = Fact::known(vec![zone], READ);
}

/// Does what a plan changes on its host, the running kernel's part and what
/// waits for a boot.
pub fn settle(facts: &mut Facts, plan: &Plan) {
    for change in &plan.changes {
        let to = change.to.as_deref();
        match &change.target {
            Target::Definition(_) | Target::Conf(_) => {}
            Target::Kernel(place) | Target::File(place) => {
                set(facts, place, to);
            }
            Target::Argument { file, name } => {
                let known = &mut facts.kernel.boot_arguments;
                let Fact::Known { value, .. } = known else { continue };
                value.arguments.retain(|a| a.name != *name);
                value.arguments.extend(to.map(|to| BootArgument {
                    file: file.clone(),
                    name: name.clone(),
                    value: to.to_owned(),
                }));
            }
        }
    }
}

/// Sets one place, and the facts that are read of it.
fn set(facts: &mut Facts, place: &HostPath, to: Option<&str>) {
    let fact = Fact::known(to.map(str::to_owned), READ);
    facts.settings.insert(place.clone(), fact);
    let Some(to) = to else { return };
    match place.as_str() {
        "/sys/kernel/mm/ksm/run" => {
            facts.memory.ksm = Fact::known(to.parse().unwrap(), READ);
        }
        "/sys/kernel/mm/transparent_hugepage/enabled" => {
            let mode = to.to_owned();
            facts.memory.transparent_hugepages = Fact::known(mode, READ);
        }
        "/proc/sys/kernel/numa_balancing" => {
            let mode = to.parse().unwrap();
            facts.memory.numa_balancing = Fact::known(mode, READ);
        }
        _ => {}
    }
    let Fact::Known { value: pools, .. } = &mut facts.memory.hugepages else {
        return;
    };
    for one in pools {
        if pool(one.node, one.size) == *place {
            let total: u64 = to.parse().unwrap();
            let more = total - one.total;
            one.total = total;
            let free = one.free.value().copied().unwrap_or(0) + more;
            one.free = Fact::known(free, READ);
        }
    }
}

pub fn pool(node: NodeId, size: PageSize) -> HostPath {
    path(&format!(
        "/sys/devices/system/node/node{node}/hugepages/hugepages-{}kB/\
         nr_hugepages",
        size.kib()
    ))
}

fn path(text: &str) -> HostPath {
    text.parse().unwrap()
}
