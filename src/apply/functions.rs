//! Functions of the host that a plan gives to VMs: still nobody's.
//!
//! Two plans that are made one after the other may choose the same one. Each
//! is right by what was read for it, and only whoever applies the second can
//! see the first.

use super::ApplyError;
use super::places::Places;
use super::prepare::Prepared;
use crate::base::{DomainName, DomainUuid, PciAddress};
use crate::definition;
use crate::hypervisor::DomainInfo;
use crate::model::Place;

/// Refuses to give a VM a function that another one has by now.
pub(super) fn are_free(
    prepared: &[Prepared<'_>],
    places: &Places<'_>,
    domains: &[DomainInfo],
) -> Result<(), ApplyError> {
    let given: Vec<_> = prepared.iter().flat_map(given).collect();
    if given.is_empty() {
        return Ok(());
    }
    for other in domains {
        let has = functions_of(places, other)?;
        let taken = given.iter().find(|(_, to, function)| {
            **to != other.uuid && has.contains(function)
        });
        if let Some((vm, _, function)) = taken {
            return Err(ApplyError::Taken {
                vm: (*vm).clone(),
                function: *function,
                holder: other.name.clone(),
            });
        }
    }
    Ok(())
}

/// Returns the functions that a step gives to a VM.
fn given<'p>(
    step: &'p Prepared<'_>,
) -> Vec<(&'p DomainName, &'p DomainUuid, PciAddress)> {
    let Place::Definition { name, uuid } = &step.place else {
        return Vec::new();
    };
    let has = functions(step.former.as_deref());
    let mut gets = functions(step.written.as_deref());
    gets.retain(|function| !has.contains(function));
    gets.into_iter().map(|function| (name, uuid, function)).collect()
}

/// Returns the functions that a VM has, by either of its definitions.
fn functions_of(
    places: &Places<'_>,
    vm: &DomainInfo,
) -> Result<Vec<PciAddress>, ApplyError> {
    let live = places.hypervisor.live_definition(&vm.uuid)?;
    let mut all = functions(live.as_deref());
    if vm.persistent {
        let next = places.hypervisor.inactive_definition(&vm.uuid)?;
        all.extend(functions(Some(&next)));
    }
    Ok(all)
}

/// Returns the functions that a definition names. One that cannot be read
/// names none: the planner has said so.
fn functions(text: Option<&str>) -> Vec<PciAddress> {
    let domain = text.and_then(|text| definition::read(text).ok());
    domain.map_or_else(Vec::new, |domain| domain.functions().collect())
}
