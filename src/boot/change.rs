//! Changes of a command line, argument by argument: which bytes go, and what
//! comes in their place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::argument::{
    Argument, arguments, check_name, check_new, check_value, count_word, typed,
    word,
};
use super::line::{Glyph, Point, Splice, is_blank, spliced};
use super::word::{Word, Words, words};
use super::{ArgumentEdit, BootError};
use crate::model::first_counts;

/// A text with its command line.
#[derive(Debug)]
pub(super) struct Page {
    /// The whole command line, as far as this file has it.
    pub(super) line: Vec<Glyph>,
    /// Where new arguments go.
    pub(super) new: Slot,
}

/// Where new arguments go.
#[derive(Debug)]
pub(super) enum Slot {
    /// To a part of the line.
    Part {
        /// Its first glyph.
        start: usize,
        /// Behind its last glyph.
        end: usize,
        /// Where its text begins.
        open: Point,
    },
    /// To a part that is written behind the text.
    Block,
}

/// Reads a text of some form.
pub(super) type Read<'r> = &'r dyn Fn(&str) -> Result<Page, BootError>;
/// Adds a part with one argument to a text of some form.
pub(super) type AddBlock<'r> = &'r dyn Fn(&str, &str) -> String;

/// Makes one edit of a text.
pub(super) fn edit(
    text: &str,
    edit: &ArgumentEdit,
    read: Read<'_>,
    add_block: AddBlock<'_>,
) -> Result<String, BootError> {
    let name = edit.name.as_str();
    check_name(name)?;
    if let Some(to) = &edit.to {
        check_value(name, to)?;
    }
    let mut text = text.to_owned();
    // Each turn takes away one word, so there are fewer than bytes.
    for _ in 0..=text.len() {
        let page = read(&text)?;
        let words = words(&page.line);
        let view = View { page: &page, words: &words };
        let all = arguments(&words.kernel);
        view.known(name)?;
        let mut same = all.iter().filter(|one| one.is(name));
        let splices = match (&edit.to, same.clone().count()) {
            (None, 0) => return Ok(text),
            (None, _) => view.without(same.next_back())?,
            (Some(to), 0) => {
                check_new(name, &all)?;
                let new = typed(name, to).join(" ");
                let Some(splice) = view.with(&new)? else {
                    return Ok(add_block(&text, &new));
                };
                return Ok(spliced(&text, vec![splice]));
            }
            (Some(_), 2..) if first_counts(name) => {
                view.without(same.next_back())?
            }
            (Some(to), _) => match same.next_back() {
                Some(one) if one.value != *to => {
                    let splices = view.replaced(one, to)?;
                    return Ok(spliced(&text, splices));
                }
                _ => return Ok(text),
            },
        };
        text = spliced(&text, splices);
    }
    Err(BootError::Shared(name.to_owned()))
}

/// A line with its words.
struct View<'v> {
    page: &'v Page,
    words: &'v Words,
}

