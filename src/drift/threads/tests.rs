//! Each thing that can drift, moved once.

#![allow(clippy::disallowed_methods, reason = "the test plays the kernel")]

use super::*;
use crate::base::{CellId, VcpuId};
use crate::drift::node_vm;
use crate::host::{Root, process};
use crate::model::Fact;
use crate::model::domain::{Cputune, Scheduler};

fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

fn placement() -> VmPlacement {
    VmPlacement {
        name: "vm1".parse().unwrap(),
        exclusive: true,
        vcpus: [(VcpuId(0), cpus("2")), (VcpuId(1), cpus("3"))].into(),
        cells: vec![CellPlacement {
            id: CellId(0),
            vcpus: "0-1".parse().unwrap(),
            memory: Bytes(8 << 20),
            node: NodeId(1),
            memory_node: NodeId(1),
        }],
        threads: 2,
        pages: Some(PageSize::TWO_MIB),
        emulator: cpus("0"),
        iothreads: [(1, cpus("0"))].into(),
        reserved: CpuSet::new(),
        nics: Vec::new(),
        because: vec![],
    }
}

fn live() -> Domain {
    let text = "<domain type='kvm'>
        <name>vm1</name><memory>8192</memory><vcpu>2</vcpu>
        <iothreads>1</iothreads>
        <cputune>
          <vcpupin vcpu='0' cpuset='2'/><vcpupin vcpu='1' cpuset='3'/>
          <emulatorpin cpuset='0'/><iothreadpin iothread='1' cpuset='0'/>
        </cputune>
      </domain>";
    crate::definition::read(text).unwrap()
}

fn thread(id: u32, role: Role, on: &str) -> Thread {
    let allowed = Fact::known(cpus("0-7"), "cgroup");
    let scheduling = Scheduling::Other;
    Thread { id, role, cpus: cpus(on), allowed, scheduling }
}

fn running() -> RunningVm {
    let pages = [((NodeId(1), PageSize::TWO_MIB), Bytes(8 << 20))];
    RunningVm {
        uuid: "c7a5fdbd-edaf-9455-926a-d65c16db1809".parse().ok(),
        pid: 1,
        started: 1000,
        threads: vec![
            thread(1, Role::Emulator, "0"),
            thread(2, Role::Vcpu(VcpuId(0)), "2"),
            thread(3, Role::Vcpu(VcpuId(1)), "3"),
            thread(4, Role::IoThread(1), "0"),
            thread(5, Role::Vhost, "0"),
        ],
        memory: Fact::known(pages.into(), "numa_maps"),
    }
}

/// What does not hold, as `vCPU 1: CPUs 7`.
fn said(live: &Domain, running: &RunningVm) -> Vec<String> {
    said_at(900, live, running)
}

fn said_at(applied: u64, live: &Domain, running: &RunningVm) -> Vec<String> {
    let findings = vm(&placement(), applied, Some(live), Some(running));
    let line = |one: Finding| match one.state {
        State::Holds => None,
        State::Drifted { found } => Some(format!("{}: {found}", one.what)),
        State::Waits { stage } => Some(format!("{}: {stage}", one.what)),
        State::Unknown { why } => Some(format!("{}? {why}", one.what)),
    };
    findings.into_iter().filter_map(line).collect()
}

#[test]
fn all_holds_where_nothing_moved() {
    assert!(said(&live(), &running()).is_empty());
    let findings = vm(&placement(), 900, Some(&live()), Some(&running()));
    assert_eq!(findings.len(), 5, "{findings:?}");
}

#[test]
fn a_moved_thread_is_found() {
    for (index, expected) in [
        (0, "emulator threads: 1 of 2 on CPUs 7"),
        (2, "vCPU 1: CPUs 7"),
        (3, "I/O thread 1: CPUs 7"),
        (4, "emulator threads: 1 of 2 on CPUs 7"),
    ] {
        let mut running = running();
        running.threads[index].cpus = cpus("7");
        assert_eq!(said(&live(), &running), [expected]);
    }
    let mut running = running();
    running.threads.remove(1);
    assert_eq!(said(&live(), &running), ["vCPU 0: no such thread"]);
}

#[test]
fn a_scheduler_of_somebody_elses_is_found() {
    let mut running = running();
    running.threads[1].scheduling = Scheduling::Fifo(1);
    assert_eq!(said(&live(), &running), ["vCPU 0: scheduler fifo 1"]);
    let mut live = live();
    live.cputune.vcpusched.push(Scheduler {
        vcpus: "0".parse().unwrap(),
        scheduler: "fifo".into(),
        priority: Some(1),
    });
    assert!(said(&live, &running).is_empty());
}

#[test]
fn pages_on_another_node_are_found() {
    let mut running = running();
    let at =
        |node, mib: u64| ((NodeId(node), PageSize::TWO_MIB), Bytes(mib << 20));
    running.memory = Fact::known([at(0, 2), at(1, 6)].into(), "maps");
    assert_eq!(said(&live(), &running), ["memory: 75.0 % local"]);
    let small = [((NodeId(1), PageSize::SMALL), Bytes(8 << 20))];
    running.memory = Fact::known(small.into(), "maps");
    assert_eq!(said(&live(), &running), ["memory: pages of 4K alone"]);
    running.memory = Fact::unknown("no root");
    assert_eq!(said(&live(), &running), ["memory? no root"]);
}

