//! Edits of a definition: each changes its own line, and no other byte.

use std::collections::BTreeMap;

use super::error::ConfEditError;
use super::property;
use super::text::{Conf, Section, deleted};
use crate::base::ConfPath;

/// What shall stand at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfEdit {
    /// The place.
    pub target: ConfPath,
    /// Its value; `None` to take it away.
    pub to: Option<String>,
}

impl Conf {
    /// Returns the text with the edits made, one after the other.
    ///
    /// A value is written where the one stands that decides, in `[PENDING]`
    /// too. A new key comes where Proxmox sorts it, in the main part. A key
    /// that the next start would take away is no longer on that list.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn edit(&self, edits: &[ConfEdit]) -> Result<String, ConfEditError> {
        let mut values: BTreeMap<&str, Option<String>> = BTreeMap::new();
        for edit in edits {
            let ConfEdit { target, to } = edit;
            if target.key() == "delete" {
                return Err(ConfEditError::List);
            }
            if let Some(to) = to {
                writable(target, to)?;
            }
            let key = target.key();
            let before = values
                .remove(key)
                .unwrap_or_else(|| self.value(key).map(ToOwned::to_owned));
            values.insert(key, changed(target, before, to.as_deref()));
        }
        let mut splices = Vec::new();
        let changed = |(key, value): &(&&str, &Option<String>)| {
            self.value(key) != value.as_deref()
        };
        for (key, value) in values.iter().filter(changed) {
            match value {
                None => self.take_away(key, &mut splices),
                Some(value) => splices.push(self.written(key, value)),
            }
        }
        let kept = |key: &str| values.get(key).is_some_and(Option::is_some);
        splices.extend(self.without_deleting(kept));
        // Keys that come to one place stay sorted: the sort is stable.
        splices.sort_by_key(|splice| splice.0.start);
        let mut text = String::with_capacity(self.text().len());
        let mut done = 0;
        for (place, new) in splices {
            text.push_str(&self.text()[done..place.start]);
            text.push_str(&new);
            done = place.end;
        }
        text.push_str(&self.text()[done..]);
        Ok(text)
    }

    /// Takes every line of a key away.
    fn take_away(&self, key: &str, splices: &mut Vec<Splice>) {
        for line in self.lines() {
            let Some(entry) = &line.entry else { continue };
            if &self.text()[entry.key.clone()] == key {
                splices.push((line.whole.clone(), String::new()));
            }
        }
    }

    /// Returns how these keys come off the list of what the next start takes
    /// away; with its last key go all lines of the list, for an earlier one
    /// would count again.
    fn without_deleting(&self, kept: impl Fn(&str) -> bool) -> Vec<Splice> {
        let last = self.last("delete", Section::Pending);
        let entry = last.and_then(|line| self.lines()[line].entry.clone());
        let Some(entry) = entry else { return Vec::new() };
        let all: Vec<_> = deleted(&self.text()[entry.value.clone()]).collect();
        let left: Vec<_> = all
            .iter()
            .filter(|name| !kept(name.trim_start_matches('!')))
            .copied()
            .collect();
        if left.len() == all.len() {
            return Vec::new();
        }
        if !left.is_empty() {
            return vec![(entry.value, left.join(","))];
        }
        let lists = self.lines().iter().filter(|line| {
            let entry = line.entry.as_ref();
            line.section == Section::Pending
                && entry
                    .is_some_and(|e| &self.text()[e.key.clone()] == "delete")
        });
        lists.map(|line| (line.whole.clone(), String::new())).collect()
    }

    /// Returns how a key gets a value.
    fn written(&self, key: &str, value: &str) -> Splice {
        let own = self.line(key).map(|line| line - 1);
        let own = own.or_else(|| self.last(key, Section::Main));
        let entry = own.and_then(|line| self.lines()[line].entry.clone());
        if let Some(entry) = entry {
            let place = entry.value;
            let gap = &self.text()[..place.start];
            let gap = if gap.ends_with(':') { " " } else { "" };
            return (place, format!("{gap}{value}"));
        }
        let end = match self.text().contains("\r\n") {
            true => "\r\n",
            false => "\n",
        };
        let line = format!("{key}: {value}");
        let main =
            || self.lines().iter().filter(|l| l.section == Section::Main);
        let after = main().find(|line| {
            let own = line.entry.as_ref().map(|entry| entry.key.clone());
            own.is_some_and(|own| &self.text()[own] > key)
        });
        if let Some(next) = after {
            let at = next.whole.start;
            return (at..at, format!("{line}{end}"));
        }
        let Some(last) = main().rfind(|line| !line.blank) else {
            let gap = if self.lines().is_empty() { "" } else { end };
            return (0..0, format!("{line}{end}{gap}"));
        };
        let at = last.whole.end;
        match self.text()[..at].ends_with('\n') {
            true => (at..at, format!("{line}{end}")),
            // The last line of the file keeps having no end.
            false => (at..at, format!("{end}{line}")),
        }
    }
}

