//! A page of text: pieces in styles, wrapped between words to a width.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// No style.
pub const PLAIN: Style = Style::new();
/// Headings.
pub const BOLD: Style = Style::new().bold();
/// What stands behind something else.
pub const FAINT: Style = Style::new().dimmed();
/// What a person could type: ids, names, commands.
pub const KEY: Style = AnsiColor::Cyan.on_default();
/// What is new or as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What wants attention.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// What goes away or is wrong.
pub const BAD: Style = AnsiColor::Red.on_default();

/// A piece of text in one style.
pub type Span = (Style, String);

/// Text under construction.
#[derive(Debug)]
pub struct Page {
    text: String,
    width: usize,
}

impl Page {
    /// Starts a page of so many columns.
    #[must_use]
    pub const fn new(width: usize) -> Self {
        Self { text: String::new(), width }
    }

    /// Returns how many columns there are.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Returns all that was written.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// Leaves a line free, unless the last one is or there is none.
    pub fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Begins a line.
    pub fn start(&mut self, span: &Span) {
        self.styled(span.0, &harmless(&span.1));
    }

    /// Writes one line as it is, however long.
    pub fn line(&mut self, spans: &[Span]) {
        for (style, text) in spans {
            self.styled(*style, &harmless(text));
        }
        self.text.push('\n');
    }

    /// Writes a line with a part at its right end, where both fit.
    pub fn line_ends(&mut self, left: &[Span], right: &Span) {
        let used: usize = left.iter().map(|(_, text)| columns(text)).sum();
        let room = self.width.saturating_sub(used + columns(&right.1)).max(2);
        let mut spans = left.to_vec();
        spans.push((PLAIN, " ".repeat(room)));
        spans.push(right.clone());
        self.line(&spans);
    }

    /// Writes spans one after the other with blanks between, and wraps them.
    /// The first line starts with `first`, the others with `rest`.
    pub fn flow(&mut self, first: &str, rest: &str, spans: &[Span]) {
        let mut column = columns(first);
        let mut fresh = true;
        self.text.push_str(first);
        for (style, text) in spans {
            for piece in pieces(text, self.width.saturating_sub(columns(rest)))
            {
                let size = columns(&piece.text);
                let blank = usize::from(piece.begins);
                if !fresh && column + blank + size > self.width {
                    self.text.push('\n');
                    self.text.push_str(rest);
                    column = columns(rest);
                } else if !fresh && piece.begins {
                    self.text.push(' ');
                    column += 1;
                }
                self.styled(*style, &piece.text);
                column += size;
                fresh = false;
            }
        }
        self.text.push('\n');
    }

    /// Writes pairs of a sign and its meaning, and wraps between them.
    pub fn entries(&mut self, indent: &str, entries: &[[Span; 2]]) {
        const APART: &str = "   ";
        let mut column = 0;
        for [sign, meaning] in entries {
            let size = columns(&sign.1) + 1 + columns(&meaning.1);
            if column > 0 && column + APART.len() + size > self.width {
                self.text.push('\n');
                column = 0;
            }
            let before = if column == 0 { indent } else { APART };
            self.text.push_str(before);
            self.styled(sign.0, &sign.1);
            self.text.push(' ');
            self.styled(meaning.0, &harmless(&meaning.1));
            column += before.len() + size;
        }
        if column > 0 {
            self.text.push('\n');
        }
    }

    /// Writes a labelled row; what does not fit goes on under its start.
    pub fn row(&mut self, indent: usize, label: &str, spans: &[Span]) {
        let pad = LABEL.saturating_sub(columns(label)).max(1);
        let mut first = " ".repeat(indent);
        let _ = write!(first, "{FAINT}{label}{FAINT:#}{}", " ".repeat(pad));
        let rest = " ".repeat(indent + columns(label) + pad);
        self.flow(&first, &rest, spans);
    }

    fn styled(&mut self, style: Style, text: &str) {
        let _ = write!(self.text, "{style}{text}{style:#}");
    }
}

/// Columns of a row's label.
const LABEL: usize = 11;

/// Counts the columns of a text without its colours.
pub(super) fn columns(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().chars().count()
}

/// Splits a text at blanks, and a word that is wider than the page after
/// commas, as in long lists of CPUs.
fn pieces(text: &str, width: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for word in harmless(text).split_whitespace() {
        let fits = word.chars().count() <= width;
        let parts = word.split_inclusive(|c| c == ',' && !fits);
        pieces.extend(
            parts.enumerate().map(|(n, part)| Piece {
                text: part.to_owned(),
                begins: n == 0,
            }),
        );
    }
    pieces
}

/// What a line does not break in.
struct Piece {
    text: String,
    /// Whether a word begins here.
    begins: bool,
}

/// Makes a text that others wrote harmless to a terminal: control characters
/// are spelled out.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(width: usize, spans: &[Span]) -> String {
        let mut page = Page::new(width);
        page.flow("- ", "  ", spans);
        anstream::adapter::strip_str(&page.into_text()).to_string()
    }

    #[test]
    fn words_wrap_and_hang() {
        let spans = [(BOLD, "one two".into()), (PLAIN, "three four".into())];
        assert_eq!(flow(12, &spans), "- one two\n  three four\n");
        assert_eq!(flow(80, &spans), "- one two three four\n");
    }

    #[test]
    fn long_lists_break_after_commas() {
        let spans = [(PLAIN, "on 0,8,16,24,32".into())];
        assert_eq!(flow(10, &spans), "- on 0,8,\n  16,24,32\n");
    }

    #[test]
    fn escapes_of_others_are_spelled_out() {
        let spans = [(PLAIN, "a\u{1b}[2Jb\nc".into())];
        assert_eq!(flow(80, &spans), "- a\\u{1b}[2Jb c\n");
    }
}
