//! A system in memory, for tests: it records what it is asked and fails when
//! it is told to.

pub mod qm;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;

use super::{QmSet, System, SystemError};
use crate::base::{Digest, HostPath, Vmid};
use crate::model::{FileAccess, Footing, Program, Standing};

/// One thing that the fake was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// [`System::file`]
    File(HostPath),
    /// [`System::set_file`], with the digest of the text.
    SetFile(HostPath, Option<Digest>),
    /// [`System::value`]
    Value(HostPath),
    /// [`System::set_value`]
    SetValue(HostPath, String),
    /// [`System::run`]
    Run(Program),
    /// [`System::conf`]
    Conf(Vmid),
    /// [`System::set_conf`], with the words of the command.
    SetConf(Vec<String>),
}

/// Which calls fail, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Failure {
    /// None.
    #[default]
    Never,
    /// That one, and it has no effect.
    Once(usize),
    /// That one, after it has had its effect.
    Lost(usize),
    /// That one, when `qm` has changed the first of its keys.
    Half(usize),
    /// That one and all that follow.
    From(usize),
}

/// What the kernel makes of a value that is written: of the value's path, what
/// stands there and what is written.
pub type Kernel = fn(&HostPath, &str, &str) -> String;

/// A system in memory.
#[derive(Debug)]
pub struct Fake {
    files: RefCell<BTreeMap<HostPath, (String, FileAccess)>>,
    values: RefCell<BTreeMap<HostPath, String>>,
    calls: RefCell<Vec<Call>>,
    failure: Cell<Failure>,
    kernel: Cell<Kernel>,
    confs: RefCell<BTreeMap<Vmid, Held>>,
    race: RefCell<Option<(Vmid, String)>>,
}

/// A definition of Proxmox, and whether its VM runs.
#[derive(Debug, Clone)]
struct Held {
    text: String,
    running: bool,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            files: RefCell::default(),
            values: RefCell::default(),
            calls: RefCell::default(),
            failure: Cell::default(),
            kernel: Cell::new(|_, _, written| written.to_owned()),
            confs: RefCell::default(),
            race: RefCell::default(),
        }
    }
}

impl Fake {
    /// What a file gets that nothing else is said of.
    const ACCESS: FileAccess = FileAccess { mode: 0o644, owner: 0, group: 0 };

    /// Makes a system without files and values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what the kernel makes of values from now on.
    pub fn set_kernel(&self, kernel: Kernel) {
        self.kernel.set(kernel);
    }

    /// Adds a file, or replaces it, or takes it away.
    pub fn put_file(&self, path: &HostPath, text: Option<&str>) {
        let mut files = self.files.borrow_mut();
        match text {
            Some(text) => {
                files.insert(path.clone(), (text.into(), Self::ACCESS));
            }
            None => {
                files.remove(path);
            }
        }
    }

    /// Adds a value of the kernel, or replaces it.
    pub fn put_value(&self, path: &HostPath, value: impl Into<String>) {
        self.values.borrow_mut().insert(path.clone(), value.into());
    }

    /// Takes a value of the kernel away, as a device does that is unplugged.
    pub fn remove_value(&self, path: &HostPath) {
        self.values.borrow_mut().remove(path);
    }

    /// Adds a definition of Proxmox, or replaces it, or takes it away.
    pub fn put_conf(&self, vmid: Vmid, text: Option<&str>, running: bool) {
        let mut confs = self.confs.borrow_mut();
        match text.map(str::to_owned) {
            Some(text) => confs.insert(vmid, Held { text, running }),
            None => confs.remove(&vmid),
        };
    }

    /// Returns the definitions of Proxmox: the state that a test compares.
    #[must_use]
    pub fn confs(&self) -> BTreeMap<Vmid, String> {
        let confs = self.confs.borrow();
        confs.iter().map(|(vmid, held)| (*vmid, held.text.clone())).collect()
    }

    /// Lets somebody be quicker than the next `qm set`, and write this.
    pub fn race(&self, vmid: Vmid, text: impl Into<String>) {
        *self.race.borrow_mut() = Some((vmid, text.into()));
    }

    /// Sets which of the calls from now on fail.
    pub fn fail(&self, failure: Failure) {
        self.calls.borrow_mut().clear();
        self.failure.set(failure);
    }

