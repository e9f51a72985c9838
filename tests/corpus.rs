//! Real definitions on varied hosts, where there is a folder of them: nothing
//! panics, nothing is lost, and a second plan changes nothing.

#![allow(clippy::disallowed_methods, reason = "tests read and write files")]

mod support;
#[path = "support/xml.rs"]
#[allow(dead_code, unreachable_pub, reason = "another crate uses the rest")]
mod xml;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use support::cpu_settings::settled;
use support::vms::planned;
use vmtune::definition;
use vmtune::host::{Source, collect};
use vmtune::model::Target;
use vmtune::model::facts::Facts;
use vmtune::model::policy::Policy;
use vmtune::planner::{PlanError, Planned};
use vmtune::policy::preset;

/// Hosts that differ in what decides: where each is, below the corpus, below
/// the package, or made up by hwloc.
const HOSTS: [(&str, &str); 7] = [
    ("example", "examples/host.json"),
    ("hybrid", "tests/hosts/hybrid.json"),
    ("desktop", "tests/hosts/desktop-1s.json"),
    ("cxl", "tests/hosts/cxl.json"),
    ("nps4", "synthetic:pack:2 numa:4 l3:2 core:8 pu:2"),
    ("cascade", "topologies/hwloc3-Intel-CascadeLake-2xXeon6230.xml"),
    ("knl", "topologies/hwloc3-Intel-KnightsLanding-XeonPhi-7210.xml"),
];

const QEMU: &str = "{http://libvirt.org/schemas/domain/qemu/1.0}";

/// Returns the corpus' folder, or says that there is none.
fn corpus(test: &str) -> Option<PathBuf> {
    let corpus = std::env::var_os("VMTUNE_CORPUS").map(PathBuf::from);
    if corpus.is_none() {
        eprintln!("{test}: skipped, VMTUNE_CORPUS names no folder");
    }
    corpus
}

/// Returns all files below a folder whose names end so, sorted.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn host(corpus: &Path, place: &str) -> Facts {
    let source = if place.starts_with(Source::SYNTHETIC) {
        Source::of_argument(place)
    } else if place.starts_with("topologies/") {
        Source::detect(&corpus.join(place))
    } else {
        Source::detect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(place))
    };
    collect(&source.unwrap()).unwrap()
}

/// Returns what a plan may change in a definition, as the outside oracle
/// spells it.
fn targets(planned: &Planned) -> BTreeSet<String> {
    let pattern = |target: &Target| match target {
        Target::Definition(path) => Some(path.pattern().replace("qemu:", QEMU)),
        _ => None,
    };
    let changes = planned.plan.changes.iter();
    changes.filter_map(|change| pattern(&change.target)).collect()
}

/// Returns what a document says no more, outside of what may change.
fn lost(before: &str, after: &str, allowed: &BTreeSet<String>) -> Vec<String> {
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for line in xml::says(after) {
        *left.entry(line).or_default() += 1;
    }
    let covered = |line: &str| {
        allowed.iter().any(|pattern| {
            let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
            let pattern = pattern.strip_suffix("/text()").unwrap_or(pattern);
            let rest = line.strip_prefix(pattern);
            rest.is_some_and(|r| r.is_empty() || r.starts_with(['/', '=']))
        })
    };
    let mut gone = xml::says(before);
    gone.retain(|line| match left.get_mut(line) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => !covered(line),
    });
    gone
}

/// What one definition came to on one host.
enum Outcome {
    Planned { after: String, allowed: BTreeSet<String> },
    Refused(String),
}

