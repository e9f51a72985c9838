//! The system that vmtune runs on, or a folder that stands for its root.

mod cpuset;
mod node;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{
    CGROUP2_SUPER_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs,
};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fsync, unlinkat};

use super::choice::{choose, chosen};
use super::program::{self, Ended};
use super::way::Way;
use super::{QmSet, System, SystemError};
use crate::base::{HostPath, Vmid};
use crate::files::atomic::{self, Access, WriteError, kind};
use crate::model::{FileAccess, Footing, Program, Standing};
use cpuset::is_cpuset;

/// Largest file that is read: a thousand times a long drop-in.
const MAX_FILE: u64 = 1 << 20;
/// Largest value of the kernel that is read; sysfs ends at a page.
const MAX_VALUE: u64 = 64 << 10;
/// Mode of a file that was not there before.
const NEW_FILE: Mode = Mode::from_bits_truncate(0o644);

/// The system below a root.
#[derive(Debug)]
pub struct Live {
    root: OwnedFd,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// This machine.
    Host,
    /// A folder; programs are noted and not run.
    Folder { ran: RefCell<Vec<Program>> },
}

impl Live {
    /// Opens this machine.
    ///
    /// # Errors
    /// When its root cannot be opened.
    pub fn host() -> Result<Self, SystemError> {
        Self::open(Path::new("/"), Kind::Host)
    }

    /// Opens a folder that stands for the root of a machine. The kernel's
    /// values are ordinary files in it, and no program is run.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn at(root: &Path) -> Result<Self, SystemError> {
        Self::open(root, Kind::Folder { ran: RefCell::default() })
    }

    /// Returns the programs that would have been run, in order.
    #[must_use]
    pub fn ran(&self) -> Vec<Program> {
        match &self.kind {
            Kind::Host => Vec::new(),
            Kind::Folder { ran } => ran.borrow().clone(),
        }
    }

    fn open(path: &Path, kind: Kind) -> Result<Self, SystemError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root =
            nix::fcntl::open(path, flags, Mode::empty()).map_err(|error| {
                SystemError::Root { path: path.into(), source: error.into() }
            })?;
        Ok(Self { root, kind })
    }

    /// Opens a file whose folder is there; `None` where there is none.
    fn open_file(
        way: &Way<'_>,
        path: &HostPath,
        access: OFlag,
    ) -> Result<Option<File>, SystemError> {
        let Some(folder) = way.folder() else { return Ok(None) };
        // O_NONBLOCK, because opening a pipe would wait for its other end.
        let flags =
            access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let handle = match openat(folder, path.name(), flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO) => {
                return Err(SystemError::NotRegular(path.clone()));
            }
            Err(error) => return Err(way.failed("opening", error)),
        };
        let stat =
            fstat(&handle).map_err(|error| way.failed("looking at", error))?;
        if kind(&stat) != SFlag::S_IFREG {
            return Err(SystemError::NotRegular(path.clone()));
        }
        Ok(Some(File::from(handle)))
    }

    /// Opens a value of the kernel.
    fn open_value(
        &self,
        path: &HostPath,
        access: OFlag,
    ) -> Result<File, SystemError> {
        if let Kind::Folder { .. } = self.kind {
            let way = Way::walk(self.root.as_fd(), path)?;
            return Self::open_file(&way, path, access)?
                .ok_or_else(|| failed("opening", path, Errno::ENOENT));
        }
        let handle = self.open_kernel(path, access)?;
        let file = File::from(handle);
        let stat = fstat(&file).map_err(|e| failed("looking at", path, e))?;
        if kind(&stat) != SFlag::S_IFREG {
            return Err(SystemError::NotRegular(path.clone()));
        }
        Ok(file)
    }

    /// Opens a file of the kernel's own file systems. Links lead from one of
    /// their folders to another there, and nobody can make one; what a link
    /// or a mount leads to must be the kernel's too.
    fn open_kernel(
        &self,
        path: &HostPath,
        access: OFlag,
    ) -> Result<OwnedFd, SystemError> {
        let (top, rest) = path
            .relative()
            .split_once('/')
            .ok_or_else(|| SystemError::NotKernel(path.clone()))?;
        let flags = OFlag::O_RDONLY
            | OFlag::O_DIRECTORY
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let opening = |error| failed("opening", path, error);
        let top =
            openat(&self.root, top, flags, Mode::empty()).map_err(opening)?;
        kernels_own(&top, path)?;
        let flags = access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let handle =
            openat(&top, rest, flags, Mode::empty()).map_err(opening)?;
        kernels_own(&handle, path)?;
        Ok(handle)
    }

    /// Returns the release of the kernel that runs, and where its image is.
    fn running_kernel(&self) -> Vec<String> {
        let release = "/proc/sys/kernel/osrelease".parse().ok();
        let release = release.and_then(|path| self.value(&path).ok());
        let Some(release) = release else { return Vec::new() };
        let images = [
            format!("/usr/lib/modules/{release}/vmlinuz"),
            format!("/lib/modules/{release}/vmlinuz"),
            format!("/boot/vmlinuz-{release}"),
        ];
        let image = images.into_iter().find(|path| Path::new(path).is_file());
        [release].into_iter().chain(image).collect()
    }

    fn raw_value(&self, path: &HostPath) -> Result<String, SystemError> {
        let file = self.open_value(path, OFlag::O_RDONLY)?;
        let mut text = read(file, path, MAX_VALUE)?;
        // Some of the kernel's lists end with a NUL.
        text.truncate(text.trim_end_matches(['\n', '\0']).len());
        Ok(text)
    }
}

