//! The smallest explanation of a refusal, and what would do: every remedy
//! that is named was tried.

use std::collections::BTreeSet;
use std::fmt;

use super::ground::Ground;
use super::{Inputs, PlanError, Subject};
use crate::base::{Bytes, DomainName, NodeId, PageSize};
use crate::model::Fact;
use crate::model::facts::{Facts, HugepagePool};
use crate::model::policy::{
    DeviceLocality, Emulator, Housekeeping, Level, Pages, PlacementMode,
    Policy, Reserve, Smt, VmPolicy,
};
use crate::placement::{Short, Shortage};

/// Remedies named at most: more would not be the smallest explanation.
const MOST: usize = 3;

/// Neighbours that are tried to be away, at most: each costs a placement.
const NEIGHBOURS: usize = 64;

/// The smallest explanation of why nothing fits.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema,
)]
pub struct Refusal {
    /// The VM that does not fit.
    pub vm: String,
    /// What is short: "node 1 has 3 free 1G pages, 8 are needed".
    pub shortage: String,
    /// What would do, each a change that was tried and would: "5 more 1G
    /// pages on node 1", "2M pages".
    pub remedies: Vec<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not fit: {}", self.vm, self.shortage)?;
        if !self.remedies.is_empty() {
            write!(f, "; {} would do", self.remedies.join(", or "))?;
        }
        Ok(())
    }
}

/// Explains a shortage.
pub(super) fn explain(
    inputs: &Inputs<'_>,
    subjects: &[&Subject],
    shortage: &Shortage,
) -> PlanError {
    let ground = Ground::of(inputs, inputs.policy);
    let attempt = Attempt { inputs, subjects, vm: &shortage.vm, ground };
    PlanError::Refused(Refusal {
        vm: shortage.vm.to_string(),
        shortage: shortage.what.to_string(),
        remedies: attempt.remedies(&shortage.what),
    })
}

/// Explains what the checker faults: a defect, unless rules that the policy
/// keeps from planning are what it takes.
pub(super) fn faulted(
    inputs: &Inputs<'_>,
    vm: &DomainName,
    what: String,
) -> PlanError {
    let mut policy = inputs.policy.clone();
    let levels = policy.vm.values_mut().map(|vm| &mut vm.rules);
    let mut idle = BTreeSet::new();
    for rules in levels.chain([&mut policy.rules]) {
        rules.retain(|rule, level| {
            let plans = *level == Level::Plan;
            if !plans {
                idle.insert(rule.clone());
            }
            plans
        });
    }
    if idle.is_empty() {
        return PlanError::Faulted(vm.clone(), what);
    }
    let idle: Vec<_> = idle.into_iter().collect();
    let full = Inputs { policy: &policy, ..*inputs };
    let remedies = match super::plan(&full) {
        Ok(_) => vec![format!("[rules] {} = \"plan\"", idle.join(", "))],
        Err(PlanError::Refused(_)) => Vec::new(),
        Err(other) => return other,
    };
    let shortage = format!(
        "{what}, and the policy keeps rules from planning: {}",
        idle.join(", ")
    );
    PlanError::Refused(Refusal { vm: vm.to_string(), shortage, remedies })
}

/// Adds free pages to a node's pool.
fn add_pages(facts: &mut Facts, node: NodeId, size: PageSize, pages: u64) {
    let Fact::Known { value: pools, .. } = &mut facts.memory.hugepages else {
        return;
    };
    match pools.iter_mut().find(|p| p.node == node && p.size == size) {
        Some(pool) => {
            pool.total = pool.total.saturating_add(pages);
            if let Fact::Known { value: free, .. } = &mut pool.free {
                *free = free.saturating_add(pages);
            }
        }
        None => pools.push(HugepagePool {
            node,
            size,
            total: pages,
            free: Fact::known(pages, "as if added"),
            surplus: Fact::known(0, "as if added"),
        }),
    }
}

/// Tries of a plan with something changed.
struct Attempt<'a> {
    inputs: &'a Inputs<'a>,
    subjects: &'a [&'a Subject],
    vm: &'a DomainName,
    /// The host as it is under the policy as it is.
    ground: Ground<'a>,
}

