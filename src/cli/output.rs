//! What leaves the program besides text on a screen.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::exit::{CliError, Kind};
use super::state;
use crate::definition;
use crate::files::{StateDir, plan_store};
use crate::model::Plan;

/// Opens the state folder.
pub(super) fn state_dir() -> Result<StateDir, CliError> {
    let path = state::folder()?;
    StateDir::open(&path).map_err(|error| {
        let error = anyhow::Error::new(error)
            .context(format!("opening the state folder {}", path.display()));
        CliError::new(Kind::Failed, error)
            .hint("VMTUNE_STATE_DIR names another folder")
    })
}

/// Saves a plan in a file, or where `apply` looks for it.
pub(super) fn save_plan(
    plan: &Plan,
    out: Option<&Path>,
) -> Result<PathBuf, CliError> {
    let Some(path) = out else {
        let state = state_dir()?;
        let saved = plan_store::save(&state, plan);
        return saved.map_err(|e| CliError::new(Kind::Failed, e));
    };
    plan_store::save_to(path, plan)
        .map_err(|e| CliError::new(Kind::Failed, e))?;
    Ok(path.to_owned())
}

/// Writes a definition into a folder of the user's choice, readable to its
/// owner alone: it may hold secrets.
pub(super) fn write_definition(
    path: &Path,
    text: &str,
) -> Result<(), CliError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| {
            format!("making the folder {}", folder.display())
        })?;
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

/// Returns a definition as it may be shown: without passwords and keys,
/// unless they were asked for.
pub(super) fn printable(
    text: &str,
    show_secrets: bool,
) -> Result<String, CliError> {
    if show_secrets {
        return Ok(text.to_owned());
    }
    let shown = definition::redact(text)
        .context("taking the secrets out of a definition")?;
    Ok(shown)
}
