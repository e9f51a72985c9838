//! A host that was set up by a guide for ConnectX cards and Open vSwitch: what
//! the plan does otherwise, and what it says of it.

use crate::{RULES_OF_CARDS, files, host, planned};

/// What the guide wants.
const GUIDE: &str = "functions = ['0000:81:00.0', '0000:81:00.1']\ncount = 4\n\
                     mode = 'switchdev'\nmtu = 9000";

#[test]
fn what_the_guide_did_is_named() {
    let plan = planned(&host(), GUIDE);
    let ours = |rule: &str| RULES_OF_CARDS.contains(&rule);
    let advice = plan.advice.iter().filter(|one| ours(&one.rule));
    let advice = advice.map(|one| format!("{}: {}\n", one.rule, one.text));
    insta::assert_snapshot!(advice.collect::<String>(), @r"
    sriov-vfs: /etc/udev/rules.d/70-persistent-net-vf.rules makes functions or changes the switch as well, at another time: take these rules away before the host boots
    sriov-vfs: /etc/udev/rules.d/70-persistent-net-vf.rules goes by the switch 52ac120003bd70c4, which no card of this host has (there is 3264160003bd70c4): such a rule never holds
    vf-lag: enp129s0f0np0 and enp129s0f1np1 are both at Open vSwitch: a bond that it makes of them is its own and never the card's. Make a bond of the kernel of both (802.3ad), and give that to the bridge as one port
    ovs-offload: lacp-fallback-ab has no effect where it is set: ovs-vsctl remove Open_vSwitch . other_config lacp-fallback-ab; of a bond it is set by ovs-vsctl set Port BOND other_config:lacp-fallback-ab=true
    ovs-offload: with tc-policy skip_sw what the card cannot do goes through user space: ovs-vsctl remove Open_vSwitch . other_config tc-policy, unless you have seen that the card does all of it
    pcie-link: 0000:81:00.0 runs at 8.0 GT/s PCIe x8 and could run at 16.0 GT/s PCIe x8: look for a slot with as many and as fast lanes, and for a limit in the machine's firmware
    pcie-link: 0000:81:00.1 runs at 8.0 GT/s PCIe x8 and could run at 16.0 GT/s PCIe x8: look for a slot with as many and as fast lanes, and for a limit in the machine's firmware
    ");
    let missing = plan.unknown.iter().filter(|one| ours(&one.rule));
    assert_eq!(missing.count(), 0);
}

/// The functions that VMs have by the guide keep where they are and what they
/// are called.
#[test]
fn what_is_there_stays() {
    let files = files(&planned(&host(), GUIDE));
    let step = |name: &str| {
        let folder = "/etc/systemd/system/vmtune-nic.service.d";
        &files[&format!("{folder}/{name}.conf")]
    };
    for n in 0..4 {
        let address = format!("0000:81:00.{}", n + 2);
        assert!(files["/etc/vmtune/nic-bind.conf"].contains(&address));
        let mac = format!("enp129s0f0np0 vf {n} mac c4:70:ff:ff:ff:e{n}\n");
        assert!(step("40-identity").contains(&mac));
    }
}

/// The guide's bridge is of Open vSwitch, and ifupdown2 configures it.
#[test]
fn the_functions_go_to_the_guides_bridge() {
    let policy = format!("{GUIDE}\nbridge = 'vmbr1'");
    let plan = planned(&host(), &policy);
    let files = files(&plan);
    let text = &files["/etc/network/interfaces.d/vmtune-representors"];
    assert_eq!(text.matches("ovs_type OVSPort").count(), 8);
    let one = "\nauto r81s0pf1vf3\niface r81s0pf1vf3 inet manual\n    \
               ovs_type OVSPort\n    ovs_bridge vmbr1\n    ovs_mtu 9000\n";
    assert!(text.ends_with(one), "{text}");
    let mut said = plan.advice.iter().filter(|a| a.rule == "representors");
    let said = &said.next().unwrap().text;
    assert!(said.contains("gives names to representors as well"), "{said}");
}
