//! Ring buffers and quality of service of an interface, from `ethtool` and
//! `dcb`.

use std::collections::BTreeMap;

use crate::base::InterfaceName;
use crate::host::Root;
use crate::model::Fact;
use crate::model::facts::Rings;

/// Reads the ring buffers.
pub(super) fn rings(root: &Root, name: &InterfaceName) -> Fact<Rings> {
    let matters = |line: &str| {
        line.starts_with("RX:")
            || line.starts_with("TX:")
            || line.starts_with("Pre-set")
            || line.starts_with("Current")
    };
    root.ask_lines(&["ethtool", "-g", name.as_str()], matters, rings_of)
}

fn rings_of(text: &str) -> Option<Rings> {
    let (most, now) = text.split_once("Current")?;
    let number = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse().ok()
    };
    Some(Rings {
        rx: number(now, "RX:")?,
        max_rx: number(most, "RX:")?,
        tx: number(now, "TX:")?,
        max_tx: number(most, "TX:")?,
    })
}

/// Reads the priorities that are paused rather than lost.
pub(super) fn pause(root: &Root, name: &InterfaceName) -> Fact<Vec<u8>> {
    const KEY: &str = "prio-pfc";
    let words = ["dcb", "pfc", "show", "dev", name.as_str(), KEY];
    root.ask_lines(
        &words,
        |line| line.starts_with(KEY),
        |text| {
            let pairs = pairs(text.trim(), KEY)?;
            let on = pairs.into_iter().filter(|(_, to)| *to == "on");
            on.map(|(priority, _)| priority.parse().ok()).collect()
        },
    )
}

/// Reads the priorities by DSCP; none of them is said by silence.
pub(super) fn dscp_priorities(
    root: &Root,
    name: &InterfaceName,
) -> Fact<BTreeMap<u8, u8>> {
    const KEY: &str = "dscp-prio";
    let words = ["dcb", "-N", "app", "show", "dev", name.as_str(), KEY];
    root.ask_lines(
        &words,
        |line| line.starts_with(KEY),
        |text| {
            let text = text.trim();
            if text.is_empty() {
                return Some(BTreeMap::new());
            }
            let pairs = pairs(text, KEY)?.into_iter();
            pairs
                .map(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)))
                .collect()
        },
    )
}

/// Splits `KEY a:b c:d`.
fn pairs<'a>(text: &'a str, key: &str) -> Option<Vec<(&'a str, &'a str)>> {
    let words = text.strip_prefix(key)?.split_whitespace();
    words.map(|word| word.split_once(':')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_told_twice() {
        let text = "Pre-set maximums:\nRX:\t\t8192\nTX:\t\t4096\n\
                    Current hardware settings:\nRX:\t\t1024\nTX:\t\t512\n";
        let rings = Rings { rx: 1024, max_rx: 8192, tx: 512, max_tx: 4096 };
        assert_eq!(rings_of(text), Some(rings));
        for bad in ["", "RX: 1\n", "RX: 1\nCurrent\nRX: n/a\nTX: 1\n"] {
            assert_eq!(rings_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn pairs_are_whole_or_none() {
        assert_eq!(
            pairs("k 0:on 3:off", "k"),
            Some(vec![("0", "on"), ("3", "off")])
        );
        assert_eq!(pairs("k 0", "k"), None);
        assert_eq!(pairs("x 0:1", "k"), None);
    }
}
