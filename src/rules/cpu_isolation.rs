//! Keeps the host's own work off the CPUs that VMs have to themselves.
//!
//! By `partition` without a reboot: the services, the users and systemd
//! itself get the other CPUs. systemd gives them to the running groups when
//! it reads its units again (`daemon-reload`), but does not take them back
//! when a unit no longer names any; so the groups are set as well, and undone
//! with the rest. Where VMs are, `machine.slice`, is left alone: libvirt fails
//! to start a VM whose pins its cpuset lacks. Kernel threads, timers and
//! interrupts stay; interrupts have rules of their own.
//!
//! By `kernel` with the next boot: the scheduler has no business on the CPUs,
//! the timer tick stops while one task runs, RCU's work and interrupts go
//! elsewhere. An argument that is there already is added to, and never loses
//! a CPU.
//!
//! Isolated partitions of cgroup v2 (`cpuset.cpus.partition`) would do what
//! `isolcpus=domain` does without a reboot. They are not offered: around a
//! whole VM a partition would hold its emulator's threads as well; around
//! each vCPU it would have to be made anew at each start of the VM, in groups
//! that are libvirt's. If they come, they come here, beside `groups`.

use super::{
    Edit, Evaluate, Group, HostContext, HostedVm, Rule, Verdict, filled, place,
};
use crate::base::{CpuId, CpuSet, HostPath, Isolcpus};
use crate::model::facts::BootArguments;
use crate::model::policy::{Isolation, Level};
use crate::model::{Stage, Target};

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "cpu-isolation",
    group: Group::HostCpu,
    why: "A vCPU that shares its CPU with nobody is never kept waiting by the \
          host's own work.",
    hurts: "The host's services have fewer CPUs, also while the VMs are off; \
            VMs of qemu:///session run among the users' processes and cannot \
            have the CPUs. isolcpus= spreads no load: threads that are pinned \
            to several such CPUs stay on one of them. nohz_full= makes each \
            system call and each exit of a guest dearer.",
    folklore: "Guides set isolcpus= to all CPUs but one core and pin vCPUs \
               alone: emulators, I/O threads and interrupts of all VMs then \
               fight for that core. Some give such CPUs to programs that are \
               not pinned, which run on one of them; others set nohz_full= \
               without moving interrupts away, and the tick comes back with \
               each. systemd's CPUAffinity= was lost before Linux 6.2 when \
               libvirt switched cpusets on.",
    sources: &[
        "systemd.resource-control(5), AllowedCPUs=: since version 244, with \
         cgroup v2",
        "tried with systemd 254: drop-ins count from daemon-reload on; a \
         limit that is taken away stays on the running group",
        "Linux, admin-guide/kernel-parameters: isolcpus=, nohz_full=, \
         rcu_nocbs=, irqaffinity=",
        "Linux, kernel/sched/isolation.c: of two isolcpus= with different \
         CPUs the second is dropped",
        "Linux, admin-guide/cgroup-v2, \"Cpuset\"",
    ],
    level: Level::Plan,
    owns: &[
        "/etc/systemd/system/system.slice.d/90-vmtune.conf",
        "/etc/systemd/system/user.slice.d/90-vmtune.conf",
        "/etc/systemd/system/init.scope.d/90-vmtune.conf",
        "/sys/fs/cgroup/*/cpuset.cpus",
        "#isolcpus",
        "#nohz_full",
        "#rcu_nocbs",
        "#irqaffinity",
    ],
    evaluate: Evaluate::Host(evaluate),
};

const TEMPLATE: &str = include_str!("../../templates/host/unit-cpus.conf");

/// The units that are not VMs, and the section that takes their CPUs.
const UNITS: [(&str, &str); 3] = [
    ("system.slice", "Slice"),
    ("user.slice", "Slice"),
    ("init.scope", "Scope"),
];

/// Edits and advice, until they make a verdict.
type Said = (Vec<Edit>, Vec<String>);

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let by_groups = cx.isolated_by(|how| how == Isolation::Partition);
    let by_kernel = cx.isolated_by(|how| how == Isolation::Kernel);
    let mut said = (Vec::new(), Vec::new());
    said.1.extend(not_by_kernel(cx));
    if by_groups.is_empty() {
        let files = UNITS.map(|(unit, _)| drop_in(unit));
        let files = files.each_ref().map(HostPath::as_str);
        let why = match by_kernel.is_empty() {
            true => "the policy isolates no VM's CPUs",
            false => "the policy isolates by kernel arguments",
        };
        match cx.without(&files, why) {
            Verdict::Change { edits, .. } => {
                said.0 = free(cx, why);
                said.0.extend(edits);
            }
            nothing if by_kernel.is_empty() => return nothing,
            _ => {}
        }
    } else if let Err(verdict) = groups(cx, &by_groups, &mut said) {
        return verdict;
    }
    if !by_kernel.is_empty()
        && let Err(verdict) = arguments(cx, by_kernel.clone(), &mut said)
    {
        return verdict;
    }
    let all = by_groups.union(&by_kernel);
    let seen = format!("the host's own work is kept off CPUs {all}");
    Verdict::of(said.0, said.1, seen)
}

