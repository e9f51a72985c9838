//! VMs of many shapes, as the text that a user would have.

use std::fmt::Write as _;

use vmtune::definition;
use vmtune::model::facts::Facts;
use vmtune::model::policy::Policy;
use vmtune::planner::{Inputs, Neighbour, PlanError, Planned, Subject, plan};

use super::Seeded;

/// What a VM is made of.
#[derive(Debug, Clone, Default)]
pub struct Vm {
    pub name: String,
    pub vcpus: u32,
    pub memory_mib: u64,
    pub cells: u32,
    pub iothreads: u32,
    /// Nodes whose virtual function it has.
    pub devices: Vec<u32>,
    /// Pins of vCPUs from 0 on.
    pub pins: Vec<u32>,
}

impl Vm {
    pub fn new(name: &str, vcpus: u32, memory_mib: u64) -> Self {
        Self { name: name.to_owned(), vcpus, memory_mib, ..Self::default() }
    }

    pub fn random(seeded: &mut Seeded, name: &str, most: u32) -> Self {
        let vcpus = 1 + seeded.below(most);
        let cells = match seeded.chance(20) {
            true => (1 + seeded.below(3)).min(vcpus),
            false => 0,
        };
        Self {
            name: name.to_owned(),
            vcpus,
            memory_mib: u64::from(1 + seeded.below(16)) * 512,
            cells,
            iothreads: seeded.below(3),
            devices: Vec::new(),
            pins: Vec::new(),
        }
    }

    /// Returns its definition.
    pub fn xml(&self) -> String {
        let Self { name, vcpus, memory_mib, .. } = self;
        let mut text = format!(
            "<domain type='kvm'>\n  <name>{name}</name>\n  \
             <memory unit='MiB'>{memory_mib}</memory>\n  \
             <vcpu placement='static'>{vcpus}</vcpu>\n"
        );
        if self.iothreads > 0 {
            let _ =
                writeln!(text, "  <iothreads>{}</iothreads>", self.iothreads);
        }
        if !self.pins.is_empty() {
            text.push_str("  <cputune>\n");
            for (vcpu, cpu) in self.pins.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "    <vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>"
                );
            }
            text.push_str("  </cputune>\n");
        }
        text.push_str(
            "  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  </os>\n",
        );
        if self.cells > 0 {
            text.push_str("  <cpu>\n    <numa>\n");
            let (mut from, mut left) = (0, self.memory_mib);
            for cell in 0..self.cells {
                let cpus = (vcpus - from) / (self.cells - cell);
                let memory = left / u64::from(self.cells - cell);
                let _ = writeln!(
                    text,
                    "      <cell id='{cell}' cpus='{}' memory='{memory}' \
                     unit='MiB'/>",
                    match cpus {
                        1 => from.to_string(),
                        n => format!("{from}-{}", from + n - 1),
                    },
                );
                from += cpus;
                left -= memory;
            }
            text.push_str("    </numa>\n  </cpu>\n");
        }
        text.push_str("  <devices>\n");
        for node in &self.devices {
            let _ = writeln!(
                text,
                "    <hostdev mode='subsystem' type='pci' managed='yes'>\n      \
                 <source>\n        <address domain='0x0000' bus='0x{:02x}' \
                 slot='0x00' function='0x1'/>\n      </source>\n    </hostdev>",
                0x10 + node
            );
        }
        text.push_str("  </devices>\n</domain>\n");
        text
    }

    pub fn subject(&self) -> Subject {
        subject(&self.xml())
    }

    pub fn neighbour(&self) -> Neighbour {
        let domain = definition::read(&self.xml()).unwrap();
        Neighbour {
            name: domain.name.clone(),
            definitions: vec![domain],
            running: false,
        }
    }
}

/// Plans these definitions together, on a host that has no other VMs.
pub fn planned(
    facts: &Facts,
    policy: &Policy,
    texts: &[&str],
) -> Result<Planned, PlanError> {
    let subjects: Vec<_> = texts.iter().map(|text| subject(text)).collect();
    plan(&Inputs {
        facts,
        policy,
        subjects: &subjects,
        neighbours: &[],
        connection: "files",
    })
}

/// Reads a definition as a VM to plan.
pub fn subject(text: &str) -> Subject {
    let domain = definition::read(text).unwrap();
    Subject { text: text.to_owned(), domain, live: None }
}