/// Writes the process of `running`, with these mappings.
fn tree(maps: &str) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = temp.path().join("proc").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let stat =
        |id: u32, name: &str| format!("{id} ({name}) S{}", " 0".repeat(49));
    write("stat", "btime 1000\n");
    write("77/cmdline", &format!("qemu\0-uuid\0{}\0", running().uuid.unwrap()));
    write("77/status", "Name:\tqemu\nUid:\t0\t0\t0\t0\n");
    write("77/stat", &stat(77, "qemu"));
    write("77/numa_maps", maps);
    for (id, name, on) in [
        (77, "qemu", "0"),
        (78, "CPU 0/KVM", "2"),
        (79, "CPU 1/KVM", "3"),
        (80, "IO iothread1", "0"),
    ] {
        let status = format!("Name:\t{name}\nCpus_allowed_list:\t{on}\n");
        write(&format!("77/task/{id}/status"), &status);
        write(&format!("77/task/{id}/stat"), &stat(id, name));
    }
    temp
}

#[test]
fn pages_on_the_wrong_node_are_counted_from_the_kernels_list() {
    let map = |line: &str| {
        let tree = tree(&format!(
            "7f00 bind:1 file=/dev/hugepages/ram huge dirty=4 {line} \
             kernelpagesize_kB=2048\n\
             7f01 default anon=3 dirty=3 N0=3 kernelpagesize_kB=4\n"
        ));
        let all = process::running(&Root::tree(tree.path()));
        let [running] = all.as_slice() else { panic!("{all:?}") };
        let all = vm(&placement(), 900, Some(&live()), Some(running));
        let memory = all.iter().find(|one| one.what == "memory").unwrap();
        assert_eq!(memory.planned, "2M pages on node 1");
        assert_eq!(
            all.iter().filter(|one| one.is_drift()).count(),
            usize::from(memory.is_drift())
        );
        (memory.state.clone(), memory.note.clone().unwrap())
    };
    let (state, note) = map("N1=4");
    assert_eq!(state, State::Holds);
    assert_eq!(note, "2M pages: 8 MiB on node 1; 4K pages: 12 KiB on node 0");
    let (state, note) = map("N0=1 N1=3");
    let found = "75.0 % local".to_owned();
    assert_eq!(state, State::Drifted { found });
    assert!(
        note.starts_with("2M pages: 2 MiB on node 0, 6 MiB on node 1;"),
        "{note}"
    );
}

#[test]
fn a_moved_thread_tells_what_its_group_allows() {
    let mut running = running();
    running.threads[2].cpus = cpus("7");
    let all = vm(&placement(), 900, Some(&live()), Some(&running));
    let notes: Vec<_> = all
        .iter()
        .filter(|one| one.what != "memory")
        .filter_map(|one| one.note.as_deref())
        .collect();
    assert_eq!(notes, ["its control group allows CPUs 0-7"]);
}

#[test]
fn a_vm_that_was_started_before_waits() {
    let mut live = live();
    live.cputune = Cputune::default();
    let mut running = running();
    for thread in &mut running.threads {
        thread.cpus = cpus("0-7");
    }
    let all = said_at(1000, &live, &running);
    assert!(all.iter().all(|line| line.ends_with(": vm-start")), "{all:?}");
    assert_eq!(all.len(), 4);
    // One that was started since has been moved by somebody.
    let all = said(&live, &running);
    assert!(all.iter().all(|line| line.ends_with("CPUs 0-7")), "{all:?}");
    assert_eq!(all.len(), 4);
    let findings = vm(&placement(), 900, None, None);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].state, State::Waits { stage: Stage::VmStart });
}

const START: u64 = 1000;

fn said_of_node(applied: u64, move_one: Option<&str>) -> Vec<String> {
    let mut running = running();
    for thread in &mut running.threads {
        thread.cpus = cpus("2-3");
    }
    running.threads[0].cpus = cpus("2");
    if let Some(to) = move_one {
        running.threads[1].cpus = cpus(to);
    }
    running.started = START;
    let all = node_vm(&placement(), &cpus("2-3"), applied, Some(&running));
    all.iter().map(|f| format!("{}: {:?}", f.what, f.state)).collect()
}

#[test]
fn a_thread_elsewhere_has_drifted_or_waits() {
    let before = START - 1;
    assert_eq!(said_of_node(before, None), ["threads: Holds", "memory: Holds"]);
    let away = said_of_node(before, Some("2-4"));
    assert!(away[0].starts_with("threads: Drifted"), "{away:?}");
    assert!(away[0].contains("1 of "), "{away:?}");
    assert!(away[0].contains("on CPUs 2-4"), "{away:?}");
    let waits = said_of_node(START + 1, Some("0-7"));
    assert!(waits[0].starts_with("threads: Waits"), "{waits:?}");
}

#[test]
fn a_vm_that_does_not_run_waits() {
    let all = node_vm(&placement(), &cpus("2-3"), 0, None);
    let [one] = &all[..] else { panic!("{all:?}") };
    assert_eq!(one.state, State::Waits { stage: Stage::VmStart });
    assert_eq!(one.planned, "CPUs 2-3");
}
