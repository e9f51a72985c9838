//! Virtual functions in definitions: what libvirt makes of those that a plan
//! attaches. The card is made up, for none of this is started.

use vmtune::apply::{apply, rollback};
use vmtune::base::{CpuId, CpuSet, MacAddress};
use vmtune::definition;
use vmtune::files::StateDir;
use vmtune::host::Source;
use vmtune::hypervisor::{Hypervisor as _, Libvirt, Validate};
use vmtune::model::domain::{Domain, Hostdev};
use vmtune::model::policy::{
    Housekeeping, Level, NicElement, Pages, Policy, Smt, VmNic,
};
use vmtune::model::{Fact, Plan};
use vmtune::planner::{Inputs, Subject};
use vmtune::rules::{Evaluate, RULES, Rule};
use vmtune::system::fake::Fake;

use crate::card::{Card, add_card};
use crate::daemon::Daemon;
use crate::host;
use crate::plans;

const MAC: &str = "52:54:00:12:34:56";

#[test]
fn attached_functions_have_ports_of_their_own() {
    if !host::ready(0) {
        return;
    }
    let (daemon, libvirt) = Daemon::start();
    let state = StateDir::open(&daemon.path().join("state")).unwrap();
    let system = Fake::new();
    let machine = plans::machine(&libvirt, &system, &state);
    for (name, type_, ports) in
        [("modern", "q35", true), ("older", "pc", false)]
    {
        define(&libvirt, name, type_);
        let former = inactive(&libvirt, name);
        let plan = planned(&libvirt, name);
        let outcome = apply(&plan, None, &machine).unwrap();
        assert!(outcome.failed.is_none(), "{outcome:?}");
        let text = inactive(&libvirt, name);
        let domain = definition::read(&text).unwrap();
        let [first, second, third] = &domain.devices.hostdevs[..] else {
            panic!("three functions: {text}");
        };
        let mac: MacAddress = MAC.parse().unwrap();
        assert_eq!((first.is_interface, first.mac), (true, Some(mac)));
        assert!(second.is_interface && second.mac.is_some_and(|m| m != mac));
        assert!(!third.is_interface);
        for device in [first, second, third] {
            assert_eq!(has_own_port(&domain, device), ports, "{text}");
        }
        assert_eq!(planned(&libvirt, name).changes, [], "all is there");
        let outcome = rollback(None, false, &machine).unwrap();
        assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
        assert_eq!(inactive(&libvirt, name), former);
    }
}

/// Defines a VM whose one root port is taken.
fn define(libvirt: &Libvirt, name: &str, machine: &str) {
    let port = match machine {
        "q35" => {
            "<controller type='pci' index='1' model='pcie-root-port'/>\
             <interface type='user'><model type='virtio'/><address \
             type='pci' bus='1' slot='0' function='0'/></interface>"
        }
        _ => "<interface type='user'><model type='virtio'/></interface>",
    };
    let text = format!(
        "<domain type='qemu'><name>{name}</name>\
         <memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type arch='x86_64' machine='{machine}'>hvm</type></os>\
         <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{port}\
         <memballoon model='none'/></devices></domain>"
    );
    let any = "any".parse().unwrap();
    libvirt.define(&any, &text, Validate::Schema).unwrap();
}

fn inactive(libvirt: &Libvirt, name: &str) -> String {
    let info = libvirt.find(name).unwrap();
    libvirt.inactive_definition(&info.uuid).unwrap()
}

/// Plans three functions of one card, and nothing for the host.
fn planned(libvirt: &Libvirt, name: &str) -> Plan {
    let mut facts = vmtune::host::collect(&Source::Live).unwrap();
    facts.pci = Fact::known(Vec::new(), "made up");
    add_card(&mut facts, &Card::new("0000:c1:00", 0, 3));
    let mut policy = Policy::default();
    policy.cpu.housekeeping = Housekeeping::Cpus(CpuSet::from(CpuId(0)));
    policy.cpu.smt = Smt::Any;
    policy.memory.pages = Pages::None;
    let host = |rule: &&&Rule| matches!(rule.evaluate, Evaluate::Host(_));
    for rule in RULES.iter().filter(host) {
        policy.rules.insert(rule.id.to_owned(), Level::Off);
    }
    let nics = &mut policy.vm.entry(name.to_owned()).or_default().nics;
    nics.push(VmNic { mac: MAC.parse().ok(), ..VmNic::default() });
    nics.push(VmNic::default());
    nics.push(VmNic { element: NicElement::Hostdev, ..VmNic::default() });
    let text = inactive(libvirt, name);
    let domain = definition::read(&text).unwrap();
    let inputs = Inputs {
        facts: &facts,
        policy: &policy,
        subjects: &[Subject { text, domain, live: None }],
        neighbours: &[],
        connection: libvirt.uri(),
    };
    vmtune::planner::plan(&inputs).unwrap().plan
}

/// Returns whether a device is alone on a PCI Express root port.
fn has_own_port(domain: &Domain, device: &Hostdev) -> bool {
    let devices = &domain.devices;
    let bus = device.guest_bus.expect("libvirt gives an address");
    let port = devices.controllers.iter().find(|controller| {
        controller.kind == "pci" && controller.index == Some(bus.into())
    });
    let others = devices.hostdevs.iter().filter(|one| *one != device);
    let others = others.filter_map(|one| one.guest_bus);
    let controllers = devices.controllers.iter().filter_map(|c| c.guest_bus);
    let model = port.and_then(|port| port.model.as_deref());
    model == Some("pcie-root-port")
        && !others.chain(controllers).any(|taken| taken == bus)
}
