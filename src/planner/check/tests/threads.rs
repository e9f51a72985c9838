//! Faulty topologies, models, caches and promises.

use super::fixture::{Case, Error, OTHER, Warning, unknown};
use crate::model::policy::{PlacementMode, Policy, Smt};

const RULE: &str = "vcpu-topology";

fn shared(policy: &mut Policy) {
    policy.cpu.placement = PlacementMode::Shared;
}

#[test]
fn trap_01_no_topology() {
    let case = Case::of(OTHER).cut("<topology", "/>", "");
    case.finds(RULE, Warning, "2 sockets", "");
}

#[test]
fn trap_02_amd_hides_threads() {
    let topoext = "    <feature policy='require' name='topoext'/>\n";
    let case = || Case::good().edit(topoext, "");
    case().finds(RULE, Error, "without topoext", "<topology");
    let disabled = Case::good()
        .edit("'require' name='topoext'", "'disable' name='topoext'");
    disabled.finds(RULE, Error, "without topoext", "<topology");
    let model = Case::of(OTHER).edit(topoext, "");
    model.finds(RULE, Warning, "without topoext", "<topology");
    case().facts(|f| f.cpu_vendor = unknown()).silent();
}

#[test]
fn trap_03_caches_that_libvirt_refuses() {
    let rule = "cpu-cache";
    let cache = |mode: &str, cache: &str| {
        let cache = format!("<cache {cache}/>\n    <topology");
        Case::of(OTHER).edit("<topology", &cache).edit("host-model", mode)
    };
    let line = "<cache";
    let hosts = "mode='passthrough'";
    cache("host-model", hosts).finds(rule, Error, "not the host's", line);
    cache("host-passthrough", hosts).silent();
    let emulate = cache("host-model", "mode='emulate' level='2'");
    emulate.finds(rule, Error, "another level than 3", line);
    let none = cache("host-model", "mode='emulate'");
    none.finds(rule, Error, "another level than 3", line);
    cache("host-model", "mode='emulate' level='3'").silent();
    let disable = cache("host-model", "mode='disable' level='3'");
    disable.finds(rule, Error, "a level", line);
}

#[test]
fn trap_05_clusters() {
    let case = Case::good().edit("cores='2'", "cores='1' clusters='2'");
    case.finds(RULE, Error, "2 clusters", "<topology");
}

#[test]
fn trap_06_cpu_by_hand() {
    let by_hand = "</devices><qemu:commandline><qemu:arg value='-cpu'/>\
                   <qemu:arg value='host,l3-cache=on'/></qemu:commandline>";
    let case = Case::good().edit("</devices>", by_hand);
    let lost = "the mode host-passthrough, topoext, <cache>, \
                kvm/hint-dedicated";
    case.finds("cpu-cache", Warning, lost, "<qemu:arg");
}

#[test]
fn trap_07_threads_are_siblings() {
    let swapped = |case: Case| {
        case.edit("cpuset='18'", "cpuset='x'")
            .edit("cpuset='3'", "cpuset='18'")
            .edit("cpuset='x'", "cpuset='3'")
    };
    let says = "several host cores: vCPUs 0-3";
    swapped(Case::good()).finds(RULE, Error, says, "<topology");
    let any = swapped(Case::good()).policy(|p| p.cpu.smt = Smt::Any);
    any.finds(RULE, Warning, says, "<topology");
}

#[test]
fn siblings_that_look_like_cores() {
    let case =
        || Case::good().edit("cores='2' threads='2'", "cores='4' threads='1'");
    let says = "vCPUs 1,3,5,7 on host cores of other guest cores";
    case().finds(RULE, Warning, says, "<topology");
    let asked = case().policy(|policy| {
        policy.vm.entry("vm1".to_owned()).or_default().threads = Some(1);
    });
    asked.silent();
}

#[test]
fn threads_that_the_policy_asks_for() {
    let case = Case::good().policy(|policy| {
        policy.vm.entry("vm1".to_owned()).or_default().threads = Some(1);
    });
    case.finds(RULE, Error, "the policy asks for 1", "<topology");
}

