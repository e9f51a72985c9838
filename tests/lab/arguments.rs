//! What the lab is asked for.

use anyhow::{Context as _, Result, bail};

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
  kernel            fetches the kernel, and nothing else";

/// The shape of the tour.
const TOUR: &str = "epyc-2s-4n";

/// What to do.
pub(crate) enum Wish {
    Run(Vec<Run>),
    Shell(String),
    List,
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
/// options are not ours, and words that name nothing here filter all out.
pub(crate) fn read(arguments: Vec<String>) -> Result<Wish> {
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with("--"))
        .collect();
    match words.as_slice() {
        _ if arguments.iter().any(|word| word == "--list") => Ok(Wish::List),
        _ if arguments.iter().any(|word| word == "--help") => Ok(Wish::Usage),
        [] => Ok(Wish::Run(runs(|_, shape| shape == TOUR)?)),
        ["all"] => Ok(Wish::Run(runs(|_, _| true)?)),
        ["faults", of @ ..] => Ok(Wish::Run(faults(of))),
        ["list"] => Ok(Wish::List),
        ["kernel"] => Ok(Wish::Kernel),
        ["inside"] => Ok(Wish::Inside),
        ["libvirtd"] => Ok(Wish::Libvirtd),
        ["shell", shape] => Ok(Wish::Shell((*shape).to_owned())),
        ["shell", ..] => bail!("a shell needs one shape\n\n{USAGE}"),
        words => chosen(words),
    }
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
