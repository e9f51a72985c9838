//! The guest's CPU model and caches.

use super::flaw::Flaw;
use super::scene::Scene;
use super::vm::Vm;
use crate::model::domain::{CpuElement, CpuMode};

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    if let Some(cpu) = &vm.domain.cpu {
        mode(scene, vm, cpu, found);
        cache(vm, cpu, found);
    }
    override_by_argument(vm, found);
}

/// The mode is one that the accelerator has. Validation takes any; start
/// does not.
fn mode(
    scene: &Scene<'_>,
    vm: &Vm<'_>,
    cpu: &CpuElement,
    found: &mut Vec<Flaw>,
) {
    const RULE: &str = "cpu-model";
    let virt_type = vm.domain.virt_type.as_str();
    let Some(mode) = cpu.mode.as_ref().filter(|m| **m != CpuMode::Custom)
    else {
        return;
    };
    let name = mode.as_str();
    let line = || vm.line("cpu/@mode");
    if virt_type == "qemu" && *mode == CpuMode::HostPassthrough {
        let what = "host-passthrough under software emulation";
        let remedy = "Write mode='maximum', or type='kvm'.";
        found.push(Flaw::refused(RULE, what, remedy).at(line()));
        return;
    }
    let hypervisor = scene.host.facts.hypervisor.value();
    let domains = hypervisor.map(|hypervisor| &hypervisor.domains);
    let capabilities = domains.and_then(|d| d.get(virt_type)?.value());
    let is_known = capabilities.is_none_or(|capabilities| {
        capabilities.cpu_modes.iter().any(|known| known == name)
    });
    if !is_known && vm.domain.is_x86_64() {
        let what = format!("{name}, which {virt_type} has not on this host");
        let remedy = "Write a mode of the domain capabilities.";
        found.push(Flaw::refused(RULE, what, remedy).at(line()));
    }
}

/// `<cache>` goes with some modes and levels only.
fn cache(vm: &Vm<'_>, cpu: &CpuElement, found: &mut Vec<Flaw>) {
    let Some(cache) = &cpu.cache else { return };
    let level = cache.level.as_deref();
    let is_hosts =
        matches!(cpu.mode, Some(CpuMode::HostPassthrough | CpuMode::Maximum));
    let (what, remedy) = match (cache.mode.as_str(), level) {
        _ if !vm.domain.is_x86_64() => {
            ("caches are for x86 alone", "Remove <cache>.")
        }
        ("passthrough", _) if !is_hosts => (
            "the host's caches for a CPU that is not the host's",
            "Write mode='emulate' level='3'.",
        ),
        ("emulate", level) if level != Some("3") => {
            ("an emulated cache of another level than 3", "Write level='3'.")
        }
        ("passthrough" | "disable", Some(_)) => {
            ("a level, which this mode of cache has not", "Remove level.")
        }
        _ => return,
    };
    let flaw = Flaw::refused("cpu-cache", what, remedy);
    found.push(flaw.at(vm.line("cpu/cache")));
}

/// QEMU takes the last `-cpu`: one that is passed by hand replaces all that
/// libvirt computed.
fn override_by_argument(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let arguments = vm.domain.qemu_arguments.iter();
    let option = |argument: &str| matches!(argument, "-cpu" | "--cpu");
    let place = arguments.clone().position(|argument| option(argument));
    let Some(place) = place else { return };
    let lost = computed(vm);
    let what = format!(
        "-cpu by hand replaces what libvirt computed: {}",
        lost.join(", "),
    );
    let remedy = "Remove it; write <cache> and <feature> instead.";
    let path = format!("qemu:commandline/qemu:arg[{}]", place + 1);
    found.push(Flaw::slow("cpu-cache", what, remedy).at(vm.line(&path)));
}

/// Names what a definition says that ends up in libvirt's own `-cpu`.
fn computed(vm: &Vm<'_>) -> Vec<String> {
    let mut lost = Vec::new();
    if let Some(cpu) = &vm.domain.cpu {
        let mode = cpu.mode.as_ref().map_or("custom", CpuMode::as_str);
        lost.push(format!("the mode {mode}"));
        lost.extend(cpu.features.iter().map(|f| f.name.clone()));
        if cpu.cache.is_some() {
            lost.push("<cache>".to_owned());
        }
    } else {
        lost.push("the default model".to_owned());
    }
    let is_hint =
        |path: &str| path.starts_with("hyperv/") || path.starts_with("kvm/");
    let hints = vm.domain.features.keys().filter(|path| is_hint(path));
    let mut hints: Vec<_> =
        hints.filter_map(|path| path.split('@').next()).collect();
    hints.dedup();
    lost.extend(hints.into_iter().map(str::to_owned));
    lost
}
