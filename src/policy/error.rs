//! Why a text is not a policy, in the words of whoever wrote it.

use crate::base::nearest;

/// Why a policy file is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, {}{what}", Self::place(*.line))]
pub struct PolicyError {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1, where one is at fault.
    pub line: Option<usize>,
    /// What is wrong there, and what would be right.
    pub what: String,
}

impl PolicyError {
    fn place(line: Option<usize>) -> String {
        line.map_or_else(String::new, |line| format!("line {line}: "))
    }

    /// Says that a name is none of the known ones, and which was meant.
    pub(super) fn unknown<'a>(
        file: &str,
        line: Option<usize>,
        noun: &str,
        word: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let what =
            format!("there is no {noun} {word:?}; {}", meant(word, known));
        Self { file: file.to_owned(), line, what }
    }

    /// Words an error of the TOML reader.
    ///
    /// serde puts the wrong word and then the known ones in backquotes; its
    /// errors have no other form, so the words are taken from there. What
    /// has another form is repeated as it is.
    pub(super) fn of_toml(
        file: &str,
        text: &str,
        error: &toml::de::Error,
    ) -> Self {
        let line = error.span().map(|span| line(text, span.start));
        let message = error.message().trim_end();
        let mut quoted = message.split('`').skip(1).step_by(2);
        let word = quoted.next().unwrap_or_default();
        let what = if message.starts_with("unknown field") {
            format!("there is no key {word:?} here; {}", meant(word, quoted))
        } else if message.starts_with("unknown variant") {
            let known: Vec<_> = quoted.map(|k| format!("{k:?}")).collect();
            format!("{word:?} is not a value; it may be {}", known.join(", "))
        } else {
            message.replace('\n', "; ")
        };
        Self { file: file.to_owned(), line, what }
    }
}

/// Says which of the known words was meant, or lists them all.
fn meant<'a>(
    word: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// Returns the line of a place in a text, counted from 1.
pub(super) fn line(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}
