//! What lscpu, numactl and lstopo say of a host.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use roxmltree::{Document, ParsingOptions};
use serde_json::Value;

use super::kernel::{Set, words};

/// A CPU as lscpu lists it; an offline one is nowhere.
pub(super) struct Lscpu {
    pub(super) cpu: u32,
    pub(super) online: bool,
    pub(super) node: Option<u32>,
    pub(super) socket: Option<u32>,
    pub(super) core: Option<u32>,
}

/// Reads `lscpu -J -a -e`.
pub(super) fn lscpu(text: &str) -> Result<Vec<Lscpu>> {
    let value: Value = serde_json::from_str(text)?;
    let cpus = value["cpus"].as_array().context("lscpu lists no CPUs")?;
    let number = |cpu: &Value, key: &str| {
        cpu[key].as_u64().and_then(|number| u32::try_from(number).ok())
    };
    let one = |cpu: &Value| {
        Some(Lscpu {
            cpu: number(cpu, "cpu")?,
            online: cpu["online"].as_bool()?,
            node: number(cpu, "node"),
            socket: number(cpu, "socket"),
            core: number(cpu, "core"),
        })
    };
    cpus.iter().map(one).collect::<Option<_>>().context("lscpu has changed")
}

/// Returns a line of `lscpu -J`.
pub(super) fn lscpu_line(text: &str, field: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let lines = value["lscpu"].as_array()?;
    let line = lines.iter().find(|line| line["field"] == field)?;
    Some(line["data"].as_str()?.to_owned())
}

/// A node as numactl shows it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Numactl {
    pub(super) cpus: Set,
    pub(super) mib: u64,
    pub(super) distances: Vec<u32>,
}

/// Reads `numactl -H`.
pub(super) fn numactl(text: &str) -> BTreeMap<u32, Numactl> {
    let mut nodes = BTreeMap::<u32, Numactl>::new();
    for line in text.lines() {
        let Some((head, rest)) = line.split_once(':') else { continue };
        match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["node", id, "cpus"] => {
                let node = nodes.entry(id.parse().unwrap()).or_default();
                node.cpus = words(rest).into_iter().collect();
            }
            ["node", id, "size"] => {
                let node = nodes.entry(id.parse().unwrap()).or_default();
                let size = rest.split_whitespace().next().unwrap();
                node.mib = size.parse().unwrap();
            }
            // The table of distances.
            [id] => {
                if let Ok(id) = id.parse() {
                    nodes.entry(id).or_default().distances = words(rest);
                }
            }
            _ => {}
        }
    }
    nodes
}

/// What lstopo drew.
pub(super) struct Lstopo {
    objects: Vec<Object>,
}

struct Object {
    kind: String,
    number: Option<u32>,
    cpus: Set,
    memory: Option<u64>,
}

impl Lstopo {
    /// Reads `lstopo --of xml`.
    pub(super) fn read(text: &str) -> Result<Self> {
        let options = ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = Document::parse_with_options(text, options)?;
        let nodes = document.descendants();
        let objects = nodes.filter(|n| n.has_tag_name("object")).map(|node| {
            let number =
                |key| node.attribute(key).and_then(|text| text.parse().ok());
            Object {
                kind: node.attribute("type").unwrap_or_default().to_owned(),
                number: number("os_index"),
                cpus: mask(node.attribute("cpuset").unwrap_or_default()),
                memory: node
                    .attribute("local_memory")
                    .and_then(|text| text.parse().ok()),
            }
        });
        Ok(Self { objects: objects.collect() })
    }

    fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects.iter().filter(move |object| object.kind == kind)
    }

    /// The CPUs of each object of a kind.
    pub(super) fn groups(&self, kind: &str) -> BTreeSet<Set> {
        self.all(kind).map(|object| object.cpus.clone()).collect()
    }

    /// The nodes, with their memory in bytes.
    pub(super) fn nodes(&self) -> BTreeMap<u32, u64> {
        let node = |o: &Object| Some((o.number?, o.memory?));
        self.all("NUMANode").filter_map(node).collect()
    }
}

/// Reads hwloc's form of a set: `0x0000000f,0x80000000`, highest part first.
fn mask(text: &str) -> Set {
    let mut all = Set::new();
    for (i, part) in (0u32..).zip(text.rsplit(',')) {
        let part = part.trim_start_matches("0x");
        let bits = u32::from_str_radix(part, 16).unwrap_or(0);
        all.extend((0..32).filter(|b| bits >> b & 1 == 1).map(|b| 32 * i + b));
    }
    all
}
