//! Fills the pools of huge pages that VMs take their memory from.
//!
//! A VM on huge pages starts only where the pool of its node has them free.
//! Where the policy names a page size, and a pool is short of pages, they are
//! made of the node's ordinary memory: at once where that is likely to work,
//! else at boot, when no memory is scattered yet. Either way the pool is
//! there after each boot. A pool is never made smaller: others may use it.

use std::collections::BTreeMap;

use super::{Edit, Evaluate, Group, HostContext, HostedVm, Rule, Verdict};
use crate::base::{HostPath, NodeId, PageSize};
use crate::model::facts::{BootArguments, Chance, Facts, HugepagePool};
use crate::model::policy::{Level, Pages, Policy, Reserve};
use crate::model::{Stage, Target, is_same_size};

/// The rule.
pub const RULE: Rule = Rule {
    id: "hugepage-reservation",
    group: Group::HostMemory,
    why: "A VM on huge pages starts only where the pool of its node has them, \
          and a pool has what somebody put in it.",
    hurts: "Nothing else can use what a pool has, neither programs nor the \
            page cache, even while the VM is off.",
    folklore: "Guides write <hugepages/> and leave the pool out, or fill it \
               by one number for the host (vm.nr_hugepages, hugepages=N): \
               the kernel spreads that evenly over all nodes, and a part of \
               it is where no VM is. That 1 GiB pages cannot be had after \
               boot is not so, but they need memory in one piece, which a \
               host that has worked for a while rarely has.",
    sources: &[
        "Linux Documentation/admin-guide/mm/hugetlbpage.rst",
        "Linux commit b5389086ad7b, \"hugetlbfs: extend the definition of \
         hugepages parameter to support node allocation\" (5.16)",
        "Linux Documentation/filesystems/proc.rst: buddyinfo, pagetypeinfo",
        "systemd, tmpfiles.d(5): w, and ! for boot alone",
    ],
    level: Level::Plan,
    owns: &[
        "/sys/devices/system/node/*/hugepages/*/nr_hugepages",
        "/etc/tmpfiles.d/vmtune-hugepages.conf",
        "#hugepagesz=1G",
        "#hugepages",
    ],
    evaluate: Evaluate::Host(evaluate),
};

const FILE: &str = "/etc/tmpfiles.d/vmtune-hugepages.conf";
const HEAD: &str = include_str!("../../templates/host/hugepages.conf");

/// The first kernel whose `hugepages=` takes a number for each node.
const PER_NODE: (u32, u32) = (5, 16);

/// The pool of a node and a size.
type Pool = (NodeId, PageSize);

/// Returns the pools that may be given pages: none where the policy or the
/// rule's level says so, or where they could not be given them at boot.
#[must_use]
pub fn growing(facts: &Facts, policy: &Policy) -> Vec<Pool> {
    if policy.memory.reserve == Reserve::Off || !policy.plans(RULE.id) {
        return Vec::new();
    }
    let pools = facts.memory.hugepages.value().into_iter().flatten();
    let pools = pools.filter(|pool| way(facts, pool.size).is_ok());
    pools.map(|pool| (pool.node, pool.size)).collect()
}

/// How a pool is filled at boot.
enum Way<'a> {
    /// By an argument of the kernel, in which only it finds 1 GiB for sure.
    Argument(&'a BootArguments, &'static str),
    /// By a drop-in, which works on all kernels.
    File(BTreeMap<HostPath, u64>),
}

