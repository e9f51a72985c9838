//! From the text of a shell script to its words and operators.

use super::skip;
use crate::boot::BootError;
use crate::boot::line::{Place, Point, Quoting};

/// A part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word.
    Word(Word),
    /// `;`, `&&`, `>` and their like.
    Operator(&'static str),
    /// The end of a line.
    Newline,
}

/// A word with all that it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its pieces, in order.
    pub(super) pieces: Vec<Piece>,
    /// Its first byte.
    pub(super) start: usize,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A character, without quotes and escapes.
    Char(char, Place),
    /// The value of a variable, and the point behind its name.
    Variable(String, Point),
    /// Something whose text the shell finds out: what it is, and its source.
    Other(&'static str, String),
    /// The inside of quotes begins.
    Open(Point),
}

impl Word {
    /// Returns the word's text where it is written out.
    pub(super) fn literal(&self) -> Option<String> {
        let char = |piece: &Piece| match piece {
            Piece::Char(c, _) => Some(Some(*c)),
            Piece::Open(_) => None,
            _ => Some(None),
        };
        self.pieces.iter().filter_map(char).collect()
    }

    /// Returns the word's text where it is written out without quotes, as a
    /// word that the shell reserves has to be.
    pub(super) fn bare(&self) -> Option<String> {
        let char = |piece: &Piece| match piece {
            Piece::Char(c, place) if place.quoting == Quoting::Bare => {
                (place.end - place.start == c.len_utf8()).then_some(*c)
            }
            _ => None,
        };
        self.pieces.iter().map(char).collect()
    }
}

/// The operators, longer ones first.
const OPERATORS: [&str; 15] = [
    "<<", ">>", "<&", ">&", "<>", ">|", "&&", "||", ";;", ";", "&", "|", "<",
    ">", "(",
];

