//! Reads `<cputune>` and the I/O threads that it pins.

use std::collections::BTreeSet;

use super::MAX_THREADS;
use super::error::{ReadError, ReadProblem};
use super::node::{Node, number_in};
use crate::base::{CpuSet, ParseValueError, VcpuId};
use crate::model::domain::{Cachetune, Cputune, Scheduler};

/// Children of `<cputune>` that hold a number as their text.
const LIMITS: [&str; 9] = [
    "shares",
    "period",
    "quota",
    "global_period",
    "global_quota",
    "emulator_period",
    "emulator_quota",
    "iothread_period",
    "iothread_quota",
];

pub(super) fn cputune(root: Node<'_>) -> Result<Cputune, ReadError> {
    let mut tune = Cputune::default();
    for child in root.all(&["cputune"]).flat_map(Node::children) {
        match child.name().as_str() {
            "vcpupin" => {
                let vcpu = child.required_number("vcpu", MAX_THREADS)?;
                let pin = cpuset(child)?;
                once(child, tune.vcpupin.insert(VcpuId(vcpu), pin))?;
            }
            "emulatorpin" => {
                once(child, tune.emulatorpin.replace(cpuset(child)?))?;
            }
            "iothreadpin" => {
                let thread = child.required_number("iothread", u32::MAX)?;
                let pin = cpuset(child)?;
                once(child, tune.iothreadpin.insert(thread, pin))?;
            }
            "vcpusched" => tune.vcpusched.push(Scheduler {
                vcpus: child
                    .parse("vcpus")?
                    .ok_or_else(|| child.missing("vcpus"))?,
                scheduler: child.required("scheduler")?,
                priority: child.number("priority")?,
            }),
            "cachetune" => {
                tune.has_cachetune = true;
                let ids = child
                    .all(&["cache"])
                    .map(|cache| cache.required_number("id", u32::MAX));
                tune.cachetune.push(Cachetune {
                    vcpus: child
                        .parse("vcpus")?
                        .ok_or_else(|| child.missing("vcpus"))?,
                    caches: ids.collect::<Result<_, _>>()?,
                });
            }
            "memorytune" => tune.has_cachetune = true,
            name if LIMITS.contains(&name) => {
                let limit = child.text_as(|text| {
                    let bad = |_| ParseValueError::new(text, "a number");
                    text.parse().map_err(bad)
                })?;
                tune.limits.entry(name.to_owned()).or_insert(limit);
            }
            _ => {}
        }
    }
    Ok(tune)
}

/// Returns the CPUs of a pin; libvirt refuses an empty one too.
fn cpuset(pin: Node<'_>) -> Result<CpuSet, ReadError> {
    let parse = |text: &str| {
        let cpus: CpuSet = text.parse()?;
        let empty = || ParseValueError::new(text, "a list of at least one CPU");
        if cpus.is_empty() { Err(empty()) } else { Ok(cpus) }
    };
    pin.parse_with("cpuset", parse)?.ok_or_else(|| pin.missing("cpuset"))
}

/// Refuses a second pin of the same thread, as libvirt does.
fn once(pin: Node<'_>, before: Option<CpuSet>) -> Result<(), ReadError> {
    match before {
        None => Ok(()),
        Some(_) => Err(pin.fault(ReadProblem::Twice("this pin".to_owned()))),
    }
}

/// Returns the ids of the I/O threads, rising. `<iothreads>` says how many
/// there are; those that `<iothreadids>` does not name get the lowest ids
/// that are free.
pub(super) fn iothreads(root: Node<'_>) -> Result<Vec<u32>, ReadError> {
    let range = "a number of I/O threads up to 4096";
    let count = root
        .child("iothreads")
        .map(|threads| threads.text_as(number_in(0..=MAX_THREADS, range)))
        .transpose()?;
    let mut ids = BTreeSet::new();
    for thread in root.all(&["iothreadids", "iothread"]) {
        let id = thread.required_number("id", u32::MAX)?;
        if !ids.insert(id) {
            let what = format!("I/O thread {id}");
            return Err(thread.fault(ReadProblem::Twice(what)));
        }
    }
    let wanted = count.and_then(|count| usize::try_from(count).ok());
    let missing = wanted.unwrap_or(0).saturating_sub(ids.len());
    let free: Vec<u32> =
        (1..).filter(|id| !ids.contains(id)).take(missing).collect();
    ids.extend(free);
    Ok(ids.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::xml::Document;
    use super::*;

    fn ids(inner: &str) -> Vec<u32> {
        let document = Document::parse(&format!("<d>{inner}</d>")).unwrap();
        iothreads(Node::new(document.root())).unwrap()
    }

    #[test]
    fn io_threads_without_an_id_get_the_lowest_free_ones() {
        let named = "<iothreadids><iothread id='2'/></iothreadids>";
        assert!(ids("").is_empty());
        assert_eq!(ids("<iothreads>2</iothreads>"), [1, 2]);
        assert_eq!(ids(named), [2]);
        let both = format!("<iothreads>3</iothreads>{named}");
        assert_eq!(ids(&both), [1, 2, 3]);
    }

    #[test]
    fn no_limit_is_forgotten() {
        let limits: BTreeMap<_, _> =
            LIMITS.iter().map(|name| ((*name).to_owned(), -1)).collect();
        let text: String =
            LIMITS.iter().map(|n| format!("<{n}>-1</{n}>")).collect();
        let xml = format!("<domain><cputune>{text}</cputune></domain>");
        let document = Document::parse(&xml).unwrap();
        let tune = cputune(Node::new(document.root())).unwrap();
        assert_eq!(tune.limits, limits);
    }
}
