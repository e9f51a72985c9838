//! The text of a file that keeps arguments of the kernel's command line.

use crate::base::HostPath;
use crate::model::{Change, Target};

/// A file with arguments that were changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    /// The text with all changes made.
    pub(super) text: String,
    /// What stood there of each change's argument; `None` where nothing did.
    pub(super) found: Vec<Option<String>>,
}

/// Makes changes of arguments to a file's text; all else stays as it is, byte
/// for byte. Says why where that cannot be done.
///
/// Only /etc/kernel/cmdline is edited, where words stand in it with a blank
/// between.
pub(super) fn render_arguments(
    file: &HostPath,
    text: Option<&str>,
    changes: &[&Change],
) -> Result<Rendered, String> {
    if file.as_str() != "/etc/kernel/cmdline" {
        return Err("vmtune cannot edit a file of this form yet".into());
    }
    let mut words: Vec<String> = text
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let plain = |text: &str| {
        !text.contains(['"', '#']) && text.trim_end() == words.join(" ")
    };
    if !text.is_none_or(plain) {
        return Err("it is not made of words with a blank between".into());
    }
    let mut found = Vec::new();
    for change in changes {
        let Target::Argument { name, .. } = &change.target else { continue };
        let value = |word: &str| match word.strip_prefix(name.as_str()) {
            Some("") => Some(String::new()),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        let last = words.iter().filter_map(|word| value(word)).next_back();
        words.retain(|word| value(word).is_none());
        words.extend(change.to.as_ref().map(|to| match to.as_str() {
            "" => name.clone(),
            to => format!("{name}={to}"),
        }));
        found.push(last);
    }
    Ok(Rendered { text: words.join(" ") + "\n", found })
}
