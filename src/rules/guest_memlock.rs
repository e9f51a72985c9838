//! Says what limits the guest needs for RDMA of its own.
//!
//! vmtune changes nothing inside a guest. A program in a guest registers
//! memory with the guest's kernel, under the guest's limits; what libvirt or
//! the host allow QEMU has no part in that.

use super::{Context, Evaluate, Group, Rule, Verdict};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "guest-memlock",
    group: Group::GuestIo,
    why: "Memory that a guest's program registers for RDMA is locked under \
          the guest's own limit, which is a few MiB for ordinary users.",
    hurts: "Who may lock without a limit can take all memory of the guest.",
    folklore: "Guides set memlock on the host, where VMs do not need it: \
               libvirt raises the limit of QEMU for devices.",
    sources: &[
        "ibv_reg_mr(3); setrlimit(2): RLIMIT_MEMLOCK",
        "limits.conf(5); systemd.exec(5): LimitMEMLOCK=",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let functions = cx.rdma_functions();
    if functions.is_empty() {
        return Verdict::NotApplicable("no RDMA device is passed through");
    }
    let names: Vec<_> = functions.iter().map(ToString::to_string).collect();
    Verdict::Advise(vec![format!(
        "in the guest, programs that use {} without being root need a higher \
         memlock: `@rdma - memlock unlimited` below /etc/security/limits.d \
         for logins, LimitMEMLOCK=infinity for services, --ulimit memlock=-1 \
         for containers",
        names.join(", ")
    )])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::model::facts::RdmaDevice;
    use crate::rules::fixture::Case;

    #[test]
    fn a_function_of_an_rdma_card_is_told_of() {
        let mut case = Case::plain();
        case.pass("0000:c1:00.2", Some(0));
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        let card = "0000:c1:00.0".parse().unwrap();
        let device = RdmaDevice {
            name: "mlx5_0".into(),
            pci: Some(card),
            interfaces: Vec::new(),
        };
        case.facts.rdma = Fact::known(vec![device], "/sys/class/infiniband");
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)), "another card");
        let Fact::Known { value: functions, .. } = &mut case.facts.pci else {
            panic!("functions are known");
        };
        functions[0].physfn = Some(card);
        assert!(case.said(&RULE).contains("use 0000:c1:00.2 without"));
    }
}
