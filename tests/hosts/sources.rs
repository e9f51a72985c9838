//! Sources: told apart, and refused with a reason.

use std::error::Error as _;
use std::fs;

use vmtune::base::{NodeId, PageSize};
use vmtune::host::{self, CollectError, Source};
use vmtune::model::facts::Facts;

use crate::machine::Machine;

fn of_xml(text: &str) -> Result<Facts, CollectError> {
    let (name, text) = ("a.xml".into(), text.into());
    host::collect(&Source::HwlocXml { name, text })
}

fn of_json(text: &str) -> Result<Facts, CollectError> {
    let (name, text) = ("a.json".into(), text.into());
    host::collect(&Source::FactsJson { name, text })
}

const EXAMPLE: &str = include_str!("../../examples/host.json");

#[test]
fn paths_are_told_apart_by_content() {
    let folder = crate::scratch();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Source::detect(&path)
    };
    let json = write("a", EXAMPLE).unwrap();
    assert!(matches!(json, Source::FactsJson { name, .. } if name == "a"));
    let xml = write("b.json", "<?xml version='1.0'?>\n<topology/>").unwrap();
    assert!(matches!(xml, Source::HwlocXml { .. }));
    let domain = write("c.xml", "<domain type='kvm'/>").unwrap_err();
    let reason = domain.source().unwrap().to_string();
    assert!(reason.contains("<domain>"), "{reason}");
    let other = write("d", "cores: 3\n").unwrap_err();
    assert!(matches!(other, CollectError::UnknownSource { .. }));
    let folder = Source::detect(folder.path()).unwrap_err();
    assert!(matches!(folder, CollectError::UnknownSource { .. }));
    let nothing = Source::of_argument("/nowhere/at/all").unwrap_err();
    assert_eq!(nothing.to_string(), "reading /nowhere/at/all");
    let made = Source::of_argument("synthetic:core:2 pu:2").unwrap();
    assert_eq!(made, Source::Synthetic("core:2 pu:2".into()));
}

#[test]
fn a_description_is_a_topology_and_nothing_else() {
    let description = "package:2 [numa(memory=8589934592)] l3:2 core:4 pu:2";
    let facts = host::collect(&Source::Synthetic(description.into())).unwrap();
    assert_eq!(host::inconsistency(&facts.topology), None);
    let topology = &facts.topology;
    assert_eq!(topology.online.len(), 32);
    assert_eq!(topology.packages.len(), 2);
    assert_eq!((topology.nodes.len(), topology.l3.len()), (2, 4));
    assert_eq!((topology.cores.len(), topology.smt_width()), (16, 2));
    assert_eq!(topology.nodes[1].memory.value().unwrap().0, 8 << 30);
    assert_eq!(facts.kernel.iommu.enabled.value(), None);
    assert!(facts.pci.reason().unwrap().contains("synthetic:"));
    // Two nodes near to the same CPUs: these are of the first.
    let twice = Source::Synthetic("package:2 [numa] [numa] core:2 pu:2".into());
    let twice = host::collect(&twice).unwrap().topology;
    let cpus: Vec<_> = twice.nodes.iter().map(|n| n.cpus.len()).collect();
    assert_eq!(cpus, [4, 0, 4, 0]);
    for bad in ["", "nonsense", "core:0", "core:99999 pu:9", "pu:2\n"] {
        let source = Source::Synthetic(bad.into());
        assert!(host::collect(&source).is_err(), "{bad:?}");
    }
}

