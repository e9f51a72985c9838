//! Every check has an example that it faults, and a good VM none.

mod affinity;
mod devices;
mod fixture;
mod functions;
mod memory;
mod pins;
mod properties;
mod threads;

use fixture::{Case, Error, OTHER, Warning};

use super::Severity;
use crate::model::policy::{Level, Pins};

#[test]
fn good_definitions_are_silent() {
    Case::good().silent();
    Case::good().beside(OTHER).silent();
    Case::of(OTHER).silent();
    Case::good().neighbour(OTHER).silent();
}

#[test]
fn a_definition_that_is_no_xml_has_no_lines() {
    let case = Case::good().edit("cpuset='2'", "cpuset='999'");
    let domain = crate::definition::read(&case.texts[0]).unwrap();
    let judged =
        super::Judged { text: "cores: 8", domain: &domain, live: None };
    let found = super::check(&case.facts, &case.policy, &[judged], &[]);
    assert!(!found.is_empty() && found.iter().all(|f| f.line.is_none()));
}

#[test]
fn findings_are_sorted_by_vm_line_and_rule() {
    let bad = Case::of(OTHER)
        .edit("cpuset='13'", "cpuset='0'")
        .edit("threads='2'", "threads='1'")
        .beside(&fixture::GOOD.replace("cpuset='3'", "cpuset='16'"));
    let findings = bad.findings();
    let keys: Vec<_> = findings
        .iter()
        .map(|f| (f.vm.clone(), f.line.is_none(), f.line, f.rule))
        .collect();
    assert!(keys.is_sorted() && keys[0].0 == "vm1", "{keys:?}");
    assert!(keys.len() > 3, "{keys:?}");
}

#[test]
fn levels_weigh_what_is_ours_and_not_what_libvirt_refuses() {
    let level = |rule: &'static str, level| {
        move |policy: &mut crate::model::policy::Policy| {
            policy.rules.insert(rule.to_owned(), level);
        }
    };
    let untrue =
        || Case::good().edit("policy='require' name='topoext'", "name='svm'");
    let wanted = ("vcpu-topology", "topoext", "<topology");
    let (rule, says, line) = wanted;
    untrue().finds(rule, Error, says, line);
    let advised = untrue().policy(level(rule, Level::Advise));
    advised.finds(rule, Warning, says, line);
    untrue().policy(level(rule, Level::Off)).silent();
    let refused = Case::good().edit("cores='2'", "cores='3'");
    let refused = refused.policy(level(rule, Level::Off));
    refused.finds(rule, Error, "makes 12 vCPUs of 8", line);
}

#[test]
fn pins_that_are_kept_are_the_users_own() {
    let case = Case::of(OTHER).edit("cpuset='13'", "cpuset='14'");
    let says = "on several host cores";
    case.finds("vcpu-topology", Error, says, "<topology");
    let kept = case.policy(|policy| policy.cpu.pins = Pins::Keep);
    kept.finds("vcpu-topology", Warning, says, "<topology");
}

#[test]
fn a_table_of_one_vm_wins() {
    let case = Case::of(OTHER)
        .edit("<vcpupin vcpu='0' cpuset='13'/>", "")
        .policy(|policy| {
            let table = policy.vm.entry("vm2".to_owned()).or_default();
            table.rules.insert("vcpu-pin".to_owned(), Level::Off);
        });
    case.silent();
}

#[test]
fn severities_are_spelled_for_machines() {
    let json = serde_json::to_string(&[Severity::Error, Severity::Warning]);
    assert_eq!(json.unwrap(), r#"["error","warning"]"#);
}
