//! Functions that a VM is given before its card has them: one plan and one
//! boot make both.

use vmtune::definition;
use vmtune::model::facts::Facts;
use vmtune::model::{Fact, Plan, Stage};
use vmtune::planner::{Inputs, Planned, fingerprint, plan};

use crate::support::vms::{Vm, subject};
use crate::{host, policy};

/// The second port has no functions yet.
const SECOND: &str = "functions = ['0000:81:00.1']\ncount = 2\n\
                      [[vm.vm.nics]]\nfrom = 'enp129s0f1np1'";

fn vm() -> String {
    Vm::new("vm", 4, 4096).xml()
}

fn planned(facts: &Facts, nic: &str, text: &str) -> Planned {
    let (subjects, policy) = ([subject(text)], policy(nic));
    let inputs = Inputs {
        facts,
        policy: &policy,
        subjects: &subjects,
        neighbours: &[],
        connection: "files",
    };
    plan(&inputs).unwrap()
}

/// The functions that the VM has in the end.
fn functions(planned: &Planned) -> Vec<String> {
    let text = planned.definitions.values().next().unwrap();
    let domain = definition::read(text).unwrap();
    domain.functions().map(|address| address.to_string()).collect()
}

fn refusal(plan: &Plan) -> &str {
    let mut advice = plan.advice.iter().filter(|a| a.rule == "hostdev-vf");
    &advice.next().unwrap().text
}

/// Makes the functions, as a boot does.
fn booted(facts: &mut Facts) {
    let Fact::Known { value: all, .. } = &mut facts.pci else { panic!() };
    let made = ["0000:81:01.2", "0000:81:01.3"];
    let made = made.map(|address| address.parse().unwrap());
    let like = "0000:81:00.3".parse().unwrap();
    let physical = "0000:81:00.1".parse().unwrap();
    let one = all.iter().find(|f| f.address == like).unwrap().clone();
    for (group, address) in (80..).zip(made) {
        let mut one = one.clone();
        (one.address, one.physfn) = (address, Some(physical));
        one.iommu_group = Fact::known(Some(group), "made up");
        all.push(one);
    }
    let card = all.iter_mut().find(|f| f.address == physical).unwrap();
    card.sriov.as_mut().unwrap().virtfns.extend(made);
}

#[test]
fn a_vm_is_given_a_function_that_the_plan_makes() {
    let first = planned(&host(), SECOND, &vm());
    assert_eq!(functions(&first), ["0000:81:01.2"]);
    let changes = first.plan.changes.iter();
    let own: Vec<_> = changes.filter(|c| c.rule == "hostdev-vf").collect();
    assert!(own.iter().all(|c| c.stage == Stage::HostBoot), "{own:?}");
    insta::assert_snapshot!(
        own[0].because,
        @"0000:81:01.2 will be, once the host has booted, a function of 0000:81:00.1 (enp129s0f1np1), is at node 1, and no other VM has it"
    );
    let trades: Vec<_> = own.iter().filter_map(|c| c.trade.as_ref()).collect();
    let said = "the VM does not start before the host has booted, and with it \
                made the function";
    assert_eq!(trades, [said]);
    // The VM goes where the card is.
    let placement = first.plan.vms[0].placement.as_ref().unwrap();
    assert_eq!(placement.cells[0].node.0, 1);
    // What is not there is no part of what the plan is bound to.
    let read = fingerprint(&(&host()).into(), &[]);
    assert_eq!(first.plan.fingerprint, read);
}

#[test]
fn neither_before_the_boot_nor_after_is_another_one_given() {
    let first = planned(&host(), SECOND, &vm());
    let text = first.definitions.values().next().unwrap();
    let mut facts = host();
    for when in ["before", "after"] {
        let again = planned(&facts, SECOND, text);
        let changes = again.plan.changes.iter();
        let own = changes.filter(|change| change.vm.is_some());
        assert_eq!(own.count(), 0, "{when}");
        let placement = again.plan.vms[0].placement.as_ref().unwrap();
        assert!(placement.nics[0].attached, "{when}");
        booted(&mut facts);
    }
}

#[test]
fn a_function_that_is_there_comes_first() {
    let any = "functions = ['0000:81:00.0', '0000:81:00.1']\ncount = 4\n\
               [[vm.vm.nics]]\n";
    let given = planned(&host(), any, &vm());
    assert_eq!(functions(&given), ["0000:81:00.2"]);
    assert!(given.plan.changes.iter().all(|change| {
        change.rule != "hostdev-vf" || change.stage == Stage::VmStart
    }));
}

#[test]
fn what_is_not_made_is_not_given() {
    let off = format!("{SECOND}\n[rules]\nsriov-vfs = 'off'");
    let without = planned(&host(), &off, &vm());
    assert_eq!(functions(&without), [""; 0]);
    let said = "no function can be attached: 0000:81:00.1 has no virtual \
                functions yet: give [nic] its name and a count";
    assert_eq!(refusal(&without.plan), said);
    // The card cannot have so many, so the unit is not planned either.
    let many = SECOND.replace("count = 2", "count = 9");
    assert_eq!(functions(&planned(&host(), &many, &vm())), [""; 0]);
}

/// What joins the card with something else joins its functions too.
#[test]
fn a_card_that_is_not_alone_in_its_group_gives_none() {
    let mut facts = host();
    let at = "0000:81:00.1".parse().unwrap();
    let bridge = "0000:80:01.1".parse().unwrap();
    let Fact::Known { value: groups, .. } = &mut facts.kernel.iommu.groups
    else {
        panic!()
    };
    for group in groups.iter_mut() {
        if group.functions.contains(&at) {
            group.functions.push(bridge);
        }
    }
    let planned = planned(&facts, SECOND, &vm());
    assert_eq!(functions(&planned), [""; 0]);
    let said = "no function can be attached: 0000:81:00.1 shares IOMMU group \
                62 with 0000:80:01.1, and so will its functions";
    let text = refusal(&planned.plan);
    assert!(text.starts_with(said), "{text}");
}
