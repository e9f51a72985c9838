//! The commands around a transaction, with libvirt's test driver. Its VMs
//! live as long as the process that asks it, so that every command finds them
//! as they are in the file.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

const VM: &str = "<domain type='test'>
    <name>vm1</name>
    <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
    <memory unit='MiB'>64</memory>
    <vcpu placement='static'>1</vcpu>
    <os><type arch='i686'>hvm</type></os>
  </domain>";

/// A value of the kernel that every machine has and nobody can set.
const RELEASE: &str = "/proc/sys/kernel/osrelease";

pub(crate) struct Bench {
    folder: TempDir,
}

pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = format!(
            "<node>
  <cpu>
    <mhz>2400</mhz><model>x86_64</model><active>8</active>
    <nodes>2</nodes><sockets>1</sockets><cores>2</cores><threads>2</threads>
  </cpu>
  <memory>8388608</memory>
  {VM}
</node>
"
        );
        fs::write(folder.path().join("node.xml"), node).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn uri(&self) -> String {
        format!("test://{}", self.path("node.xml").display())
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("vmtune"))
            .env_clear()
            .env("HOME", self.folder.path())
            .env("VMTUNE_STATE_DIR", self.path("state"))
            .current_dir(self.folder.path())
            .args(arguments.split_whitespace())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let shown = |text: String| {
            text.replace(&self.folder.path().display().to_string(), "")
        };
        Output {
            code: output.status.code().unwrap(),
            out: shown(text(output.stdout)),
            err: shown(text(output.stderr)),
        }
    }

    /// Writes a plan for vm1 as libvirt has it, with these changes: target,
    /// what stands there, what shall, and when.
    fn plan(&self, changes: &[(&str, Option<&str>, Option<&str>, &str)]) {
        use vmtune::base::Digest;
        use vmtune::hypervisor::{Access, Hypervisor as _, Libvirt};
        let uri = self.uri();
        let libvirt = Libvirt::open(Some(&uri), Access::ReadWrite).unwrap();
        let info = libvirt.find("vm1").unwrap();
        let text = libvirt.inactive_definition(&info.uuid).unwrap();
        let changes: Vec<Value> = changes
            .iter()
            .map(|(target, from, to, stage)| {
                let mut change = serde_json::json!({
                    "rule": "by-hand", "target": target, "from": from,
                    "to": to, "because": "a test", "stage": stage,
                });
                if target.starts_with("/domain") {
                    change["vm"] = "vm1".into();
                }
                change
            })
            .collect();
        let plan = serde_json::json!({
            "schema_version": 1,
            "fingerprint": Digest::of(b"facts"),
            "host": "another machine",
            "connection": uri,
            "preset": "balanced",
            "housekeeping": "",
            "vms": [{
                "name": "vm1", "uuid": info.uuid,
                "digest": Digest::of(text.as_bytes()), "placement": null,
                "objective": [0, 0, 0, 0, 0, 0, 0],
                "bound": [0, 0, 0, 0, 0, 0, 0],
            }],
            "changes": changes, "advice": [], "unknown": [],
        });
        fs::write(self.path("p.json"), plan.to_string()).unwrap();
    }

    fn status(&self) -> String {
        let output = self.run("history --format json");
        let list: Value = serde_json::from_str(&output.out).unwrap();
        let last = list.as_array().unwrap().last().unwrap();
        last["status"].as_str().unwrap().to_owned()
    }

    fn wait_for(&self, status: &str) {
        while self.status() != status {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

const PIN: (&str, Option<&str>, Option<&str>, &str) =
    ("/domain/cputune/vcpupin[@vcpu='0']/@cpuset", None, Some("1"), "vm-start");

/// Takes out what differs from run to run.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let line = match line.rfind(" (") {
            Some(at) if line.ends_with("ms)") || line.ends_with(" s)") => {
                format!("{} (time)", &line[..at])
            }
            _ => line.to_owned(),
        };
        let line = match line.find(" at 20") {
            Some(at) => {
                let end = line[at..].find(" UTC").unwrap() + at;
                format!("{} at then{}", &line[..at], &line[end + 4..])
            }
            None => line,
        };
        out += &format!("{line}\n");
    }
    out
}

