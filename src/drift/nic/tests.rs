//! A card as its unit would leave it, of which one thing after the other is
//! changed.

use std::collections::BTreeMap;

use super::*;
use crate::base::CpuSet;
use crate::model::Fact;
use crate::model::facts::{
    EswitchMode, Facts, Master, MasterKind, Nic, Uplink,
};

/// What the unit sets: just what the card has.
const UNIT: &str = "\
    w /sys/bus/pci/devices/0000:81:00.0/sriov_numvfs - - - - 4\n\
    w+ /sys/bus/pci/drivers_probe - - - - 0000:81:00.2\n\
    devlink dev eswitch set pci/0000:81:00.0 mode switchdev\n\
    devlink dev eswitch set pci/0000:81:00.1 mode switchdev\n\
    ip link set dev enp129s0f0np0 mtu 9000\n\
    ip link set dev enp129s0f0np0 vf 1 mac c4:70:ff:ff:ff:e1 \
    spoofchk off trust off\n\
    ethtool -G enp129s0f0np0 rx 1024 tx 1024\n\
    setpci -s 0000:81:00.0 CAP_EXP+8.w=2000:7000\n";

struct Bench {
    seen: Network,
    unit: String,
    booted: bool,
}

impl Bench {
    fn new() -> Self {
        let text = include_str!("../../../tests/hosts/connectx-ovs.json");
        let facts: Facts = serde_json::from_str(text).unwrap();
        let seen = Network {
            pci: facts.pci,
            nics: facts.nics,
            open_vswitch: facts.open_vswitch,
            interrupts: facts.interrupts,
        };
        Self { seen, unit: UNIT.to_owned(), booted: true }
    }

    fn planned(mut self, line: &str) -> Self {
        self.unit += line;
        self
    }

    fn card(mut self, n: usize, change: impl Fn(&mut Nic)) -> Self {
        change(&mut known(&mut self.seen.nics)[n]);
        self
    }

    fn wire(self, change: impl Fn(&mut Uplink)) -> Self {
        self.card(0, |nic| change(known(&mut nic.uplink)))
    }

    /// Gives both ports a bond of the kernel.
    fn bond(self, mode: &str, lag: bool, partner: Option<&str>) -> Self {
        let partner = partner.map(|mac| mac.parse().unwrap());
        let bond = Master {
            name: "bond0".to_owned(),
            kind: MasterKind::Bond(mode.to_owned()),
            mtu: Fact::known(9000, "made up"),
            partner: Fact::known(partner, "made up"),
            above: None,
        };
        let change = |nic: &mut Nic| {
            nic.lag = Fact::known(lag, "made up");
            let master = Fact::known(Some(bond.clone()), "made up");
            known(&mut nic.uplink).master = master;
        };
        self.card(0, change).card(1, change)
    }

    fn findings(&self) -> Vec<Finding> {
        let booted = self.booted;
        let planned = NicSetting::all_in(&self.unit)
            .map(|setting| PlannedSetting { setting, booted });
        network(&planned.collect::<Vec<_>>(), &self.seen)
    }

    /// Returns what does not hold, a line each.
    fn said(&self) -> Vec<String> {
        said(self.findings())
    }
}

fn said(findings: Vec<Finding>) -> Vec<String> {
    let line = |one: Finding| {
        let (what, planned) = (one.what, one.planned);
        match one.state {
            State::Holds => None,
            State::Drifted { found } => {
                Some(format!("{what}: {found}, planned {planned}"))
            }
            State::Waits { stage } => Some(format!("{what}: {stage}")),
            State::Unknown { why } => Some(format!("{what}? {why}")),
        }
    };
    findings.into_iter().filter_map(line).collect()
}

fn known<T>(fact: &mut Fact<T>) -> &mut T {
    match fact {
        Fact::Known { value, .. } => value,
        Fact::Unknown { unknown } => panic!("{unknown}"),
    }
}

#[test]
fn a_card_as_the_unit_leaves_it_holds() {
    let bench = Bench::new();
    assert_eq!(bench.said(), [""; 0]);
    let all: Vec<_> = bench.findings().into_iter().map(|f| f.what).collect();
    assert_eq!(
        all,
        [
            "virtual functions of 0000:81:00.0",
            "driver of 0000:81:00.2",
            "switch of 0000:81:00.0",
            "switch of 0000:81:00.1",
            "MTU of enp129s0f0np0",
            "virtual function 1 of enp129s0f0np0",
            "ring buffers of enp129s0f0np0",
            "reads of 0000:81:00.0",
            "MTU of ovs-sw1pf0vf0",
            "MTU of ovs-sw1pf0vf1",
            "MTU of ovs-sw1pf0vf2",
            "MTU of ovs-sw1pf0vf3",
            "representor ovs-sw1pf0vf0 (pf0vf0)",
            "hw-offload of Open vSwitch",
        ]
    );
}

