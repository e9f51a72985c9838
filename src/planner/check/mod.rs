//! Judges definitions against facts, without knowing the solver or the rules.
//!
//! Every hard rule is derived anew from the facts and the definition: what a
//! plan claims of itself plays no part. One file holds one concern; each
//! check looks at one VM in its scene and lists what is wrong with it.

mod affinity;
mod backing;
mod budget;
mod cells;
mod cpu;
mod flaw;
mod functions;
mod host;
mod iommu;
mod locality;
mod locking;
mod memory;
mod nodes;
mod promises;
mod scene;
mod service;
mod threads;
mod vcpu_pins;
mod vm;
mod words;

use self::flaw::Flaw;
use self::scene::Scene;
use self::vm::Vm;
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::Policy;

/// A definition to judge.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The definition, byte for byte.
    pub text: &'a str,
    /// The same, read.
    pub domain: &'a Domain,
    /// The running VM's definition, where it runs: the pages that it holds
    /// now are not free, and are there for it all the same.
    pub live: Option<&'a Domain>,
}

/// What is wrong with a definition.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema,
)]
pub struct Finding {
    /// The VM.
    pub vm: String,
    /// The rule of vmtune that owns the setting.
    pub rule: &'static str,
    /// Whether the VM will not start, or runs and is slow.
    pub severity: Severity,
    /// Whether libvirt or QEMU refuses it, or makes something else of it;
    /// else it is a rule of vmtune that is broken.
    pub refused: bool,
    /// Line of the definition, counted from 1; `None` where something is
    /// missing as a whole.
    pub line: Option<u32>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A hard rule is broken: it will not start, takes what is others', or
    /// tells the guest what is not so.
    Error,
    /// It runs, and worse than it could.
    Warning,
}

/// A check of one VM among the others.
type Check = fn(&Scene<'_>, &Vm<'_>, &mut Vec<Flaw>);

const CHECKS: &[Check] = &[
    vcpu_pins::check,
    affinity::check,
    threads::check,
    service::check,
    cells::check,
    nodes::check,
    backing::check,
    budget::pages,
    budget::ordinary,
    locking::check,
    cpu::check,
    promises::check,
    iommu::check,
    locality::check,
    functions::check,
];

/// Judges definitions that are on a host at the same time, beside neighbours
/// that nobody asked about; a VM is never its own neighbour.
///
/// Free pages are taken as they are. Where they are unknown, they are taken
/// to be the pool less what the neighbours' definitions ask for.
///
/// A rule that the policy switches off has no warnings, and no errors where
/// libvirt and QEMU would do as the definition says.
#[must_use]
pub fn check(
    facts: &Facts,
    policy: &Policy,
    judged: &[Judged<'_>],
    neighbours: &[Domain],
) -> Vec<Finding> {
    let scene = Scene::new(facts, policy, judged, neighbours);
    let mut findings = Vec::new();
    for vm in &scene.vms {
        let mut flaws = Vec::new();
        for check in CHECKS {
            check(&scene, vm, &mut flaws);
        }
        findings.extend(flaws.into_iter().filter_map(|f| f.finding(vm)));
    }
    findings.sort_by(|a, b| {
        // What is missing as a whole comes after what is there.
        let key = |f: &Finding| (f.line.is_none(), f.line, f.rule);
        a.vm.cmp(&b.vm).then_with(|| key(a).cmp(&key(b)))
    });
    findings
}

#[cfg(test)]
mod tests;
