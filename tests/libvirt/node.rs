//! libvirt's test driver: a host and VMs that exist in memory alone.

use tempfile::TempDir;
use vmtune::apply::{Machine, StepResult, apply, rollback};
use vmtune::base::{NodeId, PageSize};
use vmtune::files::StateDir;
use vmtune::hypervisor::Hypervisor as _;
use vmtune::hypervisor::{
    Access, HypervisorError, Libvirt, Validate, is_remote,
};
use vmtune::system::fake::Fake;

use crate::plans::{self, plan};

const NODE: &str = "<node>
  <cpu>
    <mhz>2400</mhz><model>x86_64</model><active>8</active>
    <nodes>2</nodes><sockets>1</sockets><cores>2</cores><threads>2</threads>
  </cpu>
  <memory>8388608</memory>
</node>
";

/// Comments, an odd layout, and a secret, to be kept.
const VM: &str = "<domain type='test'>
  <!-- the first -->
  <name>vm1</name>
  <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu  placement=\"static\">4</vcpu>
  <os><type arch='i686'>hvm</type></os>
  <devices>
    <graphics type='vnc' passwd='secret'/>
  </devices>
</domain>
";

struct Node {
    _temp: TempDir,
    libvirt: Libvirt,
    system: Fake,
    state: StateDir,
}

impl Node {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("node.xml");
        std::fs::write(&file, NODE).unwrap();
        let uri = format!("test://{}", file.display());
        let libvirt = Libvirt::open(Some(&uri), Access::ReadWrite).unwrap();
        assert_eq!(libvirt.uri(), uri);
        assert!(!is_remote(libvirt.uri()));
        let state = StateDir::open(&temp.path().join("state")).unwrap();
        let name = "vm1".parse().unwrap();
        libvirt.define(&name, VM, Validate::Schema).unwrap();
        Self { _temp: temp, libvirt, system: Fake::new(), state }
    }

    fn machine(&self) -> Machine<'_> {
        plans::machine(&self.libvirt, &self.system, &self.state)
    }

    fn definition(&self) -> String {
        let info = self.libvirt.find("vm1").unwrap();
        self.libvirt.inactive_definition(&info.uuid).unwrap()
    }
}

#[test]
fn domains_are_listed_and_found() {
    let node = Node::new();
    let list = node.libvirt.domains().unwrap();
    assert_eq!(list.len(), 1);
    assert!(list[0].persistent && !list[0].running);
    let found = node.libvirt.find("c7a5fdbdedaf9455926ad65c16db1809").unwrap();
    assert_eq!(found, list[0]);
    assert_eq!(node.libvirt.live_definition(&found.uuid).unwrap(), None);
    let error = node.libvirt.find("vm2").unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean \"vm1\"?");
}

#[test]
fn a_plan_is_applied_and_undone_byte_for_byte() {
    let node = Node::new();
    let before = node.definition();
    assert!(before.contains("passwd='secret'"), "secrets are read");
    let plan = plan(
        &node.libvirt,
        "vm1",
        &[
            ("/domain/cputune/vcpupin[@vcpu='1']/@cpuset", Some("3,2")),
            ("/domain/cputune/vcpupin[@vcpu='0']/@cpuset", Some("1")),
            ("/domain/cputune/emulatorpin/@cpuset", Some("0-1")),
            ("/domain/memory/@unit", Some("GiB")),
            ("/domain/memory/text()", Some("1")),
            ("/domain/currentMemory/text()", Some("1048576")),
        ],
    );
    let outcome = apply(&plan, None, &node.machine()).unwrap();
    assert!(outcome.failed.is_none(), "{:?}", outcome.failed);
    assert!(matches!(outcome.steps[0].result, StepResult::Changed { .. }));
    let after = node.definition();
    for kept in [
        "<vcpupin vcpu='0' cpuset='1'/>",
        "<vcpupin vcpu='1' cpuset='2-3'/>",
        "<memory unit='KiB'>1048576</memory>",
        "passwd='secret'",
    ] {
        assert!(after.contains(kept), "{kept} in {after}");
    }
    let outcome = rollback(None, false, &node.machine()).unwrap();
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!(node.definition(), before);
}

/// libvirt drops comments, but for those in others' metadata, and spells
/// what it takes in its own way.
#[test]
fn what_libvirt_makes_of_a_text_is_said() {
    let node = Node::new();
    let name = "vm1".parse().unwrap();
    let others = "<o:a xmlns:o='urn:o' x='1'><!-- kept --><o:b/></o:a>";
    let metadata = format!("<metadata>{others}</metadata><memory");
    let text = VM.replace("<memory", &metadata);
    node.libvirt.define(&name, &text, Validate::Schema).unwrap();
    let before = node.definition();
    assert!(!before.contains("the first"), "{before}");
    let pin = ("/domain/cputune/vcpupin[@vcpu='0']/@cpuset", Some("3,2"));
    let plan = plan(&node.libvirt, "vm1", &[pin]);
    let outcome = apply(&plan, None, &node.machine()).unwrap();
    let StepResult::Changed { normalised, comments_lost } =
        &outcome.steps[0].result
    else {
        panic!("{outcome:?}");
    };
    let normalised: Vec<_> =
        normalised.iter().map(ToString::to_string).collect();
    let differs = "/domain/cputune/vcpupin/@cpuset differs";
    assert_eq!((normalised, *comments_lost), (vec![differs.to_owned()], 0));
    let after = node.definition();
    let note = "<vmtune:tuned xmlns:vmtune=\"urn:vmtune:domain:1\" \
                transaction=\"tx-000001\" preset=\"balanced\" plan=";
    assert!(after.contains(note), "{after}");
    for kept in ["<!-- kept -->", "<o:b/>", "x=\"1\""] {
        assert!(after.contains(kept), "{kept} in {after}");
    }
    let outcome = rollback(None, false, &node.machine()).unwrap();
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!(node.definition(), before);
}

#[test]
fn what_the_schema_refuses_is_refused_and_undone() {
    let node = Node::new();
    let before = node.definition();
    let pin = ("/domain/cputune/vcpupin[@vcpu='0']/@nonsense", Some("1"));
    let plan = plan(&node.libvirt, "vm1", &[pin]);
    let outcome = apply(&plan, None, &node.machine()).unwrap();
    let failed = outcome.failed.unwrap();
    let cause = std::error::Error::source(&failed.error).unwrap();
    assert_eq!(cause.to_string(), "defining vm1");
    assert_eq!(outcome.rolled_back.len(), 1);
    assert_eq!(node.definition(), before);
}

#[test]
fn facts_and_pages_are_read_or_unknown() {
    let node = Node::new();
    let facts = node.libvirt.facts().unwrap();
    assert!(facts.libvirt.value().unwrap().split('.').count() == 3);
    assert!(facts.qemu.reason().unwrap().contains("TEST driver"));
    let pages = node
        .libvirt
        .free_pages(&[NodeId(0), NodeId(1)], &[PageSize::TWO_MIB])
        .unwrap();
    assert_eq!(pages.len(), 2);
}

#[test]
fn no_daemon_is_said_with_what_to_do() {
    let uri = "qemu+unix:///system?socket=/nonexistent/libvirt-sock";
    let error = Libvirt::open(Some(uri), Access::ReadOnly).unwrap_err();
    assert_eq!(error.to_string(), format!("connecting to libvirt at {uri}"));
    assert!(error.hint().unwrap().contains("systemctl start libvirtd"));
    let error = Libvirt::open(Some("a\0b"), Access::ReadOnly).unwrap_err();
    assert!(matches!(error, HypervisorError::Connect { .. }));
}
