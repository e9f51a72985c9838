//! The order in which libvirt writes the children of an element.
//!
//! libvirt reads them in any order. New elements go where its own output
//! would have them, so that a diff against it stays small. The lists were
//! compared with what libvirt 11.3 writes.

/// Returns the children of a parent in libvirt's order; empty for parents
/// whose new children go to the end.
fn children(parent: &str) -> &'static str {
    match parent {
        "domain" => DOMAIN,
        "memtune" => "hard_limit soft_limit min_guarantee swap_hard_limit",
        "memoryBacking" => {
            "hugepages nosharepages locked source access allocation discard"
        }
        "cputune" => CPUTUNE,
        "numatune" => "memory memnode",
        "os" => OS,
        "features" => FEATURES,
        "hyperv" => HYPERV,
        "kvm" => "hidden hint-dedicated poll-control pv-ipi dirty-ring",
        "cpu" => "model vendor topology cache maxphysaddr feature numa",
        "numa" => "cell interconnects",
        "cell" => "distances cache",
        "devices" => DEVICES,
        "disk" => DISK,
        "controller" => {
            "model target driver boot alias master rom acpi address pcihole64"
        }
        "interface" => INTERFACE,
        "hostdev" => {
            "driver source teaming readonly shareable boot alias rom acpi \
             address"
        }
        "memballoon" => "stats alias address driver",
        "memory" => "uuid source target alias address",
        "iommu" => "driver alias address",
        "qemu:commandline" => "qemu:arg qemu:env",
        _ => "",
    }
}

const DOMAIN: &str = "\
    name uuid genid title description metadata maxMemory memory currentMemory \
    blkiotune memtune memoryBacking vcpu vcpus iothreads iothreadids \
    defaultiothread cputune numatune resource sysinfo bootloader \
    bootloader_args os idmap features cpu clock on_poweroff on_reboot on_crash \
    on_lockfailure pm perf throttlegroups devices seclabel keywrap \
    launchSecurity qemu:commandline qemu:capabilities qemu:override \
    qemu:deprecation";

const CPUTUNE: &str = "\
    shares period quota global_period global_quota emulator_period \
    emulator_quota iothread_period iothread_quota vcpupin emulatorpin \
    iothreadpin emulatorsched vcpusched iothreadsched cachetune memorytune";

const OS: &str = "\
    type init initarg initenv initdir inituser initgroup firmware loader nvram \
    kernel initrd cmdline dtb root acpi boot bootmenu bios smbios";

const FEATURES: &str = "\
    acpi apic pae hap viridian privnet hyperv kvm pvspinlock capabilities pmu \
    vmport gic smm ioapic hpt vmcoreinfo htm nested-hv msrs ccf-assist xen \
    cfpc sbbc ibs tcg async-teardown ras ps2 aia";

const HYPERV: &str = "\
    relaxed vapic spinlocks vpindex runtime synic stimer reset vendor_id \
    frequencies reenlightenment tlbflush ipi evmcs avic emsr_bitmap xmm_input";

const DEVICES: &str = "\
    emulator disk controller lease filesystem interface smartcard serial \
    parallel console channel input tpm graphics sound audio video hostdev \
    redirdev redirfilter hub watchdog memballoon rng nvram panic shmem memory \
    crypto iommu vsock pstore";

const DISK: &str = "\
    driver auth source backingStore backenddomain geometry blockio mirror \
    target iotune throttlefilters readonly shareable transient serial wwn \
    vendor product encryption boot alias rom acpi address";

const INTERFACE: &str = "\
    mac source vlan virtualport bandwidth port ip route script backenddomain \
    target guest model driver backend filterref tune teaming link mtu coalesce \
    boot alias rom acpi address";

/// Returns where a child stands among its siblings; none where libvirt has
/// no place for it.
pub(super) fn rank(parent: &str, child: &str) -> Option<usize> {
    children(parent).split(' ').position(|name| name == child)
}

