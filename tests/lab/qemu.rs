//! QEMU, started to be the host that a shape describes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::kernel::{Kernel, run};
use crate::shape::Shape;

/// Where things are that a host boots from and writes to.
pub(crate) struct Places {
    pub(crate) kernel: Kernel,
    /// The first archive; see `boot`.
    pub(crate) archive: PathBuf,
    /// The folder of vmtune's program; this one's is below it.
    pub(crate) programs: PathBuf,
    /// What is kept from run to run.
    pub(crate) cache: PathBuf,
}

/// What one start of a host needs besides its shape.
pub(crate) struct Start<'a> {
    /// The folder for what comes back.
    pub(crate) out: &'a Path,
    /// A disk that survives a restart, where the shape has one.
    pub(crate) disk: Option<&'a Path>,
    /// More arguments for the kernel.
    pub(crate) arguments: &'a str,
    /// Whether a person sits at its console.
    pub(crate) shell: bool,
}

/// The host's memory is all below this: above it, QEMU puts the registers of
/// functions where it then does not find them.
const MEMORY_END: u64 = 2816;

/// Returns the command that starts a host. It ends when the host does.
pub(crate) fn command(
    shape: &Shape,
    places: &Places,
    start: &Start<'_>,
) -> Result<Command> {
    ensure!(
        shape.memory() <= MEMORY_END,
        "the shape {} has more than {MEMORY_END} MiB",
        shape.name
    );
    // Who ends the lab ends its hosts.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    qemu.args(["-M", "q35", "-accel", "tcg,thread=multi"])
        .args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-device", "virtio-rng-pci"])
        .args(["-serial", if start.shell { "mon:stdio" } else { "stdio" }]);
    qemu.args(["-cpu", &shape.cpu, "-smp", &smp(shape)]);
    memory(&mut qemu, shape);
    if shape.iommu {
        // Before all devices that are to be behind it.
        let options = "intremap=on,caching-mode=on,device-iotlb=on,aw-bits=48";
        qemu.args(["-device", &format!("intel-iommu,{options}")]);
    }
    cards(&mut qemu, shape);
    // What libvirtd learns is the same for all hosts that have no KVM.
    let kind = if shape.svm { "kvm" } else { "emulation" };
    let cache = places.cache.join("libvirt").join(kind);
    fs::create_dir_all(&cache)?;
    share(&mut qemu, "root", Path::new("/"), true);
    share(&mut qemu, "programs", &places.programs, true);
    share(&mut qemu, "kernel", places.kernel.dir(), true);
    share(&mut qemu, "out", start.out, false);
    share(&mut qemu, "cache", &cache, false);
    if let Some(disk) = start.disk {
        let file = escaped(disk);
        let drive = format!("file={file},if=none,id=d,format=raw,cache=unsafe");
        qemu.args(["-drive", &drive]);
        qemu.args(["-device", "virtio-blk-pci,bus=pcie.0,drive=d"]);
    }
    let kernel = if shape.svm {
        places.kernel.uncompressed()
    } else {
        places.kernel.compressed()
    };
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(&places.archive);
    qemu.args(["-append", &arguments(shape, places, start)?]);
    Ok(qemu)
}

/// Starts a host whose console is a file.
pub(crate) fn spawn(
    shape: &Shape,
    places: &Places,
    start: &Start<'_>,
) -> Result<Child> {
    let mut command = command(shape, places, start)?;
    let open = |name: &str| {
        let path = start.out.join(name);
        fs::OpenOptions::new().create(true).append(true).open(path)
    };
    command
        .stdin(Stdio::null())
        .stdout(open("console.log")?)
        .stderr(open("qemu.log")?)
        .spawn()
        .context("starting qemu-system-x86_64")
}

/// Makes an empty disk with a file system.
pub(crate) fn disk(path: &Path) -> Result<()> {
    let file = fs::File::create(path)?;
    file.set_len(2 << 30)?;
    let mut mkfs = Command::new("/sbin/mkfs.ext4");
    run(mkfs.args(["-q", "-F", "-E", "lazy_itable_init=1"]).arg(path))
}

