//! Boot loader specification entries: lines with a key and a value, `options`
//! being the command line.

use super::BootError;
use super::change::{Page, Slot};
use super::line::{Glyph, Point, Quoting, plain};

/// Reads all `options` of an entry; they are joined by blanks.
pub(super) fn read(text: &str) -> Result<Page, BootError> {
    let mut line = Vec::new();
    let mut new = None;
    for (start, value) in values(text, "options") {
        if new.is_some() {
            line.push(Glyph::Joint);
        }
        let first = line.len();
        line.extend(with_variables(value, start));
        let open = Point { file: 0, at: start, quoting: Quoting::Plain };
        new = Some(Slot::Part { start: first, end: line.len(), open });
    }
    Ok(Page { line, new: new.ok_or(BootError::Empty)? })
}

/// Returns the version of the kernel that an entry starts, where it says so.
#[must_use]
pub fn entry_version(text: &str) -> Option<&str> {
    values(text, "version").last().map(|(_, value)| value.trim())
}

/// Returns the values of a key, and the byte where each begins.
fn values<'t>(
    text: &'t str,
    key: &'static str,
) -> impl Iterator<Item = (usize, &'t str)> {
    let mut next = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let from = next;
        next += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        let blank = [' ', '\t'];
        let rest = line.trim_start_matches(blank).strip_prefix(key)?;
        let value = rest.trim_start_matches(blank);
        let separate = value.len() < rest.len();
        separate.then(|| (from + line.len() - value.len(), value))
    })
}

/// Makes glyphs of a value; GRUB puts in what `$name` stands for.
fn with_variables(value: &str, from: usize) -> Vec<Glyph> {
    let mut glyphs = Vec::new();
    let mut at = 0;
    while let Some(dollar) = value[at..].find('$') {
        let dollar = at + dollar;
        let name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let rest = &value[dollar + 1..];
        let len = rest.find(|c| !name(c)).unwrap_or(rest.len());
        let end = dollar + 1 + len;
        if len == 0 {
            glyphs.extend(plain(&value[at..end], from + at));
        } else {
            glyphs.extend(plain(&value[at..dollar], from + at));
            let (file, quoting) = (0, Quoting::Plain);
            let after = Point { file, at: from + end, quoting };
            glyphs.push(Glyph::Hole { name: rest[..len].to_owned(), after });
        }
        at = end;
    }
    glyphs.extend(plain(&value[at..], from + at));
    glyphs
}
