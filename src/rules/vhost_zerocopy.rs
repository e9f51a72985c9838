//! Keeps vhost-net from transmitting without a copy.
//!
//! Instead of copying a packet, vhost-net can hand the guest's own pages to
//! the network and give them back when they are sent. That saves CPU time for
//! large packets that leave the host. A packet for another guest is copied
//! later all the same, and a receiver that does not read holds the sender's
//! buffers for as long as it likes. A passed-through function has no part in
//! it: it does not go through vhost.

use super::{Edit, Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::policy::Level;
use crate::model::{Stage, Target};

/// The rule.
pub const RULE: Rule = Rule {
    id: "vhost-zerocopy",
    group: Group::HostIo,
    why: "A guest that does not read its packets can stop the guest that \
          sent them, where those are not copied.",
    hurts: "A guest that sends large packets out of the host over virtio \
            takes more CPU time with the copy.",
    folklore: "Guides switch experimental_zcopytx on for traffic between \
               guests, which is where it helps least: such packets are \
               copied after all. The kernel has had it off since 2019 for \
               what it does to a guest whose buffers do not come back.",
    sources: &[
        "Linux drivers/vhost/net.c: experimental_zcopytx",
        "Linux commit bab632d69ee4, \"vhost: vhost TX zero-copy support\": \
         buffers might never get used",
        "Linux commit \"vhost_net: disable zerocopy by default\" (5.3)",
    ],
    level: Level::Advise,
    owns: &["/etc/modprobe.d/vmtune-vhost-net.conf"],
    evaluate: Evaluate::Host(evaluate),
};

const PARAMETER: &str = "vhost_net.experimental_zcopytx";
const PLACE: &str = "/sys/module/vhost_net/parameters/experimental_zcopytx";
const FILE: &str = "/etc/modprobe.d/vmtune-vhost-net.conf";
const TEXT: &str = include_str!("../../templates/host/vhost-net.conf");

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let parameter = cx.facts.kernel.module_parameters.get(PARAMETER);
    let now = parameter.and_then(|fact| fact.value());
    let is_on = |value: &str| !matches!(value, "0" | "N" | "n");
    let claims = cx.facts.services.claims_of(PLACE);
    let asked: Vec<_> = claims.filter(|c| is_on(&c.value)).collect();
    let running = now.is_some_and(|value| is_on(value));
    if !running && asked.is_empty() {
        return match now {
            Some(_) => Verdict::Satisfied("vhost-net copies packets".into()),
            None => Verdict::NotApplicable("vhost_net is not loaded"),
        };
    }
    let Ok(file) = FILE.parse() else {
        return Verdict::NotApplicable("no such place");
    };
    let who = asked.first().map_or_else(String::new, |claim| {
        format!("; {} asks for it", claim.file)
    });
    let because = format!(
        "vhost-net transmits without a copy, and one guest that does not \
         read can stop another{who}"
    );
    let edit = Edit::set(Target::File(file), TEXT, because);
    Verdict::of(vec![edit.at(Stage::HostBoot)], Vec::new(), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::model::facts::Claim;
    use crate::rules::fixture::Case;
    use crate::rules::memory_fixture::Beside;

    fn case(value: Option<&str>) -> Case {
        let mut case = Case::plain();
        let fact = match value {
            Some(value) => Fact::known(value.to_owned(), PLACE),
            None => Fact::unknown("the module vhost_net is not loaded"),
        };
        let parameters = &mut case.facts.kernel.module_parameters;
        parameters.insert(PARAMETER.to_owned(), fact);
        case.stands(FILE, None);
        case
    }

    #[test]
    fn it_stays_off() {
        let beside = Beside::default();
        let verdict = case(Some("0")).on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::Satisfied(_)));
        let verdict = case(None).on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        let mut on = case(Some("1"));
        let edits = on.host_edits(&RULE, &beside);
        assert!(edits[0].ends_with("zcopytx=0, host-boot"), "{edits:?}");
        on.settle(&RULE, &beside);
        assert_eq!(on.host_edits(&RULE, &beside), [""; 0]);
    }

    #[test]
    fn who_asks_for_it_is_named() {
        let mut case = case(None);
        let claim = Claim {
            place: PLACE.parse().unwrap(),
            value: "1".into(),
            file: "/etc/modprobe.d/fast.conf".parse().unwrap(),
        };
        case.facts.services.claims = Fact::known(vec![claim], "/etc");
        let said = format!("{:?}", case.on_host(&RULE, &Beside::default()));
        assert!(said.contains("fast.conf asks for it"), "{said}");
    }
}
