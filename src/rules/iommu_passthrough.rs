//! Switches the IOMMU on where VMs need it, and lets the host's own devices
//! past it.
//!
//! Devices of VMs are always translated: that keeps them in their guest.
//! Devices that the host keeps need not be, and pay for each transfer if they
//! are. `iommu=pt` gives them all memory to reach and spares the work.

use super::{Edit, Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::facts::{BootArguments, Facts, PciFunction};
use crate::model::policy::{HostIommu, Level};
use crate::model::{Fact, Stage};

/// The rule.
pub const RULE: Rule = Rule {
    id: "iommu-passthrough",
    group: Group::HostIo,
    why: "VMs with devices of the host need the IOMMU, and the host's own \
          devices are faster past it.",
    hurts: "A device that the host keeps reaches all memory: a faulty card, \
            or one with hostile firmware, is not held back.",
    folklore: "Guides write amd_iommu=on, which the kernel does not know: \
               AMD's is on unless it is switched off. They say that \
               intel_iommu=on iommu=pt makes passthrough in guests work, \
               which takes an IOMMU in the guest; and that iommu=pt leaves \
               VMs' devices untranslated, which it does not.",
    sources: &[
        "Linux Documentation/admin-guide/kernel-parameters: iommu=, \
         intel_iommu=, amd_iommu=",
        "Linux Documentation/ABI/testing/sysfs-kernel-iommu_groups: type",
        "Linux Documentation/driver-api/vfio.rst",
    ],
    level: Level::Plan,
    owns: &["#iommu", "#intel_iommu", "#amd_iommu"],
    evaluate: Evaluate::Host(evaluate),
};

const TRADE: &str = "devices that the host keeps reach all of its memory";

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let facts = cx.facts;
    let with = cx.vms.iter().filter(|vm| vm.domain.has_passthrough());
    let with: Vec<&str> = with.map(|vm| vm.domain.name.as_str()).collect();
    let past = match cx.policy.iommu.host {
        HostIommu::Passthrough => true,
        HostIommu::Auto => !with.is_empty(),
        HostIommu::Translate => false,
    };
    if with.is_empty() && !past {
        return Verdict::NotApplicable("no VM has a device of the host");
    }
    if !facts.arch.is(&"x86_64".to_owned()) {
        return Verdict::NotApplicable("the arguments are those of x86");
    }
    let unknown = |fact, why: Option<&str>| Verdict::Unknown {
        fact,
        why: why.unwrap_or_default().to_owned(),
    };
    let enabled = &facts.kernel.iommu.enabled;
    let Some(&enabled) = enabled.value() else {
        return unknown("whether an IOMMU translates", enabled.reason());
    };
    if !enabled && facts.kernel.iommu.described.is(&false) {
        return Verdict::NotApplicable("the firmware does not tell of one");
    }
    let known = &facts.kernel.boot_arguments;
    let Some(known) = known.value() else {
        return unknown("kernel arguments for the next boot", known.reason());
    };
    let Some(vendor) = facts.cpu_vendor.value() else {
        return unknown("CPU vendor", facts.cpu_vendor.reason());
    };
    let for_vms = match with.as_slice() {
        [] => "the policy asks for it".to_owned(),
        names => format!("{} has devices of the host", names.join(", ")),
    };
    let mut edits = Vec::new();
    match vendor.as_str() {
        "GenuineIntel" => edits.extend(intel(facts, known, enabled, &for_vms)),
        "AuthenticAMD" => edits.extend(amd(known, &for_vms)),
        _ => {}
    }
    edits.extend(general(facts, known, past, &for_vms));
    Verdict::of(edits, Vec::new(), "the IOMMU is as VMs and host need it")
}

/// Intel's is off unless the kernel was built to have it on.
fn intel(
    facts: &Facts,
    known: &BootArguments,
    enabled: bool,
    for_vms: &str,
) -> Option<Edit> {
    let own = known.get("intel_iommu").map(|argument| &*argument.value);
    let words: Vec<&str> =
        own.map(|v| v.split(',').collect()).unwrap_or_default();
    let on = words.contains(&"on");
    let built_in = enabled && running(facts, "intel_iommu").is_none();
    if on || (built_in && !words.contains(&"off")) {
        return None;
    }
    let rest = words.into_iter().filter(|word| *word != "off");
    let value: Vec<&str> = std::iter::once("on").chain(rest).collect();
    let because = match enabled {
        true => {
            format!("{for_vms}; nothing switches the IOMMU on at the next boot")
        }
        false => format!("{for_vms}, and the IOMMU is off"),
    };
    let edit = Edit::set(known.target("intel_iommu"), value.join(","), because);
    Some(edit.at(Stage::HostBoot))
}

