//! `/etc/kernel/cmdline`: one line, as the kernel gets it.

use super::BootError;
use super::change::{Page, Slot};
use super::line::{Point, Quoting, is_blank, plain};

/// Reads the line. Behind it there may be only blanks: `proxmox-boot-tool`
/// ignores further lines, `kernel-install` joins them. Neither agrees with
/// the other on comments, or with its own older versions.
pub(super) fn read(text: &str) -> Result<Page, BootError> {
    let end = text.find('\n').unwrap_or(text.len());
    let behind = &text[end..];
    if let Some(at) = behind.find(|c| !is_blank(c)) {
        let line = 1 + behind[..at].matches('\n').count();
        let what = "not all programs read more than the first line".into();
        return Err(BootError::NotUnderstood { line, what });
    }
    let text = &text[..end];
    if let Some('#') = text.trim_start().chars().next() {
        let what = "not all programs take this for a comment".into();
        return Err(BootError::NotUnderstood { line: 1, what });
    }
    if text.chars().all(is_blank) {
        return Err(BootError::Empty);
    }
    let open = Point { file: 0, at: 0, quoting: Quoting::Plain };
    Ok(Page {
        line: plain(text, 0),
        new: Slot::Part { start: 0, end: text.chars().count(), open },
    })
}
