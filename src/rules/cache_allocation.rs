//! Gives a VM ways of the last-level cache that other work cannot fill.
//!
//! Some CPUs can divide their last cache by ways (Intel's CAT, AMD's QoS
//! extensions). A VM with ways of its own keeps its data there however much
//! others read and write. It has no other ways, so that a VM that would have
//! had most of the cache gets slower. libvirt gives out only what the common
//! group leaves, and at first that group has all of it: leaving some is for
//! a person to decide.

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::base::{Bytes, VcpuId, VcpuSet, XmlPath};
use crate::model::facts::{CacheControl, DividedCache, Topology};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "cache-allocation",
    group: Group::GuestCpu,
    why: "What others do in a shared cache changes a VM's speed from moment \
          to moment, unless ways of it are the VM's own.",
    hurts: "The VM has no ways but its own, and others have fewer; each VM \
            takes one of few groups, and libvirt refuses to start one that \
            finds no way left.",
    folklore: "Guides name cache allocation and leave it at that. It takes \
               resctrl to be mounted, and ways that the common group gives \
               up first; it divides the last-level cache and nothing above \
               it, and memory bandwidth is another setting.",
    sources: &[
        "libvirt formatdomain: CPU Tuning (cachetune)",
        "libvirt src/util/virresctrl.c, virResctrlAllocGetUnused",
        "Linux Documentation/filesystems/resctrl.rst",
    ],
    level: Level::Off,
    owns: &["/domain/cputune/cachetune"],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let Some(control) = cx.facts.cache_control.value() else {
        return Verdict::NotApplicable(
            "resctrl is not mounted, or the CPU cannot divide its cache",
        );
    };
    if !cx.placement.exclusive {
        return Verdict::NotApplicable("its CPUs are not its own");
    }
    let all: VcpuSet = (0..cx.domain.vcpus).map(VcpuId).collect();
    let tune = &cx.domain.cputune;
    let own = tune.cachetune.as_slice();
    let is_ours = matches!(own, [one] if one.vcpus == all);
    if tune.has_cachetune && !is_ours {
        return Verdict::Satisfied("its own <cachetune> stays".into());
    }
    let cpus = cx.placement.cpus();
    let used = |cache: &&DividedCache| cache.cpus.intersects(&cpus);
    let caches: Vec<_> = control.caches.iter().filter(used).collect();
    if let Some(said) = refusal(cx, control, &caches) {
        return Verdict::Advise(vec![said]);
    }
    let tune = || at("cputune/cachetune");
    let because = "work on other CPUs of this cache cannot push out what the \
                   VM has in its own ways";
    let vcpus = Edit::set(tune().attribute("vcpus"), all.to_string(), because);
    let mut edits = vec![vcpus];
    let part = |id: u32| tune().child("cache").with("id", id);
    for cache in &caches {
        edits.extend(ways(cx, cache, &part(cache.id)));
    }
    let stale = own.iter().flat_map(|one| &one.caches);
    let stale = stale.filter(|id| caches.iter().all(|c| c.id != **id));
    edits.extend(stale.map(|id| {
        Edit::remove(part(*id), "none of the VM's CPUs is at this cache")
    }));
    Verdict::of(edits, Vec::new(), "")
}

/// Returns how many ways a VM gets: of those that are left, as great a part
/// as it has of the cache's cores.
fn share(host: &Topology, cx: &Context<'_>, cache: &DividedCache) -> u32 {
    let count = |of: &dyn Fn(&crate::base::CpuSet) -> bool| {
        let cores = host.cores.iter().map(|core| &core.cpus);
        let here = cores.filter(|cpus| cpus.intersects(&cache.cpus));
        u32::try_from(here.filter(|cpus| of(cpus)).count()).unwrap_or(0)
    };
    let own = cx.placement.cpus();
    let mine = count(&|cpus| cpus.intersects(&own));
    cache.left() * mine / count(&|_| true).max(1)
}

