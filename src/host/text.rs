//! The kernel's small text forms. Pure: text in, values out.

use std::collections::BTreeMap;

use crate::base::{Bytes, CpuSet};

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

/// Reads a line of `/proc/buddyinfo`, or of a table of `/proc/pagetypeinfo`
/// that has its form: `Node 0, zone   Normal  12  3  0`.
#[must_use]
pub fn zone_line(line: &str) -> Option<(u32, String, Vec<u64>)> {
    let (node, rest) = line.strip_prefix("Node ")?.split_once(',')?;
    let mut words = rest.split_whitespace();
    if words.next()? != "zone" {
        return None;
    }
    let name = words.next()?.to_owned();
    let counts: Option<Vec<u64>> =
        words.map(|word| word.parse().ok()).collect();
    Some((number_after(node.trim(), "")?, name, counts?))
}

/// Numbers by name.
pub type Counts = BTreeMap<String, u64>;

/// Finds how many blocks of pages hold what, by node and zone, in the last
/// table of `/proc/pagetypeinfo`.
#[must_use]
pub fn page_blocks(text: &str) -> Vec<((u32, String), Counts)> {
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with("Number of blocks type"));
    let Some(head) = lines.next() else { return Vec::new() };
    let kinds: Vec<&str> = head.split_whitespace().skip(4).collect();
    let rows = lines.map_while(zone_line).map(|(node, zone, counts)| {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned());
        ((node, zone), kinds.zip(counts).collect())
    });
    rows.collect()
}

/// Reads the ways of each third-level cache in a `schemata` of resctrl:
/// `    L3:0=7ff;1=00f`.
#[must_use]
pub fn l3_masks(text: &str) -> Option<Vec<(u32, u64)>> {
    let line = text.lines().find_map(|l| l.trim().strip_prefix("L3:"))?;
    let pair = |pair: &str| {
        let (id, mask) = pair.split_once('=')?;
        let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
        Some((number_after(id.trim(), "")?, mask))
    };
    line.split(';').map(pair).collect()
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
    fn zones_are_lines_and_blocks_the_last_table() {
        let line = "Node 1, zone   Normal   4096      0      7 ";
        assert_eq!(
            zone_line(line),
            Some((1, "Normal".to_owned(), vec![4096, 0, 7]))
        );
        for bad in ["", "Node 0", "Node x, zone DMA 1", "Node 0, zone DMA x"] {
            assert_eq!(zone_line(bad), None, "{bad}");
        }
        let info = "Page block order: 9\nPages per block:  512\n\n\
                    Free pages count per migrate type at order 0 1\n\
                    Node    0, zone   DMA, type    Unmovable  0  0\n\n\
                    Number of blocks type     Unmovable      Movable\n\
                    Node 0, zone      DMA            3            5\n\
                    Node 1, zone   Normal            7          900\n";
        let blocks = page_blocks(info);
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[1].0, (1, "Normal".to_owned()));
        assert_eq!(blocks[1].1["Movable"], 900);
        assert_eq!(blocks[0].1["Unmovable"], 3);
        assert!(page_blocks("").is_empty());
    }

    #[test]
    fn ways_of_caches() {
        let text = "    MB:0=100;1=100\n    L3:0=7ff;1=00f\n";
        assert_eq!(l3_masks(text), Some(vec![(0, 0x7ff), (1, 0xf)]));
        for bad in ["MB:0=100", "L3:0", "L3:x=1", "L3:0=g", ""] {
            assert_eq!(l3_masks(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_keep_quoted_blanks() {
        assert_eq!(
            parameters("quiet dyndbg=\"file a +p\" isolcpus=1-3\n"),
            ["quiet", "dyndbg=\"file a +p\"", "isolcpus=1-3"]
        );
    }
}
