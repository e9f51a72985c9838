//! Facts against what others say of the same host, and VMs that are where
//! their plan says.

use anyhow::Result;

use crate::inside::Lab;
use crate::judge::{Judge, Results};
use crate::scenario::Scenario;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "plan",
    about: "facts are true; VMs run where the plan says",
    shapes: &["epyc-2s-4n"],
    alone: false,
    patience: 240,
    faults: &[],
    run,
    judge,
};

fn run(lab: &Lab) -> Result<()> {
    lab.vmtune("facts.json", &["facts", "--format", "json"])?;
    lab.vmtune("facts.txt", &["facts"])?;
    lab.run("lstopo", &["lstopo", "--of", "console", "--no-collapse"])?;
    lab.run("lspci", &["lspci", "-nn"])?;
    lab.libvirtd()?;
    Ok(())
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    judge.holds("x", !results.text("facts.txt")?.is_empty(), || "".into());
    Ok(())
}
