//! From what is wanted to the bytes that change.

use super::draft::{Draft, Old, Spot, Wishes};
use super::write::Writer;
use crate::definition::xml::chars::{
    BLANKS, escape_attribute, escape_text, is_blank,
};
use crate::definition::xml::element::Element;
use crate::definition::xml::style::{
    Style, line_indent, newline_after, newline_before,
};
use crate::definition::xml::tree::{Document, Id, Node, NodeKind};

/// A range of the text and what comes in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Splice {
    start: usize,
    end: usize,
    text: String,
}

const COMMENT_START: &str = "<!--";
const COMMENT_END: &str = "-->";

/// Puts the splices into the text.
pub(super) fn apply(text: &str, mut splices: Vec<Splice>) -> String {
    // At one point, what is inserted comes before what is replaced.
    splices.sort_by_key(|splice| (splice.start, splice.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for splice in splices {
        // Blanks between two removed elements belong to both, and what is
        // within a removed element has gone with it.
        let start = splice.start.max(done);
        out.push_str(&text[done..start]);
        out.push_str(&splice.text);
        done = splice.end.max(start);
    }
    out.push_str(&text[done..]);
    out
}

/// Returns what changes in the text; nothing where all is as wanted.
pub(super) fn splices(draft: &Draft<'_>, style: &Style) -> Vec<Splice> {
    let writer = Writer { draft, style };
    let mut splicer =
        Splicer { document: draft.document, writer, splices: Vec::new() };
    for (&id, old) in &draft.old {
        splicer.element(id, old);
    }
    splicer.splices
}

struct Splicer<'a> {
    document: &'a Document,
    writer: Writer<'a>,
    splices: Vec<Splice>,
}

impl<'a> Splicer<'a> {
    fn splice(&mut self, start: usize, end: usize, text: impl Into<String>) {
        self.splices.push(Splice { start, end, text: text.into() });
    }

    fn element(&mut self, id: Id, old: &Old) {
        if old.removed {
            return self.removal(id);
        }
        self.attributes(id, &old.wishes);
        if self.loses_content(id, &old.wishes) {
            self.collapse(id);
        } else if let Some(text) = &old.wishes.text {
            self.text(id, text.as_deref().unwrap_or_default());
        } else if !old.wishes.children.is_empty() {
            self.children(id, &old.wishes.children);
        }
    }

    /// Removes an element with its line, if it has one of its own.
    fn removal(&mut self, id: Id) {
        let text = &self.document.text;
        let data = self.document.element(id);
        let (start, end) = (data.span().start(), data.span().end());
        let mixed = data
            .parent
            .is_some_and(|p| Element::new(self.document, p).has_text());
        let blank = |c: char| c == ' ' || c == '\t';
        let before = text[..start].trim_end_matches(blank).len();
        let after = text.len() - text[end..].trim_start_matches(blank).len();
        let starts = newline_before(text, start);
        let ends = newline_after(text, end);
        let (start, end) = match (starts, ends) {
            _ if mixed => (start, end),
            (Some(starts), Some(ends)) => (starts, ends),
            (Some(_), None) => (start, after),
            (None, Some(_)) => (before, end),
            // Between two neighbours one gap stays.
            (None, None) if after > end => (before, end),
            (None, None) => (start, end),
        };
        self.splice(start, end, "");
    }

    /// Returns whether an element that had content shall have none.
    fn loses_content(&self, id: Id, wishes: &Wishes) -> bool {
        let wanted = wishes.text.as_ref().and_then(Option::as_deref);
        if !wishes.children.is_empty() || wanted.is_some_and(|t| !t.is_empty())
        {
            return false;
        }
        let document = self.document;
        let old = &self.writer.draft.old;
        let removes_text = wishes.text.is_some()
            && !Element::new(document, id).text().is_empty();
        let loses = |kind| match kind {
            NodeKind::Element(child) => {
                old.get(&child).is_some_and(|old| old.removed)
            }
            NodeKind::Text | NodeKind::CData => removes_text,
            NodeKind::Comment => false,
        };
        let layout = |node: &Node| {
            node.kind == NodeKind::Text && is_blank(document.slice(node.span))
        };
        let nodes = document.nodes(id);
        nodes.iter().any(|node| loses(node.kind))
            && nodes.iter().all(|node| loses(node.kind) || layout(node))
    }

    /// Writes an element without content as one tag.
    fn collapse(&mut self, id: Id) {
        let data = self.document.element(id);
        let Some(close) = data.close else { return };
        let start = data.open.end() - 1;
        let spaced = self.document.text[..start].ends_with(BLANKS);
        let tail = if spaced { "/" } else { self.writer.style.empty };
        self.splice(start, close.end(), format!("{tail}>"));
    }

    fn attributes(&mut self, id: Id, wishes: &Wishes) {
        let document = self.document;
        let element = Element::new(document, id);
        let mut last = document.element(id).name;
        let mut blanks = " ";
        for attribute in document.attributes(id) {
            blanks = &document.text[last.end()..attribute.span().start()];
            last = attribute.span();
        }
        let mut added = String::new();
        for (name, uri) in &wishes.declarations {
            self.writer.attribute(name, uri, blanks, &mut added);
        }
        for wish in &wishes.attributes {
            match (element.attribute_data(&wish.name), &wish.to) {
                (Some(there), Some(value)) => {
                    if element.attribute(&wish.name).as_ref().map(AsRef::as_ref)
                        != Some(value.as_str())
                    {
                        let end = there.value.end();
                        let quote = document.text[end..].starts_with('"');
                        let quote = if quote { '"' } else { '\'' };
                        let raw = escape_attribute(value, quote);
                        self.splice(there.value.start(), end, raw);
                    }
                }
                (Some(there), None) => {
                    let before = &document.text[..there.span().start()];
                    let start = before.trim_end_matches(BLANKS).len();
                    self.splice(start, there.span().end(), "");
                }
                (None, Some(value)) => {
                    let name = &wish.written;
                    self.writer.attribute(name, value, blanks, &mut added);
                }
                (None, None) => {}
            }
        }
        if !added.is_empty() {
            self.splice(last.end(), last.end(), added);
        }
    }

    fn text(&mut self, id: Id, wanted: &str) {
        let document = self.document;
        if Element::new(document, id).text() == wanted {
            return;
        }
        let mut raw = escape_text(wanted, self.writer.style.newline);
        let mut placed = false;
        for node in document.nodes(id) {
            if matches!(node.kind, NodeKind::Text | NodeKind::CData) {
                let raw = std::mem::take(&mut raw);
                self.splice(node.span.start(), node.span.end(), raw);
                placed = true;
            }
        }
        if !placed {
            self.content(id, raw);
        }
    }

    /// Gives content to an element that has none.
    fn content(&mut self, id: Id, content: String) {
        let data = self.document.element(id);
        if let Some(close) = data.close {
            let start = match self.document.nodes(id) {
                [only] if only.kind == NodeKind::Text => only.span.start(),
                _ => close.start(),
            };
            return self.splice(start, close.start(), content);
        }
        let tag = self.document.slice(data.open).trim_end_matches("/>");
        let start = data.open.start() + tag.trim_end_matches(BLANKS).len();
        let mut text = format!(">{content}");
        self.writer.close(self.document.slice(data.name), &mut text);
        self.splice(start, data.open.end(), text);
    }

    fn children(&mut self, id: Id, new: &[usize]) {
        let element = Element::new(self.document, id);
        let old = &self.writer.draft.old;
        let stay = element
            .children()
            .map(Element::id)
            .filter(|child| old.get(child).is_none_or(|old| !old.removed));
        let all = self.writer.arrange(&element.name(), stay, new);
        let spots: Vec<_> = all.iter().map(|sibling| sibling.item).collect();
        let is_old = |spot: &Spot| matches!(spot, Spot::Old(_));
        let Some(first) = spots.iter().position(is_old) else {
            return self.first_children(id, &spots);
        };
        if let (Spot::Old(before), leading @ [_, ..]) =
            (spots[first], &spots[..first])
        {
            let (at, indent) = self.before(before);
            self.insert(at, indent, leading);
        }
        for run in spots[first..].chunk_by(|_, next| !is_old(next)) {
            if let [Spot::Old(after), new @ ..] = run
                && !new.is_empty()
            {
                let (at, indent) = self.after(*after);
                self.insert(at, indent, new);
            }
        }
    }

    fn insert(&mut self, at: usize, indent: Option<&str>, new: &[Spot]) {
        let mut text = String::new();
        self.writer.children(new, indent, &mut text);
        self.splice(at, at, text);
    }

    /// Puts children into an element where no other child stays.
    fn first_children(&mut self, id: Id, new: &[Spot]) {
        let document = self.document;
        let text = &document.text;
        let own = document.indent(id).filter(|_| self.writer.style.lines);
        let data = document.element(id);
        let close = match (data.close, document.nodes(id)) {
            (Some(close), [first, ..])
                if text[first.span.start()..close.start()].contains('\n')
                    || !is_blank(document.slice(first.span)) =>
            {
                close.start()
            }
            _ => {
                let mut content = String::new();
                self.writer.block(new, own, &mut content);
                return self.content(id, content);
            }
        };
        match newline_before(text, close) {
            Some(at) => {
                let outer = line_indent(text, close).unwrap_or_default();
                let inner = format!("{outer}{}", self.writer.style.indent);
                self.insert(at, Some(&inner), new);
            }
            None => self.insert(close, None, new),
        }
    }

    /// Returns where a new sibling goes behind an old one, and its
    /// indentation: on a line of its own where the old one has one, behind a
    /// comment on that line.
    fn after(&self, id: Id) -> (usize, Option<&'a str>) {
        let text = &self.document.text;
        let span = self.document.element(id).span();
        let mut end = span.end();
        while let Some(comment) = text[end..]
            .trim_start_matches([' ', '\t'])
            .strip_prefix(COMMENT_START)
            && let Some(len) = comment.find(COMMENT_END)
        {
            end = text.len() - comment.len() + len + COMMENT_END.len();
        }
        match (line_indent(text, span.start()), newline_after(text, end)) {
            (Some(indent), Some(newline)) => (newline, Some(indent)),
            _ => (span.end(), None),
        }
    }

    /// Returns where a new sibling goes before an old one, and its
    /// indentation: above the comments that stand right above the old one.
    fn before(&self, id: Id) -> (usize, Option<&'a str>) {
        let text = &self.document.text;
        let data = self.document.element(id);
        let start = data.open.start();
        let Some(mut at) = newline_before(text, start) else {
            return (start, None);
        };
        let content = data
            .parent
            .map_or(0, |parent| self.document.element(parent).open.end());
        while let Some(above) = self.comment_above(content, at) {
            at = above;
        }
        (at, line_indent(text, start))
    }

    /// Returns where the line end before a comment starts that ends right
    /// before the line end `at` and has its lines for itself.
    fn comment_above(&self, content: usize, at: usize) -> Option<usize> {
        let text = &self.document.text;
        let head = text[content..at].trim_end_matches([' ', '\t']);
        let start = head.rfind(COMMENT_START)?;
        // A tag can end like a comment: `<a-->`.
        let end = head[start..].find(COMMENT_END)? + COMMENT_END.len();
        if start + end != head.len() {
            return None;
        }
        newline_before(text, content + start)
    }
}
