//! The one set of CPUs that Proxmox has for all threads of a VM.

use super::flaw::Flaw;
use super::scene::Scene;
use super::vm::Vm;
use super::words;
use crate::base::CpuSet;
use crate::model::domain::Dialect;

const RULE: &str = "vcpu-pin";

/// The set holds the CPUs that the VM was given, and none that another VM has
/// to itself.
pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    if vm.domain.dialect == Dialect::Libvirt || vm.seats.is_empty() {
        return;
    }
    let Some(all) = &vm.domain.vcpu_cpuset else {
        if vm.is_dedicated() {
            let what = "no affinity: its threads run on any CPU";
            found.push(Flaw::broken(RULE, what, "Write affinity."));
        }
        return;
    };
    let outside = vm.seat_cpus.difference(all);
    if !outside.is_empty() {
        let what =
            format!("affinity lacks {}, given to it", words::cpus(&outside));
        found.push(Flaw::broken(RULE, what, "Add them to affinity."));
    }
    for other in scene.others(vm) {
        let shared: CpuSet = all.intersection(&other.alone);
        if !shared.is_empty() {
            let what = format!(
                "affinity has {}, which {} has for itself",
                words::cpus(&shared),
                other.name,
            );
            let remedy = "Take them out of affinity.";
            found.push(Flaw::broken(RULE, what, remedy));
        }
    }
}
