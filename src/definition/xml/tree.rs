//! A document as a flat tree of byte spans over its own text.

use super::element::Element;
use super::error::Place;
use super::scope::Space;

/// A parsed XML document that keeps every byte of its text.
#[derive(Debug, Clone)]
pub struct Document {
    pub(super) text: String,
    /// All elements in document order, the root first, so that the
    /// descendants of an element are a range.
    pub(super) elements: Vec<ElementData>,
    /// The attributes, element by element.
    pub(super) attributes: Vec<AttributeData>,
    /// The contents, each element's own nodes side by side.
    pub(super) nodes: Vec<Node>,
}

impl Document {
    /// Longest text in bytes: libvirt's own limit for a string in a call
    /// (REMOTE_STRING_MAX), so no larger definition reaches a daemon.
    pub const MAX_LEN: usize = 4 * 1024 * 1024;

    /// Deepest nesting of elements. Definitions use about a dozen levels;
    /// libxml2 stops at 256.
    pub const MAX_DEPTH: usize = 128;

    /// Returns the text that was parsed, byte for byte.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the root element.
    #[must_use]
    pub fn root(&self) -> Element<'_> {
        Element::new(self, Id::ROOT)
    }

    /// Returns how many comments there are within the root element; an
    /// instruction counts as one.
    #[must_use]
    pub fn comments(&self) -> usize {
        let nodes = self.nodes.iter();
        nodes.filter(|node| node.kind == NodeKind::Comment).count()
    }

    pub(super) fn slice(&self, span: Span) -> &str {
        &self.text[span.range()]
    }

    pub(super) fn element(&self, id: Id) -> &ElementData {
        &self.elements[id.index()]
    }

    /// Returns an element's own nodes: elements, texts, comments.
    pub(super) fn nodes(&self, id: Id) -> &[Node] {
        let span = self.element(id).nodes;
        &self.nodes[span.range()]
    }

    pub(super) fn attributes(&self, id: Id) -> &[AttributeData] {
        let span = self.element(id).attributes;
        &self.attributes[span.range()]
    }

    pub(super) fn place(&self, byte: usize) -> Place {
        Place::of(&self.text, byte)
    }
}

/// An element's number in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u32);

impl Id {
    pub(super) const ROOT: Self = Self(0);

    pub(super) fn new(index: usize) -> Self {
        Self(narrow(index))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A range of bytes, or of entries in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: narrow(start), end: narrow(end) }
    }

    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.start()..self.end()
    }
}

/// Narrows an offset; [`Document::MAX_LEN`] keeps all of them small.
fn narrow(offset: usize) -> u32 {
    debug_assert!(offset <= Document::MAX_LEN);
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// An element's spans and its place in the tree.
#[derive(Debug, Clone)]
pub(super) struct ElementData {
    pub(super) parent: Option<Id>,
    /// The id after its last descendant.
    pub(super) next: Id,
    pub(super) space: Space,
    /// The name as written, with its prefix.
    pub(super) name: Span,
    /// The open tag, from `<` to after `>`.
    pub(super) open: Span,
    /// The close tag; none where the open tag closes itself.
    pub(super) close: Option<Span>,
    /// Into [`Document::attributes`].
    pub(super) attributes: Span,
    /// Into [`Document::nodes`].
    pub(super) nodes: Span,
}

impl ElementData {
    /// Returns the whole element, tags included.
    pub(super) fn span(&self) -> Span {
        Span {
            start: self.open.start,
            end: self.close.unwrap_or(self.open).end,
        }
    }
}

/// An attribute's spans.
#[derive(Debug, Clone)]
pub(super) struct AttributeData {
    pub(super) space: Space,
    /// The name as written, with its prefix.
    pub(super) name: Span,
    /// The raw value without its quotes.
    pub(super) value: Span,
}

impl AttributeData {
    /// Returns name, sign and value with its quotes.
    pub(super) fn span(&self) -> Span {
        Span { start: self.name.start, end: self.value.end + 1 }
    }
}

/// A piece of an element's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) span: Span,
}

/// What a piece of content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    Element(Id),
    /// Character data with references.
    Text,
    CData,
    /// A comment or a processing instruction.
    Comment,
}
