//! What holds and what has drifted, VM by VM.

use super::count;
use super::page::{BAD, BOLD, FAINT, GOOD, PLAIN, Page, WARN};
use crate::drift::{Finding, State};
use crate::model::Stage;

/// Writes the statements that do not hold, and how many do; all of them where
/// more is wanted.
pub fn status(page: &mut Page, findings: &[Finding], verbose: bool) {
    if findings.is_empty() {
        page.line(&[(FAINT, "nothing that was applied stands".into())]);
        return;
    }
    let mut subjects: Vec<_> = findings.iter().map(|f| &f.vm).collect();
    subjects.dedup();
    for subject in subjects {
        let mine: Vec<_> =
            findings.iter().filter(|f| f.vm == *subject).collect();
        let name = subject.as_ref().map_or("host", |name| name.as_str());
        page.line(&[(BOLD, name.to_owned())]);
        let holds = |f: &&&Finding| f.state == State::Holds;
        for finding in &mine {
            if verbose || finding.state != State::Holds {
                line(page, finding);
            }
        }
        let holding = mine.iter().filter(holds).count();
        if holding > 0 && !verbose {
            let text = format!("{} as planned", count(holding, "statement"));
            page.flow("  ", "    ", &[(GOOD, text)]);
        }
        page.gap();
    }
    let drifted = findings.iter().filter(|f| f.is_drift()).count();
    let summary = if drifted == 0 {
        (GOOD, "Nothing has drifted.".to_owned())
    } else {
        let verb = if drifted == 1 { "has" } else { "have" };
        let text = format!("{} {verb} drifted.", count(drifted, "statement"));
        (BAD, text)
    };
    page.flow("", "", &[summary]);
}

fn line(page: &mut Page, finding: &Finding) {
    let what = (PLAIN, format!("{}:", finding.what));
    let planned = (FAINT, format!("planned {}", finding.planned));
    let spans = match &finding.state {
        State::Holds => vec![what, (GOOD, finding.planned.clone())],
        State::Drifted { found } => {
            vec![what, (BAD, format!("{found},")), planned]
        }
        State::Waits { stage } => {
            let when = match stage {
                Stage::Now => "waits for `vmtune apply`,",
                Stage::VmStart => "waits for the VM to start,",
                Stage::HostBoot => "waits for the host to boot,",
            };
            vec![what, (WARN, when.to_owned()), planned]
        }
        State::Unknown { why } => {
            vec![what, (WARN, format!("not known ({why}),")), planned]
        }
    };
    page.flow("  ", "    ", &spans);
    if let Some(note) = &finding.note {
        page.flow("    ", "    ", &[(FAINT, note.clone())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(vm: Option<&str>, what: &str, state: State) -> Finding {
        Finding {
            vm: vm.map(|vm| vm.parse().unwrap()),
            what: what.into(),
            planned: "CPUs 3".into(),
            state,
            note: None,
        }
    }

    #[test]
    fn what_does_not_hold_is_told() {
        let found = "CPUs 7".to_owned();
        let why = "no root".to_owned();
        let mut moved =
            finding(Some("vm1"), "vCPU 1", State::Drifted { found });
        moved.note = Some("its control group allows CPUs 0-7".to_owned());
        let findings = [
            finding(Some("vm1"), "vCPU 0", State::Holds),
            moved,
            finding(Some("vm1"), "memory", State::Unknown { why }),
            finding(
                None,
                "/etc/kernel/cmdline#isolcpus",
                State::Waits { stage: Stage::HostBoot },
            ),
        ];
        let mut page = Page::new(80);
        status(&mut page, &findings, false);
        let plain = anstream::adapter::strip_str(&page.into_text()).to_string();
        insta::assert_snapshot!(plain, @r"
        vm1
          vCPU 1: CPUs 7, planned CPUs 3
            its control group allows CPUs 0-7
          memory: not known (no root), planned CPUs 3
          1 statement as planned

        host
          /etc/kernel/cmdline#isolcpus: waits for the host to boot, planned CPUs 3

        1 statement has drifted.
        ");
    }
}
