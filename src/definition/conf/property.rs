//! Values with properties: `0000:c1:00.2,pcie=1,rombar=0`.

use std::ops::Range;

/// The property that each key's value may start with, without its name.
const DEFAULTS: [(&str, &str); 11] = [
    ("amd-sev", "type"),
    ("cpu", "cputype"),
    ("hostpci", "host"),
    ("ide", "file"),
    ("intel-tdx", "type"),
    ("machine", "type"),
    ("memory", "current"),
    ("sata", "file"),
    ("scsi", "file"),
    ("usb", "host"),
    ("virtio", "file"),
];

/// One property, with the place of its value and of all of it.
struct Part<'v> {
    name: &'v str,
    value: &'v str,
    whole: Range<usize>,
}

/// Returns the name of the property that is written without it.
fn default_name(key: &str) -> &'static str {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let default = DEFAULTS.iter().find(|(key, _)| *key == stem);
    default.map_or("", |(_, name)| name)
}

/// Walks the properties of a value.
fn parts<'v>(key: &str, value: &'v str) -> impl Iterator<Item = Part<'v>> {
    let default = default_name(key);
    let mut at = 0;
    value.split(',').map(move |text| {
        let whole = at..at + text.len();
        at = whole.end + 1;
        let text = text.trim();
        let (name, value) = text.split_once('=').unwrap_or((default, text));
        Part { name, value, whole }
    })
}

/// Returns a property of a value.
pub(super) fn get<'v>(
    key: &str,
    value: &'v str,
    name: &str,
) -> Option<&'v str> {
    let mut parts = parts(key, value).filter(|part| !part.value.is_empty());
    parts.find(|part| part.name == name).map(|part| part.value)
}

/// Returns whether two values of a key mean the same. Proxmox spells yes and
/// no as 1 and 0, and puts properties in an order of its own.
pub(super) fn is_same(key: &str, one: &str, other: &str) -> bool {
    let sorted = |value| {
        let parts = parts(key, value).map(|part| (part.name, part.value));
        let mut parts: Vec<_> = parts.collect();
        parts.sort_unstable();
        parts
    };
    // Commas part properties only where something has a name.
    let listed = one.contains('=') && other.contains('=');
    one == other
        || listed && sorted(one) == sorted(other)
        || flag(one).is_some_and(|flag| self::flag(other) == Some(flag))
}

/// Reads a yes or no, as Proxmox spells it.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// Returns the value with a property set; all others stand as they did. A new
/// one comes where Proxmox sorts it: the one without a name first, then by
/// name.
pub(super) fn set(key: &str, value: &str, name: &str, to: &str) -> String {
    let bare = name == default_name(key);
    let written = || match bare {
        true => to.to_owned(),
        false => format!("{name}={to}"),
    };
    if value.trim().is_empty() {
        return written();
    }
    let own = parts(key, value).find(|part| part.name == name);
    if let Some(own) = own {
        let place = own.whole;
        let old = &value[place.clone()];
        let start = old.find('=').map_or(0, |equals| equals + 1);
        let (head, tail) = (&value[..place.start + start], &value[place.end..]);
        return format!("{head}{to}{tail}");
    }
    let after = |part: &Part<'_>| {
        bare || (part.name != default_name(key) && part.name > name)
    };
    match parts(key, value).find(after) {
        Some(next) => {
            let (head, tail) = value.split_at(next.whole.start);
            format!("{head}{},{tail}", written())
        }
        None => format!("{value},{}", written()),
    }
}

/// Returns the value without a property; `None` where nothing is left.
pub(super) fn remove(key: &str, value: &str, name: &str) -> Option<String> {
    let kept: Vec<_> = parts(key, value)
        .filter(|part| part.name != name)
        .map(|part| &value[part.whole])
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_found_by_name() {
        let value = "0000:c1:00.2,pcie=1, rombar=0";
        for (name, expected) in [
            ("host", Some("0000:c1:00.2")),
            ("pcie", Some("1")),
            ("rombar", Some("0")),
            ("mapping", None),
        ] {
            assert_eq!(get("hostpci0", value, name), expected, "{name}");
        }
        assert_eq!(get("machine", "type=q35", "type"), Some("q35"));
        assert_eq!(get("machine", "q35", "type"), Some("q35"));
    }

    #[test]
    fn order_and_yes_mean_nothing() {
        for (one, other) in [
            ("a=1,b=2", "b=2,a=1"),
            ("d0:17.0,pcie=1,rombar=0", "d0:17.0,rombar=0,pcie=1"),
            ("host=d0:17.0,pcie=1", "d0:17.0,pcie=1"),
            ("yes", "1"),
            ("off", "0"),
        ] {
            assert!(is_same("hostpci0", one, other), "{one} and {other}");
        }
        for (one, other) in
            [("a=1,b=2", "a=2,b=1"), ("a,b", "b,a"), ("1", "0"), ("1", "2")]
        {
            assert!(!is_same("hostpci0", one, other), "{one} and {other}");
        }
    }

    #[test]
    fn a_property_is_set_and_the_others_stand() {
        for (key, value, name, to, expected) in [
            (
                "hostpci0",
                "d0:17.0,rombar=0",
                "pcie",
                "1",
                "d0:17.0,pcie=1,rombar=0",
            ),
            ("hostpci0", "d0:17.0,pcie=0", "pcie", "1", "d0:17.0,pcie=1"),
            (
                "hostpci0",
                "mapping=a,pcie=1",
                "host",
                "d0:17.0",
                "d0:17.0,mapping=a,pcie=1",
            ),
            ("machine", "q35", "viommu", "intel", "q35,viommu=intel"),
            ("machine", "type=q35", "type", "pc", "type=pc"),
            ("machine", "viommu=virtio", "type", "q35", "q35,viommu=virtio"),
            ("cpu", "kvm64,flags=+aes", "cputype", "host", "host,flags=+aes"),
            ("numa0", "", "cpus", "0-3", "cpus=0-3"),
            (
                "numa0",
                "cpus=0-3,memory=512",
                "hostnodes",
                "1",
                "cpus=0-3,hostnodes=1,memory=512",
            ),
        ] {
            assert_eq!(set(key, value, name, to), expected);
            assert_eq!(get(key, expected, name), Some(to));
        }
    }

    #[test]
    fn a_property_goes_and_the_others_stand() {
        let gone = remove("machine", "q35, viommu=intel,aw-bits=48", "viommu");
        assert_eq!(gone.as_deref(), Some("q35,aw-bits=48"));
        assert_eq!(remove("machine", "viommu=intel", "viommu"), None);
    }
}