impl Attempt<'_> {
    fn remedies(&self, short: &Short) -> Vec<String> {
        let mut remedies = Vec::new();
        remedies.extend(self.more_memory(short));
        for (text, policy) in self.policies(short) {
            if remedies.len() >= MOST {
                break;
            }
            if self.works(&policy, None) {
                remedies.push(text);
            }
        }
        if remedies.is_empty() {
            remedies.extend(self.without_neighbour());
        }
        if remedies.is_empty() {
            let shared = Some(PlacementMode::Shared);
            let policy = self.with(|vm| vm.cpu.placement = shared);
            let works = self.works(&policy, None);
            remedies
                .extend(works.then(|| "[cpu] placement = \"shared\"".into()));
        }
        remedies
    }

    /// Says how much more memory the nearest node would need.
    fn more_memory(&self, short: &Short) -> Option<String> {
        let Short::Memory { node, free, needed, size, .. } = short else {
            return None;
        };
        let lacking = Bytes(needed.0.saturating_sub(free.0));
        let mut facts = self.inputs.facts.clone();
        let text = match size {
            Some(size) => {
                let pages = size.pages(lacking);
                add_pages(&mut facts, *node, *size, pages);
                format!("{pages} more {size} pages on node {node}")
            }
            None => format!("{lacking} more memory on node {node}"),
        };
        let grown = match size {
            Some(size) => Bytes(size.pages(lacking) * size.bytes()),
            None => lacking,
        };
        let host = facts.topology.nodes.iter_mut().find(|n| n.id == *node);
        if let Some(Fact::Known { value, .. }) = host.map(|n| &mut n.memory) {
            value.0 = value.0.saturating_add(grown.0);
        }
        let inputs = Inputs { facts: &facts, ..*self.inputs };
        let ground = Ground::of(&inputs, inputs.policy);
        let richer = Attempt {
            inputs: &inputs,
            subjects: self.subjects,
            vm: self.vm,
            ground,
        };
        richer.works(self.inputs.policy, None).then_some(text)
    }

    /// Lists changes of policy that could help, the mildest first.
    fn policies(&self, short: &Short) -> Vec<(String, Policy)> {
        let mut tries = Vec::new();
        let mut add =
            |text: &str, policy| tries.push((text.to_owned(), policy));
        if matches!(short, Short::Memory { .. } | Short::Granularity { .. }) {
            let smaller = self.sizes().into_iter().map(|size| {
                let wish = Pages::Size(size);
                (format!("{size} pages"), wish)
            });
            let ordinary = ("ordinary pages".to_owned(), Pages::None);
            for (text, wish) in smaller.chain([ordinary]) {
                add(&text, self.with(|vm| vm.memory.pages = Some(wish)));
            }
        }
        if matches!(short, Short::Memory { size: Some(_), .. })
            && self.inputs.policy.memory.reserve == Reserve::Off
        {
            let mut policy = self.inputs.policy.clone();
            policy.memory.reserve = Reserve::Auto;
            add("[memory] reserve = \"auto\"", policy);
        }
        if matches!(short, Short::NoHome) {
            let mut policy = self.inputs.policy.clone();
            policy.cpu.housekeeping = Housekeeping::Auto;
            add("[cpu] housekeeping = \"auto\"", policy);
            let own = Some(Emulator::Dedicated);
            add(
                "[cpu] emulator = \"dedicated\"",
                self.with(|vm| vm.cpu.emulator = own),
            );
        }
        if matches!(short, Short::Locality { .. }) {
            let prefer = Some(DeviceLocality::Prefer);
            add(
                "[devices] locality = \"prefer\"",
                self.with(|vm| vm.devices.locality = prefer),
            );
        }
        if let Short::Nodes { cells, .. }
        | Short::TooManyCells { cells, .. }
        | Short::EmptyCells { cells, .. } = short
        {
            for fewer in (1..*cells).rev().take(8) {
                let text = format!("cells = {fewer}");
                add(&text, self.with(|vm| vm.cells = Some(fewer)));
            }
        }
        if matches!(short, Short::Threads { .. }) {
            add("one thread per core", self.with(|vm| vm.threads = Some(1)));
        }
        add(
            "[cpu] smt = \"siblings\"",
            self.with(|vm| vm.cpu.smt = Some(Smt::Siblings)),
        );
        add(
            "[cpu] emulator = \"housekeeping\"",
            self.with(|vm| vm.cpu.emulator = Some(Emulator::Housekeeping)),
        );
        add("[cpu] smt = \"any\"", self.with(|vm| vm.cpu.smt = Some(Smt::Any)));
        if let Some(kept) = self.ground.smallest_housekeeping() {
            let mut policy = self.inputs.policy.clone();
            policy.cpu.housekeeping = kept.clone();
            add(&format!("[cpu] housekeeping = \"{kept}\""), policy);
        } else if let Housekeeping::Cpus(kept) =
            &self.inputs.policy.cpu.housekeeping
            && kept.len() > 1
        {
            let mut policy = self.inputs.policy.clone();
            policy.cpu.housekeeping = Housekeeping::Auto;
            add("[cpu] housekeeping = \"auto\"", policy);
        }
        tries
    }

    /// Returns a neighbour without which all would fit.
    fn without_neighbour(&self) -> Option<String> {
        let policy = self.inputs.policy;
        let neighbours = self.inputs.neighbours.iter().enumerate();
        let mut gone = neighbours.take(NEIGHBOURS).filter(|(at, neighbour)| {
            let holds = neighbour
                .definitions
                .iter()
                .any(|domain| !domain.cputune.vcpupin.is_empty());
            holds && self.works(policy, Some(*at))
        });
        gone.next().map(|(_, neighbour)| format!("{} away", neighbour.name))
    }

    /// Returns the huge page sizes that the host has, largest first.
    fn sizes(&self) -> Vec<PageSize> {
        let pools = self.inputs.facts.memory.hugepages.value();
        let mut sizes: Vec<_> =
            pools.into_iter().flatten().map(|pool| pool.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes.reverse();
        sizes
    }

    /// Returns the policy with the VM's own table changed.
    fn with(&self, change: impl FnOnce(&mut VmPolicy)) -> Policy {
        let mut policy = self.inputs.policy.clone();
        change(policy.vm.entry(self.vm.to_string()).or_default());
        policy
    }

    /// Returns whether all fits under a policy, without one neighbour.
    fn works(&self, policy: &Policy, absent: Option<usize>) -> bool {
        let other_host = absent.is_some()
            || policy.cpu.housekeeping != self.inputs.policy.cpu.housekeeping
            || policy.memory.reserve != self.inputs.policy.memory.reserve;
        let other =
            other_host.then(|| Ground::without(self.inputs, policy, absent));
        let ground = other.as_ref().unwrap_or(&self.ground);
        ground.place(&ground.demands(self.subjects, policy)).is_ok()
    }
}
