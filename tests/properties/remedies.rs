//! Tries what a refusal says would do.

use vmtune::base::{NodeId, PageSize};
use vmtune::model::Fact;
use vmtune::model::facts::HugepagePool;
use vmtune::model::policy::{
    DeviceLocality, Emulator, Housekeeping, Pages, Smt,
};
use vmtune::planner::{PlanError, Refusal};

use super::Case;

/// Tries a remedy that a refusal names.
pub(super) fn does(
    case: &Case,
    refusal: &Refusal,
    remedy: &str,
) -> Result<(), String> {
    let mut facts = case.facts.clone();
    let mut policy = case.policy.clone();
    let mut neighbours = case.neighbours.clone();
    let vm = policy.vm.entry(refusal.vm.clone()).or_default();
    let words: Vec<&str> = remedy.split_whitespace().collect();
    match *words.as_slice() {
        ["ordinary", "pages"] => vm.memory.pages = Some(Pages::None),
        [size, "pages"] => {
            vm.memory.pages = Some(Pages::Size(size.parse().unwrap()));
        }
        ["cells", "=", count] => vm.cells = Some(count.parse().unwrap()),
        ["one", "thread", "per", "core"] => vm.threads = Some(1),
        ["[devices]", ..] => vm.devices.locality = Some(DeviceLocality::Prefer),
        ["[cpu]", "smt", "=", "\"siblings\""] => {
            vm.cpu.smt = Some(Smt::Siblings);
        }
        ["[cpu]", "smt", "=", "\"any\""] => vm.cpu.smt = Some(Smt::Any),
        ["[cpu]", "emulator", "=", home] => {
            vm.cpu.emulator = Some(match home {
                "\"dedicated\"" => Emulator::Dedicated,
                _ => Emulator::Housekeeping,
            });
        }
        ["[cpu]", "housekeeping", "=", kept] => {
            let kept: Housekeeping = kept.trim_matches('"').parse().unwrap();
            policy.cpu.housekeeping = kept;
        }
        [name, "away"] => neighbours.retain(|n| n.name.as_str() != name),
        [count, "more", size, "pages", "on", "node", node] => {
            let size: PageSize = size.parse().unwrap();
            let node = NodeId(node.parse().unwrap());
            let count: u64 = count.parse().unwrap();
            let Fact::Known { value, .. } = &mut facts.memory.hugepages else {
                return Err("no pool is known".into());
            };
            let pool =
                value.iter_mut().find(|p| p.node == node && p.size == size);
            match pool {
                Some(pool) => {
                    pool.total += count;
                    if let Fact::Known { value: free, .. } = &mut pool.free {
                        *free += count;
                    }
                }
                None => value.push(HugepagePool {
                    node,
                    size,
                    total: count,
                    free: Fact::known(count, "made up"),
                    surplus: Fact::known(0, "made up"),
                }),
            }
            let nodes = &mut facts.topology.nodes;
            let node = nodes.iter_mut().find(|n| n.id == node).unwrap();
            if let Fact::Known { value, .. } = &mut node.memory {
                value.0 += count * size.bytes();
            }
        }
        _ if remedy.contains("more memory on node") => {
            let node = NodeId(words.last().unwrap().parse().unwrap());
            let amount: f64 = words[0].parse().unwrap();
            let unit = match words[1] {
                "GiB" => 1u64 << 30,
                "MiB" => 1 << 20,
                "KiB" => 1 << 10,
                _ => 1,
            };
            // A figure for people is rounded.
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "small figures"
            )]
            let bytes = (amount * unit as f64).ceil() as u64 + unit / 10;
            let nodes = &mut facts.topology.nodes;
            let node = nodes.iter_mut().find(|n| n.id == node).unwrap();
            if let Fact::Known { value, .. } = &mut node.memory {
                value.0 += bytes;
            }
        }
        ["[rules]", ..] => {
            policy.rules.clear();
            policy.vm.values_mut().for_each(|vm| vm.rules.clear());
        }
        _ => return Ok(()),
    }
    match case.plan_with(&facts, &policy, &case.texts, &neighbours) {
        Ok(_) => Ok(()),
        // Room was found; that rules may not use it is said in its turn.
        Err(PlanError::Refused(still))
            if still.shortage.contains("from planning") =>
        {
            Ok(())
        }
        Err(PlanError::Refused(still)) => Err(format!("still {still}")),
        Err(other) => Err(other.to_string()),
    }
}