/// Plans a definition twice and says what is wrong with that.
fn judge(
    facts: &Facts,
    policy: &Policy,
    text: &str,
) -> Result<Outcome, String> {
    let domain = definition::read(text).unwrap();
    let arch = domain.arch.as_deref().unwrap_or("x86_64");
    let first = match planned(facts, policy, &[text]) {
        Ok(first) => first,
        Err(PlanError::Refused(refusal)) => {
            return Ok(Outcome::Refused(refusal.shortage));
        }
        Err(other) => return Err(other.to_string()),
    };
    let after = first.definitions[&domain.name].clone();
    if !["x86_64", "i686"].contains(&arch) && after != text {
        return Err(format!("a guest of {arch} was changed"));
    }
    let mut changes = first.plan.changes.iter();
    if changes.all(|change| change.vm.is_none()) && after != text {
        return Err("no change is listed, and the text is another".into());
    }
    let allowed = targets(&first);
    let lost = lost(text, &after, &allowed);
    if !lost.is_empty() {
        return Err(format!("lost {lost:?}"));
    }
    if xml::comments(text).iter().any(|c| !after.contains(c.as_str())) {
        return Err("a comment is lost".into());
    }
    definition::read(&after).map_err(|e| format!("does not re-read: {e}"))?;
    let facts = &settled(facts, &first.plan.changes);
    let second = planned(facts, policy, &[&after])
        .map_err(|error| format!("planned again: {error}"))?;
    if let Some(change) = second.plan.changes.first() {
        return Err(format!(
            "planned again, {} sets {} from {:?} to {:?}: {}",
            change.rule, change.target, change.from, change.to, change.because
        ));
    }
    if second.definitions[&domain.name] != after {
        return Err("planned again, the text is another".into());
    }
    Ok(Outcome::Planned { after, allowed })
}

fn judged(
    facts: &Facts,
    policy: &Policy,
    text: &str,
) -> Result<Outcome, String> {
    catch_unwind(AssertUnwindSafe(|| judge(facts, policy, text)))
        .unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(format!("panic: {}", text.unwrap_or_default()))
        })
}

/// Definitions that are read, and how many are not, by reason.
fn definitions(
    corpus: &Path,
) -> (Vec<(String, String)>, BTreeMap<String, usize>) {
    let mut read = Vec::new();
    let mut unread = BTreeMap::new();
    for path in files(&corpus.join("domains"), ".xml") {
        let name = path.strip_prefix(corpus).unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        match definition::read(&text) {
            Ok(_) => read.push((name, text)),
            Err(error) => {
                let error = anyhow::Error::new(error);
                *unread.entry(format!("{name}: {error:#}")).or_default() += 1;
            }
        }
    }
    (read, unread)
}

#[test]
fn every_definition_survives_on_every_host() {
    let Some(corpus) = corpus("every_definition_survives") else { return };
    let (read, unread) = definitions(&corpus);
    let mut faults = Vec::new();
    let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
    let mut plans = 0;
    let folder = match std::env::var_os("VMTUNE_CORPUS_OUT") {
        Some(folder) => PathBuf::from(folder),
        None => tempfile::tempdir().unwrap().keep(),
    };
    let mut oracle = Oracle::new(&folder);
    for (host_name, place) in HOSTS {
        let facts = host(&corpus, place);
        for (name, text) in &read {
            match judged(&facts, &Policy::default(), text) {
                Ok(Outcome::Planned { after, allowed }) => {
                    plans += 1;
                    let file = format!("{host_name}/{name}");
                    oracle.add(&file, text, &after, allowed);
                }
                Ok(Outcome::Refused(why)) => {
                    let why = why.replace(|c: char| c.is_ascii_digit(), "#");
                    *refusals.entry(why).or_default() += 1;
                }
                Err(fault) => {
                    faults.push(format!("{host_name} {name}: {fault}"));
                }
            }
        }
    }
    println!("{} definitions, {plans} plans", read.len() + unread.len());
    for (why, count) in &unread {
        println!("not read: {count} {why}");
    }
    for (why, count) in &refusals {
        println!("refused: {count} {why}");
    }
    let losses = oracle.run(&corpus);
    if std::env::var_os("VMTUNE_CORPUS_OUT").is_none() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
    assert!(losses.is_empty(), "{}", losses.join("\n"));
}

