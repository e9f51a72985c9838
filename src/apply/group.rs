//! The places that a plan changes, in the order in which they are changed:
//! cpusets, files, the programs that make them take effect, other values of
//! the kernel, and for each VM its definition and, where it runs with
//! libvirt, its threads.

use std::collections::BTreeSet;

use super::{ApplyError, live};
use crate::base::{DomainName, HostPath};
use crate::hypervisor::DomainInfo;
use crate::model::facts::BootLoader;
use crate::model::{
    Change, Place, Plan, Program, Service, Stage, Target, VmPlan,
};

/// A place, and what a plan changes there.
#[derive(Debug, Clone)]
pub(super) struct Group<'p> {
    pub(super) place: Place,
    pub(super) stage: Stage,
    /// None for a program, and for a VM that only has to be as it was.
    pub(super) changes: Vec<&'p Change>,
}

/// Returns the places of a plan, in order.
pub(super) fn groups<'p>(
    plan: &'p Plan,
    domains: &[DomainInfo],
) -> Result<Vec<Group<'p>>, ApplyError> {
    let mut groups = of_host(plan)?;
    for planned in &plan.vms {
        groups.extend(of_vm(plan, planned, domains)?);
    }
    Ok(groups)
}

/// Returns the places of a plan that are the host's own.
pub(super) fn of_host(plan: &Plan) -> Result<Vec<Group<'_>>, ApplyError> {
    let mut groups = files(plan)?;
    groups.extend(programs(plan, &groups)?);
    for change in &plan.changes {
        if let Target::Kernel(path) = &change.target {
            let place = Place::Kernel(path.clone());
            if groups.iter().any(|one: &Group<'_>| one.place == place) {
                let target = format!("{path} twice");
                return Err(ApplyError::Foreign { target });
            }
            let (stage, changes) = (change.stage, vec![change]);
            // systemd sets cpusets too, when it reads its units again: by
            // then it has to be written down what was there.
            let before =
                |one: &&Group<'_>| !matches!(one.place, Place::File(_));
            let at = match path.name() {
                "cpuset.cpus" => groups.iter().take_while(before).count(),
                _ => groups.len(),
            };
            groups.insert(at, Group { place, stage, changes });
        }
    }
    Ok(groups)
}

/// Returns the definition of a VM of the plan, and its threads where the plan
/// moves some while the VM runs. Whether it does is looked at later. A VM of
/// Proxmox is where its number says.
pub(super) fn of_vm<'p>(
    plan: &'p Plan,
    planned: &VmPlan,
    domains: &[DomainInfo],
) -> Result<Vec<Group<'p>>, ApplyError> {
    if let Some(vmid) = planned.vmid {
        let place = Place::Conf { name: planned.name.clone(), vmid };
        let changes = changes_of(plan, &planned.name).collect();
        let stage = Stage::VmStart;
        return Ok(vec![Group { place, stage, changes }]);
    }
    let vm = find(domains, planned)?;
    let (name, uuid) = (vm.name.clone(), vm.uuid);
    let changes: Vec<_> = changes_of(plan, &name).collect();
    let live = changes.iter().filter(|one| live::thread(one).is_some());
    let live: Vec<_> = live.copied().collect();
    let place = Place::Live { name: name.clone(), uuid };
    let threads = Group { place, stage: Stage::Now, changes: live };
    let place = Place::Definition { name, uuid };
    // All of it is in effect already where no change waits for a start.
    let all = changes.len() == threads.changes.len();
    let at_once = all && !changes.is_empty() && vm.running;
    let stage = if at_once { Stage::Now } else { Stage::VmStart };
    let mut groups = vec![Group { place, stage, changes }];
    groups.extend((!threads.changes.is_empty()).then_some(threads));
    Ok(groups)
}

/// Returns the changes of one VM, in the plan's order.
pub(super) fn changes_of<'p>(
    plan: &'p Plan,
    vm: &DomainName,
) -> impl Iterator<Item = &'p Change> {
    let name = vm.as_str().to_owned();
    plan.changes
        .iter()
        .filter(move |change| change.vm.as_deref() == Some(name.as_str()))
}

/// Finds a planned VM: by its UUID, and it must have kept its name, or the
/// changes would not be told from those of another VM.
fn find<'d>(
    domains: &'d [DomainInfo],
    planned: &VmPlan,
) -> Result<&'d DomainInfo, ApplyError> {
    domains
        .iter()
        .find(|domain| {
            domain.name == planned.name
                && planned.uuid.is_none_or(|uuid| uuid == domain.uuid)
        })
        .ok_or_else(|| ApplyError::Gone { vm: planned.name.clone() })
}

