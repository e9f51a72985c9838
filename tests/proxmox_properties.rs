//! The editor of Proxmox' definitions on files that nobody would write.

use proptest::prelude::*;
use proptest::sample::select;
use vmtune::base::ConfPath;
use vmtune::definition::conf::{Conf, ConfEdit};

const KEYS: [&str; 9] = [
    "affinity", "balloon", "cores", "hostpci0", "machine", "numa", "numa0",
    "numa1", "tags",
];

/// A line of the main part or of any section.
fn line() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[0-9]{1,3}",
        "[a-z0-9:.]{1,5}(,[a-z]{1,3}=[a-z0-9;]{1,3}){0,3}",
        "[ -~é]{0,9}",
    ];
    let gap = select(vec!["", " ", "  ", "\t"]);
    let entry = (select(&KEYS[..]), gap, value)
        .prop_map(|(key, gap, value)| format!("{key}:{gap}{value}"));
    prop_oneof![
        8 => entry,
        1 => "#[ -~é]{0,9}",
        1 => "[ \t]{0,2}",
        1 => select(vec!["[PENDING]", "[snap]", "[special:x]", "[:3]"])
            .prop_map(str::to_owned),
        1 => select(vec!["delete: balloon", "delete: numa,!cores"])
            .prop_map(str::to_owned),
    ]
}

/// A file: lines that end in one way, the last one perhaps in none.
fn file() -> impl Strategy<Value = String> {
    let end = select(vec!["\n", "\r\n"]);
    (prop::collection::vec(line(), 0..12), end, any::<bool>()).prop_map(
        |(lines, end, last)| {
            let mut text = lines.join(end);
            if last && !text.is_empty() {
                text.push_str(end);
            }
            text
        },
    )
}

fn edits() -> impl Strategy<Value = Vec<ConfEdit>> {
    let places = vec![
        "affinity",
        "balloon",
        "cores",
        "hostpci0/pcie",
        "hostpci0/host",
        "machine/viommu",
        "machine/type",
        "numa",
        "numa0/cpus",
        "numa0/policy",
        "numa1",
    ];
    let to = prop::option::of("[a-z0-9;]{1,4}");
    let edit = (select(places), to).prop_map(|(target, to)| ConfEdit {
        target: target.parse().unwrap(),
        to,
    });
    prop::collection::vec(edit, 1..5)
}

/// The lines that are not of these keys, and not the list of what is deleted.
fn others(text: &str, keys: &[&str]) -> Vec<String> {
    let is_other = |line: &&str| {
        let key = line.split(':').next().unwrap_or_default();
        key != "delete" && !keys.contains(&key)
    };
    text.lines().filter(is_other).map(str::to_owned).collect()
}

proptest! {
    /// What is edited is there, and every other line is as it was.
    #[test]
    fn an_edit_holds_and_loses_nothing(text in file(), edits in edits()) {
        let Ok(conf) = Conf::parse(&text) else { return Ok(()) };
        prop_assert_eq!(conf.edit(&[]).unwrap(), text.clone());
        let after = conf.edit(&edits).unwrap();
        let read = Conf::parse(&after).unwrap();
        let mut keys: Vec<&str> = Vec::new();
        for (n, edit) in edits.iter().enumerate() {
            keys.push(edit.target.key());
            let later = |one: &ConfEdit| one.target.key() == edit.target.key();
            if !edits[n + 1..].iter().any(later) {
                prop_assert_eq!(read.find(&edit.target), edit.to.as_deref());
            }
        }
        let kept = |text: &str| {
            let mut lines = others(text, &keys);
            // A first key brings the blank line before a section.
            lines.retain(|line| !line.is_empty());
            lines
        };
        prop_assert_eq!(kept(&text), kept(&after));
        for key in conf.keys().into_iter().chain(read.keys()) {
            if !keys.contains(&key) {
                prop_assert_eq!(conf.value(key), read.value(key), "{}", key);
            }
        }
    }

    /// A second time, the same edits change nothing.
    #[test]
    fn an_edit_is_made_once(text in file(), edits in edits()) {
        let Ok(conf) = Conf::parse(&text) else { return Ok(()) };
        let after = conf.edit(&edits).unwrap();
        let again = Conf::parse(&after).unwrap().edit(&edits).unwrap();
        prop_assert_eq!(after, again);
    }

    /// A new key goes as it came.
    #[test]
    fn what_is_put_in_can_be_taken_out(text in file()) {
        let Ok(conf) = Conf::parse(&text) else { return Ok(()) };
        let target: ConfPath = "hugepages".parse().unwrap();
        let put = ConfEdit { target: target.clone(), to: Some("2".into()) };
        let after = Conf::parse(&conf.edit(&[put]).unwrap()).unwrap();
        prop_assert_eq!(after.value("hugepages"), Some("2"));
        let back = after.edit(&[ConfEdit { target, to: None }]).unwrap();
        let ends = |text: &str| text.trim().to_owned();
        prop_assert_eq!(ends(&back), ends(&text));
    }
}
