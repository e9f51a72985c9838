//! Facts against what others say of the same host, and VMs that are where
//! their plan says.

mod capture;
mod devices;
mod facts;
mod kernel;
mod place;
mod placed;
mod running;
mod shape;
mod tools;
mod vms;

use anyhow::Result;

use self::kernel::Kernel;
use crate::inside::{self, Lab};
use crate::judge::{Judge, Results};
use crate::scenario::{Fault, Scenario};
use crate::shape::Shape;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "plan",
    about: "facts are true; VMs run where the plan says",
    shapes: &[
        "desktop-1s",
        "epyc-2s-4n",
        "nested",
        "no-smt",
        "offline-cpus",
        "small-vf",
        "systemd",
        "xeon-2s",
    ],
    alone: false,
    patience: 240,
    faults: &[
        Fault {
            name: "pin",
            shape: "desktop-1s",
            found_by: "whole: each vCPU thread is on its planned CPU",
        },
        Fault {
            name: "sibling",
            shape: "desktop-1s",
            found_by: "whole: guest siblings are host siblings",
        },
        Fault {
            name: "pages",
            shape: "xeon-2s",
            found_by: "whole: each page of guest node 0 is on its node",
        },
    ],
    run,
    judge,
};

/// Pages of 2 MiB that each node's administrator reserves.
const PAGES: &str = "80";

fn run(lab: &Lab) -> Result<()> {
    lab.keep("shape", &lab.shape)?;
    let functions = Functions::make(lab)?;
    for node in Kernel::read().nodes() {
        reserve(node, PAGES)?;
    }
    lab.keep_json("kernel.json", &Kernel::read())?;
    lab.run("lscpu.json", &["lscpu", "-J"])?;
    lab.run("lscpu", &["lscpu", "-a", tools::LSCPU])?;
    lab.run("numactl", &["numactl", "-H"])?;
    lab.run("lstopo.xml", &["lstopo", "--of", "xml"])?;
    capture::run(lab)?;
    lab.keep_json("kernel-after.json", &Kernel::read())?;
    functions.remove()?;
    if let Some(vms) = vms::of(&lab.shape) {
        place::run(lab, &vms)?;
    }
    for node in Kernel::read().nodes() {
        reserve(node, "0")?;
    }
    Ok(())
}

/// Virtual functions of the first card that has some.
struct Functions {
    file: Option<String>,
}

impl Functions {
    fn make(lab: &Lab) -> Result<Self> {
        const PCI: &str = "/sys/bus/pci/devices";
        let kernel = Kernel::read();
        let cards = kernel.names(PCI, "sriov_totalvfs");
        let Some(card) = cards.first() else {
            return Ok(Self { file: None });
        };
        lab.run("modprobe", &["modprobe", "igb"])?;
        let file = format!("{PCI}/{card}/sriov_numvfs");
        inside::set(&file, "2")?;
        Ok(Self { file: Some(file) })
    }

    fn remove(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| inside::set(file, "0"))
    }
}

fn reserve(node: u32, pages: &str) -> Result<()> {
    let folder = format!("/sys/devices/system/node/node{node}/hugepages");
    inside::set(&format!("{folder}/hugepages-2048kB/nr_hugepages"), pages)
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let shape = Shape::read(&results.text("shape")?)?;
    let kernel: Kernel = results.json("kernel.json")?;
    shape::judge(&shape, &kernel, judge);
    facts::judge(results, &kernel, judge)?;
    capture::judge(results, &shape.name, judge)?;
    match vms::of(&shape.name) {
        Some(vms) => placed::judge(results, &vms, judge),
        None => Ok(()),
    }
}
