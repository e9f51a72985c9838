//! Any text is a definition of Proxmox or refused; one that is edited says
//! what was wanted, and loses nothing.
//!
//! The input is a definition, or lines of edits, a NUL and a definition. A
//! line is `key` or `key/property`, which takes away, or one of these with a
//! blank and a value, which sets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmtune::definition::conf::{Conf, ConfEdit};
use vmtune::definition::{read, redact};

fuzz_target!(|input: &str| {
    let (edits, text) = input.split_once('\0').unwrap_or(("", input));
    let _ = read(text);
    let _ = redact(text);
    let Ok(conf) = Conf::parse(text) else { return };
    assert_eq!(conf.edit(&[]).expect("nothing to do"), text);
    added_and_removed(&conf);
    for line in edits.lines().take(4) {
        let (target, to) = match line.split_once(' ') {
            Some((target, to)) => (target, Some(to.to_owned())),
            None => (line, None),
        };
        let Ok(target) = target.parse() else { continue };
        holds(&conf, &ConfEdit { target, to });
    }
});

/// A key that nobody has leaves no trace when it goes.
fn added_and_removed(conf: &Conf) {
    let target: vmtune::base::ConfPath = "vmtune9".parse().expect("a key");
    if conf.value(target.key()).is_some() || conf.text().contains("vmtune9") {
        return;
    }
    let add = ConfEdit { target: target.clone(), to: Some("1".to_owned()) };
    let after = conf.edit(&[add]).expect("a plain value");
    let after = Conf::parse(&after).expect("what we wrote");
    assert_eq!(after.value(target.key()), Some("1"));
    let back = after.edit(&[ConfEdit { target, to: None }]).expect("ours");
    // Before the first section a blank line comes with the first key, and
    // a last line without an end gets one.
    assert_eq!(back.trim(), conf.text().trim());
}

/// What is wanted is there, and all else is still there.
fn holds(conf: &Conf, edit: &ConfEdit) {
    let Ok(after) = conf.edit(std::slice::from_ref(edit)) else { return };
    let after = Conf::parse(&after).expect("what we wrote");
    assert_eq!(after.find(&edit.target), edit.to.as_deref());
    let keys = conf.keys().into_iter().chain(after.keys());
    for key in keys.filter(|key| *key != edit.target.key()) {
        assert_eq!(conf.value(key), after.value(key), "{key}");
    }
}
