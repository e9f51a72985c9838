//! GRUB's environment block: a file of 1024 bytes with lines `name=value`,
//! filled up with `#`.

use super::BootError;
use super::change::{Page, Slot};
use super::line::{Glyph, Place, Point, Quoting};

/// The size of the block, which GRUB writes to in place.
const SIZE: usize = 1024;
/// How the block begins.
const HEADER: &str = "# GRUB Environment Block\n";

/// Reads `kernelopts`, which entries refer to.
pub(super) fn read(text: &str) -> Result<Page, BootError> {
    let (start, glyphs) = value(text, "kernelopts").ok_or(BootError::Empty)?;
    let open = Point { file: 0, at: start, quoting: Quoting::Plain };
    let end = glyphs.len();
    Ok(Page { line: glyphs, new: Slot::Part { start: 0, end, open } })
}

/// Returns the text of a variable, without its escapes.
pub(super) fn variable(text: &str, name: &str) -> Option<String> {
    let (_, glyphs) = value(text, name)?;
    glyphs.iter().map(Glyph::char).collect()
}

/// Finds a variable: where its value begins, and its characters.
fn value(text: &str, name: &str) -> Option<(usize, Vec<Glyph>)> {
    let mut at = text.strip_prefix(HEADER).map(|_| HEADER.len())?;
    while at < text.len() && !text[at..].starts_with('#') {
        let (glyphs, end) = logical_line(text, at);
        let line: String = glyphs.iter().filter_map(Glyph::char).collect();
        if let Some(value) = line.strip_prefix(name)
            && value.starts_with('=')
        {
            let equals = name.chars().count();
            let start = glyphs.get(equals)?.after()?.at;
            return Some((start, glyphs[equals + 1..].to_vec()));
        }
        at = end;
    }
    None
}

/// Reads to the end of a line that no backslash stands before.
fn logical_line(text: &str, from: usize) -> (Vec<Glyph>, usize) {
    let mut glyphs = Vec::new();
    let mut rest = text[from..].char_indices();
    while let Some((at, c)) = rest.next() {
        if c == '\n' {
            return (glyphs, from + at + 1);
        }
        let start = from + at;
        let escaped = if c == '\\' { rest.next() } else { None };
        let (at, c) = escaped.unwrap_or((at, c));
        let end = from + at + c.len_utf8();
        let quoting = Quoting::Plain;
        let place = Place { file: 0, start, end, quoting, fixed: false };
        glyphs.push(Glyph::Char { c, place });
    }
    (glyphs, text.len())
}

/// Fills the block up to its size, or takes away what fills it.
pub(super) fn filled(text: &str) -> Result<String, BootError> {
    let content = text.trim_end_matches('#');
    let spare = SIZE.checked_sub(content.len()).ok_or(BootError::Full)?;
    Ok(content.to_owned() + &"#".repeat(spare))
}

/// Refuses a file that is no such block.
pub(super) fn check(text: &str) -> Result<(), BootError> {
    if text.len() == SIZE && text.starts_with(HEADER) {
        return Ok(());
    }
    let what = "this is no block of 1024 bytes".to_owned();
    Err(BootError::NotUnderstood { line: 1, what })
}
