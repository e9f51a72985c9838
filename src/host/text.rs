//! The kernel's small text forms. Pure: text in, values out.

use crate::base::{Bytes, CpuSet, Id, IdSet};

/// Reads a bit mask as sysfs prints it: groups of eight hexadecimal digits,
/// highest first, with commas between (`00000000,000000ff`).
///
/// Returns `None` for anything else, and for masks wider than
/// [`IdSet::MAX_NUMBER`] bits.
#[must_use]
pub fn mask<T: Id>(text: &str) -> Option<IdSet<T>> {
    /// Bits in one group of digits.
    const WIDTH: u32 = 32;
    let mut set = IdSet::new();
    let mut base = 0;
    for group in text.trim().rsplit(',') {
        let hex = group.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex || group.is_empty() || group.len() > 8 {
            return None;
        }
        let bits = u32::from_str_radix(group, 16).ok()?;
        for bit in (0..WIDTH).filter(|bit| bits & (1 << bit) != 0) {
            set.insert(T::from_number(base + bit));
        }
        base += WIDTH;
        if base > IdSet::<T>::MAX_NUMBER {
            return None;
        }
    }
    Some(set)
}

/// Reads CPU numbers with blanks between (`affected_cpus` of cpufreq).
#[must_use]
pub fn cpu_words(text: &str) -> Option<CpuSet> {
    let list = text.split_whitespace().collect::<Vec<_>>().join(",");
    list.parse().ok()
}

/// Returns the word in brackets: `madvise` of `always [madvise] never`.
#[must_use]
pub fn selected(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    let (word, _) = rest.split_once(']')?;
    (!word.is_empty() && !word.contains(char::is_whitespace)).then_some(word)
}

/// Finds an amount in a `meminfo`, of the machine or of a node:
/// `Node 0 MemTotal:  65746300 kB`.
#[must_use]
pub fn meminfo(text: &str, key: &str) -> Option<Bytes> {
    text.lines().find_map(|line| {
        let (head, tail) = line.split_once(':')?;
        let mut words = tail.split_whitespace();
        if head.split_whitespace().last()? != key {
            return None;
        }
        let amount = words.next()?.parse().ok()?;
        (words.next()? == "kB").then(|| Bytes::from_kib(amount))
    })
}

/// Reads the size of a cache as sysfs prints it, `32K` or `16M`.
#[must_use]
pub fn cache_size(text: &str) -> Option<Bytes> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let shift = match unit {
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift).map(Bytes)
}

/// Splits a kernel command line into its parameters. Blanks inside double
/// quotes belong to the value, as for the kernel.
#[must_use]
pub fn parameters(command_line: &str) -> Vec<&str> {
    let mut quoted = false;
    let blank = |c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    };
    command_line.split(blank).filter(|word| !word.is_empty()).collect()
}

/// Returns the number at the end of a name: 12 of `node12` after `node`.
#[must_use]
pub fn number_after(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?;
    let plain =
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| plain)?;
    (number <= CpuSet::MAX_NUMBER).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CpuId;

    #[test]
    fn masks() {
        let mask = |text| mask::<CpuId>(text).map(|set| set.to_string());
        assert_eq!(mask("00000000,000000ff\n").as_deref(), Some("0-7"));
        assert_eq!(mask("1,00000000,80000000").as_deref(), Some("31,64"));
        assert_eq!(mask("0").as_deref(), Some(""));
        for bad in ["", ",", "g", "0-3", "123456789", "1,,1", "+1", "0x1"] {
            assert_eq!(mask(bad), None, "{bad:?}");
        }
        let wide = vec!["00000000"; 4096].join(",");
        assert_eq!(mask(&wide), None);
    }

    #[test]
    fn small_forms() {
        assert_eq!(selected("always [madvise] never\n"), Some("madvise"));
        assert_eq!(selected("always never"), None);
        assert_eq!(
            cpu_words("0 1 5\n").map(|s| s.to_string()),
            Some("0-1,5".into())
        );
        assert_eq!(cache_size("512K\n"), Some(Bytes(512 << 10)));
        assert_eq!(cache_size("512"), None);
        assert_eq!(number_after("node12", "node"), Some(12));
        assert_eq!(number_after("node+1", "node"), None);
        assert_eq!(number_after("node", "node"), None);
        let node = "Node 0 MemTotal: 2 kB\nNode 0 MemFree:   1 kB\n";
        assert_eq!(meminfo(node, "MemFree"), Some(Bytes(1024)));
        assert_eq!(meminfo(node, "Mem"), None);
    }

    #[test]
    fn parameters_keep_quoted_blanks() {
        assert_eq!(
            parameters("quiet dyndbg=\"file a +p\" isolcpus=1-3\n"),
            ["quiet", "dyndbg=\"file a +p\"", "isolcpus=1-3"]
        );
    }
}
