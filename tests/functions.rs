//! Virtual functions that plans give VMs: which, and what is written.

mod support;

use support::functions::{Card, add_card};
use support::hosts::Shape;
use support::vms::{Vm, subject};
use vmtune::base::{CpuId, CpuSet, NodeId, PciAddress};
use vmtune::definition;
use vmtune::model::facts::{Facts, PciClass, PciFunction};
use vmtune::model::policy::{
    DeviceLocality, Housekeeping, Level, NicElement, NicSource, Pins, Policy,
    VmNic,
};
use vmtune::model::{Fact, NicPlacement};
use vmtune::planner::{Inputs, Neighbour, PlanError, Planned, plan};

/// Two nodes of eight cores; a card with three functions on node 1.
fn host() -> Facts {
    let mut facts = Shape::plain(2, 2, 4, 2).facts();
    add_card(&mut facts, &Card::new("0000:c1:00", 1, 3));
    facts
}

fn nic(from: &str) -> VmNic {
    VmNic { from: from.parse().unwrap(), ..VmNic::default() }
}

/// The default policy with functions for some VMs.
fn wanting(vms: &[(&str, &[VmNic])]) -> Policy {
    let mut policy = Policy::default();
    for (vm, nics) in vms {
        policy.vm.entry((*vm).to_owned()).or_default().nics = nics.to_vec();
    }
    policy
}

fn planned_beside(
    facts: &Facts,
    policy: &Policy,
    texts: &[&str],
    neighbours: &[Neighbour],
) -> Result<Planned, PlanError> {
    let subjects: Vec<_> = texts.iter().map(|text| subject(text)).collect();
    let connection = "files";
    let subjects = &subjects;
    plan(&Inputs { facts, policy, subjects, neighbours, connection })
}

fn planned(facts: &Facts, policy: &Policy, texts: &[&str]) -> Planned {
    planned_beside(facts, policy, texts, &[]).unwrap()
}

fn vm(name: &str) -> String {
    Vm::new(name, 4, 2048).xml()
}

fn with_devices(name: &str, devices: &str) -> String {
    let with = format!("<devices>\n{devices}\n");
    vm(name).replace("<devices>\n", &with)
}

fn interface(function: u8, mac: &str) -> String {
    format!(
        "    <interface type='hostdev' managed='yes'>\n      \
         <mac address='{mac}'/>\n      <source>\n        \
         <address type='pci' domain='0x0000' bus='0xc1' slot='0x00' \
         function='0x{function}'/>\n      </source>\n    </interface>"
    )
}

/// What the first VM of a plan is given.
fn nics(planned: &Planned) -> &[NicPlacement] {
    &planned.plan.vms[0].placement.as_ref().unwrap().nics
}

/// The functions that each VM of a plan has in the end.
fn functions(planned: &Planned) -> Vec<Vec<String>> {
    let of = |text: &String| {
        let domain = definition::read(text).unwrap();
        domain.functions().map(|address| address.to_string()).collect()
    };
    planned.definitions.values().map(of).collect()
}

/// Why no function is given.
fn refusal(facts: &Facts, from: &str) -> String {
    let policy = wanting(&[("vm", &[nic(from)])]);
    let planned = planned(facts, &policy, &[&vm("vm")]);
    assert_eq!(functions(&planned), [[""; 0]]);
    let said = planned.plan.advice.iter().filter(|a| a.rule == "hostdev-vf");
    let said: Vec<_> = said.map(|advice| advice.text.as_str()).collect();
    let [said] = said[..] else { panic!("{said:?}") };
    let why = said.strip_prefix("no function can be attached: ");
    why.unwrap_or_else(|| panic!("{said}")).to_owned()
}

fn change(
    facts: &mut Facts,
    address: &str,
    change: impl FnOnce(&mut PciFunction),
) {
    let Fact::Known { value, .. } = &mut facts.pci else { panic!("unknown") };
    let address: PciAddress = address.parse().unwrap();
    change(value.iter_mut().find(|f| f.address == address).unwrap());
}

