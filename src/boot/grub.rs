//! Settings of GRUB: shell scripts that set two variables, which its menu is
//! made from.

use super::BootError;
use super::change::{Page, Slot};
use super::line::{Glyph, Point, Quoting};
use super::shell::{Shell, Value};

/// What goes to all entries of the menu, those for recovery too. It comes
/// first on the command line.
const ALWAYS: &str = "GRUB_CMDLINE_LINUX";
/// What goes to ordinary entries only.
const ORDINARY: &str = "GRUB_CMDLINE_LINUX_DEFAULT";

/// The variables that matter.
pub(super) const NAMES: [&str; 2] = [ALWAYS, ORDINARY];

/// What says that an assignment is vmtune's own.
const HEADER: &str =
    "# Set by vmtune; `vmtune rollback` takes it away again.\n";

/// Reads one of the scripts: what it adds to the command line.
pub(super) fn read(text: &str) -> Result<Page, BootError> {
    let mut shell = Shell::new(&NAMES);
    shell.run(text, 0)?;
    let always = shell.value(ALWAYS);
    let ordinary = shell.value(ORDINARY);
    let line = line(&shell);
    let before = always.map_or(0, |value| value.glyphs.len());
    let part = |value: &Value, start: usize| Slot::Part {
        start,
        end: start + value.glyphs.len(),
        open: value.open.unwrap_or(BEGIN),
    };
    let new = match (ordinary, always) {
        (Some(value), _) => part(value, before + 1),
        (None, Some(value)) => part(value, 0),
        (None, None) => Slot::Block,
    };
    Ok(Page { line, new })
}

const BEGIN: Point = Point { file: 0, at: 0, quoting: Quoting::Bare };

/// Returns what the menu's generator makes of the variables.
pub(super) fn line(shell: &Shell<'_>) -> Vec<Glyph> {
    let glyphs = |name| {
        let value = shell.value(name);
        value.map(|value| value.glyphs.clone()).unwrap_or_default()
    };
    let mut line = glyphs(ALWAYS);
    line.push(Glyph::Joint);
    line.extend(glyphs(ORDINARY));
    line
}

/// Adds an assignment of vmtune's own behind a script. It adds to what was
/// set before.
pub(super) fn add_block(text: &str, arguments: &str) -> String {
    let arguments = Quoting::Double.write(arguments);
    let block = format!("{HEADER}{ORDINARY}=\"${ORDINARY} {arguments}\"");
    if text.is_empty() || text.ends_with('\n') {
        format!("{text}{block}\n")
    } else {
        format!("{text}\n{block}")
    }
}

/// Takes an assignment of vmtune's own away that adds nothing any more.
pub(super) fn drop_block(text: &str) -> String {
    let block = format!("{HEADER}{ORDINARY}=\"${ORDINARY}\"");
    for (start, _) in text.match_indices(&block) {
        let end = start + block.len();
        let before = &text[..start];
        let whole = before.is_empty() || before.ends_with('\n');
        if !whole {
            continue;
        }
        if let Some(behind) = text[end..].strip_prefix('\n') {
            return format!("{before}{behind}");
        }
        if text[end..].is_empty() {
            return before.strip_suffix('\n').unwrap_or(before).to_owned();
        }
    }
    text.to_owned()
}
