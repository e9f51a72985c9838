//! What breaks partitions on Linux 6.12 and stays broken. It comes last: the
//! host has to start again afterwards.

use anyhow::Result;

use super::state;
use super::vcpus::{isolate, way};
use super::{HOUSE, State, VM, is_6_12};
use crate::inside::Lab;
use crate::judge::{Judge, Results};

pub(super) fn run(lab: &Lab) -> Result<()> {
    let scope = state::scope(VM)?;
    way(&scope, "2-3")?;
    isolate(&scope)?;
    lab.virsh("pin", &["emulatorpin", VM, "0-3"])?;
    State::keep(lab, "overlap")?;
    lab.virsh("destroy", &["destroy", VM])?;
    State::keep(lab, "leaked")?;
    let line = ["virsh", "-q", "-c", "qemu:///system", "start", "--paused", VM];
    let (code, _) = lab.try_run("start-leaked", &line)?;
    lab.keep("start-leaked.code", &code.to_string())
}

pub(super) fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    if !is_6_12(results)? {
        return Ok(());
    }
    let overlap: State = results.json("overlap.json")?;
    let kinds = ["vcpu0", "vcpu1"]
        .map(|name| overlap.group(name).partition.split(' ').nth(1));
    judge.same(
        "on Linux 6.12, a live pin of the emulator across partitions breaks \
         them",
        &(kinds, overlap.isolated.as_str()),
        &([Some("invalid"); 2], "2-3"),
    );
    let leaked: State = results.json("leaked.json")?;
    judge.same(
        "on Linux 6.12, CPUs of broken partitions stay isolated without them",
        &(leaked.isolated.as_str(), leaked.group("").effective.as_str()),
        &("2-3", HOUSE),
    );
    judge.holds(
        "on Linux 6.12, their VM does not start again then",
        results.text("start-leaked.code")? != "0",
        || "it does".into(),
    );
    Ok(())
}
