//! How what stands at a place differs from what was expected there.

use std::fmt;

use super::{Difference, Miss};
use crate::model::Change;

/// How many parts a message lists.
const SHOWN: usize = 5;
/// Longest value that a message repeats; a file has more.
const LONGEST: usize = 60;

/// What is at a place, and was not expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deviation {
    /// Parts of a definition differ; where there are none, its layout.
    Definition(Vec<Difference>),
    /// These threads of a VM that runs have other CPUs, each in words.
    Threads(Vec<String>),
    /// Another text or value, or none.
    Text {
        /// What was expected; `None` where nothing was.
        expected: Option<String>,
        /// What is there.
        found: Option<String>,
    },
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definition(parts) if parts.is_empty() => {
                f.write_str("its layout differs")
            }
            Self::Definition(parts) => f.write_str(&shorten(parts)),
            Self::Threads(threads) => f.write_str(&shorten(threads)),
            Self::Text { expected, found } => match (expected, found) {
                (_, None) => f.write_str("it is gone"),
                (None, Some(_)) => f.write_str("it was made"),
                (Some(expected), Some(found))
                    if is_short(expected) && is_short(found) =>
                {
                    write!(f, "it is {found:?}, not {expected:?}")
                }
                _ => f.write_str("it holds another text"),
            },
        }
    }
}

/// A place that is not as the plan found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What the plan changes there, or the VM.
    pub place: String,
    /// The values; `None` where the plan does not touch what has changed.
    pub values: Option<Values>,
}

/// What a plan found at a place, and what is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// What the plan found; `None` for nothing.
    pub planned: Option<String>,
    /// What is there now.
    pub found: Option<String>,
}

impl Moved {
    pub(super) fn since(
        place: String,
        change: &Change,
        found: Option<String>,
    ) -> Self {
        let planned = change.from.clone();
        Self { place, values: Some(Values { planned, found }) }
    }

    /// Says which places changed since something, and how.
    pub(super) fn list(all: &[Self], since: &str) -> String {
        let names: Vec<_> = all.iter().map(|one| one.place.as_str()).collect();
        let text = format!("{} changed since {since}", names.join(", "));
        let how: Vec<_> = all
            .iter()
            .filter_map(|one| {
                let values = one.values.as_ref()?;
                let planned = show(values.planned.as_deref());
                let found = show(values.found.as_deref());
                Some(format!("the plan found {planned}, and {found} is there"))
            })
            .collect();
        if how.is_empty() {
            text
        } else {
            format!("{text}: {}", how.join("; "))
        }
    }
}

/// Spells a value for a message: a long one is only named.
pub(super) fn show(value: Option<&str>) -> String {
    match value {
        None => "nothing".into(),
        Some(value) if is_short(value) => format!("{value:?}"),
        Some(_) => "another text".into(),
    }
}

/// Lists what was not kept.
pub(super) fn missed(misses: &[Miss]) -> String {
    shorten(misses)
}

/// Lists the first of many, and says how many more there are.
pub(super) fn shorten<T: fmt::Display>(all: &[T]) -> String {
    let shown = all.iter().take(SHOWN).map(ToString::to_string);
    let text = shown.collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn is_short(value: &str) -> bool {
    value.chars().count() <= LONGEST && !value.trim_end().contains('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_are_repeated_and_long_ones_are_not() {
        let text = |expected: Option<&str>, found: Option<&str>| {
            let own = |value: &str| value.to_owned();
            let (expected, found) = (expected.map(own), found.map(own));
            Deviation::Text { expected, found }.to_string()
        };
        assert_eq!(text(Some("0"), Some("1")), "it is \"1\", not \"0\"");
        assert_eq!(text(Some("0"), Some("a\nb\n")), "it holds another text");
        assert_eq!(text(Some("0"), None), "it is gone");
        assert_eq!(text(None, Some("0")), "it was made");
        assert_eq!(shorten(&[1, 2, 3, 4, 5, 6, 7]), "1, 2, 3, 4, 5 and 2 more");
    }
}
