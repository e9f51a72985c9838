//! Folders by handle: each is opened from its parent, and checked.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, fsync, unlinkat};

use super::FileError;
use super::atomic::{self, WriteError, kind};

/// Mode of the files in the state folder: definitions hold secrets.
const PRIVATE_FILE: Mode = Mode::from_bits_truncate(0o600);
/// Mode of the state folder and the folders in it.
const PRIVATE_FOLDER: Mode = Mode::from_bits_truncate(0o700);

/// The folder that vmtune keeps its plans and its journal in.
#[derive(Debug)]
pub struct StateDir {
    pub(super) root: Folder,
}

impl StateDir {
    /// Opens the folder, and makes it and its parents where they are missing.
    ///
    /// # Errors
    /// When the path is not absolute, goes through a link, or a folder on it
    /// could be tampered with by somebody other than this user or root.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Folder::walk(path).map(|root| Self { root })
    }

    /// Returns the folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root.path
    }
}

/// A folder that only this user can write.
#[derive(Debug)]
pub(super) struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    fn walk(path: &Path) -> Result<Self, FileError> {
        let bad = || FileError::Path { path: path.into() };
        let mut names = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name),
                Component::RootDir => {}
                _ => return Err(bad()),
            }
        }
        let (Some(last), true) = (names.pop(), path.is_absolute()) else {
            return Err(bad());
        };
        // O_PATH, because the parents need not be readable to be passed.
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut here = Self {
            handle: nix::fcntl::open("/", flags, Mode::empty())
                .map_err(|error| io_error("opening", Path::new("/"), error))?,
            path: "/".into(),
        };
        for name in names {
            here = here.enter(name, OFlag::O_PATH)?;
            here.check(true)?;
        }
        here.subfolder_os(last)
    }

    /// Opens a folder in this one, and makes it where it is missing.
    pub(super) fn subfolder(&self, name: &str) -> Result<Self, FileError> {
        self.subfolder_os(OsStr::new(name))
    }

    fn subfolder_os(&self, name: &OsStr) -> Result<Self, FileError> {
        let folder = self.enter(name, OFlag::O_RDONLY)?;
        folder.check(false)?;
        Ok(folder)
    }

    fn enter(&self, name: &OsStr, access: OFlag) -> Result<Self, FileError> {
        let path = self.path.join(name);
        let flags =
            access | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let open = || openat(&self.handle, name, flags, Mode::empty());
        let handle = match open() {
            Err(Errno::ENOENT) => {
                match mkdirat(&self.handle, name, PRIVATE_FOLDER) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => {
                        return Err(io_error("making", &path, error));
                    }
                }
                open()
            }
            other => other,
        };
        match handle {
            Ok(handle) => Ok(Self { handle, path }),
            Err(Errno::ENOTDIR | Errno::ELOOP) if self.is_link(name) => {
                Err(FileError::Link { path })
            }
            Err(error) => Err(io_error("opening", &path, error)),
        }
    }

    fn is_link(&self, name: &OsStr) -> bool {
        fstatat(&self.handle, name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| kind(&stat) == SFlag::S_IFLNK)
    }

    /// Refuses a folder in which others could replace files. On the way to
    /// ours, root's folders will do, and those with the sticky bit.
    fn check(&self, on_the_way: bool) -> Result<(), FileError> {
        let stat = fstat(&self.handle)
            .map_err(|error| io_error("looking at", &self.path, error))?;
        let sticky = stat.st_mode & 0o1000 != 0;
        check(&self.path, &stat, on_the_way, on_the_way && sticky)
    }

    /// Returns the path of a file in this folder, for messages.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file that must be an ordinary one of this user's; `None` where
    /// there is none.
    pub(super) fn open(
        &self,
        name: &str,
        access: OFlag,
    ) -> Result<Option<File>, FileError> {
        let path = self.path_of(name);
        // O_NONBLOCK, because opening a pipe would wait for its other end.
        let flags =
            access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let handle = match openat(&self.handle, name, flags, PRIVATE_FILE) {
            Ok(handle) => handle,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(FileError::NotRegular { path }),
            Err(error) => return Err(io_error("opening", &path, error)),
        };
        let stat = fstat(&handle)
            .map_err(|error| io_error("looking at", &path, error))?;
        if kind(&stat) != SFlag::S_IFREG {
            return Err(FileError::NotRegular { path });
        }
        check(&path, &stat, false, false)?;
        Ok(Some(File::from(handle)))
    }

    /// Reads a file; `None` where there is none.
    pub(super) fn read(
        &self,
        name: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, FileError> {
        let Some(file) = self.open(name, OFlag::O_RDONLY)? else {
            return Ok(None);
        };
        read_bounded(file, &self.path_of(name), limit).map(Some)
    }

    /// Reads the last bytes of a file, at most so many; none where there is no
    /// file.
    pub(super) fn tail(
        &self,
        name: &str,
        length: u64,
    ) -> Result<Vec<u8>, FileError> {
        let Some(file) = self.open(name, OFlag::O_RDONLY)? else {
            return Ok(Vec::new());
        };
        let path = self.path_of(name);
        let skipped = file
            .metadata()
            .map(|file| file.len().saturating_sub(length))
            .and_then(|start| (&file).seek(SeekFrom::Start(start)));
        skipped.map_err(|source| FileError::Io {
            doing: "reading",
            path: path.clone(),
            source,
        })?;
        read_bounded(file, &path, length)
    }

    /// Writes a file as a whole.
    pub(super) fn write(
        &self,
        name: &str,
        text: &str,
    ) -> Result<(), FileError> {
        atomic::write(
            self.handle.as_fd(),
            OsStr::new(name),
            text.as_bytes(),
            PRIVATE_FILE,
        )
        .map_err(|error| write_error(&self.path_of(name), error))
    }

    /// Returns the names in this folder, sorted; those that are not text
    /// are none of ours.
    pub(super) fn names(&self) -> Result<Vec<String>, FileError> {
        let failed = |error| io_error("listing", &self.path, error);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut folder = Dir::openat(&self.handle, ".", flags, Mode::empty())
            .map_err(failed)?;
        let mut names = Vec::new();
        for entry in folder.iter() {
            let entry = entry.map_err(failed)?;
            names.extend(entry.file_name().to_str().map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Takes a file away.
    pub(super) fn remove(&self, name: &str) -> Result<(), FileError> {
        unlinkat(&self.handle, name, UnlinkatFlags::NoRemoveDir)
            .and_then(|()| fsync(&self.handle))
            .map_err(|error| io_error("removing", &self.path_of(name), error))
    }
}

/// Reads all of an ordinary file that is not larger than `limit`.
pub(super) fn read_bounded(
    file: File,
    path: &Path,
    limit: u64,
) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|source| {
        FileError::Io { doing: "reading", path: path.into(), source }
    })?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.into(), limit });
    }
    Ok(bytes)
}

