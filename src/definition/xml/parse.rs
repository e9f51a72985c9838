//! Text to tree: quick-xml finds the tokens, this module holds the grammar.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::chars::{
    BLANKS, Raw, check_references, decode, is_allowed, is_blank, is_name,
    is_qualified_name,
};
use super::error::{BOM, Place, XmlError, XmlProblem};
use super::scope::{Scope, Space, declared_prefix, split};
use super::tag;
use super::tree::{
    AttributeData, Document, ElementData, Id, Node, NodeKind, Span,
};

impl Document {
    /// Parses a definition.
    ///
    /// Takes time and memory linear in the text, whatever it holds.
    ///
    /// # Errors
    ///
    /// Refuses what is not well-formed with namespaces, what is larger than
    /// [`Document::MAX_LEN`] or deeper than [`Document::MAX_DEPTH`], a
    /// declared encoding other than UTF-8, and a document type that could
    /// declare entities. Only the predefined entities are known.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        parse(text).map_err(|(byte, problem)| XmlError {
            place: Place::of(text, byte),
            problem,
        })
    }
}

/// A problem and the byte where it is.
type Failure = (usize, XmlProblem);

fn parse(text: &str) -> Result<Document, Failure> {
    if text.len() > Document::MAX_LEN {
        let limit = Document::MAX_LEN;
        return Err((0, XmlProblem::TooLarge { limit }));
    }
    // quick-xml drops a byte-order mark and does not count it.
    let body = text.strip_prefix(BOM).unwrap_or(text);
    let base = text.len() - body.len();
    if body.starts_with(BOM) {
        return Err((base, XmlProblem::OutsideRoot));
    }
    if let Some((at, c)) = body.char_indices().find(|(_, c)| !is_allowed(*c)) {
        return Err((base + at, XmlProblem::Character(c)));
    }
    let mut parser = Parser::new(text);
    let mut reader = Reader::from_str(body);
    let mut start = base;
    loop {
        let event = reader.read_event().map_err(|error| {
            let at = usize::try_from(reader.error_position()).unwrap_or(0);
            (base + at, XmlProblem::Syntax(error.to_string()))
        })?;
        let end = usize::try_from(reader.buffer_position())
            .map_or(text.len(), |end| base + end);
        let span = Span::new(start, end);
        match event {
            Event::Eof => return parser.finish(),
            Event::Start(_) => parser.open(span, false)?,
            Event::Empty(_) => parser.open(span, true)?,
            Event::End(_) => parser.close(span)?,
            Event::Text(_) | Event::GeneralRef(_) => parser.text(span)?,
            Event::CData(_) => parser.cdata(span)?,
            Event::Comment(_) => parser.comment(span)?,
            Event::PI(_) => parser.instruction(span)?,
            Event::Decl(_) => parser.declaration(span, base)?,
            Event::DocType(_) => parser.doctype(span)?,
        }
        start = end;
    }
}

struct Parser<'t> {
    text: &'t str,
    document: Document,
    /// The elements that are open, the root first.
    open: Vec<Open>,
    /// The nodes of the elements that are open, outermost first.
    pending: Vec<Node>,
    scope: Scope<'t>,
    doctype: bool,
}

