//! What goes wrong, and when: a call fails, or the process is killed.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vmtune::base::{
    CpuSet, DomainName, DomainUuid, HostPath, NodeId, PageSize, Vmid,
};
use vmtune::hypervisor::{
    Cause, CauseKind, DomainInfo, FreePages, Hypervisor, HypervisorError,
    LivePins, Validate,
};
use vmtune::model::facts::HypervisorFacts;
use vmtune::model::{Footing, Program, Role, Standing};
use vmtune::system::fake::qm;
use vmtune::system::{Live, QmSet, System, SystemError};

/// What goes wrong. Calls and moments are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// That call, and it has no effect.
    Once(usize),
    /// That call, after it has had its effect: the answer is lost.
    Lost(usize),
    /// That call and all that follow.
    From(usize),
    /// At that moment the kernel ends the process.
    Kill(usize),
    /// At that moment it says so and waits to be allowed to go on.
    Pause(usize),
}

/// Counts calls and moments of one process, and lets the fault happen.
///
/// A moment is where a journal can have grown or a place can have changed:
/// before and after each call that changes something, and before and after
/// each step.
#[derive(Debug)]
pub(crate) struct Events {
    fault: Fault,
    calls: Cell<usize>,
    moments: Cell<usize>,
    folder: PathBuf,
}

impl Events {
    pub(crate) fn new(fault: Fault, folder: impl Into<PathBuf>) -> Self {
        let (calls, moments) = (Cell::new(0), Cell::new(0));
        Self { fault, calls, moments, folder: folder.into() }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.get()
    }

    pub(crate) fn moments(&self) -> usize {
        self.moments.get()
    }

    /// Lets a moment pass, or not.
    pub(crate) fn moment(&self) {
        let n = self.moments.replace(self.moments.get() + 1);
        if self.fault == Fault::Kill(n) {
            kill(Pid::this(), Signal::SIGKILL).unwrap();
        }
        if self.fault == Fault::Pause(n) {
            fs::write(self.folder.join("waits"), "").unwrap();
            while !self.folder.join("go").exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// A clock that stands still, and a moment.
    pub(crate) fn clock(&self) -> Duration {
        self.moment();
        Duration::ZERO
    }

    fn call<T, E>(
        &self,
        failed: impl FnOnce(String) -> E,
        act: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let n = self.calls.replace(self.calls.get() + 1);
        let text = format!("call {n} shall fail");
        match self.fault {
            Fault::Once(at) if n == at => Err(failed(text)),
            Fault::From(at) if n >= at => Err(failed(text)),
            Fault::Lost(at) if n == at => act().and(Err(failed(text))),
            _ => act(),
        }
    }

    fn change<T, E>(
        &self,
        failed: impl FnOnce(String) -> E,
        act: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.moment();
        let done = self.call(failed, act);
        self.moment();
        done
    }
}

/// A hypervisor that fails.
pub(crate) struct FaultyHypervisor<'a> {
    pub(crate) inner: &'a dyn Hypervisor,
    pub(crate) events: &'a Events,
}

fn cause(text: String) -> Cause {
    Cause::new(CauseKind::Other, text)
}

impl Hypervisor for FaultyHypervisor<'_> {
    fn uri(&self) -> &str {
        self.inner.uri()
    }

    fn is_node(&self) -> bool {
        self.inner.is_node()
    }

    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError> {
        let uri = self.uri().to_owned();
        let failed = |text| HypervisorError::List { uri, source: cause(text) };
        self.events.call(failed, || self.inner.domains())
    }

    fn inactive_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<String, HypervisorError> {
        let failed = |text| HypervisorError::Read {
            which: "inactive",
            domain: *domain,
            source: cause(text),
        };
        self.events.call(failed, || self.inner.inactive_definition(domain))
    }

    fn live_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<String>, HypervisorError> {
        self.inner.live_definition(domain)
    }

    fn define(
        &self,
        domain: &DomainName,
        text: &str,
        validate: Validate,
    ) -> Result<(), HypervisorError> {
        let failed = |text| HypervisorError::Define {
            domain: domain.clone(),
            source: cause(text),
        };
        let define = || self.inner.define(domain, text, validate);
        self.events.change(failed, define)
    }

