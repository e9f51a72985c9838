//! Writes the sysfs and procfs of a made-up machine.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The files of a machine, under a folder.
pub(crate) struct Machine {
    pub(crate) dir: PathBuf,
}

/// Where a CPU is; equal numbers share the thing. A field that the machine
/// does not have is the same for none: `None`.
pub(crate) struct Cpu {
    pub(crate) package: u32,
    pub(crate) core: u32,
    pub(crate) l2: u32,
    pub(crate) l3: Option<u32>,
}

/// A PCI function.
pub(crate) struct Function {
    /// Where its device folder is, from `sys/devices`: the last part is the
    /// address.
    pub(crate) place: &'static str,
    pub(crate) id: (u16, u16),
    pub(crate) class: u32,
    pub(crate) numa_node: i32,
    pub(crate) driver: Option<&'static str>,
    pub(crate) group: Option<u32>,
}

const CPUS: &str = "sys/devices/system/cpu";
const NODES: &str = "sys/devices/system/node";

impl Machine {
    /// Makes a machine that has all that its files say and no more.
    pub(crate) fn new(parent: &Path, name: &str) -> Self {
        let machine = Self { dir: parent.join(name) };
        machine.file("vmtune-capture", 1);
        machine.file("proc/1/comm", "systemd");
        machine.folder("sys/module");
        machine.folder("sys/class/net");
        machine.folder("sys/class/iommu");
        machine.folder("sys/bus/pci/devices");
        machine.folder("etc");
        machine
    }

