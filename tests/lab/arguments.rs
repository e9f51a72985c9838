//! What the lab is asked for.

use anyhow::{Context as _, Result};

use crate::scenario::{Fault, Scenario};
use crate::scenarios::{self, SCENARIOS};
use crate::shape;

/// How to use this, for who asks.
const USAGE: &str = "usage: cargo test --test lab -- [WHAT...]

  (nothing)         the tour: one host with all that a server has
  all               every scenario on every shape, each once
  SCENARIO, SHAPE, SCENARIO@SHAPE
                    those alone
  faults [SCENARIO...]
                    does what a scenario can do wrong, to see the judge find it
  list              what there is
  shell SHAPE       a prompt in such a host; `exit` ends it
  kernel            fetches the kernel, and nothing else

VMTUNE_LAB=skip runs none of it. VMTUNE_LAB=require fetches what is missing
from Debian, and fails where the lab cannot be used.";

/// Options of libtest's that have a value behind them.
const WITH_VALUE: [&str; 7] = [
    "--color",
    "--format",
    "--logfile",
    "--shuffle-seed",
    "--skip",
    "--test-threads",
    "-Z",
];

/// The shape of the tour.
const TOUR: &str = "epyc-2s-4n";

/// What to do.
pub(crate) enum Wish {
    Run(Vec<Run>),
    Shell(String),
    List,
    /// Libtest's list, as programs read it.
    Names,
    Kernel,
    Usage,
    /// This is a lab host: run what its job says.
    Inside,
    /// This is a lab host: print what starts libvirtd.
    Libvirtd,
}

/// A host, and what runs in it.
pub(crate) struct Run {
    pub(crate) shape: String,
    pub(crate) scenarios: Vec<&'static Scenario>,
    pub(crate) fault: Option<&'static Fault>,
}

impl Run {
    /// Returns the name of the folder for what comes back.
    pub(crate) fn name(&self) -> String {
        let names: Vec<_> = self.scenarios.iter().map(|s| s.name).collect();
        let fault = self.fault.map(|fault| format!("+{}", fault.name));
        format!(
            "{}@{}{}",
            names.join("+"),
            self.shape,
            fault.unwrap_or_default()
        )
    }
}

/// Reads the arguments. `cargo test` hands its own to every test program:
/// libtest's options change nothing here, and words that name nothing here
/// filter all out.
pub(crate) fn read(arguments: &[String]) -> Result<Wish> {
    let has = |option: &str| arguments.iter().any(|word| word == option);
    match words(arguments).as_slice() {
        _ if has("--inside") => Ok(Wish::Inside),
        _ if has("--libvirtd") => Ok(Wish::Libvirtd),
        _ if has("--help") || has("-h") => Ok(Wish::Usage),
        // No scenario is one of the tests that are ignored by default.
        _ if has("--ignored") => Ok(Wish::Run(Vec::new())),
        _ if has("--list") => Ok(Wish::Names),
        [] => Ok(Wish::Run(runs(|_, shape| shape == TOUR)?)),
        ["all"] => Ok(Wish::Run(runs(|_, _| true)?)),
        ["faults", of @ ..] => Ok(Wish::Run(faults(of))),
        ["list"] => Ok(Wish::List),
        ["kernel"] => Ok(Wish::Kernel),
        ["shell", shape] => Ok(Wish::Shell((*shape).to_owned())),
        ["shell"] => Ok(Wish::Usage),
        words => chosen(words),
    }
}

/// Returns the arguments that are neither options nor their values.
fn words(arguments: &[String]) -> Vec<&str> {
    let mut words = Vec::new();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(word) = arguments.next() {
        if WITH_VALUE.contains(&word) {
            arguments.next();
        } else if !word.starts_with('-') {
            words.push(word);
        }
    }
    words
}

/// Prints all runs as libtest prints tests.
pub(crate) fn print_names() -> Result<()> {
    for run in runs(|_, _| true)? {
        for scenario in &run.scenarios {
            println!("{}@{}: test", scenario.name, run.shape);
        }
    }
    Ok(())
}

/// Prints how to use this.
pub(crate) fn print_usage() {
    println!("{USAGE}");
}

fn chosen(words: &[&str]) -> Result<Wish> {
    let mut chosen = Vec::new();
    for word in words {
        let (scenario, shape) = match word.split_once('@') {
            Some((scenario, shape)) => (Some(scenario), Some(shape)),
            None if scenarios::find(word).is_some() => (Some(*word), None),
            None => (None, Some(*word)),
        };
        chosen.extend(runs(|name, on| {
            scenario.is_none_or(|wanted| wanted == name)
                && shape.is_none_or(|wanted| wanted == on)
        })?);
    }
    Ok(Wish::Run(chosen))
}

/// Returns the runs of all pairs of scenario and shape that are wanted.
fn runs(wanted: impl Fn(&str, &str) -> bool) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for shape in shape::names()? {
        let (alone, together): (Vec<_>, Vec<_>) = SCENARIOS
            .into_iter()
            .filter(|scenario| scenario.shapes.contains(&shape.as_str()))
            .filter(|scenario| wanted(scenario.name, &shape))
            .partition(|scenario| scenario.alone);
        let groups = alone.into_iter().map(|scenario| vec![scenario]);
        for scenarios in std::iter::once(together).chain(groups) {
            if !scenarios.is_empty() {
                let shape = shape.clone();
                runs.push(Run { shape, scenarios, fault: None });
            }
        }
    }
    Ok(runs)
}

/// Returns a run for each fault of these scenarios, of all where none is
/// named.
fn faults(of: &[&str]) -> Vec<Run> {
    let wanted = SCENARIOS
        .into_iter()
        .filter(|one| of.is_empty() || of.contains(&one.name));
    let all = wanted.flat_map(|scenario| {
        scenario.faults.iter().map(move |fault| (scenario, fault))
    });
    let run = |(scenario, fault): (_, &'static Fault)| Run {
        shape: fault.shape.to_owned(),
        scenarios: vec![scenario],
        fault: Some(fault),
    };
    all.map(run).collect()
}

/// Prints all shapes and scenarios, and the faults of these.
pub(crate) fn print_list() -> Result<()> {
    println!("shapes:");
    for name in shape::names()? {
        println!("  {name:<14} {}", shape::Shape::read(&name)?.about);
    }
    println!("\nscenarios:");
    for scenario in SCENARIOS {
        println!("  {:<14} {}", scenario.name, scenario.about);
        println!("  {:<14} on {}", "", scenario.shapes.join(", "));
        for shape in scenario.shapes {
            shape::Shape::read(shape)
                .with_context(|| format!("the scenario {}", scenario.name))?;
        }
    }
    Ok(())
}
