//! What looking at a VM from inside came to.

use super::count;
use super::page::{BAD, BOLD, FAINT, GOOD, KEY, PLAIN, Page};
use crate::cli::probe::report::share;
use crate::cli::time::utc;
use crate::files::look_store::Look;
use crate::model::probe::ProbeReport;
use crate::verify::Verdict;

/// Writes what each CPU lost before, beside what it loses now.
pub fn compared(page: &mut Page, before: &Look, now: &ProbeReport) {
    let (Some(then), Some(now)) = (&before.report.jitter, &now.jitter) else {
        return;
    };
    page.gap();
    page.line(&[
        (BOLD, "since".to_owned()),
        (FAINT, format!(" {}", utc(before.at))),
    ]);
    for one in &now.cpus {
        let same = then.cpus.iter().find(|other| other.cpu == one.cpu);
        let Some(other) = same else { continue };
        let (then, now) = (other.lost_ppm(), one.lost_ppm());
        // A tenth is what two looks at an idle machine differ by.
        let style = match (now.abs_diff(then) > then / 10, now < then) {
            (true, true) => GOOD,
            (true, false) => BAD,
            (false, _) => PLAIN,
        };
        page.line(&[
            (
                PLAIN,
                format!("{:>6} {:>10}  → ", one.cpu.to_string(), share(then)),
            ),
            (style, share(now)),
        ]);
    }
}

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
