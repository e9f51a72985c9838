//! Where facts come from.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{CollectError, ReadError, Root, hwloc};

/// Where facts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This machine.
    Live,
    /// Facts that were written before.
    FactsJson {
        /// What people call it: the file's name.
        name: String,
        /// The JSON text.
        text: String,
    },
    /// An hwloc XML of format 1, 2 or 3.
    HwlocXml {
        /// What people call it: the file's name.
        name: String,
        /// The XML text.
        text: String,
    },
    /// A folder with `sys/` and `proc/`.
    Tree(PathBuf),
    /// A description in hwloc's synthetic syntax.
    Synthetic(String),
}

impl Source {
    /// What begins the name of a synthetic source.
    pub const SYNTHETIC: &'static str = "synthetic:";

    /// Reads what the option `--host` names: `synthetic:DESCRIPTION`, or a
    /// path for [`Source::detect`].
    ///
    /// # Errors
    /// As [`Source::detect`].
    pub fn of_argument(argument: &str) -> Result<Self, CollectError> {
        match argument.strip_prefix(Self::SYNTHETIC) {
            Some(description) => Ok(Self::Synthetic(description.to_owned())),
            None => Self::detect(Path::new(argument)),
        }
    }

    /// Tells by content what a path holds: a tree, facts or hwloc XML. A file
    /// is read here, once.
    ///
    /// # Errors
    /// When the path cannot be read or holds none of these.
    pub fn detect(path: &Path) -> Result<Self, CollectError> {
        let unknown = || CollectError::UnknownSource { path: path.into() };
        if path.is_dir() {
            let tree = path.join("sys").is_dir();
            return tree.then(|| Self::Tree(path.into())).ok_or_else(unknown);
        }
        let text = read_user_file(path)?;
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        match text.trim_start_matches('\u{feff}').trim_start().chars().next() {
            Some('{') => Ok(Self::FactsJson { name, text }),
            Some('<') => match hwloc::xml(&text) {
                Ok(_) => Ok(Self::HwlocXml { name, text }),
                Err(source) => Err(CollectError::Input { name, source }),
            },
            _ => Err(unknown()),
        }
    }
}

/// Reads a file that the user named, no larger than [`Root`] reads any.
fn read_user_file(path: &Path) -> Result<String, ReadError> {
    let read = || {
        let mut text = String::new();
        let file = File::open(path)?;
        file.take(Root::MAX_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > Root::MAX_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(text)
    };
    read().map_err(|source| ReadError {
        path: path.display().to_string(),
        source,
    })
}
