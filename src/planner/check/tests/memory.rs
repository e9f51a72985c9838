//! Faulty cells, nodes, pages and limits.

use super::fixture::{Case, Error, GOOD, OTHER, Warning, unknown};
use crate::base::{Bytes, PageSize};
use crate::definition::read;
use crate::model::Fact;
use crate::model::policy::{Pages, PlacementMode};

const CELL: &str = "<cell id='1' cpus='4-7' memory='4' unit='GiB'/>";

fn cell(with: &str) -> Case {
    Case::good().edit(CELL, with)
}

#[test]
fn trap_17_cells_that_libvirt_changes() {
    let rule = "numa-cells";
    let line = "<numa>";
    let uncovered = cell("<cell id='1' cpus='4-6' memory='4' unit='GiB'/>");
    let says = "vCPU 7 in no cell";
    assert!(uncovered.findings().iter().any(|f| f.what.contains(says)));
    let less = cell("<cell id='1' cpus='4-7' memory='3' unit='GiB'/>");
    less.finds(rule, Error, "have 7 GiB, <memory> says 8 GiB", "<memory ");
    let twice = cell("<cell id='1' cpus='3-7' memory='4' unit='GiB'/>");
    let found = twice.findings();
    assert!(found.iter().any(|f| f.what.contains("vCPU 3 in two cells")));
    let beyond = cell("<cell id='1' cpus='4-8' memory='4' unit='GiB'/>");
    beyond.finds(rule, Error, "vCPU 8 in a cell and not in the VM", line);
    let gap = cell("<cell id='2' cpus='4-7' memory='4' unit='GiB'/>");
    let found = gap.findings();
    assert!(found.iter().any(|f| f.what.contains("cell 2 of 2")));
}

#[test]
fn modules_count_beside_the_cells() {
    let module = "<memory model='dimm'><target><size unit='GiB'>1</size>\
                  </target></memory></devices>";
    let case = Case::good().edit("</devices>", module);
    case.finds("numa-cells", Error, "and modules have 9 GiB", "<memory ");
    let more = case.edit("<memory unit='GiB'>8", "<memory unit='GiB'>9");
    more.silent();
}

#[test]
fn cells_are_on_one_node() {
    let spread = Case::of(OTHER)
        .edit("threads='2'", "threads='1'")
        .edit("cores='1'", "cores='2'")
        .edit(
            "<topology",
            "<numa>\n<cell cpus='0-1' memory='2' unit='GiB'/></numa><topology",
        )
        .edit("cpuset='29'", "cpuset='4'")
        .edit("strict' nodeset='1'", "strict' nodeset='0-1'");
    spread.finds("numa-cells", Error, "cell 0 is on nodes 0-1", "<cell ");
    let untold = spread.cut("<numa>", "</numa>", "");
    untold.finds("numa-cells", Warning, "no guest cells", "");
}

#[test]
fn cells_that_the_policy_asks_for() {
    let cells = |case: Case, n: u32| {
        case.policy(|policy| {
            for vm in ["vm1", "vm2"] {
                policy.vm.entry(vm.to_owned()).or_default().cells = Some(n);
            }
        })
    };
    cells(Case::good(), 2).silent();
    cells(Case::of(OTHER), 1).silent();
    let more = cells(Case::good(), 3);
    more.finds("numa-cells", Error, "the policy asks for 3", "<numa>");
    let none = cells(Case::of(OTHER), 2);
    none.finds("numa-cells", Error, "1 guest cells", "");
}

#[test]
fn memory_is_where_the_vcpus_are() {
    let rule = "numa-memory";
    let far = Case::good().edit(
        "cellid='1' mode='strict' nodeset='1'",
        "cellid='1' mode='strict' nodeset='0'",
    );
    let says = "memory of cell 1 is on node 0, the vCPUs are on node 1";
    far.finds(rule, Error, says, "cellid='1'");
    let untold = Case::of(OTHER).edit("nodeset='1'", "nodeset='0'");
    untold.finds(rule, Warning, "memory is on node 0", "<numatune>");
    let loose = Case::of(OTHER).edit("mode='strict'", "mode='preferred'");
    loose.finds(rule, Warning, "may come from other nodes", "<numatune>");
    Case::of(OTHER).edit("mode='strict'", "mode='restrictive'").silent();
    let unbound = Case::of(OTHER).cut("<numatune>", "</numatune>", "");
    unbound.finds(rule, Warning, "memory is not bound", "");
    unbound.policy(|p| p.cpu.placement = PlacementMode::Shared).silent();
}

