//! What of a VM is tuned while it runs: the CPUs of its threads.
//!
//! As a place of a transaction it has a text, a line each thread, so that it
//! is read, written, compared and put back like any other. The first line has
//! the number of the run: one that the VM was started anew for has nothing
//! of what was done to the one before. Schedulers and all else of a
//! definition are not here: libvirt has no call that sets them while a VM
//! runs.

use std::collections::BTreeMap;

use super::StepError;
use crate::base::{
    CpuSet, DomainName, DomainUuid, Leaf, Predicate, VcpuId, XmlPath,
};
use crate::definition;
use crate::hypervisor::{Hypervisor, LivePins};
use crate::model::{Change, Plan, Role, Stage, Target};

/// Returns the thread that a change moves while the VM runs; `None` for one
/// that waits for the VM to start.
pub(super) fn thread(change: &Change) -> Option<Role> {
    let Target::Definition(path) = &change.target else { return None };
    let now = change.stage == Stage::Now && change.to.is_some();
    if !now || path.leaf != Leaf::Attribute("cpuset".to_owned()) {
        return None;
    }
    let number = |name: &str| match &path.steps.last()?.predicates[..] {
        [Predicate::Attribute(of, n)] if of == name => n.parse().ok(),
        _ => None,
    };
    match pattern(path).as_str() {
        "/domain/cputune/vcpupin" => number("vcpu").map(VcpuId).map(Role::Vcpu),
        "/domain/cputune/iothreadpin" => number("iothread").map(Role::IoThread),
        "/domain/cputune/emulatorpin" => Some(Role::Emulator),
        _ => None,
    }
}

fn pattern(path: &XmlPath) -> String {
    XmlPath { leaf: Leaf::Element, ..path.clone() }.pattern()
}

/// Spells where the threads of a run may run.
pub(super) fn text(pins: &LivePins) -> String {
    let mut text = format!("run {}\n", pins.run);
    for (thread, cpus) in &pins.cpus {
        text += &match thread {
            Role::Vcpu(vcpu) => format!("vcpu {vcpu} {cpus}\n"),
            Role::IoThread(id) => format!("iothread {id} {cpus}\n"),
            Role::Emulator | Role::Vhost => format!("emulator {cpus}\n"),
        };
    }
    text
}

/// Reads such a text; a line that says nothing is left out.
fn read(text: &str) -> LivePins {
    let mut pins = LivePins::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let pin = match words[..] {
            ["run", run] => {
                pins.run = run.parse().unwrap_or_default();
                None
            }
            ["vcpu", n, cpus] => {
                let vcpu = n.parse().ok().map(VcpuId).map(Role::Vcpu);
                vcpu.zip(cpus.parse().ok())
            }
            ["iothread", n, cpus] => {
                n.parse().ok().map(Role::IoThread).zip(cpus.parse().ok())
            }
            ["emulator", cpus] => Some(Role::Emulator).zip(cpus.parse().ok()),
            _ => None,
        };
        pins.cpus.extend(pin);
    }
    pins
}

/// Returns whether a run, by its definition, has its memory where the plan
/// has it; a plan that places nothing does not say.
pub(super) fn fits(plan: &Plan, vm: &DomainName, run: &str) -> bool {
    let mut planned = plan.vms.iter().filter(|one| one.name == *vm);
    let placement = planned.find_map(|one| one.placement.as_ref());
    placement.is_none_or(|placement| {
        definition::read(run).is_ok_and(|run| placement.has_memory_of(&run))
    })
}

/// Returns the text with these changes made. A thread that the run does not
/// have is left to the VM's next start.
pub(super) fn changed(text: &str, changes: &[&Change]) -> String {
    let mut pins = read(text);
    for change in changes {
        let to: Option<CpuSet> =
            change.to.as_deref().and_then(|to| to.parse().ok());
        let pin = thread(change).and_then(|role| pins.cpus.get_mut(&role));
        if let (Some(pin), Some(to)) = (pin, to) {
            *pin = to;
        }
    }
    self::text(&pins)
}

/// Moves the threads that are elsewhere than a text says; none where one
/// would break a partition. `isolated` are the CPUs of partitions.
pub(super) fn put(
    hypervisor: &dyn Hypervisor,
    uuid: &DomainUuid,
    text: &str,
    isolated: &CpuSet,
) -> Result<(), StepError> {
    let now = hypervisor.pins(uuid)?.unwrap_or_default().cpus;
    let mut moves = read(text).cpus;
    moves.retain(|thread, cpus| now.get(thread) != Some(cpus));
    // The kernel lets a thread from outside in, and gives up the partition.
    for (thread, cpus) in &moves {
        let outside = now.get(thread).is_some_and(|is| !is.is_subset(isolated));
        let cpus = cpus.intersection(isolated);
        if outside && !cpus.is_empty() {
            return Err(StepError::Partition { thread: *thread, cpus });
        }
    }
    for (thread, cpus) in moves {
        hypervisor.pin(uuid, thread, &cpus)?;
    }
    Ok(())
}

