//! The text of a file that keeps arguments of the kernel's command line.

use crate::base::HostPath;
use crate::boot::{self, ArgumentEdit, Form};
use crate::model::{Change, Target};

/// A file with arguments that were changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    /// The text with all changes made; `None` where no file is left.
    pub(super) text: Option<String>,
    /// What stood there of each change's argument; `None` where nothing did.
    pub(super) found: Vec<Option<String>>,
}

/// Makes changes of arguments to a file's text; all else stays as it is, byte
/// for byte. Says why where that cannot be done.
pub(super) fn render_arguments(
    file: &HostPath,
    text: Option<&str>,
    changes: &[&Change],
) -> Result<Rendered, String> {
    let form = Form::of(file).ok_or("vmtune does not know files like it")?;
    let arguments = match text {
        Some(text) => {
            boot::arguments(form, text).map_err(|error| error.to_string())?
        }
        None => Vec::new(),
    };
    let (mut edits, mut found) = (Vec::new(), Vec::new());
    for change in changes {
        let Target::Argument { name, .. } = &change.target else { continue };
        let (name, to) = (name.clone(), change.to.clone());
        found.push(boot::value(&arguments, &name).map(str::to_owned));
        edits.push(ArgumentEdit { name, to });
    }
    let text = boot::edit(form, text, &edits);
    Ok(Rendered { text: text.map_err(|error| error.to_string())?, found })
}