/// Returns how pools of a size are filled at boot, or which fact is missing.
fn way(
    facts: &Facts,
    size: PageSize,
) -> Result<Way<'_>, (&'static str, String)> {
    if size > PageSize::ONE_GIB {
        return Err(("the pool", format!("{size} pages are not provided for")));
    }
    if size == PageSize::ONE_GIB {
        let known = &facts.kernel.boot_arguments;
        let Some(known) = known.value() else {
            let why = known.reason().unwrap_or_default().to_owned();
            return Err(("kernel arguments for the next boot", why));
        };
        if known.get("hugetlb_cma").is_some() {
            let why = "hugetlb_cma= is set, under which the kernel makes none";
            return Err(("1 GiB pages at boot", why.into()));
        }
        return match facts.kernel.version() {
            None => Err(("kernel release", "it is not known".into())),
            Some(version) if version < PER_NODE => Err((
                "pages by node at boot",
                "kernels before 5.16 spread hugepages= over all nodes".into(),
            )),
            Some(_) => Ok(Way::Argument(known, argument(known))),
        };
    }
    if !facts.services.has("systemd-tmpfiles") {
        let why = "systemd-tmpfiles, which would fill it, was not found";
        return Err(("the pool at boot", why.into()));
    }
    let file = FILE.parse().ok().and_then(|p: HostPath| facts.settings.get(&p));
    match file {
        None => Err((FILE, "it was not read".into())),
        Some(fact) => match fact.value() {
            None => Err((FILE, fact.reason().unwrap_or_default().into())),
            Some(text) => Ok(Way::File(lines(text.as_deref()))),
        },
    }
}

/// Returns the argument that pages of 1 GiB are asked for by: where that is
/// the default size, the kernel ignores a second naming of it.
fn argument(known: &BootArguments) -> &'static str {
    let default = known.get("default_hugepagesz");
    let is_default =
        default.is_some_and(|size| is_same_size(&size.value, "1G"));
    let plain = known.get("hugepages").is_some();
    match is_default && plain && known.get("hugepagesz=1G").is_none() {
        true => "hugepages",
        false => "hugepagesz=1G",
    }
}

/// Reads the numbers of the drop-in by the pools that they are for.
fn lines(text: Option<&str>) -> BTreeMap<HostPath, u64> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, path, _, _, _, _, number] = words.as_slice() else {
            return None;
        };
        let number = number.parse().ok()?;
        path.starts_with('/').then(|| Some((path.parse().ok()?, number)))?
    };
    text.unwrap_or_default().lines().filter_map(line).collect()
}

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let used = used(cx);
    if used.is_empty() {
        return Verdict::NotApplicable("no VM of the plan takes huge pages");
    }
    let Some(pools) = cx.facts.memory.hugepages.value() else {
        let why = cx.facts.memory.hugepages.reason().unwrap_or_default();
        return Verdict::Unknown { fact: "huge page pools", why: why.into() };
    };
    let mut edits = Vec::new();
    let mut advice = Vec::new();
    let mut asked: BTreeMap<PageSize, BTreeMap<NodeId, Wish>> = BTreeMap::new();
    for (&(node, size), named) in &used {
        let of = |pool: &&HugepagePool| (pool.node, pool.size) == (node, size);
        let Some(pool) = pools.iter().find(of) else { continue };
        let more = cx.reservations.get(&(node, size)).copied().unwrap_or(0);
        let total = pool.total.saturating_add(more);
        let now = (more > 0).then(|| live(cx, pool, more)).flatten();
        let wish = Wish { total, later: more > 0 && now.is_none() };
        edits.extend(now);
        if *named {
            asked.entry(size).or_default().insert(node, wish);
        } else if let Some(said) = unkept(cx, pool) {
            advice.push(said);
        }
    }
    for (size, wishes) in asked {
        match way(cx.facts, size) {
            Ok(way) => {
                edits.extend(at_boot(cx, size, &wishes, &way));
                advice.extend(waiting(cx, size, &wishes));
            }
            Err((fact, why)) => advice.push(format!(
                "{size} pages are there until the next boot; {fact}: {why}"
            )),
        }
        advice.extend(rivals(cx, size, &wishes));
    }
    Verdict::of(edits, advice, "the pools have the pages, after a boot too")
}

/// What a pool shall have.
#[derive(Debug, Clone, Copy)]
struct Wish {
    total: u64,
    /// Whether that has to wait for a boot.
    later: bool,
}

/// Returns the pools that the plan's VMs use, and whether the pages of at
/// least one of them are asked for by name.
fn used(cx: &HostContext<'_>) -> BTreeMap<Pool, bool> {
    let mut used = BTreeMap::new();
    for vm in cx.vms {
        let Some(size) = vm.placement.pages else { continue };
        for cell in &vm.placement.cells {
            *used.entry((cell.memory_node, size)).or_default() |= named(vm);
        }
    }
    used
}

