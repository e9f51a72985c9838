//! A node of Proxmox: one VM that runs and one that does not, changed
//! together with the host. `qm` writes key by key, and is killed in between.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use vmtune::apply::{ApplyError, apply};
use vmtune::base::{Digest, Vmid};
use vmtune::hypervisor::Node;
use vmtune::model::{Change, Objective, Plan, Stage, VmPlan};
use vmtune::system::System as _;
use vmtune::system::fake::qm;

use crate::child::{Deed, killed, whole};
use crate::fault::{Fault, make};
use crate::scene::{PROGRAMS, Scene, clean, plan as plan_of_host};

/// The VMs, and whether they run.
const VMS: [(u32, bool); 2] = [(101, false), (102, true)];

const CONF: &str = "#notes\nballoon: 512\ncores: 2\nmemory: 1024\n\
                    net0: virtio=aa:bb:cc:00:11:22,bridge=vmbr0\n\n\
                    [snap]\ncores: 2\n";

/// What is changed of each.
const KEYS: [(&str, Option<&str>, Option<&str>); 4] = [
    ("affinity", None, Some("2-3")),
    ("balloon", Some("512"), None),
    ("cores", Some("2"), Some("4")),
    ("numa0/cpus", None, Some("0-3")),
];

/// Makes a host that is a node of Proxmox.
fn scene() -> Scene {
    let scene = Scene::new();
    let root = scene.root();
    let cluster = root.join("etc/pve");
    fs::create_dir_all(cluster.join("nodes/pve1/qemu-server")).unwrap();
    symlink("nodes/pve1/qemu-server", cluster.join("qemu-server")).unwrap();
    fs::create_dir_all(root.join("run/qemu-server")).unwrap();
    for (vmid, running) in VMS {
        fs::write(file(&scene, vmid), CONF).unwrap();
        if running {
            let pid = root.join(format!("run/qemu-server/{vmid}.pid"));
            fs::write(pid, "4711\n").unwrap();
        }
    }
    for program in PROGRAMS {
        make(&root, &program).unwrap();
    }
    scene
}

/// Returns all of the host, with its VMs stopped and started: what waits for
/// that counts as it is.
fn as_started(scene: &Scene) -> BTreeMap<String, String> {
    let mut all = scene.host();
    // What programs made has the text of that moment.
    all.retain(|path, _| !path.starts_with("/made/"));
    for (vmid, _) in VMS {
        let text = fs::read_to_string(file(scene, vmid)).unwrap();
        let path = format!("/etc/pve/nodes/pve1/qemu-server/{vmid}.conf");
        all.insert(path, qm::started(&text));
    }
    all
}

fn file(scene: &Scene, vmid: u32) -> std::path::PathBuf {
    scene.root().join(format!("etc/pve/qemu-server/{vmid}.conf"))
}

/// Returns the node that a folder holds; `None` where it is another host.
pub(crate) fn at(folder: &Path) -> Option<Node> {
    let cluster = folder.join("root/etc/pve");
    cluster.exists().then(|| Node::new("proxmox:///"))
}

/// Makes the plan for the host and its VMs as they are now.
pub(crate) fn plan(scene: &Scene) -> Plan {
    let mut plan = plan_of_host(&Node::new("proxmox:///"));
    for (n, _) in VMS {
        let vmid: Vmid = n.to_string().parse().unwrap();
        let text = scene.live().conf(vmid).unwrap().unwrap();
        let name = format!("vm{n}");
        let changes = KEYS.iter().map(|(key, from, to)| Change {
            rule: "by-hand".into(),
            vm: Some(name.clone()),
            target: key.parse().unwrap(),
            from: from.map(Into::into),
            to: to.map(Into::into),
            because: "a test".into(),
            stage: Stage::VmStart,
            trade: None,
        });
        plan.changes.extend(changes);
        plan.vms.push(VmPlan {
            name: name.parse().unwrap(),
            uuid: None,
            vmid: Some(vmid),
            digest: Digest::of(text.as_bytes()),
            placement: None,
            objective: Objective::default(),
            bound: Objective::default(),
        });
    }
    plan
}

#[test]
fn a_kill_anywhere_is_recovered_from() {
    let whole_scene = scene();
    let start = whole_scene.host();
    let moments = whole(whole_scene.path(), Deed::Apply);
    let finish = as_started(&whole_scene);
    let text = fs::read_to_string(file(&whole_scene, 102)).unwrap();
    assert!(text.contains("[PENDING]\naffinity: 2-3\n"), "{text}");
    let text = fs::read_to_string(file(&whole_scene, 101)).unwrap();
    assert_eq!(text, qm::started(&text), "nothing waits");
    let node = at(whole_scene.path()).unwrap();
    for at in 0..moments {
        let scene = scene();
        killed(scene.path(), Deed::Apply, at);
        let outcome = scene.rollback(&node, Fault::None).unwrap();
        assert!(clean(&outcome), "moment {at}: {outcome:?}");
        assert_eq!(scene.host(), start, "moment {at}");
        assert!(outcome.rewritten.is_empty(), "moment {at}");

        let scene = self::scene();
        killed(scene.path(), Deed::Apply, at);
        match scene.resume(&node, Fault::None) {
            Ok(outcome) => assert!(clean(&outcome), "moment {at}"),
            Err(ApplyError::NothingToResume) => assert_eq!(at, moments - 1),
            Err(error) => panic!("moment {at}: {error}"),
        }
        assert_eq!(as_started(&scene), finish, "moment {at}");
        let outcome = scene.rollback(&node, Fault::None).unwrap();
        assert!(clean(&outcome), "moment {at}: {outcome:?}");
        assert_eq!(scene.host(), start, "moment {at}");
    }
    eprintln!("{moments} moments: each killed, rolled back and resumed");
}

#[test]
fn a_kill_anywhere_in_a_rollback_is_recovered_from() {
    let applied = || {
        let scene = scene();
        let node = at(scene.path()).unwrap();
        let start = scene.host();
        let plan = plan(&scene);
        let outcome = scene
            .with(&node, Fault::None, |machine, _| apply(&plan, None, machine));
        let outcome = outcome.unwrap();
        assert!(clean(&outcome), "{outcome:?}");
        (scene, node, start)
    };
    let (whole_scene, ..) = applied();
    let moments = whole(whole_scene.path(), Deed::Rollback);
    let finish = as_started(&whole_scene);
    let mut rewritten = 0;
    for at in 0..moments {
        let (scene, node, start) = applied();
        killed(scene.path(), Deed::Rollback, at);
        match scene.rollback(&node, Fault::None) {
            Ok(outcome) => {
                assert!(clean(&outcome), "moment {at}");
                // A `qm` that is killed has left a VM's keys to its next
                // start, which is said.
                let other = usize::from(scene.host() != start);
                assert_eq!(outcome.rewritten.len(), other, "moment {at}");
                rewritten += other;
            }
            Err(ApplyError::NothingToUndo) => assert_eq!(at, moments - 1),
            Err(error) => panic!("moment {at}: {error}"),
        }
        assert_eq!(as_started(&scene), finish, "moment {at}");
    }
    eprintln!("{moments} moments, after {rewritten} of them keys waited");
}