impl View<'_> {
    fn word(&self, at: Option<usize>) -> Option<&Word> {
        self.words.kernel.get(at?)
    }

    /// Refuses an argument that may be in a word of which a part is not known
    /// here, and all of them where such a word may end the kernel's.
    fn known(&self, name: &str) -> Result<(), BootError> {
        let open = self.words.kernel.iter().filter(|word| word.text.is_none());
        let glyphs = |word: &Word| &self.page.line[word.range.clone()];
        for word in open {
            let text: String =
                glyphs(word).iter().filter_map(Glyph::char).collect();
            if text.contains(name) || text == "--" {
                return Err(BootError::Shared(text));
            }
        }
        Ok(())
    }

    /// Takes away the last word that makes an argument, and the blanks before
    /// it; of the first word of its part, those behind it. What was added
    /// goes without a trace.
    fn without(
        &self,
        argument: Option<&Argument>,
    ) -> Result<Vec<Splice>, BootError> {
        let Some(argument) = argument else { return Ok(Vec::new()) };
        let word = self.word(argument.count.or(argument.key));
        let Some(word) = word else { return Ok(Vec::new()) };
        let line = &self.page.line;
        let (mut start, mut end) = (word.range.start, word.range.end);
        while start > 0 && line[start - 1].is_loose() {
            start -= 1;
        }
        if start == 0 || line[start - 1] == Glyph::Joint {
            start = word.range.start;
            while line.get(end).is_some_and(Glyph::is_loose) {
                end += 1;
            }
            if matches!(line.get(end), None | Some(Glyph::Joint)) {
                end = word.range.end;
            }
        }
        self.cut(start..end, &argument.name)
    }

    /// Gives an argument another value.
    fn replaced(
        &self,
        argument: &Argument,
        to: &str,
    ) -> Result<Vec<Splice>, BootError> {
        let shared = || BootError::Shared(argument.name.clone());
        if let (Some(key), None) = (self.word(argument.key), argument.count)
            && argument.name.contains('=')
        {
            // The size is there, its number is not.
            let last = key.range.end.checked_sub(1);
            let last = last.and_then(|at| self.page.line[at].after());
            let last = last.ok_or_else(shared)?;
            return Ok(vec![inserted(last, " ", &count_word(to))]);
        }
        let at = argument.count.or(argument.key);
        let found = self.word(at).ok_or_else(shared)?;
        let text = match argument.count {
            Some(_) => count_word(to),
            None => word(&argument.name, to),
        };
        let mut splices = self.cut(found.range.clone(), &argument.name)?;
        let first =
            self.page.line[found.range.clone()].iter().find_map(|glyph| {
                match glyph {
                    Glyph::Char { place, .. } => Some(place),
                    _ => None,
                }
            });
        let first = first.ok_or_else(shared)?;
        let splice = splices.iter_mut().find(|s| s.start == first.start);
        splice.ok_or_else(shared)?.text = first.quoting.write(&text);
        Ok(splices)
    }

    /// Removes glyphs, if their bytes stand for them alone.
    fn cut(
        &self,
        range: Range<usize>,
        name: &str,
    ) -> Result<Vec<Splice>, BootError> {
        let shared = || BootError::Shared(name.to_owned());
        let (before, rest) = self.page.line.split_at(range.start);
        let (inside, behind) = rest.split_at(range.len());
        let others: BTreeSet<usize> =
            before.iter().chain(behind).filter_map(start_of).collect();
        let mut splices: BTreeMap<usize, Splice> = BTreeMap::new();
        for glyph in inside {
            let (start, end) = match glyph {
                Glyph::Char { place, .. } if !place.fixed => {
                    (place.start, place.end)
                }
                Glyph::Mark(_) => continue,
                _ => return Err(shared()),
            };
            let splice = Splice { start, end, text: String::new() };
            let twice = splices.insert(start, splice).is_some();
            if twice || others.contains(&start) {
                return Err(shared());
            }
        }
        Ok(splices.into_values().collect())
    }

    /// Adds a text behind the kernel's last argument in the part for new
    /// ones; `None` where there is no such part.
    fn with(&self, text: &str) -> Result<Option<Splice>, BootError> {
        let Slot::Part { start, end, open } = self.page.new else {
            return Ok(None);
        };
        if self.words.kernel.iter().any(|word| !word.closed) {
            return Err(BootError::Unclosed);
        }
        let line = &self.page.line;
        // Where init's arguments begin earlier, the kernel's end there.
        let init = line.get(self.words.end).filter(|_| self.words.end < end);
        let kernels = match init {
            None => &line[start..end],
            Some(_) => {
                let all = &line[..self.words.end];
                let joint = all.iter().rposition(|g| *g == Glyph::Joint);
                &all[joint.map_or(0, |at| at + 1)..]
            }
        };
        let solid = |glyph: &&Glyph| !glyph.char().is_some_and(is_blank);
        let mut solids = kernels.iter().rev().filter(solid);
        let last = solids.find(|glyph| glyph.after().is_some());
        let once = |glyph: &Glyph| match start_of(glyph) {
            None => true,
            start => line.iter().filter(|g| start_of(g) == start).count() == 1,
        };
        if !last.or(init).is_none_or(once) {
            return Err(BootError::Shared(text.to_owned()));
        }
        let splice = match last.and_then(Glyph::after) {
            Some(after) => inserted(after, " ", text),
            None => match init {
                None => inserted(open, "", text),
                Some(Glyph::Char { place, .. }) if !place.fixed => {
                    let text = place.quoting.write(&format!("{text} "));
                    Splice { start: place.start, end: place.start, text }
                }
                Some(_) => return Err(BootError::Shared("--".to_owned())),
            },
        };
        Ok(Some(splice))
    }
}

/// Returns the first byte of a character that may be changed.
const fn start_of(glyph: &Glyph) -> Option<usize> {
    match glyph {
        Glyph::Char { place, .. } if !place.fixed => Some(place.start),
        _ => None,
    }
}

/// Puts a text at a point.
fn inserted(point: Point, before: &str, text: &str) -> Splice {
    let text = point.quoting.write(&format!("{before}{text}"));
    Splice { start: point.at, end: point.at, text }
}