/// Returns whether two texts are of the same run.
pub(super) fn is_same_run(one: Option<&str>, other: Option<&str>) -> bool {
    let run = |text: Option<&str>| text.map(|text| read(text).run);
    run(one).is_some() && run(one) == run(other)
}

/// Returns whether each thread is where one of two texts has it, as when a
/// step was cut off between two threads.
pub(super) fn is_between(text: &str, one: &str, other: &str) -> bool {
    let [text, one, other] = [text, one, other].map(|text| read(text).cpus);
    text.keys().eq(one.keys())
        && text.iter().all(|(thread, cpus)| {
            [&one, &other].iter().any(|it| it.get(thread) == Some(cpus))
        })
}

/// Says which threads are elsewhere than they were expected.
pub(super) fn moved(expected: &str, found: &str) -> Vec<String> {
    let [expected, found] = [expected, found].map(|text| read(text).cpus);
    let show = |all: &BTreeMap<Role, CpuSet>, thread| match all.get(thread) {
        Some(cpus) => format!("on CPUs {cpus}"),
        None => "not there".to_owned(),
    };
    let all: BTreeMap<_, _> = expected.iter().chain(&found).collect();
    let moved =
        all.into_keys().filter(|one| expected.get(one) != found.get(one));
    moved
        .map(|thread| {
            let (is, was) = (show(&found, thread), show(&expected, thread));
            format!("{thread} is {is}, and was {was}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "run 3\nvcpu 0 4\nvcpu 1 5,21\niothread 1 0-1\nemulator 0,16\n";

    fn change(target: &str, to: Option<&str>, stage: Stage) -> Change {
        Change {
            rule: "test".into(),
            vm: Some("vm1".into()),
            target: target.parse().unwrap(),
            from: None,
            to: to.map(Into::into),
            because: String::new(),
            stage,
            trade: None,
        }
    }

    #[test]
    fn the_text_is_read_as_it_is_written() {
        assert_eq!(text(&read(TEXT)), TEXT);
        assert!(is_same_run(Some(TEXT), Some("run 3\n")));
        assert!(!is_same_run(Some(TEXT), Some("run 4\n")));
        assert!(!is_same_run(Some(TEXT), None) && !is_same_run(None, None));
    }

    #[test]
    fn pins_that_take_effect_at_once_are_changed() {
        let vcpu = "/domain/cputune/vcpupin[@vcpu='1']/@cpuset";
        let io = "/domain/cputune/iothreadpin[@iothread='1']/@cpuset";
        let emulator = "/domain/cputune/emulatorpin/@cpuset";
        let now = |target, to| change(target, Some(to), Stage::Now);
        let later = change(vcpu, Some("9"), Stage::VmStart);
        let gone = change(vcpu, None, Stage::Now);
        let other = now("/domain/vcpu/@cpuset", "9");
        let sched = now("/domain/cputune/vcpusched[@vcpus='1']/@priority", "9");
        for one in [&later, &gone, &other, &sched] {
            assert_eq!(thread(one), None, "{one:?}");
            assert_eq!(changed(TEXT, &[one]), TEXT);
        }
        // A vCPU that is not plugged in gets its pin at the next start.
        let absent = now("/domain/cputune/vcpupin[@vcpu='7']/@cpuset", "9");
        assert_eq!(changed(TEXT, &[&absent]), TEXT);
        let all = [now(vcpu, "7,6"), now(io, "2"), now(emulator, "3")];
        assert_eq!(
            changed(TEXT, &all.iter().collect::<Vec<_>>()),
            "run 3\nvcpu 0 4\nvcpu 1 6-7\niothread 1 2\nemulator 3\n"
        );
    }

    #[test]
    fn threads_are_where_one_text_has_them_or_the_other() {
        let to = TEXT.replace("5,21", "6").replace("0,16", "9");
        let half = TEXT.replace("5,21", "6");
        assert!(is_between(&half, TEXT, &to) && is_between(&to, TEXT, &to));
        let other = TEXT.replace("5,21", "7");
        assert!(!is_between(&other, TEXT, &to));
        let fewer = TEXT.replace("vcpu 1 5,21\n", "");
        assert!(!is_between(&fewer, TEXT, &to));
        assert_eq!(
            moved(TEXT, &other),
            ["vCPU 1 is on CPUs 7, and was on CPUs 5,21"]
        );
        assert_eq!(
            moved(TEXT, &fewer),
            ["vCPU 1 is not there, and was on CPUs 5,21"]
        );
    }
}