#[test]
fn threads_while_vcpus_float() {
    let case =
        Case::of(OTHER).policy(shared).cut("<cputune>", "</cputune>", "");
    case.finds(RULE, Warning, "while the vCPUs float", "<topology");
}

#[test]
fn products_that_are_wrong() {
    let case = Case::good().edit("sockets='2'", "sockets='1'");
    case.finds(RULE, Error, "makes 4 vCPUs of 8", "<topology");
}

#[test]
fn guest_cores_are_in_one_cell() {
    let case = Case::good()
        .edit("cpus='0-3'", "cpus='0-2'")
        .edit("cpus='4-7'", "cpus='3-7'");
    let findings = case.findings();
    let says = "several guest cells: vCPUs 2-3";
    let found = findings.iter().find(|f| f.what.contains(says)).unwrap();
    assert_eq!((found.rule, found.severity), (RULE, Error));
}

#[test]
fn dies_follow_the_hosts_caches() {
    // Four cores of node 0, two on each of its caches.
    let mut case = Case::good()
        .edit(
            "sockets='2' dies='1' cores='2'",
            "sockets='1' dies='1' cores='4'",
        )
        .cut("<numa>", "</numa>", "")
        .cut("<controller type='pci' index='1'", "</controller>", "")
        .cut("<memnode cellid='0'", "/>", "")
        .cut("<memnode cellid='1'", "/>", "")
        .edit("nodeset='0-1'/>\n    \n", "nodeset='0'/>\n")
        .edit(" nodeset='0-1'/></huge", "/></huge")
        .policy(|policy| {
            policy.devices.locality =
                crate::model::policy::DeviceLocality::Ignore;
        });
    for (from, to) in
        [("9", "4"), ("25", "20"), ("10", "5"), ("26", "21"), ("8,24", "0")]
    {
        case =
            case.edit(&format!("cpuset='{from}'"), &format!("cpuset='{to}'"));
    }
    case.finds(RULE, Warning, "8 vCPUs that use 2 of the host", "<topology");
    case.edit("dies='1' cores='4'", "dies='2' cores='2'").silent();
}

#[test]
fn models_that_do_not_start() {
    let rule = "cpu-model";
    let emulated = Case::of(OTHER)
        .edit("type='kvm'", "type='qemu'")
        .edit("host-model", "host-passthrough");
    emulated.finds(rule, Error, "under software emulation", "<cpu ");
    let missing = Case::of(OTHER).edit("host-model", "maximum");
    missing.finds(rule, Error, "maximum, which kvm has not", "<cpu ");
}

#[test]
fn trap_46_the_hint_without_the_pins() {
    let case = Case::of(OTHER).policy(shared).edit(
        "<os>",
        "<features>\n<kvm><hint-dedicated state='on'/></kvm>\n</features><os>",
    );
    case.silent();
    let case = case
        .edit("cpuset='13'", "cpuset='29'")
        .edit("cores='1' threads='2'", "cores='2' threads='1'");
    case.finds("dedicated-hint", Error, "and has none", "<hint-dedicated");
}

#[test]
fn real_time_on_cpus_that_are_not_isolated() {
    let rule = "vcpu-scheduler";
    let case = Case::good()
        .facts(|f| f.topology.isolated = f.topology.offline.clone());
    case.finds(rule, Warning, "vCPUs 0-7 real-time", "<vcpusched");
    Case::good().facts(|f| f.topology.isolated = unknown()).silent();
    let missing = Case::good().edit("vcpus='0-7'", "vcpus='8'");
    let says = "a scheduler for vCPU 8";
    assert!(missing.findings().iter().any(|f| f.what.contains(says)));
}

#[test]
fn quotas_for_cpus_of_its_own() {
    let quota = |n: &str| {
        let quota = format!("<quota>{n}</quota><emulatorpin");
        Case::of(OTHER).edit("<emulatorpin", &quota)
    };
    quota("50000").finds("vcpu-quota", Warning, "50000", "<quota>");
    quota("-1").silent();
    quota("50000").policy(shared).silent();
}
