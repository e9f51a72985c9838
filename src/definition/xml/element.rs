//! A read-only view of one element.

use std::borrow::Cow;
use std::ops::Range;

use super::chars::{Raw, decode, is_blank};
use super::error::Place;
use super::scope::{matches, path_name};
use super::tree::{
    AttributeData, Document, ElementData, Id, Node, NodeKind, Span,
};
use crate::base::{Leaf, Predicate, Step, XmlPath};

/// An element of a document.
///
/// Names are those of paths: `qemu:` and `vmtune:` stand for their
/// namespaces whatever the document calls them, a bare name is in no
/// namespace, and any other prefix is taken as the document writes it.
#[derive(Clone, Copy)]
pub struct Element<'d> {
    document: &'d Document,
    id: Id,
}

impl<'d> Element<'d> {
    pub(super) fn new(document: &'d Document, id: Id) -> Self {
        Self { document, id }
    }

    pub(super) fn id(self) -> Id {
        self.id
    }

    fn data(self) -> &'d ElementData {
        self.document.element(self.id)
    }

    /// Returns the name: `vcpu`, `qemu:arg`.
    #[must_use]
    pub fn name(self) -> Cow<'d, str> {
        path_name(self.written_name(), self.data().space)
    }

    /// Returns the name as the document writes it.
    pub(super) fn written_name(self) -> &'d str {
        self.document.slice(self.data().name)
    }

    /// Returns whether a path's step of this name means the element.
    #[must_use]
    pub fn is(self, name: &str) -> bool {
        matches(name, self.written_name(), self.data().space)
    }

    /// Returns an attribute's value with references resolved.
    #[must_use]
    pub fn attribute(self, name: &str) -> Option<Cow<'d, str>> {
        Some(self.decoded(self.attribute_data(name)?.value))
    }

    /// Walks the attributes in document order: name and value. Namespace
    /// declarations are among them.
    pub fn attributes(
        self,
    ) -> impl Iterator<Item = (Cow<'d, str>, Cow<'d, str>)> {
        self.document.attributes(self.id).iter().map(move |a| {
            let name = path_name(self.document.slice(a.name), a.space);
            (name, self.decoded(a.value))
        })
    }

    pub(super) fn attribute_data(
        self,
        name: &str,
    ) -> Option<&'d AttributeData> {
        self.document
            .attributes(self.id)
            .iter()
            .find(|a| matches(name, self.document.slice(a.name), a.space))
    }

    fn decoded(self, value: Span) -> Cow<'d, str> {
        decode(self.document.slice(value), Raw::Attribute)
    }

    /// Returns the element's own text, with references resolved and without
    /// that of its children; blanks are kept.
    #[must_use]
    pub fn text(self) -> Cow<'d, str> {
        let mut text = Cow::Borrowed("");
        for node in self.document.nodes(self.id) {
            let raw = self.document.slice(node.span);
            let piece = match node.kind {
                NodeKind::Text => decode(raw, Raw::Text),
                NodeKind::CData => {
                    let inside = raw
                        .strip_prefix("<![CDATA[")
                        .and_then(|raw| raw.strip_suffix("]]>"));
                    decode(inside.unwrap_or_default(), Raw::CData)
                }
                NodeKind::Element(_) | NodeKind::Comment => continue,
            };
            if text.is_empty() {
                text = piece;
            } else {
                text.to_mut().push_str(&piece);
            }
        }
        text
    }

    /// Returns whether there is character data other than layout.
    pub(super) fn has_text(self) -> bool {
        self.document.nodes(self.id).iter().any(|node| match node.kind {
            NodeKind::Text => !is_blank(self.document.slice(node.span)),
            NodeKind::CData => true,
            NodeKind::Element(_) | NodeKind::Comment => false,
        })
    }

    /// Returns the bytes of an attribute's raw value, without its quotes.
    #[must_use]
    pub fn attribute_range(self, name: &str) -> Option<Range<usize>> {
        Some(self.attribute_data(name)?.value.range())
    }

    /// Walks the bytes of the element's own raw text, piece by piece.
    pub fn text_ranges(self) -> impl Iterator<Item = Range<usize>> {
        let texts = |node: &&Node| {
            matches!(node.kind, NodeKind::Text | NodeKind::CData)
        };
        let nodes = self.document.nodes(self.id).iter();
        nodes.filter(texts).map(|node| node.span.range())
    }

    /// Returns the element that this one is in; none for the root.
    #[must_use]
    pub fn parent(self) -> Option<Element<'d>> {
        Some(Self::new(self.document, self.data().parent?))
    }

    /// Walks the child elements in document order.
    pub fn children(self) -> impl Iterator<Item = Element<'d>> {
        self.document.nodes(self.id).iter().filter_map(move |node| {
            match node.kind {
                NodeKind::Element(id) => Some(Self::new(self.document, id)),
                _ => None,
            }
        })
    }

    /// Returns the first child of this name.
    #[must_use]
    pub fn child(self, name: &str) -> Option<Element<'d>> {
        self.children().find(|child| child.is(name))
    }

    /// Walks the children of this name in document order.
    pub fn children_named<'n>(
        self,
        name: &'n str,
    ) -> impl Iterator<Item = Element<'d>> + use<'d, 'n> {
        self.children().filter(move |child| child.is(name))
    }

    /// Returns the element as the document writes it, tags included.
    #[must_use]
    pub fn source(self) -> &'d str {
        self.document.slice(self.data().span())
    }

    /// Returns where the open tag starts.
    ///
    /// This and [`Element::attribute_place`] count lines from the start of
    /// the text: they are for messages.
    #[must_use]
    pub fn place(self) -> Place {
        self.document.place(self.data().open.start())
    }

    /// Returns where an attribute's name starts.
    #[must_use]
    pub fn attribute_place(self, name: &str) -> Option<Place> {
        let attribute = self.attribute_data(name)?;
        Some(self.document.place(attribute.name.start()))
    }

    /// Returns a path that means this element and no other.
    ///
    /// A step has a position where siblings share the name. Elements of a
    /// default namespace that is not ours have a path, but none finds them.
    #[must_use]
    pub fn path(self) -> XmlPath {
        let mut steps = Vec::new();
        let mut next = Some(self);
        while let Some(element) = next {
            next = element.parent();
            steps.push(element.step());
        }
        steps.reverse();
        XmlPath { steps, leaf: Leaf::Element }
    }

    fn step(self) -> Step {
        let name = self.name().into_owned();
        let mut predicates = Vec::new();
        if let Some(parent) = self.parent() {
            let (mut own, mut all) = (0, 0);
            for sibling in parent.children_named(&name) {
                all += 1;
                if sibling.id <= self.id {
                    own = all;
                }
            }
            if all > 1 {
                predicates.push(Predicate::Position(own));
            }
        }
        Step { name, predicates }
    }
}

impl std::fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Element({})", self.path())
    }
}
