//! The unit that makes virtual functions: taken apart as systemd would, and
//! run on a made-up card that minds the order.
#![allow(clippy::disallowed_methods, reason = "tests read and write files")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says what it lacks")]

mod boot;
mod card;
mod guide;
#[allow(dead_code, reason = "another test crate uses the rest")]
#[path = "../hosts/machine.rs"]
mod machine;
mod order;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
mod to_come;
mod unit;

use std::collections::BTreeMap;
use std::path::Path;

use support::vms::{Vm, subject};
use vmtune::host::{self, Source};
use vmtune::model::facts::Facts;
use vmtune::model::policy::Policy;
use vmtune::model::{Plan, Target};
use vmtune::planner::{Inputs, plan};
use vmtune::rules::RULES;

/// The rules about network cards.
const RULES_OF_CARDS: [&str; 12] = [
    "eswitch-mode",
    "mtu",
    "ovs-offload",
    "pcie-link",
    "pcie-mrrs",
    "representors",
    "ring-buffers",
    "roce-qos",
    "sriov-firmware",
    "sriov-vfs",
    "vf-identity",
    "vf-lag",
];

/// Returns the host whose card a guide has set up.
fn host() -> Facts {
    let path = "tests/hosts/connectx-ovs.json";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    host::collect(&Source::detect(&path).unwrap()).unwrap()
}

/// Reads a policy with this `[nic]`.
fn policy(nic: &str) -> Policy {
    let ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    let text = format!("[nic]\n{nic}\n");
    vmtune::policy::read(&text, "nic.toml", &ids).unwrap()
}

/// Plans a small VM on a host, with this `[nic]`.
fn planned(facts: &Facts, nic: &str) -> Plan {
    let policy = policy(nic);
    let inputs = Inputs {
        facts,
        policy: &policy,
        subjects: &[subject(&Vm::new("vm", 4, 4096).xml())],
        neighbours: &[],
        connection: "files",
    };
    plan(&inputs).unwrap().plan
}

/// Returns the files that the rules about cards write.
fn files(plan: &Plan) -> BTreeMap<String, String> {
    let ours = |rule: &str| RULES_OF_CARDS.contains(&rule);
    let changes = plan.changes.iter().filter(|one| ours(&one.rule));
    let file = |one: &vmtune::model::Change| match &one.target {
        Target::File(path) => Some((path.to_string(), one.to.clone()?)),
        other => panic!("{other} is no file"),
    };
    changes.filter_map(file).collect()
}