#[test]
fn nodes_without_memory_lean_on_the_nearest() {
    // Node 1 has none: nodes 0 and 2 are equally near.
    let bare = |nodes: &str| {
        let case =
            Case::of(OTHER).edit("nodeset='1'", &format!("nodeset='{nodes}'"));
        case.facts(|facts| {
            facts.topology.nodes[1].memory = Fact::known(Bytes(0), "fixture");
        })
    };
    bare("0").silent();
    bare("2").silent();
    let none = bare("1").findings();
    assert!(none[0].what.contains("memory of node 1 without memory"));
    assert_eq!(none[0].severity, Error);
}

#[test]
fn trap_17_nodes_that_libvirt_refuses() {
    let rule = "numa-memory";
    let absent = Case::of(OTHER).edit("nodeset='1'", "nodeset='1,9'");
    let found = absent.findings();
    assert!(found.iter().any(|f| f.what.contains("node 9, not on this host")));
    let stray = Case::of(OTHER).edit(
        "</numatune>",
        "<memnode cellid='0' mode='strict' nodeset='1'/></numatune>",
    );
    stray.finds(rule, Error, "nodes of cell 0", "<memnode");
    let none = Case::of(OTHER).edit(" nodeset='1'", "");
    assert!(none.findings().iter().any(|f| f.what == "no nodeset"));
    let odd = Case::good()
        .edit("cellid='1' mode='strict'", "cellid='1' mode='restrictive'");
    odd.finds(rule, Error, "restrictive", "<memory mode");
}

#[test]
fn numad_and_nodes_by_hand() {
    let auto = Case::of(OTHER).edit("mode='strict'", "placement='auto'");
    let found = auto.findings();
    assert!(found.iter().any(|f| f.what.contains("numad chooses")));
    let auto = Case::good().edit(
        "<memory mode='strict' nodeset='0-1'/>",
        "<memory placement='auto'/>",
    );
    let says = "beside placement='auto'";
    auto.finds("numa-memory", Error, says, "<memory placement");
}

#[test]
fn trap_16_combinations_that_libvirt_refuses() {
    let backing = |with: &str| {
        Case::good().edit("<locked/>", &format!("<locked/>\n{with}"))
    };
    let source = backing("<source type='anonymous'/>");
    source.finds("memory-backing", Error, "anonymous", "<source");
    let allocation = backing("<allocation mode='ondemand'/>");
    allocation.finds("memory-backing", Error, "on demand", "<allocation");
    backing("<source type='memfd'/><allocation mode='immediate'/>").silent();
}

#[test]
fn trap_16_pages_are_of_guest_cells() {
    let pages = |pages: &str| {
        Case::good().edit("<page size='1' unit='G' nodeset='0-1'/>", pages)
    };
    let rule = "hugepages";
    let line = "<hugepages>";
    pages("<page size='1' unit='G'/>").silent();
    let stray = pages("<page size='1' unit='G' nodeset='0-2'/>");
    stray.finds(rule, Error, "guest cell 2 of 2", line);
    let odd = pages("<page size='3' unit='M'/>");
    odd.finds(rule, Error, "power of two", line);
    let two = pages("<page size='1' unit='G'/><page size='2' unit='M'/>");
    two.finds(rule, Error, "for all cells", line);
    let both = pages(
        "<page size='1' unit='G' nodeset='0-1'/><page size='2' unit='M' nodeset='1'/>",
    );
    both.finds(rule, Error, "two page sizes for guest cell 1", line);
}

