//! Files, values and programs of the host.

use super::bench::{Bench, path};
use crate::apply::{ApplyError, Outcome, StepError, StepResult};
use crate::model::facts::BootLoader;
use crate::model::{Place, Program, Service, Stage};
use crate::system::fake::{Call, Failure};

const KSM: &str = "/sys/kernel/mm/ksm/run";
const POOL: &str = "/sys/devices/system/node/node0/hugepages/\
                    hugepages-1048576kB/nr_hugepages";
const SLICE: &str = "/etc/systemd/system/system.slice.d/90-vmtune.conf";
const BANNED: &str = "/etc/systemd/system/irqbalance.service.d/90-vmtune.conf";
const SYSCTL: &str = "/etc/sysctl.d/90-vmtune.conf";
const CMDLINE: &str = "/etc/kernel/cmdline";

/// A host with one of everything.
fn bench() -> Bench {
    let mut bench = Bench::new(&["vm1"])
        .with(KSM, Some("1"), Some("0"), Stage::Now)
        .with(SLICE, None, Some("[Slice]\nAllowedCPUs=0\n"), Stage::Now)
        .with(SYSCTL, Some("a = 1\n"), Some("a = 2\n"), Stage::HostBoot)
        .with(POOL, Some("0"), Some("8"), Stage::Now)
        .with(BANNED, Some("[Service]\n"), None, Stage::Now)
        .with("/etc/kernel/cmdline#quiet", Some(""), None, Stage::HostBoot)
        .with(
            "/etc/kernel/cmdline#isolcpus",
            Some("1"),
            Some("2-3"),
            Stage::HostBoot,
        );
    let text = "root=/dev/vda1 isolcpus=1 quiet\n";
    bench.system.put_file(&path(CMDLINE), Some(text));
    bench.plan.boot_loader = Some(BootLoader::SystemdBoot);
    bench
}

fn places(outcome: &Outcome) -> Vec<String> {
    outcome.steps.iter().map(|step| step.place.to_string()).collect()
}

fn clean(outcome: &Outcome) -> bool {
    outcome.failed.is_none() && outcome.rollback_failures.is_empty()
}

#[test]
fn places_of_all_kinds_are_changed_in_order_and_undone() {
    let bench = bench();
    let start = (bench.system.state(), bench.fake.definitions());
    let outcome = bench.apply().unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!(
        places(&outcome),
        [
            SLICE,
            SYSCTL,
            BANNED,
            CMDLINE,
            "kernel-install add",
            "systemctl daemon-reload",
            "systemctl try-restart irqbalance.service",
            KSM,
            POOL,
            "vm1",
        ]
    );
    let stages: Vec<_> = outcome.steps.iter().map(|one| one.stage).collect();
    let (now, boot) = (Stage::Now, Stage::HostBoot);
    assert_eq!(
        stages,
        [now, boot, now, boot, boot, now, now, now, now, Stage::VmStart]
    );
    let state = bench.system.state();
    assert_eq!(state[&path(KSM)], "0");
    assert_eq!(state[&path(POOL)], "8");
    assert_eq!(state[&path(CMDLINE)], "root=/dev/vda1 isolcpus=2-3\n");
    assert!(!state.contains_key(&path(BANNED)));

    bench.system.fail(Failure::Never);
    let outcome = bench.rollback(false).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!((bench.system.state(), bench.fake.definitions()), start);
    let back: Vec<_> =
        outcome.rolled_back.iter().map(ToString::to_string).collect();
    assert_eq!(
        back,
        [
            "vm1",
            POOL,
            KSM,
            CMDLINE,
            BANNED,
            SYSCTL,
            SLICE,
            "kernel-install add",
            "systemctl daemon-reload",
            "systemctl try-restart irqbalance.service",
        ],
        "programs run once all files are back"
    );
}

/// systemd sets a cpuset itself when it reads a drop-in. What was there has
/// to be in the journal by then, also where vmtune is killed in between.
#[test]
fn cpusets_are_set_before_systemd_sets_them() {
    let group = |unit: &str| format!("/sys/fs/cgroup/{unit}/cpuset.cpus");
    let (system, init) = (group("system.slice"), group("init.scope"));
    let bench = Bench::new(&[])
        .with(KSM, Some("1"), Some("0"), Stage::Now)
        .with(&system, Some("0-3"), Some("0-1"), Stage::Now)
        .with(SLICE, None, Some("[Slice]\nAllowedCPUs=0-1\n"), Stage::Now)
        .with(&init, Some("0-3"), Some("0-1"), Stage::Now);
    let outcome = bench.apply().unwrap();
    assert_eq!(
        places(&outcome),
        [&*system, &init, SLICE, "systemctl daemon-reload", KSM]
    );
}

