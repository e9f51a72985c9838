//! The words of a command line, as the kernel separates them, and the name
//! and value of each.

use std::ops::Range;

use super::line::{Glyph, is_blank};

/// A word of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its glyphs.
    pub(super) range: Range<usize>,
    /// Its text; `None` where a part of it is not known.
    pub(super) text: Option<String>,
    /// Whether every quotation mark in it is closed.
    pub(super) closed: bool,
}

/// The words that are the kernel's, and the glyph where init's begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    /// The words before ` -- `.
    pub(super) kernel: Vec<Word>,
    /// Where the word `--` begins, or the end of the line.
    pub(super) end: usize,
}

/// Separates words as the kernel does: at blanks that are not between double
/// quotes. What follows the word `--` belongs to init.
pub(super) fn words(line: &[Glyph]) -> Words {
    let mut kernel = Vec::new();
    let mut at = 0;
    while at < line.len() {
        if ends_word(&line[at]) {
            at += 1;
            continue;
        }
        let word = word_at(line, at);
        let text = word.text.as_deref().map(spelled);
        if text.is_some_and(|(name, value)| name == "--" && value.is_none()) {
            return Words { kernel, end: at };
        }
        at = word.range.end;
        if word.range.clone().any(|at| !is_mark(&line[at])) {
            kernel.push(word);
        }
    }
    Words { kernel, end: line.len() }
}

fn word_at(line: &[Glyph], start: usize) -> Word {
    let mut quoted = false;
    let mut text = Some(String::new());
    let mut end = start;
    for glyph in &line[start..] {
        match glyph {
            Glyph::Hole { .. } => text = None,
            Glyph::Mark(_) => {}
            Glyph::Joint if quoted => text = text.map(|text| text + " "),
            Glyph::Char { c, .. } if quoted || !is_blank(*c) => {
                quoted ^= *c == '"';
                text = text.map(|mut text| {
                    text.push(*c);
                    text
                });
            }
            _ => break,
        }
        end += 1;
    }
    Word { range: start..end, text, closed: !quoted }
}

const fn is_mark(glyph: &Glyph) -> bool {
    matches!(glyph, Glyph::Mark(_))
}

fn ends_word(glyph: &Glyph) -> bool {
    matches!(glyph, Glyph::Joint) || glyph.char().is_some_and(is_blank)
}

/// Returns the name and the value of a word, as the kernel takes quotation
/// marks away: around the whole word or around its value, not within.
pub(super) fn spelled(word: &str) -> (&str, Option<&str>) {
    let whole = word.strip_prefix('"');
    let word = whole.unwrap_or(word);
    // A name has at least one character, whichever it is.
    let first = word.chars().next().map_or(0, char::len_utf8);
    let equals = word[first..].find('=').map(|at| first + at);
    let open = |text| {
        let closed = str::strip_suffix(text, '"');
        closed.filter(|_| whole.is_some()).unwrap_or(text)
    };
    let Some(equals) = equals else { return (open(word), None) };
    let (name, value) = (&word[..equals], &word[equals + 1..]);
    let value = match value.strip_prefix('"') {
        Some(_) => unquoted(value),
        None => open(value),
    };
    (name, Some(value))
}

/// Takes away the quotation marks around a value.
pub(super) fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"');
    inner.map_or(value, |inner| inner.strip_suffix('"').unwrap_or(inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::line::plain;

    fn split(line: &str) -> (Vec<String>, usize) {
        let words = words(&plain(line, 0));
        let texts = words.kernel.into_iter().filter_map(|word| word.text);
        (texts.collect(), words.end)
    }

    #[test]
    fn blanks_between_quotes_do_not_separate() {
        let line = " quiet\t\"a=b c\"  d=\"e f\" g=h\"i j\"k l=\"m n";
        let expected =
            ["quiet", "\"a=b c\"", "d=\"e f\"", "g=h\"i j\"k", "l=\"m n"];
        assert_eq!(split(line).0, expected);
    }

    #[test]
    fn what_follows_two_dashes_is_inits() {
        assert_eq!(split("a -- b").1, 2);
        assert_eq!(split("a --- b").1, 7);
        assert_eq!(split("a --b").1, 5);
        assert_eq!(split("a \"-- b\"").1, 8);
        assert_eq!(split("--").1, 0);
    }

    #[test]
    fn quotes_are_taken_away_as_the_kernel_does() {
        for (word, name, value) in [
            ("quiet", "quiet", None),
            ("a=b", "a", Some("b")),
            ("a=", "a", Some("")),
            ("a=\"b c\"", "a", Some("b c")),
            ("\"a=b c\"", "a", Some("b c")),
            ("a=b\"c d\"", "a", Some("b\"c d\"")),
            ("a=\"b c", "a", Some("b c")),
            ("\"a b\"", "a b", None),
            ("=a=b", "=a", Some("b")),
            ("a=b=c", "a", Some("b=c")),
            ("\"", "", None),
            ("é=1", "é", Some("1")),
        ] {
            assert_eq!(spelled(word), (name, value), "{word}");
        }
    }
}
