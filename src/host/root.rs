//! Where `/` is: this machine's, or a folder that holds a captured tree.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use nix::fcntl::OFlag;

use super::log::Log;
use crate::boot::Form;
use crate::model::Fact;

/// Why something below a [`Root`] could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {path}")]
pub struct ReadError {
    /// The path as the machine itself calls it.
    pub path: String,
    /// What went wrong.
    #[source]
    pub source: io::Error,
}

impl ReadError {
    /// Returns the reason as a clause, for a [`Fact`] that stays unknown.
    #[must_use]
    pub fn reason(&self) -> String {
        let Self { path, source } = self;
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                format!("{path} does not exist")
            }
            io::ErrorKind::PermissionDenied => {
                format!("{path} may be read by root only")
            }
            _ => format!("{path}: {source}"),
        }
    }
}

/// The folder that stands for `/`.
///
/// Paths are given without the leading slash. In a captured tree links are
/// resolved by their text and end inside the tree, whatever they say, so a
/// tree from a stranger cannot show files of this machine. On the machine
/// itself the kernel resolves them: there is no outside.
#[derive(Debug)]
pub struct Root {
    dir: PathBuf,
    live: bool,
    log: Option<RefCell<Log>>,
}

impl Root {
    /// Largest file that is read. sysfs attributes end at a page; the largest
    /// other file is the `hwloc.xml` of a capture, a few hundred bytes for
    /// each CPU.
    pub const MAX_FILE: u64 = 16 << 20;
    /// Longest paragraph: some ten times one processor of `/proc/cpuinfo`.
    const MAX_PARAGRAPH: usize = 64 << 10;
    /// Most entries of one folder that are listed; far above the 65536
    /// functions of a PCI segment that a machine really has.
    const MAX_ENTRIES: usize = 100_000;
    /// Most links that one path may go through; the kernel's own limit.
    const MAX_LINKS: usize = 40;

    /// Returns this machine's root.
    #[must_use]
    pub fn live() -> Self {
        Self { dir: "/".into(), live: true, log: None }
    }

