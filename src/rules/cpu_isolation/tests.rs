//! What becomes of units and arguments that are there, or are not.

use super::*;
use crate::model::Fact;
use crate::model::domain::Dialect;
use crate::model::policy::VmPolicy;
use crate::rules::fixture::cpus;
use crate::rules::host_fixture::HostCase;

const SYSTEM: &str = "/etc/systemd/system/system.slice.d/90-vmtune.conf";
const BOOT: &str = "/etc/kernel/cmdline";

fn by_kernel() -> HostCase {
    let mut case = HostCase::new();
    case.policy.cpu.isolation = Isolation::Kernel;
    case
}

#[test]
fn the_hosts_units_get_the_other_cpus() {
    let mut case = HostCase::new();
    let text = |unit: &str, section: &str| {
        format!(
            "/etc/systemd/system/{unit}.d/90-vmtune.conf = [{section}]|\
             AllowedCPUs=|AllowedCPUs=0-3,8-31"
        )
    };
    assert_eq!(
        case.edits(&RULE),
        [
            text("system.slice", "Slice"),
            text("user.slice", "Slice"),
            text("init.scope", "Scope"),
        ]
    );
    assert_eq!(case.advice(&RULE), [""; 0]);
    case.settle(&RULE);
    assert!(case.satisfied(&RULE));
    // Another VM comes: the files are written anew.
    case.others = cpus("8");
    assert!(case.edits(&RULE)[0].ends_with("AllowedCPUs=0-3,9-31"));
    case.settle(&RULE);
}

/// systemd does not take a limit back from a running group.
#[test]
fn groups_that_have_a_cpuset_are_set_and_freed() {
    const SYSTEM_GROUP: &str = "/sys/fs/cgroup/system.slice/cpuset.cpus";
    const INIT_GROUP: &str = "/sys/fs/cgroup/init.scope/cpuset.cpus";
    let mut case = HostCase::new();
    case.stands(SYSTEM_GROUP, Some("0-31"));
    case.stands(INIT_GROUP, Some("0-31"));
    let edits = case.edits(&RULE);
    assert_eq!(edits.len(), 5);
    assert_eq!(edits[0], format!("{SYSTEM_GROUP} = 0-3,8-31"));
    assert!(edits[1].starts_with(SYSTEM));
    assert_eq!(edits[3], format!("{INIT_GROUP} = 0-3,8-31"));
    case.settle(&RULE);
    assert!(case.satisfied(&RULE));
    // What somebody does besides is found.
    case.stands(INIT_GROUP, Some("0-31"));
    assert_eq!(case.edits(&RULE), [format!("{INIT_GROUP} = 0-3,8-31")]);
    case.policy.cpu.isolation = Isolation::None;
    let edits = case.edits(&RULE);
    assert_eq!(edits[0], format!("{SYSTEM_GROUP} = 0-31"));
    assert_eq!(edits[1], format!("{SYSTEM} removed"), "init.scope has all");
    case.settle(&RULE);
}

#[test]
fn it_takes_effect_at_once_and_costs_the_host() {
    let Verdict::Change { edits, .. } = HostCase::new().verdict(&RULE) else {
        panic!("nothing is changed");
    };
    assert_eq!(edits[0].stage, Stage::Now);
    assert_eq!(
        edits[0].because,
        "VMs have CPUs 4-7 to themselves (/sys/devices/system)"
    );
    let trade = edits[0].trade.as_deref().unwrap();
    assert!(trade.contains("28 of 32 CPUs"), "{trade}");
}

#[test]
fn siblings_that_must_stay_idle_are_kept_free_too() {
    let mut case = HostCase::new();
    case.placement.reserved = cpus("20-23");
    assert!(case.edits(&RULE)[0].ends_with("=0-3,8-19,24-31"));
}

#[test]
fn nobody_is_sent_away_for_vms_that_float() {
    let mut case = HostCase::new();
    case.placement.exclusive = false;
    assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    let mut case = HostCase::new();
    case.policy.cpu.isolation = Isolation::None;
    assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
}

