//! Mounts huge pages of a size that VMs take and that nobody mounts.
//!
//! QEMU takes huge pages as files of a hugetlbfs of their size. systemd mounts
//! one, of the kernel's default size; libvirt looks for the others among what
//! is mounted when it starts, and refuses to start a VM where it found none.
//! So pages of 1 GiB on a host whose default is 2 MiB need a mount, and that
//! before libvirt.

use std::collections::BTreeSet;

use super::{Edit, Evaluate, Group, HostContext, Rule, Verdict, filled};
use crate::base::{HostPath, PageSize};
use crate::model::domain::Dialect;
use crate::model::policy::Level;
use crate::model::{Stage, Target};

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "hugepage-mount",
    group: Group::HostMemory,
    why: "A VM on huge pages starts only where libvirt finds pages of that size \
          mounted.",
    hurts: "Who may write to the mount can take pages of the pool: it is \
            root's alone.",
    folklore: "Guides mount the pages by hand below /mnt or write a line of \
               fstab, and name the place in qemu.conf (hugetlbfs_mount). \
               libvirt finds every hugetlbfs by itself; what it cannot see is \
               one that is mounted after it has started.",
    sources: &[
        "libvirt, src/util/virfile.c, virFileFindHugeTLBFS: what is mounted \
         when the driver starts",
        "Linux Documentation/admin-guide/mm/hugetlbpage.rst: pagesize=",
        "systemd, units/dev-hugepages.mount: the default size alone",
        "tried with libvirt 11.3 and a page of 1 GiB",
    ],
    level: Level::Plan,
    owns: &[
        "/etc/systemd/system/dev-hugepages1G.mount",
        "/etc/systemd/system/dev-hugepages2M.mount",
        "/etc/systemd/system/sysinit.target.d/90-vmtune.conf",
    ],
    evaluate: Evaluate::Host(evaluate),
};

/// Sizes that there are on x86-64.
const SIZES: [PageSize; 2] = [PageSize::ONE_GIB, PageSize::TWO_MIB];

const MOUNT: &str = include_str!("../../templates/host/hugepages.mount");
const WANTS: &str = include_str!("../../templates/host/wants.conf");
const WANTED: &str = "/etc/systemd/system/sysinit.target.d/90-vmtune.conf";

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    // Proxmox mounts what its VMs need itself.
    let vms = cx.vms.iter();
    let vms = vms.filter(|vm| vm.domain.dialect == Dialect::Libvirt);
    let taken: BTreeSet<PageSize> =
        vms.filter_map(|vm| vm.placement.pages).collect();
    if taken.is_empty() {
        return Verdict::NotApplicable(
            "no VM of the plan takes huge pages from a mount of the host's",
        );
    }
    let mounted = &cx.facts.memory.hugetlbfs;
    let Some(mounted) = mounted.value() else {
        let why = mounted.reason().unwrap_or_default().to_owned();
        return Verdict::Unknown { fact: "mounts of huge pages", why };
    };
    // A mount of vmtune's own stays, or the next boot would lack it.
    let is_own = |size: &PageSize| {
        let unit = unit(*size).parse().ok();
        unit.is_some_and(|unit| cx.setting(&unit).is_some())
    };
    let lacks = |size: &&PageSize| !mounted.contains(size) || is_own(size);
    let sizes: Vec<PageSize> = taken.iter().filter(lacks).copied().collect();
    if sizes.is_empty() {
        return Verdict::Satisfied(
            "huge pages of each size are mounted".into(),
        );
    }
    let systemd = cx.facts.services.systemd.value() == Some(&true);
    if !systemd || sizes.iter().any(|size| !SIZES.contains(size)) {
        let options = |size: &PageSize| {
            format!(
                "mount huge pages of {size} before libvirt starts: mount -t \
                 hugetlbfs -o pagesize={size} hugetlbfs /dev/hugepages{size}"
            )
        };
        return Verdict::Advise(sizes.iter().map(options).collect());
    }
    let mut edits = Vec::new();
    for size in &sizes {
        let kib = size.kib().to_string();
        let values = [("size", size.to_string()), ("kib", kib)];
        let values = values.each_ref().map(|(name, to)| (*name, to.as_str()));
        let because = format!("VMs take pages of {size}, which nobody mounts");
        edits.extend(file(cx, &unit(*size), filled(MOUNT, &values), because));
    }
    let units: Vec<_> = sizes.iter().map(|size| name(*size)).collect();
    let text = filled(WANTS, &[("units", &units.join(" "))]);
    edits.extend(file(cx, WANTED, text, "so that they are mounted".into()));
    let late = sizes.iter().filter(|size| !mounted.contains(size));
    let late: Vec<_> = late.map(|size| name(*size)).collect();
    let advice = match late.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "to start such a VM before the host boots: systemctl start {}, and \
             restart libvirtd (or virtqemud), which looks for mounts when it \
             starts; VMs that run stay as they are",
            late.join(" ")
        )],
    };
    Verdict::of(edits, advice, "vmtune's own units mount huge pages")
}

