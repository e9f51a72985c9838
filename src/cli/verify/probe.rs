//! The probe that is sent: where it is, and whether it is this vmtune's own.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow};

use crate::cli::exit::{CliError, Kind};

/// Its name.
const NAME: &str = "vmtune-probe";
/// Where a package puts it.
const PACKAGED: &str = "/usr/lib/vmtune";
/// Larger than any build of it.
const LARGEST: u64 = 256 << 20;
/// Larger than what a probe prints on the largest machine.
const LONGEST: u64 = 16 << 20;

/// The program.
pub(super) struct Probe {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// Finds the probe, and reads it.
pub(super) fn find(named: Option<&Path>) -> Result<Probe, CliError> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => places().into_iter().find(|path| path.is_file()).ok_or_else(
            || {
                CliError::new(Kind::Failed, anyhow!("{NAME} is not installed"))
                    .hint(format!(
                        "put it beside vmtune or into {PACKAGED}, or name it \
                         by --probe"
                    ))
            },
        )?,
    };
    check_version(&path)?;
    let bytes = bounded(&path, LARGEST)?;
    Ok(Probe { path, bytes })
}

/// Reads what a probe printed.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    bounded(path, LONGEST)
}

fn places() -> Vec<PathBuf> {
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|path| Some(path.parent()?.join(NAME)));
    let packaged = Path::new(PACKAGED).join(NAME);
    beside.into_iter().chain([packaged]).collect()
}

/// Refuses a probe of another version: its report could not be read.
fn check_version(path: &Path) -> Result<(), CliError> {
    let own = format!("{NAME} {}", env!("CARGO_PKG_VERSION"));
    let asked = Command::new(path).arg("--version").output();
    let asked =
        asked.with_context(|| format!("starting {}", path.display()))?;
    let said = String::from_utf8_lossy(&asked.stdout);
    if said.trim_end() == own {
        return Ok(());
    }
    let said: String = said.trim_end().chars().take(80).collect();
    let error = anyhow!("{} calls itself {said:?}", path.display());
    Err(CliError::new(Kind::Failed, error)
        .hint(format!("this vmtune goes together with {own}")))
}

fn bounded(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("reading {}", path.display()))?;
    if bytes.len() as u64 > limit {
        let what = format!("{} is larger than {limit} bytes", path.display());
        return Err(CliError::from(anyhow!(what)));
    }
    Ok(bytes)
}