/// Says of which VMs the CPUs are kept free in another way than asked for.
fn not_by_kernel(cx: &HostContext<'_>) -> Option<String> {
    let other = |vm: &&HostedVm<'_>| {
        vm.placement.exclusive && vm.isolation() != vm.policy.cpu.isolation
    };
    let names: Vec<_> = cx
        .vms
        .iter()
        .filter(other)
        .map(|vm| vm.domain.name.to_string())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "the CPUs of {} are not isolated by the kernel: Proxmox gives \
             their threads one set of CPUs, and on isolated ones all of them \
             would stay on the first",
            names.join(", ")
        )
    })
}

/// Gives the host's own groups the CPUs that no VM has to itself.
fn groups(
    cx: &HostContext<'_>,
    cpus: &CpuSet,
    (edits, advice): &mut Said,
) -> Result<(), Verdict> {
    let services = &cx.facts.services;
    let unknown = |fact, reason: Option<&str>| Verdict::Unknown {
        fact,
        why: reason.unwrap_or_default().to_owned(),
    };
    let Some(systemd) = services.systemd.value() else {
        return Err(unknown("systemd", services.systemd.reason()));
    };
    let controllers = &services.cgroup_controllers;
    let Some(controllers) = controllers.value() else {
        return Err(unknown("cgroup controllers", controllers.reason()));
    };
    let others = &services.lines_of_others;
    let Some(others) = others.value() else {
        return Err(unknown("settings of others", others.reason()));
    };
    let online = &cx.facts.topology.online;
    let left = online.difference(&cx.isolated_by(|how| how != Isolation::None));
    if !systemd || !controllers.iter().any(|name| name == "cpuset") {
        advice.push(format!(
            "keep the host's work off CPUs {cpus}: without systemd and cgroup \
             v2 with cpusets vmtune can do so by kernel arguments alone ([cpu] \
             isolation = \"kernel\")"
        ));
        return Ok(());
    }
    if left.is_empty() {
        advice.push("VMs have all CPUs, and none is left to the host".into());
        return Ok(());
    }
    for (unit, section) in UNITS {
        let folder = format!("/{unit}.d/");
        let other = others.iter().find(|(file, lines)| {
            file.as_str().contains(&folder) && !lines.is_empty()
        });
        if let Some((file, lines)) = other {
            let line = lines.last().map_or("", String::as_str);
            let set = line.split_once('=').map_or("", |(_, value)| value);
            let set = set.trim().parse().unwrap_or_else(|_| online.clone());
            if set.is_empty() || set.intersects(cpus) {
                advice.push(format!(
                    "{file} says {line}: take CPUs {cpus} out of it, or take \
                     it away, so that {unit} leaves the VMs' CPUs"
                ));
            }
            continue;
        }
        let list = left.to_string();
        let text = filled(TEMPLATE, &[("section", section), ("cpus", &list)]);
        let because = format!(
            "VMs have CPUs {cpus} to themselves ({})",
            cx.facts.topology.origin
        );
        let trade = format!(
            "the host's services and users have {} of {} CPUs, also while the \
             VMs are off",
            left.len(),
            online.len()
        );
        let file = (Target::File(drop_in(unit)), text);
        let group = (Target::Kernel(cpuset(unit)), list);
        // Both: systemd sets the group with the file, and leaves it limited
        // when the file goes.
        for (target, to) in [group, file] {
            let there = match &target {
                Target::Kernel(path) => match cx.setting(path) {
                    // What is not known cannot be put back.
                    None => continue,
                    there => there,
                },
                _ => cx.setting(&drop_in(unit)),
            };
            if there != Some(&to) {
                let edit = Edit::set(target, to, &because).at(Stage::Now);
                edits.push(edit.trading(&trade));
            }
        }
    }
    Ok(())
}

/// Gives groups all CPUs again whose limit is an earlier plan's.
fn free(cx: &HostContext<'_>, why: &str) -> Vec<Edit> {
    let all = cx.facts.topology.online.to_string();
    let units = UNITS.iter().map(|(unit, _)| *unit);
    let limited = units.filter(|unit| {
        let group = cx.setting(&cpuset(unit));
        cx.setting(&drop_in(unit)).is_some()
            && group.is_some_and(|cpus| cpus != all)
    });
    let edit = |unit| {
        Edit::set(Target::Kernel(cpuset(unit)), &all, why).at(Stage::Now)
    };
    limited.map(edit).collect()
}

fn cpuset(unit: &str) -> HostPath {
    place(format!("/sys/fs/cgroup/{unit}/cpuset.cpus"))
}

fn drop_in(unit: &str) -> HostPath {
    place(format!("/etc/systemd/system/{unit}.d/90-vmtune.conf"))
}