#[test]
fn xml_of_all_formats_is_read() {
    let object = |kind: &str, more: &str| {
        format!(
            "<object type=\"{kind}\" os_index=\"0\" cpuset=\"0x1\" \
             complete_cpuset=\"0x1\" nodeset=\"0x1\" complete_nodeset=\"0x1\" \
             allowed_cpuset=\"0x1\" online_cpuset=\"0x1\" \
             allowed_nodeset=\"0x1\" {more}"
        )
    };
    let pu = object("PU", "gp_index=\"3\"/>");
    let node = object("NUMANode", "gp_index=\"2\" local_memory=\"4096\">");
    let page = "<page_type size=\"2097152\" count=\"7\"/>\
                <page_type size=\"4096\" count=\"1\"/>";
    let machine = object("Machine", "gp_index=\"1\">");
    let v2 = format!("{machine}{node}{page}</object>{pu}</object></topology>");
    let v1 = format!("{machine}{node}{page}{pu}</object></object></topology>");
    for (tag, body) in [
        ("<topology>", &v1),
        ("<topology version=\"2.0\">", &v2),
        ("<topology version=\"3.0\">", &v2),
    ] {
        let facts = of_xml(&format!("{tag}{body}")).unwrap();
        assert_eq!(facts.topology.online.to_string(), "0", "{tag}");
        // No core is known, so the CPU is one.
        assert_eq!(facts.topology.cores.len(), 1);
        let pools = facts.memory.hugepages.value().unwrap();
        assert_eq!(pools.len(), 1);
        assert_eq!((pools[0].size, pools[0].total), (PageSize::TWO_MIB, 7));
        assert_eq!(pools[0].free.value(), None);
    }
}

#[test]
fn broken_xml_is_refused() {
    for bad in [
        "",
        "<topology/>",
        "<topology version=\"2.0\"/>",
        "<topology version=\"9.0\"/>",
        "<topology version=\"2.0\"><object type=\"Machine\"/></topology>",
        "<topology><object type=\"Cheese\"/></topology>",
        "<topology version=\"2.0\"",
        "\0",
    ] {
        let error = of_xml(bad).unwrap_err();
        assert!(error.to_string().contains("a.xml"), "{bad:?}: {error}");
    }
}

#[test]
fn facts_are_refused_where_they_contradict_themselves() {
    assert!(of_json(EXAMPLE).is_ok());
    let newer =
        EXAMPLE.replacen("\"schema_version\": 1", "\"schema_version\": 2", 1);
    let error = of_json(&newer).unwrap_err();
    assert!(matches!(error, CollectError::Version { version: 2, .. }));
    for (from, to, what) in [
        ("\"online\": \"0-63\"", "\"online\": \"0-62\"", "not online"),
        ("\"online\": \"0-63\"", "\"online\": \"0-64\"", "all online"),
        ("\"cpus\": \"0-3,32-35\"", "\"cpus\": \"0-4\"", "same CPU"),
        ("\"disallowed\": \"\"", "\"disallowed\": \"99\"", "disallowed"),
        ("\"id\": 3,", "\"id\": 2,", "out of order"),
        ("\"id\": 3,", "\"id\": 4000000000,", "limit"),
    ] {
        let error = of_json(&EXAMPLE.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    let json = of_json(&EXAMPLE.replacen("\"origin\":", "\"orgin\":", 1));
    assert!(matches!(json, Err(CollectError::Json { .. })));
}

#[test]
fn this_machine_as_it_was_once() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/small-vm");
    let facts = crate::facts(folder);
    assert_eq!(facts.topology.online.to_string(), "0-1");
    assert_eq!(facts.kernel.iommu.enabled.value(), Some(&false));
    let functions = facts.pci.value().unwrap();
    assert!(functions.iter().any(|f| f.interfaces == ["eth0"]));
}

#[test]
fn an_only_node_has_a_distance_though_hwloc_writes_none() {
    let folder = crate::scratch();
    let machine = Machine::new(folder.path(), "one-node");
    let xml = include_str!("small-vm/hwloc.xml");
    machine.file("hwloc.xml", xml.trim_end());
    let distance = |machine: &Machine| {
        let facts = crate::facts(&machine.dir);
        let distances = &facts.topology.nodes[0].distances;
        distances.value().map(|all| all[&NodeId(0)])
    };
    assert_eq!(distance(&machine), None);
    machine.file("sys/devices/system/node/node0/distance", 10);
    assert_eq!(distance(&machine), Some(10));
}
