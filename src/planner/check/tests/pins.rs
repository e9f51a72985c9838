//! Faulty pins of vCPUs, the emulator and I/O threads.

use super::fixture::{Case, Error, GOOD, OTHER, Warning, cpus};
use crate::model::policy::{Emulator, Housekeeping, Pins, PlacementMode, Smt};

const RULE: &str = "vcpu-pin";

fn isolated(policy: &mut crate::model::policy::Policy) {
    policy.cpu.smt = Smt::Isolate;
}

fn shared(policy: &mut crate::model::policy::Policy) {
    policy.cpu.placement = PlacementMode::Shared;
}

/// Two vCPUs with a core each and nothing else.
const CORES: &str = "\
<domain type='kvm'>
  <name>vm3</name>
  <memory unit='GiB'>1</memory>
  <vcpu>2</vcpu>
  <cputune>
    <vcpupin vcpu='0' cpuset='4'/>
    <vcpupin vcpu='1' cpuset='5'/>
    <emulatorpin cpuset='0,16'/>
  </cputune>
  <numatune><memory nodeset='0'/></numatune>
  <cpu><topology sockets='1' cores='2' threads='1'/></cpu>
</domain>
";

#[test]
fn trap_07_a_missing_pin() {
    let case = Case::of(CORES).edit("<vcpupin vcpu='1' cpuset='5'/>", "");
    case.finds(RULE, Error, "no pin for vCPU 1", "");
}

#[test]
fn a_pin_to_several_cpus() {
    let wide = Case::of(CORES).edit("cpuset='5'", "cpuset='5,21'");
    let wide =
        wide.facts(|facts| facts.topology.isolated = super::fixture::unknown());
    wide.finds(RULE, Error, "vCPU 1 pinned to more than one", "vcpu='1'");
    let kept = wide.policy(|policy| policy.cpu.pins = Pins::Keep);
    kept.finds(RULE, Warning, "more than one", "vcpu='1'");
}

#[test]
fn two_vcpus_on_one_cpu() {
    let case = Case::of(CORES).edit("cpuset='5'", "cpuset='4'");
    case.finds(RULE, Error, "vCPU 1 pinned to CPU 4, where", "vcpu='1'");
}

#[test]
fn cpus_that_are_not_there() {
    for cpu in ["999", "32"] {
        let case =
            Case::of(CORES).edit("cpuset='5'", &format!("cpuset='{cpu}'"));
        let says = format!("vCPU 1 pinned to CPU {cpu}, not online");
        case.finds(RULE, Error, &says, "vcpu='1'");
    }
    // A range may reach over CPUs that are offline for now.
    let range = Case::of(CORES)
        .edit("cpuset='5'", "cpuset='4-5,32'")
        .edit("cpuset='4'", "cpuset='4-5,32'")
        .facts(|facts| facts.topology.isolated = super::fixture::unknown())
        .policy(shared);
    range.silent();
}

#[test]
fn cpus_that_are_not_ours() {
    let case =
        Case::of(CORES).facts(|facts| facts.topology.disallowed = cpus("5,21"));
    case.finds(RULE, Error, "which vmtune may not give out", "vcpu='1'");
}

#[test]
fn trap_10_housekeeping_is_the_hosts() {
    for (cpu, other) in [("0", "16"), ("16", "0")] {
        let case = Case::of(CORES)
            .edit("cpuset='5'", &format!("cpuset='{cpu}'"))
            .edit("cpuset='0,16'", &format!("cpuset='{other}'"));
        let says = format!("vCPU 1 pinned to CPU {cpu}, kept for the host");
        case.finds(RULE, Error, &says, "vcpu='1'");
    }
    let named = Case::of(CORES)
        .policy(|p| p.cpu.housekeeping = Housekeeping::Cpus(cpus("5")));
    named.finds(RULE, Error, "CPU 5, kept for the host", "vcpu='1'");
}