#[test]
fn trap_18_cells_are_of_whole_pages() {
    let case = cell("<cell id='1' cpus='4-7' memory='4608' unit='MiB'/>")
        .edit("<memory unit='GiB'>8", "<memory unit='MiB'>8704");
    case.finds("hugepages", Error, "no whole 1G pages", "<hugepages>");
}

#[test]
fn trap_19_free_pages() {
    let free = |n: u64| {
        Case::good().facts(|facts| {
            let Fact::Known { value: pools, .. } = &mut facts.memory.hugepages
            else {
                panic!("pools")
            };
            pools[1].free = Fact::known(n, "fixture");
        })
    };
    let says = "4 1G pages wanted on node 1, 3 free";
    free(3).finds("hugepages", Error, says, "<hugepages>");
    free(4).silent();
    // What the VM holds now will be free when it starts anew.
    let running = |memory: &str| {
        let mut case = free(0);
        let live = GOOD.replace(
            "cpus='4-7' memory='4'",
            &format!("cpus='4-7' memory='{memory}'"),
        );
        case.live = Some(read(&live).unwrap());
        case
    };
    running("4").silent();
    running("3").finds("hugepages", Error, "3 free", "<hugepages>");
}

#[test]
fn pages_of_vms_that_start_together() {
    let twin = GOOD
        .replace("vm1", "vm9")
        .replace("memory='4'", "memory='13'")
        .replace("<memory unit='GiB'>8", "<memory unit='GiB'>26")
        .replace("<hard_limit unit='GiB'>10", "<hard_limit unit='GiB'>30");
    let found = Case::good().beside(&twin).findings();
    let short: Vec<_> =
        found.iter().filter(|f| f.rule == "hugepages").collect();
    assert_eq!(short.len(), 2, "one for each node: {short:#?}");
    assert!(short.iter().all(|f| f.vm == "vm9"), "the later one is short");
    assert!(short[0].what.contains("13 1G pages wanted on node 0, 12 free"));
}

#[test]
fn pools_whose_free_pages_are_unknown() {
    let case = || {
        Case::good().facts(|facts| {
            let Fact::Known { value: pools, .. } = &mut facts.memory.hugepages
            else {
                panic!("pools")
            };
            pools.iter_mut().for_each(|pool| pool.free = unknown());
        })
    };
    case().silent();
    let hungry = OTHER
        .replace("<vcpu>", "<memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking><vcpu>")
        .replace("<memory unit='GiB'>2", "<memory unit='GiB'>13");
    // Its definition counts once, however often it is given.
    let beside = case().neighbour(&hungry).neighbour(&hungry);
    beside.finds("hugepages", Error, "3 free, as is assumed", "<hugepages>");
    Case::good().neighbour(&hungry).silent();
    case()
        .facts(|f| f.memory.hugepages = unknown())
        .neighbour(&hungry)
        .silent();
}

#[test]
fn page_sizes_that_the_host_lacks() {
    let case = Case::good().edit("size='1' unit='G'", "size='16' unit='M'");
    let found = case.findings();
    assert!(found.iter().all(|f| f.what.contains("16M pages, which")));
    let small = OTHER
        .replace("<vcpu>", "<memoryBacking><hugepages/></memoryBacking><vcpu>");
    let case = Case::of(&small);
    case.finds(
        "hugepages",
        Error,
        "1024 2M pages wanted on node 1, 512",
        "<hugepages/>",
    );
    case.facts(|f| {
        f.kernel.command_line =
            Fact::known("default_hugepagesz=1G".to_owned(), "");
    })
    .silent();
}

#[test]
fn pages_from_anywhere() {
    let floating = OTHER
        .replace("<vcpu>", "<memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking><vcpu>")
        .replace("nodeset='1'", "nodeset='0-1'")
        .replace("<memory unit='GiB'>2", "<memory unit='GiB'>33");
    let found = Case::of(&floating).findings();
    assert!(
        found.iter().any(|f| f
            .what
            .contains("33 1G pages wanted on nodes 0-1, 32 free")),
        "{found:?}"
    );
}

