//! One isolated partition for a whole VM: in its scope.

use anyhow::Result;

use super::state::{self, machines};
use super::{HOUSE, State, VM, exclusive, partition};
use crate::inside::Lab;
use crate::judge::{Judge, Results};

pub(super) fn run(lab: &Lab) -> Result<()> {
    let scope = state::scope(VM)?;
    let isolate = |cpus: &str| -> Result<()> {
        exclusive(&machines(), cpus)?;
        exclusive(&scope, cpus)?;
        partition(&scope, "isolated")
    };
    isolate("2-3")?;
    State::keep(lab, "scope-vcpus")?;
    partition(&scope, "member")?;
    lab.virsh("pin", &["emulatorpin", VM, "1"])?;
    isolate("1-3")?;
    State::keep(lab, "scope-all")?;
    lab.virsh("pin", &["vcpupin", VM, "0", "3"])?;
    State::keep(lab, "scope-pinned")?;
    lab.virsh("pin", &["vcpupin", VM, "0", "2"])?;
    partition(&scope, "member")?;
    lab.virsh("pin", &["emulatorpin", VM, HOUSE])?;
    exclusive(&scope, "")?;
    exclusive(&machines(), "")
}

pub(super) fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let state = |name: &str| results.json::<State>(&format!("{name}.json"));
    let vcpus = state("scope-vcpus")?;
    judge.same(
        "a scope with its vCPUs' CPUs alone is a partition, which draws the \
         emulator onto them",
        &(vcpus.group("scope").partition.as_str(), vcpus.vm(VM)),
        &("isolated", ["2", "3", "2-3"].map(Into::into)),
    );
    let all = state("scope-all")?;
    judge.same(
        "a scope that has a CPU for the emulator too keeps all threads apart",
        &(all.group("scope").partition.as_str(), all.vm(VM)),
        &("isolated", ["2", "3", "1"].map(Into::into)),
    );
    judge.same(
        "the host has the rest",
        &(all.isolated.as_str(), all.host(), all.vm("other")),
        &("1-3", ["0"].into(), ["0"; 3].map(Into::into)),
    );
    let pinned = state("scope-pinned")?;
    judge.same(
        "within the scope's CPUs libvirt pins as it likes",
        &(pinned.group("scope").partition.as_str(), pinned.vm(VM)),
        &("isolated", ["3", "3", "1"].map(Into::into)),
    );
    Ok(())
}
