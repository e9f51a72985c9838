//! What an interface is to the switch in its card.

use std::io::ErrorKind::NotFound;
use std::str::FromStr;

use crate::host::Root;
use crate::model::Fact;

/// Reads an attribute of an interface that only ports of a switch have. The
/// kernel has the file for all, and refuses to read it where there is no
/// switch.
pub(super) fn of<T: FromStr>(
    root: &Root,
    folder: &str,
    name: &str,
) -> Fact<Option<T>> {
    let path = format!("{folder}/{name}");
    match root.read(&path) {
        Ok(text) => match text.trim() {
            "" => Fact::known(None, format!("/{path}")),
            text => match text.parse() {
                Ok(value) => Fact::known(Some(value), format!("/{path}")),
                Err(_) => {
                    Fact::unknown(format!("/{path} has a form of its own"))
                }
            },
        },
        Err(e) => {
            let refused =
                e.source.raw_os_error() == Some(nix::libc::EOPNOTSUPP);
            let absent = e.source.kind() == NotFound && root.is_complete();
            match refused || absent {
                true => Fact::known(None, format!("/{path}")),
                false => Fact::unknown(e.reason()),
            }
        }
    }
}