#[test]
fn a_dry_run_shows_each_step_and_touches_nothing() {
    let bench = Bench::new();
    let release = fs::read_to_string(RELEASE).unwrap();
    let release = release.trim();
    let conf = "/etc/systemd/system/vmtune-test.slice.d/90-vmtune.conf";
    bench.plan(&[
        PIN,
        (conf, None, Some("[Slice]\nAllowedCPUs=0\n"), "now"),
        (RELEASE, Some(release), Some("x"), "now"),
    ]);
    let output = bench.run("apply p.json --dry-run");
    assert_eq!(output.code, 0, "{}", output.err);
    // The columns depend on how long the release's name is.
    let lines = output.out.lines().map(|line| match line.split_once("  ") {
        Some((step, stage)) if line.starts_with(char::is_numeric) => {
            format!("{step} | {}", stage.trim_start())
        }
        _ => line.to_owned(),
    });
    let out = lines.collect::<Vec<_>>().join("\n");
    let out = out.replace(release, "RELEASE");
    // The plan names its folder, and so has another digest each time.
    let (before, after) = out.split_once(" plan='").unwrap();
    let out = format!("{before} plan='DIGEST{}", &after[64..]);
    insta::assert_snapshot!(out, @"
    1. /etc/systemd/system/vmtune-test.slice.d/90-vmtune.conf: made | now
    --- /dev/null
    +++ b/etc/systemd/system/vmtune-test.slice.d/90-vmtune.conf
    @@ -0,0 +1,2 @@
    +[Slice]
    +AllowedCPUs=0
    2. systemctl daemon-reload: run `systemctl daemon-reload` | now
    3. /proc/sys/kernel/osrelease: RELEASE → x | now
    4. vm1: defined anew | when the VM starts
    --- a/vm1.xml
    +++ b/vm1.xml
    @@ -1,9 +1,15 @@
     <domain type='test'>
       <name>vm1</name>
       <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
    +  <metadata>
    +    <vmtune:tuned xmlns:vmtune='urn:vmtune:domain:1' transaction='tx-000001' preset='balanced' plan='DIGEST'/>
    +  </metadata>
       <memory unit='KiB'>65536</memory>
       <currentMemory unit='KiB'>65536</currentMemory>
       <vcpu placement='static'>1</vcpu>
    +  <cputune>
    +    <vcpupin vcpu='0' cpuset='1'/>
    +  </cputune>
       <os>
         <type arch='i686'>hvm</type>
         <boot dev='hd'/>
    Nothing was changed.
    ");
    assert!(!bench.path("state/journal").exists());
    assert!(!bench.path("state/lock").exists());
}

#[test]
fn a_stale_plan_names_the_place() {
    let bench = Bench::new();
    bench.plan(&[(RELEASE, Some("1.0"), Some("2.0"), "now")]);
    let release = fs::read_to_string(RELEASE).unwrap();
    for how in ["--dry-run", "--yes"] {
        let output = bench.run(&format!("apply p.json {how}"));
        assert_eq!(output.code, 1);
        let words: Vec<_> = output.err.split_whitespace().collect();
        let said = words.join(" ");
        let expected = format!(
            "error: {RELEASE} changed since the plan was made: the plan found \
             \"1.0\", and {:?} is there hint: nothing was changed; make a new \
             plan with `vmtune plan`",
            release.trim()
        );
        assert!(said.contains(&expected), "{said}");
    }
}

/// The test driver forgets what was defined: each command finds the VM as the
/// file has it, as if somebody had set it back.
#[test]
fn status_names_a_pin_that_was_changed() {
    let bench = Bench::new();
    bench.plan(&[PIN]);
    assert_eq!(bench.run("apply p.json --yes").code, 0);
    let with = |pins: &str| {
        let pins = format!("<cputune>{pins}</cputune></domain>");
        let vm = VM.replace("</domain>", &pins);
        let node = fs::read_to_string(bench.path("node.xml")).unwrap();
        let (head, _) = node.split_once("<domain").unwrap();
        let node = format!("{head}{vm}</node>");
        fs::write(bench.path("node.xml"), node).unwrap();
        let output = bench.run("status vm1 --format json");
        let json: Value = serde_json::from_str(&output.out).unwrap();
        assert_eq!(json["schema_version"], 1);
        (output.code, json["findings"].clone())
    };
    let (target, ..) = PIN;
    let drifted = |found: &str| {
        serde_json::json!([{
            "vm": "vm1", "what": target, "planned": "1",
            "state": "drifted", "found": found,
        }])
    };
    assert_eq!(with(""), (6, drifted("nothing")));
    let pin = |cpu: u32| format!("<vcpupin vcpu='0' cpuset='{cpu}'/>");
    assert_eq!(with(&pin(0)), (6, drifted("0")));
    let holds = serde_json::json!([{
        "vm": "vm1", "what": "definition", "planned": "1 setting",
        "state": "holds",
    }]);
    assert_eq!(with(&pin(1)), (0, holds));
    with(&pin(0));
    let output = bench.run("status");
    assert_eq!(output.code, 6, "{}", output.err);
    insta::assert_snapshot!(output.out, @"
    vm1
      /domain/cputune/vcpupin[@vcpu='0']/@cpuset: 0, planned 1

    1 statement has drifted.
    ");
}

#[test]
fn status_names_a_transaction_that_was_cut_off() {
    let bench = Bench::new();
    assert_eq!(bench.run("status").out, "nothing that was applied stands\n");
    bench.plan(&[PIN]);
    assert_eq!(bench.run("apply p.json --yes").code, 0);
    let file = bench.path("state/journal/tx-000001.jsonl");
    let journal = fs::read_to_string(&file).unwrap();
    let (kept, _) = journal.trim_end().rsplit_once('\n').unwrap();
    fs::write(file, format!("{kept}\n")).unwrap();
    let output = bench.run("status");
    assert_eq!(output.code, 6, "{}", output.err);
    insta::assert_snapshot!(output.out, @"
    host
      tx-000001: cut off in the middle, planned finished
        `vmtune resume` finishes it, `vmtune rollback` undoes it

    1 statement has drifted.
    ");
}

#[test]
fn what_was_done_and_what_waits_is_said() {
    let bench = Bench::new();
    bench.plan(&[PIN]);
    let output = bench.run("apply p.json --yes");
    assert_eq!(output.code, 0, "{}", output.err);
    insta::assert_snapshot!(steady(&output.out), @"
    in effect when the VM starts
      vm1: defined (time)
    to make the rest take effect
      virsh -c test:///node.xml shutdown vm1  vm1 still runs as it was defined before
      virsh -c test:///node.xml start vm1     vm1 starts as planned

    tx-000001: `vmtune rollback` undoes it
    ");
    let output = bench.run("history --format json");
    let list: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!(list[0]["places"], serde_json::json!(["vm1"]));
    assert_eq!(list[0]["vms"], serde_json::json!(["vm1"]));
}

#[test]
fn what_libvirt_made_of_a_definition_is_said() {
    let bench = Bench::new();
    let (target, from, _, stage) = PIN;
    for (verbose, said) in [
        ("", "\n    libvirt wrote 1 place its own way (-v)\n"),
        ("-v", "    libvirt    /domain/cputune/vcpupin/@cpuset differs\n"),
    ] {
        bench.plan(&[(target, from, Some("3,2"), stage)]);
        let output = bench.run(&format!("apply p.json --yes {verbose}"));
        assert_eq!(output.code, 0, "{}", output.err);
        assert!(output.out.contains(said), "{}", output.out);
        // The test driver has forgotten it, the journal has not.
        assert_eq!(bench.run("rollback --yes --force").code, 0);
    }
}

/// The test driver's VM runs, and no thread of it can be moved.
#[test]
fn threads_that_cannot_be_moved_take_the_definition_back() {
    let bench = Bench::new();
    let (target, from, to, _) = PIN;
    bench.plan(&[(target, from, to, "now")]);
    let output = bench.run("apply p.json --dry-run");
    assert_eq!(output.code, 0, "{}", output.err);
    let (_, last) = output.out.split_once("2. ").unwrap();
    insta::assert_snapshot!(last, @"
    vm1, which runs: threads moved                                            now
    --- a/vm1.xml
    +++ b/vm1.xml
    @@ -1,3 +1,3 @@
     run 1
    -vcpu 0 0-7
    +vcpu 0 1
     emulator 0-7
    Nothing was changed.
    ");
    let output = bench.run("apply p.json --yes");
    assert_eq!((output.code, output.out.as_str()), (4, ""), "{}", output.err);
    assert!(output.err.contains("pinning vCPU 0 of"), "{}", output.err);
    assert_eq!(bench.status(), "rolled-back");
}

#[test]
fn what_does_not_take_effect_at_once_can_stay_planned() {
    let bench = Bench::new();
    bench.plan(&[PIN]);
    let output = bench.run("apply p.json --now --yes");
    assert_eq!(output.code, 0, "{}", output.err);
    insta::assert_snapshot!(output.out, @"
    Nothing to change at once.
    still planned: 1 change when the VM starts; `vmtune apply` makes the rest
    ");
    assert_eq!(bench.run("history").out, "nothing was applied yet\n");
}

#[test]
fn what_cannot_be_set_is_rolled_back() {
    let bench = Bench::new();
    let release = fs::read_to_string(RELEASE).unwrap();
    bench.plan(&[PIN, (RELEASE, Some(release.trim()), Some("x"), "now")]);
    let output = bench.run("apply p.json --yes");
    assert_eq!((output.code, output.out.as_str()), (4, ""), "{}", output.err);
    assert!(output.err.contains(RELEASE), "{}", output.err);
    assert_eq!(bench.status(), "rolled-back");
}

#[test]
fn what_is_confirmed_stays() {
    let bench = Bench::new();
    bench.plan(&[PIN]);
    let output = bench.run("confirm");
    assert_eq!(output.code, 1);
    assert!(output.err.contains("no transaction waits"), "{}", output.err);
    let output = bench.run("apply p.json --yes --confirm-within 1h");
    assert_eq!(output.code, 0, "{}", output.err);
    insta::assert_snapshot!(steady(&output.out), @"
    in effect when the VM starts
      vm1: defined (time)
    to make the rest take effect
      virsh -c test:///node.xml shutdown vm1  vm1 still runs as it was defined before
      virsh -c test:///node.xml start vm1     vm1 starts as planned

    tx-000001: undone at then unless `vmtune confirm` keeps it
    ");
    let history = bench.run("history");
    insta::assert_snapshot!(
        steady(history.out.split_once("UTC").unwrap().1), @"
    waiting      vm1
      undone at then unless `vmtune confirm` keeps it
    "
    );
    let output = bench.run("apply p.json --yes");
    assert_eq!(output.code, 1);
    assert!(output.err.contains("tx-000001 waits"), "{}", output.err);
    let output = bench.run("confirm");
    assert_eq!(output.out, "tx-000001 stays: `vmtune rollback` undoes it\n");
    assert_eq!(bench.status(), "applied");
}

#[test]
fn what_nobody_confirms_is_undone_by_itself() {
    let bench = Bench::new();
    bench.plan(&[PIN]);
    let output = bench.run("apply p.json --yes --confirm-within 1s");
    assert_eq!(output.code, 0, "{}", output.err);
    // The process that applied has ended; another one is at work.
    bench.wait_for("rolled-back");
    let output = bench.run("confirm");
    assert_eq!(output.code, 1);
}

#[test]
fn what_undoes_it_leads_a_session_of_its_own() {
    let bench = Bench::new();
    bench.plan(&[PIN]);
    let output = bench.run("apply p.json --yes --confirm-within 1h");
    assert_eq!(output.code, 0, "{}", output.err);
    let state = bench.path("state");
    let mine = |pid: &u32| {
        let read = |what| fs::read(format!("/proc/{pid}/{what}"));
        let command = read("cmdline").unwrap_or_default();
        let environment = read("environ").unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        command.contains("undo-unless-confirmed")
            && String::from_utf8_lossy(&environment)
                .contains(&*state.to_string_lossy())
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| {
        entry.file_name().to_str().and_then(|name| name.parse().ok())
    });
    let pids: Vec<u32> = pids.filter(mine).collect();
    let [pid] = pids[..] else { panic!("{pids:?}") };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    // State, parent, group, session, terminal.
    assert_eq!(fields[2..5], [&pid.to_string(), &pid.to_string(), "0"]);
    // It ends when the transaction has.
    assert_eq!(bench.run("rollback --yes").code, 0);
    while mine(&pid) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn wrong_spans_are_refused() {
    let bench = Bench::new();
    for arguments in [
        "apply --confirm-within 5",
        "apply --confirm-within 0s",
        "apply --dry-run --yes",
        "apply --dry-run --confirm-within 5m",
    ] {
        assert_eq!(bench.run(arguments).code, 2, "{arguments}");
    }
}
