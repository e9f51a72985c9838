//! The lines of a definition, with the place of each byte.

use std::ops::Range;

use super::error::{ConfError, ConfProblem};
use super::property;
use crate::base::ConfPath;

/// A definition of Proxmox: its text, and what its lines say.
#[derive(Debug, Clone)]
pub struct Conf {
    text: String,
    lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// All of it, with its end.
    pub(super) whole: Range<usize>,
    /// In which part of the file it is.
    pub(super) section: Section,
    /// What `key: value` is on it.
    pub(super) entry: Option<Entry>,
    /// Whether there is nothing on it.
    pub(super) blank: bool,
}

/// The bytes of a key and of its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The parts of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// What stands before the first section.
    Main,
    /// `[PENDING]`.
    Pending,
    /// Any other.
    Other,
}

impl Conf {
    /// Reads a definition.
    ///
    /// # Errors
    /// When a line of the main part or of `[PENDING]` is of no known form.
    pub fn parse(text: &str) -> Result<Self, ConfError> {
        let mut lines: Vec<Line> = Vec::new();
        let mut section = Section::Main;
        let mut pending = false;
        let mut at = 0;
        for (number, raw) in (1..).zip(text.split_inclusive('\n')) {
            let fault = |problem| ConfError { line: number, problem };
            let whole = at..at + raw.len();
            at = whole.end;
            let line = raw.trim_end();
            if let Some(name) = section_name(line) {
                section = match name.eq_ignore_ascii_case("PENDING") {
                    true if pending => return Err(fault(ConfProblem::Twice)),
                    true => Section::Pending,
                    false => Section::Other,
                };
                pending |= section == Section::Pending;
                let blank = false;
                lines.push(Line { whole, section, entry: None, blank });
                continue;
            }
            let entry = match section {
                Section::Main | Section::Pending => {
                    entry(line, whole.start).map_err(fault)?
                }
                Section::Other => None,
            };
            let blank = line.is_empty();
            lines.push(Line { whole, section, entry, blank });
        }
        Ok(Self { text: text.to_owned(), lines })
    }

    /// Returns the text, byte for byte.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns what stands before the first section: what a VM runs by that
    /// runs, for all that it does not take at once is in `[PENDING]`.
    #[must_use]
    pub fn main(&self) -> &str {
        let other = |line: &&Line| line.section != Section::Main;
        let end = self.lines.iter().find(other).map(|line| line.whole.start);
        &self.text[..end.unwrap_or(self.text.len())]
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Returns the number of the line that decides a key's value.
    #[must_use]
    pub fn line(&self, key: &str) -> Option<usize> {
        Some(self.deciding(key)? + 1)
    }

    /// Returns the value of a key as it is at the next start of the VM.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let entry = self.lines[self.deciding(key)?].entry.clone()?;
        Some(&self.text[entry.value])
    }

    /// Returns the value of a key, or of one of its properties.
    #[must_use]
    pub fn find(&self, path: &ConfPath) -> Option<&str> {
        let value = self.value(path.key())?;
        match path.property() {
            Some(name) => property::get(path.key(), value, name),
            None => Some(value),
        }
    }

    /// Walks the keys that have a value at the next start, each once, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| Some(&self.text[line.entry.clone()?.key]))
            .filter(|key| self.deciding(key).is_some())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Returns whether the next start of the VM takes a key away.
    fn is_deleted(&self, key: &str) -> bool {
        let list = self.last("delete", Section::Pending);
        let list = list.and_then(|index| self.lines[index].entry.clone());
        list.is_some_and(|list| {
            // Proxmox marks what it takes away by force.
            let names = deleted(&self.text[list.value]);
            names.map(|name| name.trim_start_matches('!')).any(|n| n == key)
        })
    }

    /// Returns the line that decides a key's value.
    fn deciding(&self, key: &str) -> Option<usize> {
        let main =
            || self.last(key, Section::Main).filter(|_| !self.is_deleted(key));
        match key {
            "delete" => None,
            key => self.last(key, Section::Pending).or_else(main),
        }
    }

    /// Returns the last line of a key in a part of the file.
    pub(super) fn last(&self, key: &str, section: Section) -> Option<usize> {
        let is = |entry: &Entry| &self.text[entry.key.clone()] == key;
        self.lines.iter().rposition(|line| {
            line.section == section && line.entry.as_ref().is_some_and(is)
        })
    }
}

/// Walks the keys on the list of what the next start takes away.
pub(super) fn deleted(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', ' ', ';']).filter(|name| !name.is_empty())
}

/// Returns what a line opens: `foo` of `[foo]`.
fn section_name(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    (!name.contains(']')).then_some(name)
}

/// Reads `key: value`; `None` for a comment or a blank line.
fn entry(line: &str, start: usize) -> Result<Option<Entry>, ConfProblem> {
    if let Some(odd) = line.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(ConfProblem::Character(odd));
    }
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (key, rest) = line.split_once(':').ok_or(ConfProblem::Line)?;
    if !ConfPath::is_key(key) {
        return Err(ConfProblem::Line);
    }
    let value = rest.trim_start();
    let end = start + line.len();
    let key = start..start + key.len();
    Ok(Some(Entry { key, value: end - value.len()..end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "#notes\ncores: 2\ntags:  \ncores: 4\nballoon: 0\n\
                        memory: 1024\n\n\
                        [PENDING]\nmemory: 2048\ndelete: balloon,!onboot\n\n\
                        [snap]\ncores: 8\n!? anything\n";

    #[test]
    fn the_last_line_and_the_pending_one_count() {
        let conf = Conf::parse(FULL).unwrap();
        assert_eq!(
            (conf.value("cores"), conf.line("cores")),
            (Some("4"), Some(4))
        );
        assert_eq!(conf.value("memory"), Some("2048"));
        assert_eq!(conf.value("balloon"), None);
        assert_eq!(conf.value("tags"), Some(""));
        assert_eq!(conf.keys(), ["cores", "memory", "tags"]);
        assert!(conf.is_deleted("onboot"));
        assert!(conf.main().ends_with("memory: 1024\n\n"));
    }

    #[test]
    fn lines_may_end_in_any_way() {
        let conf = Conf::parse("cores: 2\r\nname: a b \r\nmemory:512").unwrap();
        assert_eq!(conf.value("name"), Some("a b"));
        assert_eq!(conf.value("memory"), Some("512"));
    }

    #[test]
    fn what_is_no_line_of_proxmox_is_named() {
        for (text, expected) in [
            ("cores 2", "line 1: neither KEY: VALUE"),
            ("cores: 2\n Memory: 1", "line 2: neither"),
            ("\n\ncpu: \u{1b}[2J", "line 3: the character U+001B"),
            ("a: 1\rb: 2", "line 1: the character U+000D"),
            ("[PENDING]\n[pending]", "line 2: [PENDING] is there twice"),
            ("[PENDING]\n7: x", "line 2: neither"),
        ] {
            let error = Conf::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
