//! Definitions of Proxmox: what is read of them means what Proxmox makes of
//! it, and an edit changes its own line. Real ones are in the corpus.

#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use vmtune::base::{Bytes, CpuSet, VcpuSet, Vmid};
use vmtune::definition;
use vmtune::definition::conf::{Conf, ConfEdit, Mappings};
use vmtune::host::{Source, collect};
use vmtune::model::domain::{CpuMode, Domain};
use vmtune::model::facts::Facts;
use vmtune::model::policy::{Policy, VmPolicy};
use vmtune::model::{Plan, Target};
use vmtune::planner::{Inputs, PlanError, Planned, Subject, plan};
use vmtune::policy::preset;

/// The VMID that the command lines of the corpus were made with.
const VMID: &str = "8006";

fn edit(target: &str, to: Option<&str>) -> ConfEdit {
    let to = to.map(ToOwned::to_owned);
    ConfEdit { target: target.parse().unwrap(), to }
}

/// Returns the definitions of the corpus, or says that there is none.
fn corpus(test: &str) -> Vec<(PathBuf, String)> {
    let Some(corpus) = std::env::var_os("VMTUNE_CORPUS") else {
        eprintln!("{test}: skipped, VMTUNE_CORPUS names no folder");
        return Vec::new();
    };
    let mut found = Vec::new();
    for folder in ["upstream", "wild"] {
        let folder = Path::new(&corpus).join("proxmox").join(folder);
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "conf") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, real(&text)));
            }
        }
    }
    assert!(found.len() > 10, "{} definitions", found.len());
    found
}

/// Proxmox' own tests name slots that no PCI bus has; these it could have.
fn real(text: &str) -> String {
    text.replace("00:ff.1", "00:1e.1").replace("00:f4.0", "00:14.0")
}

fn read(text: &str) -> Domain {
    let vmid: Option<Vmid> = VMID.parse().ok();
    definition::read_numbered(text, vmid).unwrap()
}

/// Mappings as Proxmox writes them.
#[test]
fn real_mappings_are_read() {
    let Some(corpus) = std::env::var_os("VMTUNE_CORPUS") else {
        return eprintln!("real_mappings: skipped, no VMTUNE_CORPUS");
    };
    let path = Path::new(&corpus).join("proxmox/mapping/pci.cfg");
    let text = std::fs::read_to_string(path).unwrap();
    let mappings = Mappings::parse(&text, "localhost").unwrap();
    let mut domain = read("hostpci0: mapping=someNic,pcie=1\n");
    mappings.resolve(&mut domain);
    let choices = domain.devices.mapped[0].choices.clone().unwrap();
    let found: Vec<_> = choices
        .iter()
        .map(|c| (c.functions[0].to_string(), c.iommu_group))
        .collect();
    let expected = ["0000:07:10.0", "0000:07:10.1", "0000:07:10.4"];
    assert_eq!(found, expected.map(|at| (at.to_owned(), Some(2))));
    let mut elsewhere = read("hostpci0: mapping=someNic\n");
    Mappings::parse(&text, "pve2").unwrap().resolve(&mut elsewhere);
    assert_eq!(elsewhere.devices.mapped[0].choices, Some(Vec::new()));
}

/// Every key set and taken away, and a new one put in and taken away again:
/// the lines of all others stay as they are.
#[test]
fn an_edit_of_a_real_definition_changes_its_own_line() {
    let mut own = vec![(PathBuf::from("own"), OWN.to_owned())];
    own.extend(corpus("an_edit_of_a_real_definition"));
    for (path, text) in own {
        let name = path.display();
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let conf = Conf::parse(&text).unwrap();
            assert_eq!(conf.edit(&[]).unwrap(), text, "{name}");
            for key in conf.keys() {
                let gone = conf.edit(&[edit(key, None)]).unwrap();
                only_lines_of(key, &text, &gone);
                let set = conf.edit(&[edit(key, Some("7"))]).unwrap();
                only_lines_of(key, &text, &set);
                let after = Conf::parse(&set).unwrap();
                assert_eq!(after.value(key), Some("7"), "{name}: {key}");
                let back = conf.value(key).unwrap();
                if !back.is_empty() {
                    let back = after.edit(&[edit(key, Some(back))]).unwrap();
                    assert_eq!(back, text, "{name}: {key}");
                }
            }
            let new = conf.edit(&[edit("numa7/cpus", Some("0"))]).unwrap();
            let back = Conf::parse(&new).unwrap();
            let back = back.edit(&[edit("numa7", None)]).unwrap();
            assert_eq!(back, text, "{name}");
        }
    }
}

