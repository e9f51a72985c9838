//! A plan for people.

use super::changes::{changes, grouped, stage};
use super::cores::{draw, mark, rows};
use super::count;
use super::host::{Holder, Holders, legend};
use super::page::{BOLD, FAINT, GOOD, KEY, PLAIN, Page, Span, WARN};
use super::vm::vm;
use crate::base::CpuSet;
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::{Advice, Change, Missing, Plan, Stage, VmPlacement};

/// Caches of one node that are drawn, unless all are asked for: the map
/// shall leave room for the plan.
const MAP_ROWS: usize = 8;
/// Advice of one rule, unless all is asked for.
const ADVICE: usize = 3;

/// A plan and what is known around it.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The host; `None` for a plan file that is read alone.
    pub facts: Option<&'a Facts>,
    /// The VMs as they are.
    pub domains: &'a [&'a Domain],
    /// The policy's file, where it is known and none of the presets.
    pub policy: Option<&'a str>,
    /// CPUs that VMs hold which are not planned.
    pub others: CpuSet,
    /// Whether each of many like things is shown.
    pub verbose: bool,
}

/// Writes a plan.
pub fn plan(page: &mut Page, shown: &Shown<'_>) {
    let plan = shown.plan;
    page.row(0, "host", &[(PLAIN, plan.host.clone())]);
    page.row(0, "VMs from", &[(PLAIN, plan.connection.clone())]);
    let policy = match shown.policy {
        Some(file) => format!("{file}, from {}", plan.preset),
        None => plan.preset.clone(),
    };
    page.row(0, "policy", &[(PLAIN, policy)]);
    if !plan.housekeeping.is_empty() {
        let kept = format!("CPUs {}", plan.housekeeping);
        page.row(0, "host keeps", &[(PLAIN, kept)]);
    }
    if let Some(facts) = shown.facts {
        map(page, shown, facts);
    }
    for (n, one) in plan.vms.iter().enumerate() {
        let name = one.name.as_str();
        let domain = shown.domains.iter().find(|d| d.name == one.name).copied();
        page.gap();
        if plan.vms.len() > 1 && one.placement.is_some() {
            let (style, mark) = mark(Holder::Vm(n));
            page.start(&(style, format!("{mark} ")));
        }
        vm(page, plan, one, shown.facts, domain, shown.verbose);
        about(page, plan, Some(name), shown.verbose);
    }
    let host = of(&plan.changes, None, |c| c.vm.as_deref()).is_empty()
        && of(&plan.advice, None, |a| a.vm.as_deref()).is_empty()
        && of(&plan.unknown, None, |m| m.vm.as_deref()).is_empty();
    if !host {
        page.gap();
        page.line(&[(BOLD, "the host".to_owned())]);
        about(page, plan, None, shown.verbose);
    }
    page.gap();
    page.flow("", "", &[summary(plan)]);
}

/// Draws the caches that the VMs take CPUs of, with all that is there.
fn map(page: &mut Page, shown: &Shown<'_>, facts: &Facts) {
    let held = Holders {
        housekeeping: shown.plan.housekeeping.clone(),
        vms: shown
            .plan
            .vms
            .iter()
            .map(|vm| {
                let place = vm.placement.as_ref();
                let cpus = place.map(VmPlacement::cpus).unwrap_or_default();
                (vm.name.to_string(), cpus)
            })
            .collect(),
        others: shown.others.clone(),
        unknown: None,
    };
    let taken = held.vms.iter().fold(CpuSet::new(), |all, vm| all.union(&vm.1));
    let mut drawn = CpuSet::new();
    for node in &facts.topology.nodes {
        let mut rows = rows(&facts.topology, &node.cpus);
        rows.retain(|row| row.cpus.intersects(&taken));
        if rows.is_empty() {
            continue;
        }
        page.gap();
        page.line(&[(BOLD, format!("  node {}", node.id))]);
        let left = rows.len().saturating_sub(MAP_ROWS);
        if !shown.verbose {
            rows.truncate(MAP_ROWS);
        }
        draw(page, &facts.topology, &rows, &held, false);
        drawn = rows.iter().fold(drawn, |all, row| all.union(&row.cpus));
        if left > 0 && !shown.verbose {
            let more = format!("    … and {left} more (-v)");
            page.line(&[(FAINT, more)]);
        }
    }
    if !drawn.is_empty() {
        legend(page, &facts.topology, &held, &drawn);
    }
}

/// Picks what is about one VM, or about the host.
fn of<'a, T>(
    all: &'a [T],
    vm: Option<&str>,
    whose: impl Fn(&T) -> Option<&str>,
) -> Vec<&'a T> {
    all.iter().filter(|one| whose(one) == vm).collect()
}

