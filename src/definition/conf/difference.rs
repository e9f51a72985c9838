//! What two definitions say differently, key by key.

use super::property;
use super::text::{Conf, Line, Section, deleted};

impl Conf {
    /// Returns the keys that mean something else at the next start in another
    /// definition, or that only one of the two has; sorted.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let mut keys = self.keys();
        keys.extend(other.keys());
        keys.sort_unstable();
        keys.dedup();
        let differs = |key: &&str| !self.agrees(other, key);
        keys.into_iter().filter(differs).map(ToOwned::to_owned).collect()
    }

    /// Returns whether a key means the same at the next start in another
    /// definition.
    #[must_use]
    pub fn agrees(&self, other: &Self, key: &str) -> bool {
        // An empty value says nothing; Proxmox drops it when it writes next.
        let said = |value: &&str| !value.is_empty();
        let one = self.value(key).filter(said);
        match (one, other.value(key).filter(said)) {
            (Some(one), Some(other)) => property::is_same(key, one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// Returns what the main part says of a key, whatever waits for the next
    /// start.
    #[must_use]
    pub fn main_value(&self, key: &str) -> Option<&str> {
        let line = self.last(key, Section::Main)?;
        let entry = self.lines()[line].entry.clone()?;
        Some(&self.text()[entry.value])
    }

    /// Returns the keys that get a value at the next start, or go.
    #[must_use]
    pub fn waiting(&self) -> Vec<&str> {
        let pending = |line: &&Line| line.section == Section::Pending;
        let lines = self.lines().iter().filter(pending);
        let entries = lines.filter_map(|line| line.entry.clone());
        let keys = entries.flat_map(|entry| match &self.text()[entry.key] {
            "delete" => deleted(&self.text()[entry.value])
                .map(|key| key.trim_start_matches('!'))
                .collect(),
            key => vec![key],
        });
        keys.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_counts_and_how_it_is_laid_out_does_not() {
        let one = "cores: 4\nnuma: 1\nnuma0: cpus=0,memory=9\ntags:\n";
        let other = "numa0: memory=9,cpus=0\nnuma: yes\nballoon: 1\n\
                     cores: 2\n\n[PENDING]\ncores: 4\ndelete: balloon\n";
        let [one, other] = [one, other].map(|t| Conf::parse(t).unwrap());
        assert_eq!(one.differing(&other), Vec::<String>::new());
        assert_eq!(other.main_value("cores"), Some("2"));
        assert_eq!(other.main_value("memory"), None);
        assert_eq!(other.waiting(), ["cores", "balloon"]);
        assert!(one.waiting().is_empty());
        let third = Conf::parse("cores: 8\nmemory: 1\nnuma: 1\n").unwrap();
        let keys = ["cores", "memory", "numa0"];
        assert_eq!(one.differing(&third), keys);
        assert_eq!(third.differing(&one), keys);
    }
}
