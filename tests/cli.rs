//! The wiring of the command line: what is printed where, and exit codes.
//!
//! What reports look like is tested beside them in `src/cli/report`.

#![allow(
    clippy::disallowed_methods,
    reason = "these tests write files and start the program"
)]

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use tempfile::TempDir;

const HOST: &str = "synthetic:pack:2 numa:1 l3:2 core:4 pu:2";

/// A folder with VMs, and the program in an environment of its own.
struct Bench {
    folder: TempDir,
}

struct Output {
    code: i32,
    out: String,
    err: String,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.vm("vm1", 4, "");
        bench.vm("vm2", 2, "");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn vm(&self, name: &str, vcpus: u32, devices: &str) {
        let text = format!(
            "<domain type='kvm'>\n  <name>{name}</name>\n  \
             <memory unit='MiB'>256</memory>\n  <vcpu>{vcpus}</vcpu>\n  \
             <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  \
             </os>\n  <devices>{devices}</devices>\n</domain>\n"
        );
        fs::write(self.path(&format!("{name}.xml")), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vmtune"));
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("VMTUNE_STATE_DIR", self.path("state"))
            .current_dir(self.folder.path());
        command
    }

    /// Runs the program with arguments divided by blanks; `HOST` stands for a
    /// host.
    fn run(&self, arguments: &str) -> Output {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &str, input: &str) -> Output {
        let arguments = arguments.split_whitespace();
        let arguments = arguments.map(|a| if a == "HOST" { HOST } else { a });
        let output = self
            .command()
            .args(arguments)
            .write_stdin(input.to_owned())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Output {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Runs what is refused, and returns what is said.
    #[track_caller]
    fn refused(&self, code: i32, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "{arguments}\n{}", output.err);
        assert_eq!(output.out, "", "{arguments}");
        output.err
    }
}

#[test]
fn help_is_whole_and_short() {
    let bench = Bench::new();
    let output = bench.run("--help");
    assert_eq!(output.code, 0);
    for command in ["facts", "plan", "check", "apply", "rollback", "explain"] {
        assert!(output.out.contains(&format!("\n  {command} ")), "{command}");
        let help = bench.run(&format!("{command} -h"));
        assert_eq!(help.code, 0, "{command}");
        for line in help.out.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
    assert_eq!(bench.run("").code, 2);
}

#[test]
fn wrong_usage_is_told_with_the_way_out() {
    let bench = Bench::new();
    insta::assert_snapshot!(bench.refused(2, "plan"), @r"
    error: no VM is named
    hint: name VMs, or --all for every VM; `virsh list --all` lists them
    ");
    insta::assert_snapshot!(bench.refused(2, "plan --host HOST"), @r"
    error: no VM is named
    hint: name VMs of libvirt, or give their files with --domain
    ");
    insta::assert_snapshot!(
        bench.refused(2, "plan --domain - --domain - --host HOST"), @r"
    error: --domain - is given twice, and standard input can be read once
    hint: put the other definition in a file
    "
    );
    insta::assert_snapshot!(
        bench.refused(2, "plan vm1 -c qemu+ssh://kvm1/system"), @r"
    error: qemu+ssh://kvm1/system leads to another machine, and the host would be
      read from this one
    hint: run `vmtune facts --format json > host.json` there, and give that file
      here with --host
    "
    );
    insta::assert_snapshot!(
        bench.refused(
            2,
            "plan --host HOST --format xml --domain vm1.xml --domain vm2.xml",
        ),
        @r"
    error: --format xml prints one definition, and several VMs are planned
    hint: --out-dir DIR writes them all
    "
    );
    insta::assert_snapshot!(
        bench.refused(2, "plan vm3 --host HOST --domain vm1.xml"), @r#"
    error: no --domain file holds a VM "vm3"
    hint: did you mean "vm1"?
    "#
    );
    insta::assert_snapshot!(
        bench.refused(
            2,
            "plan --host HOST --domain vm1.xml --domain ./vm1.xml",
        ),
        @r"
    error: vm1.xml and ./vm1.xml both define vm1
    hint: give each VM a name of its own, or leave one file out
    "
    );
    insta::assert_snapshot!(
        bench.refused(2, "plan vm1 vm1 --host HOST --domain vm1.xml"), @r"error: vm1 is named twice"
    );
    insta::assert_snapshot!(
        bench.refused(
            2,
            "plan --host HOST --domain vm1.xml --policy latncy",
        ),
        @r"
    error: --policy latncy: neither a preset nor a file
    hint: did you mean latency?
    "
    );
    insta::assert_snapshot!(
        bench.refused(2, "plan --host HOST --domain vm1.xml --only hugpages"),
        @r#"
    error: there is no rule "hugpages"
    hint: did you mean hugepages?
    "#
    );
    insta::assert_snapshot!(bench.refused(2, "explain vcpu-pinn"), @r#"
    error: there is no rule "vcpu-pinn"
    hint: did you mean vcpu-pin?
    "#);
    bench.refused(2, "plan --all vm1");
    bench.refused(2, "plan vm1 --out-dir . --host HOST --domain vm1.xml");
}

#[test]
fn the_environment_names_the_connection() {
    let bench = Bench::new();
    let mut command = bench.command();
    command.env("LIBVIRT_DEFAULT_URI", "qemu+ssh://kvm1/system");
    let output = command.args(["plan", "vm1"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("qemu+ssh://kvm1/system leads to"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn other_files_than_definitions_are_recognised() {
    let bench = Bench::new();
    fs::write(bench.path("disk.img"), [0xff, 0xfe, 0]).unwrap();
    let said = bench.refused(2, "plan --host HOST --domain disk.img");
    insta::assert_snapshot!(said, @"
    error: --domain disk.img is neither a libvirt domain XML nor a VMID.conf of
      Proxmox
    hint: `virsh dumpxml --inactive --security-info VM` prints one
    ");
    fs::write(bench.path("disk.img"), vec![0; 5 << 20]).unwrap();
    let said = bench.refused(2, "plan --host HOST --domain disk.img");
    insta::assert_snapshot!(said, @r"
    error: --domain disk.img is longer than 4 MiB, and no definition is
    hint: `virsh dumpxml --inactive --security-info VM` prints one
    ");
    let said = bench.refused(1, "apply vm1.xml");
    insta::assert_snapshot!(said, @r"
    error: reading vm1.xml as a plan
    because: expected value at line 1 column 1
    hint: `vmtune plan --out FILE` writes a plan
    ");
    fs::write(bench.path("bad.xml"), "<domain type='kvm'>\n<name>").unwrap();
    let said = bench.refused(1, "plan --host HOST --domain bad.xml");
    insta::assert_snapshot!(said, @r"
    error: reading the definition bad.xml
    because: reading the definition as XML
    because: line 2, column 1: the element name is not closed
    ");
    insta::assert_snapshot!(
        bench.refused(1, "plan --host HOST --domain none.xml"), @r"
    error: reading the definition none.xml
    because: No such file or directory (os error 2)
    "
    );
    insta::assert_snapshot!(
        bench.refused(1, "plan --host none.json --domain vm1.xml"), @r"
    error: reading the host
    because: reading none.json
    because: No such file or directory (os error 2)
    hint: --host takes a facts file, an hwloc XML file (`lstopo x.xml`), a captured
      tree or synthetic:DESCRIPTION
    "
    );
}

#[test]
fn a_policy_error_names_its_line() {
    let bench = Bench::new();
    fs::write(bench.path("p.toml"), "[cpu]\nsmtt = 'any'\n").unwrap();
    let said =
        bench.refused(1, "plan --host HOST --domain vm1.xml --policy p.toml");
    insta::assert_snapshot!(said, @r#"
    error: reading the policy
    because: p.toml, line 2: there is no key "smtt" here; did you mean "smt"?
    hint: `vmtune explain` lists the rules; docs/policy.md the keys
    "#);
}

#[test]
fn a_plan_names_the_policy_file() {
    let bench = Bench::new();
    fs::write(bench.path("p.toml"), "preset = 'throughput'\n").unwrap();
    let plan = "plan --host HOST --domain vm1.xml --policy";
    for (policy, row) in [
        ("p.toml", "\npolicy     p.toml, from throughput\n"),
        ("throughput", "\npolicy     throughput\n"),
    ] {
        let text = bench.run(&format!("{plan} {policy}")).out;
        assert!(text.contains(row), "{text}");
    }
}

#[test]
fn a_plan_has_a_form_for_everybody() {
    let bench = Bench::new();
    let plan = "plan --host HOST --domain vm1.xml";
    let text = bench.run(plan);
    assert_eq!((text.code, text.err.as_str()), (0, ""));
    assert!(text.out.contains("vcpu-pin"), "{}", text.out);
    assert!(!text.out.contains('\u{1b}'), "{}", text.out);

    let json = bench.run(&format!("{plan} --format json"));
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["schema_version"], 1);
    assert_eq!(value["vms"][0]["name"], "vm1");

    let xml = bench.run(&format!("{plan} --format xml"));
    assert!(xml.out.starts_with("<domain type='kvm'>"), "{}", xml.out);
    assert!(xml.out.contains("<vcpupin vcpu='3'"), "{}", xml.out);
    assert_eq!(xml.err, "");

    let diff = bench.run(&format!("{plan} --format diff"));
    assert!(
        diff.out.starts_with("--- a/vm1.xml\n+++ b/vm1.xml\n@@ "),
        "{}",
        diff.out
    );

    let colour = bench.run(&format!("{plan} --color always"));
    assert!(colour.out.contains('\u{1b}'));
    // The same inputs give the same bytes.
    assert_eq!(bench.run(&format!("{plan} --format json")).out, json.out);
}

#[test]
fn a_planned_definition_needs_no_plan() {
    let bench = Bench::new();
    let plan = "plan --host HOST --detailed-exitcode --domain";
    let xml = bench.run(&format!("{plan} vm1.xml --format xml"));
    assert_eq!(xml.code, 3);
    let again = bench.run_with(&format!("{plan} -"), &xml.out);
    assert_eq!(again.code, 0, "{}", again.out);
    assert!(again.out.ends_with("Nothing to change.\n"), "{}", again.out);
    assert_eq!(
        bench.run_with("check --host HOST --domain -", &xml.out).code,
        0
    );
}

#[test]
fn several_vms_are_written_into_a_folder() {
    let bench = Bench::new();
    let output = bench.run(
        "plan --host HOST --domain vm1.xml --domain vm2.xml --format xml \
         --out-dir new",
    );
    assert_eq!((output.code, output.out.as_str()), (0, ""), "{}", output.err);
    for name in ["new/vm1.xml", "new/vm2.xml"] {
        let text = fs::read_to_string(bench.path(name)).unwrap();
        assert!(text.contains("<vcpupin "), "{text}");
    }
}

#[test]
fn plans_from_files_are_saved_on_request_only() {
    let bench = Bench::new();
    let plan = "plan --host HOST --domain vm1.xml";
    bench.run(plan);
    assert!(!bench.path("state").exists());
    bench.run(&format!("{plan} --out p.json"));
    let saved = fs::read_to_string(bench.path("p.json")).unwrap();
    let printed = bench.run(&format!("{plan} --format json")).out;
    assert_eq!(saved, printed);
}

#[test]
fn what_does_not_fit_is_refused() {
    let bench = Bench::new();
    bench.vm("big", 64, "");
    let said = bench.refused(7, "plan --host HOST --domain big.xml");
    insta::assert_snapshot!(said, @r#"
    error: big does not fit
    because: node 0 comes nearest and has 7 cores with 2 free siblings to give, 32
      are needed
    hint: [cpu] placement = "shared" would do
    "#);
    let said =
        bench.refused(7, "plan --host HOST --domain big.xml --format json");
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value["vm"], "big");
}

#[test]
fn secrets_are_printed_on_request_only() {
    let bench = Bench::new();
    bench.vm("vm1", 4, "<graphics type='vnc' passwd='Hush'/>");
    let plan = "plan --host HOST --domain vm1.xml --format";
    for format in ["text", "json", "xml", "diff"] {
        let output = bench.run(&format!("{plan} {format}"));
        assert_eq!(output.code, 0, "{format}: {}", output.err);
        assert!(!output.out.contains("Hush"), "{format}: {}", output.out);
    }
    let said = bench.run(&format!("{plan} xml")).err;
    insta::assert_snapshot!(said, @r"
    warning: passwords and keys of vm1 are left out: do not define this;
      --show-secrets keeps them
    ");
    let said = bench.refused(2, &format!("{plan} script"));
    insta::assert_snapshot!(said, @r"
    error: vm1 has passwords or keys, and a script without them would lose them
    hint: --show-secrets writes them into the script
    ");
    let xml = bench.run(&format!("{plan} xml --show-secrets"));
    assert!(xml.out.contains("passwd='Hush'") && xml.err.is_empty());
}

#[test]
fn a_vm_of_proxmox_is_known_by_its_file() {
    let bench = Bench::new();
    let text = "cores: 2\nhugepages: 2\nmemory: 256\nname: web\nnuma: 1\n";
    fs::write(bench.path("101.conf"), text).unwrap();
    let plan = "plan 101 --host HOST --domain 101.conf --format";
    let conf = bench.run(&format!("{plan} conf --policy security"));
    assert_eq!(conf.code, 0, "{}", conf.err);
    insta::assert_snapshot!(conf.out, @"
    affinity: 2,4,6-7
    balloon: 0
    cores: 2
    cpu: host
    hugepages: 2
    memory: 256
    name: web
    numa: 1
    numa0: cpus=0-1,hostnodes=0,memory=256,policy=bind
    ");
    let script = bench.run(&format!("{plan} script --only vcpu-pin"));
    assert!(
        script.out.contains("qm set 101 \\\n  --affinity"),
        "{}",
        script.out
    );
    let diff = bench.run(&format!("{plan} diff --only vcpu-pin"));
    assert!(diff.out.starts_with("--- a/101.conf"), "{}", diff.out);
    let json = bench.run(&format!("{plan} json --only vcpu-pin"));
    assert!(json.out.contains("\"vmid\": \"101\""), "{}", json.out);
    let said = bench.refused(2, &format!("{plan} xml"));
    insta::assert_snapshot!(said, @"
    error: --format xml: the definition of web is not of that format
    hint: --format conf prints it
    ");
    let said = bench.refused(2, "check --host HOST --domain 101.conf");
    insta::assert_snapshot!(said, @"
    error: web is a VM of Proxmox, and check judges libvirt's
    hint: `vmtune plan` shows what it would change, and why
    ");
    fs::write(bench.path("102.conf"), "cores: 2\nmemory: x\n").unwrap();
    let said = bench.refused(1, "plan --host HOST --domain 102.conf");
    insta::assert_snapshot!(said, @r#"
    error: reading the definition 102.conf
    because: line 2: memory: "x" is not a number that Proxmox takes here
    "#);
    let piped = bench.run_with(
        "plan --host HOST --domain - --format script",
        "name: web\ncores: 2\n",
    );
    assert_eq!(piped.code, 2);
    insta::assert_snapshot!(piped.err, @"
    error: the VMID of web is not known
    hint: give --domain a file that is called VMID.conf
    ");
    let beside = "plan vm1 --host HOST --domain vm1.xml --domain 101.conf";
    assert_eq!(bench.run(beside).code, 0);
}

#[test]
fn a_script_is_one_whatever_the_names() {
    let bench = Bench::new();
    let name = "it's $(touch pwned) `id`; #";
    let file = bench.path("odd.xml");
    let text = fs::read_to_string(bench.path("vm1.xml")).unwrap();
    fs::write(&file, text.replace("vm1", name)).unwrap();
    let uri = "qemu:///system?a='b' $(touch pwned)";
    let output = bench
        .command()
        .args(["plan", "--host", HOST, "--format", "script", "-c", uri])
        .args(["--domain", "odd.xml"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let script = String::from_utf8(output.stdout).unwrap();
    // A virsh that writes down its arguments and its input.
    let virsh = "virsh() { printf '%s\\n' \"$@\" >args; cat >input; }\n";
    fs::write(bench.path("s.sh"), virsh.to_owned() + &script).unwrap();
    let sh = |arguments: &[&str]| {
        let mut sh = Command::new("/bin/sh");
        sh.current_dir(bench.folder.path()).args(arguments).output().unwrap()
    };
    assert!(sh(&["-n", "s.sh"]).status.success(), "{script}");
    assert!(sh(&["s.sh"]).status.success(), "{script}");
    assert!(!bench.path("pwned").exists());
    let arguments = fs::read_to_string(bench.path("args")).unwrap();
    assert_eq!(
        arguments,
        format!("-c\n{uri}\ndefine\n--validate\n/dev/stdin\n")
    );
    let input = fs::read_to_string(bench.path("input")).unwrap();
    let xml = bench.run("plan --host HOST --domain odd.xml --format xml").out;
    assert_eq!(input, xml);
}

#[test]
fn findings_have_an_exit_code() {
    let bench = Bench::new();
    let text = fs::read_to_string(bench.path("vm1.xml")).unwrap();
    let pins = "<cputune>\n<vcpupin vcpu='0' cpuset='99'/>\n</cputune>\n  <os>";
    fs::write(bench.path("vm1.xml"), text.replace("<os>", pins)).unwrap();
    let output = bench.run("check --host HOST --domain vm1.xml");
    assert_eq!(output.code, 6, "{}{}", output.out, output.err);
    assert!(output.out.contains("vm1.xml:6: error:"), "{}", output.out);
    let output = bench.run("check --host HOST --domain vm1.xml --format json");
    let value: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!(output.code, 6);
    let mut findings = value.as_array().unwrap().iter();
    assert!(findings.any(|finding| finding["line"] == 6), "{}", output.out);
}

#[test]
fn facts_can_be_read_again() {
    let bench = Bench::new();
    let json = bench.run("facts --host HOST --format json").out;
    fs::write(bench.path("host.json"), &json).unwrap();
    let again = bench.run("facts --host host.json --format json").out;
    assert_eq!(again, json);
    let text = bench.run("facts --host host.json --domain vm1.xml");
    assert_eq!(text.code, 0, "{}", text.err);
    assert!(text.out.contains("not pinned: vm1"), "{}", text.out);
}

#[test]
fn nothing_was_applied_yet() {
    let bench = Bench::new();
    assert_eq!(bench.run("history").out, "nothing was applied yet\n");
    assert_eq!(bench.run("history --format json").out, "[]\n");
    insta::assert_snapshot!(bench.refused(1, "rollback"), @r"
    error: there is nothing to undo
    hint: nothing was changed
    ");
    insta::assert_snapshot!(
        bench.refused(1, "apply").replace(
            bench.folder.path().to_str().unwrap(),
            "",
        ),
        @r"error: no plan is saved in /state; make one with `vmtune plan`"
    );
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let bench = Bench::new();
    let program = assert_cmd::cargo::cargo_bin!("vmtune");
    let line = format!("'{}' explain | true; exit 0", program.display());
    let mut sh = Command::new("/bin/sh");
    let output = sh
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .args(["-c", &line])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    drop(bench);
}