/// Writes changes, advice and unknowns of one VM, or of the host.
fn about(page: &mut Page, plan: &Plan, vm: Option<&str>, verbose: bool) {
    changes(page, &of(&plan.changes, vm, |c| c.vm.as_deref()), verbose);
    self::advice(page, &of(&plan.advice, vm, |a| a.vm.as_deref()), verbose);
    let unknown = of(&plan.unknown, vm, |m: &Missing| m.vm.as_deref());
    if !unknown.is_empty() {
        page.gap();
        page.line(&[(BOLD, "  not known".to_owned())]);
    }
    for group in grouped(&unknown, |m| (m.fact.clone(), m.why.clone())) {
        let rules: Vec<_> = group.iter().map(|m| m.rule.as_str()).collect();
        let spans: [Span; 3] = [
            (WARN, group[0].fact.clone()),
            (PLAIN, format!("({}):", group[0].why)),
            (FAINT, format!("{} not judged", rules.join(", "))),
        ];
        page.flow("    ", "      ", &spans);
    }
}

/// Writes advice, rule by rule.
fn advice(page: &mut Page, all: &[&Advice], verbose: bool) {
    if all.is_empty() {
        return;
    }
    page.gap();
    page.line(&[(BOLD, "  to do yourself".to_owned())]);
    let widest = all.iter().map(|one| one.rule.len()).max().unwrap_or(0);
    let rest = " ".repeat(widest + 6);
    for group in grouped(all, |advice| advice.rule.clone()) {
        let shown = if verbose { group.len() } else { ADVICE };
        for (n, one) in group.iter().take(shown).enumerate() {
            let rule = if n == 0 { one.rule.as_str() } else { "" };
            let first = format!("    {FAINT}{rule:widest$}{FAINT:#}  ");
            page.flow(&first, &rest, &[(PLAIN, one.text.clone())]);
        }
        if group.len() > shown {
            let more = group.len() - shown;
            page.flow(
                &rest,
                &rest,
                &[(FAINT, format!("and {more} more (-v)"))],
            );
        }
    }
}

/// Says how much changes, and when.
fn summary(plan: &Plan) -> Span {
    let all = plan.changes.len();
    if all == 0 {
        return (GOOD, "Nothing to change.".to_owned());
    }
    let times = [Stage::Now, Stage::VmStart, Stage::HostBoot]
        .into_iter()
        .map(|when| {
            let is = |change: &&Change| change.stage == when;
            (plan.changes.iter().filter(is).count(), stage(when))
        })
        .filter(|(n, _)| *n > 0)
        .collect::<Vec<_>>();
    let text = match &times[..] {
        [(_, when)] => format!("{}, in effect {when}.", count(all, "change")),
        several => {
            let parts = several.iter().map(|(n, when)| format!("{n} {when}"));
            let parts = parts.collect::<Vec<_>>().join(", ");
            format!("{}: {parts}.", count(all, "change"))
        }
    };
    (BOLD, text)
}

