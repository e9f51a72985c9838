//! The QEMU processes: threads, the CPUs that these may run on, and where
//! their memory is.
//!
//! A process is known by the UUID on its command line, which libvirt gives, or
//! by the file that Proxmox keeps its number in.
//! Anybody could write such a line, so a process counts only where a user
//! cannot have started it for himself: see `is_trusted`.

use std::collections::BTreeMap;

use super::Root;
use crate::base::{Bytes, CpuSet, DomainUuid, NodeId, PageSize, VcpuId, Vmid};
use crate::model::{Fact, Role, RunningVm, Scheduling, Thread};

/// Users below this number are the system's own; login.defs(5), UID_MIN.
const FIRST_PERSON: u32 = 1000;
/// Users that libvirt starts QEMU as where `dynamic_ownership` gives each VM
/// its own; Debian's libvirt-qemu is 64055, `nobody` 65534.
const LIBVIRT_QEMU: u32 = 64055;
/// Field of the policy in /proc/PID/stat behind the name; proc_pid_stat(5)
/// counts it as 41, the name is 2.
const POLICY: usize = 41 - 3;
/// Field of the start time, 22.
const STARTED: usize = 22 - 3;
/// Ticks a second in what the kernel tells programs; USER_HZ, the same on
/// all hosts that vmtune runs on.
const TICKS: u64 = 100;
/// Field of the real-time priority, 40.
const PRIORITY: usize = 40 - 3;

/// Returns the VMs that run, sorted by UUID. A process that ends meanwhile is
/// left out.
#[must_use]
pub fn running(root: &Root) -> Vec<RunningVm> {
    let names = root.list("proc").unwrap_or_default();
    let pids = names.iter().filter_map(|name| name.parse::<u32>().ok());
    let mut found: Vec<_> = pids.filter_map(|pid| vm(root, pid)).collect();
    found.sort_by_key(|vm| (vm.uuid, vm.pid));
    found
}

fn vm(root: &Root, pid: u32) -> Option<RunningVm> {
    let line = root.read_bytes(&format!("proc/{pid}/cmdline")).ok()?;
    seen(root, pid, Some(uuid(&line)?))
}

/// Returns the process that Proxmox has started a VM as, by the number on its
/// command line.
pub(super) fn of_node(root: &Root, pid: u32, vmid: Vmid) -> Option<RunningVm> {
    let line = root.read_bytes(&format!("proc/{pid}/cmdline")).ok()?;
    let id = word_after(&line, b"-id")?;
    (id == vmid.to_string().as_bytes()).then_some(())?;
    seen(root, pid, None)
}

/// Reads a process.
fn seen(root: &Root, pid: u32, uuid: Option<DomainUuid>) -> Option<RunningVm> {
    let status = root.read(&format!("proc/{pid}/status")).ok()?;
    let user = field(&status, "Uid:")?.split_whitespace().next()?;
    if !is_trusted(user.parse().ok()?) {
        return None;
    }
    let tasks = root.list(&format!("proc/{pid}/task")).ok()?;
    let mut ids: Vec<u32> =
        tasks.iter().filter_map(|name| name.parse().ok()).collect();
    ids.sort_unstable();
    let threads: Vec<_> = ids
        .into_iter()
        .filter_map(|id| thread(root, &format!("proc/{pid}/task/{id}"), id))
        .collect();
    let memory = root.fact(&format!("proc/{pid}/numa_maps"), memory);
    let started = started(root, pid)?;
    (!threads.is_empty()).then_some(RunningVm {
        uuid,
        pid,
        started,
        threads,
        memory,
    })
}

/// Reads when a process was started: so many ticks after the host was.
fn started(root: &Root, pid: u32) -> Option<u64> {
    let stat = root.read(&format!("proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit_once(')')?.1;
    let ticks = fields.split_whitespace().nth(STARTED)?.parse::<u64>().ok()?;
    let host = root.read("proc/stat").ok()?;
    let boot = field(&host, "btime")?.parse::<u64>().ok()?;
    Some(boot + ticks / TICKS)
}

/// Returns whether a process of this user is the system's: root's, a
/// service's, or the one that libvirt has for QEMU.
const fn is_trusted(user: u32) -> bool {
    user < FIRST_PERSON || user == LIBVIRT_QEMU
}

/// Finds the UUID that libvirt starts QEMU with.
fn uuid(line: &[u8]) -> Option<DomainUuid> {
    std::str::from_utf8(word_after(line, b"-uuid")?).ok()?.parse().ok()
}

fn word_after<'l>(line: &'l [u8], option: &[u8]) -> Option<&'l [u8]> {
    let mut words = line.split(|byte| *byte == 0);
    words.find(|word| *word == option)?;
    words.next()
}