struct Open {
    id: Id,
    /// Where its nodes start in `pending`.
    nodes: usize,
    /// What to go back to in `scope`.
    scope: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        let document = Document {
            text: text.to_owned(),
            elements: Vec::new(),
            attributes: Vec::new(),
            nodes: Vec::new(),
        };
        let (open, pending) = (Vec::new(), Vec::new());
        Self {
            text,
            document,
            open,
            pending,
            scope: Scope::default(),
            doctype: false,
        }
    }

    fn slice(&self, span: Span) -> &'t str {
        &self.text[span.range()]
    }

    fn open(&mut self, span: Span, empty: bool) -> Result<(), Failure> {
        let start = span.start();
        if self.open.is_empty() && !self.document.elements.is_empty() {
            return Err((start, XmlProblem::SecondRoot));
        }
        if self.open.len() == Document::MAX_DEPTH {
            let limit = Document::MAX_DEPTH;
            return Err((start, XmlProblem::TooDeep { limit }));
        }
        let tail = if empty { 2 } else { 1 };
        let inside = &self.text[start + 1..span.end() - tail];
        let tag = tag::scan(start, inside)?;
        let scope = self.scope.mark();
        let attributes = self.attributes(&tag.attributes)?;
        let (prefix, _) = split(self.slice(tag.name));
        let space = self.scope.element(prefix).ok_or_else(|| {
            (tag.name.start(), XmlProblem::Prefix(prefix.to_owned()))
        })?;
        let id = Id::new(self.document.elements.len());
        self.document.elements.push(ElementData {
            parent: self.open.last().map(|open| open.id),
            next: Id::new(id.index() + 1),
            space,
            name: tag.name,
            open: span,
            close: None,
            attributes,
            nodes: Span::new(0, 0),
        });
        self.open.push(Open { id, nodes: self.pending.len(), scope });
        if empty { self.leave(span.end()) } else { Ok(()) }
    }

    fn close(&mut self, span: Span) -> Result<(), Failure> {
        if let Some(open) = self.open.last() {
            self.document.elements[open.id.index()].close = Some(span);
        }
        self.leave(span.start())
    }

    /// Moves the innermost open element's nodes to their place for good.
    fn leave(&mut self, at: usize) -> Result<(), Failure> {
        let Some(open) = self.open.pop() else {
            return Err((at, XmlProblem::Tag("an element to close")));
        };
        let document = &mut self.document;
        let first = document.nodes.len();
        document.nodes.extend(self.pending.drain(open.nodes..));
        let next = Id::new(document.elements.len());
        let element = &mut document.elements[open.id.index()];
        element.nodes = Span::new(first, document.nodes.len());
        element.next = next;
        let span = element.span();
        self.scope.leave(open.scope);
        self.pending.push(Node { kind: NodeKind::Element(open.id), span });
        Ok(())
    }

    /// Binds what the attributes declare, then resolves their own prefixes.
    fn attributes(&mut self, found: &[(Span, Span)]) -> Result<Span, Failure> {
        for &(name, value) in found {
            let written = self.slice(name);
            let Some(prefix) = declared_prefix(written) else { continue };
            let uri = decode(self.slice(value), Raw::Attribute);
            if !self.scope.bind(prefix, &uri) {
                let problem = XmlProblem::Declaration(written.to_owned());
                return Err((name.start(), problem));
            }
        }
        let first = self.document.attributes.len();
        let mut names = Vec::with_capacity(found.len());
        for &(name, value) in found {
            let written = self.slice(name);
            let (prefix, local) = split(written);
            let space = if declared_prefix(written).is_some() {
                Some(Space::XMLNS)
            } else {
                self.scope.attribute(prefix)
            };
            let space = space.ok_or_else(|| {
                (name.start(), XmlProblem::Prefix(prefix.to_owned()))
            })?;
            names.push((space, local, prefix.is_empty(), name));
            self.document.attributes.push(AttributeData { space, name, value });
        }
        names.sort_by_key(|&(space, local, bare, _)| (space, local, bare));
        for pair in names.windows(2) {
            // `xmlns` and `xmlns:xmlns` differ by the prefix alone.
            let key = |i: usize| (pair[i].0, pair[i].1, pair[i].2);
            if key(0) == key(1) {
                let name = self.slice(pair[1].3).to_owned();
                let problem = XmlProblem::DuplicateAttribute(name);
                return Err((pair[1].3.start(), problem));
            }
        }
        Ok(Span::new(first, self.document.attributes.len()))
    }

    fn text(&mut self, span: Span) -> Result<(), Failure> {
        let raw = self.slice(span);
        if self.open.is_empty() {
            if is_blank(raw) {
                return Ok(());
            }
            return Err((span.start(), XmlProblem::OutsideRoot));
        }
        check_references(raw)
            .map_err(|(at, problem)| (span.start() + at, problem))?;
        if let Some(at) = raw.find("]]>") {
            return Err((
                span.start() + at,
                XmlProblem::Markup("]]> in a text"),
            ));
        }
        // quick-xml reports references on their own; they are one text.
        let own = self.open.last().map_or(0, |open| open.nodes);
        match self.pending.get_mut(own..).and_then(<[Node]>::last_mut) {
            Some(last) if last.kind == NodeKind::Text => {
                last.span = Span::new(last.span.start(), span.end());
            }
            _ => self.pending.push(Node { kind: NodeKind::Text, span }),
        }
        Ok(())
    }

    fn cdata(&mut self, span: Span) -> Result<(), Failure> {
        if self.open.is_empty() {
            return Err((span.start(), XmlProblem::OutsideRoot));
        }
        if !self.slice(span).starts_with("<![CDATA[") {
            return Err((span.start(), XmlProblem::Markup("not <![CDATA[")));
        }
        self.pending.push(Node { kind: NodeKind::CData, span });
        Ok(())
    }

    fn comment(&mut self, span: Span) -> Result<(), Failure> {
        let inside = self.slice(span);
        let inside = inside
            .strip_prefix("<!--")
            .and_then(|inside| inside.strip_suffix("-->"));
        match inside {
            Some(inside)
                if !inside.contains("--") && !inside.ends_with('-') =>
            {
                self.aside(span);
                Ok(())
            }
            _ => Err((span.start(), XmlProblem::Markup("-- in a comment"))),
        }
    }

    fn instruction(&mut self, span: Span) -> Result<(), Failure> {
        let inside = &self.slice(span)[2..];
        let ends = |c: char| BLANKS.contains(&c) || c == '?';
        let target = &inside[..inside.find(ends).unwrap_or(inside.len())];
        let rest = &inside[target.len()..];
        let split = rest == "?>" || rest.starts_with(BLANKS);
        if !is_name(target) || target.eq_ignore_ascii_case("xml") || !split {
            let problem = XmlProblem::Markup("the target of an instruction");
            return Err((span.start(), problem));
        }
        self.aside(span);
        Ok(())
    }

    /// Keeps a comment or an instruction where it is within an element.
    fn aside(&mut self, span: Span) {
        if !self.open.is_empty() {
            self.pending.push(Node { kind: NodeKind::Comment, span });
        }
    }

    fn declaration(&mut self, span: Span, base: usize) -> Result<(), Failure> {
        let bad = |what| Err((span.start(), XmlProblem::Markup(what)));
        if span.start() != base {
            return bad("the XML declaration is not at the start");
        }
        let inside = &self.text[span.start() + 2..span.end() - 2];
        let found = tag::scan(span.start() + 1, inside)?.attributes;
        let mut rest = found
            .iter()
            .map(|&(name, value)| (self.slice(name), self.slice(value)))
            .peekable();
        if rest.next() != Some(("version", "1.0")) {
            return bad("the XML declaration is not of version 1.0");
        }
        if let Some(("encoding", encoding)) = rest.peek() {
            let known = ["UTF-8", "US-ASCII", "ASCII"];
            if !known.iter().any(|k| k.eq_ignore_ascii_case(encoding)) {
                return bad("the declared encoding is not UTF-8");
            }
            rest.next();
        }
        if let Some(("standalone", "yes" | "no")) = rest.peek() {
            rest.next();
        }
        if rest.next().is_some() {
            return bad("the XML declaration");
        }
        Ok(())
    }

    /// Takes `<!DOCTYPE name>`, which declares nothing.
    fn doctype(&mut self, span: Span) -> Result<(), Failure> {
        let inside = self.slice(span);
        let name = inside
            .strip_prefix("<!DOCTYPE")
            .and_then(|rest| rest.strip_suffix('>'))
            .filter(|rest| rest.starts_with(BLANKS))
            .map(|rest| rest.trim_matches(BLANKS));
        let first = !self.doctype && self.document.elements.is_empty();
        if !first || !name.is_some_and(is_qualified_name) {
            return Err((span.start(), XmlProblem::Doctype));
        }
        self.doctype = true;
        Ok(())
    }

    fn finish(self) -> Result<Document, Failure> {
        let end = self.text.len();
        if let Some(open) = self.open.last() {
            let element = self.document.element(open.id);
            let name = self.slice(element.name).to_owned();
            return Err((element.open.start(), XmlProblem::Unclosed(name)));
        }
        if self.document.elements.is_empty() {
            return Err((end, XmlProblem::NoRoot));
        }
        Ok(self.document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Document::parse(text).map(|_| text).unwrap_err().to_string()
    }

    #[test]
    fn errors_say_where() {
        let text = "\u{feff}<d>\r\n  <é x='1' x='2'/>\r\n</d>";
        let error = Document::parse(text).unwrap_err();
        assert_eq!(error.place, Place { line: 2, column: 12 });
        assert_eq!(
            error.to_string(),
            "line 2, column 12: the attribute x is there twice"
        );
        assert!(refused("<d>&x;</d>").starts_with("line 1, column 4: "));
    }

    #[test]
    fn bounds_hold() {
        let deep = |n| "<a>".repeat(n) + &"</a>".repeat(n);
        assert!(Document::parse(&deep(Document::MAX_DEPTH)).is_ok());
        assert!(refused(&deep(Document::MAX_DEPTH + 1)).contains("128 levels"));
        let long = " ".repeat(Document::MAX_LEN);
        assert!(refused(&(long + "<a/>")).contains("4194304 bytes"));
    }

    #[test]
    fn a_bare_doctype_passes() {
        assert!(Document::parse("<!DOCTYPE domain>\n<domain/>").is_ok());
        for kind in ["d SYSTEM 'x'", "d [<!ENTITY a 'b'>]", "d [ ]", ""] {
            refused(&format!("<!DOCTYPE {kind}><d/>"));
        }
    }
}