/// Writes what to do next.
pub fn next(page: &mut Page, commands: &[(&str, &str)]) {
    let widest = commands.iter().map(|(command, _)| command.len()).max();
    let widest = widest.unwrap_or(0);
    for (command, what) in commands {
        page.line(&[
            (PLAIN, "  ".to_owned()),
            (KEY, format!("{command:<widest$}  ")),
            (FAINT, (*what).to_owned()),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, change};
    use super::*;

    fn show(plan_: &Plan, facts: &Facts, verbose: bool) -> String {
        let mut page = Page::new(80);
        let shown = Shown {
            plan: plan_,
            facts: Some(facts),
            policy: None,
            domains: &[],
            others: CpuSet::new(),
            verbose,
        };
        plan(&mut page, &shown);
        sample::plain(&page.into_text())
    }

    fn pins(cpus: &[u32]) -> Vec<Change> {
        let pin = |(n, cpu): (usize, &u32)| {
            change(
                "vcpu-pin",
                &format!("/domain/cputune/vcpupin[@vcpu='{n}']/@cpuset"),
                None,
                Some(&cpu.to_string()),
                "each vCPU has one CPU of node 1",
            )
        };
        cpus.iter().enumerate().map(pin).collect()
    }

    #[test]
    fn a_plan_says_what_why_and_when() {
        let cpus = [9, 25, 10, 26, 11, 27, 12, 28];
        let mut changes = pins(&cpus);
        let mut lock = change(
            "memory-locking",
            "/domain/memoryBacking/locked",
            None,
            Some(""),
            "VFIO needs the guest's memory in place",
        );
        lock.trade = Some("the host cannot swap 16 GiB".into());
        let topology = |attribute, from, to| {
            change(
                "vcpu-topology",
                &format!("/domain/cpu/topology/@{attribute}"),
                Some(from),
                Some(to),
                "4 host cores carry the 8 vCPUs",
            )
        };
        let quota = change(
            "vcpu-quota",
            "/domain/cputune/quota",
            Some("50000"),
            None,
            "a quota takes away CPUs that nobody else may use",
        );
        changes.extend([
            topology("cores", "8", "4"),
            topology("threads", "1", "2"),
            lock,
            quota,
        ]);
        let mut plan = sample::plan(&cpus, 1, changes);
        plan.vms[0].bound.0[2] = 0;
        plan.advice.push(Advice {
            rule: "hugepages".into(),
            vm: Some("vm1".into()),
            text: "reserve 16 1G pages on node 1 at boot".into(),
        });
        for rule in ["cpu-model", "nested-virt"] {
            plan.unknown.push(Missing {
                rule: rule.into(),
                vm: Some("vm1".into()),
                fact: "CPU flags".into(),
                why: "a sample has none".into(),
            });
        }
        let facts = sample::host(2, 4, 2);
        insta::assert_snapshot!(show(&plan, &facts, false), @r"
        host       sample
        VMs from   qemu:///system
        policy     balanced
        host keeps CPUs 0,8,16,24

          node 1
            8-11,24-27  [hh aa aa aa]
            12-15,28-31 [aa ·· ·· ··]

          h host   · free   a vm1

        vm1  8 vCPUs, 16 GiB
          place      node 1, 2 L3s
          CPUs       9-12,25-28, on 4 cores
          cores      9+25 10+26 11+27 12+28
          memory     16 × 1G pages on node 1
          emulator   8,24 (housekeeping); 1 I/O thread on 8,24
          objective  not proved optimal: L3 domains beyond the minimum: 1, at best 0

          vcpu-pin                                                    when the VM starts
            + cputune/vcpupin cpuset, 8 of them
              0: 9   1: 25  2: 10  3: 26  4: 11  5: 27  6: 12  7: 28
            because    each vCPU has one CPU of node 1

          vcpu-topology                                               when the VM starts
            ~ cpu/topology cores 8 → 4, threads 1 → 2
            because    4 host cores carry the 8 vCPUs

          memory-locking                                              when the VM starts
            + memoryBacking/locked
            because    VFIO needs the guest's memory in place
            trades     the host cannot swap 16 GiB

          vcpu-quota                                                  when the VM starts
            - cputune/quota 50000
            because    a quota takes away CPUs that nobody else may use

          to do yourself
            hugepages  reserve 16 1G pages on node 1 at boot

          not known
            CPU flags (a sample has none): cpu-model, nested-virt not judged

        12 changes, in effect when the VM starts.
        ");
    }

    #[test]
    fn many_pins_are_folded() {
        let cpus: Vec<u32> =
            (65..128).flat_map(|cpu| [cpu, cpu + 128]).collect();
        let plan = sample::plan(&cpus, 1, pins(&cpus));
        let facts = sample::host(8, 8, 2);
        insta::assert_snapshot!(show(&plan, &facts, false), @r"
        host       sample
        VMs from   qemu:///system
        policy     balanced
        host keeps CPUs 0,8,16,24

          node 1
            64-71,192-199   [·· aa aa aa aa aa aa aa]
            72-79,200-207   [aa aa aa aa aa aa aa aa]
            80-87,208-215   [aa aa aa aa aa aa aa aa]
            88-95,216-223   [aa aa aa aa aa aa aa aa]
            96-103,224-231  [aa aa aa aa aa aa aa aa]
            104-111,232-239 [aa aa aa aa aa aa aa aa]
            112-119,240-247 [aa aa aa aa aa aa aa aa]
            120-127,248-255 [aa aa aa aa aa aa aa aa]

          · free   a vm1

        vm1  126 vCPUs, 16 GiB
          place      node 1, 8 L3s
          CPUs       65-127,193-255, on 63 cores
          memory     16 × 1G pages on node 1
          emulator   8,24 (housekeeping); 1 I/O thread on 8,24
          objective  optimal: no placement is better

          vcpu-pin                                                    when the VM starts
            + cputune/vcpupin cpuset, 126 of them
              0: 65     1: 193    2: 66     3: 194    4: 67     5: 195    6: 68
              7: 196    8: 69     9: 197    10: 70    11: 198   12: 71    13: 199
              14: 72    15: 200   16: 73    17: 201   18: 74    19: 202   20: 75
              21: 203   22: 76    23: 204   24: 77    25: 205   26: 78    27: 206
              … and 98 more (-v)
            because    each vCPU has one CPU of node 1

        126 changes, in effect when the VM starts.
        ");
    }

    #[test]
    fn one_value_for_many_is_said_once() {
        let unit = |cell: u32| {
            change(
                "numa-cells",
                &format!("/domain/cpu/numa/cell[@id='{cell}']/@unit"),
                None,
                Some("KiB"),
                "libvirt counts so",
            )
        };
        let plan = sample::plan(&[9, 25], 1, (0..4).map(unit).collect());
        let text = show(&plan, &sample::host(2, 4, 2), false);
        assert!(
            text.contains(
                "\n    + cpu/numa/cell unit, 4 of them, each KiB\n    be"
            ),
            "{text}"
        );
    }

    #[test]
    fn nothing_to_do_is_said() {
        let plan = sample::plan(&[9, 25], 1, Vec::new());
        let text = show(&plan, &sample::host(2, 4, 2), false);
        assert!(text.ends_with("\n\nNothing to change.\n"), "{text}");
    }
}
