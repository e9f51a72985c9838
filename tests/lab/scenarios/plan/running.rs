//! VMs that run, as the kernel and libvirt show them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

use super::kernel::{Set, set};

/// A thread of a QEMU.
#[derive(Deserialize, Serialize)]
pub(super) struct Thread {
    /// As QEMU calls it.
    pub(super) name: String,
    /// The CPUs that it may run on.
    pub(super) allowed: String,
    /// The CPU that it ran on last.
    pub(super) last: u32,
}

impl Thread {
    /// Whether it has run where it may since it was told where.
    pub(super) fn is_settled(&self) -> bool {
        set(&self.allowed).contains(&self.last)
    }
}

/// The threads of a VM by what they are for.
#[derive(Default)]
pub(super) struct Threads {
    /// vCPUs by number: the CPUs that each may run on, and the last.
    pub(super) vcpus: BTreeMap<u32, Set>,
    pub(super) last: BTreeMap<u32, Set>,
    pub(super) iothreads: BTreeMap<u32, Set>,
    /// QEMU's own, by name.
    pub(super) others: Vec<(String, Set)>,
}

impl Threads {
    /// Tells threads apart by QEMU's names: `CPU 0/TCG`, `IO iothread1`.
    pub(super) fn of(threads: Vec<Thread>) -> Self {
        let mut all = Self::default();
        for Thread { name, allowed, last } in threads {
            let number = |prefix: &str| -> Option<u32> {
                name.strip_prefix(prefix)?.split('/').next()?.parse().ok()
            };
            let allowed = set(&allowed);
            if let Some(vcpu) = number("CPU ") {
                all.vcpus.insert(vcpu, allowed);
                all.last.insert(vcpu, Set::from([last]));
            } else if let Some(thread) = number("IO iothread") {
                all.iothreads.insert(thread, allowed);
            } else {
                all.others.push((name, allowed));
            }
        }
        all
    }
}

/// What libvirt says of a VM.
pub(super) struct Definition {
    /// Guest threads per core.
    pub(super) threads: u32,
    /// The guest's NUMA nodes; one where it has none of its own.
    pub(super) cells: Vec<Cell>,
    pub(super) vcpus: BTreeMap<u32, Set>,
    pub(super) iothreads: BTreeMap<u32, Set>,
    pub(super) emulator: Set,
}

/// A NUMA node of a guest.
pub(super) struct Cell {
    pub(super) vcpus: Set,
    /// In pages of 2 MiB.
    pub(super) pages: u64,
}

impl Definition {
    /// Reads the output of `virsh dumpxml` for several VMs, by their names.
    pub(super) fn read_all(text: &str) -> Result<BTreeMap<String, Self>> {
        let text = format!("<all>{text}</all>");
        let document = Document::parse(&text)?;
        let vms = document.root_element().children();
        vms.filter(Node::is_element)
            .map(|vm| Ok((text_of(vm, "name")?.to_owned(), Self::read(vm)?)))
            .collect()
    }

    fn read(vm: Node<'_, '_>) -> Result<Self> {
        let all = |tag: &'static str| {
            vm.descendants().filter(move |node| node.has_tag_name(tag))
        };
        let pins = |tag, number| {
            let pins = all(tag).filter_map(|pin| {
                let number = pin.attribute(number)?.parse().ok()?;
                Some((number, set(pin.attribute("cpuset")?)))
            });
            pins.collect()
        };
        let cell = |node: Node<'_, '_>| {
            let pages = node.attribute("memory")?.parse::<u64>().ok()? / 2048;
            Some(Cell { vcpus: set(node.attribute("cpus")?), pages })
        };
        let mut cells: Vec<_> = all("cell").filter_map(cell).collect();
        if cells.is_empty() {
            let vcpus = text_of(vm, "vcpu")?.parse()?;
            let pages = text_of(vm, "memory")?.parse::<u64>()? / 2048;
            cells.push(Cell { vcpus: (0..vcpus).collect(), pages });
        }
        let threads = all("topology").find_map(|t| t.attribute("threads"));
        let emulator = all("emulatorpin").find_map(|p| p.attribute("cpuset"));
        Ok(Self {
            threads: threads.context("there is no <topology>")?.parse()?,
            cells,
            vcpus: pins("vcpupin", "vcpu"),
            iothreads: pins("iothreadpin", "iothread"),
            emulator: set(emulator.unwrap_or_default()),
        })
    }
}

fn text_of<'a>(vm: Node<'a, '_>, tag: &str) -> Result<&'a str> {
    let child = vm.children().find(|child| child.has_tag_name(tag));
    let text = child.and_then(|child| child.text());
    text.with_context(|| format!("a definition has no <{tag}>"))
}

/// Reads /proc/PID/numa_maps: the pages of 2 MiB of each guest node, by the
/// host's node.
pub(super) fn pages(maps: &str) -> BTreeMap<u32, BTreeMap<u32, u64>> {
    let mut all = BTreeMap::<u32, BTreeMap<u32, u64>>::new();
    for line in maps.lines() {
        if !line.contains(" kernelpagesize_kB=2048") {
            continue;
        }
        // libvirt names the memory of guest nodes ram-node0, ram-node1, …
        let cell = line.split_once(".ram-node").map_or("0", |(_, rest)| {
            rest.split('.').next().unwrap_or_default()
        });
        let cell = all.entry(cell.parse().unwrap()).or_default();
        for word in line.split(' ') {
            let counted =
                word.strip_prefix('N').and_then(|w| w.split_once('='));
            if let Some((node, count)) = counted {
                let node = cell.entry(node.parse().unwrap()).or_default();
                *node += count.parse::<u64>().unwrap();
            }
        }
    }
    all
}
