//! Reading and writing places, whatever their kind.

use super::{StepError, conf, live};
use crate::base::{CpuSet, HostPath};
use crate::definition::SyntaxError;
use crate::files::journal::Header;
use crate::hypervisor::{Hypervisor, HypervisorError, Validate, is_remote};
use crate::model::{Footing, Place, Standing};
use crate::system::{System, SystemError};

/// Where the kernel says since when it runs, so to speak: another number
/// after each boot.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The CPUs of isolated partitions, where the kernel has partitions.
const ISOLATED: &str = "/sys/fs/cgroup/cpuset.cpus.isolated";

/// Whose places are read and written.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) hypervisor: &'a dyn Hypervisor,
    pub(super) system: &'a dyn System,
}

impl Places<'_> {
    /// Returns what stands at a place. A VM and a value of the kernel that
    /// are not there have no text, as a file that is not; nor has what can be
    /// tuned of a VM that does not run.
    pub(super) fn standing<E>(&self, place: &Place) -> Result<Standing, E>
    where
        E: From<HypervisorError> + From<SystemError>,
    {
        let text = match place {
            Place::Definition { uuid, .. } => {
                match self.hypervisor.inactive_definition(uuid) {
                    Err(error) if error.is_no_domain() => None,
                    text => Some(text?),
                }
            }
            Place::Conf { vmid, .. } => self.system.conf(*vmid)?,
            Place::Live { uuid, .. } => match self.hypervisor.pins(uuid) {
                Err(error) if error.is_no_domain() => None,
                pins => pins?.as_ref().map(live::text),
            },
            Place::File(path) => return Ok(self.system.file(path)?),
            Place::Kernel(path) => match self.system.value(path) {
                Err(error) if error.is_not_there() => None,
                value => Some(value?),
            },
            Place::Program(_) => None,
        };
        Ok(Standing { text, footing: Footing::default() })
    }

    /// Makes a place hold this text in place of the one that was found there,
    /// or runs the program.
    pub(super) fn put(
        &self,
        place: &Place,
        found: Option<&str>,
        text: Option<&str>,
        footing: &Footing,
        validate: Validate,
    ) -> Result<(), StepError> {
        match (place, text) {
            (Place::File(path), text) => {
                self.system.set_file(path, text, footing)?;
            }
            (Place::Program(program), _) => self.system.run(program)?,
            (Place::Definition { name, .. }, Some(text)) => {
                self.hypervisor.define(name, text, validate)?;
            }
            (Place::Conf { vmid, .. }, Some(text)) => {
                let found = found.unwrap_or_default();
                let set = conf::request(*vmid, found, text)
                    .map_err(SyntaxError::from)?;
                if !set.is_empty() {
                    self.system.set_conf(&set)?;
                }
            }
            (Place::Kernel(path), Some(text)) => {
                self.system.set_value(path, text)?;
            }
            (Place::Live { uuid, .. }, Some(text)) => {
                let isolated = self.isolated()?;
                live::put(self.hypervisor, uuid, text, &isolated)?;
            }
            // The journal holds no such step, and no plan leads to one.
            (
                Place::Definition { .. }
                | Place::Conf { .. }
                | Place::Live { .. }
                | Place::Kernel(_),
                None,
            ) => {}
        }
        Ok(())
    }

    /// Returns the CPUs of isolated partitions of this machine.
    fn isolated(&self) -> Result<CpuSet, SystemError> {
        if is_remote(self.hypervisor.uri()) {
            return Ok(CpuSet::new());
        }
        let read = ISOLATED.parse().map(|path| self.system.value(&path));
        Ok(match read {
            Ok(Err(error)) if error.is_not_there() => CpuSet::new(),
            Ok(value) => value?.trim().parse().unwrap_or_default(),
            Err(_) => CpuSet::new(),
        })
    }

    /// Returns the kernel's number for the time since the host was booted.
    pub(super) fn boot(&self) -> Option<String> {
        let path: HostPath = BOOT.parse().ok()?;
        self.system.value(&path).ok()
    }

    /// Returns whether the host was booted since a transaction began. Values
    /// of the kernel that it set are gone then.
    pub(super) fn rebooted(&self, since: &Header) -> bool {
        let (before, now) = (since.boot.as_ref(), self.boot());
        before.is_some() && now.is_some() && before != now.as_ref()
    }
}
