//! What two definitions say differently, layout and comments aside.

use std::collections::BTreeMap;
use std::fmt;

use super::conf;
use crate::definition::xml::Element;
use crate::definition::{Parsed, SyntaxError};

/// Where each program has an element of its own.
const METADATA: &str = "/domain/metadata";

/// A place where two definitions differ. It shows no value: some are secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The place, as an XPath in the document that has it, or a key.
    pub path: String,
    /// How they differ there.
    pub kind: DifferenceKind,
}

/// How two definitions differ at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Only the first has it.
    Missing,
    /// Only the second has it.
    Added,
    /// Both have it, with other values.
    Other,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.kind {
            DifferenceKind::Missing => " is gone",
            DifferenceKind::Added => " is new",
            DifferenceKind::Other => " differs",
        };
        write!(f, "{}{how}", self.path)
    }
}

/// Compares two definitions, place by place. Places that lie in another one
/// that is reported are left out.
///
/// # Errors
/// When a text is no definition.
pub fn differences(
    first: &str,
    second: &str,
) -> Result<Vec<Difference>, SyntaxError> {
    if first == second {
        return Ok(Vec::new());
    }
    Ok(match (Parsed::read(first)?, Parsed::read(second)?) {
        (Parsed::Conf(first), Parsed::Conf(second)) => {
            conf::differences(&first, &second)
        }
        (first, second) => between(&outline(&first), &outline(&second)),
    })
}

/// Says what whoever keeps a definition made of it otherwise than it was
/// written.
pub(super) fn normalised(written: &Parsed, left: &Parsed) -> Vec<Difference> {
    match (written, left) {
        (Parsed::Conf(written), Parsed::Conf(left)) => {
            conf::normalised(written, left)
        }
        (written, left) => between(&outline(written), &outline(left)),
    }
}

/// Compares two outlines.
fn between(
    first: &BTreeMap<String, String>,
    second: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let missing = first.keys().filter(|path| !second.contains_key(*path));
    let added = second.keys().filter(|path| !first.contains_key(*path));
    let other = first
        .iter()
        .filter(|(path, value)| second.get(*path).is_some_and(|v| v != *value))
        .map(|(path, _)| path);
    let of =
        |kind| move |path: &String| Difference { path: path.clone(), kind };
    let mut all: Vec<_> = missing
        .map(of(DifferenceKind::Missing))
        .chain(added.map(of(DifferenceKind::Added)))
        .chain(other.map(of(DifferenceKind::Other)))
        .collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    let mut kept: Vec<Difference> = Vec::new();
    for one in all {
        let inside = kept.last().is_some_and(|outer| {
            let rest = one.path.strip_prefix(outer.path.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        });
        if !inside {
            kept.push(one);
        }
    }
    kept
}

/// Returns the part of a definition that a place belongs to: `/domain/cputune`,
/// `/domain/devices/iommu`. It is as much as an edit of one setting touches.
pub(super) fn section(path: &str) -> String {
    let mut steps: Vec<_> = path
        .split('/')
        .skip(1)
        .map(|step| step.split('[').next().unwrap_or(step))
        .collect();
    // Metadata is of several owners too.
    let deep = matches!(steps.get(1), Some(&"devices" | &"metadata"));
    let length = if deep { 3 } else { 2 };
    steps.truncate(length);
    steps.join("/")
}

/// Returns every element, attribute and text by its path.
fn outline(definition: &Parsed) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Parsed::Xml(document) = definition {
        let root = document.root();
        walk(root, format!("/{}", root.name()), &mut found);
    }
    found
}

fn walk(
    element: Element<'_>,
    path: String,
    found: &mut BTreeMap<String, String>,
) {
    for (name, value) in element.attributes() {
        // libvirt moves declarations to where it likes them.
        if name != "xmlns" && !name.starts_with("xmlns:") {
            found.insert(format!("{path}/@{name}"), value.into_owned());
        }
    }
    let mut seen = BTreeMap::<String, usize>::new();
    for child in element.children() {
        let name = child.name().into_owned();
        let position = seen.entry(name.clone()).or_default();
        *position += 1;
        let inner = match position {
            1 => format!("{path}/{name}"),
            n => format!("{path}/{name}[{n}]"),
        };
        walk(child, inner, found);
    }
    // That there is metadata says nothing; what there is does.
    if path != METADATA {
        found.insert(path, element.text().trim().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(first: &str, second: &str) -> Vec<String> {
        let all = differences(first, second).unwrap();
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn layout_comments_and_quotes_do_not_count() {
        let first = "<d><a x='1' y='2'/><!-- c --><b> t </b></d>";
        let second = "<d>\n  <a y=\"2\" x=\"1\"></a>\n  <b>t</b>\n</d>\n";
        assert!(shown(first, second).is_empty());
    }

    #[test]
    fn differences_are_named_once() {
        let first = "<d><a x='1'/><c><e f='1'/></c><g>1</g></d>";
        let second = "<d><a x='2'/><a y='3'><z/></a><g>2</g></d>";
        assert_eq!(
            shown(first, second),
            [
                "/d/a/@x differs",
                "/d/a[2] is new",
                "/d/c is gone",
                "/d/g differs",
            ]
        );
    }

    #[test]
    fn sections_are_what_a_setting_touches() {
        for (path, expected) in [
            ("/domain/cputune/vcpupin[2]/@cpuset", "domain/cputune"),
            ("/domain/devices/disk[3]/target", "domain/devices/disk"),
            ("/domain/iothreads", "domain/iothreads"),
            ("/domain/metadata/a:b[2]/c", "domain/metadata/a:b"),
        ] {
            assert_eq!(section(path), expected);
        }
    }
}
