//! How a document is laid out, so that new text looks like its own.

use std::collections::BTreeMap;

use super::chars::is_blank;
use super::tree::{Document, Id, NodeKind};

/// A document's habits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Style {
    /// Whether elements have lines of their own.
    pub(super) lines: bool,
    /// `\n` or `\r\n`.
    pub(super) newline: &'static str,
    /// What one level is indented by.
    pub(super) indent: String,
    /// The quote around attribute values.
    pub(super) quote: char,
    /// What stands before the `>` of an element without content.
    pub(super) empty: &'static str,
}

impl Style {
    /// Finds what most of the document does; where it says nothing, what
    /// libvirt does.
    pub(super) fn of(document: &Document) -> Self {
        let lines = document.nodes.iter().any(|node| {
            let text = document.slice(node.span);
            node.kind == NodeKind::Text && is_blank(text) && text.contains('\n')
        });
        let all = document.text.matches('\n').count();
        let crlf = document.text.matches("\r\n").count();
        let (mut single, mut double) = (0, 0);
        for attribute in &document.attributes {
            match document.text.as_bytes()[attribute.value.end()] {
                b'"' => double += 1,
                _ => single += 1,
            }
        }
        let (mut tight, mut spaced) = (0, 0);
        for element in document.elements.iter().filter(|e| e.close.is_none()) {
            match document.slice(element.open).ends_with(" />") {
                true => spaced += 1,
                false => tight += 1,
            }
        }
        Self {
            lines,
            newline: if 2 * crlf > all { "\r\n" } else { "\n" },
            indent: indent(document),
            quote: if double > single { '"' } else { '\'' },
            empty: if spaced > tight { " /" } else { "/" },
        }
    }
}

/// Returns the most frequent difference in indentation between an element
/// and its parent.
fn indent(document: &Document) -> String {
    let mut found = BTreeMap::<&str, usize>::new();
    for element in &document.elements {
        let Some(parent) = element.parent else { continue };
        let parent = document.element(parent).open.start();
        let own = line_indent(&document.text, element.open.start());
        let outer = line_indent(&document.text, parent);
        let (Some(own), Some(outer)) = (own, outer) else { continue };
        match own.strip_prefix(outer) {
            Some("") | None => {}
            Some(more) => *found.entry(more).or_default() += 1,
        }
    }
    let most = found.into_iter().max_by_key(|&(_, count)| count);
    most.map_or("  ", |(more, _)| more).to_owned()
}

/// Returns the blanks between the start of the line and this byte; none
/// where anything else stands there.
pub(super) fn line_indent(text: &str, at: usize) -> Option<&str> {
    let before = &text[..at];
    let blanks = before.trim_end_matches([' ', '\t']).len();
    let starts = match before[..blanks].chars().next_back() {
        None | Some('\n' | super::error::BOM) => true,
        Some(_) => false,
    };
    starts.then(|| &before[blanks..])
}

/// Returns where the line end before this byte starts, if only blanks are
/// between the two.
pub(super) fn newline_before(text: &str, at: usize) -> Option<usize> {
    let line = at - line_indent(text, at)?.len();
    let before = text[..line].strip_suffix('\n')?;
    Some(before.strip_suffix('\r').unwrap_or(before).len())
}

/// Returns where the line end behind this byte starts, if only blanks are
/// between the two.
pub(super) fn newline_after(text: &str, at: usize) -> Option<usize> {
    let rest = text[at..].trim_start_matches([' ', '\t']);
    let ends = rest.starts_with('\n') || rest.starts_with("\r\n");
    ends.then(|| text.len() - rest.len())
}

impl Document {
    /// Returns the indentation of an element that starts a line.
    pub(super) fn indent(&self, id: Id) -> Option<&str> {
        line_indent(&self.text, self.element(id).open.start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(xml: &str) -> Style {
        Style::of(&Document::parse(xml).unwrap())
    }

    #[test]
    fn habits_are_found() {
        let style =
            style("<d>\r\n\t<a x=\"1\" />\r\n\t<b>\r\n\t\t<c/>\r\n\t</b></d>");
        assert!(style.lines);
        assert_eq!((style.newline, style.indent.as_str()), ("\r\n", "\t"));
        assert_eq!((style.quote, style.empty), ('"', "/"));
    }

    #[test]
    fn libvirt_is_the_default() {
        let style = style("<d/>\n");
        assert!(!style.lines);
        assert_eq!((style.newline, style.indent.as_str()), ("\n", "  "));
        assert_eq!((style.quote, style.empty), ('\'', "/"));
    }

    #[test]
    fn lines_are_found() {
        let text = "<a/> \r\n  <b/>c";
        assert_eq!(newline_before(text, 9), Some(5));
        assert_eq!(newline_after(text, 4), Some(5));
        assert_eq!(line_indent(text, 9), Some("  "));
        assert_eq!(newline_after(text, 13), None);
        assert_eq!(newline_before(text, 0), None);
    }
}