/// Returns the programs that make a file take effect, in order; none where
/// only the next boot does. `None` where the plan does not say what boots.
pub(super) fn programs_of(
    path: &HostPath,
    loader: Option<BootLoader>,
) -> Option<Vec<Program>> {
    let proxmox = loader == Some(BootLoader::ProxmoxBootTool);
    let grub = path.as_str() == "/etc/default/grub"
        || path.is_below("/etc/default/grub.d");
    let programs = if proxmox && (grub || is_cmdline(path)) {
        vec![Program::ProxmoxBootTool]
    } else if grub {
        vec![Program::UpdateGrub]
    } else if is_cmdline(path) {
        if loader != Some(BootLoader::SystemdBoot) {
            return None;
        }
        vec![Program::KernelInstall]
    } else if path.is_below("/etc/systemd") {
        let mut programs = vec![Program::DaemonReload];
        if path.as_str().contains("/irqbalance.service.d/") {
            programs.push(Program::TryRestart(Service::Irqbalance));
        }
        programs
    } else {
        Vec::new()
    };
    Some(programs)
}

fn is_cmdline(path: &HostPath) -> bool {
    path.as_str() == "/etc/kernel/cmdline"
}

/// Collects the files, each with the changes to its text.
fn files(plan: &Plan) -> Result<Vec<Group<'_>>, ApplyError> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for change in &plan.changes {
        let (Target::File(path) | Target::Argument { file: path, .. }) =
            &change.target
        else {
            continue;
        };
        let place = Place::File(path.clone());
        let Some(group) = groups.iter_mut().find(|one| one.place == place)
        else {
            let (stage, changes) = (change.stage, vec![change]);
            groups.push(Group { place, stage, changes });
            continue;
        };
        let whole = |one: &Change| matches!(one.target, Target::File(_));
        if whole(change) || group.changes.iter().any(|one| whole(one)) {
            let target = format!("{path} in two ways");
            return Err(ApplyError::Foreign { target });
        }
        group.stage = group.stage.max(change.stage);
        group.changes.push(change);
    }
    Ok(groups)
}

/// Returns the programs for files, each once.
fn programs<'p>(
    plan: &Plan,
    files: &[Group<'_>],
) -> Result<Vec<Group<'p>>, ApplyError> {
    let mut stages: BTreeSet<(Program, Stage)> = BTreeSet::new();
    for group in files {
        let Place::File(path) = &group.place else { continue };
        let programs = programs_of(path, plan.boot_loader)
            .ok_or_else(|| ApplyError::NoProgram { file: path.clone() })?;
        stages.extend(programs.into_iter().map(|one| (one, group.stage)));
    }
    let all: BTreeSet<Program> = stages.iter().map(|(one, _)| *one).collect();
    let group = |program| {
        let of = stages.iter().filter(|(one, _)| *one == program);
        Group {
            place: Place::Program(program),
            // It takes effect at the first of its files' stages.
            stage: of.map(|(_, stage)| *stage).min().unwrap_or(Stage::Now),
            changes: Vec::new(),
        }
    };
    Ok(all.into_iter().map(group).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, loader: Option<BootLoader>) -> Option<String> {
        let programs = programs_of(&path.parse().unwrap(), loader)?;
        let lines: Vec<_> = programs.iter().map(ToString::to_string).collect();
        Some(lines.join("; "))
    }

    #[test]
    fn files_have_programs_that_make_them_take_effect() {
        let proxmox = Some(BootLoader::ProxmoxBootTool);
        let systemd = Some(BootLoader::SystemdBoot);
        for (path, loader, lines) in [
            ("/etc/sysctl.d/90-vmtune.conf", None, ""),
            (
                "/etc/systemd/system/a.slice.d/b",
                None,
                "systemctl daemon-reload",
            ),
            (
                "/etc/systemd/system/irqbalance.service.d/vmtune.conf",
                None,
                "systemctl daemon-reload; systemctl try-restart \
                 irqbalance.service",
            ),
            ("/etc/default/grub", None, "update-grub"),
            ("/etc/default/grub.d/zz.cfg", systemd, "update-grub"),
            ("/etc/default/grub", proxmox, "proxmox-boot-tool refresh"),
            ("/etc/default/grubby", None, ""),
            ("/etc/kernel/cmdline", proxmox, "proxmox-boot-tool refresh"),
            ("/etc/kernel/cmdline", systemd, "kernel-install add"),
        ] {
            assert_eq!(of(path, loader).as_deref(), Some(lines), "{path}");
        }
        assert_eq!(of("/etc/kernel/cmdline", None), None);
        assert_eq!(of("/etc/kernel/cmdline", Some(BootLoader::Grub)), None);
    }
}
