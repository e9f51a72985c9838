//! What has to be true of a plan that was applied, of the VM that runs by it,
//! and of the host that it was taken back from.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::look::Running;
use super::snapshot::Snapshot;
use super::{ENTRY, LAST, ROUNDS, Round};
use crate::judge::{Judge, Results};

/// The CPUs that the VM has not.
const HOUSE: &str = "0-1";
const ALL: &str = "0-3";
/// The node of the VM's CPUs.
const NODE: &str = "1";

pub(super) fn all(results: &Results, judge: &mut Judge) -> Result<()> {
    let last = results.text(LAST)?;
    judge.same("all plans were tried", &last.as_str(), &ENTRY.name);
    for round in ROUNDS {
        applied(results, round, judge)?;
        runs(results, round, judge)?;
        status(results, round, judge)?;
        if round.boot > 0 {
            booted(results, round, judge)?;
        }
        back(results, round, judge)?;
        if round.name == last && round.name != ENTRY.name {
            return Ok(());
        }
    }
    judge_end(results, judge)
}

/// The changes of a plan to the host: targets, and what they shall be.
struct Changes {
    rules: BTreeSet<String>,
    values: BTreeMap<String, String>,
    files: BTreeSet<String>,
    arguments: BTreeMap<String, String>,
}

impl Changes {
    fn of(results: &Results, round: &Round) -> Result<Self> {
        let plan: Value = results.json(&format!("{}-plan.json", round.name))?;
        let mut found = Self {
            rules: BTreeSet::new(),
            values: BTreeMap::new(),
            files: BTreeSet::new(),
            arguments: BTreeMap::new(),
        };
        let changes = plan["changes"].as_array().context("no changes")?;
        for change in changes.iter().filter(|one| one["vm"].is_null()) {
            let text = |key: &str| change[key].as_str().map(str::to_owned);
            let target = text("target").context("a change of nothing")?;
            let to = text("to").unwrap_or_default();
            found.rules.extend(text("rule"));
            if let Some((_, name)) = target.split_once('#') {
                found.arguments.insert(name.to_owned(), to);
            } else if target.starts_with("/etc/") {
                found.files.insert(target);
            } else {
                found.values.insert(target, to);
            }
        }
        Ok(found)
    }

    /// Returns these values as a snapshot has them: of a list of choices the
    /// one that is chosen.
    fn found(&self, snapshot: &Snapshot) -> BTreeMap<String, String> {
        let value = |path: &String| {
            let text = snapshot.value(path);
            let chosen = text.split_once('[').and_then(|(_, rest)| {
                rest.split_once(']').map(|(chosen, _)| chosen)
            });
            (path.clone(), chosen.unwrap_or(text).to_owned())
        };
        self.values.keys().map(value).collect()
    }
}

fn applied(results: &Results, round: &Round, judge: &mut Judge) -> Result<()> {
    let by = round.by;
    let changes = Changes::of(results, round)?;
    let snapshot =
        |what: &str| Snapshot::of(results, &format!("{}-{what}", round.name));
    let after = snapshot("applied")?;
    judge.each(
        &format!("{by}, applied: each value of the kernel is as planned"),
        &changes.found(&after),
        &changes.values,
    );
    let there = |path: &&String| after.files.contains_key(*path);
    judge.same(
        format!("{by}, applied: each file is there that was planned"),
        &changes.files.iter().filter(there).collect::<Vec<_>>(),
        &changes.files.iter().collect(),
    );
    let expected: BTreeSet<_> =
        round.rules.iter().map(|rule| (*rule).to_owned()).collect();
    judge.same(
        format!("{by}, the plan changes the host by these rules"),
        &changes.rules,
        &expected,
    );
    Ok(())
}

/// Judges where the VM's threads and pages are, and the host's.
fn runs(results: &Results, round: &Round, judge: &mut Judge) -> Result<()> {
    let by = round.by;
    let running = Running::of(results, round)?;
    let expected = [("CPU 0", "2"), ("CPU 1", "3")];
    let expected = expected.map(|(name, cpu)| (name, cpu.to_owned()));
    judge.each(
        &format!("{by}, each vCPU thread may run on its own CPU alone"),
        &running.vcpus(),
        &expected.into(),
    );
    let house = BTreeSet::from([HOUSE.to_owned()]);
    let others = running.others();
    judge.each(
        &format!(
            "{by}, the emulator's threads and the I/O thread may run on \
             housekeeping CPUs alone"
        ),
        &others,
        &others.keys().map(|name| (*name, &house)).collect(),
    );
    let all = ["0,1", "2", "3"].map(str::to_owned);
    judge.same(
        format!("{by}, taskset says the same of the VM's threads"),
        &running.taskset,
        &all.into(),
    );
    let host = &running.host;
    judge.each(
        &format!("{by}, no process of the host may run on the VM's CPUs"),
        host,
        &host.keys().map(|id| (id.clone(), HOUSE.to_owned())).collect(),
    );
    let (size, count) = round.pages;
    judge.same(
        format!(
            "{by}, the VM's memory is on its node, in pages of {size} KiB \
             ({count})"
        ),
        &running.pages(size),
        &[(NODE.to_owned(), count)].into(),
    );
    Ok(())
}

