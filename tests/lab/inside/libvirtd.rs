//! libvirtd in a lab host, where no systemd starts it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;

use super::{Lab, wait};

const QEMU_CONF: &str = "security_driver = \"none\"
user = \"root\"
group = \"root\"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
stdio_handler = \"file\"
";

const LIBVIRTD_CONF: &str = "auth_unix_rw = \"none\"
auth_unix_ro = \"none\"
log_outputs = \"3:file:/var/log/libvirt/libvirtd.log\"
";

/// Starts it the same way by hand.
const SHELL: &str = "virtlogd -d; libvirtd -d
until virsh version >/dev/null 2>&1; do sleep 0.5; done";

impl Lab {
    /// Starts libvirtd, where it does not run yet, and waits for it. Where
    /// systemd runs, it is as the distribution has set it up.
    pub(crate) fn libvirtd(&self) -> Result<()> {
        if Path::new("/run/systemd/system").exists() {
            self.run("libvirtd", &["systemctl", "start", "libvirtd"])?;
            return answers();
        }
        if version().is_some() {
            return Ok(());
        }
        configure()?;
        self.run("virtlogd", &["virtlogd", "-d"])?;
        self.run("libvirtd", &["libvirtd", "-d"])?;
        answers()
    }

    /// Runs virsh; it must succeed.
    pub(crate) fn virsh(&self, name: &str, line: &[&str]) -> Result<String> {
        let virsh = ["virsh", "-q", "-c", "qemu:///system"];
        self.run(name, &[&virsh[..], line].concat())
    }

    /// Defines a VM from its XML, which is kept.
    pub(crate) fn define(&self, name: &str, xml: &str) -> Result<()> {
        let file = format!("{name}.xml");
        self.keep(&file, xml)?;
        let path = self.path(&file);
        let path = path.to_str().unwrap();
        self.virsh(&format!("define-{name}"), &["define", "--validate", path])?;
        Ok(())
    }
}

fn answers() -> Result<()> {
    wait("libvirtd answers", 180, version)?;
    super::say("libvirtd answers");
    Ok(())
}

/// What libvirtd is, if one answers.
fn version() -> Option<Output> {
    let mut virsh = Command::new("virsh");
    let done = virsh.args(["-c", "qemu:///system", "version"]).output();
    done.ok().filter(|output| output.status.success())
}

/// Writes what libvirtd has to be told to start VMs as root in a host that
/// has nothing but root. What it has learnt of QEMU before is still true.
fn configure() -> Result<()> {
    fs::create_dir_all("/etc/libvirt")?;
    fs::write("/etc/libvirt/qemu.conf", QEMU_CONF)?;
    fs::write("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF)?;
    Ok(())
}

/// Prints what starts libvirtd from a shell.
pub(crate) fn print_start() -> Result<()> {
    super::ensure_lab_host()?;
    configure()?;
    println!("{SHELL}");
    Ok(())
}
