//! Paths to elements and values.

use std::borrow::Cow;

use super::element::Element;
use super::tree::Document;
use crate::base::{Leaf, Predicate, Step, XmlPath};

impl Document {
    /// Returns the first element that a path leads to; with an attribute or
    /// a text as its leaf, the element that would have it.
    #[must_use]
    pub fn find(&self, path: &XmlPath) -> Option<Element<'_>> {
        self.find_all(path).into_iter().next()
    }

    /// Returns all elements that a path leads to, in document order.
    #[must_use]
    pub fn find_all(&self, path: &XmlPath) -> Vec<Element<'_>> {
        let Some((first, rest)) = path.steps.split_first() else {
            return Vec::new();
        };
        let root = std::iter::once(self.root());
        let mut found = select(root.filter(|r| r.is(&first.name)), first);
        for step in rest {
            found = found
                .into_iter()
                .flat_map(|e| select(e.children_named(&step.name), step))
                .collect();
        }
        found
    }

    /// Returns what a path means: an attribute's value, an element's text;
    /// for an element itself, its text too.
    #[must_use]
    pub fn value(&self, path: &XmlPath) -> Option<Cow<'_, str>> {
        let element = self.find(path)?;
        match &path.leaf {
            Leaf::Attribute(name) => element.attribute(name),
            Leaf::Element | Leaf::Text => Some(element.text()),
        }
    }
}

/// Keeps the siblings that the predicates let through, one after the other:
/// a position counts what the predicates before it have left.
fn select<'d>(
    siblings: impl Iterator<Item = Element<'d>>,
    step: &Step,
) -> Vec<Element<'d>> {
    let mut found: Vec<_> = siblings.collect();
    for predicate in &step.predicates {
        match predicate {
            Predicate::Attribute(name, value) => found.retain(|element| {
                element.attribute(name).is_some_and(|v| v == *value)
            }),
            Predicate::Position(n) => {
                let kept = n.checked_sub(1).and_then(|n| found.get(n)).copied();
                found = kept.into_iter().collect();
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(xml: &str, path: &str) -> Option<String> {
        let document = Document::parse(xml).unwrap();
        let path = path.parse().unwrap();
        document.value(&path).map(Cow::into_owned)
    }

    #[test]
    fn paths_lead_to_values() {
        let xml = "<d><p v='0' c='a'/><p v='1' c='b'/><t>x&lt;y</t></d>";
        for (path, found) in [
            ("/d/p[@v='1']/@c", Some("b")),
            ("/d/p[2]/@c", Some("b")),
            ("/d/p[@c='b'][1]/@v", Some("1")),
            ("/d/p[@c='b'][2]/@v", None),
            ("/d/t/text()", Some("x<y")),
            ("/e/t/text()", None),
            ("/d/q", None),
        ] {
            assert_eq!(value(xml, path).as_deref(), found, "{path}");
        }
    }

    #[test]
    fn namespaces_are_uris() {
        let uri = super::super::QEMU_URI;
        let xml = format!("<d xmlns:f='{uri}'><f:c><f:a v='1'/></f:c></d>");
        assert_eq!(value(&xml, "/d/qemu:c/qemu:a/@v").unwrap(), "1");
        assert_eq!(value(&xml, "/d/c"), None);
        let xml = "<d xmlns:qemu='urn:other'><qemu:c/><c xmlns='urn:x'/></d>";
        assert_eq!(value(xml, "/d/qemu:c"), None);
        assert_eq!(value(xml, "/d/c"), None);
    }

    #[test]
    fn every_element_has_a_path_of_its_own() {
        let xml = "<d><a/><b/><a><c/><c/></a></d>";
        let document = Document::parse(xml).unwrap();
        let second = document.root().children().nth(2).unwrap();
        let inner = second.children().nth(1).unwrap();
        assert_eq!(inner.path().to_string(), "/d/a[2]/c[2]");
        assert_eq!(document.find(&inner.path()).unwrap().id(), inner.id());
    }
}