fn field<'t>(status: &'t str, name: &str) -> Option<&'t str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn thread(root: &Root, dir: &str, id: u32) -> Option<Thread> {
    let status = root.read(&format!("{dir}/status")).ok()?;
    let stat = root.read(&format!("{dir}/stat")).ok()?;
    let name = field(&status, "Name:")?;
    Some(Thread {
        id,
        role: role(name),
        cpus: field(&status, "Cpus_allowed_list:")?.parse().ok()?,
        allowed: allowed(root, dir),
        scheduling: scheduling(&stat)?,
    })
}

/// Reads the CPUs that a thread's control group leaves it. A group that has
/// none of its own has those of the group above.
fn allowed(root: &Root, dir: &str) -> Fact<CpuSet> {
    let path = format!("{dir}/cgroup");
    let text = match root.read(&path) {
        Ok(text) => text,
        Err(error) => return Fact::unknown(error.reason()),
    };
    let groups: Vec<Vec<&str>> =
        text.lines().map(|line| line.splitn(3, ':').collect()).collect();
    // Version 1 has a hierarchy for each controller, version 2 one for all.
    let group = |of: &dyn Fn(&str) -> bool| {
        groups.iter().find_map(|group| match group.as_slice() {
            [_, controllers, path] if of(controllers) => Some(*path),
            _ => None,
        })
    };
    let first = group(&|list| list.split(',').any(|one| one == "cpuset"));
    let (top, name, group) = match (first, group(&str::is_empty)) {
        (Some(group), _) => {
            ("sys/fs/cgroup/cpuset", "cpuset.effective_cpus", group)
        }
        (None, Some(group)) => {
            ("sys/fs/cgroup", "cpuset.cpus.effective", group)
        }
        (None, None) => {
            return Fact::unknown(format!("/{path} names no group"));
        }
    };
    let mut group = group.trim_end_matches('/');
    loop {
        let file = format!("{top}{group}/{name}");
        let fact = root.fact(&file, |text| text.parse().ok());
        match group.rfind('/') {
            Some(up) if fact.value().is_none() => group = &group[..up],
            _ => return fact,
        }
    }
}

/// Reads the role from a name such as `CPU 3/KVM`, `IO iothread1`,
/// `vhost-4711`.
fn role(name: &str) -> Role {
    let number = |text: &str| {
        let digits = text.split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok())
    };
    if let Some(vcpu) = name.strip_prefix("CPU ").and_then(number) {
        return Role::Vcpu(VcpuId(vcpu));
    }
    if let Some(io) = name.strip_prefix("IO iothread").and_then(number) {
        return Role::IoThread(io);
    }
    if name.starts_with("vhost-") { Role::Vhost } else { Role::Emulator }
}

fn scheduling(stat: &str) -> Option<Scheduling> {
    // The name is in parentheses and may hold some itself.
    let rest = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let priority = fields.get(PRIORITY)?.parse().ok()?;
    Some(match fields.get(POLICY)?.parse().ok()? {
        0 => Scheduling::Other,
        1 => Scheduling::Fifo(priority),
        2 => Scheduling::RoundRobin(priority),
        other => Scheduling::Policy(other),
    })
}