impl System for Live {
    fn file(&self, path: &HostPath) -> Result<Standing, SystemError> {
        let way = Way::walk(self.root.as_fd(), path)?;
        let mut footing =
            Footing { missing_folders: way.missing(), access: None };
        let Some(file) = Self::open_file(&way, path, OFlag::O_RDONLY)? else {
            return Ok(Standing { text: None, footing });
        };
        let stat =
            fstat(&file).map_err(|error| way.failed("looking at", error))?;
        footing.access = Some(FileAccess {
            mode: stat.st_mode & 0o7777,
            owner: stat.st_uid,
            group: stat.st_gid,
        });
        let text = Some(read(file, path, MAX_FILE)?);
        Ok(Standing { text, footing })
    }

    fn set_file(
        &self,
        path: &HostPath,
        text: Option<&str>,
        footing: &Footing,
    ) -> Result<(), SystemError> {
        let now = self.file(path)?;
        let mut way = Way::walk(self.root.as_fd(), path)?;
        sweep(&way, path)?;
        if now.text.as_deref() == text && text.is_some() {
            return Ok(());
        }
        let Some(text) = text else {
            if let Some(folder) = way.folder() {
                let flags = UnlinkatFlags::NoRemoveDir;
                match unlinkat(folder, path.name(), flags) {
                    Ok(()) => fsync(folder)
                        .map_err(|error| way.failed("removing", error))?,
                    Err(Errno::ENOENT) => {}
                    Err(error) => return Err(way.failed("removing", error)),
                }
            }
            return way.remove(footing.missing_folders);
        };
        way.make()?;
        let Some(folder) = way.folder() else {
            return Err(way.failed("writing", Errno::ENOENT));
        };
        let access = match now.footing.access.or(footing.access) {
            Some(access) => Access {
                mode: Mode::from_bits_truncate(access.mode),
                owner: Some((
                    Uid::from_raw(access.owner),
                    Gid::from_raw(access.group),
                )),
            },
            None => NEW_FILE.into(),
        };
        let name = path.name().as_ref();
        let written = atomic::write(folder, name, text.as_bytes(), access);
        written.map_err(|error| match error {
            WriteError::NotRegular => SystemError::NotRegular(path.clone()),
            WriteError::System(error) => way.failed("writing", error),
        })
    }

    fn value(&self, path: &HostPath) -> Result<String, SystemError> {
        if is_cpuset(path) {
            return self.cpuset(path);
        }
        let text = self.raw_value(path)?;
        Ok(chosen(&text).map(str::to_owned).unwrap_or(text))
    }

    fn set_value(&self, path: &HostPath, to: &str) -> Result<(), SystemError> {
        if is_cpuset(path) {
            self.make_cpuset(path)?;
        }
        let mut text = to.to_owned();
        let mut access = OFlag::O_WRONLY;
        if let Kind::Folder { .. } = self.kind {
            // What the kernel does with what is written, a file does not.
            let before = self.raw_value(path)?;
            if chosen(&before).is_some() {
                text = choose(&before, to).ok_or_else(|| {
                    SystemError::NotOffered {
                        path: path.clone(),
                        offered: before.clone(),
                        wanted: to.into(),
                    }
                })?;
            }
            access |= OFlag::O_TRUNC;
        }
        text.push('\n');
        let mut file = self.open_value(path, access)?;
        let io = |source| {
            let path = path.clone();
            SystemError::Io { doing: "writing", path, source }
        };
        // The kernel takes each write for a whole value.
        match file.write(text.as_bytes()) {
            Ok(count) if count == text.len() => Ok(()),
            Ok(_) => Err(io(io::ErrorKind::WriteZero.into())),
            Err(error) => Err(io(error)),
        }
    }

