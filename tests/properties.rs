//! What holds of every plan, on random hosts with random VMs under random
//! policies. `VMTUNE_CASES` says how many, `VMTUNE_SEED` where to begin;
//! `VMTUNE_DUMP` names a folder for definitions before and after.

#![allow(clippy::disallowed_methods, reason = "a dump is for other programs")]

#[path = "properties/host.rs"]
mod host;
#[path = "properties/remedies.rs"]
mod remedies;
mod support;
#[path = "support/xml.rs"]
#[allow(dead_code, unreachable_pub, reason = "another crate uses the rest")]
mod xml;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use support::{Seeded, cpu_settings, wild};
use vmtune::base::{Bytes, CpuSet, NodeId, PageSize, VcpuId};
use vmtune::definition;
use vmtune::model::facts::Facts;
use vmtune::model::policy::{
    Isolation, Level, Pages, Pins, PlacementMode, Policy, Smt,
};
use vmtune::model::{Change, Target, VmPlacement};
use vmtune::placement::{Held, housekeeping};
use vmtune::planner::{Inputs, Neighbour, PlanError, Planned, Subject, plan};
use vmtune::rules::{Context, Edit, Evaluate, RULES, Rule, Verdict};

/// One drawn case.
struct Case {
    facts: Facts,
    policy: Policy,
    texts: Vec<String>,
    neighbours: Vec<Neighbour>,
}

impl Case {
    fn draw(seed: u64) -> Self {
        let mut seeded = Seeded::new(seed);
        let facts = wild::host(&mut seeded);
        let cpus = u32::try_from(facts.topology.online.len()).unwrap();
        let count = *seeded.pick(&[1, 1, 1, 2, 3]);
        let names: Vec<_> = (0..count).map(|n| format!("vm{n}")).collect();
        let most = (cpus / count).clamp(1, 12);
        let texts: Vec<String> = names
            .iter()
            .map(|name| wild::definition(&mut seeded, &facts, name, most))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let policy = wild::policy(&mut seeded, &facts, &names);
        let neighbours = (0..*seeded.pick(&[0, 0, 1, 2])).map(|n| {
            let name = format!("held{n}");
            let most = most.min(3);
            let text = wild::definition(&mut seeded, &facts, &name, most);
            let domain = definition::read(&text).unwrap();
            let running = seeded.chance(50);
            Neighbour {
                name: domain.name.clone(),
                definitions: vec![domain],
                running,
            }
        });
        let neighbours = neighbours.collect();
        let mut case = Self { facts, policy, texts, neighbours };
        // From a stream of its own, so that a seed draws the VMs that it drew
        // before there were rules for the host.
        let mut seeded = Seeded::new(!seed);
        if seeded.chance(50) {
            cpu_settings::draw(&mut seeded, &mut case.facts);
            case.policy.cpu.isolation = *seeded.pick(&[
                Isolation::Partition,
                Isolation::Kernel,
                Isolation::None,
            ]);
        }
        case
    }

    fn plan(&self) -> Result<Planned, PlanError> {
        self.plan_with(&self.facts, &self.policy, &self.texts, &self.neighbours)
    }

    fn plan_with(
        &self,
        facts: &Facts,
        policy: &Policy,
        texts: &[String],
        neighbours: &[Neighbour],
    ) -> Result<Planned, PlanError> {
        let subjects: Vec<Subject> =
            texts.iter().map(|t| support::vms::subject(t)).collect();
        plan(&Inputs {
            facts,
            policy,
            subjects: &subjects,
            neighbours,
            connection: "files",
        })
    }
}

#[derive(Default)]
struct Tally {
    plans: usize,
    changes: usize,
    refusals: BTreeMap<String, usize>,
    remedies: BTreeMap<String, usize>,
}

