//! VMs of Proxmox: a node in memory, with a `qm` as strict as the real one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::apply::{
    ApplyError, Machine, Outcome, StepResult, apply, preview, resume, rollback,
};
use crate::base::{CpuSet, Digest, Vmid};
use crate::files::StateDir;
use crate::files::journal::TransactionId;
use crate::hypervisor::Node;
use crate::model::{Change, Objective, Plan, Stage, Target, VmPlan};
use crate::system::fake::{Call, Failure, Fake, qm};

const KSM: &str = "/sys/kernel/mm/ksm/run";

/// As Proxmox writes it, with a snapshot.
const CONF: &str = "#notes%3A cores%3A 9\nballoon: 512\ncores: 2\n\
                    memory: 1024\nname: web\nscsi0: local:disk,size=4G\n\n\
                    [snap]\ncores: 2\nmemory: 512\n";

/// What is planned for each VM.
const CHANGES: [(&str, Option<&str>, Option<&str>); 5] = [
    ("affinity", None, Some("4-7")),
    ("balloon", Some("512"), None),
    ("cores", Some("2"), Some("4")),
    ("numa0/cpus", None, Some("0-3")),
    ("numa0/memory", None, Some("1024")),
];

/// The definition of a VM that has all of that.
const TUNED: &str = "#notes%3A cores%3A 9\naffinity: 4-7\ncores: 4\n\
                     memory: 1024\nname: web\nnuma0: cpus=0-3,memory=1024\n\
                     scsi0: local:disk,size=4G\n\n\
                     [snap]\ncores: 2\nmemory: 512\n";

struct Bench {
    _temp: tempfile::TempDir,
    node: Node,
    system: Fake,
    state: StateDir,
    plan: Plan,
}

fn vmid(n: u32) -> Vmid {
    n.to_string().parse().unwrap()
}

impl Bench {
    /// Makes a node with these VMs, and a plan for them and the host.
    fn new(vms: &[(u32, &str, bool)]) -> Self {
        let temp = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let state = StateDir::open(&temp.path().join("s")).unwrap();
        let system = Fake::new();
        system.put_value(&KSM.parse().unwrap(), "1");
        let mut plan = Plan {
            schema_version: Plan::SCHEMA_VERSION,
            fingerprint: Digest::of(b"facts"),
            host: "this machine".into(),
            connection: "proxmox:///".into(),
            preset: "balanced".into(),
            housekeeping: CpuSet::new(),
            boot_loader: None,
            vms: vec![],
            changes: vec![change(None, KSM, Some("1"), Some("0"))],
            advice: vec![],
            unknown: vec![],
        };
        for (n, text, running) in vms {
            system.put_conf(vmid(*n), Some(text), *running);
            let name = format!("web{n}");
            let vm = Some(name.as_str());
            let all = CHANGES.iter();
            let all = all.map(|(key, from, to)| change(vm, key, *from, *to));
            plan.changes.extend(all);
            plan.vms.push(VmPlan {
                name: name.parse().unwrap(),
                uuid: None,
                vmid: Some(vmid(*n)),
                digest: Digest::of(text.as_bytes()),
                placement: None,
                objective: Objective::default(),
                bound: Objective::default(),
            });
        }
        let node = Node::new("proxmox:///");
        Self { _temp: temp, node, system, state, plan }
    }

    /// One VM that runs and one that does not.
    fn two() -> Self {
        Self::new(&[(101, CONF, false), (102, CONF, true)])
    }

    fn machine(&self) -> Machine<'_> {
        Machine {
            hypervisor: &self.node,
            system: &self.system,
            state: &self.state,
            now: 17,
            clock: &|| Duration::ZERO,
        }
    }

    fn apply(&self) -> Result<Outcome, ApplyError> {
        apply(&self.plan, None, &self.machine())
    }

    fn rollback(&self, force: bool) -> Result<Outcome, ApplyError> {
        rollback(None, force, &self.machine())
    }

    fn all(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        (self.system.state(), self.system.confs())
    }

    fn conf(&self, n: u32) -> String {
        self.system.confs()[&vmid(n)].clone()
    }

    /// Changes a definition, as somebody would with an editor.
    fn edit(&self, n: u32, from: &str, to: &str) {
        let text = self.conf(n).replacen(from, to, 1);
        self.system.put_conf(vmid(n), Some(&text), false);
    }

    /// Returns what `qm` was asked, without its digests.
    fn asked(&self) -> Vec<String> {
        let calls = self.system.calls().into_iter();
        let words = calls.filter_map(|call| match call {
            Call::SetConf(words) => Some(words[..words.len() - 2].join(" ")),
            _ => None,
        });
        words.collect()
    }
}

