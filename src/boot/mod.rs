//! The kernel's command line in the files that keep it for the next boot:
//! reading it and editing it, not a byte besides.
//!
//! Text to text: which files there are, and what has to be run after they
//! changed, is for others to find out; [`keeper`] and [`effect`] say what
//! follows from what they find.
//!
//! What a file holds is read as the program reads that takes it on: a shell,
//! a boot loader, and in the end the kernel. What is not understood is
//! refused and left as it is.

mod advice;
mod argument;
mod change;
mod cmdline;
mod collect;
mod entry;
mod environment;
mod error;
mod form;
mod grub;
mod line;
mod menu;
mod portrait;
mod route;
mod shell;
mod word;

use crate::model::{first_counts, is_same_argument};

pub use advice::advice;
pub use collect::collected;
pub use entry::entry_version;
pub use error::BootError;
pub use form::{DROP_IN, Form};
pub use menu::generated;
pub use portrait::portrait;
pub use route::{Effect, Keeper, Shown, effect, keeper};

use change::Page;

/// What is wanted of one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentEdit {
    /// The argument's name, as [`Target::Argument`] has it.
    ///
    /// [`Target::Argument`]: crate::model::Target::Argument
    pub name: String,
    /// Its value, empty for a name alone; `None` to take it away.
    pub to: Option<String>,
}

/// Returns the arguments that a file gives to the kernel, names and values,
/// in the order in which the kernel gets them. What other files add is not
/// among them, and neither is what belongs to init.
///
/// # Errors
/// When the file is of a form that is left alone, or is not understood.
pub fn arguments(
    form: Form,
    text: &str,
) -> Result<Vec<(String, String)>, BootError> {
    if form == Form::Environment {
        environment::check(text)?;
    }
    let page = read(form, text)?;
    let found = argument::arguments(&word::words(&page.line).kernel);
    Ok(found.into_iter().map(|one| (one.name, one.value)).collect())
}

/// Returns the value of an argument among others: of several of that name
/// the one that the kernel goes by.
#[must_use]
pub fn value<'a>(
    arguments: &'a [(String, String)],
    name: &str,
) -> Option<&'a str> {
    let mut same =
        arguments.iter().filter(|(other, _)| is_same_argument(other, name));
    let found = if first_counts(name) { same.next() } else { same.next_back() };
    found.map(|(_, value)| value.as_str())
}

/// Edits the arguments that a file keeps, in the order given. `None` stands
/// for no file, before and after.
///
/// An argument that is there gets its value where it stands. Of several of
/// one name the one that counts is changed; the others are taken away where
/// the kernel would heed the first of them alone, as of `isolcpus=`. A new
/// argument comes last, but before those of init. What is added and taken
/// away again leaves the bytes that were there.
///
/// # Errors
/// When the file is of a form that is left alone, is not understood, or
/// cannot be edited without changing something else.
pub fn edit(
    form: Form,
    text: Option<&str>,
    edits: &[ArgumentEdit],
) -> Result<Option<String>, BootError> {
    if let Some(why) = form.declined() {
        return Err(BootError::Declined { form, why });
    }
    let before = match (text, form) {
        (Some(text), _) => text,
        (None, Form::GrubDropIn) => "",
        (None, _) if edits.iter().all(|edit| edit.to.is_none()) => {
            return Ok(None);
        }
        (None, _) => return Err(BootError::Absent),
    };
    if form == Form::Environment {
        environment::check(before)?;
    }
    let mut after = before.to_owned();
    for edit in edits {
        let page = |text: &str| read(form, text);
        after = change::edit(&after, edit, &page, &grub::add_block)?;
        after = match form {
            Form::Grub | Form::GrubDropIn => grub::drop_block(&after),
            Form::Environment => environment::filled(&after)?,
            _ => after,
        };
    }
    check(form, before, &after, edits)?;
    let gone = form == Form::GrubDropIn && after.is_empty();
    Ok((!gone).then_some(after))
}

/// Looks at an edited text once more: what was wanted holds, and nothing else
/// has changed.
fn check(
    form: Form,
    before: &str,
    after: &str,
    edits: &[ArgumentEdit],
) -> Result<(), BootError> {
    let [was, found] = [arguments(form, before)?, arguments(form, after)?];
    let count = |all: &[(String, String)], name: &str| {
        all.iter().filter(|(other, _)| is_same_argument(other, name)).count()
    };
    let mut seen: Vec<&str> = Vec::new();
    for edit in edits.iter().rev() {
        // Of two edits of one argument the last one holds.
        let again = seen.iter().any(|name| is_same_argument(name, &edit.name));
        if !again && value(&found, &edit.name) != edit.to.as_deref() {
            return Err(BootError::Lost(edit.name.clone()));
        }
        if count(&found, &edit.name) > count(&was, &edit.name).max(1) {
            return Err(BootError::Shared(edit.name.clone()));
        }
        seen.push(&edit.name);
    }
    let mut others = [was, found];
    for all in &mut others {
        all.retain(|(name, _)| {
            !seen.iter().any(|edited| is_same_argument(edited, name))
        });
    }
    let [was, is] = others;
    if was == is {
        return Ok(());
    }
    let differs = was.iter().zip(&is).find(|(was, is)| was != is);
    let first = differs.map(|(was, _)| was).or(was.last()).or(is.last());
    let name = first.map_or_else(String::new, |(name, _)| name.clone());
    Err(BootError::NotAlone(name))
}

fn read(form: Form, text: &str) -> Result<Page, BootError> {
    match form {
        Form::Grub | Form::GrubDropIn => grub::read(text),
        Form::CommandLine => cmdline::read(text),
        Form::Entry => entry::read(text),
        Form::Environment => environment::read(text),
        other => Err(BootError::Declined {
            form: other,
            why: other.declined().unwrap_or("it is not read"),
        }),
    }
}
