//! What rules for the host's memory look at.

use vmtune::model::Fact;
use vmtune::model::facts::Facts;

use crate::facts;
use crate::machine::Machine;
use crate::shapes::SHAPES;

fn server() -> (tempfile::TempDir, Machine) {
    let folder = crate::scratch();
    let machine = SHAPES[0].0(folder.path());
    (folder, machine)
}

fn setting(facts: &Facts, place: &str) -> Fact<Option<String>> {
    facts.settings[&place.parse().unwrap()].clone()
}

#[test]
fn places_are_read_as_they_are_written() {
    let (_folder, machine) = server();
    let own = "/etc/tmpfiles.d/vmtune-ksm.conf";
    machine.file(&own[1..], "# Written by vmtune");
    let facts = facts(&machine.dir);
    let value = |place| setting(&facts, place).value().cloned().unwrap();
    let text = |text: &str| Some(text.to_owned());
    let thp = "/sys/kernel/mm/transparent_hugepage/enabled";
    assert_eq!(value(thp), text("madvise"), "the one that is chosen");
    assert_eq!(value("/proc/sys/kernel/numa_balancing"), text("1"));
    assert_eq!(value(own), text("# Written by vmtune\n"), "byte for byte");
    assert_eq!(value("/etc/tmpfiles.d/vmtune-hugepages.conf"), None);
    let pool = "/sys/devices/system/node/node3/hugepages/\
                hugepages-1048576kB/nr_hugepages";
    assert_eq!(value(pool), text("32"));
}

#[test]
fn a_file_that_was_not_gathered_is_not_absent() {
    let (_folder, machine) = server();
    std::fs::remove_file(machine.dir.join("vmtune-capture")).unwrap();
    let facts = facts(&machine.dir);
    let file = setting(&facts, "/etc/tmpfiles.d/vmtune-hugepages.conf");
    assert_eq!(file.value(), None);
    assert_eq!(facts.services.programs.value(), None);
}

#[test]
fn others_that_set_the_same_are_told() {
    let (_folder, machine) = server();
    machine.file("usr/lib/sysctl.d/60-rack.conf", "vm.nr_hugepages = 7");
    machine.file("etc/sysctl.d/90-vmtune-numa-balancing.conf", "x = 1");
    let facts = facts(&machine.dir);
    let claims = facts.services.claims.value().unwrap();
    let lines: Vec<_> = claims
        .iter()
        .map(|claim| format!("{}: {}", claim.file, claim.value))
        .collect();
    // The file below /etc hides the one below /usr/lib.
    assert_eq!(
        lines,
        [
            "/etc/sysctl.d/60-rack.conf: 1",
            "/usr/lib/tmpfiles.d/thp.conf: madvise",
            "/etc/security/limits.conf: @rdma - memlock unlimited",
        ]
    );
    assert!(facts.services.runs("ksmtuned"));
    assert!(!facts.services.runs("tuned"));
}

#[test]
fn free_memory_and_caches_are_told() {
    let (_folder, machine) = server();
    let facts = facts(&machine.dir);
    let zones = facts.memory.zones.value().unwrap();
    assert_eq!(zones.len(), 4);
    assert_eq!(zones[2].free_pieces[10], 7800);
    assert_eq!(zones[2].blocks.value().unwrap()["Movable"], 62000);
    let control = facts.cache_control.value().unwrap();
    assert_eq!(control.groups, 16);
    assert_eq!(control.caches.len(), 8);
    assert_eq!(control.caches[4].left(), 8);
    assert_eq!(control.caches[0].left(), 0);
    assert!(facts.kernel.iommu.described.is(&true));
    let groups = facts.kernel.iommu.groups.value().unwrap();
    assert!(groups[0].domain.is(&"DMA-FQ".to_owned()));

    std::fs::remove_file(machine.dir.join("proc/pagetypeinfo")).unwrap();
    std::fs::remove_dir_all(machine.dir.join("sys/fs/resctrl/info")).unwrap();
    let facts = crate::facts(&machine.dir);
    let zones = facts.memory.zones.value().unwrap();
    assert!(zones[0].blocks.reason().unwrap().contains("pagetypeinfo"));
    assert_eq!(facts.cache_control.value(), None);
}