/// Draws a case and says what is wrong with its plan.
fn judge(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let case = Case::draw(seed);
    if let Some(what) = vmtune::host::inconsistency(&case.facts.topology) {
        return Err(format!("the test's own host: {what}"));
    }
    if std::env::var_os("VMTUNE_SHOW").is_some() {
        println!("{:#?}\n{:#?}", case.facts.topology, case.facts.memory);
        println!("{:#?}", case.policy);
        for text in &case.texts {
            println!("{text}");
        }
        for domain in case.neighbours.iter().flat_map(|n| &n.definitions) {
            println!("{}: {:?}", domain.name, domain.cputune);
            println!("{:?} {:?}", domain.numatune, domain.memory);
        }
        if let Ok(planned) = case.plan() {
            println!("{:#?}", planned.plan.vms);
        }
    }
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let first = case.plan();
    if first.as_ref().ok().map(|p| (&p.plan, &p.definitions))
        != case.plan().as_ref().ok().map(|p| (&p.plan, &p.definitions))
    {
        return Err("the same inputs give another plan".into());
    }
    match first {
        Ok(planned) => {
            tally.plans += 1;
            tally.changes += planned.plan.changes.len();
            dump(seed, &case, &planned);
            placements(&case, &planned)?;
            memory(&case, &planned)?;
            rendered(&case, &planned)?;
            any_order(&case, &planned, seed)?;
            host::judge(&case, &planned)?;
            again(&case, &planned)
        }
        Err(PlanError::Refused(refusal)) => {
            let why = match refusal.shortage.contains("from planning") {
                true => "rules that may not plan would be needed".to_owned(),
                false => refusal.shortage.replace(digits, ""),
            };
            *tally.refusals.entry(why).or_default() += 1;
            for remedy in &refusal.remedies {
                let kind = remedy.replace(digits, "");
                *tally.remedies.entry(kind).or_default() += 1;
                remedies::does(&case, &refusal, remedy)
                    .map_err(|e| format!("{refusal}; remedy {remedy}: {e}"))?;
            }
            Ok(())
        }
        Err(other) => Err(other.to_string()),
    }
}

fn dump(seed: u64, case: &Case, planned: &Planned) {
    let Some(folder) = std::env::var_os("VMTUNE_DUMP") else { return };
    for text in &case.texts {
        let domain = definition::read(text).unwrap();
        let after = &planned.definitions[&domain.name];
        for (side, text) in [("before", text), ("after", after)] {
            let folder = std::path::Path::new(&folder).join(side);
            std::fs::create_dir_all(&folder).unwrap();
            let file = format!("{seed}-{}.xml", domain.name);
            std::fs::write(folder.join(file), text).unwrap();
        }
    }
}

/// Judges who got which CPUs.
fn placements(case: &Case, planned: &Planned) -> Result<(), String> {
    let topology = &case.facts.topology;
    let kept = housekeeping(topology, &case.policy.cpu.housekeeping);
    if kept != planned.plan.housekeeping {
        return Err("housekeeping is another".into());
    }
    let mut held = CpuSet::new();
    for domain in case.neighbours.iter().flat_map(|n| &n.definitions) {
        held = held.union(&Held::by(domain, topology, &case.policy).cpus);
    }
    let mut taken = CpuSet::new();
    let mut floating = CpuSet::new();
    for vm in &planned.plan.vms {
        let name = vm.name.as_str();
        let policy = case.policy.for_vm(name);
        let placement = vm.placement.as_ref().unwrap();
        let text = case.texts.iter().map(|t| definition::read(t).unwrap());
        let domain = text.into_iter().find(|d| d.name == vm.name).unwrap();
        let keeps = !policy.plans("vcpu-pin")
            || (policy.cpu.pins == Pins::Keep
                && !domain.cputune.vcpupin.is_empty());
        let vcpus = (0..domain.vcpus).map(VcpuId);
        if !vcpus.eq(placement.vcpus.keys().copied()) {
            return Err(format!("{name}: not each vCPU has a place"));
        }
        let mut members: Vec<_> =
            placement.cells.iter().flat_map(|c| c.vcpus.iter()).collect();
        members.sort_unstable();
        if !members.into_iter().eq((0..domain.vcpus).map(VcpuId)) {
            return Err(format!("{name}: not each vCPU is in one cell"));
        }
        if vm.bound > vm.objective && planned.plan.vms.len() == 1 {
            return Err(format!(
                "{name}: {} is below its bound {}",
                vm.objective, vm.bound
            ));
        }
        if keeps {
            continue;
        }
        let cpus = placement.cpus();
        if policy.cpu.placement == PlacementMode::Shared {
            floating = floating.union(&cpus);
            if cpus.is_empty() || !cpus.is_subset(&topology.usable()) {
                return Err(format!("{name}: floats on {cpus}"));
            }
            continue;
        }
        if !placement.exclusive
            || placement.vcpus.values().any(|one| one.len() != 1)
            || cpus.len() != placement.vcpus.len()
        {
            return Err(format!("{name}: not a CPU for each vCPU"));
        }
        let all = cpus.union(&placement.reserved);
        for (what, others) in [
            ("taken", &taken),
            ("housekeeping", &kept),
            ("a neighbour's", &held),
            ("not usable", &topology.online.difference(&topology.usable())),
        ] {
            if all.intersects(others) {
                let what_of = all.intersection(others);
                return Err(format!("{name}: CPUs {what_of} are {what}"));
            }
        }
        if !all.is_subset(&topology.online) {
            return Err(format!("{name}: CPUs {all} are not online"));
        }
        taken = taken.union(&all);
        siblings(case, placement, &policy)
            .map_err(|e| format!("{name}: {e}"))?;
        for cell in &placement.cells {
            let node = topology.node(cell.node).unwrap();
            let away = |v| !placement.vcpus[&v].is_subset(&node.cpus);
            if cell.vcpus.iter().any(away) {
                return Err(format!("{name}: a vCPU is off its cell's node"));
            }
        }
    }
    if floating.intersects(&taken) {
        return Err("floating VMs run on exclusive CPUs".into());
    }
    Ok(())
}