/// Writes a file, where it says something else.
fn file(
    cx: &HostContext<'_>,
    path: &str,
    text: String,
    because: String,
) -> Option<Edit> {
    let path: HostPath = path.parse().ok()?;
    let edit = || Edit::set(Target::File(path.clone()), &text, &because);
    (cx.setting(&path) != Some(&text)).then(|| edit().at(Stage::HostBoot))
}

/// Returns the unit that mounts pages of a size at `/dev/hugepages1G`.
fn name(size: PageSize) -> String {
    format!("dev-hugepages{size}.mount")
}

fn unit(size: PageSize) -> String {
    format!("/etc/systemd/system/{}", name(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::fixture::Case;
    use crate::rules::memory_fixture::Beside;

    /// A VM on pages of 1 GiB, on a host that mounts those of 2 MiB.
    fn case() -> Case {
        let mut case = Case::plain();
        case.placement.pages = Some(PageSize::ONE_GIB);
        mounts(&mut case, &[PageSize::TWO_MIB]);
        case.facts.services.systemd = Fact::known(true, "/run/systemd");
        for place in RULE.owns {
            case.stands(place, None);
        }
        case
    }

    fn mounts(case: &mut Case, sizes: &[PageSize]) {
        case.facts.memory.hugetlbfs = Fact::known(sizes.to_vec(), "mounts");
    }

    #[test]
    fn what_nobody_mounts_is_mounted_at_boot() {
        let mut case = case();
        let beside = Beside::default();
        assert_eq!(
            case.host_edits(&RULE, &beside),
            [
                "/etc/systemd/system/dev-hugepages1G.mount = \
                 [Unit]|Description=Huge pages of 1G|DefaultDependencies=no|\
                 Before=sysinit.target libvirtd.service virtqemud.service|\
                 ConditionPathExists=/sys/kernel/mm/hugepages/\
                 hugepages-1048576kB||[Mount]|What=hugetlbfs|\
                 Where=/dev/hugepages1G|Type=hugetlbfs|Options=pagesize=1G, \
                 host-boot",
                "/etc/systemd/system/sysinit.target.d/90-vmtune.conf = \
                 [Unit]|Wants=dev-hugepages1G.mount, host-boot",
            ]
        );
        let said = case.host_said(&RULE, &beside);
        assert!(said.contains("start dev-hugepages1G.mount, and restart"));

        // It stays after the boot that it was made for.
        case.settle(&RULE, &beside);
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
        mounts(&mut case, &[PageSize::TWO_MIB, PageSize::ONE_GIB]);
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
        assert_eq!(case.host_said(&RULE, &beside), "");
    }

    #[test]
    fn what_is_mounted_or_not_taken_is_left_alone() {
        let mut case = case();
        let beside = Beside::default();
        mounts(&mut case, &[PageSize::ONE_GIB]);
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
        mounts(&mut case, &[]);
        case.placement.pages = None;
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
        case.placement.pages = Some(PageSize::ONE_GIB);
        case = case.proxmox();
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
        case.domain.dialect = Dialect::Libvirt;
        case.facts.memory.hugetlbfs = Fact::unknown("not for this user");
        let verdict = case.on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict:?}");
    }

    #[test]
    fn without_systemd_it_is_advice() {
        let mut case = case();
        case.facts.services.systemd = Fact::known(false, "/run/systemd");
        let beside = Beside::default();
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
        let said = case.host_said(&RULE, &beside);
        assert!(said.contains("-o pagesize=1G hugetlbfs"), "{said}");
    }
}
