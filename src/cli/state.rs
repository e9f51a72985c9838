//! The folder where plans and journals are kept.

use std::ffi::OsString;
use std::path::PathBuf;

use super::exit::CliError;

/// Returns the state folder: `$VMTUNE_STATE_DIR`, else `/var/lib/vmtune` for
/// root, and for others a folder of theirs by the XDG rules.
pub(super) fn folder() -> Result<PathBuf, CliError> {
    choose(
        |name| std::env::var_os(name).filter(|value| !value.is_empty()),
        nix::unistd::geteuid().is_root(),
    )
    .ok_or_else(|| {
        CliError::usage("there is no folder to keep plans in")
            .hint("set HOME or VMTUNE_STATE_DIR")
    })
}

fn choose(
    variable: impl Fn(&str) -> Option<OsString>,
    root: bool,
) -> Option<PathBuf> {
    if let Some(folder) = variable("VMTUNE_STATE_DIR") {
        return Some(folder.into());
    }
    if root {
        return Some("/var/lib/vmtune".into());
    }
    let xdg = variable("XDG_STATE_HOME").map(PathBuf::from);
    // The XDG rules ignore a relative path.
    let base = xdg.filter(|path| path.is_absolute()).or_else(|| {
        Some(PathBuf::from(variable("HOME")?).join(".local/state"))
    });
    Some(base?.join("vmtune"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_environment() {
        let choose = |vars: &[(&str, &str)], root| {
            let find = |name: &str| {
                let found = vars.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            };
            choose(find, root).map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/a");
        for (vars, root, folder) in [
            (&[("VMTUNE_STATE_DIR", "/s"), home][..], true, Some("/s")),
            (&[home], true, Some("/var/lib/vmtune")),
            (&[("XDG_STATE_HOME", "/x"), home], false, Some("/x/vmtune")),
            (
                &[("XDG_STATE_HOME", "x"), home],
                false,
                Some("/home/a/.local/state/vmtune"),
            ),
            (&[], false, None),
        ] {
            assert_eq!(choose(vars, root).as_deref(), folder);
        }
    }
}