fn ways(cx: &Context<'_>, cache: &DividedCache, part: &XmlPath) -> Vec<Edit> {
    let ways = share(&cx.facts.topology, cx, cache);
    let size = Bytes(cache.way().0 * u64::from(ways));
    let because = format!(
        "{ways} of the {} ways that are left of the cache of CPUs {}, by its \
         part of the cores",
        cache.left(),
        cache.cpus
    );
    let set = |name: &str, value: String| {
        Edit::set(part.clone().attribute(name), value, &because)
    };
    vec![
        set("level", "3".into()),
        set("type", "both".into()),
        set("size", size.kib().to_string()),
        set("unit", "KiB".into()),
    ]
}

/// Says why a VM cannot have ways, and what would do.
fn refusal(
    cx: &Context<'_>,
    control: &CacheControl,
    caches: &[&DividedCache],
) -> Option<String> {
    let host = &cx.facts.topology;
    let least = control.fewest_ways.max(1);
    let poor = caches.iter().find(|cache| share(host, cx, cache) < least)?;
    let all = poor.ways.count_ones();
    let leaves = poor.left();
    let half = poor.ways & (poor.ways >> (all / 2));
    Some(format!(
        "cache {} leaves {leaves} of {all} ways for VMs, too few for a part \
         of {least} each: give the common group fewer first, as by `echo \
         'L3:{}={half:x}' > /sys/fs/resctrl/schemata` after each boot",
        poor.id, poor.id
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::model::domain::Cachetune;
    use crate::rules::fixture::Case;

    /// Two caches of 32 MiB and 16 ways, of which `common` is everybody's.
    fn case(common: u64) -> Case {
        let mut case = Case::intel(&[1, 2, 3, 4], 1);
        let caches = (0..).zip(&case.facts.topology.l3);
        let caches = caches.map(|(id, cache)| DividedCache {
            id,
            cpus: cache.cpus.clone(),
            size: cache.size,
            ways: 0xffff,
            common,
        });
        let caches = caches.collect();
        let control = CacheControl { groups: 16, fewest_ways: 1, caches };
        case.facts.cache_control = Fact::known(control, "/sys/fs/resctrl");
        case
    }

    const CACHE: &str = "/domain/cputune/cachetune/cache[@id='0']";

    #[test]
    fn a_vm_has_its_part_of_what_is_left() {
        // Four of eight cores, and so four of eight ways of 2 MiB.
        let edits = [
            "/domain/cputune/cachetune/@vcpus = 0-3".to_owned(),
            format!("{CACHE}/@level = 3"),
            format!("{CACHE}/@type = both"),
            format!("{CACHE}/@size = 8192"),
            format!("{CACHE}/@unit = KiB"),
        ];
        assert_eq!(case(0xff).changes(&RULE), edits);
    }

    #[test]
    fn what_is_not_left_is_not_taken() {
        let case = case(0xffff);
        let said = case.said(&RULE);
        assert!(said.contains("leaves 0 of 16 ways"), "{said}");
        assert!(said.contains("'L3:0=ff'"), "{said}");
    }

    #[test]
    fn a_tune_that_is_there_is_kept_or_follows_the_cpus() {
        let mut case = case(0xff);
        let tune = |vcpus: &str, id: u32| Cachetune {
            vcpus: vcpus.parse().unwrap(),
            caches: vec![id],
        };
        case.domain.cputune.has_cachetune = true;
        case.domain.cputune.cachetune = vec![tune("0-1", 0)];
        assert!(case.satisfied(&RULE), "a person's");
        case.domain.cputune.cachetune = vec![tune("0-3", 1)];
        let last = case.changes(&RULE).pop().unwrap();
        let gone = "/domain/cputune/cachetune/cache[@id='1'] removed";
        assert_eq!(last, gone);
    }

    #[test]
    fn without_the_kernels_means_there_is_nothing_to_say() {
        let mut case = case(0xff);
        case.placement.exclusive = false;
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        case.facts.cache_control = Fact::unknown("not mounted");
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
    }
}