/// Returns whether a VM must have pages of one size: the policy names it, or
/// nobody may change what its definition names.
fn named(vm: &HostedVm<'_>) -> bool {
    vm.policy.memory.pages != Pages::Auto
        || !vm.policy.plans(super::hugepages::RULE.id)
}

/// Gives a pool pages at once, where that is likely to work.
fn live(cx: &HostContext<'_>, pool: &HugepagePool, more: u64) -> Option<Edit> {
    if cx.policy.memory.reserve != Reserve::Auto {
        return None;
    }
    let path = place(pool.node, pool.size)?;
    // What was not read cannot be put back.
    let _standing = cx.facts.settings.get(&path)?.value()?;
    let outlook = cx.facts.outlook(pool.node, pool.size, more);
    let how = match outlook.chance {
        Chance::Ready => "at once",
        Chance::Likely => "after compaction, which is likely to suffice",
        Chance::Unlikely | Chance::Unknown => return None,
    };
    let because = format!(
        "{} {} pages are missing on node {} and can be had {how}: {}",
        more, pool.size, pool.node, outlook.why
    );
    let to = pool.total.saturating_add(more).to_string();
    Some(Edit::set(Target::Kernel(path), to, because).at(Stage::Now))
}

/// Returns where the running kernel is told how many pages a pool has.
#[must_use]
pub fn place(node: NodeId, size: PageSize) -> Option<HostPath> {
    let kib = size.kib();
    let path = format!(
        "/sys/devices/system/node/node{node}/hugepages/hugepages-{kib}kB/\
         nr_hugepages"
    );
    path.parse().ok()
}

/// Fills the pools of a size at each boot.
fn at_boot(
    cx: &HostContext<'_>,
    size: PageSize,
    wishes: &BTreeMap<NodeId, Wish>,
    way: &Way<'_>,
) -> Option<Edit> {
    let given = |node| boot_pages(cx.facts, node, size);
    let short = |(node, wish): &(&NodeId, &Wish)| given(**node) < wish.total;
    let short: Vec<_> = wishes.iter().filter(short).collect();
    if short.is_empty() {
        return None;
    }
    let each: Vec<_> = short
        .iter()
        .map(|(node, wish)| {
            let why = match wish.later {
                false => "so that a boot does not lose them".to_owned(),
                true => reason_to_wait(cx, **node, size),
            };
            format!("{} on node {node}, {why}", wish.total)
        })
        .collect();
    let because = format!("{size} pages: {}", each.join("; "));
    match way {
        Way::Argument(known, name) => {
            let mut all: BTreeMap<NodeId, u64> = BTreeMap::new();
            for node in &cx.facts.topology.nodes {
                let wish = wishes.get(&node.id).map_or(0, |wish| wish.total);
                all.insert(node.id, given(node.id).max(wish));
            }
            all.retain(|_, pages| *pages > 0);
            let text: Vec<_> =
                all.iter().map(|(node, n)| format!("{node}:{n}")).collect();
            let target = known.target(name);
            let edit = Edit::set(target, text.join(","), because);
            Some(edit.at(Stage::HostBoot))
        }
        Way::File(own) => {
            let mut all = own.clone();
            for (node, wish) in wishes {
                let pages = all.entry(place(*node, size)?).or_default();
                *pages = wish.total.max(*pages);
            }
            let mut text = HEAD.to_owned();
            for (path, pages) in all {
                text += &format!("w! {path} - - - - {pages}\n");
            }
            let later = short.iter().any(|(_, wish)| wish.later);
            let stage = if later { Stage::HostBoot } else { Stage::Now };
            let target = Target::File(FILE.parse().ok()?);
            Some(Edit::set(target, text, because).at(stage))
        }
    }
}

fn reason_to_wait(
    cx: &HostContext<'_>,
    node: NodeId,
    size: PageSize,
) -> String {
    if cx.policy.memory.reserve == Reserve::Boot {
        return "at boot, as the policy says".to_owned();
    }
    let more = cx.reservations.get(&(node, size)).copied().unwrap_or(0);
    let outlook = cx.facts.outlook(node, size, more);
    match outlook.chance {
        Chance::Unknown => format!("at boot: {}", outlook.why),
        _ => format!("at boot, for now it is unlikely: {}", outlook.why),
    }
}

