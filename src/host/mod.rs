//! The host's facts: read from this machine, from files, or from a folder.
//!
//! | facts | of this machine and of captured trees |
//! |---|---|
//! | topology | hwloc (this machine), `hwloc.xml` (a capture), else sysfs |
//! | offline CPUs | `/sys/devices/system/cpu` |
//! | isolated CPUs | the same, and `cpuset.cpus.isolated` of the root group |
//! | a node's own CPUs | `/sys/devices/system/node/nodeN/cpumap` |
//! | CPUs of VMs | the cpuset of their slice, else hwloc |
//! | CPU vendor, model, flags | the first processor of `/proc/cpuinfo` |
//! | pools, free memory | `/sys/devices/system/node/nodeN/{hugepages,meminfo}` |
//! | THP, KSM, NUMA balancing | `/sys/kernel/mm`, `/proc/sys/kernel` |
//! | how free memory lies | `/proc/{buddyinfo,pagetypeinfo}` |
//! | huge pages that are mounted | `/proc/1/mounts` |
//! | caches that can be divided | `/sys/fs/resctrl` |
//! | what else sets the same | drop-in folders below `/etc`, `/proc/PID/comm` |
//! | command line, sysctls | `/proc/cmdline`, `/proc/sys` |
//! | boot loader | files of its tools in `/etc` and `/usr`, an EFI variable |
//! | arguments for the next boot | `/etc/default/grub*`, `/etc/kernel/cmdline` |
//! | modules | `/sys/module` |
//! | IOMMU | `/sys/class/iommu`, ACPI tables, each function's `iommu_group` |
//! | power | `/sys/devices/system/cpu/{cpufreq,cpu0/cpuidle}` |
//! | daemons that tune | `/proc/PID/comm` |
//! | systemd, cgroups | `/run/systemd`, `/sys/fs/cgroup/cgroup.controllers` |
//! | settings of others | units' drop-ins, configuration of irqbalance |
//! | interrupts | `/sys/bus/pci/devices/*/msi_irqs`, `/proc/irq` |
//! | settings | each place that a rule for the host may change |
//! | PCI functions | `/sys/bus/pci/devices` |
//! | QEMU processes | `/proc/PID/{cmdline,task,numa_maps}`, apart from facts |
//! | VMs of Proxmox, mappings | `/etc/pve`, `/run/qemu-server`, apart from facts |
//! | boot entries | GRUB's menu, `loader/entries`, apart from facts |
//! | interfaces, RDMA | `/sys/class/{net,infiniband}` |
//! | network cards | the same, and `ip`, `devlink`, `ethtool`, `dcb`, … |
//!
//! An hwloc XML holds the topology, pool sizes, devices and names; a
//! synthetic description holds the topology. What a source does not hold is
//! unknown and says why. A facts JSON is taken as it is, once it is found
//! consistent.
//!
//! Every read goes through a [`Root`], which never leaves its tree, or
//! through libhwloc after a check of its input ([`hwloc`]). What no file
//! tells is asked of a program; a tree holds the answers, and no program is
//! run for it. Nothing here decides anything.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the floor that reads the machine"
)]

mod cache;
pub mod capture;
mod collect;
mod consistent;
mod cpu;
pub mod hwloc;
mod interrupts;
mod kernel;
mod log;
mod memory;
mod net;
mod nic;
mod pci;
pub mod process;
pub mod proxmox;
mod question;
mod root;
mod services;
mod settings;
mod source;
mod steal;
pub mod text;
mod topology;

use std::path::PathBuf;

use crate::model::facts::Facts;

pub use capture::{CaptureError, capture};
pub use collect::{collect, hardware, network};
pub use consistent::inconsistency;
pub use kernel::{Generated, generated, next_arguments};
pub use net::is_representor;
pub use nic::{rdma_counters, rdma_gids};
pub use root::{ReadError, Root};
pub use source::Source;
pub use steal::stolen;

/// The file that a capture adds to a tree: the topology as hwloc saw it.
const HWLOC_XML: &str = "hwloc.xml";
/// The file by which a tree says that what it lacks, the machine lacked. It
/// holds the version of the tree's form.
const COMPLETE: &str = "vmtune-capture";

/// Why there are no facts of a host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// Something could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A path holds nothing that facts could come from.
    #[error(
        "{path} is neither a facts JSON, nor an hwloc XML, nor a folder with \
         sys and proc"
    )]
    UnknownSource {
        /// The path.
        path: PathBuf,
    },
    /// A text cannot be given to hwloc.
    #[error("{name} is no hwloc topology")]
    Input {
        /// The text's name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: hwloc::InputError,
    },
    /// libhwloc refused.
    #[error("libhwloc refused {origin}: {why}")]
    Hwloc {
        /// What it was given.
        origin: String,
        /// What it said.
        why: String,
    },
    /// The source holds no CPUs.
    #[error("the source holds no CPUs")]
    NoCpus,
    /// A facts JSON is not one.
    #[error("{name} is no facts JSON")]
    Json {
        /// The text's name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A facts JSON has another version.
    #[error("{name} has schema version {version}, not {ours}", ours = Facts::SCHEMA_VERSION)]
    Version {
        /// The text's name.
        name: String,
        /// The version that it has.
        version: u64,
    },
    /// Facts contradict themselves.
    #[error("{name} contradicts itself: {what}")]
    Inconsistent {
        /// The text's name.
        name: String,
        /// The contradiction.
        what: String,
    },
}
