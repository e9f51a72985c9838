//! Network cards whose names and answers are not to be trusted.

use std::fs;

use vmtune::model::facts::{Facts, MasterKind, Nic, Uplink};

use crate::facts;
use crate::machine::Machine;
use crate::shapes::connectx;

const PORT: &str =
    "sys/devices/pci0000:80/0000:80:01.1/0000:81:00.0/net/enp129s0f0np0";

/// Reads the host with the card, changed.
fn changed(change: impl Fn(&Machine)) -> Facts {
    let folder = crate::scratch();
    let machine = connectx::epyc_cx6lx_ovs(folder.path());
    change(&machine);
    facts(&machine.dir)
}

fn card(facts: &Facts) -> &Nic {
    &facts.nics.value().unwrap()[0]
}

fn uplink(facts: &Facts) -> &Uplink {
    card(facts).uplink.value().unwrap()
}

#[test]
fn an_interface_that_is_no_word_is_not_asked_about() {
    for name in ["-rf", "a b", "$(reboot)", "a;b", "%n", "x\"y"] {
        let facts = changed(|machine| {
            let old = machine.dir.join("sys/class/net/enp129s0f0np0");
            let to = machine.dir.join("sys/class/net").join(name);
            fs::rename(old, to).unwrap();
        });
        let why = card(&facts).uplink.reason().unwrap_or_default();
        assert!(why.contains("is not a network interface"), "{name}: {why}");
        assert_eq!(card(&facts).identities.value(), None, "{name}");
    }
}

#[test]
fn a_port_that_has_no_form_stands_for_nothing() {
    for port in ["p0; reboot", "../../etc", "pf0vf", "-p0"] {
        let facts = changed(|machine| {
            machine.file(&format!("{PORT}/phys_port_name"), port);
            let other = PORT.replace("enp129s0f0np0", "ovs-sw1pf0vf2");
            machine.file(&format!("{other}/phys_port_name"), port);
        });
        // What stands for nothing is an interface of the card, one too many.
        let nic = card(&facts);
        assert_eq!(nic.representors.len(), 3, "{port}");
        assert_eq!(nic.uplink.reason(), Some("it has 2 interfaces"), "{port}");
    }
    let facts = changed(|machine| {
        machine.file(&format!("{PORT}/phys_port_name"), "p0; reboot");
    });
    let why = uplink(&facts).port.reason().unwrap();
    assert!(why.contains("has a form of its own"), "{why}");
}

#[test]
fn an_answer_without_a_form_is_none() {
    let questions = [
        "ip -json -details link show dev enp129s0f0np0",
        "devlink -j dev eswitch show pci/0000:81:00.0",
    ];
    for answer in ["", "{", "[]", "{\"dev\":{}}", "[{\"max_mtu\":-1}]"] {
        let facts = changed(|machine| {
            for question in questions {
                machine.file(&format!("programs/{question}"), answer);
            }
        });
        assert_eq!(card(&facts).eswitch.value(), None, "{answer}");
        assert_eq!(card(&facts).identities.value(), None, "{answer}");
        assert_eq!(uplink(&facts).max_mtu.value(), None, "{answer}");
        assert_eq!(uplink(&facts).derived_switch_id.value(), None, "{answer}");
    }
}

/// In a bond both ports have the address of one.
#[test]
fn a_bond_does_not_hide_the_cards_own_address() {
    let bond = |machine: &Machine| {
        let bond = "sys/devices/virtual/net/bond1";
        machine.file(&format!("{bond}/bonding/mode"), "802.3ad 4");
        machine.file(&format!("{bond}/mtu"), 9000);
        machine.link("sys/class/net/bond1", bond);
        fs::remove_file(machine.dir.join(PORT).join("master")).unwrap();
        machine.link(&format!("{PORT}/master"), bond);
    };
    let facts = changed(|machine| {
        bond(machine);
        machine.file(
            "programs/ip -json -details link show dev enp129s0f0np0",
            r#"[{"address":"02:00:00:00:00:01",
                 "permaddr":"c4:70:bd:16:64:32","max_mtu":9978}]"#,
        );
    });
    let uplink = uplink(&facts);
    let id = uplink.derived_switch_id.value().unwrap();
    assert_eq!(id.to_string(), "3264160003bd70c4");
    let master = uplink.master.value().unwrap().as_ref().unwrap();
    assert_eq!(master.kind, MasterKind::Bond("802.3ad".to_owned()));
    let partner = |mac| {
        let facts = changed(|machine| {
            bond(machine);
            let folder = "sys/devices/virtual/net/bond1/bonding";
            machine.file(&format!("{folder}/ad_partner_mac"), mac);
        });
        let master = self::uplink(&facts).master.value().unwrap().clone();
        master.unwrap().partner.value().copied()
    };
    let mac = "02:00:00:00:00:09";
    assert_eq!(partner(mac), Some(Some(mac.parse().unwrap())));
    assert_eq!(partner("00:00:00:00:00:00"), Some(None), "nobody answers");
    assert_eq!(partner(""), None, "only root is told");
}

