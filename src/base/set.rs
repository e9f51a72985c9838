//! Sets of numbered things, in the kernel's and libvirt's list syntax.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use super::{CpuId, NodeId, ParseValueError, VcpuId, serde_as_text};

/// A number with a meaning: what an [`IdSet`] can hold.
pub trait Id: Copy + Ord {
    /// Returns the plain number.
    fn number(self) -> u32;
    /// Gives a plain number its meaning.
    fn from_number(number: u32) -> Self;
}

/// A set of host CPUs.
pub type CpuSet = IdSet<CpuId>;
/// A set of host NUMA nodes.
pub type NodeSet = IdSet<NodeId>;
/// A set of guest CPUs.
pub type VcpuSet = IdSet<VcpuId>;

/// A set of ids, kept as a bit map; its text is a list such as `0-3,8`.
///
/// Two sets are equal when they hold the same ids, however they were written.
pub struct IdSet<T> {
    /// Bit `i % 64` of word `i / 64`; the last word is never zero.
    words: Vec<u64>,
    kind: PhantomData<T>,
}

impl<T: Id> IdSet<T> {
    /// Largest number that a text may name. The kernel's NR_CPUS ends at 8192
    /// and libvirt's bit maps at 16384; the limit bounds memory, not machines.
    pub const MAX_NUMBER: u32 = 65_535;

    /// Returns the empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { words: Vec::new(), kind: PhantomData }
    }

    /// Adds an id; says whether it was new.
    pub fn insert(&mut self, id: T) -> bool {
        let (word, bit) = Self::place(id);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    /// Takes an id out; says whether it was there.
    pub fn remove(&mut self, id: T) -> bool {
        let (word, bit) = Self::place(id);
        let Some(slot) = self.words.get_mut(word) else { return false };
        let had = *slot & bit != 0;
        *slot &= !bit;
        self.trim();
        had
    }

    /// Returns whether the set holds this id.
    #[must_use]
    pub fn contains(&self, id: T) -> bool {
        let (word, bit) = Self::place(id);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// Returns whether the set holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns how many ids the set holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Returns the lowest id.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// Returns the highest id.
    #[must_use]
    pub fn last(&self) -> Option<T> {
        let top = self.words.last()?;
        let word = u32::try_from(self.words.len() - 1).ok()?;
        Some(T::from_number(word * 64 + 63 - top.leading_zeros()))
    }

    /// Walks the ids in rising order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(&word, index)| {
            std::iter::successors(Some(word), |w| Some(w & w.wrapping_sub(1)))
                .take_while(|&w| w != 0)
                .map(move |w| T::from_number(index * 64 + w.trailing_zeros()))
        })
    }

    /// Returns what is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.merge(other, |a, b| a | b)
    }

    /// Returns what is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.merge(other, |a, b| a & b)
    }

    /// Returns what is in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.merge(other, |a, b| a & !b)
    }

    /// Returns whether the sets have an id in common.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// Returns whether all ids of this set are in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }

    fn place(id: T) -> (usize, u64) {
        let number = id.number();
        ((number / 64) as usize, 1 << (number % 64))
    }

    fn merge(&self, other: &Self, op: impl Fn(u64, u64) -> u64) -> Self {
        let len = self.words.len().max(other.words.len());
        let word = |s: &Self, i| s.words.get(i).copied().unwrap_or(0);
        let words = (0..len).map(|i| op(word(self, i), word(other, i)));
        let mut set = Self { words: words.collect(), kind: PhantomData };
        set.trim();
        set
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }
}

impl<T: Id> FromStr for IdSet<T> {
    type Err = ParseValueError;

