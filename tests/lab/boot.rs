//! What a lab host boots from: a small archive with busybox, the modules
//! that reach the machine's files, and the scripts beside this file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::kernel::Kernel;
use crate::needs;

const FIRST: &str = include_str!("first.sh");
const HOST: &str = include_str!("host.sh");
const SYSTEMD: &str = include_str!("systemd.sh");

/// Loaded before there is a root: its files come over 9p, or from a disk.
const MODULES: [&str; 5] =
    ["9pnet_virtio", "9p", "overlay", "virtio_blk", "ext4"];

/// Builds the archive and returns where it is.
pub(crate) fn archive(cache: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let tree = cache.join("first");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    for folder in ["bin", "proc", "sys", "dev", "lower", "upper", "new"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    let busybox = needs::find("busybox").context("busybox is missing")?;
    fs::copy(busybox, tree.join("bin/busybox"))?;
    modules(&tree, kernel, &MODULES)?;
    for (name, text) in
        [("init", FIRST), ("host.sh", HOST), ("systemd.sh", SYSTEMD)]
    {
        fs::write(tree.join(name), text)?;
    }
    executable(&tree.join("init"))?;
    pack(&tree, &cache.join("first.cpio"))
}

/// Copies modules into an archive's tree, with the order to load them.
pub(crate) fn modules(
    tree: &Path,
    kernel: &Kernel,
    modules: &[&str],
) -> Result<()> {
    let folder = tree.join("modules");
    fs::create_dir_all(&folder)?;
    let mut order = Vec::new();
    for module in modules {
        for path in kernel.with_needed(module)? {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !order.contains(&name) {
                fs::copy(&path, folder.join(&name))?;
                order.push(name);
            }
        }
    }
    fs::write(folder.join("order"), order.join("\n") + "\n")?;
    Ok(())
}

pub(crate) fn executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// Packs a tree as the kernel takes it.
pub(crate) fn pack(tree: &Path, to: &Path) -> Result<PathBuf> {
    let mut find = Command::new("find")
        .arg(".")
        .current_dir(tree)
        .stdout(Stdio::piped())
        .spawn()?;
    let status = Command::new("cpio")
        .args(["-o", "-H", "newc", "--quiet", "-R", "0:0"])
        .current_dir(tree)
        .stdin(find.stdout.take().unwrap())
        .stdout(fs::File::create(to)?)
        .status()
        .context("starting cpio")?;
    ensure!(find.wait()?.success() && status.success(), "cpio has failed");
    Ok(to.to_owned())
}
