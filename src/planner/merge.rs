//! From what the rules said to changes: one owner for each place.

use std::collections::BTreeMap;

use super::{PlanError, Subject};
use crate::base::{Leaf, XmlPath};
use crate::definition;
use crate::definition::xml::Document;
use crate::model::facts::Facts;
use crate::model::policy::{Level, Policy};
use crate::model::{Advice, Change, Missing, Plan, Target, VmPlacement};
use crate::rules::{Context, Edit, RULES, Rule, Verdict};

/// Longest piece of a definition that a plan repeats as what stood there.
const SHOWN: usize = 160;

/// Returns what a rule may do under a policy.
pub(super) fn level(rule: &Rule, policy: &Policy) -> Level {
    policy.rules.get(rule.id).copied().unwrap_or(rule.level)
}

/// Asks all rules about one VM, adds what they say to the plan, and returns
/// the definition that it leads to.
pub(super) fn changes(
    facts: &Facts,
    policy: &Policy,
    subject: &Subject,
    placement: &VmPlacement,
    plan: &mut Plan,
) -> Result<String, PlanError> {
    let domain = &subject.domain;
    let vm = domain.name.to_string();
    let unreadable = |error: &dyn std::fmt::Display| {
        PlanError::Edit(domain.name.clone(), error.to_string())
    };
    let document =
        Document::parse(&subject.text).map_err(|e| unreadable(&e))?;
    let context = Context { facts, domain, policy, placement };
    let first = plan.changes.len();
    let mut owners: BTreeMap<XmlPath, (&str, Option<String>)> = BTreeMap::new();
    for rule in RULES {
        let level = level(rule, policy);
        if level == Level::Off {
            continue;
        }
        let say = |text: String| Advice {
            rule: rule.id.to_owned(),
            vm: Some(vm.clone()),
            text,
        };
        match (rule.evaluate)(&context) {
            Verdict::Satisfied(_) | Verdict::NotApplicable(_) => {}
            Verdict::Advise(texts) => {
                plan.advice.extend(texts.into_iter().map(say));
            }
            Verdict::Unknown { fact, why } => plan.unknown.push(Missing {
                rule: rule.id.to_owned(),
                vm: Some(vm.clone()),
                fact: fact.to_owned(),
                why,
            }),
            Verdict::Change { edits, advice } => {
                plan.advice.extend(advice.into_iter().map(say));
                for edit in edits {
                    let Some(change) = change(&document, rule, &vm, edit)
                    else {
                        continue;
                    };
                    if level == Level::Advise {
                        plan.advice.push(say(as_advice(&change)));
                        continue;
                    }
                    let Target::Definition(path) = &change.target;
                    let owned = (rule.id, change.to.clone());
                    match owners.insert(path.clone(), owned) {
                        None => plan.changes.push(change),
                        Some((_, to)) if to == change.to => {}
                        Some((other, _)) => {
                            return Err(PlanError::Conflict(
                                other.to_owned(),
                                rule.id.to_owned(),
                                path.to_string(),
                            ));
                        }
                    }
                }
            }
        }
    }
    definition::render(&subject.text, &plan.changes[first..])
        .map_err(|e| unreadable(&e))
}

/// Fills in what stands at the place; `None` where the edit changes nothing.
fn change(
    document: &Document,
    rule: &Rule,
    vm: &str,
    edit: Edit,
) -> Option<Change> {
    let from = standing(document, &edit.target);
    let same = match (&edit.target.leaf, &from, &edit.to) {
        (Leaf::Element, from, to) => from.is_some() == to.is_some(),
        (_, from, to) => from == to,
    };
    (!same).then(|| Change {
        rule: rule.id.to_owned(),
        vm: Some(vm.to_owned()),
        target: Target::Definition(edit.target),
        from,
        to: edit.to,
        because: edit.because,
        stage: edit.stage,
        trade: edit.trade,
    })
}

/// Returns what stands at a place: a value, or an element as it is written.
fn standing(document: &Document, path: &XmlPath) -> Option<String> {
    match path.leaf {
        Leaf::Element => {
            let source = document.find(path)?.source();
            let line = source.split_whitespace().collect::<Vec<_>>().join(" ");
            let cut = line.char_indices().nth(SHOWN).map(|(at, _)| at);
            Some(match cut {
                Some(at) => format!("{}…", &line[..at]),
                None => line,
            })
        }
        Leaf::Text => {
            let text = document.value(path)?.trim().to_owned();
            (!text.is_empty()).then_some(text)
        }
        Leaf::Attribute(_) => document.value(path).map(Into::into),
    }
}

fn as_advice(change: &Change) -> String {
    let target = &change.target;
    let because = &change.because;
    match &change.to {
        None => format!("take {target} away: {because}"),
        Some(to) if to.is_empty() => format!("add {target}: {because}"),
        Some(to) => format!("set {target} to {to}: {because}"),
    }
}
