//! The one set of CPUs that Proxmox has for a VM.

use super::super::{Finding, Judged, Severity, check};
use super::fixture::{Case, GOOD, OTHER, cpus};
use crate::definition::read;
use crate::model::domain::Dialect;

/// The errors in the good VM as one of Proxmox with this set, beside another.
fn errors(affinity: Option<&str>) -> Vec<String> {
    let case = Case::good().neighbour(OTHER);
    let mut domain = read(GOOD).unwrap();
    domain.dialect = Dialect::Proxmox("101".parse().ok());
    domain.vcpu_cpuset = affinity.map(cpus);
    let judged = [Judged { text: "cores: 8", domain: &domain, live: None }];
    let found = check(&case.facts, &case.policy, &judged, &case.neighbours);
    let error = |finding: &Finding| finding.severity == Severity::Error;
    found.into_iter().filter(error).map(|finding| finding.what).collect()
}

#[test]
fn the_set_holds_what_was_given_and_nothing_of_others() {
    let own = "0,2-3,8-10,16,18-19,24-26";
    assert!(errors(Some(own)).is_empty());
    assert!(errors(None)[0].starts_with("no affinity"));
    let lacks = errors(Some("0,2-3,8-9,16,18-19,24-26"));
    assert!(lacks[0].starts_with("affinity lacks CPU 10"), "{lacks:?}");
    let taken = errors(Some("0,2-3,8-10,13,16,18-19,24-26"));
    assert!(taken[0].contains("which vm2 has for itself"), "{taken:?}");
}
