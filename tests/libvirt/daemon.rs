//! A libvirtd of the test's own. It has private folders where the system's
//! would be, in a mount namespace, so that nothing of a system libvirt is
//! read or written; and it lives in a PID namespace, so that it and all QEMUs
//! that it has started end with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use tempfile::TempDir;
use vmtune::hypervisor::{Access, Libvirt};

/// The folders that libvirtd uses, whatever it is told.
const FOLDERS: [&str; 5] = [
    "etc/libvirt",
    "var/lib/libvirt",
    "var/log/libvirt",
    "var/cache/libvirt",
    "run/libvirt",
];

/// How long libvirtd may take to answer: it asks QEMU for its capabilities
/// first, which took 40 s on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs in the namespaces; `$1` is the private root. The system's bus is
/// hidden: libvirtd would ask its machined for a scope. The shell stays, as
/// the one that collects processes that end; libvirtd waits for that.
const SCRIPT: &str = r#"
set -e
for folder in etc/libvirt var/lib/libvirt var/log/libvirt var/cache/libvirt \
    run/libvirt
do
    mount --bind "$1/$folder" "/$folder"
done
if test -d /run/dbus; then mount -t tmpfs none /run/dbus; fi
mount -t hugetlbfs -o pagesize=2M none "$1/huge"
libvirtd --config "$1/libvirtd.conf" --pid-file "$1/libvirtd.pid" &
# One that a test has killed is started again by the test.
wait $! || { test $? -eq 137; exec sleep 600; }
"#;

pub(crate) struct Daemon {
    child: Child,
    /// The daemon that took the place of one that was killed.
    second: Option<Child>,
    root: TempDir,
    /// Folders of the system that had to be made to be covered.
    made: Vec<PathBuf>,
}

impl Daemon {
    /// Starts the daemon and waits until it answers.
    pub(crate) fn start() -> (Self, Libvirt) {
        let root = tempfile::tempdir().unwrap();
        let mut made = Vec::new();
        for folder in FOLDERS {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            make(&Path::new("/").join(folder), &mut made);
        }
        fs::create_dir(root.path().join("huge")).unwrap();
        configure(root.path());
        let log = fs::File::create(root.path().join("log")).unwrap();
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SCRIPT, "libvirtd"])
            .arg(root.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Self { child, second: None, root, made };
        let libvirt = daemon.wait();
        (daemon, libvirt)
    }

    /// Returns a URI that leads to this daemon from anywhere.
    pub(crate) fn uri(&self) -> String {
        let socket = self.root.path().join("run/libvirt/libvirt-sock");
        format!("qemu+unix:///system?socket={}", socket.display())
    }

    /// Returns the process of libvirtd.
    pub(crate) fn pid(&self) -> Pid {
        let mut all = vec![self.child.id()];
        while let Some(pid) = all.pop() {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            if name.is_ok_and(|name| name.trim() == "libvirtd") {
                return Pid::from_raw(pid.try_into().unwrap());
            }
            all.extend(children(pid));
        }
        panic!("libvirtd does not run\n{}", self.log());
    }

    /// Starts a daemon in place of one that was killed.
    pub(crate) fn restart(&mut self) -> Libvirt {
        let first = children(self.child.id())[0].to_string();
        let folder = self.root.path().display();
        let child = Command::new("nsenter")
            .args(["--target", &first, "--mount", "--pid", "libvirtd"])
            .args(["--config", &format!("{folder}/libvirtd.conf")])
            .args(["--pid-file", &format!("{folder}/second.pid")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.second = Some(child);
        self.wait()
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    fn wait(&mut self) -> Libvirt {
        let end = Instant::now() + PATIENCE;
        loop {
            match Libvirt::open(Some(&self.uri()), Access::ReadWrite) {
                Ok(libvirt) => return libvirt,
                Err(error) if Instant::now() > end => {
                    panic!("{error}: {:?}\n{}", error.cause(), self.log());
                }
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("libvirtd has ended: {status}\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // `unshare` is killed, the kernel kills its child, the first process
        // of the namespace, and with that all others in it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(second) = &mut self.second {
            let _ = second.wait();
        }
        // Only those that are empty go: nobody else has used them.
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Returns the processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Makes a folder and its parents, and notes which were not there.
fn make(path: &Path, made: &mut Vec<PathBuf>) {
    if path.exists() {
        return;
    }
    make(path.parent().unwrap(), made);
    fs::create_dir(path).unwrap();
    made.push(path.into());
}

fn configure(root: &Path) {
    let qemu = format!(
        "security_driver = \"none\"
user = \"root\"
group = \"root\"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
stdio_handler = \"file\"
hugetlbfs_mount = [ \"{}\" ]
",
        root.join("huge").display()
    );
    fs::write(root.join("etc/libvirt/qemu.conf"), qemu).unwrap();
    let libvirtd = format!(
        "auth_unix_rw = \"none\"
auth_unix_ro = \"none\"
unix_sock_dir = \"{}\"
unix_sock_rw_perms = \"0700\"
",
        root.join("run/libvirt").display()
    );
    fs::write(root.join("libvirtd.conf"), libvirtd).unwrap();
}
