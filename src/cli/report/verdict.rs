//! What looking at a VM from inside came to.

use super::count;
use super::page::{BAD, BOLD, GOOD, KEY, PLAIN, Page};
use crate::verify::Verdict;

/// Writes a verdict, below what was measured.
pub fn verdict(page: &mut Page, judged: &Verdict) {
    let vm = &judged.vm;
    page.gap();
    if judged.findings.is_empty() {
        page.flow("", "", &[(GOOD, format!("{vm} is as it should be."))]);
        return;
    }
    let found = count(judged.findings.len(), "finding");
    page.line(&[(BOLD, format!("{vm}: {found}"))]);
    for finding in &judged.findings {
        let vcpu = finding.vcpu.map(|vcpu| format!("vCPU {vcpu}"));
        let subject = vcpu.unwrap_or_else(|| "CPUs".to_owned());
        page.row(2, &subject, &[(BAD, finding.says.clone())]);
        if !finding.rules.is_empty() {
            let rules = finding.rules.join(", ");
            page.row(2, "", &[(PLAIN, "rules:".to_owned()), (KEY, rules)]);
        }
    }
}