/// AMD's is on unless it is switched off.
fn amd(known: &BootArguments, for_vms: &str) -> Option<Edit> {
    let own = known.get("amd_iommu")?;
    let words: Vec<&str> = own.value.split(',').collect();
    if !words.contains(&"off") {
        return None;
    }
    let because = format!("{for_vms}, and this switches the IOMMU off");
    let rest: Vec<_> = words.into_iter().filter(|w| *w != "off").collect();
    let target = known.target("amd_iommu");
    let edit = match rest.is_empty() {
        true => Edit::remove(target, because),
        false => Edit::set(target, rest.join(","), because),
    };
    Some(edit.at(Stage::HostBoot))
}

/// `iommu=`, which takes several words.
fn general(
    facts: &Facts,
    known: &BootArguments,
    past: bool,
    for_vms: &str,
) -> Option<Edit> {
    let own = known.get("iommu").map(|argument| &*argument.value);
    let words: Vec<&str> =
        own.map(|v| v.split(',').collect()).unwrap_or_default();
    let off = words.contains(&"off");
    let wanted = past && !words.contains(&"pt") && !is_past(facts);
    if !off && !wanted {
        return None;
    }
    let against = |word: &&str| *word != "off" && !(past && *word == "nopt");
    let mut value: Vec<&str> = words.into_iter().filter(against).collect();
    if wanted {
        value.push("pt");
    }
    let because = match (off, wanted) {
        (true, _) => format!("{for_vms}, and `off` switches the IOMMU off"),
        _ => format!(
            "{for_vms}, which needs the IOMMU; the host's own devices need \
             not go through it{}",
            translated(facts)
        ),
    };
    let target = known.target("iommu");
    let edit = match value.is_empty() {
        true => Edit::remove(target, because),
        false => Edit::set(target, value.join(","), because),
    };
    let edit = edit.at(Stage::HostBoot);
    Some(if wanted { edit.trading(TRADE) } else { edit })
}

/// Returns an argument of the running kernel.
fn running<'a>(facts: &'a Facts, name: &str) -> Option<&'a str> {
    let words = facts.kernel.command_line.value()?.split_whitespace();
    let mut own = words.filter_map(|word| word.strip_prefix(name));
    own.find_map(|rest| rest.strip_prefix('='))
}

/// Returns whether the kernel lets the host's devices past by itself: they
/// are past now, and no argument did that.
fn is_past(facts: &Facts) -> bool {
    let asked = running(facts, "iommu")
        .is_some_and(|value| value.split(',').any(|word| word == "pt"));
    let domains = own_domains(facts);
    !asked && !domains.is_empty() && domains.iter().all(|d| *d == "identity")
}

/// Returns how groups are translated whose functions the host keeps.
fn own_domains(facts: &Facts) -> Vec<&str> {
    let functions = facts.pci.value();
    let given = |address| {
        let mut functions = functions.into_iter().flatten();
        let function = functions.find(|f| f.address == address);
        function.is_some_and(PciFunction::is_passed_through)
    };
    let groups = facts.kernel.iommu.groups.value().into_iter().flatten();
    let own = groups.filter(|g| !g.functions.iter().any(|f| given(*f)));
    let domains = own.filter_map(|group| group.domain.value());
    domains.map(String::as_str).collect()
}

