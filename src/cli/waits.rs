//! What is prepared and waits for a VM to start or for the host to boot, with
//! the command for it.

use super::proxmox::runs;
use super::report::{self, FAINT, Page};
use crate::apply::{Outcome, StepResult};
use crate::hypervisor::Hypervisor;
use crate::model::{Place, Stage};

/// Writes what waits for which command; nothing where nothing does.
pub(super) fn waits(
    page: &mut Page,
    outcome: &Outcome,
    hypervisor: &dyn Hypervisor,
) {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut boot = false;
    for step in &outcome.steps {
        if step.result == StepResult::AlreadySo {
            continue;
        }
        boot |= step.stage == Stage::HostBoot;
        let (running, name, program, vm) = match &step.place {
            Place::Definition { name, uuid } => {
                // One that cannot be found any more waits for nothing.
                let live = hypervisor.live_definition(uuid);
                let Ok(live) = live else { continue };
                let program = vec!["virsh", "-c", hypervisor.uri()];
                (live.is_some(), name, program, name.to_string())
            }
            Place::Conf { name, vmid } => {
                (runs(*vmid), name, vec!["qm"], vmid.to_string())
            }
            _ => continue,
        };
        let command =
            |what: &str| spelled(program.iter().copied().chain([what, &vm]));
        if running && step.stage == Stage::Now {
            continue;
        }
        if running {
            let text = format!("{name} still runs as it was defined before");
            commands.push((command("shutdown"), text));
        }
        let text = format!("{name} starts as planned");
        commands.push((command("start"), text));
    }
    if boot {
        let text = "the host boots as planned".to_owned();
        commands.push(("systemctl reboot".to_owned(), text));
    }
    if commands.is_empty() {
        return;
    }
    page.gap();
    page.line(&[(FAINT, "to make the rest take effect".to_owned())]);
    let commands: Vec<(&str, &str)> = commands
        .iter()
        .map(|(command, text)| (command.as_str(), text.as_str()))
        .collect();
    report::next(page, &commands);
}

/// Spells a command for a shell.
pub(super) fn spelled<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Spells a word for a shell; most need no quotes.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::apply::StepReport;
    use crate::base::DomainUuid;
    use crate::hypervisor::fake::Fake;

    fn step(place: Place, stage: Stage, result: StepResult) -> StepReport {
        StepReport { place, stage, result, took: Duration::ZERO }
    }

    #[test]
    fn each_wait_has_its_command() {
        let fake = Fake::new();
        let mut steps = Vec::new();
        for (n, name) in ["vm1", "my vm"].into_iter().enumerate() {
            let uuid: DomainUuid = format!("{n:032x}").parse().unwrap();
            let name: crate::base::DomainName = name.parse().unwrap();
            fake.insert(&name, uuid, "<domain/>");
            if n == 0 {
                fake.start(&uuid, 1, "<domain/>");
            }
            let place = Place::Definition { name, uuid };
            let result =
                StepResult::Changed { normalised: vec![], comments_lost: 0 };
            steps.push(step(place, Stage::VmStart, result));
        }
        let file = Place::File("/etc/kernel/cmdline".parse().unwrap());
        let mut outcome = Outcome {
            transaction: None,
            steps: vec![step(file, Stage::HostBoot, StepResult::AlreadySo)],
            failed: None,
            rolled_back: vec![],
            rewritten: vec![],
            gone: vec![],
            rollback_failures: vec![],
        };
        let show = |outcome: &Outcome| {
            let mut page = Page::new(80);
            waits(&mut page, outcome, &fake);
            anstream::adapter::strip_str(&page.into_text()).to_string()
        };
        assert_eq!(show(&outcome), "");
        outcome.steps[0].result = steps[0].result.clone();
        outcome.steps.extend(steps);
        insta::assert_snapshot!(show(&outcome), @"
        to make the rest take effect
          virsh -c fake:///system shutdown vm1   vm1 still runs as it was defined before
          virsh -c fake:///system start vm1      vm1 starts as planned
          virsh -c fake:///system start 'my vm'  my vm starts as planned
          systemctl reboot                       the host boots as planned
        ");
    }
}