/// A piece of the text and what comes in its place.
type Splice = (std::ops::Range<usize>, String);

/// Refuses a value that would end its line, or be read as more than itself.
fn writable(target: &ConfPath, to: &str) -> Result<(), ConfEditError> {
    let odd =
        |c: char| c.is_control() || (target.property().is_some() && c == ',');
    let blank = to.trim() != to || to.is_empty();
    match to.contains(odd) || blank {
        true => Err(ConfEditError::Value(target.clone(), to.to_owned())),
        false => Ok(()),
    }
}

/// Returns a key's value after an edit; `None` where the key goes.
fn changed(
    target: &ConfPath,
    before: Option<String>,
    to: Option<&str>,
) -> Option<String> {
    let (key, before) = (target.key(), before.as_deref());
    match (target.property(), to) {
        (None, to) => to.map(ToOwned::to_owned),
        (Some(name), Some(to)) => {
            Some(property::set(key, before.unwrap_or_default(), name, to))
        }
        (Some(name), None) => property::remove(key, before?, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, edits: &[(&str, Option<&str>)], after: &str) {
        let edits: Vec<_> = edits.iter().map(|(t, to)| edit(t, *to)).collect();
        let conf = Conf::parse(before).unwrap();
        assert_eq!(conf.edit(&edits).unwrap(), after);
    }

    fn edit(target: &str, to: Option<&str>) -> ConfEdit {
        let to = to.map(ToOwned::to_owned);
        ConfEdit { target: target.parse().unwrap(), to }
    }

    #[test]
    fn new_keys_come_where_proxmox_sorts_them() {
        let before = "#notes\ncores: 2\nmemory: 512\nscsi0: x\n\n[a]\nb: 1\n";
        let edits = [
            ("numa0/cpus", Some("0-1")),
            ("numa", Some("1")),
            ("numa0/policy", Some("bind")),
            ("numa0/memory", Some("512")),
            ("affinity", Some("2-3")),
            ("vcpus", Some("2")),
        ];
        let after = "#notes\naffinity: 2-3\ncores: 2\nmemory: 512\nnuma: 1\n\
                     numa0: cpus=0-1,memory=512,policy=bind\nscsi0: x\n\
                     vcpus: 2\n\n[a]\nb: 1\n";
        check(before, &edits, after);
        check("", &[("cores", Some("2"))], "cores: 2\n");
        check("[a]\n", &[("cores", Some("2"))], "cores: 2\n\n[a]\n");
    }

    #[test]
    fn line_ends_stay_as_they_are() {
        let edits = [("cores", Some("4")), ("numa", Some("1"))];
        check("cores: 2\r\n", &edits, "cores: 4\r\nnuma: 1\r\n");
        check("cores: 2", &edits, "cores: 4\nnuma: 1");
        check("cores:2  \n", &edits[..1], "cores: 4  \n");
        check("machine:\n", &[("machine/viommu", None)], "machine:\n");
    }

    #[test]
    fn an_edit_is_made_where_the_value_stands_that_counts() {
        let before = "cores: 2\ncores: 4\n\n[PENDING]\nmemory: 1024\n";
        let edits = [("cores", Some("8")), ("memory", Some("2048"))];
        let after = "cores: 2\ncores: 8\n\n[PENDING]\nmemory: 2048\n";
        check(before, &edits, after);
        let gone = [("cores", None), ("memory", None)];
        check(before, &gone, "\n[PENDING]\n");
    }

    #[test]
    fn what_is_set_is_not_deleted_at_the_next_start() {
        let before = "balloon: 1\n\n[PENDING]\ndelete: balloon,!onboot\n";
        let after = "balloon: 0\n\n[PENDING]\ndelete: !onboot\n";
        check(before, &[("balloon", Some("0"))], after);
        let both = [("balloon", Some("0")), ("onboot", Some("1"))];
        let after = "balloon: 0\nonboot: 1\n\n[PENDING]\n";
        check(before, &both, after);
    }

    #[test]
    fn a_snapshot_is_not_touched() {
        let before = "cores: 2\n\n[snap]\ncores: 2\nballoon: 1\n";
        let edits = [("cores", Some("4")), ("balloon", Some("0"))];
        let after = "balloon: 0\ncores: 4\n\n[snap]\ncores: 2\nballoon: 1\n";
        check(before, &edits, after);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let conf = Conf::parse("a: 1\n[PENDING]\ndelete: b\n").unwrap();
        for (target, to) in [
            ("a", "1\nargs: -x"),
            ("a", ""),
            ("a", " x"),
            ("hostpci0/host", "a,b"),
            ("delete", "a"),
        ] {
            let refused = conf.edit(&[edit(target, Some(to))]);
            assert!(refused.is_err(), "{target} = {to:?}");
        }
    }
}
