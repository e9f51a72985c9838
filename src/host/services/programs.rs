//! Programs that change settings of the host by themselves.

use std::collections::BTreeSet;

use crate::host::{Root, text};
use crate::model::Fact;

/// Daemons, by what the kernel calls their process (at most 15 characters).
const DAEMONS: [(&str, &str); 6] = [
    ("auto-cpufreq", "auto-cpufreq"),
    ("irqbalance", IRQBALANCE),
    ("ksmtuned", "ksmtuned"),
    ("numad", "numad"),
    ("power-profiles-", "power-profiles-daemon"),
    ("tuned", "tuned"),
];
const IRQBALANCE: &str = "irqbalance";

/// Services that act once when the host boots, by what is there when they
/// will.
const AT_BOOT: [(&str, &str); 3] = [
    ("etc/systemd/system/multi-user.target.wants/cpupower.service", "cpupower"),
    ("etc/init.d/cpufrequtils", "cpufrequtils"),
    ("etc/systemd/system/multi-user.target.wants/tlp.service", "tlp"),
];

/// The daemons that run, or why they cannot be seen.
pub(in crate::host) struct Programs(Result<BTreeSet<&'static str>, String>);

impl Programs {
    /// Looks for the daemons among the processes. Names of other processes
    /// are nobody's business: they are looked at without the log of a
    /// capture.
    pub(in crate::host) fn look(root: &Root) -> Self {
        // Process 1 is always there where processes can be seen at all.
        const INIT: &str = "proc/1/comm";
        if !root.exists(INIT) {
            return Self(Err(format!("/{INIT} does not exist")));
        }
        let unlogged = root.unlogged();
        let processes = match unlogged.list("proc") {
            Ok(names) => names,
            Err(e) => return Self(Err(e.reason())),
        };
        let mut found = BTreeSet::new();
        for name in processes {
            let Some(pid) = text::number_after(&name, "") else { continue };
            let path = format!("proc/{pid}/comm");
            let Ok(comm) = unlogged.read(&path) else { continue };
            let known = DAEMONS.iter().find(|(name, _)| *name == comm.trim());
            if let Some((_, daemon)) = known
                && !found.contains(daemon)
                && root.read(&path).is_ok()
            {
                found.insert(*daemon);
            }
        }
        Self(Ok(found))
    }

    /// Returns whether irqbalance runs.
    pub(in crate::host) fn irqbalance(&self) -> Fact<bool> {
        match &self.0 {
            Ok(found) => {
                Fact::known(found.contains(IRQBALANCE), "/proc/*/comm")
            }
            Err(unknown) => Fact::unknown(unknown),
        }
    }

    /// Returns the daemons that run and the services that will.
    pub(super) fn tuners(&self, root: &Root) -> Fact<Vec<String>> {
        let mut all = match &self.0 {
            Ok(found) => found.clone(),
            Err(unknown) => return Fact::unknown(unknown),
        };
        let at_boot = AT_BOOT.iter().filter(|(path, _)| root.exists(path));
        all.extend(at_boot.map(|(_, name)| *name));
        let all = all.into_iter().map(str::to_owned).collect();
        Fact::known(all, "/proc/*/comm, /etc")
    }
}
