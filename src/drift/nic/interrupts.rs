//! Where the interrupts of passed-through functions go.

use super::Sight;
use crate::base::CpuSet;
use crate::drift::Finding;
use crate::model::facts::{Interrupt, Network, PciFunction};

/// Compares where interrupts of functions that VMs have go with the CPUs on
/// which new interrupts begin: these are made when a VM starts.
#[must_use]
pub fn passed_through(begin: &CpuSet, seen: &Network) -> Vec<Finding> {
    let functions = seen.pci.value().into_iter().flatten();
    let given = functions.filter(|function| function.is_passed_through());
    let finding = |function: &PciFunction| {
        let what = format!("interrupts of {}", function.address);
        let sight = match seen.interrupts.value() {
            None => {
                let why = seen.interrupts.reason().unwrap_or_default();
                Sight::Unknown(why.to_owned())
            }
            Some(all) => {
                let own = |one: &&Interrupt| one.device == function.address;
                stray(all.iter().filter(own), begin)
            }
        };
        sight.finding(what, format!("on CPUs {begin}"), true)
    };
    given.map(finding).collect()
}

fn stray<'a>(
    own: impl Iterator<Item = &'a Interrupt>,
    begin: &CpuSet,
) -> Sight {
    let (mut numbers, mut cpus) = (Vec::new(), CpuSet::new());
    for interrupt in own {
        match interrupt.effective.value() {
            None => {
                let why = interrupt.effective.reason().unwrap_or_default();
                return Sight::Unknown(why.to_owned());
            }
            Some(goes) if goes.is_subset(begin) => {}
            Some(goes) => {
                numbers.push(interrupt.number.to_string());
                cpus = cpus.union(goes);
            }
        }
    }
    match numbers.is_empty() {
        true => Sight::AsPlanned,
        false => {
            let numbers = numbers.join(", ");
            Sight::Otherwise(format!("{numbers} on CPUs {cpus}"))
        }
    }
}