/// Judges guest cores against host cores.
fn siblings(
    case: &Case,
    placement: &VmPlacement,
    policy: &Policy,
) -> Result<(), String> {
    let cpus = placement.cpus();
    let cores = || case.facts.topology.cores.iter();
    match policy.cpu.smt {
        Smt::Isolate => {
            let crowded = |core: &vmtune::model::facts::Core| {
                core.cpus.intersection(&cpus).len() > 1
            };
            if cores().any(crowded) {
                return Err("two vCPUs share a core under isolate".into());
            }
        }
        Smt::Siblings => {
            let pins: Vec<_> = placement.vcpus.values().collect();
            for unit in pins.chunks(placement.threads as usize) {
                let unit =
                    unit.iter().fold(CpuSet::new(), |all, c| all.union(c));
                if !cores().any(|core| unit.is_subset(&core.cpus)) {
                    return Err(format!("guest core on {unit} is no core"));
                }
            }
        }
        Smt::Any => {}
    }
    Ok(())
}

/// Judges whether pages suffice, where it is known how many are free.
fn memory(case: &Case, planned: &Planned) -> Result<(), String> {
    let mut wanted: BTreeMap<(NodeId, Option<PageSize>), u64> = BTreeMap::new();
    for vm in &planned.plan.vms {
        let placement = vm.placement.as_ref().unwrap();
        for cell in &placement.cells {
            let place = (cell.memory_node, placement.pages);
            *wanted.entry(place).or_default() += cell.memory.0;
        }
        let name = vm.name.as_str();
        if let Pages::Size(size) = case.policy.for_vm(name).memory.pages
            && case.policy.for_vm(name).plans("hugepages")
            && placement.pages != Some(size)
        {
            return Err(format!("{name}: a named page size is not kept"));
        }
    }
    let topology = &case.facts.topology;
    let asleep = case.neighbours.iter().filter(|n| !n.running);
    for domain in asleep.flat_map(|n| &n.definitions) {
        let held = Held::by(domain, topology, &case.policy);
        for (place, memory) in held.memory {
            *wanted.entry(place).or_default() += memory.0;
        }
    }
    for ((node, size), wanted) in wanted {
        let pools = case.facts.memory.hugepages.value().into_iter().flatten();
        let free = match size {
            Some(size) => {
                let pool = pools
                    .into_iter()
                    .find(|p| p.node == node && p.size == size);
                pool.map_or(0, |pool| {
                    let free = pool.free.value().copied();
                    free.unwrap_or(pool.total) * size.bytes()
                })
            }
            None => {
                let memory = topology.node(node);
                let memory = memory.and_then(|node| node.memory.value());
                let Some(memory) = memory else { continue };
                memory.0
            }
        };
        let given = planned.plan.vms.iter().any(|vm| {
            let placement = vm.placement.as_ref().unwrap();
            placement.pages == size && placement.memory_nodes().contains(node)
        });
        if wanted > free && given {
            return Err(format!(
                "node {node} has {} in pages {size:?}, {} are given out",
                Bytes(free),
                Bytes(wanted)
            ));
        }
    }
    Ok(())
}

