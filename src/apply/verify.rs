//! Whether what was planned is what the hypervisor, or Proxmox, gives back.
//!
//! libvirt rewrites what it is given: order, quotes, units, lists of CPUs. So
//! values are compared, not texts, and only where the plan changed something.

use std::fmt;

use super::meaning::same;
use crate::base::{Bytes, Leaf, Predicate, XmlPath};
use crate::definition::xml::{Document, Element};
use crate::definition::{Parsed, SyntaxError};
use crate::model::{Change, Target};

/// A change that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The place.
    pub target: Target,
    /// What the plan wants; `None` where nothing shall stand there.
    pub wanted: Option<String>,
    /// What stands there.
    pub found: Option<String>,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<String>| match value {
            Some(value) => format!("{value:?}"),
            None => "nothing".into(),
        };
        let (wanted, found) = (show(&self.wanted), show(&self.found));
        write!(f, "{} (planned {wanted}, found {found})", self.target)
    }
}

/// Returns the changes that do not hold in `given`, the definition as it is
/// there now, after `written` was written.
///
/// # Errors
/// When a text is no definition.
pub fn misses<'p>(
    written: &str,
    given: &str,
    changes: impl IntoIterator<Item = &'p Change>,
) -> Result<Vec<Miss>, SyntaxError> {
    let written = Parsed::read(written)?;
    let given = Parsed::read(given)?;
    let mut missed = Vec::new();
    for change in changes.into_iter().filter(|one| one.target.is_of_vm()) {
        let to = change.to.as_deref();
        let judged = match (&written, &given, &change.target) {
            (
                Parsed::Xml(written),
                Parsed::Xml(given),
                Target::Definition(target),
            ) if has_position(target) => by_order(written, given, target, to),
            (
                Parsed::Xml(written),
                Parsed::Xml(given),
                Target::Definition(target),
            ) => by_path(written, given, target, to),
            (_, given, target) => by_value(given, target, to),
        };
        if let Err(found) = judged {
            missed.push(Miss {
                target: change.target.clone(),
                wanted: change.to.clone(),
                found,
            });
        }
    }
    Ok(missed)
}

/// Judges a key, or a property of one.
fn by_value(
    given: &Parsed,
    target: &Target,
    to: Option<&str>,
) -> Result<(), Option<String>> {
    let found = given.value(target);
    match (to, &found) {
        (None, None) => Ok(()),
        (Some(wanted), Some(found)) if same(wanted, found) => Ok(()),
        _ => Err(found),
    }
}

fn has_position(path: &XmlPath) -> bool {
    let predicates = path.steps.iter().flat_map(|step| &step.predicates);
    predicates.into_iter().any(|one| matches!(one, Predicate::Position(_)))
}

/// Judges a path that means the same place in both documents.
fn by_path(
    written: &Document,
    given: &Document,
    target: &XmlPath,
    to: Option<&str>,
) -> Result<(), Option<String>> {
    let found = given.find(target);
    let value = found.and_then(|element| leaf(element, target));
    let holds = match (to, &value) {
        (None, None) => true,
        (Some(_), Some(_)) if target.leaf == Leaf::Element => true,
        (Some(wanted), Some(value)) => {
            same(wanted, value)
                || same_amount(written.find(target), found, &target.leaf)
        }
        _ => false,
    };
    if holds { Ok(()) } else { Err(value) }
}

/// Judges a path with positions. These count in the document before the
/// edit, so all places of the path's pattern are compared in their order;
/// what the hypervisor has added comes behind.
fn by_order(
    written: &Document,
    given: &Document,
    target: &XmlPath,
    to: Option<&str>,
) -> Result<(), Option<String>> {
    let mut pattern = target.clone();
    for step in &mut pattern.steps {
        step.predicates.clear();
    }
    let values = |document: &Document| -> Vec<Option<String>> {
        let all = document.find_all(&pattern).into_iter();
        all.map(|element| leaf(element, target)).collect()
    };
    let (wanted, found) = (values(written), values(given));
    let agree = |(a, b): (&Option<String>, &Option<String>)| match (a, b) {
        (Some(a), Some(b)) => target.leaf == Leaf::Element || same(a, b),
        (None, None) => true,
        _ => false,
    };
    let mut pairs = wanted.iter().zip(&found);
    let enough = found.len() >= wanted.len();
    // An element that came back behind the others was not removed.
    let removed = to.is_some()
        || target.leaf != Leaf::Element
        || found.len() == wanted.len();
    if let Some((_, other)) = pairs.find(|(a, b)| !agree((a, b))) {
        return Err(other.clone());
    }
    match (enough, removed) {
        (true, true) => Ok(()),
        (false, _) => Err(None),
        (true, false) => Err(Some(String::new())),
    }
}

