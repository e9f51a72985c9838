//! The lab's kernel: Debian's package, fetched once, with the few modules
//! that are needed unpacked. Unpacking them inside emulation would be slow.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// What lab hosts and their guests load, by the names that modprobe takes.
const MODULES: [&str; 34] = [
    "9p",
    "9pnet_virtio",
    "overlay",
    "ext4",
    "virtio_blk",
    "virtio_net",
    "virtio_console",
    "virtio_rng",
    "igb",
    "igbvf",
    "vfio-pci",
    "kvm_amd",
    "kvm_intel",
    "tun",
    "veth",
    "bridge",
    "bonding",
    "vhost_net",
    "openvswitch",
    "rdma_rxe",
    "rdma_ucm",
    "ib_uverbs",
    "crc32_generic",
    "crc32c_generic",
    "autofs4",
    "fuse",
    "configfs",
    "msr",
    "cpuid",
    "nf_tables",
    "sch_ingress",
    "cls_flower",
    "act_gact",
    "act_mirred",
];

/// A kernel and its modules.
pub(crate) struct Kernel {
    dir: PathBuf,
    pub(crate) version: String,
}

impl Kernel {
    /// Returns the kernel that was fetched before, with the modules that are
    /// asked for now.
    pub(crate) fn cached(cache: &Path) -> Result<Option<Self>> {
        let dir = cache.join("kernel");
        let held = fs::read_to_string(dir.join("held")).unwrap_or_default();
        let Some((version, modules)) = held.split_once('\n') else {
            return Ok(None);
        };
        let version = version.to_owned();
        Ok((modules == MODULES.join("\n")).then_some(Self { dir, version }))
    }

    /// Returns the kernel; fetches it where it is not there yet.
    pub(crate) fn get(cache: &Path) -> Result<Self> {
        if let Some(kernel) = Self::cached(cache)? {
            return Ok(kernel);
        }
        let dir = cache.join("kernel");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        eprintln!("lab: fetching Debian's kernel, about 100 MB, this once");
        let package = fetch(&dir).context("fetching the kernel package")?;
        let tree = dir.join("package");
        run(Command::new("dpkg").arg("-x").arg(&package).arg(&tree))?;
        let version = version(&tree)?;
        let boot = tree.join("boot").join(format!("vmlinuz-{version}"));
        fs::rename(boot, dir.join("vmlinuz"))?;
        extract(&dir.join("vmlinuz"), &dir.join("vmlinux"))
            .context("unpacking the kernel")?;
        unpack_modules(&tree, &dir, &version).context("unpacking modules")?;
        fs::remove_dir_all(&tree)?;
        fs::remove_file(&package)?;
        // What says that all is there comes last.
        let held = format!("{version}\n{}", MODULES.join("\n"));
        fs::write(dir.join("held"), held)?;
        Ok(Self { dir, version })
    }

    /// The folder that lab hosts see as `/lab/kernel`.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The kernel as Debian ships it.
    pub(crate) fn compressed(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// The kernel as an ELF file, which starts by the PVH entry.
    pub(crate) fn uncompressed(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }

    /// Returns a module and those that it needs, in the order to load them.
    pub(crate) fn with_needed(&self, module: &str) -> Result<Vec<PathBuf>> {
        needed(&self.dir.join("modules"), &self.version, module)
    }
}

/// Downloads the package and returns where it is. Debian 12 has a kernel
/// that is new enough among its backports alone.
fn fetch(dir: &Path) -> Result<PathBuf> {
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release names no release")?;
    let backports = format!("{codename}-backports");
    let newest = |from: &[&str]| -> Result<Option<String>> {
        let mut apt = Command::new("apt-cache");
        apt.args(from).args(["show", "--no-all-versions", "linux-image-amd64"]);
        let text = output(&mut apt)?;
        let depends = text.lines().find_map(|l| l.strip_prefix("Depends: "));
        let name = depends.and_then(|line| line.split([' ', ',']).next());
        Ok(name.map(str::to_owned))
    };
    let from: &[&str] =
        if codename == "bookworm" { &["-t", &backports] } else { &[] };
    let name = newest(from)?.context(
        "apt knows no linux-image-amd64: run `apt-get update`, and on Debian \
         12 `make lab-setup`, which adds the backports",
    )?;
    // apt's own user may not write here: root downloads as itself.
    run(Command::new("apt-get")
        .args(["-q", "-o", "APT::Sandbox::User=root"])
        .args(from)
        .args(["download", &name])
        .stdout(Stdio::null())
        .current_dir(dir))?;
    let mut files = fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    files
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .context("apt-get has downloaded no package")
}

fn version(tree: &Path) -> Result<String> {
    for entry in fs::read_dir(tree.join("boot"))? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if let Some(version) = name.strip_prefix("vmlinuz-") {
            return Ok(version.to_owned());
        }
    }
    bail!("the package has no kernel")
}