#[test]
fn a_page_size_that_the_policy_names() {
    let case = Case::good()
        .policy(|p| p.memory.pages = Pages::Size(PageSize::TWO_MIB));
    case.finds("hugepages", Error, "not all memory is of 2M", "<hugepages>");
    Case::good()
        .policy(|p| p.memory.pages = Pages::Size(PageSize::ONE_GIB))
        .silent();
}

#[test]
fn ordinary_memory_fits_beside_the_pools() {
    // 64 GiB less 16 pages of 1 GiB and 512 of 2 MiB are 47 GiB.
    let big = |n: u32| OTHER.replace("'GiB'>2", &format!("'GiB'>{n}"));
    Case::of(&big(47)).silent();
    let case = Case::of(&big(48));
    case.finds("numa-memory", Error, "which has 47 GiB left", "<numatune>");
    let neighbour =
        OTHER.replace("vm2", "vm9").replace("13", "14").replace("29", "30");
    let case = Case::of(&big(46)).neighbour(&neighbour);
    case.finds("numa-memory", Warning, "which has 45 GiB left", "<numatune>");
}

#[test]
fn trap_20_locked_without_a_limit() {
    let case = Case::good().edit("<hard_limit unit='GiB'>10</hard_limit>", "");
    case.finds("memory-locking", Warning, "without a limit", "<locked/>");
    let none =
        Case::good().edit("unit='GiB'>10", "unit='KiB'>9007199254740991");
    none.finds("memory-locking", Warning, "without a limit", "<locked/>");
}

#[test]
fn trap_21_limits_that_starve_vfio() {
    let low = Case::good().edit("unit='GiB'>10", "unit='GiB'>8");
    let says = "a limit of 8 GiB, where 9 GiB are needed";
    low.finds("memory-locking", Error, says, "<hard_limit");
    let unlocked = Case::good().edit("<locked/>", "");
    let says = "without <locked/>";
    unlocked.finds("memory-locking", Warning, says, "<hard_limit");
    // Behind a guest IOMMU, each device locks all memory.
    let second = "<hostdev type='pci'><source><address bus='0xc2' slot='0' \
                  function='0'/></source></hostdev><memballoon";
    let two = Case::good().edit("<memballoon", second);
    two.finds(
        "memory-locking",
        Error,
        "where 17 GiB are needed",
        "<hard_limit",
    );
}

#[test]
fn trap_21_ordinary_pages_that_are_locked_count_once_more() {
    let huge = "<hugepages><page size='1' unit='G' nodeset='0-1'/></hugepages>";
    let small = Case::good().edit(huge, "");
    let says = "a limit of 10 GiB, where 17 GiB are needed";
    small.finds("memory-locking", Error, says, "<hard_limit");
}

#[test]
fn trap_21_a_libvirt_that_counts_one_device() {
    let second = "<hostdev type='pci'><source><address bus='0xc2' slot='0' \
                  function='0'/></source></hostdev><memballoon";
    let case = |version: &'static str| {
        Case::good()
            .edit("<locked/>", "")
            .edit(
                "<memtune><hard_limit unit='GiB'>10</hard_limit></memtune>",
                "",
            )
            .edit("<memballoon", second)
            .facts(move |facts| {
                let Fact::Known { value, .. } = &mut facts.hypervisor else {
                    panic!("a hypervisor")
                };
                value.libvirt = Fact::known(version.to_owned(), "libvirt");
            })
    };
    let says = "devices that lock 16 GiB, where libvirt before 8.7.0 allows \
                for 8 GiB";
    case("8.0.0").finds("memory-locking", Error, says, "<iommu");
    let found = case("8.7.0").findings();
    assert!(found.iter().all(|f| f.rule != "memory-locking"), "{found:?}");
}

#[test]
fn trap_21_a_balloon_beside_vfio() {
    let virtio = Case::good().edit("model='none'", "model='virtio'");
    virtio.finds("memory-balloon", Warning, "balloon", "<memballoon");
    let default = Case::good().edit("<memballoon model='none'/>", "");
    default.finds("memory-balloon", Warning, "balloon", "");
}
