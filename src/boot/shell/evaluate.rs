//! What the variables of GRUB's settings come to.

use std::collections::BTreeMap;

use super::lex::Piece;
use super::script::{Assignment, assignments};
use crate::boot::BootError;
use crate::boot::line::{Glyph, Point};

/// Most characters that are put into values; the kernel takes 4096 bytes as
/// its command line at most.
const MAX_GLYPHS: usize = 1 << 18;

/// The variables that some scripts leave behind, and which of them matter.
#[derive(Debug, Clone)]
pub(in crate::boot) struct Shell<'n> {
    names: &'n [&'n str],
    /// `None` for a value that only a shell could tell.
    values: BTreeMap<String, Option<Value>>,
    /// The characters that were put into values.
    glyphs: usize,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::boot) struct Value {
    /// Its text.
    pub(in crate::boot) glyphs: Vec<Glyph>,
    /// Where the text of its last assignment begins; `None` before any.
    pub(in crate::boot) open: Option<Point>,
}

impl<'n> Shell<'n> {
    /// Begins without knowing any variable.
    pub(in crate::boot) const fn new(names: &'n [&'n str]) -> Self {
        Self { names, values: BTreeMap::new(), glyphs: 0 }
    }

    /// Begins with the variables that matter being empty.
    pub(in crate::boot) fn empty(names: &'n [&'n str]) -> Self {
        let empty = |name: &&str| ((*name).to_owned(), Some(Value::default()));
        let values = names.iter().map(empty).collect();
        Self { names, values, glyphs: 0 }
    }

    /// Returns a variable that matters, where it was set.
    pub(in crate::boot) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)?.as_ref()
    }

    /// Follows a script.
    ///
    /// # Errors
    /// When it does what is not understood and could matter.
    pub(in crate::boot) fn run(
        &mut self,
        text: &str,
        file: usize,
    ) -> Result<(), BootError> {
        if let Some(at) = text.find(['\r', '\0']) {
            let line = 1 + text[..at].matches('\n').count();
            let what = "a carriage return or NUL, which shells take as text";
            let what = what.to_owned();
            return Err(BootError::NotUnderstood { line, what });
        }
        for assignment in assignments(text, file)? {
            self.assign(assignment)?;
        }
        Ok(())
    }

    fn assign(&mut self, assignment: Assignment) -> Result<(), BootError> {
        let refuse = |what: String| {
            let line = assignment.line;
            Err(BootError::NotUnderstood { line, what })
        };
        let matters = self.names.contains(&assignment.name.as_str());
        let name = &assignment.name;
        if !assignment.certain {
            if matters {
                return refuse(format!(
                    "{name} is set under a condition, for one command alone, \
                     or by an expansion"
                ));
            }
            self.values.insert(name.clone(), None);
            return Ok(());
        }
        let value = self.evaluate(&assignment);
        self.glyphs += value.as_ref().map_or(0, |v| v.glyphs.len());
        if self.glyphs > MAX_GLYPHS {
            return refuse("more text than a command line can hold".into());
        }
        let value = match value {
            Ok(mut value) => {
                if !matters {
                    fix(&mut value);
                }
                Some(value)
            }
            Err(what) if matters => {
                return refuse(format!("the value of {name} holds {what}"));
            }
            Err(_) => None,
        };
        self.values.insert(assignment.name, value);
        Ok(())
    }

    fn evaluate(&self, assignment: &Assignment) -> Result<Value, String> {
        let mut glyphs = Vec::new();
        if assignment.append {
            self.refer(&assignment.name, assignment.open, &mut glyphs)?;
        }
        for piece in &assignment.pieces {
            match piece {
                Piece::Char(c, place) => {
                    glyphs.push(Glyph::Char { c: *c, place: place.clone() });
                }
                Piece::Variable(name, after) => {
                    self.refer(name, *after, &mut glyphs)?;
                }
                Piece::Other(what, _) => return Err((*what).to_owned()),
                Piece::Open(_) => {}
            }
            if glyphs.len() > MAX_GLYPHS {
                return Err("more text than a command line".to_owned());
            }
        }
        Ok(Value { glyphs, open: Some(assignment.open) })
    }

    /// Puts in the value of a variable.
    fn refer(
        &self,
        name: &str,
        after: Point,
        glyphs: &mut Vec<Glyph>,
    ) -> Result<(), String> {
        match self.values.get(name) {
            Some(Some(value)) => {
                glyphs.extend(value.glyphs.iter().cloned());
                glyphs.push(Glyph::Mark(after));
            }
            Some(None) => {
                return Err(format!("${name}, which only a shell can tell"));
            }
            None => glyphs.push(Glyph::Hole { name: name.to_owned(), after }),
        }
        Ok(())
    }
}

/// Holds on to the bytes of a value that something else uses.
fn fix(value: &mut Value) {
    for glyph in &mut value.glyphs {
        if let Glyph::Char { place, .. } = glyph {
            place.fixed = true;
        }
    }
}