#[test]
fn the_card_tells_whether_it_has_taken_over_a_bond() {
    for (state, lag) in
        [("active", Some(true)), ("disabled", Some(false)), ("?", None)]
    {
        let facts = changed(|machine| {
            let folder = "sys/kernel/debug/mlx5/0000:81:00.0/lag";
            machine.file(&format!("{folder}/state"), state);
        });
        assert_eq!(card(&facts).lag.value().copied(), lag, "{state}");
    }
}

/// Before iproute2 5.1 the address of a function had another name.
#[test]
fn older_answers_are_understood() {
    let facts = changed(|machine| {
        machine.file(
            "programs/ip -json -details link show dev enp129s0f0np0",
            r#"[{"address":"c4:70:bd:16:64:32","vfinfo_list":
                 [{"vf":0,"mac":"c4:70:ff:ff:ff:e0",
                   "vlan_list":[{"vlan":7,"qos":3}]}]}]"#,
        );
    });
    let [one] = &card(&facts).identities.value().unwrap()[..] else {
        panic!("one function");
    };
    assert_eq!(one.mac.to_string(), "c4:70:ff:ff:ff:e0");
    assert_eq!((one.vlan, one.trust), (Some(7), None));
}

#[test]
fn bridges_are_the_kernels_or_of_open_vswitch() {
    use vmtune::model::facts::BridgeKind;
    let answer = |text: &str| {
        let facts = changed(|machine| {
            let question = "programs/ovs-vsctl --timeout=4 list-br";
            machine.file(question, text);
        });
        facts.bridges.value().cloned()
    };
    let all = answer("vmbr1\nbr-int").unwrap();
    let all: Vec<_> = all.iter().map(|(n, k)| (n.to_string(), *k)).collect();
    let of_ovs = |name: &str| (name.to_owned(), BridgeKind::OpenVswitch);
    let kernels = ("vmbr0".to_owned(), BridgeKind::Kernel);
    assert_eq!(all, [of_ovs("br-int"), kernels, of_ovs("vmbr1")]);
    for hostile in ["vmbr1; reboot", "-f", "a b", "../x"] {
        assert_eq!(answer(hostile), None, "{hostile}");
    }
}

#[test]
fn what_configures_the_network_is_told_by_what_it_leaves() {
    use vmtune::model::facts::NetworkConfigurator as By;
    let found = |change: &dyn Fn(&Machine)| {
        let facts = changed(|machine| {
            fs::remove_file(machine.dir.join("etc/network/interfaces"))
                .unwrap();
            change(machine);
        });
        facts.services.network.value().unwrap().clone()
    };
    assert_eq!(found(&|_| {}), []);
    let networkd = |machine: &Machine| {
        machine.folder("run/systemd/netif/links");
    };
    assert_eq!(found(&networkd), [By::Networkd]);
    let manager = |machine: &Machine| machine.folder("run/NetworkManager");
    assert_eq!(found(&manager), [By::NetworkManager]);
    // netplan's files become networkd's.
    let netplan = |machine: &Machine| {
        networkd(machine);
        machine.file("etc/netplan/50-cloud-init.yaml", "network: {}");
    };
    assert_eq!(found(&netplan), [By::Netplan]);
    let interfaces = |machine: &Machine, text: &str| {
        machine.file("etc/network/interfaces", text);
    };
    let folder = "source /etc/network/interfaces.d/*";
    assert_eq!(found(&|m| interfaces(m, folder)), [By::Ifupdown2]);
    assert_eq!(found(&|m| interfaces(m, "auto lo")), [By::Ifupdown]);
    let first = |machine: &Machine| {
        interfaces(machine, folder);
        fs::remove_file(machine.dir.join("usr/sbin/ifreload")).unwrap();
        networkd(machine);
    };
    assert_eq!(found(&first), [By::Ifupdown, By::Networkd]);
}
