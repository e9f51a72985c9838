//! A command line as it is written: its characters, each with the bytes that
//! stand for it.

/// What a command line is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Glyph {
    /// A character.
    Char {
        /// What it is, once quotes and escapes are taken away.
        c: char,
        /// The bytes that stand for it.
        place: Place,
    },
    /// Something whose text is not known here: the value of a variable that
    /// another file sets.
    Hole {
        /// The variable.
        name: String,
        /// Behind the bytes that stand for it.
        after: Point,
    },
    /// Where the text of another variable ends that was put in here.
    Mark(Point),
    /// The blank that some program puts between two texts.
    Joint,
}

/// Where the bytes of a character stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of several files.
    pub(super) file: usize,
    /// The first byte.
    pub(super) start: usize,
    /// Behind the last byte.
    pub(super) end: usize,
    /// What it stands in.
    pub(super) quoting: Quoting,
    /// Whether it may not be changed, because others use it too.
    pub(super) fixed: bool,
}

/// A place between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// Which of several files.
    pub(super) file: usize,
    /// Before this byte.
    pub(super) at: usize,
    /// What it stands in.
    pub(super) quoting: Quoting,
}

/// In which way a text has to be written at some place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// As it is: the file has no quotes.
    Plain,
    /// In a shell script, outside of quotes.
    Bare,
    /// In a shell script, between single quotes.
    Single,
    /// In a shell script, between double quotes.
    Double,
}

impl Quoting {
    /// Writes a text. It holds nothing that has no spelling here: see
    /// [`check_value`](super::argument::check_value).
    pub(super) fn write(self, text: &str) -> String {
        match self {
            Self::Plain | Self::Single => text.to_owned(),
            Self::Bare => text.replace(' ', "\\ ").replace('"', "\\\""),
            Self::Double => text.replace('"', "\\\""),
        }
    }
}

impl Glyph {
    /// Returns the character, where it is one.
    pub(super) const fn char(&self) -> Option<char> {
        match self {
            Self::Char { c, .. } => Some(*c),
            _ => None,
        }
    }

    /// Returns whether it is a blank that stands in a file and may go.
    pub(super) const fn is_loose(&self) -> bool {
        match self {
            Self::Char { c, place } => is_blank(*c) && !place.fixed,
            _ => false,
        }
    }

    /// Returns where a text goes that is to stand behind it.
    pub(super) fn after(&self) -> Option<Point> {
        match self {
            Self::Char { place, .. } if !place.fixed => Some(Point {
                file: place.file,
                at: place.end,
                quoting: place.quoting,
            }),
            Self::Hole { after, .. } | Self::Mark(after) => Some(*after),
            _ => None,
        }
    }
}

/// Returns whether the kernel takes a character as the end of an argument.
pub(super) const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Makes the characters of a text that stands in a file as it is.
pub(super) fn plain(text: &str, from: usize) -> Vec<Glyph> {
    text.char_indices()
        .map(|(at, c)| {
            let start = from + at;
            let end = start + c.len_utf8();
            let quoting = Quoting::Plain;
            let place = Place { file: 0, start, end, quoting, fixed: false };
            Glyph::Char { c, place }
        })
        .collect()
}

/// A range of a file and what comes in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Splice {
    /// The first byte.
    pub(super) start: usize,
    /// Behind the last byte.
    pub(super) end: usize,
    /// The new text.
    pub(super) text: String,
}

/// Puts splices into a text. They do not overlap.
pub(super) fn spliced(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|splice| (splice.start, splice.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for splice in splices {
        out.push_str(&text[done..splice.start]);
        out.push_str(&splice.text);
        done = splice.end;
    }
    out.push_str(&text[done..]);
    out
}