#[test]
fn one_vm_may_have_a_policy_of_its_own() {
    let mut case = HostCase::new();
    case.others = cpus("8-9");
    let mut table = VmPolicy::default();
    table.cpu.isolation = Some(Isolation::None);
    case.policy.vm.insert("vm1".to_owned(), table.clone());
    assert!(case.edits(&RULE)[0].ends_with("AllowedCPUs=0-7,10-31"));
    // Those that the kernel will isolate are no home for services either.
    table.cpu.isolation = Some(Isolation::Kernel);
    case.policy.vm.insert("vm1".to_owned(), table);
    let edits = case.edits(&RULE);
    assert!(edits[0].ends_with("AllowedCPUs=0-3,10-31"), "{edits:?}");
    assert!(edits[3].ends_with("isolcpus = managed_irq,domain,4-7"));
}

/// Trap: isolcpus= spreads no load, and Proxmox pins no thread of its own.
#[test]
fn threads_that_share_a_set_are_not_isolated_by_the_kernel() {
    let mut case = by_kernel();
    case.domain.dialect = Dialect::Proxmox(None);
    let edits = case.edits(&RULE);
    assert!(edits.iter().all(|edit| !edit.contains("isolcpus")), "{edits:?}");
    assert!(edits[0].ends_with("AllowedCPUs=0-3,8-31"));
    assert!(case.advice(&RULE)[0].starts_with("the CPUs of vm1 are not"));
}

#[test]
fn what_an_earlier_plan_left_goes() {
    let mut case = HostCase::new();
    case.settle(&RULE);
    case.policy.cpu.isolation = Isolation::None;
    assert_eq!(case.edits(&RULE)[0], format!("{SYSTEM} removed"));
    case.settle(&RULE);
    let mut case = HostCase::new();
    case.settle(&RULE);
    case.policy.cpu.isolation = Isolation::Kernel;
    assert_eq!(case.edits(&RULE)[0], format!("{SYSTEM} removed"));
    assert_eq!(case.edits(&RULE).len(), 3 + 4);
    case.settle(&RULE);
    assert!(case.satisfied(&RULE));
}

#[test]
fn without_cpusets_it_is_advice() {
    for (systemd, controllers) in [(false, vec!["cpuset"]), (true, vec!["io"])]
    {
        let mut case = HostCase::new();
        case.facts.services.systemd = Fact::known(systemd, "made up");
        let controllers = controllers.into_iter().map(str::to_owned).collect();
        case.facts.services.cgroup_controllers =
            Fact::known(controllers, "made up");
        assert_eq!(case.edits(&RULE), [""; 0]);
        assert!(case.advice(&RULE)[0].contains("isolation = \"kernel\""));
    }
}

#[test]
fn what_is_not_known_is_said() {
    let mut case = HostCase::new();
    case.facts.services.systemd = Fact::unknown("no /run");
    assert_eq!(case.unknown(&RULE), Some("systemd"));
    let mut case = HostCase::new();
    case.facts.services.lines_of_others = Fact::unknown("no /etc");
    assert_eq!(case.unknown(&RULE), Some("settings of others"));
    let mut case = by_kernel();
    case.facts.kernel.boot_arguments = Fact::unknown("no boot loader");
    let fact = "kernel arguments for the next boot";
    assert_eq!(case.unknown(&RULE), Some(fact));
}

#[test]
fn a_unit_that_somebody_else_limits_is_theirs() {
    let file = "/etc/systemd/system.control/user.slice.d/50-AllowedCPUs.conf";
    let mut case = HostCase::new();
    case.other(file, "AllowedCPUs=0-5");
    assert_eq!(case.edits(&RULE).len(), 2);
    let advice = case.advice(&RULE);
    assert!(advice[0].starts_with(file), "{advice:?}");
    assert!(advice[0].contains("take CPUs 4-7 out of it"), "{advice:?}");
    case.other(file, "AllowedCPUs=0-3");
    assert_eq!(case.advice(&RULE), [""; 0]);
    assert_eq!(case.edits(&RULE).len(), 2);
    case.settle(&RULE);
    assert!(case.satisfied(&RULE));
    // A line that is not understood may hold the VMs' CPUs.
    case.other(file, "AllowedCPUs=0 1 2");
    assert_eq!(case.advice(&RULE).len(), 1);
}

#[test]
fn vms_on_all_cpus_leave_nothing_to_give() {
    let mut case = HostCase::new();
    case.others = case.facts.topology.online.clone();
    assert_eq!(case.edits(&RULE), [""; 0]);
    assert!(case.advice(&RULE)[0].contains("none is left"));
}

