//! A VM that runs, as the kernel sees its process.

use std::collections::BTreeMap;
use std::fmt;

use super::Fact;
use crate::base::{Bytes, CpuSet, DomainUuid, NodeId, PageSize, VcpuId};

/// A QEMU process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningVm {
    /// The VM; `None` for one that Proxmox has started, and names by number.
    pub uuid: Option<DomainUuid>,
    /// Its process.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// Its threads, by number.
    pub threads: Vec<Thread>,
    /// Memory that it has, by node and size of the pages. Pages of the
    /// smallest size count where they are anonymous: the guest's memory and
    /// what QEMU has for itself.
    pub memory: Fact<BTreeMap<(NodeId, PageSize), Bytes>>,
}

/// A thread of a QEMU process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// The kernel's number of it.
    pub id: u32,
    /// What it is for.
    pub role: Role,
    /// The CPUs that it may run on.
    pub cpus: CpuSet,
    /// The CPUs that its control group leaves it, whatever it asks for.
    pub allowed: Fact<CpuSet>,
    /// How the kernel schedules it.
    pub scheduling: Scheduling,
}

/// What a thread is for, by the name that QEMU gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It runs a vCPU.
    Vcpu(VcpuId),
    /// It does the input and output of some disks.
    IoThread(u32),
    /// It moves packets between a virtio interface and the host.
    Vhost,
    /// All else that QEMU does.
    Emulator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcpu(vcpu) => write!(f, "vCPU {vcpu}"),
            Self::IoThread(id) => write!(f, "I/O thread {id}"),
            Self::Vhost => f.write_str("vhost threads"),
            Self::Emulator => f.write_str("emulator threads"),
        }
    }
}

/// How the kernel schedules a thread; see sched(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduling {
    /// `SCHED_OTHER`: with all other threads in turn.
    Other,
    /// `SCHED_FIFO` with its priority: before all ordinary ones.
    Fifo(u32),
    /// `SCHED_RR` with its priority.
    RoundRobin(u32),
    /// Another policy, by the kernel's number.
    Policy(u32),
}

impl RunningVm {
    /// Returns the thread of a vCPU.
    #[must_use]
    pub fn vcpu(&self, vcpu: VcpuId) -> Option<&Thread> {
        self.threads.iter().find(|thread| thread.role == Role::Vcpu(vcpu))
    }
}
