//! Captures: the same facts, and nothing that names the machine.

use std::fs;
use std::path::Path;

use serde_json::Value;
use vmtune::host::capture::Scrubber;
use vmtune::host::{self, Root, Source};
use vmtune::model::facts::Facts;

use crate::facts;
use crate::shapes::SHAPES;

/// Returns facts as JSON without where they come from, why others are not
/// known, and the command line. What a capture replaces is numbered.
fn essence(facts: &Facts) -> String {
    numbered(&stripped(facts))
}

fn numbered(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap();
    Scrubber::default().text(&text)
}

fn stripped(facts: &Facts) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("origin");
                if let Some(unknown) = fields.get_mut("unknown") {
                    *unknown = Value::Null;
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(facts).unwrap();
    value["source"] = Value::Null;
    value["kernel"]["command_line"] = Value::Null;
    strip(&mut value);
    value
}

/// Compares line by line: whole facts do not fit a message.
fn assert_same(expected: &str, found: &str) {
    let differs = expected.lines().zip(found.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(expected.len(), found.len());
}

/// Returns all names, links and contents below a folder.
fn everything(dir: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        all += &entry.file_name().to_string_lossy();
        all.push('\n');
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            all += &fs::read_link(&path).unwrap().to_string_lossy();
        } else if kind.is_dir() {
            all += &everything(&path);
        } else {
            all += &String::from_utf8_lossy(&fs::read(&path).unwrap());
        }
        all.push('\n');
    }
    all
}

#[test]
fn a_captured_machine_has_the_same_facts() {
    for (shape, _) in SHAPES {
        let folder = crate::scratch();
        let machine = shape(folder.path());
        let copy = folder.path().join("copy");
        host::capture(&Root::tree(&machine.dir), &copy).unwrap();
        let (before, after) = (facts(&machine.dir), facts(&copy));
        assert_same(&essence(&before), &essence(&after));

        let again = folder.path().join("again");
        host::capture(&Root::tree(&copy), &again).unwrap();
        assert_same(&essence(&facts(&again)), &essence(&after));
    }
}

#[test]
fn no_folder_of_a_capture_is_empty_and_no_link_hangs() {
    fn check(dir: &Path) {
        let entries: Vec<_> =
            fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
        assert!(!entries.is_empty(), "{}", dir.display());
        for entry in entries {
            assert!(entry.path().exists(), "{}", entry.path().display());
            if entry.file_type().unwrap().is_dir() {
                check(&entry.path());
            }
        }
    }
    let folder = crate::scratch();
    let machine = SHAPES[1].0(folder.path());
    let copy = folder.path().join("copy");
    host::capture(&Root::tree(&machine.dir), &copy).unwrap();
    check(&copy);
}

#[test]
fn a_capture_names_nobody() {
    for (shape, _) in SHAPES {
        let folder = crate::scratch();
        let machine = shape(folder.path());
        machine.file("proc/4711/comm", "secret-daemon");
        machine.file("proc/4711/cmdline", "--token=hunter2");
        let copy = folder.path().join("copy");
        host::capture(&Root::tree(&machine.dir), &copy).unwrap();
        let all = everything(&copy);
        for secret in [
            "rack7",
            "wohnzimmer",
            "b8cef6010203",
            "8f0c4a52",
            "vg-root",
            "rpool",
            "vmlinuz-6.8",
            "secret-daemon",
            "4711",
            "hunter2",
            "my own rack",
            "alice",
            "c4:70:bd",
            "c670:bdff",
            "3264160003bd70c4",
            "serialnumber",
        ] {
            assert!(!all.contains(secret), "{secret}");
        }
    }
}

#[test]
fn this_machine_is_captured_as_it_is() {
    let folder = crate::scratch();
    let copy = folder.path().join("new/copy");
    host::capture(&Root::live(), &copy).unwrap();
    let live = host::collect(&Source::Live).unwrap();
    assert_eq!(host::inconsistency(&live.topology), None);
    // Memory changes from one reading to the next: what is free, and in some
    // VMs what there is.
    let still = |facts: &Facts| {
        let mut value = stripped(facts);
        value["memory"]["free"] = Value::Null;
        value["memory"]["zones"] = Value::Null;
        value["memory"]["ksm_sharing"] = Value::Null;
        for node in value["topology"]["nodes"].as_array_mut().unwrap() {
            node["memory"] = Value::Null;
        }
        numbered(&value)
    };
    assert_same(&still(&live), &still(&facts(&copy)));
}

#[test]
fn a_capture_does_not_mix_with_other_files() {
    let folder = crate::scratch();
    fs::write(folder.path().join("mine"), "x").unwrap();
    let error = host::capture(&Root::live(), folder.path()).unwrap_err();
    assert!(matches!(error, host::CaptureError::NotEmpty { .. }), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn links_of_a_capture_stay_in_it() {
    let folder = crate::scratch();
    let machine = SHAPES[0].0(folder.path());
    // A tree may hold absolute links, meant from its own root.
    let link = machine.dir.join("sys/bus/pci/devices/0000:01:00.0");
    let to = "/sys/devices/pci0000:00/0000:00:01.1/0000:01:00.0";
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(to, &link).unwrap();
    let copy = folder.path().join("copy");
    host::capture(&Root::tree(&machine.dir), &copy).unwrap();
    let target = fs::read_link(copy.join("sys/bus/pci/devices/0000:01:00.0"));
    assert!(target.unwrap().starts_with("../../../../sys/devices"));
    assert_same(&essence(&facts(&copy)), &essence(&facts(&machine.dir)));
}
