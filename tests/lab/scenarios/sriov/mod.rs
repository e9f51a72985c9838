//! Functions of a network card: what vmtune says of them against the kernel,
//! lspci and ip; and a VM that gets one is planned at its card.

mod facts;
mod placed;
mod sysfs;

use anyhow::Result;

use crate::inside::cards::{Port, bind};
use crate::inside::{Lab, set};
use crate::judge::{Judge, Results};
use crate::scenario::{Fault, Scenario};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "sriov",
    about: "a card's functions are told as they are; their VM is near them",
    shapes: &["epyc-2s-4n", "xeon-2s", "small-vf"],
    alone: false,
    patience: 300,
    faults: &[
        // Groups get other numbers when functions are made anew in another
        // order: what was told of them is wrong then.
        Fault {
            name: "regrouped",
            shape: "small-vf",
            found_by: "each function is in the IOMMU group",
        },
        Fault {
            name: "unbound",
            shape: "small-vf",
            found_by: "each function has the driver",
        },
        Fault {
            name: "misnamed",
            shape: "small-vf",
            found_by: "ip says of function 0 what it was told",
        },
        Fault {
            name: "away",
            shape: "xeon-2s",
            found_by: "each vCPU is on a CPU of the card's node",
        },
    ],
    run,
    judge,
};

/// How many functions each port gets.
const FUNCTIONS: [usize; 2] = [7, 2];
/// What the first of them is told.
const MAC: &str = "52:54:00:00:a1:00";
const VLAN: &str = "100";

fn run(lab: &Lab) -> Result<()> {
    let mut ports: Vec<_> = lab.ports()?.into_iter().zip(FUNCTIONS).collect();
    let functions = make(&ports)?;
    let number = if lab.does_wrong("misnamed") { "1" } else { "0" };
    let port = &ports[0].0.interface;
    let line = format!(
        "link set {port} vf {number} mac {MAC} vlan {VLAN} trust on spoofchk off"
    );
    lab.ip("identity", &line.split(' ').collect::<Vec<_>>())?;
    for function in &functions {
        bind(function)?;
    }
    lab.vmtune("facts.json", &["facts", "--format", "json"])?;
    lab.vmtune("facts.txt", &["facts", "--verbose"])?;
    if lab.does_wrong("regrouped") {
        for (port, _) in &ports {
            port.make_functions(0)?;
        }
        ports.reverse();
        make(&ports)?;
        for function in &functions {
            bind(function)?;
        }
    } else if lab.does_wrong("unbound") {
        set("/sys/bus/pci/drivers/igbvf/unbind", &functions[1])?;
    }
    let sysfs = sysfs::read()?;
    lab.keep_json("sysfs.json", &sysfs)?;
    lab.run("lspci", &["lspci", "-D", "-nn", "-k", "-vmm"])?;
    lab.ip("ip.json", &["-j", "link", "show"])?;
    placed::run(lab, &sysfs, &functions[0])
}

/// Makes the ports' functions, in this order.
fn make(ports: &[(Port, usize)]) -> Result<Vec<String>> {
    let mut functions = Vec::new();
    for (port, count) in ports {
        functions.extend(port.make_functions(*count)?);
    }
    Ok(functions)
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    facts::judge(results, judge)?;
    placed::judge(results, judge)
}