    fn pins(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<LivePins>, HypervisorError> {
        let failed = |text| HypervisorError::Pins {
            domain: *domain,
            source: cause(text),
        };
        self.events.call(failed, || self.inner.pins(domain))
    }

    fn pin(
        &self,
        domain: &DomainUuid,
        role: Role,
        cpus: &CpuSet,
    ) -> Result<(), HypervisorError> {
        let failed = |text| HypervisorError::Pin {
            domain: *domain,
            thread: role.to_string(),
            source: cause(text),
        };
        self.events.change(failed, || self.inner.pin(domain, role, cpus))
    }

    fn free_pages(
        &self,
        nodes: &[NodeId],
        sizes: &[PageSize],
    ) -> Result<FreePages, HypervisorError> {
        self.inner.free_pages(nodes, sizes)
    }

    fn facts(&self) -> Result<HypervisorFacts, HypervisorError> {
        self.inner.facts()
    }
}

/// A system that fails. Its programs make a file of the files of the host, as
/// GRUB's menu is made of its configuration.
pub(crate) struct FaultySystem<'a> {
    pub(crate) inner: &'a Live,
    pub(crate) root: PathBuf,
    pub(crate) events: &'a Events,
}

fn io_at(
    doing: &'static str,
    path: &HostPath,
) -> impl FnOnce(String) -> SystemError {
    let path = path.clone();
    move |text| SystemError::Io { doing, path, source: io::Error::other(text) }
}

impl System for FaultySystem<'_> {
    fn file(&self, path: &HostPath) -> Result<Standing, SystemError> {
        self.events.call(io_at("reading", path), || self.inner.file(path))
    }

    fn set_file(
        &self,
        path: &HostPath,
        text: Option<&str>,
        footing: &Footing,
    ) -> Result<(), SystemError> {
        let set = || self.inner.set_file(path, text, footing);
        self.events.change(io_at("writing", path), set)
    }

    fn value(&self, path: &HostPath) -> Result<String, SystemError> {
        self.events.call(io_at("reading", path), || self.inner.value(path))
    }

    fn set_value(&self, path: &HostPath, to: &str) -> Result<(), SystemError> {
        let set = || self.inner.set_value(path, to);
        self.events.change(io_at("writing", path), set)
    }

    fn conf(&self, vmid: Vmid) -> Result<Option<String>, SystemError> {
        let failed = |said| proxmox("qm config", said);
        self.events.call(failed, || self.inner.conf(vmid))
    }

    /// Does what `qm` does: each text that it writes is a moment.
    fn set_conf(&self, set: &QmSet) -> Result<(), SystemError> {
        let failed = |said| proxmox("qm set", said);
        self.events.change(failed, || {
            let folder = self.root.join("etc/pve/qemu-server");
            let file = folder.join(format!("{}.conf", set.vmid));
            let text = fs::read_to_string(&file).unwrap();
            let running =
                self.root.join(format!("run/qemu-server/{}.pid", set.vmid));
            let running = running.exists();
            let texts = qm::texts(set.vmid, &text, running, &set.words())
                .map_err(|said| proxmox("qm set", said))?;
            for text in texts {
                fs::write(&file, text).unwrap();
                self.events.moment();
            }
            Ok(())
        })
    }

    fn run(&self, program: &Program) -> Result<(), SystemError> {
        let failed = |said| SystemError::Failed { program: *program, said };
        self.events.change(failed, || {
            make(&self.root, program).map_err(|error| SystemError::Failed {
                program: *program,
                said: error.to_string(),
            })
        })
    }
}

fn proxmox(command: &str, said: String) -> SystemError {
    SystemError::Proxmox { command: command.into(), said }
}

/// Does what a program does: makes something of all files below /etc.
pub(crate) fn make(
    root: &std::path::Path,
    program: &Program,
) -> io::Result<()> {
    let mut text = String::new();
    for (path, what) in crate::scene::tree(&root.join("etc")) {
        text += &format!("{path} {what}\n");
    }
    let made = root.join("made");
    fs::create_dir_all(&made)?;
    fs::write(made.join(program.to_string()), text)
}