/// Judges the rewritten definitions.
fn rendered(case: &Case, planned: &Planned) -> Result<(), String> {
    for vm in &planned.plan.vms {
        let policy = case.policy.for_vm(vm.name.as_str());
        let text = &planned.definitions[&vm.name];
        let domain = definition::read(text).map_err(|e| e.to_string())?;
        let placement = vm.placement.as_ref().unwrap();
        let level = |rule| policy.rules.get(rule).copied().unwrap_or_default();
        let text = case.texts.iter().map(|t| definition::read(t).unwrap());
        let before = text.into_iter().find(|d| d.name == vm.name).unwrap();
        let keeps = !policy.plans("vcpu-pin")
            || (policy.cpu.pins == Pins::Keep
                && !before.cputune.vcpupin.is_empty());
        if policy.cpu.placement == PlacementMode::Dedicated
            && !keeps
            && level("vcpu-pin") == Level::Plan
            && domain.cputune.vcpupin != placement.vcpus
        {
            return Err(format!("{}: the pins are others", vm.name));
        }
        let total: u64 = domain.cells().iter().map(|c| c.memory.0).sum();
        let cells = domain.cells();
        if level("numa-cells") == Level::Plan && cells.len() > 1 {
            let members = cells.iter().map(|c| (c.id, &c.vcpus));
            let placed = placement.cells.iter().map(|c| (c.id, &c.vcpus));
            if !members.eq(placed) || total > domain.memory.total.0 {
                return Err(format!("{}: the cells are others", vm.name));
            }
        }
    }
    Ok(())
}

