//! The order of the steps is the only one that works.

use crate::boot::{Boot, boot};
use crate::{files, host, planned, unit};

const ALL: &str = "functions = ['0000:81:00.0', 'enp129s0f1np1']\ncount = 4\n\
                   mode = 'switchdev'\nmtu = 9000";

#[test]
fn a_card_is_set_up_without_a_complaint() {
    let files = files(&planned(&host(), ALL));
    let Boot { card, faults, .. } = boot(&files, None);
    assert_eq!(faults, [""; 0]);
    for (address, port) in &card.ports {
        assert_eq!(card.good(address), 4, "{address}");
        assert!(port.switchdev, "{address}");
        assert_eq!(port.mtu, 9000, "{address}");
    }
}

#[test]
fn each_part_of_it_stands_alone() {
    for (policy, good, switchdev, mtu) in [
        ("count = 2", 2, false, 1500),
        ("count = 3\nmtu = 4200", 3, false, 4200),
        ("mtu = 9000", 0, false, 9000),
        ("count = 1\nmode = 'switchdev'", 1, true, 1500),
        ("count = 1\nmode = 'legacy'", 1, false, 1500),
    ] {
        let policy = format!("functions = ['0000:81:00.0']\n{policy}");
        let files = files(&planned(&host(), &policy));
        let Boot { card, faults, .. } = boot(&files, None);
        assert_eq!(faults, [""; 0], "{policy}");
        assert_eq!(card.good("0000:81:00.0"), good, "{policy}");
        assert_eq!(card.good("0000:81:00.1"), 0, "{policy}");
        let port = &card.ports["0000:81:00.0"];
        assert_eq!((port.switchdev, port.mtu), (switchdev, mtu), "{policy}");
    }
}

/// Without this the test above could be one that nothing fails.
#[test]
fn another_order_is_complained_of() {
    const FOLDER: &str = "/etc/systemd/system/vmtune-nic.service.d";
    let files = files(&planned(&host(), ALL));
    for (one, other, complaint) in [
        ("10-create", "20-eswitch", "before there are functions"),
        ("10-create", "40-identity", "has no function 0"),
        ("10-create", "50-bind", "there is no 0000:81:00.2"),
        ("20-eswitch", "50-bind", "while functions have drivers"),
        ("30-mtu", "50-bind", "before the wire has its MTU"),
        ("40-identity", "50-bind", "is bound without an address"),
    ] {
        let [one, other] =
            [one, other].map(|name| format!("{FOLDER}/{name}.conf"));
        let mut swapped = files.clone();
        swapped.insert(one.clone(), files[&other].clone());
        swapped.insert(other.clone(), files[&one].clone());
        let faults = boot(&swapped, None).faults;
        let found = faults.iter().any(|text| text.contains(complaint));
        assert!(found, "{one} and {other}: {faults:?}");
    }
    // A mode that changes last takes the MTU away.
    let mut swapped = files.clone();
    let [mode, mtu] =
        ["20-eswitch", "30-mtu"].map(|name| format!("{FOLDER}/{name}.conf"));
    swapped.insert(mode.clone(), files[&mtu].clone());
    swapped.insert(mtu, files[&mode].clone());
    assert_eq!(boot(&swapped, None).card.ports["0000:81:00.0"].mtu, 1500);
}

/// Each line that a step has is needed.
#[test]
fn a_step_that_is_left_out_is_missed() {
    let files = files(&planned(&host(), ALL));
    for (file, line, complaint) in [
        ("nic-create.conf", "autoprobe", "before they are set up"),
        ("10-create.conf", "udevadm", "while functions come up"),
        ("nic-bind.conf", "autoprobe", "may not be bound"),
        ("50-bind.conf", " up", "is answered by nobody"),
        ("40-identity.conf", " vf 3 ", "is bound without an address"),
        ("vmtune-nic.service", "udevadm", "has no driver yet"),
    ] {
        let mut less = files.clone();
        let (_, text) =
            less.iter_mut().find(|(path, _)| path.ends_with(file)).unwrap();
        let kept = text.lines().filter(|one| !one.contains(line));
        *text = kept.map(|one| format!("{one}\n")).collect();
        let faults = boot(&less, None).faults;
        let found = faults.iter().any(|text| text.contains(complaint));
        assert!(found, "{file} without {line}: {faults:?}");
    }
}

/// A card that cannot do one of these has its functions all the same.
#[test]
fn what_may_fail_comes_last() {
    let more = "rings = 4096\nroce-priority = 3\nread-request = 4096";
    let files = files(&planned(&host(), &format!("{ALL}\n{more}")));
    let Boot { card, faults, .. } = boot(&files, None);
    assert_eq!(faults, [""; 0]);
    for port in card.ports.values() {
        assert_eq!(port.rings, 4096);
        assert_eq!((port.lossless, port.dscp), (Some(3), Some((26, 3))));
        assert_eq!(port.reads, 5);
    }
}

#[test]
fn the_unit_is_there_before_the_network_and_without_a_link() {
    let files = files(&planned(&host(), ALL));
    let lines = |path: &str| unit::lines_of(&files[path], "Unit");
    let unit = lines("/etc/systemd/system/vmtune-nic.service");
    for line in [
        "DefaultDependencies=no",
        "Wants=network-pre.target",
        "Before=network-pre.target shutdown.target",
    ] {
        assert!(unit.iter().any(|one| one == line), "{line}");
    }
    // Whoever waits for the target waits for the unit; nothing is enabled.
    let wants = lines("/etc/systemd/system/multi-user.target.d/90-vmtune.conf");
    assert_eq!(wants, ["Wants=vmtune-nic.service"]);
}
