//! Lets memory that asks for it have huge pages without a pool.
//!
//! QEMU asks for them (`MADV_HUGEPAGE`) for the memory of each guest, so that
//! `madvise` gives guests on ordinary pages all that `always` does. `never`
//! leaves them with small pages. Guests on pages of a pool do not care; there
//! `always` only has the kernel look through the memory of everything else.

use super::{Edit, Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::policy::Level;
use crate::model::{Stage, Target};

/// The rule.
pub const RULE: Rule = Rule {
    id: "transparent-hugepages",
    group: Group::HostMemory,
    why: "A guest on ordinary pages has huge ones as far as the kernel finds \
          them, unless it may not look.",
    hurts: "Under `always`, other programs get huge pages that they do not \
            fill, and wait while memory is put together for them; under \
            `madvise` those that would gain and do not ask get none.",
    folklore: "Guides call `always` dangerous to applications: it changes how \
               much memory they take and when they wait, not what they \
               compute. They also take it for what <hugepages/> or RDMA \
               buffers need, which is a pool.",
    sources: &[
        "Linux Documentation/admin-guide/mm/transhuge.rst",
        "QEMU system/physmem.c: qemu_madvise(…, QEMU_MADV_HUGEPAGE)",
    ],
    level: Level::Plan,
    owns: &[
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/etc/tmpfiles.d/vmtune-transparent-hugepages.conf",
    ],
    evaluate: Evaluate::Host(evaluate),
};

const PLACE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const FILE: &str = "/etc/tmpfiles.d/vmtune-transparent-hugepages.conf";
const TEXT: &str =
    include_str!("../../templates/host/transparent-hugepages.conf");

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let mode = &cx.facts.memory.transparent_hugepages;
    let Some(value) = mode.value() else {
        let why = mode.reason().unwrap_or_default().to_owned();
        return Verdict::Unknown { fact: "transparent hugepages", why };
    };
    let small = cx.vms.iter().filter(|vm| vm.placement.pages.is_none());
    let small: Vec<&str> = small.map(|vm| vm.domain.name.as_str()).collect();
    let because = match value.as_str() {
        "never" if !small.is_empty() => format!(
            "{} runs on ordinary pages, and `never` keeps them small",
            small.join(", ")
        ),
        "always" if cx.policy.preset == "latency" => {
            "QEMU asks for huge pages where guests need them; `always` has \
             the kernel put memory together for everything else too"
                .to_owned()
        }
        other => {
            return Verdict::Satisfied(format!("`{other}` serves these VMs"));
        }
    };
    let mut edits = Vec::new();
    if let Ok(place) = PLACE.parse() {
        let edit = Edit::set(Target::Kernel(place), "madvise", &because);
        edits.push(edit.at(Stage::Now));
    }
    let mut advice = rivals(cx);
    match cx.at_each_boot(FILE, TEXT) {
        Ok(edit) => edits.push(edit),
        Err(said) => advice.push(said),
    }
    Verdict::of(edits, advice, "")
}

/// Says who else sets it at boot.
fn rivals(cx: &HostContext<'_>) -> Vec<String> {
    let claims = cx.facts.services.claims_of(PLACE);
    let claims = claims.filter(|claim| claim.value != "madvise");
    let claims = claims.map(|claim| {
        format!(
            "{} sets {PLACE} to {} at boot: remove that line",
            claim.file, claim.value
        )
    });
    let known = cx.facts.kernel.boot_arguments.value();
    let argument = known.and_then(|known| known.get("transparent_hugepage"));
    let argument = argument.filter(|argument| argument.value != "madvise");
    let argument = argument.map(|argument| {
        format!(
            "the kernel gets transparent_hugepage={} from {}; what is set \
             after boot wins over it",
            argument.value, argument.file
        )
    });
    claims.chain(argument).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PageSize;
    use crate::model::Fact;
    use crate::model::facts::Claim;
    use crate::rules::fixture::Case;
    use crate::rules::memory_fixture::Beside;

    fn case(mode: &str) -> Case {
        let mut case = Case::plain();
        let read = Fact::known(mode.to_owned(), PLACE);
        case.facts.memory.transparent_hugepages = read;
        let programs = vec!["systemd-tmpfiles".to_owned()];
        case.facts.services.programs = Fact::known(programs, "/usr/bin");
        case.stands(PLACE, Some(mode));
        case.stands(FILE, None);
        case
    }

    const LIVE: &str =
        "/sys/kernel/mm/transparent_hugepage/enabled = madvise, now";

    #[test]
    fn guests_on_ordinary_pages_may_have_huge_ones() {
        let beside = Beside::default();
        let mut case = case("never");
        let edits = case.host_edits(&RULE, &beside);
        assert_eq!(edits[0], LIVE);
        assert!(edits[1].ends_with("/enabled - - - - madvise, now"));
        case.settle(&RULE, &beside);
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0], "once is enough");

        case.placement.pages = Some(PageSize::ONE_GIB);
        let verdict = case.on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::Satisfied(_)), "nobody misses it");
    }

    #[test]
    fn more_than_enough_is_cut_only_for_latency() {
        let beside = Beside::default();
        for (mode, preset, changes) in [
            ("always", "balanced", false),
            ("always", "latency", true),
            ("madvise", "latency", false),
        ] {
            let mut case = case(mode);
            case.policy.preset = preset.into();
            let edits = case.host_edits(&RULE, &beside);
            assert_eq!(!edits.is_empty(), changes, "{mode} {preset}");
        }
    }

    #[test]
    fn what_else_sets_it_is_named() {
        let beside = Beside::default();
        let mut case = case("never");
        case.boots_with(&["transparent_hugepage never"]);
        let claim = Claim {
            place: PLACE.parse().unwrap(),
            value: "never".into(),
            file: "/etc/tmpfiles.d/zz.conf".parse().unwrap(),
        };
        case.facts.services.claims = Fact::known(vec![claim], "/etc");
        let said = case.host_said(&RULE, &beside);
        assert!(said.contains("zz.conf sets"), "{said}");
        assert!(said.contains("transparent_hugepage=never from"), "{said}");
        case.facts.memory.transparent_hugepages = Fact::unknown("not read");
        let verdict = case.on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::Unknown { .. }));
    }
}