/// The edits that rules want, asked for in any order, are those of the plan.
fn any_order(case: &Case, planned: &Planned, seed: u64) -> Result<(), String> {
    let mut seeded = Seeded::new(!seed);
    for text in &case.texts {
        let mut domain = definition::read(text).unwrap();
        let vm = planned.plan.vms.iter().find(|v| v.name == domain.name);
        let placement = vm.unwrap().placement.as_ref().unwrap();
        let policy = case.policy.for_vm(domain.name.as_str());
        if policy.plans("hostdev-vf") {
            domain.devices = domain.devices.with_nics(&placement.nics);
        }
        let context = Context {
            facts: &case.facts,
            domain: &domain,
            live: None,
            policy: &policy,
            placement,
        };
        let mut rules = RULES.to_vec();
        shuffle(&mut seeded, &mut rules);
        let mut wanted: BTreeMap<String, Option<String>> = BTreeMap::new();
        for rule in rules {
            for edit in edits(rule, &context) {
                owned(rule, &edit)?;
                wanted.insert(edit.target.to_string(), edit.to);
            }
        }
        let name = domain.name.to_string();
        let own = |c: &&Change| c.vm.as_deref() == Some(&name);
        let mut changes: Vec<Change> =
            planned.plan.changes.iter().filter(own).cloned().collect();
        for change in &changes {
            if wanted.get(&change.target.to_string()) != Some(&change.to) {
                return Err(format!(
                    "{name}: {} has two owners",
                    change.target
                ));
            }
        }
        shuffle(&mut seeded, &mut changes);
        let after = definition::render(text, &changes)
            .map_err(|e| format!("{name}: in another order: {e}"))?;
        let planned = &planned.definitions[&domain.name];
        if xml::says(&after) != xml::says(planned) {
            return Err(format!("{name}: another order, another definition"));
        }
        kept(text, planned, &changes).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

/// Nothing goes that no change names.
fn kept(before: &str, after: &str, changes: &[Change]) -> Result<(), String> {
    let allowed: BTreeSet<String> = changes
        .iter()
        .filter_map(|change| {
            let Target::Definition(path) = &change.target else {
                return None;
            };
            let pattern = path.pattern();
            let uri = "{http://libvirt.org/schemas/domain/qemu/1.0}";
            let pattern = pattern.replace("qemu:", uri);
            Some(pattern.trim_start_matches('/').replace("/text()", ""))
        })
        .collect();
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for line in xml::says(after) {
        *left.entry(line).or_default() += 1;
    }
    for line in xml::says(before) {
        match left.get_mut(&line) {
            Some(count) if *count > 0 => *count -= 1,
            _ if allowed.iter().any(|place| line.starts_with(place)) => {}
            _ => return Err(format!("lost {line}")),
        }
    }
    Ok(())
}

fn edits(rule: &Rule, context: &Context<'_>) -> Vec<Edit> {
    if context.level(rule) != Level::Plan {
        return Vec::new();
    }
    let Evaluate::Vm(evaluate) = rule.evaluate else { return Vec::new() };
    match evaluate(context) {
        Verdict::Change { edits, .. } => edits,
        _ => Vec::new(),
    }
}

/// A rule edits what it owns.
fn owned(rule: &Rule, edit: &Edit) -> Result<(), String> {
    let pattern = edit.target.pattern();
    match rule.may_edit(&pattern) {
        true => Ok(()),
        false => Err(format!("{} edits {pattern}, not its own", rule.id)),
    }
}

fn shuffle<T>(seeded: &mut Seeded, items: &mut [T]) {
    for at in (1..items.len()).rev() {
        let other = seeded.below(u32::try_from(at + 1).unwrap()) as usize;
        items.swap(at, other);
    }
}

/// A plan made from what a plan leads to changes nothing.
fn again(case: &Case, planned: &Planned) -> Result<(), String> {
    let texts: Vec<String> = planned.definitions.values().cloned().collect();
    let facts = cpu_settings::settled(&case.facts, &planned.plan.changes);
    let second = case.plan_with(&facts, &case.policy, &texts, &case.neighbours);
    let several = case.texts.len() > 1;
    if several && case.policy.cpu.pins == Pins::Keep {
        // Kept pins come first, and first in line may have larger pages.
        return Ok(());
    }
    let second = second.map_err(|error| format!("planned again: {error}"))?;
    if let Some(change) = second.plan.changes.first() {
        return Err(format!(
            "planned again, {} sets {} from {:?} to {:?}: {}",
            change.rule, change.target, change.from, change.to, change.because
        ));
    }
    match second.definitions == planned.definitions {
        true => Ok(()),
        false => Err("planned again, the text is another".into()),
    }
}

#[test]
fn every_plan_holds_what_it_promises() {
    let number = |name: &str, otherwise: u64| {
        let value = std::env::var(name).ok();
        value.map_or(otherwise, |text| text.parse().expect(name))
    };
    let first = number("VMTUNE_SEED", 0);
    let cases = number("VMTUNE_CASES", 1000);
    let mut tally = Tally::default();
    let mut faults: Vec<String> = Vec::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for seed in first..first + cases {
        let run = AssertUnwindSafe(|| judge(seed, &mut tally));
        let result = catch_unwind(run).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(format!("panic: {}", text.unwrap_or_default()))
        });
        if let Err(fault) = result {
            // What the checker says is the kind, however it came to that.
            let said = fault.split("its own check: ").last();
            let kind: String = said
                .unwrap_or(&fault)
                .chars()
                .filter(|c| !c.is_ascii_digit())
                .take(120)
                .collect();
            let count = kinds.entry(kind).or_default();
            *count += 1;
            if *count <= 3 {
                faults.push(format!("seed {seed}: {fault}"));
            }
        }
    }
    println!("{cases} cases, {} plans, {} changes", tally.plans, tally.changes);
    for (why, count) in &tally.refusals {
        println!("refused: {count} {why}");
    }
    for (what, count) in &tally.remedies {
        println!("remedy: {count} {what}");
    }
    for (kind, count) in &kinds {
        println!("fault: {count} {kind}");
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