/// Returns how many pages a pool is given at boot by what is known to do so.
#[must_use]
pub fn boot_pages(facts: &Facts, node: NodeId, size: PageSize) -> u64 {
    let with_memory = facts.topology.nodes.iter();
    let with_memory =
        with_memory.filter(|node| node.memory.value().is_none_or(|m| m.0 > 0));
    let nodes = with_memory.count().max(1) as u64;
    let share = |text: &str| match text.parse::<u64>() {
        Ok(all) => all / nodes,
        Err(_) => of_node(text, node).unwrap_or(0),
    };
    let mut most = 0;
    if let Some(known) = facts.kernel.boot_arguments.value() {
        let pair = known.get(&format!("hugepagesz={size}"));
        let plain = known.get("hugepages");
        let plain = plain.filter(|_| size == default_size(facts));
        for argument in pair.into_iter().chain(plain) {
            most = most.max(share(&argument.value));
        }
    }
    if size == default_size(facts) {
        for claim in facts.services.claims_of("/proc/sys/vm/nr_hugepages") {
            most = most.max(share(&claim.value));
        }
    }
    let Some(path) = place(node, size) else { return most };
    for claim in facts.services.claims_of(path.as_str()) {
        most = most.max(claim.value.parse().unwrap_or(0));
    }
    if let Ok(Way::File(own)) = way(facts, size) {
        most = most.max(own.get(&path).copied().unwrap_or(0));
    }
    most
}

/// Returns the number of one node in `0:4,1:4`.
fn of_node(text: &str, node: NodeId) -> Option<u64> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once(':'));
    let mut own = pairs.filter(|(id, _)| id.parse() == Ok(node.0));
    own.next_back()?.1.parse().ok()
}

/// Returns the size that `hugepages=` and vm.nr_hugepages are about.
fn default_size(facts: &Facts) -> PageSize {
    let known = facts.kernel.boot_arguments.value();
    let said = known.and_then(|known| known.get("default_hugepagesz"));
    let size = said.and_then(|size| size.value.to_uppercase().parse().ok());
    size.unwrap_or(PageSize::TWO_MIB)
}

/// Says where a VM relies on a pool that nothing is known to fill at boot.
fn unkept(cx: &HostContext<'_>, pool: &HugepagePool) -> Option<String> {
    let known = way(cx.facts, pool.size).is_ok();
    let kept = boot_pages(cx.facts, pool.node, pool.size) >= pool.total;
    (known && !kept).then(|| {
        format!(
            "the {} {} pages of node {} are there now, and nothing that was \
             read fills that pool at boot: see that something does, or name \
             the size ([memory] pages = \"{}\")",
            pool.total, pool.size, pool.node, pool.size
        )
    })
}

/// Says which VMs do not start before the host has booted.
fn waiting(
    cx: &HostContext<'_>,
    size: PageSize,
    wishes: &BTreeMap<NodeId, Wish>,
) -> Option<String> {
    let later = |node| wishes.get(&node).is_some_and(|wish| wish.later);
    let waits = |vm: &&HostedVm<'_>| {
        let mut cells = vm.placement.cells.iter();
        vm.placement.pages == Some(size) && cells.any(|c| later(c.memory_node))
    };
    let waiting = cx.vms.iter().filter(waits);
    let names: Vec<_> = waiting.map(|vm| vm.domain.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} cannot start with its new definition before the host has \
             booted: its {size} pages are reserved then",
            names.join(", ")
        )
    })
}

/// Says where another file sets the pools of all nodes to less.
fn rivals(
    cx: &HostContext<'_>,
    size: PageSize,
    wishes: &BTreeMap<NodeId, Wish>,
) -> Vec<String> {
    if size != default_size(cx.facts) {
        return Vec::new();
    }
    let wanted: u64 = wishes.values().map(|wish| wish.total).sum();
    let less = |value: &str| value.parse::<u64>().is_ok_and(|n| n < wanted);
    let all = cx.facts.services.claims_of("/proc/sys/vm/nr_hugepages");
    let smaller = all.filter(|claim| less(&claim.value)).map(|claim| {
        format!(
            "{} sets vm.nr_hugepages = {} for all nodes together and may take \
             pages away again: remove that line",
            claim.file, claim.value
        )
    });
    smaller.collect()
}

#[cfg(test)]
mod tests;