fn change(
    vm: Option<&str>,
    target: &str,
    from: Option<&str>,
    to: Option<&str>,
) -> Change {
    let target: Target = target.parse().unwrap();
    let stage = match vm {
        Some(_) => Stage::VmStart,
        None => Stage::Now,
    };
    Change {
        rule: "a-rule".into(),
        vm: vm.map(Into::into),
        target,
        from: from.map(Into::into),
        to: to.map(Into::into),
        because: "a test".into(),
        stage,
        trade: None,
    }
}

#[track_caller]
fn clean(outcome: &Outcome) {
    assert!(outcome.failed.is_none(), "{outcome:?}");
    assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
}

#[test]
fn a_plan_is_applied_by_qm_and_undone_to_the_byte() {
    let bench = Bench::new(&[(101, CONF, false)]);
    let start = bench.all();
    let outcome = bench.apply().unwrap();
    clean(&outcome);
    assert_eq!(bench.conf(101), TUNED);
    assert_eq!(outcome.steps[1].place.to_string(), "web101 (101)");
    assert_eq!(outcome.steps[1].result, StepResult::CHANGED);
    assert_eq!(
        bench.asked(),
        ["qm set 101 --affinity 4-7 --cores 4 --numa0 \
          cpus=0-3,memory=1024 --delete balloon"]
    );
    // Made once more, nothing is left to do.
    let mut again = bench.plan.clone();
    again.vms[0].digest = Digest::of(TUNED.as_bytes());
    again.changes.retain(|change| change.vm.is_some());
    let outcome = apply(&again, None, &bench.machine()).unwrap();
    assert_eq!(outcome.transaction, None);
    bench.system.fail(Failure::Never);
    let outcome = bench.rollback(false).unwrap();
    clean(&outcome);
    assert!(outcome.rewritten.is_empty());
    assert_eq!(bench.all(), start);
    assert_eq!(
        bench.asked(),
        ["qm set 101 --balloon 512 --cores 2 --delete affinity,numa0"]
    );
}

#[test]
fn what_waits_for_a_vm_that_runs_counts_and_is_reverted() {
    let bench = Bench::new(&[(101, CONF, true)]);
    let start = bench.all();
    let outcome = bench.apply().unwrap();
    clean(&outcome);
    let StepResult::Changed { normalised, .. } = &outcome.steps[1].result
    else {
        panic!("{:?}", outcome.steps);
    };
    assert_eq!(normalised[0].to_string(), "[PENDING] is new");
    assert!(bench.conf(101).contains("\n[PENDING]\naffinity: 4-7\n"));
    bench.system.fail(Failure::Never);
    clean(&bench.rollback(false).unwrap());
    assert_eq!(bench.all(), start);
    assert_eq!(
        bench.asked(),
        ["qm set 101 --revert affinity,balloon,cores,numa0"]
    );
}

#[test]
fn a_vm_that_was_started_meanwhile_is_undone_to_the_byte() {
    let bench = Bench::new(&[(101, CONF, true)]);
    let start = bench.all();
    clean(&bench.apply().unwrap());
    let text = qm::started(&bench.conf(101));
    assert_eq!(text, TUNED);
    bench.system.put_conf(vmid(101), Some(&text), false);
    clean(&bench.rollback(false).unwrap());
    assert_eq!(bench.all(), start);
}

#[test]
fn a_definition_that_was_edited_is_refused_and_its_key_named() {
    let bench = Bench::two();
    bench.edit(102, "cores: 2", "cores: 3");
    let before = bench.all();
    let error = bench.apply().unwrap_err();
    assert_eq!(
        error.to_string(),
        "cores of web102 changed since the plan was made: the plan found \
         \"2\", and \"3\" is there"
    );
    assert_eq!(bench.all(), before);
    bench.edit(102, "cores: 3", "cores: 2");
    bench.edit(102, "memory: 1024", "memory: 2048");
    let error = bench.apply().unwrap_err();
    assert_eq!(error.to_string(), "web102 changed since the plan was made");
    assert!(bench.asked().is_empty());
}

