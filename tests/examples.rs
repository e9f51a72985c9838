//! The examples are what the README says they are.

#![allow(
    clippy::disallowed_methods,
    reason = "this test reads the examples, which no floor does"
)]

use std::fs;
use std::path::Path;

use vmtune::definition;
use vmtune::model::domain::Domain;

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    fs::read_to_string(path.join(name)).expect(name)
}

fn domain(name: &str) -> Domain {
    definition::read(&example(name)).expect(name)
}

#[test]
fn definitions_are_read() {
    for (file, name, vcpus) in
        [("vm1.xml", "vm1", 8), ("vm2.xml", "vm2", 16), ("db1.xml", "db1", 4)]
    {
        let domain = domain(file);
        assert_eq!(domain.name.to_string(), name);
        assert_eq!(domain.vcpus, vcpus);
        assert_eq!(domain.virt_type, "kvm");
    }
}

#[test]
fn vm1_has_a_function_and_no_tuning() {
    let vm1 = domain("vm1.xml");
    let [hostdev] = vm1.devices.hostdevs.as_slice() else {
        panic!("one function is passed through");
    };
    assert_eq!(hostdev.source.to_string(), "0000:c1:00.2");
    assert!(vm1.cputune.vcpupin.is_empty());
    assert!(vm1.memory_backing.is_none());
}

#[test]
fn db1_holds_a_core_for_each_two_vcpus() {
    let db1 = domain("db1.xml");
    let pins: Vec<String> =
        db1.cputune.vcpupin.values().map(ToString::to_string).collect();
    assert_eq!(pins, ["9", "41", "10", "42"]);
}

#[test]
fn the_node_has_vm1_and_its_neighbour() {
    let text = example("node.xml");
    let node = roxmltree::Document::parse(&text).expect("node.xml");
    let files: Vec<&str> = node
        .descendants()
        .filter(|element| element.has_tag_name("domain"))
        .filter_map(|element| element.attribute("file"))
        .collect();
    assert_eq!(files, ["vm1.xml", "db1.xml"]);
}
