//! Places in a definition or on the host, short enough to read at a glance.

use crate::base::{CpuId, CpuSet, HostPath, Leaf, Predicate, Step};
use crate::model::Target;

/// Returns a target for people: `cputune/vcpupin[3] cpuset`.
pub(super) fn label(target: &Target) -> String {
    joined(element(target), target)
}

/// Returns a target without what tells it from its like:
/// `cputune/vcpupin cpuset`.
pub(super) fn pattern(target: &Target) -> String {
    joined(spell(target, false), target)
}

/// Returns the element of a target: `cputune/vcpupin[3]`.
pub(super) fn element(target: &Target) -> String {
    spell(target, true)
}

/// Returns the attribute that a target is, if it is one: `cpuset`.
pub(super) fn attribute(target: &Target) -> Option<String> {
    match target {
        Target::Definition(path) => match &path.leaf {
            Leaf::Attribute(name) => Some(name.clone()),
            Leaf::Element | Leaf::Text => None,
        },
        Target::Conf(path) => path.property().map(ToOwned::to_owned),
        _ => None,
    }
}

/// Returns what tells a target from its like: `3`.
pub(super) fn key(target: &Target) -> String {
    match target {
        Target::Definition(path) => {
            let keys = path.steps.iter().filter_map(predicates);
            keys.collect::<Vec<_>>().join("/")
        }
        Target::Conf(path) => {
            let key = path.key();
            let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
            key[stem.len()..].to_owned()
        }
        Target::Kernel(path) => {
            numbered(path).map_or("", |(_, number, _)| number).to_owned()
        }
        Target::File(_) | Target::Argument { .. } => String::new(),
    }
}

/// Returns one label for places of the host that differ in a number:
/// `/proc/irq/{24-26,31}/smp_affinity_list`.
pub(super) fn together<'a>(
    targets: impl Iterator<Item = &'a Target>,
) -> Option<String> {
    // A list of numbers is spelled as one of CPUs, whatever they count.
    let mut numbers = CpuSet::new();
    let mut around = None;
    for target in targets {
        let Target::Kernel(path) = target else { return None };
        let (before, number, after) = numbered(path)?;
        let number = number.parse().ok();
        numbers.insert(CpuId(number.filter(|n| *n <= CpuSet::MAX_NUMBER)?));
        around = Some((before, after));
    }
    let (before, after) = around?;
    Some(format!("{before}{{{numbers}}}{after}"))
}

/// Splits a path around the last number that ends one of its folders' names.
fn numbered(path: &HostPath) -> Option<(&str, &str, &str)> {
    let (mut folders, _) = path.as_str().rsplit_once('/')?;
    loop {
        let stem = folders.trim_end_matches(|c: char| c.is_ascii_digit());
        if stem.len() < folders.len() {
            let number = &folders[stem.len()..];
            return Some((stem, number, &path.as_str()[folders.len()..]));
        }
        folders = folders.rsplit_once('/')?.0;
    }
}

fn joined(element: String, target: &Target) -> String {
    match attribute(target) {
        Some(attribute) => format!("{element} {attribute}"),
        None => element,
    }
}

fn spell(target: &Target, keyed: bool) -> String {
    let path = match target {
        Target::Definition(path) => path,
        Target::Conf(path) if keyed => return path.key().to_owned(),
        Target::Conf(path) => {
            let pattern = path.pattern();
            return pattern.split('/').next().unwrap_or_default().to_owned();
        }
        Target::Kernel(path) if !keyed => {
            return match numbered(path) {
                Some((before, _, after)) => format!("{before}*{after}"),
                None => path.to_string(),
            };
        }
        _ => return target.to_string(),
    };
    // `/domain` begins all of them and says nothing.
    let below = path.steps.get(1..).filter(|steps| !steps.is_empty());
    let steps =
        below.unwrap_or(&path.steps).iter().map(|step| {
            match predicates(step).filter(|_| keyed) {
                Some(key) => format!("{}[{key}]", step.name),
                None => step.name.clone(),
            }
        });
    steps.collect::<Vec<_>>().join("/")
}

fn predicates(step: &Step) -> Option<String> {
    let one = |predicate: &Predicate| match predicate {
        Predicate::Attribute(_, value) => value.clone(),
        Predicate::Position(n) => format!("#{n}"),
    };
    let all: Vec<_> = step.predicates.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_at_a_glance() {
        for (path, short, like, unlike) in [
            (
                "/domain/cputune/vcpupin[@vcpu='3']/@cpuset",
                "cputune/vcpupin[3] cpuset",
                "cputune/vcpupin cpuset",
                "3",
            ),
            ("/domain/vcpu/text()", "vcpu", "vcpu", ""),
            (
                "/domain/devices/disk[2]/driver/@iothread",
                "devices/disk[#2]/driver iothread",
                "devices/disk/driver iothread",
                "#2",
            ),
            ("/domain/@type", "domain type", "domain type", ""),
            ("balloon", "balloon", "balloon", ""),
            ("numa1/hostnodes", "numa1 hostnodes", "numa* hostnodes", "1"),
            (
                "/sys/devices/system/cpu/cpu4/power/control",
                "/sys/devices/system/cpu/cpu4/power/control",
                "/sys/devices/system/cpu/cpu*/power/control",
                "4",
            ),
            (
                "/sys/kernel/mm/ksm/run",
                "/sys/kernel/mm/ksm/run",
                "/sys/kernel/mm/ksm/run",
                "",
            ),
        ] {
            let target: Target = path.parse().unwrap();
            assert_eq!(label(&target), short);
            assert_eq!(pattern(&target), like);
            assert_eq!(key(&target), unlike);
        }
    }
}
