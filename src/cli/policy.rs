//! `--policy` and `--only`: what is wanted.

use std::path::Path;

use anyhow::Context;

use super::args::PolicyArgs;
use super::exit::{CliError, Kind};
use crate::base::nearest;
use crate::model::policy::{Level, Policy};
use crate::policy::{PRESETS, preset, read};
use crate::rules::RULES;

/// Reads the policy that was asked for.
pub(super) fn load(args: &PolicyArgs) -> Result<Policy, CliError> {
    let mut policy = match preset(&args.policy) {
        Some(policy) => policy,
        None => from_file(&args.policy)?,
    };
    keep_only(&mut policy, &args.only)?;
    Ok(policy)
}

/// Returns the file of a policy, if it is none of the presets.
pub(super) fn file(args: &PolicyArgs) -> Option<&str> {
    preset(&args.policy).is_none().then_some(args.policy.as_str())
}

fn from_file(path: &str) -> Result<Policy, CliError> {
    let names = PRESETS.iter().map(|p| p.name);
    if !Path::new(path).exists() && !path.contains(['/', '.']) {
        let error = CliError::usage(format!(
            "--policy {path}: neither a preset nor a file"
        ));
        return Err(error.hint(match nearest(path, names.clone()) {
            Some(near) => format!("did you mean {near}?"),
            None => {
                format!("presets: {}", names.collect::<Vec<_>>().join(", "))
            }
        }));
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the policy {path}"))?;
    let ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    read(&text, path, &ids).map_err(|e| {
        let error = anyhow::Error::new(e).context("reading the policy");
        CliError::new(Kind::Failed, error)
            .hint("`vmtune explain` lists the rules; docs/policy.md the keys")
    })
}

/// Switches off every rule but these; none means all.
fn keep_only(policy: &mut Policy, only: &[String]) -> Result<(), CliError> {
    for id in only {
        known_rule(id)?;
    }
    if only.is_empty() {
        return Ok(());
    }
    let kept = |id: &str| only.iter().any(|o| o == id);
    for rule in RULES.iter().filter(|rule| !kept(rule.id)) {
        policy.rules.insert(rule.id.to_owned(), Level::Off);
    }
    for vm in policy.vm.values_mut() {
        vm.rules.retain(|id, _| kept(id));
    }
    Ok(())
}

/// Takes back what a policy plans for one VM: its rules advise.
pub(super) fn only_advise(policy: &mut Policy, vm: &str) {
    let general = policy.rules.clone();
    let own = &mut policy.vm.entry(vm.to_owned()).or_default().rules;
    for rule in RULES {
        let level = own.get(rule.id).or_else(|| general.get(rule.id));
        if *level.unwrap_or(&rule.level) == Level::Plan {
            own.insert(rule.id.to_owned(), Level::Advise);
        }
    }
}

/// Returns a rule by id, or says which one was probably meant.
pub(super) fn known_rule(
    id: &str,
) -> Result<&'static crate::rules::Rule, CliError> {
    if let Some(rule) = RULES.iter().find(|rule| rule.id == id) {
        return Ok(rule);
    }
    let near = nearest(id, RULES.iter().map(|rule| rule.id));
    Err(CliError::usage(format!("there is no rule {id:?}")).hint(match near {
        Some(near) => format!("did you mean {near}?"),
        None => "`vmtune explain` lists the rules".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(policy: &Policy, vm: &str) -> Vec<Level> {
        let policy = policy.for_vm(vm);
        let level = |rule: &&crate::rules::Rule| {
            *policy.rules.get(rule.id).unwrap_or(&rule.level)
        };
        RULES.iter().map(level).collect()
    }

    #[test]
    fn a_transient_vm_is_only_advised() {
        let mut policy = Policy::default();
        only_advise(&mut policy, "a");
        assert!(!levels(&policy, "a").contains(&Level::Plan));
        assert!(levels(&policy, "b").contains(&Level::Plan));
    }

    #[test]
    fn one_rule_can_be_heeded_alone() {
        let mut policy = Policy::default();
        let other = (RULES[0].id.to_owned(), Level::Plan);
        policy.vm.entry("a".to_owned()).or_default().rules.extend([other]);
        let id = RULES[1].id;
        keep_only(&mut policy, &[id.to_owned()]).unwrap();
        for (rule, level) in RULES.iter().zip(levels(&policy, "a")) {
            assert_eq!(level != Level::Off, rule.id == id, "{}", rule.id);
        }
    }
}
