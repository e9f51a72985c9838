//! Writing a file so that it is there as a whole or not at all, even when
//! the machine loses power half-way.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, unlinkat};

/// How many names are tried for the temporary file. One is taken only where
/// a process of the same number was killed while it wrote.
const TRIES: u32 = 64;

/// Who may use a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// Its mode.
    pub(crate) mode: Mode,
    /// Whose it is; `None` for whoever writes it.
    pub(crate) owner: Option<(Uid, Gid)>,
}

impl From<Mode> for Access {
    fn from(mode: Mode) -> Self {
        Self { mode, owner: None }
    }
}

/// Why a file was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// Something of that name is there and is not an ordinary file. A link is
    /// neither followed nor replaced.
    NotRegular,
    /// The system refused.
    System(Errno),
}

impl From<Errno> for WriteError {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

/// Replaces or makes the file `name` in `folder`.
pub(crate) fn write(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    bytes: &[u8],
    access: impl Into<Access>,
) -> Result<(), WriteError> {
    match fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if kind(&stat) != SFlag::S_IFREG => {
            return Err(WriteError::NotRegular);
        }
        Ok(_) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let (temp, file) = create(folder, name)?;
    let written = fill(file, bytes, access.into())
        .and_then(|()| renameat(folder, temp.as_os_str(), folder, name))
        .and_then(|()| fsync(folder));
    if written.is_err() {
        // The error that counts is the one above; after the rename there is
        // nothing left to remove.
        let _ = unlinkat(folder, temp.as_os_str(), UnlinkatFlags::NoRemoveDir);
    }
    Ok(written?)
}

/// Returns what kind of thing a folder's entry is.
pub(crate) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// Makes an empty file that nobody else can open.
fn create(
    folder: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<(OsString, File), Errno> {
    let flags = OFlag::O_WRONLY
        | OFlag::O_CREAT
        | OFlag::O_EXCL
        | OFlag::O_NOFOLLOW
        | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    for n in 0..TRIES {
        let temp = temporary(name, n);
        match openat(folder, temp.as_os_str(), flags, mode) {
            Ok(handle) => return Ok((temp, File::from(handle))),
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EEXIST)
}

fn temporary(name: &OsStr, n: u32) -> OsString {
    let mut temp = OsString::from(".");
    temp.push(name);
    temp.push(format!(".{}-{n}.tmp", std::process::id()));
    temp
}

/// Returns whether a file is one that [`write`] has left, of a process that
/// was killed while it wrote the file `name`.
pub(crate) fn is_left_over(name: &str, of: &str) -> bool {
    let middle = name
        .strip_prefix('.')
        .and_then(|rest| rest.strip_prefix(of))
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(".tmp"));
    let numbers = middle.and_then(|middle| middle.split_once('-'));
    let is_number = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    numbers.is_some_and(|(pid, n)| is_number(pid) && is_number(n))
}

fn fill(mut file: File, bytes: &[u8], access: Access) -> Result<(), Errno> {
    if let Some((user, group)) = access.owner {
        let now = fstat(&file)?;
        let same = now.st_uid == user.as_raw() && now.st_gid == group.as_raw();
        if !same {
            fchown(&file, Some(user), Some(group))?;
        }
    }
    // Only now: another owner takes away what the mode gives to him.
    fchmod(&file, access.mode)?;
    let io = |error: std::io::Error| {
        error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
    };
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let temp = tempfile::tempdir().unwrap();
        let folder = File::open(temp.path()).unwrap();
        let mode = Mode::from_bits_truncate(0o640);
        for text in ["one, and longer", "two"] {
            let name = OsStr::new("f");
            write(folder.as_fd(), name, text.as_bytes(), mode).unwrap();
        }
        let path = temp.path().join("f");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_left_over_temporary_file_is_no_obstacle() {
        let temp = tempfile::tempdir().unwrap();
        let folder = File::open(temp.path()).unwrap();
        let left = temporary(OsStr::new("f"), 0);
        fs::write(temp.path().join(&left), "old").unwrap();
        assert!(is_left_over(left.to_str().unwrap(), "f"));
        for other in [".f.tmp", ".f.1-x.tmp", ".g.1-0.tmp", "f", "f.1-0.tmp"] {
            assert!(!is_left_over(other, "f"), "{other}");
        }
        let mode = Mode::from_bits_truncate(0o600);
        write(folder.as_fd(), OsStr::new("f"), b"new", mode).unwrap();
        assert_eq!(fs::read(temp.path().join("f")).unwrap(), b"new");
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let temp = tempfile::tempdir().unwrap();
        let folder = File::open(temp.path()).unwrap();
        fs::create_dir(temp.path().join("f")).unwrap();
        let mode = Mode::from_bits_truncate(0o600);
        let failed = write(folder.as_fd(), OsStr::new("f"), b"x", mode);
        assert_eq!(failed, Err(WriteError::NotRegular));
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
