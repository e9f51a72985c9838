//! The kernel's command line in the files that keep it.
#![allow(clippy::disallowed_methods, reason = "tests read and write files")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says what it lacks")]

mod corpus;
mod declined;
mod forms;
mod grub;
mod hosts;
mod menu;
mod properties;
mod routes;
mod shells;

use vmtune::boot::{self, ArgumentEdit, BootError, Form};

fn set(name: &str, to: &str) -> ArgumentEdit {
    ArgumentEdit { name: name.to_owned(), to: Some(to.to_owned()) }
}

fn remove(name: &str) -> ArgumentEdit {
    ArgumentEdit { name: name.to_owned(), to: None }
}

/// Edits a file that is there before and after.
fn edited(
    form: Form,
    text: &str,
    edits: &[ArgumentEdit],
) -> Result<String, BootError> {
    Ok(boot::edit(form, Some(text), edits)?.expect("a file"))
}

/// Asserts what an edit makes of a file, and that it makes no more of it when
/// it is made again.
#[track_caller]
fn assert_edited(
    form: Form,
    text: &str,
    edits: &[ArgumentEdit],
    expected: &str,
) {
    let once = edited(form, text, edits);
    assert_eq!(once.as_deref(), Ok(expected), "{text}");
    assert_eq!(edited(form, expected, edits).as_deref(), Ok(expected));
}

/// Asserts that what is added goes without a trace, and what the file is with
/// it.
#[track_caller]
fn assert_added(form: Form, text: &str, name: &str, to: &str, expected: &str) {
    assert_edited(form, text, &[set(name, to)], expected);
    let back = edited(form, expected, &[remove(name)]);
    assert_eq!(back.as_deref(), Ok(text));
}

/// Asserts the arguments of a file, as words.
#[track_caller]
fn assert_arguments(form: Form, text: &str, expected: &[(&str, &str)]) {
    let found = boot::arguments(form, text);
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    assert_eq!(found, Ok(expected.iter().map(owned).collect()), "{text}");
}

/// Returns why a file is not edited.
#[track_caller]
fn refused(form: Form, text: &str) -> String {
    let result = edited(form, text, &[set("isolcpus", "2-3")]);
    result.expect_err(text).to_string()
}
