//! Where a VM goes, as the JSON of a plan says it.

use std::collections::BTreeMap;

use serde_json::Value;

/// Returns the CPUs of each vCPU, as lists.
pub(crate) fn pins(placement: &Value) -> BTreeMap<String, String> {
    let vcpus = placement["vcpus"].as_object().into_iter().flatten();
    let cpus = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    vcpus.map(|(vcpu, value)| (vcpu.clone(), cpus(value))).collect()
}

/// Returns the pins in a definition.
pub(crate) fn pins_of(
    xml: &roxmltree::Document<'_>,
) -> BTreeMap<String, String> {
    let pins = xml.descendants().filter(|node| node.has_tag_name("vcpupin"));
    pins.filter_map(|pin| {
        let vcpu = pin.attribute("vcpu")?.to_owned();
        Some((vcpu, pin.attribute("cpuset")?.to_owned()))
    })
    .collect()
}

/// Reads a list as the kernel writes it: `0-3,8`.
pub(crate) fn numbers(list: &str) -> Vec<u32> {
    let ranges = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

/// Says of each vCPU whether it is pinned to one CPU, of these.
pub(crate) fn on_one_of(
    pins: &BTreeMap<String, String>,
    cpus: &[u32],
) -> BTreeMap<String, bool> {
    let is = |list: &String| matches!(numbers(list)[..], [one] if cpus.contains(&one));
    pins.iter().map(|(vcpu, list)| (vcpu.clone(), is(list))).collect()
}