fn smp(shape: &Shape) -> String {
    format!(
        "{},sockets={},dies={},cores={},threads={}",
        shape.cpus(),
        shape.sockets,
        shape.dies,
        shape.cores,
        shape.threads
    )
}

fn memory(qemu: &mut Command, shape: &Shape) {
    qemu.args(["-m", &format!("{}M", shape.memory())]);
    for (id, node) in shape.nodes.iter().enumerate() {
        let (cpus, size) = (&node.cpus, node.memory);
        let backend = format!("memory-backend-ram,id=m{id},size={size}M");
        let node = format!("node,nodeid={id},cpus={cpus},memdev=m{id}");
        qemu.args(["-object", &backend, "-numa", &node]);
    }
    for (src, row) in shape.distances.iter().enumerate() {
        for (dst, value) in row.iter().enumerate() {
            let distance = format!("dist,src={src},dst={dst},val={value}");
            qemu.args(["-numa", &distance]);
        }
    }
}

/// Adds network cards, each below a root bus of its node. All are plugged
/// into one hub.
fn cards(qemu: &mut Command, shape: &Shape) {
    for (i, node) in shape.nics.iter().enumerate() {
        let bus = if shape.nodes.len() > 1 {
            let number = 0x40 + 0x20 * i;
            let options = format!("id=pxb{i},bus_nr={number},numa_node={node}");
            qemu.args(["-device", &format!("pxb-pcie,bus=pcie.0,{options}")]);
            format!("pxb{i}")
        } else {
            "pcie.0".to_owned()
        };
        for function in 0..2 {
            let id = 2 * i + function;
            let port =
                format!("pcie-root-port,id=rp{id},bus={bus},chassis={id}");
            qemu.args(["-device", &port]);
            qemu.args(["-netdev", &format!("hubport,id=n{id},hubid=0")]);
            qemu.args(["-device", &format!("igb,bus=rp{id},netdev=n{id}")]);
        }
    }
}

fn share(qemu: &mut Command, tag: &str, path: &Path, read_only: bool) {
    let path = escaped(path);
    let mut options = format!("local,id={tag},path={path},security_model=none");
    options += ",multidevs=remap";
    options += if read_only { ",readonly=on" } else { "" };
    let device =
        format!("virtio-9p-pci,bus=pcie.0,fsdev={tag},mount_tag={tag}");
    qemu.args(["-fsdev", &options, "-device", &device]);
}

/// QEMU ends an option's value at a comma, unless there are two.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

fn arguments(
    shape: &Shape,
    places: &Places,
    start: &Start<'_>,
) -> Result<String> {
    let program = std::env::current_exe()?;
    let program = program.strip_prefix(&places.programs)?.display().to_string();
    let mut words = vec![
        "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable".to_owned(),
        format!("lab.program={program}"),
    ];
    if shape.iommu {
        words.push("intel_iommu=on iommu=pt".into());
    }
    if start.disk.is_some() {
        words.push("lab.disk=vda".into());
    }
    if !shape.offline.is_empty() {
        let cpus: Vec<_> = shape.offline.iter().map(u32::to_string).collect();
        words.push(format!("lab.offline={}", cpus.join(",")));
    }
    if start.shell {
        words.push(format!("lab.shell={}", terminal()));
    }
    // On a busy machine the timer seems not to work at first, and a thread may
    // wait for ever for what emulation has lost: that ends a host soon.
    words.push("no_timer_check sysctl.kernel.hung_task_panic=1".into());
    words.extend([shape.kernel.clone(), start.arguments.to_owned()]);
    words.retain(|word| !word.is_empty());
    Ok(words.join(" "))
}

/// Returns the terminal of who sits at the console: its kind and its size.
/// A serial line hands on neither.
fn terminal() -> String {
    let kind = std::env::var("TERM").unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let known = !kind.is_empty() && kind.chars().all(plain);
    let kind = if known { kind.as_str() } else { "vt100" };
    let size = terminal_size::terminal_size();
    let (columns, rows) = size.map_or((80, 24), |(c, r)| (c.0, r.0));
    format!("{kind},{rows},{columns}")
}