    fn run(&self, program: &Program) -> Result<(), SystemError> {
        if let Kind::Folder { ran } = &self.kind {
            ran.borrow_mut().push(*program);
            return Ok(());
        }
        let start = |source| SystemError::Start { program: *program, source };
        let command = self.command(program);
        let (name, arguments) = command
            .split_first()
            .ok_or_else(|| start(io::ErrorKind::NotFound.into()))?;
        let path = program::find(name)
            .ok_or_else(|| start(io::ErrorKind::NotFound.into()))?;
        let limit = program::limit(program);
        program::run(&path, arguments, limit).map_err(|ended| match ended {
            Ended::Start(source) => start(source),
            Ended::Failed(said) => {
                SystemError::Failed { program: *program, said }
            }
        })
    }

    fn conf(&self, vmid: Vmid) -> Result<Option<String>, SystemError> {
        self.read_conf(vmid)
    }

    fn set_conf(&self, set: &QmSet) -> Result<(), SystemError> {
        self.run_qm(set)
    }

    fn command(&self, program: &Program) -> Vec<String> {
        let mut words: Vec<_> =
            program.line().iter().map(|word| (*word).to_owned()).collect();
        match (&self.kind, program) {
            (Kind::Folder { .. }, _) => {}
            (Kind::Host, Program::KernelInstall) => {
                words.extend(self.running_kernel());
            }
            (Kind::Host, Program::UpdateGrub) => {
                let is_there = |name: &str| program::find(name).is_some();
                words = update_grub(words, is_there);
            }
            _ => {}
        }
        words
    }
}

/// Returns the command that writes GRUB's menu: Debian's, or the one that
/// stands behind it where that is not there.
fn update_grub(
    usual: Vec<String>,
    is_there: impl Fn(&str) -> bool,
) -> Vec<String> {
    const OTHERS: [[&str; 3]; 2] = [
        ["grub2-mkconfig", "-o", "/boot/grub2/grub.cfg"],
        ["grub-mkconfig", "-o", "/boot/grub/grub.cfg"],
    ];
    if is_there("update-grub") {
        return usual;
    }
    let other = OTHERS.iter().find(|words| is_there(words[0]));
    other.map_or(usual, |words| words.map(str::to_owned).to_vec())
}

/// Refuses what is not in one of the kernel's own file systems.
fn kernels_own(handle: &OwnedFd, path: &HostPath) -> Result<(), SystemError> {
    let own = [SYSFS_MAGIC, PROC_SUPER_MAGIC, CGROUP2_SUPER_MAGIC];
    let system = fstatfs(handle).map_err(|e| failed("looking at", path, e))?;
    if own.contains(&system.filesystem_type()) {
        return Ok(());
    }
    Err(SystemError::NotKernel(path.clone()))
}

/// Removes what a process has left that was killed while it wrote this file.
/// Only one may write at a time, so nobody is at it now.
fn sweep(way: &Way<'_>, path: &HostPath) -> Result<(), SystemError> {
    let Some(folder) = way.folder() else { return Ok(()) };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let listing = |error| way.failed("listing the folder of", error);
    let mut entries =
        Dir::openat(folder, ".", flags, Mode::empty()).map_err(listing)?;
    for entry in entries.iter() {
        let entry = entry.map_err(listing)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if atomic::is_left_over(name, path.name()) {
            unlinkat(folder, name, UnlinkatFlags::NoRemoveDir)
                .map_err(|error| way.failed("tidying up after", error))?;
        }
    }
    Ok(())
}

fn read(
    file: File,
    path: &HostPath,
    limit: u64,
) -> Result<String, SystemError> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|source| {
        SystemError::Io { doing: "reading", path: path.clone(), source }
    })?;
    if bytes.len() as u64 > limit {
        return Err(SystemError::TooLarge { path: path.clone(), limit });
    }
    String::from_utf8(bytes).map_err(|_| SystemError::NotText(path.clone()))
}

fn failed(doing: &'static str, path: &HostPath, error: Errno) -> SystemError {
    SystemError::Io { doing, path: path.clone(), source: error.into() }
}

#[cfg(test)]
mod tests;
