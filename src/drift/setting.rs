//! Settings of the host against what stands there.

use super::{Finding, State};
use crate::base::CpuSet;
use crate::model::{Change, Stage, Target};

/// Longest piece of a file's text that a finding repeats.
const SHOWN: usize = 60;

/// Compares a change of the host with what stands at its place; `found` is
/// what was read there, or why it could not be. An argument of the kernel is
/// also looked for in `command_line`, what the kernel was started with.
#[must_use]
pub fn setting(
    change: &Change,
    found: Result<Option<&str>, &str>,
    command_line: Option<&str>,
) -> Finding {
    let wanted = change.to.as_deref();
    let state = match found {
        Err(why) => State::Unknown { why: why.to_owned() },
        Ok(found) if !same(&change.target, wanted, found) => {
            State::Drifted { found: shown(&change.target, found) }
        }
        Ok(_) => match &change.target {
            Target::Argument { name, .. }
                if !has(command_line, name, wanted) =>
            {
                State::Waits { stage: Stage::HostBoot }
            }
            _ => State::Holds,
        },
    };
    Finding {
        vm: change.vm.as_deref().and_then(|vm| vm.parse().ok()),
        what: change.target.to_string(),
        planned: shown(&change.target, wanted),
        state,
    }
}

/// Compares by meaning where the kernel has its own spelling.
fn same(target: &Target, wanted: Option<&str>, found: Option<&str>) -> bool {
    let (Some(wanted), Some(found)) = (wanted, found) else {
        return wanted == found;
    };
    if wanted == found {
        return true;
    }
    let Target::Kernel(_) = target else { return false };
    let (wanted, found) = (wanted.trim(), found.trim());
    let set = |text: &str| text.parse::<CpuSet>().ok();
    wanted == found || (set(wanted).is_some() && set(wanted) == set(found))
}

/// Returns whether the kernel was started with an argument, or without it
/// where it shall be gone.
fn has(line: Option<&str>, name: &str, wanted: Option<&str>) -> bool {
    let Some(line) = line else { return false };
    let mut words = line.split_whitespace();
    let Some(value) = wanted else {
        return !words.any(|word| word.split('=').next() == Some(name));
    };
    // A pair: `hugepagesz=1G` is followed by its `hugepages=`.
    if name.contains('=') {
        let pair = words.skip_while(|word| *word != name).nth(1);
        return pair == Some(format!("hugepages={value}").as_str());
    }
    let spelled = match value {
        "" => name.to_owned(),
        value => format!("{name}={value}"),
    };
    words.any(|word| word == spelled)
}

fn shown(target: &Target, text: Option<&str>) -> String {
    match (target, text) {
        (_, None) => "nothing".into(),
        (Target::File(_), Some(text)) => {
            let lines = text.lines().count();
            let first = text
                .lines()
                .find(|line| !line.starts_with('#') && !line.is_empty());
            let first: String =
                first.unwrap_or_default().chars().take(SHOWN).collect();
            format!("{lines} lines: {first}")
        }
        (_, Some(text)) => text.chars().take(SHOWN).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(target: &str, to: Option<&str>) -> Change {
        Change {
            rule: "test".into(),
            vm: None,
            target: target.parse().unwrap(),
            from: None,
            to: to.map(Into::into),
            because: String::new(),
            stage: Stage::Now,
            trade: None,
        }
    }

    fn state(
        target: &str,
        to: Option<&str>,
        found: Result<Option<&str>, &str>,
        line: &str,
    ) -> &'static str {
        match setting(&change(target, to), found, Some(line)).state {
            State::Holds => "holds",
            State::Drifted { .. } => "drifted",
            State::Waits { .. } => "waits",
            State::Unknown { .. } => "unknown",
        }
    }

    #[test]
    fn values_files_and_arguments_are_compared() {
        let ksm = "/sys/kernel/mm/ksm/run";
        let irq = "/proc/irq/24/smp_affinity_list";
        let file = "/etc/sysctl.d/90-vmtune.conf";
        let cpus = "/etc/kernel/cmdline#isolcpus";
        let pages = "/etc/kernel/cmdline#hugepagesz=1G";
        let line = "quiet isolcpus=2-3 hugepagesz=1G hugepages=0:4";
        for (target, to, found, line, expected) in [
            (ksm, Some("0"), Ok(Some("0")), "", "holds"),
            (ksm, Some("0"), Ok(Some("1")), "", "drifted"),
            (ksm, Some("0"), Err("no such file"), "", "unknown"),
            (irq, Some("0-1"), Ok(Some("0,1")), "", "holds"),
            (file, Some("a\n"), Ok(Some("a\n")), "", "holds"),
            (file, Some("a\n"), Ok(Some("a")), "", "drifted"),
            (file, Some("a\n"), Ok(None), "", "drifted"),
            (cpus, Some("2-3"), Ok(Some("2-3")), line, "holds"),
            (cpus, Some("2-3"), Ok(Some("2-3")), "quiet", "waits"),
            (cpus, Some("2-3"), Ok(None), line, "drifted"),
            (cpus, None, Ok(None), line, "waits"),
            (pages, Some("0:4"), Ok(Some("0:4")), line, "holds"),
            (pages, Some("0:8"), Ok(Some("0:8")), line, "waits"),
        ] {
            let seen = state(target, to, found, line);
            assert_eq!(seen, expected, "{target} {found:?} {line:?}");
        }
    }
}
