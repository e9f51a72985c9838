//! What the checker found, one finding a paragraph.

use super::count;
use super::page::{BAD, BOLD, FAINT, GOOD, KEY, PLAIN, Page, WARN};
use crate::planner::check::{Finding, Severity};

/// Writes findings; `origin` says where a VM's definition is from.
pub fn findings(
    page: &mut Page,
    findings: &[Finding],
    origin: impl Fn(&str) -> String,
    judged: usize,
) {
    for finding in findings {
        let line = finding.line.map_or_else(String::new, |n| format!(":{n}"));
        let (style, severity) = match finding.severity {
            Severity::Error => (BAD, "error"),
            Severity::Warning => (WARN, "warning"),
        };
        page.flow(
            "",
            "  ",
            &[
                (BOLD, format!("{}{line}:", origin(&finding.vm))),
                (style, format!("{severity}:")),
                (PLAIN, finding.what.clone()),
                (KEY, format!("[{}]", finding.rule)),
            ],
        );
        if !finding.remedy.is_empty() {
            page.row(2, "remedy", &[(FAINT, finding.remedy.clone())]);
        }
    }
    page.gap();
    let judged = count(judged, "VM");
    let summary = if findings.is_empty() {
        (GOOD, format!("{judged} checked, nothing found."))
    } else {
        let n = count(findings.len(), "finding");
        (BOLD, format!("{judged} checked, {n}."))
    };
    page.flow("", "", &[summary]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_name_line_rule_and_remedy() {
        let found = [Finding {
            vm: "vm1".into(),
            rule: "vcpu-pin",
            severity: Severity::Error,
            refused: false,
            line: Some(12),
            what: "vCPU 3 and vCPU 4 both run on CPU 7".into(),
            remedy: "give each vCPU a CPU of its own".into(),
        }];
        let mut page = Page::new(80);
        findings(&mut page, &found, |vm| format!("{vm}.xml"), 2);
        let plain = anstream::adapter::strip_str(&page.into_text()).to_string();
        insta::assert_snapshot!(plain, @r"
        vm1.xml:12: error: vCPU 3 and vCPU 4 both run on CPU 7 [vcpu-pin]
          remedy     give each vCPU a CPU of its own

        2 VMs checked, 1 finding.
        ");
    }
}