pub(super) fn write_error(path: &Path, error: WriteError) -> FileError {
    match error {
        WriteError::NotRegular => FileError::NotRegular { path: path.into() },
        WriteError::System(error) => io_error("writing", path, error),
    }
}

fn check(
    path: &Path,
    stat: &FileStat,
    roots_will_do: bool,
    any_mode: bool,
) -> Result<(), FileError> {
    let path = || path.to_owned();
    let ours = stat.st_uid == Uid::effective().as_raw();
    if !(ours || roots_will_do && stat.st_uid == 0) {
        return Err(FileError::Owner { path: path(), owner: stat.st_uid });
    }
    if stat.st_mode & 0o022 != 0 && !any_mode {
        let mode = stat.st_mode & 0o7777;
        return Err(FileError::Writable { path: path(), mode });
    }
    Ok(())
}

fn io_error(doing: &'static str, path: &Path, error: Errno) -> FileError {
    FileError::Io { doing, path: path.into(), source: io::Error::from(error) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_state_folder_is_made_private() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        let state = StateDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        state.root.write("f", "text").unwrap();
        assert_eq!(mode(&path.join("f")), 0o600);
        assert_eq!(state.root.read("f", 4).unwrap().unwrap(), b"text");
        assert_eq!(state.root.read("g", 4).unwrap(), None);
        assert_eq!(state.root.names().unwrap(), [".", "..", "f"]);
        state.root.remove("f").unwrap();
        assert_eq!(state.root.read("f", 4).unwrap(), None);
    }

    #[test]
    fn links_are_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().join("real");
        let state = StateDir::open(&real).unwrap();
        let link = temp.path().join("link");
        symlink(&real, &link).unwrap();
        let through = StateDir::open(&link.join("inner")).unwrap_err();
        assert!(matches!(through, FileError::Link { .. }), "{through}");
        let itself = StateDir::open(&link).unwrap_err();
        assert!(matches!(itself, FileError::Link { .. }), "{itself}");

        symlink("/etc/passwd", real.join("file")).unwrap();
        let read = state.root.read("file", 9999).unwrap_err();
        assert!(matches!(read, FileError::NotRegular { .. }), "{read}");
        let write = state.root.write("file", "x").unwrap_err();
        assert!(matches!(write, FileError::NotRegular { .. }), "{write}");
    }

    #[test]
    fn folders_that_others_can_write_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let open = temp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, PermissionsExt::from_mode(0o770)).unwrap();
        for path in [open.clone(), open.join("inner")] {
            let error = StateDir::open(&path).unwrap_err();
            assert!(matches!(error, FileError::Writable { .. }), "{error}");
        }
    }

    #[test]
    fn foreign_folders_are_refused() {
        if !Uid::effective().is_root() {
            return; // only root can give a folder away
        }
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("theirs");
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        let error = StateDir::open(&path).unwrap_err();
        assert!(
            matches!(error, FileError::Owner { owner: 12345, .. }),
            "{error}"
        );
    }

    #[test]
    fn odd_paths_are_refused() {
        for path in ["relative", "/", "/tmp/../etc", ""] {
            let error = StateDir::open(Path::new(path)).unwrap_err();
            assert!(matches!(error, FileError::Path { .. }), "{path}");
        }
    }

    #[test]
    fn reads_are_bounded_and_never_wait() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("s")).unwrap();
        state.root.write("big", "12345").unwrap();
        let error = state.root.read("big", 4).unwrap_err();
        assert!(matches!(error, FileError::TooLarge { limit: 4, .. }));
        nix::unistd::mkfifo(&state.path().join("pipe"), PRIVATE_FILE).unwrap();
        let error = state.root.read("pipe", 4).unwrap_err();
        assert!(matches!(error, FileError::NotRegular { .. }));
    }
}
