//! A host in a folder, VMs, and a plan that changes more than twenty places.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vmtune::apply::{ApplyError, Machine, Outcome, apply, resume, rollback};
use vmtune::base::{CpuSet, Digest, DomainUuid};
use vmtune::files::StateDir;
use vmtune::hypervisor::Hypervisor;
use vmtune::model::facts::BootLoader;
use vmtune::model::{
    Change, Objective, Plan, Program, Service, Stage, Target, VmPlan,
};
use vmtune::system::Live;

use crate::fault::{Events, Fault, FaultyHypervisor, FaultySystem, make};

/// The places of the host: target, what stands there, what shall.
const PLACES: [(&str, Option<&str>, Option<&str>); 18] = [
    (
        "/etc/systemd/system/system.slice.d/90-vmtune.conf",
        None,
        Some("[Slice]\nAllowedCPUs=0-1\n"),
    ),
    (
        "/etc/systemd/system/user.slice.d/90-vmtune.conf",
        None,
        Some("[Slice]\nAllowedCPUs=0-1\n"),
    ),
    (
        "/etc/systemd/system/init.scope.d/90-vmtune.conf",
        None,
        Some("[Scope]\nAllowedCPUs=0-1\n"),
    ),
    (
        "/etc/systemd/system/irqbalance.service.d/90-vmtune.conf",
        Some("[Service]\n# by hand, é\n"),
        Some("[Service]\nEnvironment=IRQBALANCE_BANNED_CPULIST=2-3\n"),
    ),
    ("/etc/sysctl.d/90-vmtune.conf", Some("a = 1"), Some("a = 2\n")),
    ("/etc/modprobe.d/vmtune.conf", Some("options kvm x=1\n"), None),
    (
        "/etc/security/limits.d/90-vmtune.conf",
        None,
        Some("* hard memlock unlimited\n"),
    ),
    ("/etc/kernel/cmdline#quiet", Some(""), None),
    ("/etc/kernel/cmdline#isolcpus", Some("1"), Some("managed_irq,2-3")),
    ("/etc/kernel/cmdline#nohz_full", None, Some("2-3")),
    ("/sys/kernel/mm/ksm/run", Some("1"), Some("0")),
    (
        "/sys/kernel/mm/transparent_hugepage/enabled",
        Some("madvise"),
        Some("never"),
    ),
    ("/proc/sys/kernel/numa_balancing", Some("1"), Some("0")),
    ("/proc/irq/24/smp_affinity_list", Some("0-3"), Some("0-1")),
    (
        "/sys/devices/system/node/node0/hugepages/hugepages-1048576kB/\
         nr_hugepages",
        Some("0"),
        Some("4"),
    ),
    (
        "/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/\
         nr_hugepages",
        Some("0"),
        Some("8"),
    ),
    (
        "/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor",
        Some("powersave"),
        Some("performance"),
    ),
    (
        "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor",
        Some("powersave"),
        Some("performance"),
    ),
];

/// What stands in files that are not just their place's value.
const TEXTS: [(&str, &str); 3] = [
    ("etc/kernel/cmdline", "root=/dev/vda1 isolcpus=1 quiet\n"),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    // No partition is in the way.
    ("sys/fs/cgroup/cpuset.cpus.isolated", "\n"),
];

/// What has made something of the host's files before.
pub(crate) const PROGRAMS: [Program; 3] = [
    Program::KernelInstall,
    Program::DaemonReload,
    Program::TryRestart(Service::Irqbalance),
];

pub(crate) const VMS: [&str; 4] = ["vm1", "vm2", "vm3", "vm4"];

/// Files, programs, values, definitions.
pub(crate) const STEPS: usize = 8 + 3 + 8 + 4;

/// How the VMs run whose threads are moved, where VMs can run: pins, a line
/// each.
pub(crate) const RUNS: [(&str, &str); 2] = [
    ("vm1", "vcpu 0 0-3\niothread 1 0-3\nemulator 0-3\n"),
    ("vm3", "vcpu 0 2\nemulator 0-3\n"),
];

/// The same where VMs run, each with its threads in one step.
pub(crate) const ALL: usize = STEPS + RUNS.len();

/// How many threads are moved.
pub(crate) const MOVES: usize = 3 + 2;