/// Asserts that two texts differ in lines of one key alone.
#[track_caller]
fn only_lines_of(key: &str, before: &str, after: &str) {
    let others = |text: &str| -> Vec<String> {
        let mut lines: Vec<_> = text.split_inclusive('\n').collect();
        let start = format!("{key}:");
        lines.retain(|line| !line.starts_with(&start));
        lines.concat().lines().map(ToOwned::to_owned).collect()
    };
    // Lines of other sections start with the same key, and stay.
    let sections = |text: &str| {
        let end = text.find("\n[").unwrap_or(text.len());
        text[end..].to_owned()
    };
    assert_eq!(others(before), others(after), "{key}");
    if !before.contains("[PENDING]") {
        assert_eq!(sections(before), sections(after), "{key}");
    }
}

/// A definition with all that a file may have besides keys.
const OWN: &str = "\
#notes%3A with cores%3A 4\n\
#\n\
agent: 1,fstrim_cloned_disks=1\n\
args: -cpu host -smbios 'type=1,serial=a b: c'\n\
cores: 4\n\
future-key9: anything, at=all\n\
hostpci0: 0000:c1:00.2;0000:c1:00.3,pcie=1\n\
memory: 8192\n\
tags:  \n\
numa: 1\n\
\n\
[PENDING]\n\
memory: 4096\n\
delete: balloon\n\
\n\
[special:cloudinit]\n\
name: old\n\
\n\
[snap-1]\n\
#taken%0Aearly\n\
cores: verify meee~ :)\n\
no line of Proxmox\n";

/// The options of a command line: `-smp`, `2,sockets=1`.
struct Command(Vec<(String, String)>);

impl Command {
    fn read(path: &Path) -> Option<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".cmd");
        let text = real(&std::fs::read_to_string(name).ok()?);
        let option = |line: &str| {
            let line = line.trim().trim_end_matches('\\').trim_end();
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.trim_matches('\'').to_owned()))
        };
        Some(Self(text.lines().filter_map(option).collect()))
    }

    fn all<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named.map(|(_, value)| value.as_str())
    }

    fn one<'c>(&'c self, name: &'c str) -> Option<&'c str> {
        self.all(name).next()
    }
}

/// Returns a property of an option's value.
fn property<'c>(value: &'c str, name: &str) -> Option<&'c str> {
    let mut parts = value.split(',').filter_map(|part| part.split_once('='));
    parts.find(|(own, _)| *own == name).map(|(_, value)| value)
}

fn number(value: &str, name: &str) -> u32 {
    property(value, name).unwrap().parse().unwrap()
}

/// What Proxmox hands to QEMU is what was read.
#[test]
fn what_is_read_is_what_proxmox_makes_of_it() {
    let mut compared = 0;
    for (path, text) in corpus("what_is_read") {
        let Some(command) = Command::read(&path) else { continue };
        // A template never runs: Proxmox starts something small to save it.
        if text.contains("\ntemplate: 1") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let domain = read(&text);
        compared += 1;
        assert_eq!(command.one("-name"), Some(domain.name.as_str()), "{name}");
        counts(&name, &command, &domain);
        nodes(&name, &command, &domain);
        machine(&name, &command, &domain, text.contains("HOST_ARCH"));
    }
    assert!(compared == 0 || compared > 10, "{compared} command lines");
}

fn counts(name: &str, command: &Command, domain: &Domain) {
    let smp = command.one("-smp").unwrap();
    let topology = domain.cpu.as_ref().unwrap().topology.unwrap();
    let read = [topology.sockets, topology.cores, domain.vcpus];
    let made = ["sockets", "cores", "maxcpus"].map(|part| number(smp, part));
    assert_eq!(made, read, "{name}");
    let memory = command.one("-m").unwrap();
    if domain.memory.max.is_none() {
        let mib: u64 = memory.parse().unwrap();
        assert_eq!(Bytes(mib << 20), domain.memory.total, "{name}");
    } else {
        assert!(memory.contains("maxmem"), "{name}: {memory}");
    }
    let balloon = domain.devices.memballoon.as_deref() != Some("none");
    let has = command.all("-device").any(|d| d.contains("balloon"));
    assert_eq!(has, balloon, "{name}");
    let huge = command.all("-object").any(|o| o.contains("1048576kB"));
    assert_eq!(huge, domain.has_hugepages(), "{name}");
}

