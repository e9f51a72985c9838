//! Settings of Open vSwitch that have to do with cards, from `ovs-vsctl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::InterfaceName;
use crate::host::Root;
use crate::host::net::NET;
use crate::model::Fact;

/// The interface of its datapath in the kernel.
const DATAPATH: &str = "ovs-system";
/// Keys that guides set; others are nobody's business.
const KEYS: [&str; 3] = ["hw-offload", "lacp-fallback-ab", "tc-policy"];

/// A table of its database: a row for each record, a cell for each column.
#[derive(Deserialize, Serialize)]
struct Table {
    data: Vec<Vec<Cell>>,
}

/// A map: the word "map", and pairs.
type Cell = (String, Vec<(String, String)>);

/// Returns whether it switches packets in the kernel.
pub(super) fn runs(root: &Root) -> bool {
    root.exists(&format!("{NET}/{DATAPATH}"))
}

/// Asks for its bridges.
pub(super) fn bridges(root: &Root) -> Fact<Vec<InterfaceName>> {
    let words = ["ovs-vsctl", "--timeout=4", "list-br"];
    let lines = |text: &str| {
        text.lines().map(|line| line.parse().ok()).collect::<Option<Vec<_>>>()
    };
    root.ask_lines(&words, |_| true, lines)
}

/// Asks for `other_config` of the one record that there is.
pub(in crate::host) fn settings(root: &Root) -> Fact<BTreeMap<String, String>> {
    if !runs(root) {
        return Fact::unknown("Open vSwitch has no datapath in the kernel");
    }
    let words = [
        "ovs-vsctl",
        "--timeout=4",
        "--format=json",
        "--columns=other_config",
        "list",
        "Open_vSwitch",
        ".",
    ];
    let keep = |text: &str| {
        let mut table: Table = serde_json::from_str(text).ok()?;
        let cells = table.data.iter_mut().flatten();
        cells.for_each(|(_, pairs)| {
            pairs.retain(|(key, _)| KEYS.contains(&key.as_str()));
        });
        serde_json::to_string(&table).ok()
    };
    let told = root.ask(&words, keep).and_then(|kept| {
        serde_json::from_str::<Table>(&kept).map_err(|e| e.to_string())
    });
    match told {
        Ok(table) => {
            let cells = table.data.into_iter().flatten();
            let pairs = cells.flat_map(|(_, pairs)| pairs).collect();
            Fact::known(pairs, format!("`{}`", words.join(" ")))
        }
        Err(why) => Fact::unknown(why),
    }
}
