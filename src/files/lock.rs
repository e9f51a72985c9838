//! One apply at a time.

use std::fs::{File, TryLockError};
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;

use nix::fcntl::OFlag;

use super::folder::read_bounded;
use super::{FileError, StateDir};

/// Name of the lock's file; it stays when the lock is given back.
const NAME: &str = "lock";
/// Longest text in it: a process number and a line break.
const MAX_TEXT: u64 = 32;

/// The right to change the host. It ends with the value, or with the process
/// however that ends, since the kernel holds it.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error(
        "another vmtune{} is changing this host; wait for it to end",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Held {
        /// Who, where that could be read.
        pid: Option<u32>,
    },
    /// The lock's file could not be used.
    #[error("taking the lock")]
    File(#[source] FileError),
    /// The lock's file could be opened but not locked or written.
    #[error("locking {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Lock {
    /// Takes the lock, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] names the process that has it.
    pub fn take(state: &StateDir) -> Result<Self, LockError> {
        let path = state.root.path_of(NAME);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = state
            .root
            .open(NAME, OFlag::O_RDWR | OFlag::O_CREAT)
            .map_err(LockError::File)?
            .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let note = read_bounded(file, &path, MAX_TEXT)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok());
                let pid = note.and_then(|note| note.trim().parse().ok());
                return Err(LockError::Held { pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let note = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Gives the lock back in so many words: closing the file alone would
    /// leave it to a process that is being started and has a copy still.
    fn drop(&mut self) {
        // A lock that cannot be given back ends with the process.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_had_once_and_names_its_holder() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("s")).unwrap();
        let lock = Lock::take(&state).unwrap();
        let held = Lock::take(&state).unwrap_err();
        let me = std::process::id();
        assert!(held.to_string().contains(&format!("(process {me})")));
        drop(lock);
        Lock::take(&state).unwrap();
    }

    #[test]
    fn an_unreadable_holder_is_still_a_holder() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("s")).unwrap();
        let _lock = Lock::take(&state).unwrap();
        std::fs::write(state.path().join("lock"), "rubbish").unwrap();
        let held = Lock::take(&state).unwrap_err();
        assert!(matches!(held, LockError::Held { pid: None }), "{held}");
    }
}