#[test]
fn the_kernel_isolates_from_the_next_boot() {
    let mut case = by_kernel();
    assert_eq!(
        case.edits(&RULE),
        [
            format!("{BOOT}#isolcpus = managed_irq,domain,4-7"),
            format!("{BOOT}#nohz_full = 4-7"),
            format!("{BOOT}#rcu_nocbs = 4-7"),
            format!("{BOOT}#irqaffinity = 0,16"),
        ]
    );
    let Verdict::Change { edits, .. } = case.verdict(&RULE) else {
        panic!("nothing is changed");
    };
    assert!(edits.iter().all(|edit| edit.stage == Stage::HostBoot));
    assert!(edits[0].trade.as_deref().unwrap().contains("CPUs 4-7"));
    case.settle(&RULE);
    assert!(case.satisfied(&RULE));
}

/// Trap: isolcpus of somebody else; the kernel merges nothing.
#[test]
fn arguments_that_are_there_are_added_to() {
    const GRUB: &str = "/etc/default/grub";
    let mut case = by_kernel();
    case.argument(GRUB, "isolcpus", "6-9");
    case.argument(GRUB, "nohz_full", "6-9");
    case.argument(GRUB, "rcu_nocbs", "all");
    case.argument(GRUB, "irqaffinity", "0-5");
    assert_eq!(
        case.edits(&RULE),
        [
            format!("{GRUB}#isolcpus = managed_irq,domain,4-9"),
            format!("{GRUB}#nohz_full = 4-9"),
            format!("{GRUB}#irqaffinity = 0-3"),
        ]
    );
    assert_eq!(case.advice(&RULE), [""; 0]);
    case.settle(&RULE);
    assert!(case.satisfied(&RULE));
    // Written otherwise, it says the same, and stays.
    let mut case = by_kernel();
    case.argument(BOOT, "isolcpus", "domain,managed_irq,4,5,6-7");
    assert_eq!(case.edits(&RULE).len(), 3);
}

#[test]
fn interrupts_that_would_have_no_home_get_the_hosts() {
    let mut case = by_kernel();
    case.argument(BOOT, "irqaffinity", "4-5");
    assert_eq!(case.edits(&RULE)[3], format!("{BOOT}#irqaffinity = 0,16"));
    case.housekeeping = CpuSet::new();
    let expected = format!("{BOOT}#irqaffinity = 0-3,8-31");
    assert_eq!(case.edits(&RULE)[3], expected);
}

#[test]
fn what_cannot_be_merged_is_left_alone() {
    for (name, value, said) in [
        ("isolcpus", "later,4-7", "has a flag or a list"),
        ("isolcpus", "nohz,8", "nohz_full= must match"),
        ("nohz_full", "1-N", "is no list"),
        ("irqaffinity", "0-N", "is no list"),
    ] {
        let mut case = by_kernel();
        case.argument(BOOT, name, value);
        assert_eq!(case.edits(&RULE).len(), 3, "{name}={value}");
        let advice = case.advice(&RULE);
        assert!(advice[0].contains(said), "{advice:?}");
        assert!(advice[0].contains(value), "{advice:?}");
    }
    let mut case = by_kernel();
    case.argument(BOOT, "isolcpus", "8");
    case.argument("/etc/default/grub", "isolcpus", "9");
    assert_eq!(case.edits(&RULE).len(), 3);
    assert!(case.advice(&RULE)[0].contains("given 2 times"));
    let mut case = by_kernel();
    case.argument("/etc/tuned/bootcmdline", "isolcpus", "8");
    assert_eq!(case.edits(&RULE).len(), 3);
    assert!(case.advice(&RULE)[0].starts_with("TuneD sets isolcpus=8"));
}

#[test]
fn cpu_0_keeps_the_time() {
    let mut case = by_kernel();
    case.others = cpus("0");
    let edits = case.edits(&RULE);
    assert_eq!(edits[1], format!("{BOOT}#nohz_full = 4-7"));
    assert!(case.advice(&RULE)[0].starts_with("CPU 0 is a VM's"));
}

#[test]
fn the_hosts_own_cpus_should_not_be_isolated() {
    let mut case = by_kernel();
    case.argument(BOOT, "isolcpus", "1-31");
    let advice = case.advice(&RULE);
    assert!(advice[0].starts_with("isolcpus= holds CPUs 16,"), "{advice:?}");
}
