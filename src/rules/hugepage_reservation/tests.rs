//! Pools that grow, at once or at boot, and pools that stay.

use super::*;
use crate::model::Fact;
use crate::model::facts::{Claim, Zone};
use crate::rules::fixture::Case;
use crate::rules::memory_fixture::Beside;

const HUGE: PageSize = PageSize::ONE_GIB;
const LARGE: PageSize = PageSize::TWO_MIB;

/// A VM of 8 GiB on node 0, which lacks so many pages of a size.
fn case(size: PageSize, lacks: u64) -> (Case, Beside) {
    let mut case = Case::plain();
    case.placement.pages = Some(size);
    case.policy.memory.pages = Pages::Size(size);
    let has = size.pages(case.domain.memory.total) - lacks;
    case.pool(size, &[has, 0]);
    case.facts.kernel.release = Fact::known("6.8.0-45".into(), "osrelease");
    let programs = vec!["systemd-tmpfiles".to_owned()];
    case.facts.services.programs = Fact::known(programs, "/usr/bin");
    case.facts.services.claims = Fact::known(Vec::new(), "/etc");
    case.stands(FILE, None);
    case.boots_with(&[]);
    for node in [0, 1] {
        let path = place(NodeId(node), size).unwrap();
        let has = if node == 0 { has } else { 0 };
        case.stands(path.as_str(), Some(&has.to_string()));
    }
    let mut beside = Beside::default();
    if lacks > 0 {
        beside.reservations.insert((NodeId(0), size), lacks);
    }
    (case, beside)
}

/// Free memory of node 0: so many pieces of each order, and blocks.
fn zone(case: &mut Case, pieces: &[u64], movable: Option<u64>) {
    let blocks = movable.map(|n| [("Movable".to_owned(), n)].into());
    let zone = Zone {
        node: NodeId(0),
        name: "Normal".to_owned(),
        free_pieces: pieces.to_vec(),
        blocks: match blocks {
            Some(blocks) => Fact::known(blocks, "pagetypeinfo"),
            None => Fact::unknown("/proc/pagetypeinfo may be read by root"),
        },
    };
    case.facts.memory.zones = Fact::known(vec![zone], "buddyinfo");
}

const LIVE: &str = "/sys/devices/system/node/node0/hugepages/";

#[test]
fn pages_that_lie_free_are_reserved_at_once_and_kept() {
    let (mut case, beside) = case(LARGE, 96);
    zone(&mut case, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 200], None);
    let expected = [
        format!("{LIVE}hugepages-2048kB/nr_hugepages = 4096, now"),
        format!(
            "{FILE} = w! {LIVE}hugepages-2048kB/nr_hugepages - - - - \
                 4096, now"
        ),
    ];
    assert_eq!(case.host_edits(&RULE, &beside), expected);
    let verdict = format!("{:?}", case.on_host(&RULE, &beside));
    assert!(verdict.contains("room for 450 of them as it is"), "{verdict}");

    case.settle(&RULE, &beside);
    case.facts.memory.hugepages = Fact::unknown("");
    case.pool(LARGE, &[4096, 0]);
    let after = Beside::default();
    assert_eq!(case.host_edits(&RULE, &after), [""; 0], "once is enough");
}