    /// Reads `0-3,8`, libvirt's exclusions (`0-7,^3`) and the kernel's groups
    /// (`0-31:2/8`, the first 2 of every 8). Blanks around items are allowed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad =
            || ParseValueError::new(text, "a list of numbers such as 0-3,8");
        let number = |part: &str| -> Result<u32, ParseValueError> {
            // `u32::from_str` takes a sign; a list has none.
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad());
            }
            let n: u32 = part.parse().map_err(|_| bad())?;
            if n > Self::MAX_NUMBER { Err(bad()) } else { Ok(n) }
        };
        let (mut wanted, mut excluded) = (Self::new(), Self::new());
        if text.trim().is_empty() {
            return Ok(wanted);
        }
        for item in text.split(',') {
            let item = item.trim();
            let (set, item) = match item.strip_prefix('^') {
                Some(rest) => (&mut excluded, rest),
                None => (&mut wanted, item),
            };
            let (range, group) = match item.split_once(':') {
                Some((range, group)) => {
                    let (used, size) = group.split_once('/').ok_or_else(bad)?;
                    (range, Some((number(used)?, number(size)?)))
                }
                None => (item, None),
            };
            let (from, to) = match range.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None => (number(range)?, number(range)?),
            };
            let (used, size) = group.unwrap_or((1, 1));
            if from > to || size == 0 || used > size {
                return Err(bad());
            }
            for n in from..=to {
                if (n - from) % size < used {
                    set.insert(T::from_number(n));
                }
            }
        }
        Ok(wanted.difference(&excluded))
    }
}

impl<T: Id> fmt::Display for IdSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.iter().map(Id::number).peekable();
        let mut comma = "";
        while let Some(from) = ids.next() {
            let mut to = from;
            while let Some(next) = ids.next_if_eq(&(to + 1)) {
                to = next;
            }
            match to - from {
                0 => write!(f, "{comma}{from}")?,
                _ => write!(f, "{comma}{from}-{to}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl<T: Id> FromIterator<T> for IdSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(ids: I) -> Self {
        let mut set = Self::new();
        set.extend(ids);
        set
    }
}

impl<T: Id> Extend<T> for IdSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, ids: I) {
        for id in ids {
            self.insert(id);
        }
    }
}

impl<T: Id> From<T> for IdSet<T> {
    fn from(id: T) -> Self {
        Self::from_iter([id])
    }
}

impl<T> Clone for IdSet<T> {
    fn clone(&self) -> Self {
        Self { words: self.words.clone(), kind: PhantomData }
    }
}

impl<T> Default for IdSet<T> {
    fn default() -> Self {
        Self { words: Vec::new(), kind: PhantomData }
    }
}

impl<T> PartialEq for IdSet<T> {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl<T> Eq for IdSet<T> {}

impl<T> PartialOrd for IdSet<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for IdSet<T> {
    /// An arbitrary but fixed order, so that sets can be map keys.
    fn cmp(&self, other: &Self) -> Ordering {
        self.words.cmp(&other.words)
    }
}

impl<T: Id> fmt::Debug for IdSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

const PATTERN: &str = r"^[0-9,^:/ -]*$";
serde_as_text!(CpuSet, PATTERN, "host CPUs, as 0-3,8");
serde_as_text!(NodeSet, PATTERN, "host NUMA nodes, as 0-3,8");
serde_as_text!(VcpuSet, PATTERN, "guest CPUs, as 0-3,8");

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    #[test]
    fn text_is_canonical() {
        for (text, canonical) in [
            ("", ""),
            ("0", "0"),
            ("1,0", "0-1"),
            ("0-2", "0-2"),
            ("0-7,^3", "0-2,4-7"),
            ("^0,0-1", "1"),
            ("0-31:2/8", "0-1,8-9,16-17,24-25"),
            (" 0-1 , 64\n", "0-1,64"),
            ("63-65,200", "63-65,200"),
        ] {
            assert_eq!(set(text).to_string(), canonical, "{text:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "a",
            "-1",
            "1-",
            "3-1",
            "1,,2",
            "+1",
            "0-99999999",
            "0:1",
            "0:2/1",
            "0:1/0",
        ] {
            assert!(text.parse::<CpuSet>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sets_are_equal_by_content() {
        let mut a = set("0-200");
        for n in 3..=200 {
            a.remove(CpuId(n));
        }
        assert_eq!(a, set("2,1,0"));
        assert_eq!(a.last(), Some(CpuId(2)));
        assert_eq!(a.len(), 3);
    }

    #[test]
    fn algebra() {
        let (a, b) = (set("0-3,70"), set("2-5"));
        assert_eq!(a.union(&b), set("0-5,70"));
        assert_eq!(a.intersection(&b), set("2,3"));
        assert_eq!(a.difference(&b), set("0,1,70"));
        assert!(a.intersects(&b) && !set("9").intersects(&a));
        assert!(set("2").is_subset(&b) && !a.is_subset(&b));
    }
}
