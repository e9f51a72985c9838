//! The CPU model, as Proxmox has it; flags that a VM has stay.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};
use crate::model::domain::{CpuArgument, CpuMode};
use crate::model::guest;

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    if let Some(argument) = CpuArgument::of(cx.domain) {
        return Verdict::Advise(vec![format!(
            "`args` has -cpu {}, and QEMU takes the last: whatever `cpu` says \
             is lost. Take it out of `args`, and say cpu: host.",
            argument.model
        )]);
    }
    let better = guest::better_cpu_mode(cx.facts, cx.domain);
    let to = match better {
        Some(CpuMode::HostPassthrough) => "host",
        Some(CpuMode::Maximum) => "max",
        _ => return Verdict::NotApplicable("the CPU model is right, or told"),
    };
    let cpu = cx.domain.cpu.as_ref();
    let given = cpu.and_then(|cpu| cpu.model.as_deref()).unwrap_or("host");
    let because = match to {
        "host" => format!(
            "KVM runs the guest on the host's CPU; {given} hides part of it"
        ),
        _ => "without KVM there is no host's own CPU to hand out".to_owned(),
    };
    let mut edit = Edit::set(key("cpu/cputype"), to, because);
    if to == "host" {
        edit = edit.trading(
            "the VM migrates only to hosts with the same CPU and microcode",
        );
    }
    Verdict::Change { edits: vec![edit], advice: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Case;
    use super::super::RULE;
    use crate::model::domain::CpuMode;

    #[test]
    fn the_hosts_own_cpu_unless_arguments_win() {
        let mut case = Case::intel(&[1, 2], 1).mode(CpuMode::Custom).proxmox();
        assert_eq!(case.edits(&RULE), ["cpu/cputype = host"]);
        let args = ["-cpu", "Haswell,+invtsc"].map(str::to_owned);
        case.domain.qemu_arguments = args.to_vec();
        assert!(case.advice(&RULE)[0].contains("-cpu Haswell"));
        assert!(case.edits(&RULE).is_empty());
    }
}