#[test]
fn every_definition_survives_every_preset() {
    let Some(corpus) = corpus("every_preset") else { return };
    let (read, _) = definitions(&corpus);
    let mut faults = Vec::new();
    for place in ["examples/host.json", "tests/hosts/hybrid.json"] {
        let facts = host(&corpus, place);
        for name in ["latency", "throughput", "security"] {
            let policy = preset(name).unwrap();
            for (file, text) in &read {
                if let Err(fault) = judged(&facts, &policy, text) {
                    faults.push(format!("{place} {name} {file}: {fault}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_examples_are_planned_on_every_topology() {
    let Some(corpus) = corpus("every_topology") else { return };
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts = ["vm1", "vm2", "db1"].map(|name| {
        let path = package.join("examples").join(format!("{name}.xml"));
        std::fs::read_to_string(path).unwrap()
    });
    let mut faults = Vec::new();
    let mut hosts = Vec::new();
    for path in files(&corpus.join("topologies"), ".xml") {
        hosts.push(collect(&Source::detect(&path).unwrap()).unwrap());
    }
    for path in files(&corpus.join("sysfs"), ".tar.bz2") {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = Command::new("tar");
        tar.arg("xjf").arg(&path).arg("-C").arg(folder.path());
        assert!(tar.status().unwrap().success(), "tar {}", path.display());
        let inner = std::fs::read_dir(&folder).unwrap().next().unwrap();
        let source = Source::detect(&inner.unwrap().path()).unwrap();
        hosts.push(collect(&source).unwrap());
    }
    for facts in &hosts {
        for text in &texts {
            if let Err(fault) = judged(facts, &Policy::default(), text) {
                faults.push(format!("{}: {fault}", facts.source));
            }
        }
    }
    println!("{} hosts", hosts.len());
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

/// A second opinion from outside: the corpus' own script, where there is one.
/// Files whose plans may change the same places are looked at together.
struct Oracle {
    folder: PathBuf,
    groups: BTreeMap<BTreeSet<String>, usize>,
}

impl Oracle {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), groups: BTreeMap::new() }
    }

    fn add(
        &mut self,
        name: &str,
        before: &str,
        after: &str,
        allowed: BTreeSet<String>,
    ) {
        let next = self.groups.len();
        let list: Vec<_> = allowed.iter().cloned().collect();
        let group = *self.groups.entry(allowed).or_insert(next);
        let group = self.folder.join(group.to_string());
        let flat = name.replace('/', "__");
        for (side, text) in [("before", before), ("after", after)] {
            std::fs::create_dir_all(group.join(side)).unwrap();
            std::fs::write(group.join(side).join(&flat), text).unwrap();
        }
        std::fs::write(group.join("allow"), list.join("\n")).unwrap();
    }

    /// Returns what the script says of each group in which it finds a loss.
    fn run(&self, corpus: &Path) -> Vec<String> {
        let script = corpus.join("check_roundtrip.py");
        let python = Command::new("python3").arg("--version").output();
        if !script.is_file() || python.is_err() {
            eprintln!("no second opinion: python3 or the script is missing");
            return Vec::new();
        }
        let mut losses = Vec::new();
        for group in self.groups.values() {
            let group = self.folder.join(group.to_string());
            let mut python = Command::new("python3");
            python.arg(&script).args(["--no-default", "--order"]);
            python.arg("--allow-file").arg(group.join("allow"));
            python.arg(group.join("before")).arg(group.join("after"));
            let said = python.output().unwrap();
            if !said.status.success() {
                let text = String::from_utf8_lossy(&said.stdout);
                let error = String::from_utf8_lossy(&said.stderr);
                losses.push(format!("{}: {text}{error}", group.display()));
            }
        }
        println!("second opinion: {} groups", self.groups.len());
        losses
    }
}
