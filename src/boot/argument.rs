//! The arguments of a command line: words, with what comes in pairs put
//! together.

use super::BootError;
use super::word::{Word, spelled};
use crate::model::is_same_argument;

/// An argument, and the words that make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    /// Its name, as [`Target::Argument`](crate::model::Target::Argument) has
    /// it.
    pub(super) name: String,
    /// Its value; empty for a name alone.
    pub(super) value: String,
    /// The word with the name; of a pair the one with the size. `None` where
    /// the size stands elsewhere.
    pub(super) key: Option<usize>,
    /// The word with the number of a pair.
    pub(super) count: Option<usize>,
}

impl Argument {
    /// Returns whether it has this name.
    pub(super) fn is(&self, name: &str) -> bool {
        is_same_argument(&self.name, name)
    }
}

/// An argument with a size, which the next `hugepages=` belongs to.
const SIZE: &str = "hugepagesz";
/// The size of a `hugepages=` without one.
const DEFAULT_SIZE: &str = "default_hugepagesz";
/// The number of pages.
const COUNT: &str = "hugepages";

/// Puts words together to arguments. A `hugepages=` belongs to the size that
/// was named last, by `hugepagesz=` or `default_hugepagesz=`. Where it comes
/// before any, it has none.
pub(super) fn arguments(words: &[Word]) -> Vec<Argument> {
    // Of a word whose text is not known here, its kind is not known either.
    let texts = words.iter().map(|word| word.text.as_deref().map(spelled));
    named(texts)
}

/// Puts names and values together to arguments.
pub(super) fn named<'w>(
    words: impl Iterator<Item = Option<(&'w str, Option<&'w str>)>>,
) -> Vec<Argument> {
    let mut found: Vec<Argument> = Vec::new();
    // The name of a pair that a number belongs to, and where it is, if it is
    // still without a number.
    let mut size: Option<(String, Option<usize>)> = None;
    for (at, word) in words.enumerate() {
        let Some((name, value)) = word else {
            size = None;
            continue;
        };
        let argument = |name: String, key, count| {
            let value = value.unwrap_or_default().to_owned();
            Argument { name, value, key, count }
        };
        let is = |other| is_same_argument(name, other) && value.is_some();
        let pair = || format!("{SIZE}={}", value.unwrap_or_default());
        if is(SIZE) {
            size = Some((pair(), Some(found.len())));
            let value = String::new();
            let key = Some(at);
            found.push(Argument { name: pair(), value, key, count: None });
        } else if is(COUNT) {
            match &mut size {
                None => found.push(argument(name.to_owned(), Some(at), None)),
                Some((name, open)) => match open.take() {
                    None => found.push(argument(name.clone(), None, Some(at))),
                    Some(pair) => {
                        found[pair].value =
                            value.unwrap_or_default().to_owned();
                        found[pair].count = Some(at);
                    }
                },
            }
        } else {
            if is(DEFAULT_SIZE) {
                size = Some((pair(), None));
            }
            found.push(argument(name.to_owned(), Some(at), None));
        }
    }
    found
}

/// Returns the number of a pair as a word: `hugepages=8`.
pub(super) fn count_word(value: &str) -> String {
    word(COUNT, value)
}

/// Returns an argument as the words that a person would type:
/// `hugepagesz=1G` and `hugepages=8` for the pair.
pub(super) fn typed(name: &str, value: &str) -> Vec<String> {
    if is_pair(name) {
        return vec![name.to_owned(), count_word(value)];
    }
    vec![word(name, value)]
}

/// Returns a word, its value between quotation marks where it holds blanks.
pub(super) fn word(name: &str, value: &str) -> String {
    match value {
        "" => name.to_owned(),
        value if value.contains(' ') => format!("{name}=\"{value}\""),
        value => format!("{name}={value}"),
    }
}

fn is_pair(name: &str) -> bool {
    name.contains('=')
}

/// Refuses to add huge pages where the kernel would not heed them: a number
/// without a size, which would go to the size before it; a size of which a
/// number without one was there first, or could be.
pub(super) fn check_new(name: &str, all: &[Argument]) -> Result<(), BootError> {
    if is_same_argument(name, COUNT) {
        return Err(BootError::Name(name.to_owned()));
    }
    let Some((_, size)) = name.split_once('=') else { return Ok(()) };
    let sizeless = all.iter().find(|one| one.is(COUNT));
    let default = all.iter().find(|one| one.is(DEFAULT_SIZE));
    let clash = match default {
        Some(default) => is_same_argument(
            &format!("{SIZE}={}", default.value),
            &format!("{SIZE}={size}"),
        ),
        // No architecture has 1 GiB as its default.
        None => !is_same_argument(name, "hugepagesz=1G"),
    };
    match sizeless {
        Some(one) if clash => Err(BootError::Sizeless(one.value.clone())),
        _ => Ok(()),
    }
}