/// Adds up numa_maps: each line is a mapping, `N1=512` its pages on node 1,
/// `kernelpagesize_kB=2048` their size.
fn memory(text: &str) -> Option<BTreeMap<(NodeId, PageSize), Bytes>> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let words = || line.split_whitespace();
        let size = words()
            .find_map(|word| word.strip_prefix("kernelpagesize_kB="))
            .and_then(|kib| kib.parse::<u64>().ok());
        let Some(size) =
            size.and_then(|kib| PageSize::from_bytes(kib.checked_mul(1024)?))
        else {
            continue;
        };
        let huge = words().any(|word| word == "huge");
        let anonymous = words().any(|word| word.starts_with("anon="));
        if !huge && !anonymous {
            continue;
        }
        for word in words() {
            let pair = word.strip_prefix('N').and_then(|w| w.split_once('='));
            let Some((node, pages)) = pair else { continue };
            let node = NodeId(node.parse().ok()?);
            let pages: u64 = pages.parse().ok()?;
            let sum: &mut Bytes = found.entry((node, size)).or_default();
            sum.0 = sum.0.saturating_add(pages.saturating_mul(size.bytes()));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "c7a5fdbd-edaf-9455-926a-d65c16db1809";

    /// Writes a QEMU process of this user with two threads.
    fn tree(user: u32) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        let write = |path: &str, text: String| {
            let path = temp.path().join("proc/77").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let line = format!("/usr/bin/qemu\0-name\0guest=vm1\0-uuid\0{UUID}\0");
        write("cmdline", line);
        write("stat", format!("77 (q) {} 500 0", vec!["0"; STARTED].join(" ")));
        std::fs::write(temp.path().join("proc/stat"), "btime 1000\n").unwrap();
        write("status", format!("Name:\tqemu\nUid:\t{user}\t0\t0\t0\n"));
        for (id, name, cpus, policy) in
            [(77, "qemu (x) y", "0-1", 0), (79, "CPU 1/KVM", "5", 1)]
        {
            let status = format!("Name:\t{name}\nCpus_allowed_list:\t{cpus}\n");
            write(&format!("task/{id}/status"), status);
            let fields = vec!["0"; PRIORITY].join(" ");
            let stat = format!("{id} ({name}) {fields} 3 {policy} 0 0\n");
            write(&format!("task/{id}/stat"), stat);
        }
        write("task/79/cgroup", "0::/machine.slice/vm1/vcpu1\n".into());
        write("task/77/cgroup", "1:cpu,cpuset:/vm1\n0::/\n".into());
        let group = |path: &str, cpus: &str| {
            let path = temp.path().join("sys/fs/cgroup").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, cpus).unwrap();
        };
        group("machine.slice/cpuset.cpus.effective", "4-7\n");
        group("cpuset.cpus.effective", "0-7\n");
        group("cpuset/vm1/cpuset.effective_cpus", "0-1\n");
        let maps = "7f00 default file=/dev/hugepages/x huge dirty=5 N0=4 N1=1 \
                    kernelpagesize_kB=2048\n\
                    7f01 default file=/usr/lib/x.so mapped=9 N0=9 \
                    kernelpagesize_kB=4\n\
                    7f02 bind:0 anon=3 dirty=3 N1=3 kernelpagesize_kB=4\n";
        write("numa_maps", maps.into());
        temp
    }

    #[test]
    fn threads_and_pages_are_read() {
        let tree = tree(64055);
        let all = running(&Root::tree(tree.path()));
        let [vm] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((vm.uuid, vm.pid), (UUID.parse().ok(), 77));
        assert_eq!(vm.started, 1005);
        let vcpu = vm.vcpu(VcpuId(1)).unwrap();
        assert_eq!(vcpu.cpus.to_string(), "5");
        assert_eq!(vcpu.scheduling, Scheduling::Fifo(3));
        let allowed = |thread: &Thread| thread.allowed.value().cloned();
        assert_eq!(allowed(vcpu).unwrap().to_string(), "4-7");
        assert_eq!(allowed(&vm.threads[0]).unwrap().to_string(), "0-1");
        assert_eq!(vm.threads[0].role, Role::Emulator);
        assert_eq!(vm.threads[0].scheduling, Scheduling::Other);
        let memory = vm.memory.value().unwrap();
        let at = |node, size| memory.get(&(NodeId(node), size)).copied();
        assert_eq!(at(0, PageSize::TWO_MIB), Some(Bytes(8 << 20)));
        assert_eq!(at(1, PageSize::TWO_MIB), Some(Bytes(2 << 20)));
        assert_eq!(at(1, PageSize::SMALL), Some(Bytes(12 << 10)));
        // A library is not the guest's memory.
        assert_eq!(at(0, PageSize::SMALL), None);
    }

    #[test]
    fn a_persons_process_is_not_taken_for_a_vm() {
        let tree = tree(1000);
        assert!(running(&Root::tree(tree.path())).is_empty());
    }

    #[test]
    fn names_tell_what_threads_are_for() {
        for (name, expected) in [
            ("CPU 12/KVM", Role::Vcpu(VcpuId(12))),
            ("CPU 0/TCG", Role::Vcpu(VcpuId(0))),
            ("IO iothread2", Role::IoThread(2)),
            ("vhost-4711", Role::Vhost),
            ("vnc_worker", Role::Emulator),
            ("CPU x", Role::Emulator),
        ] {
            assert_eq!(role(name), expected, "{name}");
        }
    }
}
