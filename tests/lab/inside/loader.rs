//! Boot loaders of a lab host: their files are there and their tools run as
//! on a real one. QEMU loads the kernel itself, so what they would tell it is
//! read from what the tools have written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Lab, get};

/// Where update-grub writes.
pub(crate) const MENU: &str = "/boot/grub/grub.cfg";

/// As Debian's installer leaves it.
const GRUB_DEFAULTS: &str = "GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"
GRUB_CMDLINE_LINUX=\"\"
";

/// The root is an overlay, of which GRUB knows nothing: answers as if it were
/// the disk below.
const GRUB_PROBE: &str = "#!/bin/sh
for word; do
    case $word in --target=*) target=${word#*=} ;; esac
done
case $target in
device) echo /dev/vda ;;
fs) echo ext2 ;;
fs_uuid) echo 5e6f4d1c-2f4b-4a3e-9d55-6c1a2b3c4d5e ;;
esac
";

/// Boot loader entries with a name of their own, in /boot.
const KERNEL_INSTALL: &str = "layout=bls\nBOOT_ROOT=/boot\n";
const TOKEN: &str = "lab";

impl Lab {
    /// Makes the host one that GRUB boots. Its disk keeps that.
    pub(crate) fn install_grub(&self) -> Result<()> {
        install_kernel()?;
        fs::create_dir_all("/boot/grub")?;
        fs::create_dir_all("/etc/default/grub.d")?;
        fs::write("/etc/default/grub", GRUB_DEFAULTS)?;
        let probe = "/usr/sbin/grub-probe";
        fs::write(probe, GRUB_PROBE)?;
        fs::set_permissions(probe, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Takes GRUB and its settings away.
    pub(crate) fn remove_grub(&self) -> Result<()> {
        fs::remove_dir_all("/boot/grub")?;
        fs::remove_dir_all("/etc/default/grub.d")?;
        Ok(fs::remove_file("/etc/default/grub")?)
    }

    /// Makes the host one whose boot loader entries kernel-install writes,
    /// as systemd-boot reads them. Its disk keeps that.
    pub(crate) fn install_entries(&self) -> Result<()> {
        install_kernel()?;
        fs::create_dir_all("/etc/kernel")?;
        fs::write("/etc/kernel/install.conf", KERNEL_INSTALL)?;
        Ok(fs::write("/etc/kernel/entry-token", TOKEN)?)
    }

    /// Runs update-grub.
    pub(crate) fn update_grub(&self, name: &str) -> Result<()> {
        self.run(name, &["update-grub"]).map(drop)
    }

    /// Has kernel-install write the kernel's entry anew.
    pub(crate) fn write_entry(&self, name: &str) -> Result<()> {
        let version = version()?;
        let kernel = format!("/boot/vmlinuz-{version}");
        self.run(name, &["kernel-install", "add", &version, &kernel]).map(drop)
    }
}

/// Returns the kernel arguments of the entry that GRUB boots by default: the
/// menu's first.
pub(crate) fn grub_arguments() -> Result<String> {
    let menu = get(MENU)?;
    let entry = menu
        .lines()
        .skip_while(|line| !line.starts_with("menuentry "))
        .find_map(|line| line.trim_start().strip_prefix("linux\t"))
        .with_context(|| format!("{MENU} boots no Linux"))?;
    // The kernel's path comes first.
    let words = entry.split_whitespace().skip(1);
    Ok(words.collect::<Vec<_>>().join(" "))
}

/// Returns the kernel arguments of the entry that kernel-install wrote.
pub(crate) fn entry_arguments() -> Result<String> {
    let path = format!("/boot/loader/entries/{TOKEN}-{}.conf", version()?);
    let entry = get(&path)?;
    let options = entry
        .lines()
        .find_map(|line| line.strip_prefix("options "))
        .with_context(|| format!("{path} has no options"))?;
    Ok(options.trim().to_owned())
}

/// Puts the kernel, and what passes for its initramfs, where boot loaders
/// look.
fn install_kernel() -> Result<()> {
    let version = version()?;
    let kernel = format!("/boot/vmlinuz-{version}");
    if !Path::new(&kernel).exists() {
        std::os::unix::fs::symlink("/lab/kernel/vmlinuz", &kernel)?;
        fs::write(format!("/boot/initrd.img-{version}"), "")?;
    }
    Ok(())
}

fn version() -> Result<String> {
    get("/proc/sys/kernel/osrelease")
}