    /// Returns what was asked since the start or the last [`Fake::fail`].
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }

    /// Returns the programs that were run since then.
    #[must_use]
    pub fn ran(&self) -> Vec<Program> {
        let calls = self.calls.borrow();
        let ran = calls.iter().filter_map(|call| match call {
            Call::Run(program) => Some(*program),
            _ => None,
        });
        ran.collect()
    }

    /// Returns all files and values: the state that a test compares.
    #[must_use]
    pub fn state(&self) -> BTreeMap<HostPath, String> {
        let files = self.files.borrow();
        let values = self.values.borrow();
        let files =
            files.iter().map(|(path, file)| (path.clone(), file.0.clone()));
        let values =
            values.iter().map(|(path, value)| (path.clone(), value.clone()));
        files.chain(values).collect()
    }

    /// Records a call, does it, and fails where that was asked for.
    fn call<T>(
        &self,
        call: Call,
        failed: impl FnOnce(io::Error) -> SystemError,
        act: impl FnOnce() -> Result<T, SystemError>,
    ) -> Result<T, SystemError> {
        let n = self.calls.borrow().len();
        self.calls.borrow_mut().push(call);
        let fault = || io::Error::other(format!("call {n} shall fail"));
        match self.failure.get() {
            Failure::Once(at) | Failure::Half(at) if n == at => {
                Err(failed(fault()))
            }
            Failure::From(at) if n >= at => Err(failed(fault())),
            Failure::Lost(at) if n == at => act().and(Err(failed(fault()))),
            _ => act(),
        }
    }
}

/// Words a failure at a path.
fn io_at(
    doing: &'static str,
    path: &HostPath,
) -> impl Fn(io::Error) -> SystemError {
    let path = path.clone();
    move |source| SystemError::Io { doing, path: path.clone(), source }
}

impl System for Fake {
    fn file(&self, path: &HostPath) -> Result<Standing, SystemError> {
        self.call(Call::File(path.clone()), io_at("reading", path), || {
            let files = self.files.borrow();
            let Some((text, access)) = files.get(path) else {
                return Ok(Standing::default());
            };
            let footing = Footing { missing_folders: 0, access: Some(*access) };
            Ok(Standing { text: Some(text.clone()), footing })
        })
    }

    fn set_file(
        &self,
        path: &HostPath,
        text: Option<&str>,
        footing: &Footing,
    ) -> Result<(), SystemError> {
        let digest = text.map(|text| Digest::of(text.as_bytes()));
        let call = Call::SetFile(path.clone(), digest);
        self.call(call, io_at("writing", path), || {
            let mut files = self.files.borrow_mut();
            let now = files.remove(path).map(|(_, access)| access);
            if let Some(text) = text {
                let access = now.or(footing.access).unwrap_or(Self::ACCESS);
                files.insert(path.clone(), (text.into(), access));
            }
            Ok(())
        })
    }

    fn value(&self, path: &HostPath) -> Result<String, SystemError> {
        let failed = io_at("reading", path);
        self.call(Call::Value(path.clone()), &failed, || {
            let found = self.values.borrow().get(path).cloned();
            found.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
        })
    }

    fn set_value(&self, path: &HostPath, to: &str) -> Result<(), SystemError> {
        let failed = io_at("writing", path);
        let call = Call::SetValue(path.clone(), to.into());
        self.call(call, &failed, || {
            let mut values = self.values.borrow_mut();
            let value = values
                .get_mut(path)
                .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            *value = (self.kernel.get())(path, value, to);
            Ok(())
        })
    }

    fn run(&self, program: &Program) -> Result<(), SystemError> {
        let failed = |error: io::Error| SystemError::Failed {
            program: *program,
            said: error.to_string(),
        };
        self.call(Call::Run(*program), failed, || Ok(()))
    }

    fn conf(&self, vmid: Vmid) -> Result<Option<String>, SystemError> {
        let failed = |error: io::Error| proxmox("qm config", error.to_string());
        self.call(Call::Conf(vmid), failed, || {
            let confs = self.confs.borrow();
            Ok(confs.get(&vmid).map(|held| held.text.clone()))
        })
    }

    fn set_conf(&self, set: &QmSet) -> Result<(), SystemError> {
        let words = set.words();
        let half = self.failure.get() == Failure::Half(self.calls().len());
        let act = || {
            let mut confs = self.confs.borrow_mut();
            if let Some((vmid, text)) = self.race.take()
                && let Some(held) = confs.get_mut(&vmid)
            {
                held.text = text;
            }
            let held = confs.get_mut(&set.vmid);
            let held = held.ok_or_else(|| proxmox("qm set", "no such VM"))?;
            let texts = qm::texts(set.vmid, &held.text, held.running, &words)
                .map_err(|said| proxmox("qm set", said))?;
            let text = if half { texts.first() } else { texts.last() };
            held.text = text.cloned().unwrap_or_default();
            Ok(())
        };
        if half {
            act()?;
        }
        let failed = |error: io::Error| proxmox("qm set", error.to_string());
        self.call(Call::SetConf(words.clone()), failed, act)
    }
}

fn proxmox(command: &str, said: impl Into<String>) -> SystemError {
    SystemError::Proxmox { command: command.to_owned(), said: said.into() }
}