#[test]
fn a_program_runs_only_where_one_of_its_files_changes() {
    let bench = bench();
    bench.system.put_file(&path(BANNED), None);
    bench.system.put_file(&path(CMDLINE), Some("isolcpus=2-3\n"));
    let outcome = bench.apply().unwrap();
    assert!(clean(&outcome));
    assert_eq!(bench.system.ran(), [Program::DaemonReload]);
    let so = |place: &str| {
        let mut steps = outcome.steps.iter();
        let step = steps.find(|step| step.place.to_string() == place);
        step.unwrap().result == StepResult::AlreadySo
    };
    assert!(so(BANNED) && so(CMDLINE) && !so(SLICE));
    // Only what was changed is undone.
    bench.system.fail(Failure::Never);
    let _ = bench.rollback(false).unwrap();
    assert_eq!(bench.system.ran(), [Program::DaemonReload]);
    assert_eq!(bench.system.state()[&path(CMDLINE)], "isolcpus=2-3\n");
}

#[test]
fn what_is_so_by_another_spelling_is_left_alone() {
    let irq = "/proc/irq/24/smp_affinity_list";
    let bench = Bench::new(&[])
        .with(irq, Some("0-3"), Some("0,1"), Stage::Now)
        .with(KSM, Some("1"), Some("0"), Stage::Now);
    bench.system.put_value(&path(irq), "0-1");
    bench.system.put_value(&path(KSM), "00");
    let outcome = bench.apply().unwrap();
    assert_eq!(outcome.transaction, None);
    let written = |call: &Call| matches!(call, Call::SetValue(..));
    assert!(!bench.system.calls().iter().any(written));
}

/// Expects a refusal that touched nothing; returns its text.
#[track_caller]
fn refused(bench: &Bench) -> String {
    let before = (bench.system.state(), bench.fake.definitions());
    let error = bench.apply().unwrap_err();
    assert_eq!((bench.system.state(), bench.fake.definitions()), before);
    assert!(!bench.journal_file(1).exists());
    assert!(error.hint().unwrap().contains("nothing was changed"), "{error}");
    error.to_string()
}

#[test]
fn a_place_that_changed_makes_the_plan_stale() {
    let other = bench();
    other.system.put_value(&path(KSM), "2");
    assert_eq!(
        refused(&other),
        format!(
            "{KSM} changed since the plan was made: the plan found \"1\", and \
             \"2\" is there"
        )
    );
    let other = bench();
    other.system.put_file(&path(SYSCTL), None);
    other.system.put_file(&path(SLICE), Some("a\nb\n"));
    assert_eq!(
        refused(&other),
        format!(
            "{SLICE}, {SYSCTL} changed since the plan was made: the plan found \
             nothing, and another text is there; the plan found \"a = 1\\n\", \
             and nothing is there"
        )
    );
    let other = bench();
    let text = "root=/dev/vda1 isolcpus=9 quiet\n";
    other.system.put_file(&path(CMDLINE), Some(text));
    assert_eq!(
        refused(&other),
        "/etc/kernel/cmdline#isolcpus changed since the plan was made: the \
         plan found \"1\", and \"9\" is there"
    );
    let other = bench();
    other.system.remove_value(&path(POOL));
    assert!(refused(&other).ends_with("\"0\", and nothing is there"));
}

#[test]
fn a_definition_that_changed_says_where() {
    let mut bench = Bench::new(&["vm1"]);
    let target = "/domain/vcpu/@placement".parse().unwrap();
    bench.plan.changes[0].target = crate::model::Target::Definition(target);
    bench.plan.changes[0].from = Some("static".into());
    bench.edit("vm1", |text| text.replace("static", "auto"));
    assert_eq!(
        refused(&bench),
        "/domain/vcpu/@placement of vm1 changed since the plan was made: the \
         plan found \"static\", and \"auto\" is there"
    );
}

#[test]
fn a_plan_that_leaves_a_choice_is_refused() {
    let mut unknown = bench();
    unknown.plan.boot_loader = None;
    assert!(refused(&unknown).contains("what makes /etc/kernel/cmdline take"));
    let twice = bench().with(KSM, Some("1"), Some("2"), Stage::Now);
    assert!(refused(&twice).contains(&format!("{KSM} twice")));
    let twice = bench().with(CMDLINE, None, Some("x\n"), Stage::Now);
    assert!(refused(&twice).contains("in two ways"));
    let away = bench().with("/sys/a/b", Some("1"), None, Stage::Now);
    assert!(refused(&away).contains("/sys/a/b"));
    let mut of_vm = bench();
    of_vm.plan.changes[1].vm = Some("vm1".into());
    assert!(refused(&of_vm).contains(KSM));
    let lines = bench();
    lines.system.put_file(&path(CMDLINE), Some("a\nb\n"));
    let said = refused(&lines);
    assert!(said.contains("/etc/kernel/cmdline"), "{said}");
}