#[test]
fn functions_that_are_fewer_or_without_a_driver_are_found() {
    let mut bench = Bench::new();
    for function in known(&mut bench.seen.pci) {
        if let Some(sriov) = &mut function.sriov {
            sriov.virtfns.truncate(2);
        }
        if function.address.to_string() == "0000:81:00.2" {
            function.driver = Fact::known(None, "made up");
        }
    }
    assert_eq!(
        bench.said(),
        [
            "virtual functions of 0000:81:00.0: 2, planned 4",
            "driver of 0000:81:00.2: none, planned bound",
        ]
    );
    known(&mut bench.seen.pci).retain(|one| one.physfn.is_none());
    assert!(bench.said()[1].contains("not there"), "{:?}", bench.said());
}

#[test]
fn a_switch_in_another_mode_is_found() {
    let legacy = Fact::known(EswitchMode::Legacy, "made up");
    let bench = Bench::new().card(1, |nic| nic.eswitch = legacy.clone());
    let said = "switch of 0000:81:00.1: legacy, planned switchdev";
    assert_eq!(bench.said(), [said]);
}

#[test]
fn each_station_with_another_mtu_is_found() {
    let small = Fact::known(1500, "made up");
    let bench = Bench::new().wire(|wire| wire.mtu = small.clone());
    assert_eq!(bench.said(), ["MTU of enp129s0f0np0: 1500, planned 9000"]);
    let bench = Bench::new().card(0, |nic| {
        let end = &mut nic.representors[2];
        end.mtu = small.clone();
        let bridge = Master {
            name: "br0".to_owned(),
            kind: MasterKind::Bridge,
            mtu: small.clone(),
            partner: Fact::unknown("made up"),
            above: None,
        };
        end.master = Fact::known(Some(bridge), "made up");
    });
    assert_eq!(
        bench.said(),
        [
            "MTU of br0: 1500, planned 9000",
            "MTU of ovs-sw1pf0vf2: 1500, planned 9000",
        ]
    );
}

#[test]
fn a_function_with_another_identity_is_found() {
    let change = |nic: &mut Nic| {
        let own = &mut known(&mut nic.identities)[1];
        own.mac = "02:00:00:00:00:01".parse().unwrap();
        own.trust = Some(true);
    };
    let bench = Bench::new().card(0, change);
    assert_eq!(
        bench.said(),
        ["virtual function 1 of enp129s0f0np0: MAC 02:00:00:00:00:01, spoof \
          check off, trust on, planned MAC c4:70:ff:ff:ff:e1, spoof check \
          off, trust off"]
    );
    // What the plan leaves to others is not looked at.
    let bench = Bench::new().card(0, |nic| {
        let own = &mut known(&mut nic.identities)[1];
        own.vlan = Some(7);
        own.max_rate = Some(100);
    });
    assert_eq!(bench.said(), [""; 0]);
    let bench = Bench::new().card(0, |nic| {
        known(&mut nic.identities).truncate(1);
    });
    assert!(bench.said()[0].contains(": not there, planned MAC"));
}

/// libvirt gives a function the address of the VM's definition.
#[test]
fn the_address_that_a_vm_gives_is_no_drift() {
    let unit = "ip link set dev enp129s0f0np0 vf 0 mac c4:70:ff:ff:ff:e0 \
                vlan 7 max_tx_rate 100 min_tx_rate 10\n";
    let bench = Bench::new().planned(unit);
    assert_eq!(
        bench.said(),
        ["virtual function 0 of enp129s0f0np0? a VM has it, and MAC \
          c4:70:ff:ff:ff:e0, VLAN none, rate 0 Mbit/s, least rate 0 Mbit/s \
          may be what its definition says"]
    );
}

#[test]
fn rings_and_reads_of_another_size_are_found() {
    let bench = Bench::new().wire(|wire| known(&mut wire.rings).tx = 512);
    let said = "ring buffers of enp129s0f0np0: rx 1024, tx 512, planned 1024";
    assert_eq!(bench.said(), [said]);
    let bench = Bench::new().card(0, |nic| {
        nic.pcie.max_read_request = Fact::known(4096, "made up");
    });
    let said = "reads of 0000:81:00.0: 4096 bytes, planned 512 bytes";
    assert_eq!(bench.said(), [said]);
}