#[test]
fn small_nodes_keep_no_core_for_the_host() {
    let case = Case::of(OTHER)
        .edit("cpuset='13'", "cpuset='8'")
        .edit("cpuset='29'", "cpuset='24'")
        .edit("emulatorpin cpuset='8'", "emulatorpin cpuset='0'");
    let findings = case.findings();
    assert!(findings.iter().any(|f| f.what.contains("kept for the host")));
    // Node 1 has three cores left.
    let small = case.facts(|f| f.topology.disallowed = cpus("11-15,27-31"));
    small.silent();
}

#[test]
fn cpus_of_others() {
    let neighbour = Case::of(CORES).neighbour(&OTHER.replace("'29'", "'5'"));
    neighbour.finds(RULE, Error, "where threads of vm2 run", "vcpu='1'");
    let emulator = OTHER.replace("cpuset='8'", "cpuset='4-5'");
    let emulator = Case::of(CORES).neighbour(&emulator);
    emulator.finds(RULE, Error, "vCPUs 0-1 pinned to CPUs 4-5", "vcpu='0'");
    // A pin to everywhere holds nothing, and no VM is its own neighbour.
    let floating = OTHER.replace("'29'", "'0-31'");
    Case::of(CORES).neighbour(&floating).neighbour(CORES).silent();
}

#[test]
fn cpus_of_vms_that_are_planned_together() {
    let twin = CORES.replace("vm3", "vm4").replace("'4'", "'6'");
    let findings = Case::of(CORES).beside(&twin).findings();
    let both: Vec<_> =
        findings.iter().map(|f| (f.vm.as_str(), f.rule)).collect();
    assert_eq!(both, [("vm3", RULE), ("vm4", RULE)]);
}

#[test]
fn pins_of_vcpus_that_are_not() {
    let case = Case::of(CORES)
        .edit("<emulatorpin", "<vcpupin vcpu='7' cpuset='9'/><emulatorpin");
    case.finds(RULE, Warning, "a pin for vCPU 7", "vcpu='7'");
}

#[test]
fn cpusets_that_contradict() {
    let case = Case::of(CORES).edit("<vcpu>", "<vcpu cpuset='4,6'>");
    case.finds(RULE, Warning, "the pins of vCPU 1 others", "<vcpu ");
    Case::of(CORES).edit("<vcpu>", "<vcpu cpuset='4-5'>").silent();
    let auto = Case::of(CORES).edit("<vcpu>", "<vcpu placement='auto'>");
    auto.finds(RULE, Error, "numad", "<vcpu ");
}

#[test]
fn trap_11_ranges_of_isolated_cpus() {
    let range = Case::of(CORES)
        .edit("cpuset='4'", "cpuset='4-5'")
        .edit("cpuset='5'", "cpuset='4-5'")
        .policy(shared);
    range.finds(RULE, Warning, "several isolated", "vcpu='0'");
    let emulator = Case::of(CORES).edit("cpuset='0,16'", "cpuset='6-7'");
    emulator.finds("emulator-pin", Warning, "isolated", "<emulatorpin");
}

#[test]
fn isolated_cores_are_used_by_one_vcpu() {
    Case::of(CORES).policy(isolated).silent();
    let paired =
        Case::of(CORES).edit("cpuset='5'", "cpuset='20'").policy(isolated);
    paired.finds(RULE, Error, "vCPUs 0-1 on shared cores", "vcpu='0'");
    let neighbour =
        Case::of(CORES).policy(isolated).neighbour(&OTHER.replace("29", "21"));
    neighbour.finds(RULE, Error, "threads of vm2 on CPU 21", "");
    let own =
        Case::of(CORES).edit("cpuset='0,16'", "cpuset='20'").policy(isolated);
    own.finds(RULE, Error, "the VM's other threads on CPU 20", "");
}

#[test]
fn vms_that_share_keep_off_what_others_have_alone() {
    let case = || Case::of(CORES).policy(shared);
    let taken = case().neighbour(&OTHER.replace("29", "5"));
    taken.finds(RULE, Error, "vm2 has for itself", "vcpu='1'");
    let unpinned = || {
        let case = case().edit("<vcpupin vcpu='0' cpuset='4'/>", "");
        case.edit("<vcpupin vcpu='1' cpuset='5'/>", "")
    };
    let beside = unpinned().neighbour(OTHER);
    beside.finds(RULE, Warning, "no pin for vCPUs 0-1", "");
    unpinned().silent();
    let kept = case().edit("cpuset='5'", "cpuset='16'");
    kept.finds(RULE, Warning, "kept for the host", "vcpu='1'");
}