/// Returns the attribute that repeated elements are numbered by.
pub(super) fn key(parent: &str, child: &str) -> Option<&'static str> {
    match (parent, child) {
        ("cputune", "vcpupin") => Some("vcpu"),
        ("cputune", "iothreadpin") => Some("iothread"),
        ("numatune", "memnode") => Some("cellid"),
        ("numa", "cell")
        | ("vcpus", "vcpu")
        | ("iothreadids", "iothread")
        | ("distances", "sibling") => Some("id"),
        _ => None,
    }
}

/// What decides where a child goes.
#[derive(Debug, Clone)]
pub(super) struct Sibling<T> {
    /// The child itself.
    pub(super) item: T,
    pub(super) name: String,
    /// Its place by [`rank`].
    pub(super) rank: Option<usize>,
    /// Its number by [`key`].
    pub(super) key: Option<u64>,
}

/// Puts a new child among its siblings.
///
/// It goes behind the last that should precede it, else before the first
/// that should follow, else to the end; siblings that libvirt does not know
/// stay where they are and decide nothing.
pub(super) fn insert<T>(siblings: &mut Vec<Sibling<T>>, new: Sibling<T>) {
    let same = |s: &Sibling<T>| s.name == new.name;
    let first = siblings.iter().position(same);
    let precedes = |s: &Sibling<T>| match first {
        // One without a number precedes, so that a new one goes last.
        Some(_) => same(s) && (new.key.is_none() || s.key <= new.key),
        None => s.rank.is_some() && s.rank < new.rank,
    };
    let follows = |s: &Sibling<T>| new.rank.is_some() && s.rank > new.rank;
    let at = match siblings.iter().rposition(precedes) {
        Some(last) => last + 1,
        None => first
            .or_else(|| siblings.iter().position(follows))
            .unwrap_or(siblings.len()),
    };
    siblings.insert(at, new);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sibling(parent: &str, text: &str) -> Sibling<String> {
        let (name, key) = text.split_once('=').unwrap_or((text, ""));
        Sibling {
            item: text.to_owned(),
            name: name.to_owned(),
            rank: rank(parent, name),
            key: key.parse().ok(),
        }
    }

    fn inserted(parent: &str, there: &str, new: &str) -> String {
        let there = there.split_whitespace();
        let mut list: Vec<_> = there.map(|s| sibling(parent, s)).collect();
        insert(&mut list, sibling(parent, new));
        let items: Vec<_> = list.into_iter().map(|s| s.item).collect();
        items.join(" ")
    }

    #[test]
    fn new_children_go_where_libvirt_has_them() {
        for (there, new, want) in [
            ("", "vcpu", "vcpu"),
            ("name vcpu os", "cputune", "name vcpu cputune os"),
            ("os devices", "vcpu", "vcpu os devices"),
            ("devices name", "vcpu", "devices name vcpu"),
            ("x:y devices z", "vcpu", "x:y vcpu devices z"),
            ("name z", "vcpu", "name vcpu z"),
            ("name z", "other", "name z other"),
        ] {
            assert_eq!(inserted("domain", there, new), want);
        }
    }

    #[test]
    fn repeated_children_follow_their_number() {
        for (there, new, want) in [
            (
                "vcpupin=0 vcpupin=2",
                "vcpupin=1",
                "vcpupin=0 vcpupin=1 vcpupin=2",
            ),
            (
                "vcpupin=1 emulatorpin",
                "vcpupin=0",
                "vcpupin=0 vcpupin=1 emulatorpin",
            ),
            (
                "emulatorpin vcpupin=1",
                "vcpupin=2",
                "emulatorpin vcpupin=1 vcpupin=2",
            ),
            (
                "vcpupin=x emulatorpin",
                "vcpupin=2",
                "vcpupin=x vcpupin=2 emulatorpin",
            ),
            ("emulatorpin", "vcpupin=2", "vcpupin=2 emulatorpin"),
            (
                "vcpupin=1 emulatorpin",
                "vcpupin=01",
                "vcpupin=1 vcpupin=01 emulatorpin",
            ),
        ] {
            assert_eq!(inserted("cputune", there, new), want);
        }
    }
}
