//! Any text is a file with a command line or refused; one that is edited says
//! what was wanted, and loses nothing.
//!
//! The input is a file, or lines of edits, a NUL and a file. A line is
//! `name`, which removes, or `name value`, which sets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmtune::boot::{self, ArgumentEdit, Form};

const FORMS: [Form; 5] = [
    Form::Grub,
    Form::GrubDropIn,
    Form::CommandLine,
    Form::Entry,
    Form::Environment,
];

fuzz_target!(|input: &str| {
    let (edits, text) = input.split_once('\0').unwrap_or(("", input));
    let edits = edits.lines().take(4).map(|line| match line.split_once(' ') {
        Some((name, value)) => edit(name, Some(value)),
        None => edit(line, None),
    });
    let edits: Vec<_> = edits.collect();
    for form in FORMS {
        added_and_removed(form, text);
        holds(form, text, &edits);
        let _ = boot::portrait(form, text, &mut str::to_owned);
    }
    if let Ok(path) = "/etc/default/grub".parse() {
        let _ = boot::collected(&[(path, text.to_owned())], true);
    }
    let _ = boot::generated(text, Some(text));
});

fn edit(name: &str, to: Option<&str>) -> ArgumentEdit {
    ArgumentEdit { name: name.to_owned(), to: to.map(str::to_owned) }
}

/// What nobody has on a command line leaves no trace when it goes.
fn added_and_removed(form: Form, text: &str) {
    let names = ["vmtune.a", "hugepagesz=16M"];
    let add = names.map(|name| edit(name, Some("1")));
    let Ok(before) = boot::arguments(form, text) else { return };
    if names.iter().any(|name| boot::value(&before, name).is_some()) {
        return;
    }
    let Ok(after) = boot::edit(form, Some(text), &add) else { return };
    let after = after.expect("a file with arguments");
    assert_eq!(boot::edit(form, Some(&after), &add), Ok(Some(after.clone())));
    let gone = names.map(|name| edit(name, None));
    let back = boot::edit(form, Some(&after), &gone).expect("what we wrote");
    // vmtune's own file goes with its last argument.
    assert_eq!(back.as_deref().unwrap_or_default(), text);
}

/// What is wanted is there, and all else is still there.
fn holds(form: Form, text: &str, edits: &[ArgumentEdit]) {
    for one in edits {
        let edits = std::slice::from_ref(one);
        let Ok(Some(after)) = boot::edit(form, Some(text), edits) else {
            continue;
        };
        let before = boot::arguments(form, text).expect("what was edited");
        let found = boot::arguments(form, &after).expect("what we wrote");
        assert_eq!(boot::value(&found, &one.name), one.to.as_deref());
        let others = |all: Vec<(String, String)>| {
            let other = |name: &str| {
                !vmtune::model::is_same_argument(name, &one.name)
            };
            all.into_iter().filter(|(n, _)| other(n)).collect::<Vec<_>>()
        };
        assert_eq!(others(before), others(found));
    }
}