/// Refuses names that cannot be set by themselves.
pub(super) fn check_name(name: &str) -> Result<(), BootError> {
    let plain = |text: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        !text.is_empty() && text.chars().all(known)
    };
    let good = match name.split_once('=') {
        Some((name, size)) => is_same_argument(name, SIZE) && plain(size),
        None => {
            let alone = is_same_argument(name, SIZE);
            plain(name) && !name.starts_with('-') && !alone
        }
    };
    if good { Ok(()) } else { Err(BootError::Name(name.to_owned())) }
}

/// Refuses values with characters that the shell, a boot loader or the
/// kernel could take for something else on the way.
pub(super) fn check_value(name: &str, value: &str) -> Result<(), BootError> {
    let known =
        |c: char| c.is_ascii_alphanumeric() || "_.,:=/@+%- ".contains(c);
    let half = is_pair(name) && value.is_empty();
    if value.chars().all(known) && !half {
        Ok(())
    } else {
        Err(BootError::Value(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::line::plain;
    use crate::boot::word::words;

    fn read(line: &str) -> Vec<(String, String)> {
        let found = arguments(&words(&plain(line, 0)).kernel);
        found.into_iter().map(|one| (one.name, one.value)).collect()
    }

    #[track_caller]
    fn assert_read(line: &str, expected: &[(&str, &str)]) {
        let owned = |(a, b): &(&str, &str)| ((*a).into(), (*b).into());
        let expected: Vec<(String, String)> =
            expected.iter().map(owned).collect();
        assert_eq!(read(line), expected, "{line}");
    }

    #[test]
    fn pages_belong_to_the_size_before_them() {
        assert_read(
            "hugepagesz=1G hugepages=4 hugepagesz=2M quiet hugepages=512",
            &[("hugepagesz=1G", "4"), ("hugepagesz=2M", "512"), ("quiet", "")],
        );
        assert_read(
            "hugepages=7 default_hugepagesz=1G hugepages=2 hugepagesz=2M",
            &[
                ("hugepages", "7"),
                ("default_hugepagesz", "1G"),
                ("hugepagesz=1G", "2"),
                ("hugepagesz=2M", ""),
            ],
        );
        assert_read(
            "hugepagesz=2M hugepages=0:4,1:8 hugepagesz=2M hugepages=9",
            &[("hugepagesz=2M", "0:4,1:8"), ("hugepagesz=2M", "9")],
        );
        assert_read(
            "hugepagesz hugepages",
            &[("hugepagesz", ""), ("hugepages", "")],
        );
    }

    #[test]
    fn a_second_number_for_the_default_size_would_be_lost() {
        let check = |line: &str, name: &str| {
            let all = arguments(&words(&plain(line, 0)).kernel);
            check_new(name, &all).is_ok()
        };
        assert!(check("hugepages=7", "hugepagesz=1G"));
        assert!(!check("hugepages=7", "hugepagesz=2M"));
        assert!(check("hugepages=7 default_hugepagesz=1G", "hugepagesz=2M"));
        assert!(!check("hugepages=7 default_hugepagesz=1G", "hugepagesz=1G"));
        assert!(check("quiet", "hugepagesz=2M"));
        assert!(!check("hugepagesz=2M", "hugepages"));
    }

    #[test]
    fn names_and_values_have_no_second_meaning() {
        for good in ["isolcpus", "kvm-amd.nested", "hugepagesz=1G"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in
            ["", "--", "a b", "a=b", "hugepagesz", "hugepagesz=", "a\"", "é"]
        {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        for good in ["", "managed_irq,domain,1-3:2/4", "0:4,1:4", "b c"] {
            assert_eq!(check_value("a", good), Ok(()), "{good}");
        }
        for bad in ["$a", "`a`", "a;b", "a\nb", "\"", "'", "é", "\\", "a#"] {
            assert!(check_value("a", bad).is_err(), "{bad}");
        }
        assert!(check_value("hugepagesz=1G", "").is_err());
    }
}
