//! From what the rules said to changes: one owner for each place.

use std::collections::BTreeMap;

use super::{PlanError, Subject};
use crate::base::{Leaf, XmlPath};
use crate::definition;
use crate::definition::conf::Conf;
use crate::definition::xml::Document;
use crate::model::domain::Dialect;
use crate::model::facts::Facts;
use crate::model::policy::{Level, Policy};
use crate::model::{Advice, Change, Missing, Plan, Target, VmPlacement};
use crate::rules::conf::CONF_RULES;
use crate::rules::{Context, Edit, Evaluate, RULES, Rule, Verdict};

/// Longest piece of a definition that a plan repeats as what stood there.
const SHOWN: usize = 160;

/// Why an edit of another thing than the VM's definition is none.
const NOT_ITS_OWN: &str = "it is not part of the VM's definition";

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
    let unreadable = |error: &dyn std::fmt::Display| {
        PlanError::Edit(domain.name.clone(), error.to_string())
    };
    let live = subject.live.as_ref();
    let context = Context { facts, domain, live, policy, placement };
    let first = plan.changes.len();
    let mut merge = Merge::new(policy, Some(domain.name.to_string()), plan);
    match domain.dialect {
        Dialect::Libvirt => {
            let document = Document::parse(&subject.text);
            let document = document.map_err(|e| unreadable(&e))?;
            let standing = |target: &Target| match target {
                Target::Definition(path) => Ok(standing(&document, path)),
                _ => Err(NOT_ITS_OWN.to_owned()),
            };
            for rule in RULES {
                let Evaluate::Vm(evaluate) = rule.evaluate else { continue };
                if merge.level(rule) != Level::Off {
                    merge.take(rule, evaluate(&context), &standing)?;
                }
            }
        }
        Dialect::Proxmox(_) => {
            let conf = Conf::parse(&subject.text);
            let conf = conf.map_err(|e| unreadable(&e))?;
            let standing = |target: &Target| match target {
                Target::Conf(path) => Ok(conf.find(path).map(Into::into)),
                _ => Err(NOT_ITS_OWN.to_owned()),
            };
            for words in CONF_RULES {
                if merge.level(words.rule) != Level::Off {
                    let verdict = words.evaluate(&context);
                    merge.take(words.rule, verdict, &standing)?;
                }
            }
        }
    }
    definition::render(&subject.text, &plan.changes[first..])
        .map_err(|e| unreadable(&e))
}

/// Collects what rules say of one VM or of the host.
pub(super) struct Merge<'p> {
    policy: &'p Policy,
    vm: Option<String>,
    plan: &'p mut Plan,
    owners: BTreeMap<Target, (&'static str, Option<String>)>,
}

/// Tells what stands at a place, or why that is not known.
pub(super) type Standing<'s> =
    &'s dyn Fn(&Target) -> Result<Option<String>, String>;

impl<'p> Merge<'p> {
    pub(super) const fn new(
        policy: &'p Policy,
        vm: Option<String>,
        plan: &'p mut Plan,
    ) -> Self {
        Self { policy, vm, plan, owners: BTreeMap::new() }
    }

    /// Returns what a rule may do.
    pub(super) fn level(&self, rule: &Rule) -> Level {
        level(rule, self.policy)
    }

    /// Adds what a rule says to the plan.
    pub(super) fn take(
        &mut self,
        rule: &'static Rule,
        verdict: Verdict,
        standing: Standing<'_>,
    ) -> Result<(), PlanError> {
        match verdict {
            Verdict::Satisfied(_) | Verdict::NotApplicable(_) => {}
            Verdict::Advise(texts) => self.advise(rule, texts),
            Verdict::Unknown { fact, why } => {
                self.missing(rule, fact.to_owned(), why);
            }
            Verdict::Change { edits, advice } => {
                self.advise(rule, advice);
                for edit in edits {
                    self.edit(rule, edit, standing)?;
                }
            }
        }
        Ok(())
    }

    fn edit(
        &mut self,
        rule: &'static Rule,
        edit: Edit,
        standing: Standing<'_>,
    ) -> Result<(), PlanError> {
        let from = match standing(&edit.target) {
            Ok(from) => from,
            Err(why) => {
                self.missing(rule, edit.target.to_string(), why);
                return Ok(());
            }
        };
        let Some(change) = change(rule, self.vm.clone(), edit, from) else {
            return Ok(());
        };
        if self.level(rule) == Level::Advise {
            self.advise(rule, vec![as_advice(&change)]);
            return Ok(());
        }
        let owned = (rule.id, change.to.clone());
        match self.owners.insert(change.target.clone(), owned) {
            None => self.plan.changes.push(change),
            Some((_, to)) if to == change.to => {}
            Some((other, _)) => {
                return Err(PlanError::Conflict(
                    other.to_owned(),
                    rule.id.to_owned(),
                    change.target.to_string(),
                ));
            }
        }
        Ok(())
    }

    fn advise(&mut self, rule: &Rule, texts: Vec<String>) {
        let say = |text| Advice {
            rule: rule.id.to_owned(),
            vm: self.vm.clone(),
            text,
        };
        self.plan.advice.extend(texts.into_iter().map(say));
    }

    fn missing(&mut self, rule: &Rule, fact: String, why: String) {
        let (rule, vm) = (rule.id.to_owned(), self.vm.clone());
        self.plan.unknown.push(Missing { rule, vm, fact, why });
    }
}

/// Makes a change of an edit; `None` where it changes nothing.
fn change(
    rule: &Rule,
    vm: Option<String>,
    edit: Edit,
    from: Option<String>,
) -> Option<Change> {
    let is_element = matches!(
        &edit.target,
        Target::Definition(path) if path.leaf == Leaf::Element
    );
    let same = if is_element {
        from.is_some() == edit.to.is_some()
    } else {
        from == edit.to
    };
    (!same).then(|| Change {
        rule: rule.id.to_owned(),
        vm,
        target: edit.target,
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
        Some(_) if matches!(target, Target::File(_)) => {
            format!("write {target}: {because}")
        }
        None => format!("take {target} away: {because}"),
        Some(to) if to.is_empty() => format!("add {target}: {because}"),
        // A whole file is no part of a sentence.
        Some(_) if matches!(target, Target::File(_)) => {
            format!("write {target}: {because}")
        }
        Some(to) => format!("set {target} to {to}: {because}"),
    }
}