fn translated(facts: &Facts) -> String {
    let all = own_domains(facts);
    let now = all.iter().filter(|domain| **domain != "identity").count();
    match &facts.kernel.iommu.groups {
        Fact::Known { .. } if now > 0 => {
            format!(" ({now} of {} groups do now)", all.len())
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::IommuGroup;
    use crate::rules::fixture::Case;
    use crate::rules::memory_fixture::Beside;

    fn case(vendor: &str, enabled: bool, domain: &str) -> Case {
        let mut case = match vendor {
            "AuthenticAMD" => Case::amd(&[1, 2], 1),
            _ => Case::intel(&[1, 2], 1),
        };
        case.pass("0000:c1:00.2", Some(0));
        case.boots_with(&["quiet"]);
        let kernel = &mut case.facts.kernel;
        kernel.command_line = Fact::known("quiet".into(), "/proc/cmdline");
        kernel.iommu.enabled = Fact::known(enabled, "/sys/class/iommu");
        kernel.iommu.described = Fact::known(true, "DMAR");
        let group = |id, function: &str| IommuGroup {
            id,
            functions: vec![function.parse().unwrap()],
            domain: Fact::known(domain.to_owned(), "type"),
        };
        let groups = vec![group(1, "0000:00:17.0"), group(2, "0000:c1:00.2")];
        kernel.iommu.groups = Fact::known(groups, "groups");
        case
    }

    fn edits(case: &Case) -> Vec<String> {
        let file = "/etc/default/grub.d/vmtune.cfg";
        let edits = case.host_edits(&RULE, &Beside::default()).into_iter();
        edits.map(|e| e.replace(file, "").replace(", host-boot", "")).collect()
    }

    #[test]
    fn a_vm_with_a_device_needs_it_and_the_host_goes_past() {
        let mut intel = case("GenuineIntel", false, "");
        assert_eq!(edits(&intel), ["#intel_iommu = on", "#iommu = pt"]);
        intel.settle(&RULE, &Beside::default());
        assert_eq!(edits(&intel), [""; 0], "once is enough");
        let amd = case("AuthenticAMD", true, "DMA-FQ");
        assert_eq!(edits(&amd), ["#iommu = pt"]);
        let verdict = format!("{:?}", amd.on_host(&RULE, &Beside::default()));
        assert!(verdict.contains("2 of 2 groups"), "{verdict}");
        assert!(verdict.contains(TRADE), "{verdict}");
    }

    #[test]
    fn what_the_kernel_does_by_itself_is_not_asked_for() {
        assert_eq!(edits(&case("GenuineIntel", true, "identity")), [""; 0]);
        assert_eq!(edits(&case("AuthenticAMD", true, "identity")), [""; 0]);
        // What only this boot asks for is.
        let mut once = case("GenuineIntel", true, "identity");
        let line = "quiet intel_iommu=on iommu=pt".to_owned();
        once.facts.kernel.command_line = Fact::known(line, "/proc/cmdline");
        assert_eq!(edits(&once), ["#intel_iommu = on", "#iommu = pt"]);
    }

    #[test]
    fn other_words_of_an_argument_stay() {
        for (there, after) in [
            ("iommu soft,nopt", Some("#iommu = soft,pt")),
            ("iommu pt", None),
            ("iommu off", Some("#iommu = pt")),
        ] {
            let mut case = case("AuthenticAMD", true, "DMA");
            case.boots_with(&[there]);
            let expected: Vec<_> = after.into_iter().collect();
            assert_eq!(edits(&case), expected, "{there}");
        }
        let mut intel = case("GenuineIntel", false, "");
        intel.boots_with(&["intel_iommu off,sm_on", "iommu pt"]);
        assert_eq!(edits(&intel), ["#intel_iommu = on,sm_on"]);
        let mut amd = case("AuthenticAMD", false, "");
        amd.boots_with(&["amd_iommu off", "iommu pt"]);
        assert_eq!(edits(&amd), ["#amd_iommu = nothing"]);
    }

    #[test]
    fn the_policy_decides_for_the_host() {
        let mut case = case("GenuineIntel", false, "");
        case.policy.iommu.host = HostIommu::Translate;
        assert_eq!(edits(&case), ["#intel_iommu = on"], "for the VM");
        case.domain.devices.hostdevs.clear();
        let verdict = case.on_host(&RULE, &Beside::default());
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        case.policy.iommu.host = HostIommu::Passthrough;
        assert_eq!(edits(&case), ["#intel_iommu = on", "#iommu = pt"]);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut case = case("GenuineIntel", false, "");
        case.facts.kernel.iommu.described = Fact::known(false, "tables");
        let verdict = case.on_host(&RULE, &Beside::default());
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        case.facts.kernel.iommu.described = Fact::unknown("no sysfs");
        case.facts.kernel.boot_arguments = Fact::unknown("zipl");
        let verdict = case.on_host(&RULE, &Beside::default());
        assert!(matches!(verdict, Verdict::Unknown { .. }));
    }
}