/// Takes the ELF file out of a bzImage, by the header that the kernel's
/// Documentation/arch/x86/boot.rst describes.
fn extract(image: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(image)?;
    let u32_at = |at: usize| -> Result<usize> {
        let word = bytes.get(at..at + 4).context("the image is cut short")?;
        Ok(u32::from_le_bytes(word.try_into()?).try_into()?)
    };
    ensure!(bytes.get(0x202..0x206) == Some(b"HdrS"), "this is no bzImage");
    let setup = (usize::from(bytes[0x1f1]) + 1) * 512;
    let start = setup + u32_at(0x248)?;
    let payload = bytes
        .get(start..start + u32_at(0x24c)?)
        .context("the image is cut short")?;
    // The compressed data is followed by its length, which xz would not take.
    let data = &payload[..payload.len() - 4];
    let program = match data {
        [0xfd, b'7', b'z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0x1f, 0x8b, ..] => "gzip",
        _ => bail!("the kernel is compressed in a way that is not known"),
    };
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(fs::File::create(to)?)
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    child.stdin.take().unwrap().write_all(data)?;
    ensure!(child.wait()?.success(), "{program} has failed");
    Ok(())
}

/// Copies the modules that are needed, uncompressed, to a tree of their own.
fn unpack_modules(tree: &Path, dir: &Path, version: &str) -> Result<()> {
    let base = |root: &Path| root.join("lib/modules").join(version);
    let from = [tree.join("usr"), tree.to_owned()]
        .into_iter()
        .find(|root| base(root).exists())
        .context("the package has no modules")?;
    run(Command::new("depmod").arg("-b").arg(&from).arg(version))?;
    let to = dir.join("modules");
    for module in MODULES {
        for packed in needed(&from, version, module)? {
            let inner = packed.strip_prefix(base(&from))?.with_extension("");
            let ends = packed.extension().is_some_and(|end| end == "xz");
            let inner = if ends { inner } else { inner.with_extension("ko") };
            let unpacked = base(&to).join(inner);
            if unpacked.exists() {
                continue;
            }
            fs::create_dir_all(unpacked.parent().unwrap())?;
            if ends {
                let file = fs::File::create(unpacked)?;
                run(Command::new("xz").arg("-dc").arg(packed).stdout(file))?;
            } else {
                fs::copy(packed, unpacked)?;
            }
        }
    }
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"]
    {
        fs::copy(base(&from).join(list), base(&to).join(list))?;
    }
    run(Command::new("depmod").arg("-b").arg(&to).arg(version))
}

fn needed(root: &Path, version: &str, module: &str) -> Result<Vec<PathBuf>> {
    let mut modprobe = Command::new("modprobe");
    // The machine's own options for modules are not the lab's.
    modprobe.args(["-C", "/dev/null", "-S", version, "-d"]).arg(root);
    let text = output(modprobe.args(["--show-depends", module]))?;
    let files = text.lines().filter_map(|line| line.strip_prefix("insmod "));
    Ok(files.map(|path| PathBuf::from(path.trim())).collect())
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(status.success(), "{command:?} has failed: {status}");
    Ok(())
}

/// Runs a command that must succeed, and returns what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(
        output.status.success(),
        "{command:?} has failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