fn nodes(name: &str, command: &Command, domain: &Domain) {
    let made: Vec<VcpuSet> = command
        .all("-numa")
        .map(|node| property(node, "cpus").unwrap().parse().unwrap())
        .collect();
    if made.len() > 1 || domain.numatune.memnodes.len() == 1 {
        let cells: Vec<_> =
            domain.cells().iter().map(|c| c.vcpus.clone()).collect();
        assert_eq!(made, cells, "{name}");
    } else {
        assert!(domain.cells().is_empty(), "{name}");
    }
    let passed: BTreeSet<_> = command
        .all("-device")
        .filter(|device| device.starts_with("vfio-pci"))
        .map(|device| property(device, "host").unwrap().to_owned())
        .collect();
    let read = domain.devices.hostdevs.iter().map(|d| d.source.to_string());
    assert_eq!(passed, read.collect(), "{name}");
}

fn machine(name: &str, command: &Command, domain: &Domain, foreign: bool) {
    if let Some(uuid) = domain.uuid {
        let smbios = command.one("-smbios").unwrap();
        assert_eq!(property(smbios, "uuid"), Some(&*uuid.to_string()));
    }
    // Of another architecture the defaults are others.
    if foreign {
        return;
    }
    let made = property(command.one("-machine").unwrap(), "type").unwrap();
    let is_q35 = made.contains("q35");
    assert_eq!(is_q35, domain.is_q35(), "{name}: {made}");
    let device = command.all("-device").find(|d| d.contains("-iommu"));
    let iommu = domain.devices.iommu.as_ref().map(|i| i.model.as_str());
    assert_eq!(device.is_some(), iommu.is_some(), "{name}");
    let cpu = command.one("-cpu").unwrap();
    let cpu = cpu.split(',').next().unwrap();
    let element = domain.cpu.as_ref().unwrap();
    match (&element.mode, element.model.as_deref()) {
        (Some(CpuMode::HostPassthrough), _) => assert_eq!(cpu, "host"),
        // A model of the administrator's own is in another file.
        (_, Some(model)) if model.starts_with("custom-") => {}
        (_, model) => assert_eq!(Some(cpu), model, "{name}"),
    }
}