#[test]
fn scattered_memory_is_put_together_where_it_can_be_moved() {
    let (mut case, beside) = case(LARGE, 96);
    let scattered = [200_000, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    zone(&mut case, &scattered, Some(20_000));
    let verdict = format!("{:?}", case.on_host(&RULE, &beside));
    assert!(verdict.contains("after compaction"), "{verdict}");

    for movable in [Some(100), None] {
        zone(&mut case, &scattered, movable);
        let edits = case.host_edits(&RULE, &beside);
        assert_eq!(edits.len(), 1, "{edits:?}");
        assert!(edits[0].ends_with("4096, host-boot"), "{edits:?}");
        assert!(case.host_said(&RULE, &beside).contains("vm1 cannot start"));
    }
}

#[test]
fn pages_of_1_gib_wait_for_a_boot_on_a_host_that_has_worked() {
    let (mut case, beside) = case(HUGE, 5);
    let argument = "/etc/default/grub.d/vmtune.cfg#hugepagesz=1G = 0:8, \
                    host-boot";
    // 16 of 64 GiB lie free in pieces of 4 MiB.
    let mut pieces = [0; 11];
    pieces[10] = 4096;
    zone(&mut case, &pieces, None);
    assert_eq!(case.host_edits(&RULE, &beside), [argument]);

    pieces[10] = 15_000;
    zone(&mut case, &pieces, None);
    let live = format!("{LIVE}hugepages-1048576kB/nr_hugepages = 8, now");
    assert_eq!(case.host_edits(&RULE, &beside), [&live, argument]);

    case.policy.memory.reserve = Reserve::Boot;
    assert_eq!(case.host_edits(&RULE, &beside), [argument]);
    case.settle(&RULE, &beside);
    assert_eq!(case.host_edits(&RULE, &beside), [""; 0], "waits, no more");
}

#[test]
fn numbers_that_are_there_are_kept_and_raised() {
    for (there, after) in [
        ("hugepagesz=1G 0:2,1:6", Some("hugepagesz=1G = 0:8,1:6")),
        ("hugepagesz=1G 8", Some("hugepagesz=1G = 0:8,1:4")),
        ("hugepagesz=1G 16", None),
        ("hugepagesz=1G 0:9", None),
        ("hugepages 64", Some("hugepagesz=1G = 0:8")),
    ] {
        let (mut case, beside) = case(HUGE, 5);
        case.boots_with(&["quiet", there]);
        let edits = case.host_edits(&RULE, &beside);
        let expected = after
            .map(|after| {
                format!("/etc/default/grub.d/vmtune.cfg#{after}, host-boot")
            })
            .into_iter()
            .collect::<Vec<_>>();
        assert_eq!(edits, expected, "{there}");
    }
}

#[test]
fn trap_49_a_default_size_is_named_once() {
    let (mut case, beside) = case(HUGE, 5);
    case.boots_with(&["default_hugepagesz 1G", "hugepages 4"]);
    assert_eq!(
        case.host_edits(&RULE, &beside),
        ["/etc/default/grub.d/vmtune.cfg#hugepages = 0:8,1:2, host-boot"]
    );
}

#[test]
fn other_pools_of_the_drop_in_stay() {
    let (mut case, beside) = case(LARGE, 96);
    let other = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/\
                 nr_hugepages";
    case.stands(FILE, Some(&format!("# x\nw! {other} - - - - 7\n")));
    let edits = case.host_edits(&RULE, &beside);
    assert!(edits[0].contains(&format!("|w! {other} - - - - 7,")), "{edits:?}");
}

#[test]
fn only_pools_that_are_filled_at_boot_too_may_grow() {
    let pools = |case: &Case| growing(&case.facts, &case.policy);
    let (mut one, _) = case(HUGE, 5);
    assert_eq!(pools(&one), [(NodeId(0), HUGE), (NodeId(1), HUGE)]);
    one.policy.memory.reserve = Reserve::Off;
    assert_eq!(pools(&one), []);
    one.policy.memory.reserve = Reserve::Auto;
    one.policy.rules.insert(RULE.id.to_owned(), Level::Advise);
    assert_eq!(pools(&one), []);

    let (mut old, _) = case(HUGE, 5);
    old.facts.kernel.release = Fact::known("5.10.0-9".into(), "osrelease");
    assert_eq!(pools(&old), []);
    let (mut blind, _) = case(HUGE, 5);
    blind.facts.kernel.boot_arguments = Fact::unknown("GRUB legacy");
    assert_eq!(pools(&blind), []);
    let (mut set_apart, _) = case(HUGE, 5);
    set_apart.boots_with(&["hugetlb_cma 8G"]);
    assert_eq!(pools(&set_apart), []);
    let (mut bare, _) = case(LARGE, 5);
    assert_eq!(pools(&bare).len(), 2);
    bare.facts.services.programs = Fact::known(Vec::new(), "/usr/bin");
    assert_eq!(pools(&bare), []);
}

#[test]
fn a_pool_that_was_found_is_not_the_plans_to_keep() {
    let (mut case, beside) = case(LARGE, 0);
    assert_eq!(case.host_edits(&RULE, &beside).len(), 1, "named: kept");
    case.policy.memory.pages = Pages::Auto;
    assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
    let said = case.host_said(&RULE, &beside);
    assert!(said.contains("4096 2M pages of node 0 are there now"), "{said}");
    let claim = Claim {
        place: place(NodeId(0), LARGE).unwrap(),
        value: "4096".into(),
        file: "/etc/tmpfiles.d/mine.conf".parse().unwrap(),
    };
    case.facts.services.claims = Fact::known(vec![claim], "/etc");
    assert_eq!(case.host_said(&RULE, &beside), "");
}

#[test]
fn a_number_for_the_whole_host_that_is_too_small_is_named() {
    let (mut case, beside) = case(LARGE, 96);
    let claim = Claim {
        place: "/proc/sys/vm/nr_hugepages".parse().unwrap(),
        value: "1024".into(),
        file: "/etc/sysctl.d/50-pages.conf".parse().unwrap(),
    };
    case.facts.services.claims = Fact::known(vec![claim], "/etc");
    let said = case.host_said(&RULE, &beside);
    assert!(said.contains("50-pages.conf sets vm.nr_hugepages = 1024"));
}

#[test]
fn vms_without_huge_pages_need_no_pool() {
    let (mut case, beside) = case(LARGE, 0);
    case.placement.pages = None;
    let verdict = case.on_host(&RULE, &beside);
    assert!(matches!(verdict, Verdict::NotApplicable(_)));
    case.placement.pages = Some(LARGE);
    case.facts.memory.hugepages = Fact::unknown("not read");
    let verdict = case.on_host(&RULE, &beside);
    assert!(matches!(verdict, Verdict::Unknown { .. }));
}
