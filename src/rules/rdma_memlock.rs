//! Lets users of RDMA on the host lock the memory that it registers.
//!
//! A program that registers memory with an RDMA device locks it, up to a
//! limit of a few MiB for ordinary users. This is about programs of the host
//! itself: for a VM libvirt sets the limit, and a guest has limits of its own
//! (see guest-memlock).

use super::{Edit, Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::policy::Level;
use crate::model::{Stage, Target};

/// The rule.
pub const RULE: Rule = Rule {
    id: "rdma-memlock",
    group: Group::HostIo,
    why: "Memory that is registered with an RDMA device is locked, and the \
          limit of ordinary users is a few MiB.",
    hurts: "Who may lock without a limit can take all memory of the host.",
    folklore: "Guides give everybody (`*`) an unlimited memlock in \
               limits.conf. That is read at login alone: services, and so \
               batch systems and containers, need LimitMEMLOCK=infinity in \
               their units, and QEMU gets its limit from libvirt.",
    sources: &[
        "ibv_reg_mr(3); setrlimit(2): RLIMIT_MEMLOCK",
        "pam_limits(8), limits.conf(5); systemd.exec(5): LimitMEMLOCK=",
    ],
    level: Level::Advise,
    owns: &["/etc/security/limits.d/90-vmtune-rdma.conf"],
    evaluate: Evaluate::Host(evaluate),
};

const LIMITS: &str = "/etc/security/limits.conf";
const FILE: &str = "/etc/security/limits.d/90-vmtune-rdma.conf";
const TEXT: &str = include_str!("../../templates/host/rdma-memlock.conf");

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let Some(devices) = cx.facts.rdma.value() else {
        let why = cx.facts.rdma.reason().unwrap_or_default().to_owned();
        return Verdict::Unknown { fact: "RDMA devices", why };
    };
    let names: Vec<&str> = devices.iter().map(|d| d.name.as_str()).collect();
    if names.is_empty() {
        return Verdict::NotApplicable("the host has no RDMA device");
    }
    if let Some(claim) =
        cx.facts.services.claims_of(LIMITS).find(|c| is_enough(&c.value))
    {
        let file = &claim.file;
        return Verdict::Satisfied(format!("{file} says `{}`", claim.value));
    }
    let Ok(file) = FILE.parse() else {
        return Verdict::NotApplicable("no such place");
    };
    let because = format!(
        "users of {} on the host lock what they register; a service needs \
         LimitMEMLOCK=infinity in its unit instead",
        names.join(", ")
    );
    let edit = Edit::set(Target::File(file), TEXT, because).at(Stage::Now);
    let edit = edit.trading("members of group rdma may lock all memory");
    Verdict::of(vec![edit], Vec::new(), "")
}

/// Returns whether a line lets all users of RDMA lock what they like.
fn is_enough(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    matches!(
        words.as_slice(),
        [
            "*" | "@rdma",
            "-" | "hard",
            "memlock",
            "unlimited" | "-1" | "infinity"
        ]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::model::facts::{Claim, RdmaDevice};
    use crate::rules::fixture::Case;
    use crate::rules::memory_fixture::Beside;

    fn case(devices: &[&str]) -> Case {
        let mut case = Case::plain();
        let device = |name: &&str| RdmaDevice {
            name: (*name).to_owned(),
            pci: None,
            interfaces: Vec::new(),
        };
        let devices = devices.iter().map(device).collect();
        case.facts.rdma = Fact::known(devices, "/sys/class/infiniband");
        case.stands(FILE, None);
        case
    }

    #[test]
    fn users_of_rdma_may_lock() {
        let beside = Beside::default();
        let mut one = case(&["mlx5_0"]);
        let edits = one.host_edits(&RULE, &beside);
        assert!(edits[0].ends_with("= @rdma - memlock unlimited, now"));
        one.settle(&RULE, &beside);
        assert_eq!(one.host_edits(&RULE, &beside), [""; 0], "once is enough");
        let verdict = case(&[]).on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        one.facts.rdma = Fact::unknown("not read");
        let verdict = one.on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::Unknown { .. }));
    }

    #[test]
    fn another_file_may_say_so_already() {
        for (value, enough) in [
            ("@rdma - memlock unlimited", true),
            ("* hard memlock unlimited", true),
            ("* soft memlock unlimited", false),
            ("@audio - memlock unlimited", false),
            ("* - memlock 65536", false),
        ] {
            let mut case = case(&["mlx5_0"]);
            let claim = Claim {
                place: LIMITS.parse().unwrap(),
                value: value.into(),
                file: LIMITS.parse().unwrap(),
            };
            case.facts.services.claims = Fact::known(vec![claim], "/etc");
            let edits = case.host_edits(&RULE, &Beside::default());
            assert_eq!(edits.is_empty(), enough, "{value}");
        }
    }
}
