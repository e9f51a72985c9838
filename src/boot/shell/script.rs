//! From words and operators to the assignments of a script, with a refusal
//! of all else that could change variables.

use super::lex::{Lexer, Piece, Token, Word, is_name};
use crate::boot::BootError;
use crate::boot::line::{Point, Quoting};

/// An assignment, `NAME=…` or `NAME+=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The variable.
    pub(super) name: String,
    /// Whether it is added to what the variable has.
    pub(super) append: bool,
    /// What the value is made of.
    pub(super) pieces: Vec<Piece>,
    /// Where the value's text begins.
    pub(super) open: Point,
    /// Whether it is made in any case, and lasts.
    pub(super) certain: bool,
    /// The line, from 1.
    pub(super) line: usize,
}

/// Commands that change no variable but those that they are given.
const COMMANDS: [&str; 7] =
    [":", "[", "echo", "export", "false", "test", "true"];

/// Words that begin or end something that is not followed.
const RESERVED: [&str; 14] = [
    "case", "do", "done", "esac", "for", "function", "select", "time", "until",
    "while", "{", "}", "[[", "in",
];

/// Reads the assignments of a script, in order.
///
/// # Errors
/// When the script holds what could change variables in another way, or what
/// could end it early.
pub(super) fn assignments(
    text: &str,
    file: usize,
) -> Result<Vec<Assignment>, BootError> {
    let mut script = Script {
        lexer: Lexer::new(text, file),
        found: Vec::new(),
        words: Vec::new(),
        branches: 0,
        chained: false,
        ended: false,
    };
    while let Some(token) = script.lexer.next()? {
        match token {
            Token::Word(word) => script.word(word)?,
            Token::Newline => script.command(false)?,
            Token::Operator(";") => script.command(false)?,
            Token::Operator("&&" | "||" | "|") => script.command(true)?,
            // The words around it stay words of the command.
            Token::Operator("<" | ">" | ">>" | "<&" | ">&" | "<>" | ">|") => {}
            Token::Operator(other) => {
                let what = match other {
                    "<<" => "a here-document",
                    "(" => "a function or a subshell",
                    _ => "a command in the background",
                };
                return Err(script.refuse(script.lexer.at(), what));
            }
        }
    }
    script.command(false)?;
    if script.branches > 0 {
        return Err(script.refuse(text.len(), "an `if` without `fi`"));
    }
    Ok(script.found)
}

struct Script<'t> {
    lexer: Lexer<'t>,
    found: Vec<Assignment>,
    /// The words of the command so far.
    words: Vec<Word>,
    /// How many `if` are open.
    branches: usize,
    /// Whether the command runs only after another one, or beside it.
    chained: bool,
    /// Whether only the end of a command may follow.
    ended: bool,
}

impl Script<'_> {
    fn refuse(&self, at: usize, what: &str) -> BootError {
        self.lexer.refuse(at, &format!("{what} is not understood"))
    }

    fn word(&mut self, word: Word) -> Result<(), BootError> {
        let at = word.start;
        if self.ended {
            return Err(self.refuse(at, "a word behind `fi`"));
        }
        self.expansions(&word);
        if !self.words.is_empty() {
            self.words.push(word);
            return Ok(());
        }
        match word.bare().as_deref() {
            Some("!" | "then" | "else" | "elif") => {}
            Some("if") => self.branches += 1,
            Some("fi") => {
                let left = self.branches.checked_sub(1);
                self.branches = left.ok_or_else(|| self.refuse(at, "`fi`"))?;
                self.ended = true;
            }
            Some(reserved) if RESERVED.contains(&reserved) => {
                return Err(self.refuse(at, &format!("`{reserved}`")));
            }
            _ => self.words.push(word),
        }
        Ok(())
    }

    /// Ends a command; `chains` tells whether the next one hangs on it.
    fn command(&mut self, chains: bool) -> Result<(), BootError> {
        let words = std::mem::take(&mut self.words);
        if words.is_empty() && !self.ended {
            // Nothing stands between two ends of lines.
            return Ok(());
        }
        let certain = self.branches == 0 && !self.chained && !chains;
        self.chained = chains;
        self.ended = false;
        let line = |word: &Word| self.lexer.line(word.start);
        let split: Vec<Option<Assignment>> =
            words.iter().map(|w| assignment(w, line(w))).collect();
        let first = split.iter().position(Option::is_none);
        if let Some(first) = first {
            self.check(&words[first..])?;
        }
        let own = first.unwrap_or(split.len());
        let exports = first.is_some();
        for (at, assignment) in split.into_iter().enumerate() {
            // Before a command it may last no longer than that; behind
            // `export` it lasts, but shells differ in how they read it.
            let alone = at < own && !exports;
            if let Some(mut assignment) = assignment
                && (at < own || is_export(&words[own]))
            {
                assignment.certain = certain && alone;
                self.found.push(assignment);
            }
        }
        Ok(())
    }

    /// Refuses a command whose effect on variables is not known.
    fn check(&self, words: &[Word]) -> Result<(), BootError> {
        let at = words.first().map_or(0, |word| word.start);
        match words.first().and_then(Word::literal) {
            Some(name) if COMMANDS.contains(&name.as_str()) => Ok(()),
            Some(name) => {
                Err(self.refuse(at, &format!("the command `{name}`")))
            }
            None => Err(self.refuse(at, "a command that is not written out")),
        }
    }

    /// Notes the variables that expansions of a word could set, as
    /// `${NAME:=value}` does.
    fn expansions(&mut self, word: &Word) {
        let line = self.lexer.line(word.start);
        for piece in &word.pieces {
            let Piece::Other(_, source) = piece else { continue };
            if !source.starts_with("${") && !source.starts_with("$((") {
                continue;
            }
            for name in set_by(source) {
                let open = Point { file: 0, at: 0, quoting: Quoting::Bare };
                self.found.push(Assignment {
                    name: name.to_owned(),
                    append: false,
                    pieces: Vec::new(),
                    open,
                    certain: false,
                    line,
                });
            }
        }
    }
}

/// Returns the names before equals signs, with an operator between or not.
fn set_by(source: &str) -> impl Iterator<Item = &str> {
    source.match_indices('=').filter_map(|(at, _)| {
        let head = source[..at].trim_end_matches(|c| ":+-*/%&|^<>".contains(c));
        let name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let name = &head[head.trim_end_matches(name).len()..];
        is_name(name).then_some(name)
    })
}

fn is_export(word: &Word) -> bool {
    word.literal().as_deref() == Some("export")
}

/// Reads a word as an assignment, if it is one.
fn assignment(word: &Word, line: usize) -> Option<Assignment> {
    let mut name = String::new();
    let mut pieces = word.pieces.iter();
    loop {
        let Some(Piece::Char(c, place)) = pieces.next() else { return None };
        let raw = place.end - place.start == c.len_utf8();
        if place.quoting != Quoting::Bare || !raw {
            return None;
        }
        if *c != '=' {
            name.push(*c);
            continue;
        }
        let append = name.ends_with('+');
        let name = name.strip_suffix('+').unwrap_or(&name).to_owned();
        let at = place.end;
        let bare = Point { file: place.file, at, quoting: Quoting::Bare };
        let pieces: Vec<Piece> = pieces.cloned().collect();
        let open = match pieces.first() {
            Some(Piece::Open(point)) => *point,
            _ => bare,
        };
        return is_name(&name).then_some(Assignment {
            name,
            append,
            pieces,
            open,
            certain: false,
            line,
        });
    }
}
