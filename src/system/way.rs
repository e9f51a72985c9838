//! The way to a file: each folder is opened from its parent, by handle, and
//! no link is followed.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, fsync, unlinkat};

use super::SystemError;
use crate::base::HostPath;
use crate::files::atomic::kind;

/// Mode of the folders that are made on the way to a file.
const FOLDER: Mode = Mode::from_bits_truncate(0o755);

/// The folders on the way to a file, as far as they are there.
#[derive(Debug)]
pub(super) struct Way<'a> {
    path: &'a HostPath,
    root: BorrowedFd<'a>,
    /// The names of the folders, outermost first.
    names: Vec<&'a str>,
    /// Those that are there; it may be fewer than there are names.
    folders: Vec<OwnedFd>,
}

impl<'a> Way<'a> {
    /// Walks to a file's folder, as far as there are folders.
    pub(super) fn walk(
        root: BorrowedFd<'a>,
        path: &'a HostPath,
    ) -> Result<Self, SystemError> {
        let mut names: Vec<_> = path.relative().split('/').collect();
        names.pop();
        let mut way = Self { path, root, names, folders: Vec::new() };
        way.check(root, 0)?;
        while way.folders.len() < way.names.len() {
            match way.enter() {
                Ok(folder) => way.folders.push(folder),
                Err(Errno::ENOENT) => break,
                Err(error) => return Err(way.refused(error)),
            }
            way.check(way.innermost(), way.folders.len())?;
        }
        Ok(way)
    }

    /// Returns how many folders are not there.
    pub(super) fn missing(&self) -> usize {
        self.names.len() - self.folders.len()
    }

    /// Returns the file's folder, where it is there.
    pub(super) fn folder(&self) -> Option<BorrowedFd<'_>> {
        (self.missing() == 0).then(|| self.innermost())
    }

    /// Makes the folders that are missing.
    pub(super) fn make(&mut self) -> Result<(), SystemError> {
        while self.missing() > 0 {
            let name = self.names[self.folders.len()];
            let made = match mkdirat(self.innermost(), name, FOLDER) {
                Ok(()) => true,
                Err(Errno::EEXIST) => false,
                Err(error) => return Err(self.failed("making", error)),
            };
            let folder = self.enter().map_err(|error| self.refused(error))?;
            if made {
                // What this process may not give to others by default.
                fchmod(&folder, FOLDER)
                    .and_then(|()| fsync(self.innermost()))
                    .map_err(|error| self.failed("making", error))?;
            }
            self.folders.push(folder);
            self.check(self.innermost(), self.folders.len())?;
        }
        Ok(())
    }

    /// Removes the innermost folders, `count` of those on the way, as far as
    /// they are there and empty.
    pub(super) fn remove(mut self, count: usize) -> Result<(), SystemError> {
        let kept = self.names.len().saturating_sub(count);
        while self.folders.len() > kept {
            self.folders.pop();
            let name = self.names[self.folders.len()];
            let parent = self.innermost();
            match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
                Ok(()) => fsync(parent)
                    .map_err(|error| self.failed("removing", error))?,
                Err(Errno::ENOENT) => {}
                // Somebody else has put something there.
                Err(Errno::ENOTEMPTY | Errno::EEXIST) => break,
                Err(error) => return Err(self.failed("removing", error)),
            }
        }
        Ok(())
    }

    /// Words an error of the system.
    pub(super) fn failed(
        &self,
        doing: &'static str,
        error: Errno,
    ) -> SystemError {
        SystemError::Io {
            doing,
            path: self.path.clone(),
            source: io::Error::from(error),
        }
    }

    fn innermost(&self) -> BorrowedFd<'_> {
        self.folders.last().map_or(self.root, OwnedFd::as_fd)
    }

    /// Opens the next folder.
    fn enter(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_RDONLY
            | OFlag::O_DIRECTORY
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let name = self.names[self.folders.len()];
        openat(self.innermost(), name, flags, Mode::empty())
    }

    /// Says why the next folder could not be entered.
    fn refused(&self, error: Errno) -> SystemError {
        let name = self.names[self.folders.len()];
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        let is_link = fstatat(self.innermost(), name, flags)
            .is_ok_and(|stat| kind(&stat) == SFlag::S_IFLNK);
        match error {
            Errno::ENOTDIR | Errno::ELOOP if is_link => {
                self.not_safe(self.folders.len() + 1, "is a symbolic link")
            }
            error => self.failed("opening the folder of", error),
        }
    }

    /// Refuses a folder in which others could exchange what lies in it.
    fn check(
        &self,
        folder: BorrowedFd<'_>,
        depth: usize,
    ) -> Result<(), SystemError> {
        let stat = fstat(folder)
            .map_err(|error| self.failed("looking at the folder of", error))?;
        let owner = stat.st_uid;
        if owner != 0 && owner != Uid::effective().as_raw() {
            let why = format!("belongs to user {owner}, who is not root");
            return Err(self.not_safe(depth, why));
        }
        if stat.st_mode & 0o022 != 0 {
            let mode = stat.st_mode & 0o7777;
            let why = format!("can be written by others (mode {mode:o})");
            return Err(self.not_safe(depth, why));
        }
        Ok(())
    }

    fn not_safe(&self, depth: usize, why: impl Into<String>) -> SystemError {
        SystemError::Unsafe {
            path: self.path.clone(),
            folder: format!("/{}", self.names[..depth].join("/")),
            why: why.into(),
        }
    }
}