#[test]
fn what_others_do_to_other_keys_is_kept() {
    let bench = Bench::new(&[(101, CONF, false)]);
    clean(&bench.apply().unwrap());
    let disk = "scsi0: local:disk,size=4G\n";
    bench.edit(101, disk, &format!("{disk}scsi1: local:other\n"));
    bench.edit(101, "name: web", "name: www\nparent: snap");
    let outcome = bench.rollback(false).unwrap();
    clean(&outcome);
    let places: Vec<_> =
        outcome.rewritten.iter().map(ToString::to_string).collect();
    assert_eq!(places, ["web101 (101)"]);
    // This `qm` does not know `parent`, and drops it as Proxmox would.
    let expected = CONF.replacen("name: web", "name: www", 1).replacen(
        disk,
        &format!("{disk}scsi1: local:other\n"),
        1,
    );
    assert_eq!(bench.conf(101), expected);
}

#[test]
fn what_others_do_to_the_same_keys_is_not_lost() {
    let bench = Bench::two();
    let start = bench.all();
    clean(&bench.apply().unwrap());
    bench.edit(101, "cores: 4", "cores: 8");
    let before = bench.all();
    let error = bench.rollback(false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "web101 (101) changed since tx-000001: cores differs"
    );
    assert_eq!(bench.all(), before, "the other VM is not touched either");
    clean(&bench.rollback(true).unwrap());
    assert_eq!(bench.all(), start);
}

#[test]
fn somebody_who_is_quicker_is_not_overwritten() {
    let bench = Bench::new(&[(101, CONF, false)]);
    let quicker = CONF.replacen("cores: 2", "cores: 3", 1);
    bench.system.race(vmid(101), quicker.as_str());
    let outcome = bench.apply().unwrap();
    let failed = outcome.failed.unwrap().in_short();
    assert!(failed.contains("checksum mismatch"), "{failed}");
    // It is not known whose these cores are, so a person must act.
    let left = outcome.rollback_failures[0].in_short();
    assert!(left.contains("somebody else changed it: cores"), "{left}");
    assert_eq!(bench.conf(101), quicker);
}

#[test]
fn a_vm_that_is_locked_is_left_alone() {
    let locked = CONF.replacen("memory", "lock: backup\nmemory", 1);
    let bench = Bench::new(&[(101, &locked, false)]);
    let start = bench.all();
    let outcome = bench.apply().unwrap();
    let failed = outcome.failed.unwrap();
    assert!(failed.in_short().ends_with("VM is locked (backup)"));
    assert!(failed.error.hint().unwrap().starts_with("a backup"));
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!(bench.all(), start);
}

#[test]
fn another_layout_is_said() {
    let by_hand = "name: web\ncores: 2\nmemory: 1024\nballoon: 512\n";
    let bench = Bench::new(&[(101, by_hand, false)]);
    let outcome = bench.apply().unwrap();
    let StepResult::Changed { normalised, .. } = &outcome.steps[1].result
    else {
        panic!("{:?}", outcome.steps);
    };
    assert_eq!(normalised[0].to_string(), "the layout differs");
    let outcome = bench.rollback(false).unwrap();
    clean(&outcome);
    assert_eq!(outcome.rewritten.len(), 1);
    assert_eq!(
        bench.conf(101),
        "balloon: 512\ncores: 2\nmemory: 1024\nname: web\n"
    );
}

/// How many calls a whole apply makes.
fn calls() -> usize {
    let bench = Bench::two();
    bench.system.fail(Failure::Never);
    clean(&bench.apply().unwrap());
    bench.system.calls().len()
}

#[test]
fn one_fault_at_any_call_leaves_the_start_state() {
    for failure in [Failure::Once, Failure::Lost, Failure::Half] {
        for k in 0..calls() {
            let bench = Bench::two();
            let start = bench.all();
            bench.system.fail(failure(k));
            match bench.apply() {
                // What names the boot is not needed.
                Err(ApplyError::System(_)) => {}
                Err(error) => panic!("call {k}: {error}"),
                Ok(outcome) => {
                    let left = &outcome.rollback_failures;
                    assert!(left.is_empty(), "{:?} {left:?}", failure(k));
                    if outcome.failed.is_none() {
                        clean(&bench.rollback(false).unwrap());
                    }
                }
            }
            assert_eq!(bench.all(), start, "{:?}", failure(k));
            bench.system.fail(Failure::Never);
            clean(&bench.apply().unwrap());
        }
    }
}

