//! What systemd itself says of the unit, where it is installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{files, host, planned};

#[test]
fn systemd_takes_the_unit() {
    let nic = "functions = ['0000:81:00.0']\ncount = 4\nmode = 'switchdev'\n\
               mtu = 9000";
    let temp = tempfile::tempdir().unwrap();
    let mut unit = None;
    for (path, text) in files(&planned(&host(), nic)) {
        let path = path.strip_prefix("/etc/systemd/system/");
        let Some(path) = path else { continue };
        let path = temp.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if path.ends_with("vmtune-nic.service") {
            unit = Some(path);
        }
    }
    let unit = unit.unwrap();
    let Some(said) = verify(temp.path(), &unit) else {
        eprintln!("skipped, the unit: systemd-analyze is not installed");
        return;
    };
    // Programs of the unit that are not installed here are not its fault.
    let faults = said.lines().filter(|line| !line.contains("not executable"));
    assert_eq!(faults.collect::<Vec<_>>(), [""; 0]);

    // It has read the drop-ins too: only such a unit may have many commands.
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("Type=oneshot", "Type=simple")).unwrap();
    let said = verify(temp.path(), &unit).unwrap();
    assert!(said.contains("more than one ExecStart="), "{said}");
}

#[test]
fn udev_takes_the_names() {
    let nic = "functions = ['0000:81:00.0', '0000:81:00.1']\ncount = 4\n\
               mode = 'switchdev'\nbridge = 'vmbr1'";
    let files = files(&planned(&host(), nic));
    let rules = &files["/etc/udev/rules.d/70-vmtune-representors.rules"];
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("70-vmtune-representors.rules");
    let verify = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut udevadm = Command::new("udevadm");
        udevadm.args(["verify", "--no-style"]).arg(&path).output().ok()
    };
    let Some(output) = verify(rules) else {
        eprintln!("skipped, the names: udevadm is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("Unknown command verb") {
        eprintln!("skipped, the names: this udevadm cannot verify");
        return;
    }
    assert!(output.status.success(), "{said}");
    let broken = verify(&rules.replace("ATTR{phys_switch_id}==", "ATTR=="));
    assert!(!broken.unwrap().status.success(), "it looks at the rules");
}

/// Returns what systemd-analyze complains of; `None` without one.
fn verify(folder: &Path, unit: &Path) -> Option<String> {
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(unit)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()))
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}
