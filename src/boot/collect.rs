//! All files of a host together: what the kernel will get, and which file a
//! new argument goes to.

use super::line::Glyph;
use super::shell::Shell;
use super::word::words;
use super::{
    ArgumentEdit, BootError, DROP_IN, Form, argument, arguments, edit, grub,
    value,
};
use crate::base::HostPath;
use crate::model::facts::{BootArgument, BootArguments};

/// An argument that nothing has, to see whether it arrives.
const PROBE: &str = "vmtune.probe";

/// Returns what the kernel will be started with, from the files that keep its
/// command line, in the order in which they are read. `drop_ins` tells
/// whether a file of vmtune's own would be read too.
///
/// # Errors
/// When a file is not understood, or an argument that was added to any of
/// them would not reach the kernel.
pub fn collected(
    files: &[(HostPath, String)],
    drop_ins: bool,
) -> Result<BootArguments, BootError> {
    let mut arguments = Vec::new();
    for (at, name, value) in assembled(files)? {
        let file = files[at].0.clone();
        arguments.push(BootArgument { file, name, value });
    }
    Ok(BootArguments { file: for_new(files, drop_ins)?, arguments })
}

/// Chooses the file for new arguments: vmtune's own, or else the last one
/// from which they arrive.
fn for_new(
    files: &[(HostPath, String)],
    drop_ins: bool,
) -> Result<HostPath, BootError> {
    let own = files.iter().any(|(path, _)| path.as_str() == DROP_IN);
    let new: Option<HostPath> =
        if drop_ins && !own { DROP_IN.parse().ok() } else { None };
    let own = files.iter().filter(|(path, _)| path.as_str() == DROP_IN);
    let others =
        files.iter().rev().filter(|(path, _)| path.as_str() != DROP_IN);
    let old = own.chain(others).map(|(path, _)| path);
    let mut why = BootError::Absent;
    for path in new.iter().chain(old) {
        match arrives(files, path) {
            Ok(()) => return Ok(path.clone()),
            Err(error) => {
                let source = Box::new(error);
                why = BootError::File { file: path.clone(), source };
            }
        }
    }
    Err(why)
}

/// Adds an argument to a file and looks whether it arrives.
fn arrives(
    files: &[(HostPath, String)],
    path: &HostPath,
) -> Result<(), BootError> {
    let mut files = files.to_vec();
    let here = files.iter().position(|(other, _)| other == path);
    let text = here.map(|at| files[at].1.clone());
    let lost = || BootError::Lost("a new argument".to_owned());
    let form = Form::of(path).ok_or_else(lost)?;
    let probe = ArgumentEdit { name: PROBE.into(), to: Some("1".into()) };
    let text = edit(form, text.as_deref(), &[probe])?.unwrap_or_default();
    match here {
        Some(at) => files[at].1 = text,
        None => {
            // Drop-ins are read in the order of their names, behind the file
            // that is no drop-in.
            let after = |(other, _): &&(HostPath, String)| {
                !other.is_below("/etc/default/grub.d") || other < path
            };
            let at = files.iter().take_while(after).count();
            files.insert(at, (path.clone(), text));
        }
    }
    let found: Vec<_> =
        assembled(&files)?.into_iter().map(|(_, n, v)| (n, v)).collect();
    if value(&found, PROBE) == Some("1") { Ok(()) } else { Err(lost()) }
}

/// Returns all arguments, each with the file that it comes from.
fn assembled(
    files: &[(HostPath, String)],
) -> Result<Vec<(usize, String, String)>, BootError> {
    let in_file = |at: usize| {
        move |error| BootError::File {
            file: files[at].0.clone(),
            source: Box::new(error),
        }
    };
    let is_script = |path: &HostPath| {
        matches!(Form::of(path), Some(Form::Grub | Form::GrubDropIn))
    };
    let scripts = files.iter().all(|(path, _)| is_script(path));
    if !scripts {
        let mut all = Vec::new();
        for (at, (path, text)) in files.iter().enumerate() {
            let form = Form::of(path).ok_or(BootError::Empty);
            let found = form.and_then(|form| arguments(form, text));
            let found = found.map_err(in_file(at))?;
            all.extend(found.into_iter().map(|(n, v)| (at, n, v)));
        }
        return Ok(all);
    }
    let mut shell = Shell::empty(&grub::NAMES);
    for (at, (_, text)) in files.iter().enumerate() {
        shell.run(text, at).map_err(in_file(at))?;
    }
    let line = grub::line(&shell);
    let hole = line.iter().find_map(|glyph| match glyph {
        Glyph::Hole { name, after } => Some((name, after)),
        _ => None,
    });
    if let Some((name, after)) = hole {
        let text = &files[after.file].1;
        let line = 1 + text[..after.at].matches('\n').count();
        let what = format!("${name} is set in none of the files");
        let error = BootError::NotUnderstood { line, what };
        return Err(in_file(after.file)(error));
    }
    let words = words(&line).kernel;
    let from = |word: Option<usize>| {
        let range = words.get(word?)?.range.clone();
        line[range].iter().find_map(|glyph| match glyph {
            Glyph::Char { place, .. } => Some(place.file),
            _ => None,
        })
    };
    let found = argument::arguments(&words).into_iter().map(|one| {
        let at = from(one.count.or(one.key)).unwrap_or_default();
        (at, one.name, one.value)
    });
    Ok(found.collect())
}