#[test]
fn emulators_without_a_pin() {
    let case = Case::of(CORES).edit("<emulatorpin cpuset='0,16'/>", "");
    case.finds("emulator-pin", Warning, "no pin for the emulator", "");
    case.policy(shared).silent();
}

#[test]
fn emulators_on_cpus_of_vcpus() {
    let rule = "emulator-pin";
    let on = |cpu: &str| {
        let case = Case::of(CORES);
        case.edit("cpuset='0,16'", &format!("cpuset='{cpu}'"))
    };
    on("0,5").finds(rule, Error, "CPU 5, where own vCPUs", "<emulatorpin");
    let other = OTHER.replace("'13'", "'6'").replace("'29'", "'22'");
    let other = other.replace("nodeset='1'", "nodeset='0'");
    let other = other.replace("cpuset='8'", "cpuset='0'");
    let says = "where threads of vm2 run";
    on("0,6").neighbour(&other).finds(rule, Error, says, "<emulatorpin");
    on("999").finds(rule, Error, "not online", "<emulatorpin");
    // vm2 sits where the host works: the emulator is not to blame.
    let intruder = OTHER.replace("'29'", "'0'");
    let blamed = Case::of(CORES).neighbour(&intruder);
    blamed.finds(rule, Warning, says, "<emulatorpin");
}

#[test]
fn emulators_that_are_promised_cpus_of_their_own() {
    let case = || {
        let case = Case::of(CORES).edit("cpuset='0,16'", "cpuset='6'");
        case.policy(|policy| policy.cpu.emulator = Emulator::Dedicated)
    };
    case().silent();
    let other = OTHER.replace("cpuset='8'", "cpuset='6'");
    let says = "CPU 6, where threads of vm2 run";
    case().neighbour(&other).finds("emulator-pin", Error, says, "<emulatorpin");
}

#[test]
fn service_threads_on_a_node_far_away() {
    let case = Case::of(CORES).edit("cpuset='0,16'", "cpuset='8'");
    let says = "the emulator on node 1, the vCPUs on node 0";
    case.finds("emulator-pin", Warning, says, "<emulatorpin");
    let own = Case::of(OTHER)
        .edit("emulatorpin cpuset='8'", "emulatorpin cpuset='0'");
    let unkept =
        own.policy(|p| p.cpu.housekeeping = Housekeeping::Cpus(cpus("0")));
    unkept.silent();
}

#[test]
fn io_threads_have_pins_and_are_there() {
    let rule = "iothread-pin";
    let case = || {
        Case::of(CORES).edit("<cputune>", "<iothreads>1</iothreads><cputune>")
    };
    let pin =
        |pin: &str| case().edit("<emulatorpin", &format!("{pin}<emulatorpin"));
    case().finds(rule, Warning, "no pin for I/O thread 1", "");
    pin("<iothreadpin iothread='1' cpuset='0'/>").silent();
    let on_vcpu = pin("<iothreadpin iothread='1' cpuset='4'/>");
    on_vcpu.finds(rule, Error, "I/O thread 1 pinned to CPU 4", "iothread='1'");
    let unknown = Case::of(CORES).edit(
        "<emulatorpin",
        "<iothreadpin iothread='5' cpuset='0'/><emulatorpin",
    );
    unknown.finds(rule, Error, "I/O thread 5, which is not", "iothread='5'");
    let disk =
        Case::good().edit("<driver iothread='1'/>", "<driver iothread='2'/>");
    disk.finds(rule, Error, "a disk of I/O thread 2", "<disk>");
}

#[test]
fn the_good_vm_has_many_neighbours() {
    // 64 VMs that hold other CPUs, or none.
    let mut case = Case::of(GOOD);
    for n in 0..64 {
        let other = OTHER.replace("vm2", &format!("n{n}"));
        case = case.neighbour(&other);
    }
    case.silent();
}