/// The pins of each VM, where it has such a thread.
const PINS: [(&str, &str); 3] = [
    ("/domain/cputune/vcpupin[@vcpu='0']/@cpuset", "1"),
    ("/domain/cputune/emulatorpin/@cpuset", "0"),
    ("/domain/cputune/iothreadpin[@iothread='1']/@cpuset", "0"),
];

/// The folders of one test.
pub(crate) struct Scene {
    temp: Option<TempDir>,
    path: PathBuf,
}

impl Scene {
    /// Makes a host and its VMs.
    pub(crate) fn new() -> Self {
        // In memory where that is possible: thousands of journals are synced
        // here, and it is not the disk that is tested.
        let temp = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let path = temp.path().to_owned();
        Self::fill(&path);
        Self { temp: Some(temp), path }
    }

    /// Finds the host that another process has made.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { temp: None, path: path.into() }
    }

    /// Makes a host and its VMs in an empty folder.
    pub(crate) fn fill(path: &Path) {
        let root = path.join("root");
        for (target, from, _) in PLACES {
            let (false, Some(from)) = (target.contains('#'), from) else {
                continue;
            };
            let file = root.join(&target[1..]);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let end = if target.starts_with("/etc") { "" } else { "\n" };
            fs::write(file, format!("{from}{end}")).unwrap();
        }
        for (file, text) in TEXTS {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        // A folder that is there and empty must stay so.
        fs::create_dir_all(root.join("etc/systemd/system/user.slice.d"))
            .unwrap();
        for (file, mode) in
            [("etc/sysctl.d/90-vmtune.conf", 0o600), ("etc/kernel", 0o700)]
        {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(root.join(file), mode).unwrap();
        }
        for program in PROGRAMS {
            make(&root, &program).unwrap();
        }
        fs::create_dir(path.join("vms")).unwrap();
        for (name, n) in VMS.into_iter().zip(1..) {
            let text = definition(name, n);
            fs::write(path.join(format!("vms/{name}.xml")), text).unwrap();
            let run = RUNS.iter().find(|(of, _)| *of == name);
            if let Some((_, pins)) = run {
                fs::write(path.join(format!("run-{}", uuid(n))), pins).unwrap();
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    pub(crate) fn live(&self) -> Live {
        Live::at(&self.root()).unwrap()
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::open(&self.path.join("state")).unwrap()
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("state/journal/tx-000001.jsonl")
    }

    /// Returns how many whole lines the journal has.
    pub(crate) fn journal_lines(&self) -> usize {
        let text = fs::read(self.journal()).unwrap_or_default();
        text.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Returns all of the host: folders, files, modes and texts.
    pub(crate) fn host(&self) -> BTreeMap<String, String> {
        tree(&self.root())
    }

    /// Does something to this host and those VMs, with a fault.
    pub(crate) fn with<T>(
        &self,
        hypervisor: &dyn Hypervisor,
        fault: Fault,
        act: impl FnOnce(&Machine<'_>, &Events) -> T,
    ) -> T {
        let events = Events::new(fault, &self.path);
        let live = self.live();
        let system =
            FaultySystem { inner: &live, root: self.root(), events: &events };
        let hypervisor =
            FaultyHypervisor { inner: hypervisor, events: &events };
        let state = self.state();
        let machine = Machine {
            hypervisor: &hypervisor,
            system: &system,
            state: &state,
            now: 17,
            clock: &|| events.clock(),
        };
        act(&machine, &events)
    }

    pub(crate) fn apply(
        &self,
        hypervisor: &dyn Hypervisor,
        fault: Fault,
    ) -> Result<Outcome, ApplyError> {
        let plan = plan(hypervisor);
        self.with(hypervisor, fault, |machine, _| apply(&plan, None, machine))
    }

    pub(crate) fn rollback(
        &self,
        hypervisor: &dyn Hypervisor,
        fault: Fault,
    ) -> Result<Outcome, ApplyError> {
        let act =
            |machine: &Machine<'_>, _: &Events| rollback(None, false, machine);
        self.with(hypervisor, fault, act)
    }

    pub(crate) fn resume(
        &self,
        hypervisor: &dyn Hypervisor,
        fault: Fault,
    ) -> Result<Outcome, ApplyError> {
        self.with(hypervisor, fault, |machine, _| resume(machine))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // A test that failed leaves its folder, to be looked at.
        if std::thread::panicking()
            && let Some(temp) = self.temp.take()
        {
            eprintln!("see {}", temp.keep().display());
        }
    }
}

/// Returns whether all went well.
pub(crate) fn clean(outcome: &Outcome) -> bool {
    outcome.failed.is_none() && outcome.rollback_failures.is_empty()
}

/// Returns all definitions, and the threads of VMs that run.
pub(crate) fn definitions(
    hypervisor: &dyn Hypervisor,
) -> BTreeMap<String, String> {
    let text = |uuid: &DomainUuid| {
        let text = hypervisor.inactive_definition(uuid).unwrap();
        format!("{text}{:?}", hypervisor.pins(uuid).unwrap())
    };
    let all = hypervisor.domains().unwrap().into_iter();
    all.map(|info| (info.name.to_string(), text(&info.uuid))).collect()
}

/// Returns all that is below a folder, by its path there.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(folder, "", &mut found);
    found
}

fn walk(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = format!("{prefix}/{name}");
        let kind = fs::symlink_metadata(&path).unwrap();
        let mode = kind.permissions().mode() & 0o7777;
        if kind.is_dir() {
            walk(&path, &name, found);
            found.insert(name, format!("folder {mode:o}"));
        } else if kind.is_symlink() {
            let to = fs::read_link(&path).unwrap();
            found.insert(name, format!("link to {}", to.display()));
        } else {
            let text = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&text);
            found.insert(name, format!("file {mode:o} {text:?}"));
        }
    }
}

pub(crate) fn definition(name: &str, n: u32) -> String {
    format!(
        "<domain type='test'>
  <name>{name}</name>
  <uuid>{}</uuid>
  <memory unit='KiB'>65536</memory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64'>hvm</type>
  </os>
  <devices>
    <graphics type='vnc' passwd='é-key'/>
  </devices>
</domain>
",
        uuid(n)
    )
}

fn uuid(n: u32) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

/// Makes the plan for the VMs as they are now.
pub(crate) fn plan(hypervisor: &dyn Hypervisor) -> Plan {
    let mut plan = Plan {
        schema_version: Plan::SCHEMA_VERSION,
        fingerprint: Digest::of(b"facts"),
        host: "this machine".into(),
        connection: hypervisor.uri().into(),
        preset: "balanced".into(),
        housekeeping: CpuSet::new(),
        boot_loader: Some(BootLoader::SystemdBoot),
        vms: vec![],
        changes: vec![],
        advice: vec![],
        unknown: vec![],
    };
    for info in hypervisor.domains().unwrap() {
        let text = hypervisor.inactive_definition(&info.uuid).unwrap();
        let pins = hypervisor.pins(&info.uuid).unwrap();
        let runs = pins.map_or(1, |pins| pins.cpus.len());
        for (pin, cpus) in &PINS[..runs] {
            let vm = Some(info.name.to_string());
            let change = change(pin, vm, None, Some(*cpus));
            let stage = if info.running { Stage::Now } else { change.stage };
            plan.changes.push(Change { stage, ..change });
        }
        plan.vms.push(VmPlan {
            name: info.name,
            uuid: Some(info.uuid),
            vmid: None,
            digest: Digest::of(text.as_bytes()),
            placement: None,
            objective: Objective::default(),
            bound: Objective::default(),
        });
    }
    let host = PLACES.iter();
    let host = host.map(|(target, from, to)| change(target, None, *from, *to));
    plan.changes.extend(host);
    plan
}

fn change(
    target: &str,
    vm: Option<String>,
    from: Option<&str>,
    to: Option<&str>,
) -> Change {
    let target: Target = target.parse().unwrap();
    let stage = match &target {
        Target::Definition(_) | Target::Conf(_) => Stage::VmStart,
        Target::Argument { .. } => Stage::HostBoot,
        Target::File(_) | Target::Kernel(_) => Stage::Now,
    };
    Change {
        rule: "by-hand".into(),
        vm,
        target,
        from: from.map(Into::into),
        to: to.map(Into::into),
        because: "a test".into(),
        stage,
        trade: None,
    }
}