/// Returns what a path means of an element: for the element itself the empty
/// string, for a text that is empty nothing.
fn leaf(element: Element<'_>, path: &XmlPath) -> Option<String> {
    match &path.leaf {
        Leaf::Element => Some(String::new()),
        Leaf::Attribute(name) => element.attribute(name).map(Into::into),
        Leaf::Text => {
            let text = element.text();
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        }
    }
}

/// Returns whether two elements hold the same amount of memory, each in its
/// own unit, and the leaf is a part of that amount.
fn same_amount(
    a: Option<Element<'_>>,
    b: Option<Element<'_>>,
    part: &Leaf,
) -> bool {
    let amount = |element: Option<Element<'_>>| {
        let unit = element?.attribute("unit")?;
        Bytes::with_unit(element?.text().trim(), Some(&unit)).ok()
    };
    let is_part = match part {
        Leaf::Text => true,
        Leaf::Attribute(name) => name == "unit",
        Leaf::Element => false,
    };
    is_part && amount(a).is_some_and(|a| amount(b) == Some(a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stage;

    fn change(target: &str, to: Option<&str>) -> Change {
        Change {
            rule: "test".into(),
            vm: None,
            target: match target.starts_with('/') {
                true => Target::Definition(target.parse().unwrap()),
                false => Target::Conf(target.parse().unwrap()),
            },
            from: None,
            to: to.map(Into::into),
            because: String::new(),
            stage: Stage::VmStart,
            trade: None,
        }
    }

    /// Says what is missed when libvirt makes `given` of `written`.
    fn missed(
        written: &str,
        given: &str,
        target: &str,
        to: Option<&str>,
    ) -> Vec<String> {
        let changes = [change(target, to)];
        let missed = misses(written, given, &changes).unwrap();
        missed.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn values_are_compared_by_meaning() {
        for (written, given, target, to) in [
            ("<d><p s='1,0'/></d>", "<d><p s='0-1'/></d>", "/d/p/@s", "1,0"),
            ("<d><p s='10'/></d>", "<d><p s='0x0a'/></d>", "/d/p/@s", "10"),
            (
                "<d><m unit='MiB'>2</m></d>",
                "<d><m unit='KiB'>2048</m></d>",
                "/d/m/text()",
                "2",
            ),
            (
                "<d><m unit='MiB'>2</m></d>",
                "<d><m unit='KiB'>2048</m></d>",
                "/d/m/@unit",
                "MiB",
            ),
            ("<d><p/></d>", "<d><p x='1'/></d>", "/d/p", ""),
        ] {
            let missed = missed(written, given, target, Some(to));
            assert!(missed.is_empty(), "{missed:?}");
        }
    }

    #[test]
    fn what_was_dropped_is_missed() {
        let written = "<d><p s='1'/></d>";
        assert_eq!(
            missed(written, "<d/>", "/d/p/@s", Some("1")),
            ["/d/p/@s (planned \"1\", found nothing)"]
        );
        assert_eq!(
            missed(written, "<d><p s='2'/></d>", "/d/p/@s", Some("1")),
            ["/d/p/@s (planned \"1\", found \"2\")"]
        );
        assert_eq!(
            missed("<d/>", written, "/d/p", None),
            ["/d/p (planned nothing, found \"\")"]
        );
    }

    #[test]
    fn keys_of_proxmox_are_compared_by_meaning() {
        let written = "affinity: 1,0\nnuma0: cpus=0,memory=512\n";
        let given = "affinity: 0-1\nnuma0: memory=512,cpus=0\n";
        for (target, to) in [
            ("affinity", Some("1,0")),
            ("numa0/memory", Some("512")),
            ("balloon", None),
        ] {
            assert!(missed(written, given, target, to).is_empty(), "{target}");
        }
        assert_eq!(
            missed(written, given, "numa0/policy", Some("bind")),
            ["numa0/policy (planned \"bind\", found nothing)"]
        );
        assert_eq!(
            missed(written, given, "numa0/cpus", Some("1")),
            ["numa0/cpus (planned \"1\", found \"0\")"]
        );
        assert_eq!(
            missed(written, given, "affinity", None),
            ["affinity (planned nothing, found \"0-1\")"]
        );
    }

    #[test]
    fn positions_count_before_the_edit() {
        // The second of three was removed; libvirt may add one behind.
        let written = "<d><c m='a'/><c m='c'/></d>";
        assert!(missed(written, written, "/d/c[2]", None).is_empty());
        let back = "<d><c m='a'/><c m='c'/><c m='b'/></d>";
        assert_eq!(missed(written, back, "/d/c[2]", None).len(), 1);
        // The third was changed and is the second now.
        assert!(missed(written, back, "/d/c[3]/@m", Some("c")).is_empty());
        let other = "<d><c m='a'/><c m='x'/></d>";
        assert_eq!(missed(written, other, "/d/c[3]/@m", Some("c")).len(), 1);
        assert_eq!(missed(written, "<d/>", "/d/c[3]/@m", Some("c")).len(), 1);
    }
}