    pub(crate) fn file(&self, path: &str, content: impl Display) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{content}\n")).unwrap();
    }

    pub(crate) fn bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn folder(&self, path: &str) {
        fs::create_dir_all(self.dir.join(path)).unwrap();
    }

    /// Makes a link to a place of the tree, by a relative path.
    pub(crate) fn link(&self, path: &str, to: &str) {
        let up = "../".repeat(path.matches('/').count());
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(format!("{up}{to}"), path).unwrap();
    }

    /// Writes many files below a folder.
    pub(crate) fn files(&self, folder: &str, files: &[(&str, &str)]) {
        for (name, content) in files {
            self.file(&format!("{folder}/{name}"), content);
        }
    }

    /// Writes the CPUs, and `sizes`: of each L2 and each L3, in KiB.
    pub(crate) fn cpus(&self, cpus: &BTreeMap<u32, Cpu>, sizes: (u32, u32)) {
        let sharing = |of: &dyn Fn(&Cpu) -> Option<u32>, cpu: &Cpu| {
            let same = |c: &Cpu| of(c).is_some() && of(c) == of(cpu);
            let ids = cpus.iter().filter(|(_, c)| same(c));
            ids.map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(",")
        };
        for (id, cpu) in cpus {
            let topology = format!("{CPUS}/cpu{id}/topology");
            let core = sharing(&|c| Some(c.core), cpu);
            let package = sharing(&|c| Some(c.package), cpu);
            self.file(&format!("{topology}/core_cpus_list"), core);
            self.file(&format!("{topology}/package_cpus_list"), package);
            let number = format!("{topology}/physical_package_id");
            self.file(&number, cpu.package);
            let cache = |index: u32, level: u32, shared: String, size: u32| {
                let folder = format!("{CPUS}/cpu{id}/cache/index{index}");
                self.file(&format!("{folder}/level"), level);
                self.file(&format!("{folder}/type"), "Unified");
                self.file(&format!("{folder}/size"), format!("{size}K"));
                self.file(&format!("{folder}/shared_cpu_list"), shared);
                let id = if level == 3 { cpu.l3 } else { Some(cpu.core) };
                self.file(&format!("{folder}/id"), id.unwrap_or_default());
            };
            cache(0, 1, sharing(&|c| Some(c.core), cpu), 32);
            cache(1, 2, sharing(&|c| Some(c.l2), cpu), sizes.0);
            if cpu.l3.is_some() {
                cache(2, 3, sharing(&|c| c.l3, cpu), sizes.1);
            }
        }
        let all: Vec<_> = cpus.keys().map(u32::to_string).collect();
        self.file(&format!("{CPUS}/online"), all.join(","));
        self.file(&format!("{CPUS}/present"), all.join(","));
        self.file(&format!("{CPUS}/isolated"), "");
        self.file(&format!("{CPUS}/nohz_full"), "(null)");
        for id in cpus.keys() {
            let power = format!("{CPUS}/cpu{id}/power");
            self.file(&format!("{power}/pm_qos_resume_latency_us"), 0);
        }
        self.file("proc/irq/default_smp_affinity", "ffffffff,ffffffff");
    }

    /// Writes a node: its CPUs as the kernel lists them, its memory in GiB,
    /// a quarter of it free, and its distances to all nodes.
    pub(crate) fn node(&self, id: u32, cpus: &str, gib: u64, distances: &str) {
        let folder = format!("{NODES}/node{id}");
        let (total, free) = (gib << 20, gib << 18);
        let meminfo = format!(
            "Node {id} MemTotal:       {total} kB\n\
             Node {id} MemFree:        {free} kB"
        );
        self.file(&format!("{folder}/meminfo"), meminfo);
        self.file(&format!("{folder}/cpulist"), cpus);
        self.file(&format!("{folder}/distance"), distances);
        self.folder(&format!("{folder}/hugepages"));
    }

    /// Writes a pool of huge pages.
    pub(crate) fn pool(&self, node: u32, kib: u64, total: u64, free: u64) {
        let folder = format!("{NODES}/node{node}/hugepages/hugepages-{kib}kB");
        self.file(&format!("{folder}/nr_hugepages"), total);
        self.file(&format!("{folder}/free_hugepages"), free);
        self.file(&format!("{folder}/surplus_hugepages"), 0);
    }

    /// Writes a PCI function and returns its folder.
    pub(crate) fn function(&self, function: &Function) -> String {
        let place = format!("sys/devices/{}", function.place);
        let address = place.rsplit('/').next().unwrap();
        let (vendor, device) = function.id;
        self.file(&format!("{place}/vendor"), format!("{vendor:#06x}"));
        self.file(&format!("{place}/device"), format!("{device:#06x}"));
        self.file(
            &format!("{place}/class"),
            format!("{:#08x}", function.class),
        );
        self.file(&format!("{place}/numa_node"), function.numa_node);
        self.link(&format!("sys/bus/pci/devices/{address}"), &place);
        if let Some(driver) = function.driver {
            let to = format!("sys/bus/pci/drivers/{driver}");
            self.folder(&to);
            self.link(&format!("{place}/driver"), &to);
        }
        if let Some(group) = function.group {
            let to = format!("sys/kernel/iommu_groups/{group}");
            self.file(&format!("{to}/type"), "DMA-FQ");
            self.link(&format!("{place}/iommu_group"), &to);
        }
        place
    }

    /// Writes a virtual function of a physical one.
    pub(crate) fn virtfn(
        &self,
        n: u32,
        physfn: &str,
        function: &Function,
    ) -> String {
        let place = self.function(function);
        self.link(&format!("{place}/physfn"), physfn);
        self.link(&format!("{physfn}/virtfn{n}"), &place);
        place
    }

    /// Writes a network interface of a function.
    pub(crate) fn interface(&self, function: &str, name: &str, port: &str) {
        let place = format!("{function}/net/{name}");
        self.file(&format!("{place}/phys_port_name"), port);
        self.link(&format!("sys/class/net/{name}"), &place);
    }

    /// Writes an RDMA device of a function and the interface of its port.
    pub(crate) fn rdma(&self, function: &str, name: &str, interface: &str) {
        let place = format!("{function}/infiniband/{name}");
        let gid = format!("{place}/ports/1/gid_attrs/ndevs/0");
        self.file(&gid, interface);
        self.link(&format!("sys/class/infiniband/{name}"), &place);
    }

    /// Writes loaded modules with parameters, as `kvm.halt_poll_ns=0`.
    pub(crate) fn modules(&self, modules: &[&str]) {
        for module in modules {
            match module.split_once(['.', '=']) {
                None => self.folder(&format!("sys/module/{module}")),
                Some((name, rest)) => {
                    let (parameter, value) = rest.split_once('=').unwrap();
                    let folder = format!("sys/module/{name}/parameters");
                    self.file(&format!("{folder}/{parameter}"), value);
                }
            }
        }
    }

    /// Makes systemd run the machine, with groups of version 2 that have
    /// these CPUs.
    pub(crate) fn systemd(&self, cpus: &str) {
        self.folder("run/systemd/system");
        self.file("sys/fs/cgroup/cpuset.cpus.effective", cpus);
        let controllers = "cpuset cpu io memory hugetlb pids rdma misc";
        self.file("sys/fs/cgroup/cgroup.controllers", controllers);
        for unit in ["init.scope", "system.slice", "user.slice"] {
            let group = format!("sys/fs/cgroup/{unit}/cpuset.cpus");
            self.file(&group, "");
            self.file(&format!("{group}.effective"), cpus);
        }
    }

    /// Writes an interrupt of a function, and whether it can be moved.
    pub(crate) fn interrupt(
        &self,
        function: &str,
        number: u32,
        (list, effective): (&str, &str),
        movable: bool,
    ) {
        self.file(&format!("{function}/msi_irqs/{number}"), "msix");
        let irq = format!("proc/irq/{number}");
        let affinity = format!("{irq}/smp_affinity_list");
        self.file(&affinity, list);
        self.file(&format!("{irq}/effective_affinity_list"), effective);
        if !movable {
            let path = self.dir.join(affinity);
            let mut mode = fs::metadata(&path).unwrap().permissions();
            mode.set_readonly(true);
            fs::set_permissions(path, mode).unwrap();
        }
    }

    /// Writes the frequency policies, one for each CPU: the driver, the
    /// governors that it has, and the one in use.
    pub(crate) fn governor(
        &self,
        cpus: u32,
        (driver, available): (&str, &str),
        governor: &str,
    ) {
        for cpu in 0..cpus {
            let folder = format!("{CPUS}/cpufreq/policy{cpu}");
            self.file(&format!("{folder}/scaling_driver"), driver);
            self.file(
                &format!("{folder}/scaling_available_governors"),
                available,
            );
            self.file(&format!("{folder}/scaling_governor"), governor);
            self.file(&format!("{folder}/affected_cpus"), cpu);
        }
    }

    /// Writes what hardware that chooses its frequency was told to prefer.
    pub(crate) fn preference(&self, cpus: u32, preference: &str) {
        for cpu in 0..cpus {
            let folder = format!("{CPUS}/cpufreq/policy{cpu}");
            let path = format!("{folder}/energy_performance_preference");
            self.file(&path, preference);
        }
    }

    /// Writes the idle states: names and latencies in microseconds.
    pub(crate) fn idle(&self, states: &[(&str, u64)]) {
        for (n, (name, latency)) in states.iter().enumerate() {
            let folder = format!("{CPUS}/cpu0/cpuidle/state{n}");
            self.file(&format!("{folder}/name"), name);
            self.file(&format!("{folder}/latency"), latency);
            self.file(&format!("{folder}/disable"), 0);
        }
    }

    /// Writes the first processor of `/proc/cpuinfo`.
    pub(crate) fn cpuinfo(&self, vendor: &str, model: &str, flags: &str) {
        let text = format!(
            "processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: {model}\n\
             flags\t\t: {flags}\n"
        );
        self.file("proc/cpuinfo", text);
        self.file("proc/sys/kernel/arch", "x86_64");
    }
}
