//! One open tag: its name and its attributes, with their spans.

use super::chars::{BLANKS, check_references, is_qualified_name};
use super::error::XmlProblem;
use super::tree::Span;

/// An open tag, taken apart.
pub(super) struct Tag {
    pub(super) name: Span,
    /// Name and raw value of each attribute.
    pub(super) attributes: Vec<(Span, Span)>,
}

/// Takes a tag apart; `start` is where its `<` stands in the text, `inside`
/// what is between `<` and `>` or `/>`.
///
/// quick-xml finds where a tag ends, but takes names and attributes as they
/// come; the grammar is held here.
pub(super) fn scan(
    start: usize,
    inside: &str,
) -> Result<Tag, (usize, XmlProblem)> {
    let mut tag = Cursor { text: inside, at: 0, base: start + 1 };
    let name = tag.name()?;
    let mut attributes = Vec::new();
    loop {
        let blanks = tag.skip_blanks();
        if tag.at == inside.len() {
            return Ok(Tag { name, attributes });
        }
        if blanks == 0 {
            return Err(tag.bad("a space before an attribute"));
        }
        attributes.push(tag.attribute()?);
    }
}

struct Cursor<'t> {
    text: &'t str,
    at: usize,
    /// Where the text stands in the document.
    base: usize,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn bad(&self, expected: &'static str) -> (usize, XmlProblem) {
        (self.base + self.at, XmlProblem::Tag(expected))
    }

    /// Takes `len` bytes and returns their span in the document.
    fn take(&mut self, len: usize) -> Span {
        let start = self.base + self.at;
        self.at += len;
        Span::new(start, start + len)
    }

    fn skip_blanks(&mut self) -> usize {
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start_matches(BLANKS).len();
        self.at += blanks;
        blanks
    }

    fn name(&mut self) -> Result<Span, (usize, XmlProblem)> {
        let rest = self.rest();
        let ends = |c: char| BLANKS.contains(&c) || "=/<>'\"".contains(c);
        let name = &rest[..rest.find(ends).unwrap_or(rest.len())];
        if !is_qualified_name(name) {
            let shown = name.chars().take(60).collect();
            return Err((self.base + self.at, XmlProblem::Name(shown)));
        }
        Ok(self.take(name.len()))
    }

    fn attribute(&mut self) -> Result<(Span, Span), (usize, XmlProblem)> {
        let name = self.name()?;
        self.skip_blanks();
        if !self.rest().starts_with('=') {
            return Err(self.bad("= after the name of an attribute"));
        }
        self.at += 1;
        self.skip_blanks();
        let first = self.rest().chars().next();
        let Some(quote @ ('\'' | '"')) = first else {
            return Err(self.bad("a quoted value"));
        };
        self.at += 1;
        let Some(len) = self.rest().find(quote) else {
            return Err(self.bad("the closing quote"));
        };
        let raw = &self.rest()[..len];
        if let Some(at) = raw.find('<') {
            self.at += at;
            return Err(self.bad("&lt; for < in a value"));
        }
        check_references(raw)
            .map_err(|(at, problem)| (self.base + self.at + at, problem))?;
        let value = self.take(len);
        self.at += 1;
        Ok((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_spans() {
        let text = "<a x='1'\n y = \"<'\" >".replace('<', "&lt;");
        let text = text.replacen("&lt;", "<", 1);
        let tag = scan(0, &text[1..text.len() - 1]).ok().unwrap();
        let slice = |s: Span| &text[s.start()..s.end()];
        assert_eq!(slice(tag.name), "a");
        let [x, y] = tag.attributes[..] else { panic!("two attributes") };
        assert_eq!((slice(x.0), slice(x.1)), ("x", "1"));
        assert_eq!((slice(y.0), slice(y.1)), ("y", "&lt;'"));
    }

    #[test]
    fn malformed_tags_are_refused() {
        for inside in [
            "",
            " a",
            "a/ ",
            "1a",
            "a x",
            "a x=",
            "a x=1",
            "a x='1",
            "a x='<'",
            "a x='1'y='2'",
            "a x='&'",
            "a x:='1'",
            "a 'x'",
        ] {
            assert!(scan(0, inside).is_err(), "{inside:?}");
        }
    }
}