/// Judges what vmtune says while the VM is off, and while it runs.
fn status(results: &Results, round: &Round, judge: &mut Judge) -> Result<()> {
    for (when, what) in [("waits", "is off"), ("runs", "runs")] {
        let name = format!("{}-{when}", round.name);
        let code = results.text(&format!("{name}.code"))?;
        let said: Value = results.json(&format!("{name}.status"))?;
        let said = &said["findings"];
        let said = said.as_array().context("status has no findings")?;
        let found: Vec<_> = said
            .iter()
            .filter(|one| one["state"] == "drifted")
            .map(ToString::to_string)
            .collect();
        judge.holds(
            format!(
                "{}, status finds nothing while the VM {what} ({})",
                round.by,
                said.len()
            ),
            code == "0" && found.is_empty() && !said.is_empty(),
            || format!("it ends with {code}: {}", found.join("\n    ")),
        );
    }
    Ok(())
}

/// Judges the host that was started with the plan.
fn booted(results: &Results, round: &Round, judge: &mut Judge) -> Result<()> {
    let by = round.by;
    let changes = Changes::of(results, round)?;
    let now = Snapshot::of(results, &format!("{}-runs", round.name))?;
    let next = results.text(&format!("next.{}", round.boot - 1))?;
    let words: Vec<_> = now.arguments.split(' ').collect();
    let given = |(name, value): (&String, &String)| match name.split_once('=') {
        Some(_) => words.windows(2).any(|pair| {
            pair[0] == name && pair[1] == format!("hugepages={value}")
        }),
        None => words.contains(&format!("{name}={value}").as_str()),
    };
    let found: BTreeMap<_, _> =
        changes.arguments.iter().filter(|one| given(*one)).collect();
    judge.holds(
        format!(
            "{by}, the kernel was started with the plan's arguments, as the \
             boot loader's own files have them ({})",
            changes.arguments.len()
        ),
        now.arguments.ends_with(&next)
            && found.len() == changes.arguments.len()
            && !found.is_empty(),
        || {
            format!(
                "{}\n    {next}\n    {:?}",
                now.arguments, changes.arguments
            )
        },
    );
    judge.each(
        &format!("{by}, booted: each value of the kernel is as planned"),
        &changes.found(&now),
        &changes.values,
    );
    for (name, what) in
        [("isolated", "isolates"), ("nohz_full", "need not tick")]
    {
        let path = format!("/sys/devices/system/cpu/{name}");
        // How the kernel writes an empty list depends on its version.
        let list = now.value(&path).trim_matches(['(', ')']);
        judge.same(
            format!("{by}, booted: the kernel {what} on {:?}", round.isolated),
            &list.replace("null", "").as_str(),
            &round.isolated,
        );
    }
    let (size, count) = round.pages;
    let pool = format!(
        "/sys/devices/system/node/node{NODE}/hugepages/\
         hugepages-{size}kB/nr_hugepages"
    );
    judge.same(
        format!("{by}, booted: the pool of the VM's node has its pages"),
        &now.value(&pool),
        &count.to_string().as_str(),
    );
    Ok(())
}

/// Judges what a rollback has left.
fn back(results: &Results, round: &Round, judge: &mut Judge) -> Result<()> {
    let by = round.by;
    let start = if round.boot == ENTRY.boot { "entries" } else { "grub" };
    let start = Snapshot::of(results, start)?;
    let back = Snapshot::of(results, &format!("{}-back", round.name))?;
    judge.each(
        &format!("{by}, rolled back: each file is as before, byte for byte"),
        &back.files,
        &start.files,
    );
    judge.same(
        format!("{by}, rolled back: the definition is as before"),
        &back.definition,
        &start.definition,
    );
    // What the kernel took from its arguments stays until the next start.
    let until_boot = |path: &str| {
        round.boot > 0
            && ["/cpu/", "/smp_affinity_list", "-1048576kB/"]
                .iter()
                .any(|part| path.contains(part))
    };
    let values = |of: &Snapshot| -> BTreeMap<String, String> {
        let all = comparable(of).into_iter();
        all.filter(|(path, _)| !until_boot(path)).collect()
    };
    judge.each(
        &format!("{by}, rolled back: each value of the kernel is as before"),
        &values(&back),
        &values(&start),
    );
    Ok(())
}

/// Returns the values that can be compared. A group without a cpuset, one
/// whose cpuset names no CPUs and one whose cpuset names all are the same.
fn comparable(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut values = snapshot.values.clone();
    values.retain(|path, value| {
        let is_free = path.ends_with("/cpuset.cpus.effective") && value == ALL;
        !is_free && !path.ends_with("/cpuset.cpus")
    });
    values
}

/// Judges the host that was started once more, without the plan.
fn judge_end(results: &Results, judge: &mut Judge) -> Result<()> {
    let first = Snapshot::of(results, "grub")?;
    let again = Snapshot::of(results, "grub-again")?;
    let plain = results.text("plain")?;
    judge.same(
        "booted without the plan: the kernel was started with what the boot \
         loader's own files said at first",
        &again.arguments,
        &format!("{} {plain}", first.arguments),
    );
    judge.each(
        "booted without the plan: each value of the kernel is as at first",
        &comparable(&again),
        &comparable(&first),
    );
    judge.each(
        "booted without the plan: each file is as at first, byte for byte",
        &again.files,
        &first.files,
    );
    Ok(())
}