#[test]
fn priorities_that_are_not_lossless_are_found() {
    let unit = "dcb pfc set dev enp129s0f0np0 prio-pfc all:off 3:on\n\
                dcb app replace dev enp129s0f0np0 dscp-prio 26:3\n";
    let bench = || Bench::new().planned(unit);
    assert_eq!(
        bench().said(),
        [
            "lossless priorities of enp129s0f0np0: none, planned 3",
            "priority of DSCP 26 at enp129s0f0np0: none, planned 3",
        ]
    );
    let set = |pause: &[u8], priority| {
        let pause = pause.to_vec();
        bench().wire(move |wire| {
            wire.pause = Fact::known(pause.clone(), "made up");
            let priorities = BTreeMap::from([(26, priority)]);
            wire.dscp_priorities = Fact::known(priorities, "made up");
        })
    };
    assert_eq!(set(&[3], 3).said(), [""; 0]);
    assert_eq!(
        set(&[3, 4], 4).said(),
        [
            "lossless priorities of enp129s0f0np0: 3, 4, planned 3",
            "priority of DSCP 26 at enp129s0f0np0: 4, planned 3",
        ]
    );
}

#[test]
fn a_representor_without_a_bridge_is_found_where_a_vm_has_the_function() {
    let bench = Bench::new().card(0, |nic| {
        for end in &mut nic.representors[..2] {
            end.master = Fact::known(None, "made up");
        }
    });
    // No VM has function 1.
    let said =
        "representor ovs-sw1pf0vf0 (pf0vf0): at none, planned at a bridge";
    assert_eq!(bench.said(), [said]);
}

#[test]
fn open_vswitch_that_keeps_its_work_is_found() {
    let mut bench = Bench::new();
    known(&mut bench.seen.open_vswitch).remove("hw-offload");
    let said = "hw-offload of Open vSwitch: not set, planned true";
    assert_eq!(bench.said(), [said]);
}

#[test]
fn a_bond_that_is_not_the_cards_is_found() {
    let partner = Some("02:00:00:00:00:01");
    let bench = Bench::new().bond("802.3ad", true, partner);
    assert_eq!(bench.said(), [""; 0]);
    let bonds = bench.findings().into_iter().map(|one| one.what);
    let bonds: Vec<_> = bonds.filter(|what| what.contains("bond0")).collect();
    assert_eq!(bonds, ["MTU of bond0", "bond bond0", "LACP of bond0"]);
    let bench = Bench::new().bond("802.3ad", false, None);
    assert_eq!(
        bench.said(),
        [
            "bond bond0: the host's alone, planned the card's own (VF-LAG)",
            "LACP of bond0: no partner answers, planned agreed with a partner",
        ]
    );
    let bench = Bench::new().bond("active-backup", false, None);
    assert_eq!(bench.said().len(), 1, "it does not speak LACP");
}

#[test]
fn until_the_host_boots_what_is_otherwise_waits() {
    let mut bench = Bench::new().wire(|wire| {
        wire.mtu = Fact::known(1500, "made up");
    });
    bench.booted = false;
    assert_eq!(bench.said(), ["MTU of enp129s0f0np0: host-boot"]);
}

#[test]
fn what_cannot_be_read_is_not_known() {
    let bench = Bench::new().card(0, |nic| {
        nic.eswitch = Fact::unknown("devlink is not installed");
    });
    let said = "switch of 0000:81:00.0? devlink is not installed";
    assert_eq!(bench.said(), [said]);
    let mut bench = Bench::new();
    known(&mut bench.seen.nics).remove(0);
    assert!(bench.said()[0].ends_with("not there, planned switchdev"));
    bench.seen.nics = Fact::unknown("no sysfs");
    assert!(bench.said().iter().all(|line| line.ends_with("? no sysfs")));
}

#[test]
fn interrupts_of_functions_that_vms_have_go_where_new_ones_begin() {
    let mut bench = Bench::new();
    let interrupt =
        |number, device: &str, cpus: &str| crate::model::facts::Interrupt {
            number,
            device: device.parse().unwrap(),
            effective: Fact::known(cpus.parse().unwrap(), "made up"),
            movable: Fact::known(true, "made up"),
        };
    let mut look = |first: &str, second: &str| {
        let all = vec![
            interrupt(70, "0000:81:00.2", first),
            interrupt(71, "0000:81:00.2", second),
            // The host has this one.
            interrupt(72, "0000:81:00.3", "9"),
        ];
        bench.seen.interrupts = Fact::known(all, "made up");
        let begin: CpuSet = "0-3".parse().unwrap();
        let findings = passed_through(&begin, &bench.seen);
        assert_eq!(findings.len(), 1);
        said(findings)
    };
    assert_eq!(look("0", "3"), [""; 0]);
    let said = "interrupts of 0000:81:00.2: 71 on CPUs 9, planned on CPUs 0-3";
    assert_eq!(look("0", "9"), [said]);
    bench.seen.interrupts = Fact::unknown("no sysfs");
    let begin: CpuSet = "0-3".parse().unwrap();
    let findings = passed_through(&begin, &bench.seen);
    assert!(matches!(findings[0].state, State::Unknown { .. }));
}
