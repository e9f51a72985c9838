//! Where the secret of a run comes from: never from the command line, which
//! everybody on the machine can read.

use std::path::Path;

use anyhow::Context as _;

use crate::cli::exit::CliError;
use crate::probe::wire::Secret;

/// The variable that may hold it.
pub(super) const VARIABLE: &str = "VMTUNE_PROBE_SECRET";
/// A file that is longer is no secret.
const LONGEST: u64 = 4096;

/// Reads the secret from a file or else from the environment; `None` where
/// neither holds one.
pub(super) fn given(file: Option<&Path>) -> Result<Option<Secret>, CliError> {
    let text = match file {
        Some(path) => Some(read(path).with_context(|| {
            format!("reading the secret from {}", path.display())
        })?),
        None => std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()),
    };
    let from = file
        .map_or_else(|| VARIABLE.to_owned(), |path| path.display().to_string());
    let parse = |text: String| {
        text.parse::<Secret>().with_context(|| format!("reading {from}"))
    };
    Ok(text.map(parse).transpose()?)
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}