#[test]
fn a_pool_that_is_filled_in_part_is_emptied_again() {
    let bench = bench();
    let start = (bench.system.state(), bench.fake.definitions());
    bench.system.set_kernel(|path, _, written| {
        let pool = path.name() == "nr_hugepages" && written == "8";
        if pool { "5".into() } else { written.into() }
    });
    let outcome = bench.apply().unwrap();
    let failed = outcome.failed.unwrap();
    assert_eq!(failed.place, Some(Place::Kernel(path(POOL))));
    assert!(matches!(failed.error, StepError::NotTaken { .. }));
    assert_eq!(
        failed.in_short(),
        format!("{POOL}: \"8\" was written, and it is \"5\" now")
    );
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!((bench.system.state(), bench.fake.definitions()), start);
}

#[test]
fn a_program_that_fails_takes_its_files_back() {
    let bench = bench();
    let start = bench.system.state();
    bench.system.fail(Failure::Never);
    let _ = bench.apply().unwrap();
    let reload = Call::Run(Program::DaemonReload);
    let mut calls = bench.system.calls().into_iter();
    let at = calls.position(|call| call == reload).unwrap();
    let _ = bench.rollback(false).unwrap();

    bench.system.fail(Failure::Once(at));
    let outcome = bench.apply().unwrap();
    let place = Some(Place::Program(Program::DaemonReload));
    assert_eq!(outcome.failed.unwrap().place, place);
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!(bench.system.state(), start);
    // Those of files that were written run again, begun or not.
    let ran = bench.system.ran();
    assert_eq!(
        ran[2..],
        [
            Program::KernelInstall,
            Program::DaemonReload,
            Program::TryRestart(Service::Irqbalance)
        ]
    );
}

#[test]
fn what_was_changed_since_is_not_lost_by_a_rollback() {
    let bench = bench();
    let start = (bench.system.state(), bench.fake.definitions());
    let _ = bench.apply().unwrap();
    bench.system.put_value(&path(KSM), "2");
    bench.system.put_file(&path(SYSCTL), Some("mine\nalone\n"));
    let before = bench.system.state();
    let error = bench.rollback(false).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{SYSCTL}, {KSM} changed since tx-000001: it holds another text; \
             it is \"2\", not \"0\""
        )
    );
    assert_eq!(bench.system.state(), before);
    let outcome = bench.rollback(true).unwrap();
    assert!(clean(&outcome));
    assert_eq!((bench.system.state(), bench.fake.definitions()), start);
}

#[test]
fn a_value_that_has_gone_is_left_out_by_force_alone() {
    let bench = bench();
    let _ = bench.apply().unwrap();
    bench.system.remove_value(&path(POOL));
    let error = bench.rollback(false).unwrap_err();
    assert!(matches!(error, ApplyError::Deleted { .. }), "{error}");
    let outcome = bench.rollback(true).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!(bench.system.state()[&path(KSM)], "1");
}

#[test]
fn a_value_that_cannot_go_back_is_said() {
    let bench = bench();
    let _ = bench.apply().unwrap();
    // Pages that a VM uses cannot be taken away.
    bench.system.set_kernel(|path, before, written| {
        let pool = path.name() == "nr_hugepages";
        if pool { before.into() } else { written.into() }
    });
    let outcome = bench.rollback(false).unwrap();
    let left = &outcome.rollback_failures[..];
    let [left] = left else { panic!("{left:?}") };
    assert_eq!(
        left.in_short(),
        format!(
            "{POOL}: what was there before came back changed: it is \"8\", \
             not \"0\""
        )
    );
    bench.system.set_kernel(|_, _, written| written.into());
    assert!(clean(&bench.rollback(false).unwrap()));
}

#[test]
fn a_plan_for_the_host_goes_to_no_other_machine() {
    let mut bench = bench();
    let uri = "qemu+ssh://kvm1/system";
    bench.plan.connection = uri.into();
    bench.fake = std::mem::take(&mut bench.fake).called(uri);
    assert_eq!(
        refused(&bench),
        "the plan changes settings of the host, and qemu+ssh://kvm1/system \
         leads to another machine"
    );
    // The definitions of another machine can be changed from here.
    bench.plan.changes.retain(|change| change.vm.is_some());
    assert!(clean(&bench.apply().unwrap()));
}
