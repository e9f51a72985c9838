//! The pools of huge pages as a plan leaves them.

use crate::base::{HostPath, NodeId, PageSize};
use crate::model::facts::{BootArgument, BootArguments, Facts};
use crate::model::{Fact, Plan, Target};
use crate::placement::Reservations;
use crate::rules::hugepage_reservation::{boot_pages, place};

/// Returns the facts with the pages that a plan reserves, now or at boot, in
/// their pools. What the placement counts on and the plan does not reserve is
/// not among them, so that the checker misses it.
pub(super) fn after(
    facts: &Facts,
    reservations: &Reservations,
    plan: &Plan,
) -> Facts {
    let mut after = facts.clone();
    if reservations.is_empty() {
        return after;
    }
    for change in &plan.changes {
        set(&mut after, &change.target, change.to.as_ref());
    }
    let given: Vec<_> = reservations
        .iter()
        .map(|(&(node, size), &pages)| {
            let live = live(&after, node, size);
            (node, size, pages, live.max(boot_pages(&after, node, size)))
        })
        .collect();
    let Fact::Known { value: pools, .. } = &mut after.memory.hugepages else {
        return after;
    };
    for (node, size, pages, given) in given {
        let mut own = pools.iter_mut();
        let own = own.find(|pool| (pool.node, pool.size) == (node, size));
        let Some(pool) = own else { continue };
        if given < pool.total.saturating_add(pages) {
            continue;
        }
        pool.total = pool.total.saturating_add(pages);
        if let Fact::Known { value: free, .. } = &mut pool.free {
            *free = free.saturating_add(pages);
        }
    }
    after
}

/// Writes what a change sets into the facts.
fn set(facts: &mut Facts, target: &Target, to: Option<&String>) {
    match target {
        Target::Definition(_) | Target::Conf(_) => {}
        Target::Kernel(path) | Target::File(path) => {
            let value = Fact::known(to.cloned(), "the plan");
            facts.settings.insert(path.clone(), value);
        }
        Target::Argument { file, name } => {
            let known = &mut facts.kernel.boot_arguments;
            if let Fact::Known { value: known, .. } = known {
                argument(known, file, name, to);
            }
        }
    }
}

fn argument(
    known: &mut BootArguments,
    file: &HostPath,
    name: &str,
    to: Option<&String>,
) {
    let here = |one: &BootArgument| one.file == *file && one.name == name;
    known.arguments.retain(|one| !here(one));
    if let Some(value) = to {
        known.arguments.push(BootArgument {
            file: file.clone(),
            name: name.to_owned(),
            value: value.clone(),
        });
    }
}

/// Returns what the running kernel's pool is set to.
fn live(facts: &Facts, node: NodeId, size: PageSize) -> u64 {
    let path = place(node, size);
    let fact = path.and_then(|path| facts.settings.get(&path));
    let text = fact.and_then(Fact::value).and_then(Option::as_deref);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