#[test]
fn a_node_that_fails_from_any_call_on_is_recovered_from() {
    for k in 0..calls() {
        for forward in [true, false] {
            let bench = Bench::two();
            let start = bench.all();
            bench.system.fail(Failure::From(k));
            let result = bench.apply();
            bench.system.fail(Failure::Never);
            let Ok(outcome) = result else {
                assert_eq!(bench.all(), start);
                continue;
            };
            if !outcome.rollback_failures.is_empty() {
                let outcome = match forward {
                    true => resume(&bench.machine()),
                    false => bench.rollback(false),
                };
                clean(&outcome.unwrap());
            }
            assert_eq!(bench.all(), start, "call {k}");
        }
    }
}

/// Expects a refusal that asked nothing of `qm`.
#[track_caller]
fn refused(bench: &Bench) -> ApplyError {
    let before = bench.all();
    let error = bench.apply().unwrap_err();
    assert_eq!(bench.all(), before);
    assert!(bench.asked().is_empty());
    error
}

#[test]
fn what_is_hostile_is_refused_and_no_program_run() {
    for target in ["unused0", "scsi0", "efidisk0", "scsi0/size"] {
        let mut bench = Bench::two();
        bench.plan.changes[1].target = target.parse().unwrap();
        assert!(matches!(refused(&bench), ApplyError::Data { .. }));
    }
    for to in ["4-7\nhookscript: x", " ", "4\u{1b}[2J"] {
        let mut bench = Bench::two();
        bench.plan.changes[1].to = Some(to.into());
        assert!(matches!(refused(&bench), ApplyError::Edit { .. }), "{to}");
    }
    for text in ["rubbish", "cores: 2\nname: \u{1b}[2J\n", "[PENDING\n"] {
        let mut bench = Bench::new(&[(101, text, false)]);
        bench.plan.vms[0].digest = Digest::of(text.as_bytes());
        assert!(matches!(refused(&bench), ApplyError::Edit { .. }), "{text}");
        bench.plan.vms[0].digest = Digest::of(b"another");
        let error = refused(&bench);
        assert!(matches!(error, ApplyError::Definition { .. }), "{text}");
    }
    let mut bench = Bench::two();
    bench.plan.vms[1].vmid = bench.plan.vms[0].vmid;
    assert!(matches!(refused(&bench), ApplyError::Foreign { .. }));
    let mut bench = Bench::two();
    bench.plan.vms[1].vmid = None;
    assert!(matches!(refused(&bench), ApplyError::OtherKind { .. }));
    let bench = Bench::two();
    bench.system.put_conf(vmid(102), None, false);
    assert!(matches!(refused(&bench), ApplyError::Gone { .. }));
    let mut bench = Bench::two();
    bench.plan.connection = "proxmox:///srv/copy".into();
    assert!(matches!(refused(&bench), ApplyError::OtherConnection { .. }));
}

#[test]
fn a_preview_has_the_command_and_touches_nothing() {
    let bench = Bench::new(&[(101, CONF, false)]);
    let before = bench.all();
    let steps = preview(
        &bench.plan,
        None,
        TransactionId(1),
        &bench.node,
        &bench.system,
    )
    .unwrap();
    assert_eq!(steps[1].written.as_deref(), Some(TUNED));
    let command = steps[1].command.join(" ");
    assert!(command.starts_with("qm set 101 --affinity 4-7"), "{command}");
    assert_eq!(bench.all(), before);
    assert!(bench.asked().is_empty());
}

#[test]
fn a_vm_that_has_gone_is_left_out_by_force() {
    let bench = Bench::two();
    clean(&bench.apply().unwrap());
    bench.system.put_conf(vmid(102), None, false);
    let error = bench.rollback(false).unwrap_err();
    assert!(matches!(error, ApplyError::Deleted { .. }), "{error}");
    clean(&bench.rollback(true).unwrap());
    let left: BTreeMap<_, _> = [(vmid(101), CONF.to_owned())].into();
    assert_eq!(bench.system.confs(), left);
}