/// What cannot be understood is refused with its line, and nothing panics.
#[test]
fn hostile_definitions_are_refused_with_a_line() {
    for text in [
        "cores: 2\nname: ../../etc/passwd\n",
        "cores: 2\nname: a\u{1b}[2J\n",
        "cores: 2\nhostpci0: 0000:zz:00.0\n",
        "cores: 2\naffinity: 0-99999999999\n",
        "cores: 2\nnuma0: cpus=0,memory=1\nnuma: 2\n",
        "cores: 2\n$(reboot): x\n",
        "cores: 2\n\0: x\n",
    ] {
        let error = definition::read(text).unwrap_err().to_string();
        assert!(error.starts_with("line "), "{error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

/// Plans definitions together on a host that has no other VMs.
fn planned(
    facts: &Facts,
    policy: &Policy,
    texts: &[&str],
) -> Result<Planned, PlanError> {
    let subject = |text: &&str| Subject {
        domain: read(text),
        text: (*text).to_owned(),
        live: None,
    };
    let subjects: Vec<_> = texts.iter().map(subject).collect();
    plan(&Inputs {
        facts,
        policy,
        subjects: &subjects,
        neighbours: &[],
        connection: "files",
    })
}

fn host(source: &str) -> Facts {
    let source = match source.starts_with(Source::SYNTHETIC) {
        true => Source::of_argument(source),
        false => {
            Source::detect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(source))
        }
    };
    collect(&source.unwrap()).unwrap()
}

/// A real definition is planned or refused on each host; what is planned
/// loses no line, reads back, and is planned again without a change.
#[test]
fn every_definition_is_planned_without_loss() {
    let mut own = corpus("every_definition_is_planned");
    own.push((PathBuf::from("own"), OWN.to_owned()));
    let (mut plans, mut refused) = (0, 0);
    for (source, policy) in [
        ("examples/host.json", "balanced"),
        ("examples/host.json", "latency"),
        ("examples/host.json", "throughput"),
        ("examples/host.json", "security"),
        ("tests/hosts/hybrid.json", "latency"),
        ("tests/hosts/desktop-1s.json", "balanced"),
        ("synthetic:pack:2 numa:4 l3:2 core:8 pu:2", "balanced"),
    ] {
        let facts = host(source);
        let policy = &preset(policy).unwrap();
        for (path, text) in &own {
            let name = format!("{source} {}", path.display());
            let made = match planned(&facts, policy, &[text]) {
                Ok(made) => made,
                Err(PlanError::Refused(_)) => {
                    refused += 1;
                    continue;
                }
                Err(other) => panic!("{name}: {other}"),
            };
            plans += 1;
            let vm = &made.plan.vms[0].name;
            let after = &made.definitions[vm];
            holds(&name, text, after, &made.plan);
            let again = planned(&facts, policy, &[after]).unwrap();
            let changes = again.plan.changes.iter();
            let first: Vec<_> =
                changes.filter(|c| c.target.is_of_vm()).collect();
            assert!(first.is_empty(), "{name}: {first:?}");
            assert_eq!(&again.definitions[vm], after, "{name}");
        }
    }
    assert!(plans > 3 * refused, "{plans} plans, {refused} refused");
}

/// Asserts that what the plan does not change is as it was, line by line.
#[track_caller]
fn holds(name: &str, before: &str, after: &str, plan: &Plan) {
    let keys: BTreeSet<_> = plan
        .changes
        .iter()
        .filter_map(|change| match &change.target {
            Target::Conf(path) => Some(path.key()),
            _ => None,
        })
        .collect();
    let others = |text: &str| -> Vec<String> {
        let changed = |line: &&str| {
            let key = line.split(':').next().unwrap_or_default();
            key != "delete" && !keys.contains(key)
        };
        text.lines().filter(changed).map(ToOwned::to_owned).collect()
    };
    assert_eq!(others(before), others(after), "{name}");
    let (old, new) =
        (Conf::parse(before).unwrap(), Conf::parse(after).unwrap());
    for key in old.keys().into_iter().chain(new.keys()) {
        if !keys.contains(key) {
            assert_eq!(old.value(key), new.value(key), "{name}: {key}");
        }
    }
}

/// A VM with a network function, on the example's host.
const NETWORK: &str = "\
bios: ovmf\n\
boot: order=scsi0\n\
cores: 8\n\
cpu: x86-64-v2-AES\n\
hostpci0: 0000:c1:00.2\n\
machine: pc-q35-10.0,enable-s3=0\n\
memory: 16384\n\
name: net1\n\
numa: 0\n\
ostype: l26\n\
scsi0: local-lvm:vm-101-disk-0,iothread=1,size=100G\n\
scsihw: virtio-scsi-single\n\
smbios1: uuid=9c839b57-e25a-404d-bac8-d52dc6ad3f78\n\
sockets: 1\n\
\n\
[before]\n\
cores: 4\n\
memory: 8192\n";

#[test]
fn a_vm_with_a_network_function() {
    let facts = host("examples/host.json");
    let made = planned(&facts, &Policy::default(), &[NETWORK]).unwrap();
    let vm = &made.plan.vms[0].name;
    insta::assert_snapshot!(made.definitions[vm]);
    // Advice by default: it moves the device in the guest.
    let pcie = made.plan.advice.iter().find(|a| a.rule == "machine-type");
    assert!(pcie.unwrap().text.contains("hostpci0/pcie to 1"));
}

/// No VM is given what another has, in whatever words it is defined.
#[test]
fn vms_of_both_kinds_are_planned_together() {
    let facts = host("examples/host.json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/vm1.xml");
    let xml = std::fs::read_to_string(path).unwrap();
    let made = planned(&facts, &Policy::default(), &[&xml, NETWORK]).unwrap();
    let [net1, vm1] = &made.plan.vms[..] else { panic!("two VMs") };
    assert_eq!((net1.name.as_str(), vm1.name.as_str()), ("net1", "vm1"));
    let conf = Conf::parse(&made.definitions[&net1.name]).unwrap();
    let affinity: CpuSet = conf.value("affinity").unwrap().parse().unwrap();
    let others = vm1.placement.as_ref().unwrap().cpus();
    assert!(!affinity.intersects(&others), "{affinity} and {others}");
    for change in &made.plan.changes {
        let words = match change.vm.as_deref() {
            Some("net1") => matches!(change.target, Target::Conf(_)),
            Some(_) => matches!(change.target, Target::Definition(_)),
            None => !change.target.is_of_vm(),
        };
        assert!(words, "{}: {}", change.rule, change.target);
    }
}

/// What a policy asks for and Proxmox cannot say is refused with the reason.
#[test]
fn what_proxmox_has_no_words_for_is_refused() {
    let refused = |source: &str, set: fn(&mut VmPolicy)| {
        let mut policy = Policy::default();
        let mut table = VmPolicy::default();
        set(&mut table);
        policy.vm.insert("big".to_owned(), table);
        let text = "cores: 18\nmemory: 1800\nname: big\n";
        match planned(&host(source), &policy, &[text]) {
            Err(PlanError::Refused(refusal)) => refusal.shortage,
            other => panic!("{other:?}"),
        }
    };
    let threads = refused("examples/host.json", |vm| vm.threads = Some(2));
    assert!(threads.contains("no key for guest threads"), "{threads}");
    let many = "synthetic:numa:12(memory=4GiB) core:4 pu:1";
    let cells = refused(many, |vm| vm.cells = Some(9));
    assert!(cells.contains("no more than 8 NUMA nodes"), "{cells}");
}

/// A node with two VMs, a template and mappings.
fn node() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    let write = |path: &str, text: &str| {
        std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        std::fs::write(at(path), text).unwrap();
    };
    let definitions = "etc/pve/nodes/pve1/qemu-server";
    let vm = NETWORK.replace("0000:c1:00.2", "mapping=nic1,pcie=1");
    write(&format!("{definitions}/101.conf"), &vm);
    let other = "affinity: 13,45\ncores: 2\nmemory: 2048\nname: other\n";
    write(&format!("{definitions}/102.conf"), other);
    let template = "cores: 60\nmemory: 512\nname: mould\ntemplate: 1\n";
    write(&format!("{definitions}/900.conf"), template);
    write(&format!("{definitions}/notes.txt"), "no definition");
    let mapping = "nic1\n\tmap id=15b3:101e,iommugroup=7,node=pve1,\
                   path=0000:c1:00.2\n";
    write("etc/pve/mapping/pci.cfg", mapping);
    write("run/qemu-server/102.pid", "4711\n");
    write("proc/4711/stat", "4711 (kvm) S\n");
    let link = |to: &str, path: &str| {
        std::os::unix::fs::symlink(to, at(path)).unwrap();
    };
    link("nodes/pve1/qemu-server", "etc/pve/qemu-server");
    link("nodes/pve1", "etc/pve/local");
    folder
}

/// Runs the program on a node; returns exit code, output and messages.
fn on_node(node: &Path, arguments: &[&str]) -> (i32, String, String) {
    let host = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/host.json");
    let program = assert_cmd::cargo::cargo_bin!("vmtune");
    let output = std::process::Command::new(program)
        .args(arguments)
        .args(["--host", host, "-c"])
        .arg(format!("proxmox://{}", node.display()))
        .env_clear()
        .env("VMTUNE_STATE_DIR", node.join("state"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The VMID names the VM, the others are what the node holds, and a mapping
/// of one function is where that function is.
#[test]
fn a_vm_of_a_node_is_planned_by_its_vmid() {
    let node = node();
    let (code, out, err) =
        on_node(node.path(), &["plan", "101", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let plan: Plan = serde_json::from_str(&out).unwrap();
    assert_eq!(plan.vms.len(), 1);
    let vm = &plan.vms[0];
    assert_eq!(vm.vmid, "101".parse().ok());
    let cpus = vm.placement.as_ref().unwrap().cpus();
    assert!(!cpus.intersects(&"13,45".parse().unwrap()), "{cpus}");
    let near = vm.placement.as_ref().unwrap().memory_nodes();
    assert_eq!(near, "1".parse().unwrap(), "the node of the function");
    let stale = plan.advice.iter().find(|a| a.rule == "pci-mapping");
    assert!(stale.unwrap().text.contains("iommugroup=7"), "{stale:?}");
    let (code, _, err) = on_node(node.path(), &["plan", "900"]);
    assert_eq!(code, 2, "a template never runs: {err}");
}

/// A definition or a file of mappings that cannot be read is named, and the
/// VM is not planned around what is not known.
#[test]
fn what_cannot_be_read_of_a_node_is_named() {
    let node = node();
    let mapping = node.path().join("etc/pve/mapping/pci.cfg");
    std::fs::write(&mapping, "nic1\n\tmap path=x,node=pve1\n").unwrap();
    let (code, _, err) = on_node(node.path(), &["plan", "101"]);
    assert_eq!(code, 1);
    assert!(err.contains("pci.cfg") && err.contains("line 2"), "{err}");
    let (code, _, err) = on_node(node.path(), &["plan", "102"]);
    assert_eq!(code, 0, "it has no mapping: {err}");
    assert!(err.contains("what 101 holds is not known"), "{err}");
    let bad = node.path().join("etc/pve/qemu-server/102.conf");
    std::fs::write(bad, "cores: 2\nno line\n").unwrap();
    let (code, _, err) = on_node(node.path(), &["plan", "102"]);
    assert_eq!(code, 1);
    assert!(err.contains("line 2: neither KEY"), "{err}");
}
