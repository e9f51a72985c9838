//! What a lab host looks like: one small file each, in `shapes/`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// A host to be played.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Shape {
    /// The name of its file.
    #[serde(skip)]
    pub(crate) name: String,
    /// What it is, in a line.
    pub(crate) about: String,
    /// QEMU's name of the processor, with its flags.
    pub(crate) cpu: String,
    pub(crate) sockets: u32,
    /// A socket's; each has its own L3.
    #[serde(default = "one")]
    pub(crate) dies: u32,
    /// A die's.
    pub(crate) cores: u32,
    /// A core's.
    #[serde(default = "one")]
    pub(crate) threads: u32,
    /// The NUMA nodes, by number.
    pub(crate) nodes: Vec<Node>,
    /// The distances between them, as the kernel shows them; may be absent.
    #[serde(default)]
    pub(crate) distances: Vec<Vec<u8>>,
    /// Whether it has an Intel IOMMU.
    #[serde(default)]
    pub(crate) iommu: bool,
    /// Network cards with two physical functions of seven functions each, by
    /// the node that each is at.
    #[serde(default)]
    pub(crate) nics: Vec<u32>,
    /// Arguments for its kernel.
    #[serde(default)]
    pub(crate) kernel: String,
    /// CPUs that are put offline before anything else runs.
    #[serde(default)]
    pub(crate) offline: Vec<u32>,
    /// Whether it boots systemd from a disk that survives a restart.
    #[serde(default)]
    pub(crate) systemd: bool,
    /// Whether its kernel is given to QEMU uncompressed, as guests that run
    /// by its emulated SVM need it.
    #[serde(default)]
    pub(crate) svm: bool,
}

/// A NUMA node of a shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    /// Its CPUs as QEMU takes them: a range, or one number.
    pub(crate) cpus: String,
    /// Its memory in MiB.
    pub(crate) memory: u64,
}

fn one() -> u32 {
    1
}

impl Shape {
    /// Reads the shape of this name.
    pub(crate) fn read(name: &str) -> Result<Self> {
        let path = folder().join(format!("{name}.toml"));
        if !path.exists() {
            bail!(
                "there is no shape {name:?}; there are {}",
                names()?.join(", ")
            );
        }
        let text = std::fs::read_to_string(&path)?;
        let mut shape: Self = toml::from_str(&text)
            .with_context(|| format!("reading {}", path.display()))?;
        name.clone_into(&mut shape.name);
        Ok(shape)
    }

    /// How many CPUs it has, offline ones included.
    pub(crate) fn cpus(&self) -> u32 {
        self.sockets * self.dies * self.cores * self.threads
    }

    /// Its memory in MiB.
    pub(crate) fn memory(&self) -> u64 {
        self.nodes.iter().map(|node| node.memory).sum()
    }
}

/// Returns the names of all shapes, sorted.
pub(crate) fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        names.extend(stem.map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/shapes")
}
