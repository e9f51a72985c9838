//! Isolated partitions.

use anyhow::Result;

use crate::inside::Lab;
use crate::judge::{Judge, Results};
use crate::scenario::Scenario;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "cgroups",
    about: "partitions",
    shapes: &["systemd"],
    alone: false,
    patience: 240,
    faults: &[],
    run,
    judge,
};

fn run(lab: &Lab) -> Result<()> {
    lab.libvirtd()?;
    lab.run("x", &["virsh", "define", "/var/tmp/lbx/vm.xml"])?;
    lab.run("x", &["virsh", "start", "probe"])?;
    Ok(())
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    judge.holds("x", results.text("facts").is_err(), || "".into());
    Ok(())
}
