//! Whether an IOMMU translates, and what it cannot tell apart.

use std::collections::BTreeMap;

use crate::base::PciAddress;
use crate::host::{Root, pci};
use crate::model::Fact;
use crate::model::facts::{Iommu, IommuGroup};

/// Reads the IOMMU's state.
pub(super) fn read(root: &Root) -> Iommu {
    const CLASS: &str = "sys/class/iommu";
    let enabled = match root.list(CLASS) {
        Ok(names) => Fact::known(!names.is_empty(), format!("/{CLASS}")),
        Err(_) if root.is_complete() => {
            Fact::known(false, format!("/{CLASS}: none"))
        }
        Err(e) => Fact::unknown(e.reason()),
    };
    Iommu { enabled, described: described(root), groups: groups(root) }
}

/// Looks for the tables by which firmware tells of an IOMMU: it leaves them
/// out where its own switch is off.
fn described(root: &Root) -> Fact<bool> {
    const TABLES: &str = "sys/firmware/acpi/tables";
    if !root.exists(TABLES) {
        return Fact::unknown(format!("/{TABLES} does not exist"));
    }
    let there = |name: &&str| root.exists(&format!("{TABLES}/{name}"));
    match ["DMAR", "IVRS"].iter().find(|name| there(name)) {
        Some(name) => Fact::known(true, format!("/{TABLES}/{name}")),
        None => Fact::known(false, format!("/{TABLES}")),
    }
}

/// Collects the groups from the functions' links: one read for a function,
/// and devices that are not PCI stay out.
fn groups(root: &Root) -> Fact<Vec<IommuGroup>> {
    let functions = match pci::addresses(root) {
        Ok(functions) => functions,
        Err(e) => return Fact::unknown(e.reason()),
    };
    let mut groups: BTreeMap<u32, Vec<PciAddress>> = BTreeMap::new();
    for address in functions {
        if let Some(Some(id)) = pci::group(root, address).value() {
            groups.entry(*id).or_default().push(address);
        }
    }
    let groups = groups.into_iter().map(|(id, functions)| {
        let path = format!("sys/kernel/iommu_groups/{id}/type");
        let domain = root.fact(&path, |text| Some(text.to_owned()));
        IommuGroup { id, functions, domain }
    });
    Fact::known(groups.collect(), format!("/{}/*/iommu_group", pci::FOLDER))
}
