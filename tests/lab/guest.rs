//! What guests in lab hosts boot from: a small archive with busybox, the
//! guest agent, programs for RDMA, and their libraries.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::boot::{executable, modules, pack};
use crate::kernel::{Kernel, output};
use crate::needs;

const INIT: &str = include_str!("guest.sh");

/// Its name below the folder that lab hosts see as `/lab/kernel`.
pub(crate) const ARCHIVE: &str = "guest.cpio";

/// The probe without what only debuggers need: it has to go into the guest's
/// memory. In the same folder.
pub(crate) const PROBE: &str = "vmtune-probe";

/// What runs in a guest.
const PROGRAMS: [&str; 4] = ["ip", "rdma", "ib_write_bw", "qemu-ga"];

/// Loaded before anything else runs.
const MODULES: [&str; 4] =
    ["virtio_console", "crc32_generic", "igbvf", "rdma_rxe"];

/// Builds the archive.
pub(crate) fn archive(cache: &Path, kernel: &Kernel) -> Result<()> {
    let tree = cache.join("guest");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    for folder in ["bin", "usr/bin", "proc", "sys", "dev", "run", "tmp"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    let busybox = needs::find("busybox").context("busybox is missing")?;
    fs::copy(busybox, tree.join("bin/busybox"))?;
    modules(&tree, kernel, &MODULES)?;

    let mut libraries = BTreeSet::new();
    for name in PROGRAMS {
        let program =
            needs::find(name).with_context(|| format!("{name} is missing"))?;
        libraries.extend(needed(&program)?);
        fs::copy(program, tree.join("usr/bin").join(name))?;
    }
    let probe = Path::new(env!("CARGO_BIN_EXE_vmtune-probe"));
    libraries.extend(needed(probe)?);
    // libibverbs finds drivers by these files, where it was built to look.
    let (driver, list) =
        (rxe_driver()?, Path::new("/etc/libibverbs.d/rxe.driver"));
    libraries.extend(needed(&driver)?);
    libraries.extend([driver, list.to_owned()]);
    for file in libraries {
        let to = tree.join(file.strip_prefix("/")?);
        fs::create_dir_all(to.parent().context("a file without a folder")?)?;
        fs::copy(&file, to)
            .with_context(|| format!("copying {}", file.display()))?;
    }

    fs::write(tree.join("init"), INIT)?;
    executable(&tree.join("init"))?;
    pack(&tree, &kernel.dir().join(ARCHIVE))?;
    let stripped = kernel.dir().join(PROBE);
    output(Command::new("strip").arg("-o").arg(stripped).arg(probe))?;
    Ok(())
}

/// Returns the libraries that a program or library loads, as the loader finds
/// them here.
fn needed(program: &Path) -> Result<Vec<PathBuf>> {
    let text = output(Command::new("ldd").arg(program))?;
    let paths = text.lines().filter_map(|line| {
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        path.map(PathBuf::from)
    });
    Ok(paths.collect())
}

/// Finds libibverbs' driver for devices in software. Its name ends with the
/// version of the interface to libibverbs.
fn rxe_driver() -> Result<PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir("/usr/lib")?.flatten() {
        let Ok(files) = fs::read_dir(folder.path().join("libibverbs")) else {
            continue;
        };
        let paths = files.flatten().map(|file| file.path());
        found.extend(paths.filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("librxe-"))
        }));
    }
    ensure!(found.len() == 1, "libibverbs' driver for rxe: {found:?}");
    found.pop().context("there is one")
}
