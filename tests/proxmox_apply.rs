//! The program on a node of Proxmox: this machine with an /etc/pve and a `qm`
//! of the test's own, where nobody else sees them. Only root can mount them.

#![allow(
    clippy::disallowed_methods,
    reason = "the test plays a node, and says what it lacks"
)]

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use vmtune::base::Vmid;
use vmtune::model::Plan;
use vmtune::system::fake::qm;

const CONF: &str = "#notes\nballoon: 512\ncores: 8\ncpu: host\n\
                    memory: 4096\nname: web\nnet0: virtio=aa:bb:cc:00:11:22\n";

/// Where the definitions are.
const FOLDER: &str = "/etc/pve/qemu-server";

/// Runs a test of this program on a node; returns what it says, or nothing
/// where there can be no node.
fn on_a_node(test: &str) -> Option<String> {
    let temp = tempfile::tempdir().unwrap();
    let at = temp.path().display();
    let this = env::current_exe().unwrap();
    let qm = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >{at}/words\n\
         WORDS={at}/words exec {} --ignored --exact qm_itself --nocapture\n",
        this.display()
    );
    let file = temp.path().join("qm");
    fs::write(&file, qm).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let script = "for top in etc usr/sbin; do \
                  mkdir -p $AT/$top/upper $AT/$top/work; \
                  mount -t overlay -o lowerdir=/$top,upperdir=$AT/$top/upper,\
                  workdir=$AT/$top/work overlay /$top || exit 77; done; \
                  mkdir -p /etc/pve/qemu-server; cp $AT/qm /usr/sbin/qm; \
                  exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(this)
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env("AT", temp.path())
        .output();
    let output = output.ok().filter(|output| {
        // Without a right to mount there is no node.
        !matches!(output.status.code(), Some(1 | 77))
    });
    let Some(output) = output else {
        eprintln!("{test}: skipped, only root can mount a file system");
        return None;
    };
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(said)
}

/// Runs the program; returns exit code, output and messages.
fn vmtune(at: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("vmtune"))
        .args(arguments)
        .env_clear()
        .env("VMTUNE_STATE_DIR", at.join("state"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Plays `qm`.
#[test]
#[ignore = "vmtune runs it"]
fn qm_itself() {
    let words = fs::read_to_string(env::var_os("WORDS").unwrap()).unwrap();
    let mut all = vec!["qm".to_owned()];
    all.extend(words.lines().map(str::to_owned));
    let vmid: Vmid = all[2].parse().unwrap();
    let file = format!("{FOLDER}/{vmid}.conf");
    let text = fs::read_to_string(&file).unwrap();
    let texts = qm::texts(vmid, &text, false, &all).unwrap();
    fs::write(file, texts.last().unwrap()).unwrap();
}

#[test]
fn a_plan_is_applied_and_rolled_back() {
    if let Some(said) = on_a_node("applies_and_rolls_back") {
        assert!(said.contains("1 passed"), "{said}");
    }
}

#[test]
#[ignore = "it is run by the other test"]
fn applies_and_rolls_back() {
    let at = env::var_os("AT").unwrap();
    let at = Path::new(&at);
    let file = format!("{FOLDER}/101.conf");
    fs::write(&file, CONF).unwrap();
    let host = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/host.json");
    let plan = at.join("plan.json");
    let plan = plan.to_str().unwrap();
    let (code, out, err) =
        vmtune(at, &["plan", "101", "--host", host, "--out", plan]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("makes these changes; undone by"), "{out}");
    // This machine is not the host that was planned for.
    let text = fs::read_to_string(plan).unwrap();
    let mut planned: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(planned.connection, "proxmox:///");
    planned.changes.retain(|change| change.vm.is_some());
    planned.boot_loader = None;
    fs::write(plan, serde_json::to_string(&planned).unwrap()).unwrap();

    let (code, out, err) = vmtune(at, &["apply", plan, "--dry-run"]);
    assert_eq!(code, 0, "{err}");
    insta::assert_snapshot!(without_digest(&out), @"
    1. web (101): run `qm set 101 --affinity '0,4-7,32,36-39' --balloon 0 --hugepages 1024 --numa 1 --numa0 'cpus=0-7,hostnodes=0,memory=4096,policy=bind' --digest DIGEST  when the VM starts
    --- a/101.conf
    +++ b/101.conf
    @@ -1,7 +1,11 @@
     #notes
    -balloon: 512
    +affinity: 0,4-7,32,36-39
    +balloon: 0
     cores: 8
     cpu: host
    +hugepages: 1024
     memory: 4096
     name: web
     net0: virtio=aa:bb:cc:00:11:22
    +numa: 1
    +numa0: cpus=0-7,hostnodes=0,memory=4096,policy=bind
    Nothing was changed.
    ");
    assert_eq!(fs::read_to_string(&file).unwrap(), CONF);

    let (code, out, err) = vmtune(at, &["apply", plan, "-y"]);
    assert_eq!(code, 0, "{err}");
    insta::assert_snapshot!(without_time(&out), @"
    in effect when the VM starts
      web (101): set
    to make the rest take effect
      qm start 101  web starts as planned

    tx-000001: `vmtune rollback` undoes it
    ");
    let (_, out, _) = vmtune(at, &["history", "--format", "json"]);
    assert!(out.contains("\"web\""), "{out}");
    let tuned = fs::read_to_string(&file).unwrap();
    let (code, out, err) = vmtune(at, &["status", "101", "-v"]);
    assert_eq!(code, 0, "{out}{err}");
    fs::write(&file, tuned.replace("hugepages: 1024", "hugepages: 2")).unwrap();
    let (code, out, err) = vmtune(at, &["status"]);
    assert_eq!(code, 6, "{out}{err}");
    assert!(out.contains("hugepages"), "{out}");
    fs::write(&file, &tuned).unwrap();
    let (code, _, err) = vmtune(at, &["apply", plan, "-y"]);
    assert_eq!(code, 1);
    assert!(err.contains("affinity of web"), "{err}");
    assert_eq!(fs::read_to_string(&file).unwrap(), tuned);

    let (code, out, err) = vmtune(at, &["rollback", "-y"]);
    assert_eq!(code, 0, "{err}");
    insta::assert_snapshot!(without_time(&out), @"
    web (101): has its former definition again, in effect when the VM starts next
    ");
    assert_eq!(fs::read_to_string(&file).unwrap(), CONF);
    let copy = ["apply", plan, "-y", "-c", "proxmox:///srv/copy"];
    let (code, _, err) = vmtune(at, &copy);
    assert_eq!(code, 2);
    assert!(err.contains("is a copy of a node"), "{err}");
}

/// Leaves out what is another each time.
fn without_time(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once(" (") {
        Some((before, after)) if after.ends_with("ms)") => before.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn without_digest(text: &str) -> String {
    let digest = |word: &str| match word.trim_end_matches('`').len() {
        40 => "DIGEST".to_owned(),
        _ => word.to_owned(),
    };
    let line =
        |line: &str| line.split(' ').map(digest).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