/// Reads a script from its begin to its end.
pub(super) struct Lexer<'t> {
    text: &'t str,
    file: usize,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) const fn new(text: &'t str, file: usize) -> Self {
        Self { text, file, at: 0 }
    }

    /// Returns how far it has come.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Returns the line of a byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.text[..at].matches('\n').count()
    }

    /// Says that something is not understood.
    pub(super) fn refuse(&self, at: usize, what: &str) -> BootError {
        let line = self.line(at);
        BootError::NotUnderstood { line, what: what.to_owned() }
    }

    /// Returns the next part; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, BootError> {
        loop {
            let Some((c, start, end)) = self.peek() else { return Ok(None) };
            match c {
                ' ' | '\t' => self.at = end,
                '\n' => {
                    self.at = end;
                    return Ok(Some(Token::Newline));
                }
                '#' => {
                    let rest = &self.text[start..];
                    self.at = start + rest.find('\n').unwrap_or(rest.len());
                }
                ')' => return Err(self.refuse(start, "`)` closes nothing")),
                _ if is_operator(c) => return self.operator(start).map(Some),
                _ => return self.word().map(Some),
            }
        }
    }

    /// Returns the next character and its bytes. A backslash before the end
    /// of a line joins it with the next.
    fn peek(&self) -> Option<(char, usize, usize)> {
        let mut at = self.at;
        while self.text[at..].starts_with("\\\n") {
            at += 2;
        }
        let c = self.text[at..].chars().next()?;
        Some((c, at, at + c.len_utf8()))
    }

    fn operator(&mut self, start: usize) -> Result<Token, BootError> {
        let rest = &self.text[start..];
        let found = OPERATORS.iter().find(|op| rest.starts_with(**op));
        let found = found.ok_or_else(|| self.refuse(start, "an operator"))?;
        self.at = start + found.len();
        Ok(Token::Operator(found))
    }

    fn word(&mut self) -> Result<Token, BootError> {
        let start = self.at;
        let mut pieces = Vec::new();
        while let Some((c, from, to)) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | ')' => break,
                c if is_operator(c) => break,
                '\'' => self.single(from, &mut pieces)?,
                '"' => self.double(from, &mut pieces)?,
                '\\' => {
                    let next = self.text[to..].chars().next();
                    let next = next.ok_or_else(|| {
                        self.refuse(from, "a backslash ends the file")
                    })?;
                    self.at = to + next.len_utf8();
                    pieces.push(self.char(next, from, Quoting::Bare));
                }
                '$' => self.dollar(Quoting::Bare, &mut pieces)?,
                '`' => self.backtick(&mut pieces)?,
                '~' => {
                    self.at = to;
                    pieces.push(Piece::Other("`~`", "~".into()));
                }
                c => {
                    self.at = to;
                    pieces.push(self.char(c, from, Quoting::Bare));
                }
            }
        }
        Ok(Token::Word(Word { pieces, start }))
    }

    fn single(
        &mut self,
        from: usize,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), BootError> {
        self.at = from + 1;
        pieces.push(Piece::Open(self.point(Quoting::Single)));
        let rest = &self.text[self.at..];
        let open = "a single quote is not closed";
        let len = rest.find('\'').ok_or_else(|| self.refuse(from, open))?;
        for (at, c) in rest[..len].char_indices() {
            let start = from + 1 + at;
            self.at = start + c.len_utf8();
            pieces.push(self.char(c, start, Quoting::Single));
        }
        self.at = from + 1 + len + 1;
        Ok(())
    }

    fn double(
        &mut self,
        from: usize,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), BootError> {
        self.at = from + 1;
        pieces.push(Piece::Open(self.point(Quoting::Double)));
        loop {
            let open = "a double quote is not closed";
            let (c, start, end) =
                self.peek().ok_or_else(|| self.refuse(from, open))?;
            match c {
                '"' => {
                    self.at = end;
                    return Ok(());
                }
                '$' => self.dollar(Quoting::Double, pieces)?,
                '`' => self.backtick(pieces)?,
                '\\' => {
                    let next = self.text[end..].chars().next();
                    let escaped = next.filter(|c| "$`\"\\".contains(*c));
                    self.at = end + usize::from(escaped.is_some());
                    let c = escaped.unwrap_or(c);
                    pieces.push(self.char(c, start, Quoting::Double));
                }
                c => {
                    self.at = end;
                    pieces.push(self.char(c, start, Quoting::Double));
                }
            }
        }
    }

    /// Reads what begins with a dollar sign.
    fn dollar(
        &mut self,
        quoting: Quoting,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), BootError> {
        let from = self.peek().map_or(self.at, |(_, start, _)| start);
        self.at = from + 1;
        let next = self.peek();
        let quoted = quoting == Quoting::Double;
        match next.map(|(c, ..)| c) {
            Some('(') => {
                self.at = self.skipped(from, skip::parentheses)?;
                let source = self.text[from..self.at].to_owned();
                pieces.push(Piece::Other("what a command prints", source));
            }
            Some('{') => {
                let skip =
                    if quoted { skip::quoted_brace } else { skip::brace };
                self.at = self.skipped(from, skip)?;
                let source = self.text[from..self.at].to_owned();
                let open = next.map_or(0, |(_, _, end)| end - from);
                let inner = source[open..source.len() - 1].replace("\\\n", "");
                pieces.push(if is_name(&inner) {
                    Piece::Variable(inner, self.point(quoting))
                } else {
                    Piece::Other("an expansion with an operator", source)
                });
            }
            Some(c) if c == '_' || c.is_ascii_alphabetic() => {
                let mut name = String::new();
                while let Some((c, _, end)) = self.peek()
                    && (c == '_' || c.is_ascii_alphanumeric())
                {
                    name.push(c);
                    self.at = end;
                }
                pieces.push(Piece::Variable(name, self.point(quoting)));
            }
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.at = next.map_or(self.at, |(_, _, end)| end);
                let source = self.text[from..self.at].to_owned();
                pieces.push(Piece::Other("a parameter of the shell", source));
            }
            Some('\'' | '"') if !quoted => {
                return Err(
                    self.refuse(from, "shells differ in `$` before quotes")
                );
            }
            _ => pieces.push(self.char('$', from, quoting)),
        }
        Ok(())
    }

    fn backtick(&mut self, pieces: &mut Vec<Piece>) -> Result<(), BootError> {
        let from = self.peek().map_or(self.at, |(_, start, _)| start);
        self.at = self.skipped(from, skip::backtick)?;
        let source = self.text[from..self.at].to_owned();
        pieces.push(Piece::Other("what a command prints", source));
        Ok(())
    }

    fn skipped(
        &self,
        from: usize,
        skip: fn(&str) -> Option<usize>,
    ) -> Result<usize, BootError> {
        let len = skip(&self.text[from..]);
        let len = len.ok_or_else(|| {
            self.refuse(from, "what begins here has no end that is understood")
        })?;
        Ok(from + len)
    }

    fn char(&self, c: char, start: usize, quoting: Quoting) -> Piece {
        let (file, end) = (self.file, self.at);
        Piece::Char(c, Place { file, start, end, quoting, fixed: false })
    }

    const fn point(&self, quoting: Quoting) -> Point {
        Point { file: self.file, at: self.at, quoting }
    }
}

const fn is_operator(c: char) -> bool {
    matches!(c, ';' | '&' | '|' | '<' | '>' | '(')
}

/// Returns whether a text can be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    let name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    text.chars().all(name)
        && !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
}
