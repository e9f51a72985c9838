//! Why a text is not a document that can be edited.

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {problem}", place.line, place.column)]
pub struct XmlError {
    /// Where it was noticed.
    pub place: Place,
    /// What is wrong there.
    pub problem: XmlProblem,
}

/// A place in a text, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The character within the line, counted from 1.
    pub column: usize,
}

impl Place {
    /// Finds the line and column of a byte; takes time linear in the text.
    pub(super) fn of(text: &str, byte: usize) -> Self {
        let mut end = byte.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[start..].trim_start_matches(BOM).chars().count() + 1,
        }
    }
}

/// The byte-order mark, which some editors put before a document.
pub(super) const BOM: char = '\u{feff}';

/// What can be wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlProblem {
    /// The text is longer than a definition can be.
    #[error("the document is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Elements are nested deeper than in any definition.
    #[error("elements are nested deeper than {limit} levels")]
    TooDeep {
        /// The limit in levels.
        limit: usize,
    },
    /// A character that XML does not allow.
    #[error("the character U+{:04X} is not allowed", u32::from(*.0))]
    Character(char),
    /// A name that XML does not allow.
    #[error("{0:?} is not a name")]
    Name(String),
    /// A tag that does not follow the grammar.
    #[error("malformed tag: expected {0}")]
    Tag(&'static str),
    /// Two attributes of an element have the same name.
    #[error("the attribute {0} is there twice")]
    DuplicateAttribute(String),
    /// A prefix that no declaration binds, or that must not be bound so.
    #[error("the namespace prefix {0:?} is not bound")]
    Prefix(String),
    /// A namespace declaration that XML does not allow.
    #[error("{0:?} must not be declared so")]
    Declaration(String),
    /// An entity other than the five that XML predefines.
    #[error("the entity {0:?} is not declared")]
    Entity(String),
    /// `&#...;` that names no character.
    #[error("{0:?} names no character")]
    CharacterReference(String),
    /// A document type beyond a bare name: it could declare entities.
    #[error("a document type with declarations is not accepted")]
    Doctype,
    /// A comment, instruction or declaration out of form or place.
    #[error("malformed markup: {0}")]
    Markup(&'static str),
    /// Character data where none may be.
    #[error("text outside the root element")]
    OutsideRoot,
    /// More than one root.
    #[error("a second root element")]
    SecondRoot,
    /// Nothing but blanks and comments.
    #[error("no root element")]
    NoRoot,
    /// The text ends within an element.
    #[error("the element {0} is not closed")]
    Unclosed(String),
    /// What the tokenizer found.
    #[error("{0}")]
    Syntax(String),
}