    /// Returns the root of a captured tree.
    #[must_use]
    pub fn tree(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), live: false, log: None }
    }

    /// Returns whether this is the machine that the program runs on.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.live
    }

    /// Returns whether what is not there was not on the machine either. Of a
    /// tree that somebody else gathered that cannot be said.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.live || self.dir.join(super::COMPLETE).exists()
    }

    /// Returns the same root with a log of all that is read through it.
    pub(super) fn logged(&self) -> Self {
        let log = Some(RefCell::default());
        Self { dir: self.dir.clone(), live: self.live, log }
    }

    /// Returns the same root without a log, to look at what a capture must
    /// not hold.
    pub(super) fn unlogged(&self) -> Self {
        Self { dir: self.dir.clone(), live: self.live, log: None }
    }

    /// Takes what was read so far.
    pub(super) fn into_log(self) -> Log {
        self.log.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Reads a file whole. A NUL at its end, which some kernels' lists have,
    /// is cut off.
    ///
    /// # Errors
    /// When there is no such file, it is no ordinary one, it is larger than
    /// [`Root::MAX_FILE`], or it is not UTF-8.
    pub fn read(&self, path: &str) -> Result<String, ReadError> {
        let mut bytes = self.read_bytes(path)?;
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        String::from_utf8(bytes)
            .map_err(|_| error(path, io::ErrorKind::InvalidData.into()))
    }

    /// Reads a file whole, whatever it holds.
    ///
    /// # Errors
    /// As [`Root::read`], except for UTF-8.
    pub fn read_bytes(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.content(path, |_| false).map_err(|e| error(path, e))
    }

    /// Reads the first bytes of a file; a capture holds no others.
    ///
    /// # Errors
    /// As [`Root::read_bytes`].
    pub(super) fn read_start(
        &self,
        path: &str,
        length: usize,
    ) -> Result<Vec<u8>, ReadError> {
        let mut bytes = self.unlogged().read_bytes(path)?;
        bytes.truncate(length);
        if self.log.is_some() {
            let place = self.place(path).map_err(|e| error(path, e))?;
            self.note(|log| log.file(&place, &bytes));
        }
        Ok(bytes)
    }

    /// Notes what a program answered, under the name that a tree has for it.
    pub(super) fn note_answer(&self, place: &str, bytes: &[u8]) {
        self.note(|log| log.file(place, bytes));
    }

    /// Reads a file that keeps a command line. A capture takes nothing else
    /// of it, wherever links may lead.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub fn read_boot(
        &self,
        path: &str,
        form: Form,
    ) -> Result<String, ReadError> {
        let text = self.read(path)?;
        let place = self.place(path).map_err(|e| error(path, e))?;
        self.note(|log| log.form(&place, form));
        Ok(text)
    }

    /// Reads a file up to the first empty line: the first processor of
    /// `/proc/cpuinfo`.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub fn read_paragraph(&self, path: &str) -> Result<String, ReadError> {
        let bytes = self
            .content(path, |read| {
                read.len() >= Self::MAX_PARAGRAPH
                    || find_paragraph(read).is_some()
            })
            .map_err(|e| error(path, e))?;
        String::from_utf8(bytes)
            .map_err(|_| error(path, io::ErrorKind::InvalidData.into()))
    }

    /// Reads the lines of a file that matter, without blanks at both ends. A
    /// capture holds no others: what else a person wrote there is nobody's
    /// business.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub(super) fn lines(
        &self,
        path: &str,
        matters: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, ReadError> {
        let text = self.unlogged().read(path)?;
        let lines = text.lines().map(str::trim).filter(|line| matters(line));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        if self.log.is_some() {
            let place = self.place(path).map_err(|e| error(path, e))?;
            let kept: String = lines.iter().map(|l| format!("{l}\n")).collect();
            self.note(|log| log.file(&place, kept.as_bytes()));
        }
        Ok(lines)
    }

    /// Lists a folder: its plain names, sorted as text.
    ///
    /// # Errors
    /// When there is no such folder or it cannot be read.
    pub fn list(&self, path: &str) -> Result<Vec<String>, ReadError> {
        self.entries(path).map_err(|e| error(path, e))
    }

    /// Returns whether something is there.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        let found = self.place(path).and_then(|place| {
            let kind = fs::symlink_metadata(self.dir.join(&place))?;
            self.note(|log| log.present(&place, kind.is_dir()));
            Ok(())
        });
        found.is_ok()
    }

    /// Returns whether a file may be written by its owner: the kernel shows
    /// so which of its values can be changed.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn is_writable(&self, path: &str) -> Result<bool, ReadError> {
        let writable = || {
            let place = self.place(path)?;
            let kind = fs::metadata(self.dir.join(&place))?;
            let writable = kind.permissions().mode() & 0o200 != 0;
            self.note(|log| log.mode(&place, kind.is_dir(), writable));
            Ok(writable)
        };
        writable().map_err(|e| error(path, e))
    }

    /// Returns the last part of what a link points to: the driver of a
    /// device, the number of its IOMMU group.
    ///
    /// # Errors
    /// When there is no link, or its end is not a plain name.
    pub fn link_name(&self, path: &str) -> Result<String, ReadError> {
        let target = self.link(path).map_err(|e| error(path, e))?;
        let name = target.rsplit('/').find(|part| !part.is_empty());
        name.filter(|name| is_plain(name))
            .map(str::to_owned)
            .ok_or_else(|| error(path, io::ErrorKind::InvalidData.into()))
    }

    /// Returns where a path leads once its links are followed, without the
    /// leading slash.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub fn resolve(&self, path: &str) -> Result<String, ReadError> {
        let resolve = || {
            if self.live && self.log.is_none() {
                let real = fs::canonicalize(self.dir.join(checked(path)?))?;
                let real = real.strip_prefix("/").unwrap_or(&real);
                return text_of(real.to_path_buf());
            }
            let place = self.walk(path)?;
            let kind = fs::symlink_metadata(self.dir.join(&place))?;
            self.note(|log| log.present(&place, kind.is_dir()));
            Ok(place)
        };
        resolve().map_err(|e| error(path, e))
    }

    /// Reads a file and makes a fact of its text, cut of blanks at both ends;
    /// unknown where the file cannot be read or `parse` does not know it.
    pub fn fact<T>(
        &self,
        path: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Fact<T> {
        match self.read(path) {
            Err(e) => Fact::unknown(e.reason()),
            Ok(text) => parse(text.trim()).map_or_else(
                || Fact::unknown(format!("/{path} has a form of its own")),
                |value| Fact::known(value, format!("/{path}")),
            ),
        }
    }

    fn content(
        &self,
        path: &str,
        enough: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Vec<u8>> {
        let place = self.place(path)?;
        // A pipe or a device in a stranger's tree must not block or act:
        // it is opened without waiting and refused by its kind.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(self.dir.join(&place))?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut file = file.take(Self::MAX_FILE + 1);
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                n => bytes.extend_from_slice(&chunk[..n]),
            }
            if enough(&bytes) {
                bytes.truncate(find_paragraph(&bytes).unwrap_or(bytes.len()));
                break;
            }
        }
        if bytes.len() as u64 > Self::MAX_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.note(|log| log.file(&place, &bytes));
        Ok(bytes)
    }

    fn entries(&self, path: &str) -> io::Result<Vec<String>> {
        let place = self.place(path)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(self.dir.join(&place))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !is_plain(&name) {
                continue;
            }
            if names.len() == Self::MAX_ENTRIES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            if self.log.is_some() {
                self.note_entry(&format!("{place}/{name}"), &entry)?;
            }
            names.push(name);
        }
        self.note(|log| log.present(&place, true));
        names.sort_unstable();
        Ok(names)
    }

    fn note_entry(&self, place: &str, entry: &fs::DirEntry) -> io::Result<()> {
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            let target = text_of(fs::read_link(entry.path())?)?;
            self.note(|log| log.link(place, &target));
        } else {
            self.note(|log| log.present(place, kind.is_dir()));
        }
        Ok(())
    }

    fn link(&self, path: &str) -> io::Result<String> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.place(parent)?;
        let place = checked(name).map(|name| format!("{parent}/{name}"))?;
        let target = text_of(fs::read_link(self.dir.join(&place))?)?;
        self.note(|log| log.link(&place, &target));
        if self.log.is_some() {
            // What it points to is noted as well, so that no link of a
            // capture hangs in the air; what points nowhere does so here too.
            let _there = self.exists(path);
        }
        Ok(target)
    }

    /// Returns the path to open: as it is on the machine itself, where the
    /// kernel follows links, and walked otherwise.
    fn place(&self, path: &str) -> io::Result<String> {
        if self.live && self.log.is_none() {
            return checked(path).map(str::to_owned);
        }
        self.walk(path)
    }

    fn walk(&self, path: &str) -> io::Result<String> {
        let mut ahead: VecDeque<String> =
            checked(path)?.split('/').map(str::to_owned).collect();
        let mut behind: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    behind.pop();
                    continue;
                }
                _ => behind.push(part),
            }
            let place = behind.join("/");
            let here = self.dir.join(&place);
            if !fs::symlink_metadata(&here)?.is_symlink() {
                continue;
            }
            links += 1;
            if links > Self::MAX_LINKS {
                return Err(nix::errno::Errno::ELOOP.into());
            }
            let target = text_of(fs::read_link(&here)?)?;
            self.note(|log| log.link(&place, &target));
            if target.starts_with('/') {
                behind.clear();
            } else {
                behind.pop();
            }
            for part in target.rsplit('/') {
                ahead.push_front(part.to_owned());
            }
        }
        Ok(behind.join("/"))
    }

    fn note(&self, what: impl FnOnce(&mut Log)) {
        if let Some(log) = &self.log {
            what(&mut log.borrow_mut());
        }
    }
}

/// Refuses paths that climb: readers build paths from names that the machine
/// gave them.
fn checked(path: &str) -> io::Result<&str> {
    let climbs = path.split('/').any(|part| part == "..");
    if climbs || path.starts_with('/') || path.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(path)
}

/// Returns whether a name can be a part of a path and nothing more. The
/// kernel begins none with a dot; a capture does, to keep empty folders.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(|c: char| c == '/' || c.is_control())
}

fn find_paragraph(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    Some(end + 1)
}

fn text_of(path: PathBuf) -> io::Result<String> {
    path.into_os_string()
        .into_string()
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

fn error(path: impl Display, source: io::Error) -> ReadError {
    ReadError { path: format!("/{path}"), source }
}