#[test]
fn a_function_is_attached_and_stays() {
    let policy = wanting(&[("vm", &[nic("auto")])]);
    let first = planned(&host(), &policy, &[&vm("vm")]);
    let text = first.definitions.values().next().unwrap();
    let start = text.find("    <interface").unwrap();
    let end = text.find("</interface>").unwrap();
    insta::assert_snapshot!(&text[start..end], @r"
    <interface type='hostdev' managed='yes'>
      <source>
        <address type='pci' domain='0x0000' bus='0xc1' slot='0x00' function='0x1'/>
      </source>
      <driver name='vfio'/>
    ");
    insta::assert_snapshot!(
        nics(&first)[0].because,
        @"0000:c1:00.1 is a function of 0000:c1:00.0 (nicc1), is at node 1, is in IOMMU group 193, and no other VM has it"
    );
    let second = planned(&host(), &policy, &[text]);
    assert_eq!(second.plan.changes, []);
    assert!(nics(&second)[0].attached);
    assert_eq!(second.plan.fingerprint, first.plan.fingerprint);
}

#[test]
fn a_vm_of_proxmox_gets_the_next_key() {
    let policy = wanting(&[("vm", &[nic("auto")])]);
    let conf = "cores: 4\nhostpci0: 0000:c1:00.1,pcie=1\nhostpci2: mapping=x\n\
                machine: q35\nmemory: 2048\nname: vm\nnuma: 1\n";
    // The first would do; a second one is wanted beside it.
    let mut both = policy.clone();
    both.vm.get_mut("vm").unwrap().nics.push(nic("auto"));
    let first = planned(&host(), &both, &[conf]);
    let text = first.definitions.values().next().unwrap();
    assert!(text.contains("\nhostpci1: 0000:c1:00.2,pcie=1\n"), "{text}");
    assert!(text.contains("\nballoon: 0\n") || text.starts_with("affinity"));
    let second = planned(&host(), &both, &[text]);
    assert_eq!(second.plan.changes, []);
    let one = planned(&host(), &policy, &[conf]);
    let text = one.definitions.values().next().unwrap();
    assert!(!text.contains("hostpci1"), "{text}");
}

#[test]
fn the_vm_goes_where_its_card_is() {
    let mut policy = wanting(&[("vm", &[nic("nicc1")])]);
    policy.devices.locality = DeviceLocality::Require;
    let near = planned(&host(), &policy, &[&vm("vm")]);
    let placement = near.plan.vms[0].placement.as_ref().unwrap();
    assert_eq!(placement.cells[0].node, NodeId(1));
    assert_eq!(near.plan.vms[0].objective.0[1], 0);
    // With no room there is no plan.
    let cpus: CpuSet = (8..16).chain(24..32).map(CpuId).collect();
    policy.cpu.housekeeping = Housekeeping::Cpus(cpus);
    let refused = planned_beside(&host(), &policy, &[&vm("vm")], &[]);
    let Err(PlanError::Refused(refusal)) = refused else { panic!("no room") };
    assert!(refusal.shortage.contains("0000:c1:00.1"), "{refusal}");
}

/// Two cards on two nodes, of which one has no room for the VM: the card there
/// is left, the first time and when the plan is made again.
#[test]
fn a_wish_for_any_card_gives_way_to_the_vms_place() {
    let mut facts = host();
    add_card(&mut facts, &Card::new("0000:41:00", 0, 1));
    let mut policy = wanting(&[("vm", &[nic("0000:c1:00.1"), nic("auto")])]);
    policy.devices.locality = DeviceLocality::Require;
    let cpus: CpuSet = (0..8).chain(16..24).map(CpuId).collect();
    policy.cpu.housekeeping = Housekeeping::Cpus(cpus);
    change_class(&mut facts, &["0000:c1:00.2", "0000:c1:00.3"]);
    let first = planned(&facts, &policy, &[&vm("vm")]);
    assert_eq!(functions(&first), [["0000:c1:00.1"]]);
    let why = &nics(&first)[1].because;
    assert!(why.starts_with("0000:41:00.1 would do: no cell fits"), "{why}");
    let text = first.definitions.values().next().unwrap();
    let second = planned(&facts, &policy, &[text]);
    assert_eq!(second.plan.changes, []);
}

/// Makes these functions something else than network cards.
fn change_class(facts: &mut Facts, functions: &[&str]) {
    for function in functions {
        change(facts, function, |f| f.class = PciClass::Storage);
    }
}

#[test]
fn each_vm_has_its_own_the_lowest_first() {
    let two = [nic("auto"), nic("0000:c1:00.0")];
    let policy = wanting(&[("a", &two), ("b", &two)]);
    let both = planned(&host(), &policy, &[&vm("a"), &vm("b")]);
    let [a, b] = &functions(&both)[..] else { panic!("two VMs") };
    assert_eq!(a[..], ["0000:c1:00.1", "0000:c1:00.2"]);
    assert_eq!(b[..], ["0000:c1:00.3"]);
    let advice = both.plan.advice.iter().find(|a| a.rule == "hostdev-vf");
    let advice = advice.unwrap();
    assert_eq!(advice.vm.as_deref(), Some("b"));
    assert!(advice.text.contains("are given already"), "{}", advice.text);
}

/// Both VMs fit on node 0, where one card has one function; the other has its
/// own on node 1.
#[test]
fn a_vm_follows_the_function_that_is_left() {
    let mut facts = Shape::plain(2, 2, 4, 2).facts();
    add_card(&mut facts, &Card::new("0000:41:00", 0, 1));
    add_card(&mut facts, &Card::new("0000:c1:00", 1, 1));
    let wish = [nic("auto")];
    let policy = wanting(&[("a", &wish), ("b", &wish)]);
    let both = planned(&facts, &policy, &[&vm("a"), &vm("b")]);
    for vm in &both.plan.vms {
        assert_eq!(vm.objective.0[1], 0, "{} is away", vm.name);
    }
    let all: Vec<_> = functions(&both).concat();
    assert_eq!(all, ["0000:41:00.1", "0000:c1:00.1"]);
    // Where it cannot follow, it has none under `require`, and a far one else.
    let cpus: CpuSet = (8..16).chain(24..32).map(CpuId).collect();
    let mut policy = policy;
    policy.cpu.housekeeping = Housekeeping::Cpus(cpus);
    let far = planned(&facts, &policy, &[&vm("a"), &vm("b")]);
    assert_eq!(functions(&far).concat().len(), 2);
    policy.devices.locality = DeviceLocality::Require;
    let none = planned(&facts, &policy, &[&vm("a"), &vm("b")]);
    assert_eq!(functions(&none).concat(), ["0000:41:00.1"]);
    let mut advice = none.plan.advice.iter();
    let said = advice.find(|advice| advice.rule == "hostdev-vf").unwrap();
    assert!(said.text.contains("0000:c1:00.1 would do: "), "{}", said.text);
}

#[test]
fn nobody_takes_from_afar_what_another_has_near() {
    let mut facts = Shape::plain(2, 2, 4, 2).facts();
    add_card(&mut facts, &Card::new("0000:41:00", 0, 1));
    let wish = [nic("auto")];
    let mut policy = wanting(&[("a", &wish), ("b", &wish)]);
    policy.cpu.pins = Pins::Keep;
    // CPUs 10 and 11 are of node 1.
    let pinned = Vm { pins: vec![10, 11], ..Vm::new("a", 2, 2048) }.xml();
    let both = planned(&facts, &policy, &[&pinned, &vm("b")]);
    assert_eq!(functions(&both), [vec![], vec!["0000:41:00.1".to_owned()]]);
    let alone = planned(&facts, &policy, &[&pinned]);
    assert_eq!(functions(&alone), [["0000:41:00.1"]], "better than none");
}

#[test]
fn trap_31_what_others_have_is_not_given() {
    let of = |devices: &str| {
        definition::read(&with_devices("other", devices)).unwrap()
    };
    let (asleep, live) = (
        of(&interface(1, "52:54:00:00:00:01")),
        of(&interface(2, "52:54:00:00:00:02")),
    );
    let neighbour = Neighbour {
        name: asleep.name.clone(),
        definitions: vec![asleep, live],
        running: true,
    };
    let policy = wanting(&[("vm", &[nic("auto"), nic("auto")])]);
    let text = vm("vm");
    let planned =
        planned_beside(&host(), &policy, &[&text], &[neighbour]).unwrap();
    assert_eq!(functions(&planned), [["0000:c1:00.3"]]);
    insta::assert_snapshot!(
        nics(&planned)[1].because,
        @"all functions that would do are given already"
    );
}

#[test]
fn networks_that_hand_out_functions_are_not_seen() {
    let network = "    <interface type='network'>\n      \
                   <source network='sriov'/>\n    </interface>";
    let policy = wanting(&[("vm", &[nic("auto")])]);
    let said = |running| {
        let other = definition::read(&with_devices("other", network)).unwrap();
        let name = other.name.clone();
        let neighbour = Neighbour { name, definitions: vec![other], running };
        let text = vm("vm");
        let planned =
            planned_beside(&host(), &policy, &[&text], &[neighbour]).unwrap();
        planned.plan.unknown.iter().any(|u| u.rule == "hostdev-vf")
    };
    assert!(said(false));
    assert!(!said(true), "a running VM's definition names its function");
}

#[test]
fn a_group_goes_to_one_vm_or_to_nobody() {
    let mut facts = host();
    for function in ["0000:c1:00.0", "0000:c1:00.1"] {
        change(&mut facts, function, |f| {
            f.iommu_group = Fact::known(Some(7), "made up");
        });
    }
    insta::assert_snapshot!(
        refusal(&facts, "0000:c1:00.1"),
        @"0000:c1:00.1 shares IOMMU group 7 with 0000:c1:00.0, which mlx5_core drives"
    );
    let policy = wanting(&[("vm", &[nic("auto")])]);
    let other = planned(&facts, &policy, &[&vm("vm")]);
    assert_eq!(functions(&other), [["0000:c1:00.2"]]);
    change(&mut facts, "0000:c1:00.0", |f| {
        f.driver = Fact::known(Some("vfio-pci".into()), "made up");
    });
    let held = planned(&facts, &policy, &[&vm("vm")]);
    assert_eq!(functions(&held), [["0000:c1:00.1"]], "nobody uses the rest");
    // Two functions of one group do not go to two VMs.
    let mut facts = host();
    for function in ["0000:c1:00.1", "0000:c1:00.2", "0000:c1:00.3"] {
        change(&mut facts, function, |f| {
            f.iommu_group = Fact::known(Some(7), "made up");
        });
    }
    let wish = [nic("auto")];
    let policy = wanting(&[("a", &wish), ("b", &wish)]);
    let both = planned(&facts, &policy, &[&vm("a"), &vm("b")]);
    assert_eq!(functions(&both).concat(), ["0000:c1:00.1"]);
}

#[test]
fn what_is_missing_is_named() {
    let mut facts = host();
    add_card(&mut facts, &Card::new("0000:41:00", 0, 0));
    insta::assert_snapshot!(
        refusal(&facts, "0000:41:00.0"),
        @"0000:41:00.0 has no virtual functions yet: give [nic] its name and a count"
    );
    insta::assert_snapshot!(
        refusal(&facts, "eth7"),
        @"eth7 is no network card of this host"
    );
    change(&mut facts, "0000:41:00.0", |f| f.sriov = None);
    insta::assert_snapshot!(
        refusal(&facts, "nic41"),
        @"nic41 has no SR-IOV"
    );
    change(&mut facts, "0000:c1:00.3", |f| {
        f.iommu_group = Fact::known(None, "made up");
    });
    insta::assert_snapshot!(
        refusal(&facts, "0000:c1:00.3"),
        @"0000:c1:00.3 has no IOMMU group: the host's IOMMU is off"
    );
    change(&mut facts, "0000:c1:00.3", |f| {
        f.iommu_group = Fact::unknown("not read");
    });
    insta::assert_snapshot!(
        refusal(&facts, "0000:c1:00.3"),
        @"the IOMMU group of 0000:c1:00.3 is not known: not read"
    );
    facts.pci = Fact::unknown("no PCI here");
    let policy = wanting(&[("vm", &[nic("auto")])]);
    let planned = planned(&facts, &policy, &[&vm("vm")]);
    let unknown = planned.plan.unknown.iter();
    assert_eq!(unknown.filter(|u| u.rule == "hostdev-vf").count(), 1);
}

#[test]
fn what_is_attached_is_told_by_its_address_then_by_its_card() {
    let mac = "52:54:00:00:00:02";
    let own = [interface(1, "52:54:00:00:00:01"), interface(2, mac)];
    let text = with_devices("vm", &own.join("\n"));
    let second = VmNic { mac: mac.parse().ok(), ..nic("auto") };
    let policy = wanting(&[("vm", &[second.clone(), nic("nicc1")])]);
    let done = planned(&host(), &policy, &[&text]);
    let taken: Vec<_> = nics(&done).iter().map(|nic| nic.function).collect();
    let address = |text: &str| text.parse::<PciAddress>().ok();
    assert_eq!(taken, [address("0000:c1:00.2"), address("0000:c1:00.1")]);
    // Another address is set on the one that is there.
    let third = VmNic { mac: "52:54:00:00:00:09".parse().ok(), ..nic("auto") };
    let policy = wanting(&[("vm", &[second, third])]);
    let set = planned(&host(), &policy, &[&text]);
    let changes = set.plan.changes.iter().filter(|c| c.rule == "hostdev-vf");
    let changes: Vec<_> = changes.map(|c| c.target.to_string()).collect();
    assert_eq!(changes, ["/domain/devices/interface[1]/mac/@address"]);
}

#[test]
fn a_new_function_goes_behind_other_interfaces() {
    let bridge = "    <interface type='bridge'>\n      \
                  <source bridge='br0'/>\n    </interface>";
    let mac = "52:54:00:aa:bb:cc";
    let wish = VmNic { mac: mac.parse().ok(), ..nic("auto") };
    let policy = wanting(&[("vm", &[wish])]);
    let text = with_devices("vm", bridge);
    let planned = planned(&host(), &policy, &[&text]);
    let text = planned.definitions.values().next().unwrap();
    let domain = definition::read(text).unwrap();
    let [device] = &domain.devices.hostdevs[..] else { panic!("{text}") };
    assert_eq!((device.position, device.is_interface), (2, true));
    assert_eq!(device.mac, mac.parse().ok());
    assert!(text.contains("<source bridge='br0'/>"));
}

#[test]
fn what_the_host_loses_is_said() {
    let mut facts = host();
    change(&mut facts, "0000:c1:00.1", |f| {
        f.interfaces = vec!["nicc1v0".to_owned()];
    });
    let policy = wanting(&[("vm", &[nic("auto")])]);
    let other = planned(&facts, &policy, &[&vm("vm")]);
    assert_eq!(functions(&other), [["0000:c1:00.2"]]);
    let policy = wanting(&[("vm", &[nic("0000:c1:00.1")])]);
    let planned = planned(&facts, &policy, &[&vm("vm")]);
    let changes = planned.plan.changes.iter();
    let trades: Vec<_> = changes
        .filter(|change| change.rule == "hostdev-vf")
        .filter_map(|change| change.trade.as_deref())
        .collect();
    assert_eq!(trades, ["the host is without nicc1v0 while the VM runs"]);
}

#[test]
fn infiniband_is_a_hostdev() {
    let mut facts = host();
    for function in 1..=3 {
        change(&mut facts, &format!("0000:c1:00.{function}"), |f| {
            f.class = PciClass::Infiniband;
        });
    }
    let mac = "52:54:00:aa:bb:cc".parse().ok();
    let policy = wanting(&[("vm", &[VmNic { mac, ..nic("auto") }])]);
    let planned_ib = planned(&facts, &policy, &[&vm("vm")]);
    let text = planned_ib.definitions.values().next().unwrap();
    let start = text.find("    <hostdev").unwrap();
    let end = text.find("</hostdev>").unwrap();
    insta::assert_snapshot!(&text[start..end], @r"
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <driver name='vfio'/>
      <source>
        <address domain='0x0000' bus='0xc1' slot='0x00' function='0x1'/>
      </source>
    ");
    let said = planned_ib.plan.advice.iter().find(|a| a.rule == "hostdev-vf");
    assert!(said.unwrap().text.contains("has no MAC address"));
    let again = planned(&facts, &policy, &[text]);
    assert_eq!(again.plan.changes, []);
    // The policy has the last word.
    let element = NicElement::Hostdev;
    let wish = VmNic { element, ..nic("auto") };
    let planned = planned(&host(), &wanting(&[("vm", &[wish])]), &[&vm("vm")]);
    assert!(!nics(&planned)[0].is_interface);
}

#[test]
fn rules_that_count_devices_count_it() {
    let policy = wanting(&[("vm", &[nic("auto")])]);
    let text = vm("vm").replace(
        "  <vcpu",
        "  <memtune><hard_limit unit='GiB'>2</hard_limit></memtune>\n  \
         <memoryBacking><locked/></memoryBacking>\n  <vcpu",
    );
    let planned = planned(&host(), &policy, &[&text]);
    let changed = |rule: &str, target: &str| {
        let mut changes = planned.plan.changes.iter();
        let change = changes.find(|c| c.target.to_string() == target).unwrap();
        assert_eq!(change.rule, rule);
        change.to.clone().unwrap()
    };
    // QEMU locks 2 GiB, VFIO counts them once more, and 1 GiB besides.
    let limit = changed("memory-locking", "/domain/memtune/hard_limit/text()");
    assert_eq!(limit, (5 << 20).to_string());
    let balloon =
        changed("memory-balloon", "/domain/devices/memballoon/@model");
    assert_eq!(balloon, "none");
}

#[test]
fn a_rule_that_advises_attaches_nothing() {
    let mut policy = wanting(&[("vm", &[nic("auto")])]);
    policy.rules.insert("hostdev-vf".into(), Level::Advise);
    let advised = planned(&host(), &policy, &[&vm("vm")]);
    assert_eq!(functions(&advised), [[""; 0]]);
    let said = advised.plan.advice.iter().filter(|a| a.rule == "hostdev-vf");
    assert!(said.map(|a| &a.text).any(|text| text.contains("c1:00.1")));
    let balloon = |c: &vmtune::model::Change| c.rule == "memory-balloon";
    assert!(!advised.plan.changes.iter().any(balloon));
    policy.rules.insert("hostdev-vf".into(), Level::Off);
    let off = planned(&host(), &policy, &[&vm("vm")]);
    assert!(!off.plan.advice.iter().any(|a| a.rule == "hostdev-vf"));
}

#[test]
fn sources_have_one_spelling() {
    for text in ["auto", "0000:c1:00.0", "enp193s0f0np0"] {
        assert_eq!(text.parse::<NicSource>().unwrap().to_string(), text);
    }
}
