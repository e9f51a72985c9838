//! What `status` says of a card after a boot that went wrong, wherever that
//! was: the card made of code is written down as the kernel and the programs
//! would show it, and read again.

use std::collections::BTreeMap;
use std::path::Path;

use vmtune::drift::{self, PlannedSetting, State};
use vmtune::host::{self, Root};
use vmtune::model::NicSetting;

use crate::boot::boot;
use crate::card::{Card, Port};
use crate::machine::{Function, Machine};
use crate::{files, host as before, planned, unit};

const ALL: &str = "functions = ['0000:81:00.0', 'enp129s0f1np1']\ncount = 2\n\
                   mode = 'switchdev'\nmtu = 9000\nrings = 4096\n\
                   roce-priority = 3\nread-request = 4096";

/// Returns what has drifted after a boot, a line each.
fn drifted(files: &BTreeMap<String, String>, card: &Card<'_>) -> Vec<String> {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::tree(write(card, temp.path()));
    let planned = |setting| PlannedSetting { setting, booted: true };
    let settings = files.values().flat_map(|text| NicSetting::all_in(text));
    let settings: Vec<_> = settings.map(planned).collect();
    let findings = drift::network(&settings, &host::network(&root));
    let line = |one: drift::Finding| match one.state {
        State::Holds => None,
        State::Drifted { found } => {
            Some(format!("{}: {found}, planned {}", one.what, one.planned))
        }
        other => panic!("{}: {other:?}", one.what),
    };
    findings.into_iter().filter_map(line).collect()
}

#[test]
fn after_a_boot_without_a_fault_all_holds() {
    let files = files(&planned(&before(), ALL));
    let boot = boot(&files, None);
    assert_eq!(boot.faults, [""; 0]);
    assert_eq!(drifted(&files, &boot.card), [""; 0]);
}

/// Each command in turn fails, and takes those after it with it.
#[test]
fn each_step_that_fails_shows() {
    let files = files(&planned(&before(), ALL));
    let commands = unit::commands(&files);
    let mut table = String::new();
    for (n, words) in commands.iter().enumerate() {
        let drifted = drifted(&files, &boot(&files, Some(n)).card);
        let first = drifted.first().unwrap_or_else(|| panic!("{words:?}"));
        let command = words.join(" ");
        let short: String = command.chars().take(58).collect();
        table += &format!("{short}\n    {} more: {first}\n", drifted.len() - 1);
    }
    insta::assert_snapshot!(table);
}

/// A step that is taken too early is refused, or undone by a later one.
#[test]
fn each_order_that_is_wrong_shows() {
    const FOLDER: &str = "/etc/systemd/system/vmtune-nic.service.d";
    let files = files(&planned(&before(), ALL));
    for (one, other, first) in [
        ("10-create", "40-identity", "virtual functions of"),
        ("10-create", "50-bind", "virtual functions of"),
        ("20-eswitch", "30-mtu", "MTU of"),
        ("20-eswitch", "50-bind", "switch of"),
    ] {
        let swap = [one, other].map(|name| format!("{FOLDER}/{name}.conf"));
        let mut swapped = files.clone();
        swapped.insert(swap[0].clone(), files[&swap[1]].clone());
        swapped.insert(swap[1].clone(), files[&swap[0]].clone());
        let drifted = drifted(&files, &boot(&swapped, None).card);
        let shows = drifted.iter().any(|line| line.starts_with(first));
        assert!(shows, "{one} and {other}: {drifted:?}");
    }
}

/// Writes the card down as the kernel and the programs show it. Whoever
/// configures the network gives representors the MTU of the wire.
fn write(card: &Card<'_>, parent: &Path) -> std::path::PathBuf {
    let machine = Machine::new(parent, "booted");
    for (n, (address, port)) in card.ports.iter().enumerate() {
        let place = match n {
            0 => "pci0000:80/0000:80:01.1/0000:81:00.0",
            _ => "pci0000:80/0000:80:01.1/0000:81:00.1",
        };
        let physfn = machine.function(&Function {
            place,
            id: (0x15b3, 0x101f),
            class: 0x02_00_00,
            numa_node: 1,
            driver: Some("mlx5_core"),
            group: None,
        });
        machine.file(&format!("{physfn}/sriov_totalvfs"), 8);
        machine.bytes(&format!("{physfn}/config"), &configuration(port.reads));
        let wire = |name: &str, shown: &str| {
            machine.interface(&physfn, name, shown);
            machine.file(&format!("{physfn}/net/{name}/mtu"), port.mtu);
        };
        wire(&port.name, &format!("p{n}"));
        for (vf, function) in port.functions.iter().enumerate() {
            let place = format!("{physfn}-{vf}/{}", port.addresses[vf]);
            machine.file(&format!("{place}/class"), "0x020000");
            let listed = format!("sys/bus/pci/devices/{}", port.addresses[vf]);
            machine.link(&listed, &place);
            machine.link(&format!("{physfn}/virtfn{vf}"), &place);
            machine.link(&format!("{place}/physfn"), &physfn);
            if function.bound {
                let driver = "sys/bus/pci/drivers/mlx5_core";
                machine.link(&format!("{place}/driver"), driver);
            }
            if port.switchdev {
                wire(&format!("end{n}vf{vf}"), &format!("pf{n}vf{vf}"));
            }
        }
        answers(&machine, address, port);
    }
    machine.dir
}

/// Writes what programs answer.
fn answers(machine: &Machine, address: &str, port: &Port) {
    let answer = |question: &str, text: String| {
        machine.file(&format!("programs/{question}"), text);
    };
    let name = &port.name;
    let identity = |(n, function): (usize, &crate::card::Function)| {
        let mac = function.mac.as_deref().unwrap_or("00:00:00:00:00:00");
        format!(r#"{{"vf":{n},"address":"{mac}"}}"#)
    };
    let identities: Vec<_> =
        port.functions.iter().enumerate().map(identity).collect();
    answer(
        &format!("ip -json -details link show dev {name}"),
        format!(
            r#"[{{"address":"c4:70:bd:16:64:32","vfinfo_list":[{}]}}]"#,
            identities.join(",")
        ),
    );
    let mode = if port.switchdev { "switchdev" } else { "legacy" };
    answer(
        &format!("devlink -j dev eswitch show pci/{address}"),
        format!(r#"{{"dev":{{"pci/{address}":{{"mode":"{mode}"}}}}}}"#),
    );
    let rings = port.rings;
    answer(
        &format!("ethtool -g {name}"),
        format!(
            "Pre-set maximums:\nRX:\t8192\nTX:\t8192\n\
             Current hardware settings:\nRX:\t{rings}\nTX:\t{rings}"
        ),
    );
    let state = |n| if port.lossless == Some(n) { "on" } else { "off" };
    let states: Vec<_> = (0..8).map(|n| format!("{n}:{}", state(n))).collect();
    answer(
        &format!("dcb pfc show dev {name} prio-pfc"),
        format!("prio-pfc {}", states.join(" ")),
    );
    let pair = port.dscp.map(|(dscp, to)| format!("dscp-prio {dscp}:{to}"));
    answer(
        &format!("dcb -N app show dev {name} dscp-prio"),
        pair.unwrap_or_default(),
    );
}

/// PCI Express at 0x60, with the size of reads.
fn configuration(reads: u8) -> Vec<u8> {
    let mut config = vec![0; 256];
    config[6] = 0x10;
    config[0x34] = 0x60;
    config[0x60] = 0x10;
    config[0x69] = reads << 4;
    config
}