/// Adds CPUs to the arguments of the next boot.
fn arguments(
    cx: &HostContext<'_>,
    mut cpus: CpuSet,
    said: &mut Said,
) -> Result<(), Verdict> {
    let boot = &cx.facts.kernel.boot_arguments;
    let Some(boot) = boot.value() else {
        let why = boot.reason().unwrap_or_default().to_owned();
        let fact = "kernel arguments for the next boot";
        return Err(Verdict::Unknown { fact, why });
    };
    // The boot CPU keeps the time for those without a tick.
    if cpus.remove(CpuId(0)) {
        said.1.push(
            "CPU 0 is a VM's and cannot be isolated: the kernel keeps time on \
             it. [cpu] housekeeping = \"auto\" leaves it to the host"
                .to_owned(),
        );
    }
    let online = &cx.facts.topology.online;
    let left = online.difference(&cpus);
    let home = cx.housekeeping.difference(&cpus);
    let home = if home.is_empty() { left } else { home };
    if cpus.is_empty() || home.is_empty() {
        return Ok(());
    }
    let trade = format!(
        "CPUs {cpus} run nothing but VMs until the host boots without it, \
         also while the VMs are off"
    );
    let list = |old: Option<&str>| match old {
        Some("all") => Ok("all".to_owned()),
        Some(old) => match old.parse::<CpuSet>() {
            Ok(old) => Ok(old.union(&cpus).to_string()),
            Err(_) => Err("is no list of CPUs that vmtune reads"),
        },
        None => Ok(cpus.to_string()),
    };
    let isolcpus = |old: Option<&str>| isolcpus(&cpus, old);
    let affinity = |old: Option<&str>| match old.map(str::parse::<CpuSet>) {
        Some(Ok(old)) if !old.intersects(&cpus) => Ok(old.to_string()),
        Some(Ok(old)) if !old.is_subset(&cpus) => {
            Ok(old.difference(&cpus).to_string())
        }
        Some(Err(_)) => Err("is no list of CPUs that vmtune reads"),
        None | Some(Ok(_)) => Ok(home.to_string()),
    };
    argument(boot, "isolcpus", Some(&trade), &isolcpus, said);
    argument(boot, "nohz_full", None, &list, said);
    argument(boot, "rcu_nocbs", None, &list, said);
    argument(boot, "irqaffinity", None, &affinity, said);
    let isolated = cpus_of(boot).intersection(cx.housekeeping);
    if !isolated.is_empty() {
        said.1.push(format!(
            "isolcpus= holds CPUs {isolated}, which the host keeps for \
             emulators and interrupts: take them out"
        ));
    }
    Ok(())
}

/// Merges an `isolcpus` with what is there.
fn isolcpus(cpus: &CpuSet, old: Option<&str>) -> Result<String, &'static str> {
    let own = Isolcpus {
        managed_irq: true,
        domain: true,
        cpus: cpus.clone(),
        ..Isolcpus::default()
    };
    let Some(text) = old else { return Ok(own.to_string()) };
    let Ok(old) = text.parse::<Isolcpus>() else {
        return Err("has a flag or a list that vmtune does not read");
    };
    let both = old.union(&own);
    match (both == old, old.nohz) {
        (true, _) => Ok(text.to_owned()),
        (false, true) => Err("has the flag nohz, which nohz_full= must match"),
        (false, false) => Ok(both.to_string()),
    }
}

/// Adds one argument, or says why it stays as it is.
fn argument(
    boot: &BootArguments,
    name: &str,
    trade: Option<&str>,
    merged: &dyn Fn(Option<&str>) -> Result<String, &'static str>,
    (edits, advice): &mut Said,
) {
    let there: Vec<_> =
        boot.arguments.iter().filter(|one| one.name == name).collect();
    let (file, old) = match there[..] {
        [] => (&boot.file, None),
        [one] => (&one.file, Some(one.value.as_str())),
        [first, ..] => {
            advice.push(format!(
                "{name}= is given {} times ({} first): make it one, and plan \
                 again",
                there.len(),
                first.file
            ));
            return;
        }
    };
    let shown = old.unwrap_or_default();
    if old.is_some() && file.is_below("/etc/tuned") {
        advice.push(format!(
            "TuneD sets {name}={shown} ({file}): change its profile's CPUs, or \
             let vmtune do it alone"
        ));
        return;
    }
    match merged(old) {
        Err(why) => {
            advice.push(format!("{name}={shown} {why}: {file} is left alone"));
        }
        Ok(to) if old == Some(&to) => {}
        Ok(to) => {
            let because = match old {
                None => "the policy isolates by kernel arguments".to_owned(),
                Some(_) => format!(
                    "the policy isolates by kernel arguments; what {name}= \
                     held stays"
                ),
            };
            let (file, name) = (file.clone(), name.to_owned());
            let target = Target::Argument { file, name };
            let edit = Edit::set(target, to, because).at(Stage::HostBoot);
            edits.push(match trade {
                Some(trade) => edit.trading(trade),
                None => edit,
            });
        }
    }
}

/// Returns the CPUs that an `isolcpus` holds already.
fn cpus_of(boot: &BootArguments) -> CpuSet {
    let mut all = boot.arguments.iter().filter(|one| one.name == "isolcpus");
    let value = all.next().and_then(|one| one.value.parse::<Isolcpus>().ok());
    value.map(|value| value.cpus).unwrap_or_default()
}

#[cfg(test)]
mod tests;
