//! The caches that the guest's CPUID tells of.
//!
//! A guest that sees which vCPUs share an L3 wakes a thread next to its data
//! instead of sending an interrupt across it. QEMU describes a cache of its
//! own for each die, or hands out what the host's CPUID says; the latter is
//! true only where cores and dies of the guest are cores and L3s of the host.

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::XmlPath;
use crate::model::domain::{CpuArgument, CpuMode};
use crate::model::guest;
use crate::model::policy::Level;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "cpu-cache",
    group: Group::GuestCpu,
    why: "A guest that sees which of its CPUs share a cache keeps threads \
          near their data.",
    hurts: "Caches of the host that the guest has in part only mislead it; on \
            AMD, CPUID leaf 0x8000001D shows an L3 even where it is switched \
            off.",
    folklore: "Guides add <qemu:arg value='-cpu'/><qemu:arg \
               value='host,l3-cache=on'/> and call it a must. libvirt has \
               <cache> for it; l3-cache is on by default since machine type \
               2.8; without a topology that L3 is shared by 1 vCPU; and the \
               second -cpu replaces the first, with the topoext, hyperv and \
               kvm settings that libvirt computed.",
    sources: &[
        "libvirt, Domain XML format, \"CPU model and topology\": cache",
        "QEMU commit 14c985cffa: with an L3, 85 % fewer rescheduling \
         interrupts under SAP HANA",
        "libvirt 11.3: passthrough is for host-passthrough and maximum only, \
         emulate for level 3 only",
        "QEMU 10.0: of two -cpu the last counts; QMP shows topoext and hv-* \
         off",
        "Red Hat Bugzilla 1184125: host caches with another topology",
    ],
    level: Level::Plan,
    owns: &[
        "/domain/cpu/cache",
        "/domain/cpu/@migratable",
        "/domain/features/kvm/hidden",
        "/domain/qemu:commandline",
    ],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let virt_type = cx.domain.virt_type.as_str();
    if !cx.domain.is_x86_64() || !matches!(virt_type, "kvm" | "qemu") {
        return Verdict::NotApplicable("only QEMU's x86 CPUs have the setting");
    }
    let planned = guest::topology(cx.facts, cx.domain, cx.policy, cx.placement);
    let given = cx.domain.cpu.as_ref().and_then(|cpu| cpu.topology);
    let stands = cx.policy.plans("vcpu-topology")
        || given.is_some_and(|given| given.equals(&planned));
    let mode = guest::cpu_mode(cx.facts, cx.domain, cx.policy);
    let whole = stands
        && virt_type == "kvm"
        && guest::is_hosts_own(mode.as_ref())
        && guest::has_the_hosts_caches(
            cx.facts,
            cx.domain,
            cx.policy,
            cx.placement,
        );
    let (mut edits, seen) = cache(cx, whole);
    let mut advice = Vec::new();
    if !stands && given.is_none() {
        advice.push(
            "Without a <topology> each vCPU is a socket, and the L3 that the \
             guest sees is shared by 1: see vcpu-topology."
                .to_owned(),
        );
    }
    if let Some(argument) = CpuArgument::of(cx.domain) {
        match natively(cx, &argument, mode.as_ref()) {
            Ok(native) => {
                edits.extend(native);
                edits.extend(removals(cx, &argument));
            }
            Err(words) => advice.push(format!(
                "-cpu {} in <qemu:commandline> replaces the CPU that libvirt \
                 computes, this plan's too. No element stands for {} here: \
                 write <feature>, <hyperv> or <model> in its place and take \
                 the argument away.",
                argument.text,
                words.join(", ")
            )),
        }
    }
    Verdict::of(edits, advice, seen)
}

/// Returns the edits that make `<cache>` right, and what it is then.
fn cache(cx: &Context<'_>, whole: bool) -> (Vec<Edit>, &'static str) {
    let cpu = cx.domain.cpu.as_ref();
    let given = cpu.and_then(|cpu| cpu.cache.as_ref());
    let is = |mode: &str, level: Option<&str>| {
        given.is_some_and(|g| g.mode == mode && g.level.as_deref() == level)
    };
    let place = XmlPath::domain().child("cpu").child("cache");
    let mode = place.clone().attribute("mode");
    let level = place.attribute("level");
    let origin = &cx.facts.topology.origin;
    if whole {
        let seen = "cores and dies of the guest are cores and L3s of the host";
        let because = format!("{seen}, so its CPUID is true ({origin})");
        let mut edits = Vec::new();
        if !is("passthrough", None) {
            edits.push(Edit::set(mode, "passthrough", because.as_str()));
        }
        if given.is_some_and(|given| given.level.is_some()) {
            let because = "passthrough takes no level";
            edits.push(Edit::remove(level, because));
        }
        return (edits, seen);
    }
    let seen = "QEMU describes an L3 for each die of the guest";
    if is("emulate", Some("3")) {
        return (Vec::new(), seen);
    }
    let because = match given.map(|given| given.mode.as_str()) {
        Some("passthrough") => format!(
            "cores or dies of the guest are not those of the host, whose \
             CPUID would mislead it ({origin}); {seen}"
        ),
        _ => seen.to_owned(),
    };
    let edits = vec![
        Edit::set(level, "3", because.as_str()),
        Edit::set(mode, "emulate", because),
    ];
    (edits, seen)
}

/// Returns the edits that say natively what a `-cpu` argument says, or the
/// words of it that none stand for.
fn natively(
    cx: &Context<'_>,
    argument: &CpuArgument,
    mode: Option<&CpuMode>,
) -> Result<Vec<Edit>, Vec<String>> {
    let model = match argument.model.as_str() {
        "host" => mode == Some(&CpuMode::HostPassthrough),
        "max" => mode == Some(&CpuMode::Maximum),
        _ => false,
    };
    let mut edits = Vec::new();
    let mut strange = Vec::new();
    if !model {
        strange.push(argument.model.clone());
    }
    let cpu = cx.domain.cpu.as_ref();
    let because = "the -cpu argument said it, which goes";
    for (name, value) in &argument.properties {
        let on = value == "on";
        match name.as_str() {
            // `<cache>` says it.
            "l3-cache" | "host-cache-info" => {}
            "kvm" if on => {}
            "kvm" => {
                let kvm = XmlPath::domain().child("features").child("kvm");
                let hidden = kvm.child("hidden").attribute("state");
                if cx.domain.feature("kvm/hidden@state") != Some("on") {
                    edits.push(Edit::set(hidden, "on", because));
                }
            }
            "migratable" => {
                let given = cpu.and_then(|cpu| cpu.migratable.as_deref());
                if given.unwrap_or("on") != value {
                    let place = XmlPath::domain().child("cpu");
                    let target = place.attribute("migratable");
                    edits.push(Edit::set(target, value.as_str(), because));
                }
            }
            "kvm-hint-dedicated" if cx.policy.plans("dedicated-hint") => {}
            "topoext" if on && plans_topoext(cx) => {}
            feature => {
                let given = cpu.and_then(|cpu| cpu.feature(feature));
                let same = match given {
                    Some("require" | "force") => on,
                    Some("disable" | "forbid") => value == "off",
                    _ => false,
                };
                if !same {
                    strange.push(format!("{name}={value}"));
                }
            }
        }
    }
    if strange.is_empty() { Ok(edits) } else { Err(strange) }
}

/// Returns whether vcpu-topology requires topoext.
fn plans_topoext(cx: &Context<'_>) -> bool {
    let vendor = cx.facts.cpu_vendor.value().map(String::as_str);
    let planned = guest::topology(cx.facts, cx.domain, cx.policy, cx.placement);
    cx.policy.plans("vcpu-topology")
        && matches!(vendor, Some("AuthenticAMD" | "HygonGenuine"))
        && cx.domain.virt_type == "kvm"
        && planned.threads > 1
}

/// Takes `-cpu` away, and its parent where nothing else is in it.
fn removals(cx: &Context<'_>, argument: &CpuArgument) -> Vec<Edit> {
    let because = format!(
        "-cpu {} replaces the CPU that libvirt computes; elements say the same",
        argument.text
    );
    let commandline = XmlPath::domain().child("qemu:commandline");
    let all = argument.positions.len() == cx.domain.qemu_arguments.len();
    if all && !cx.domain.qemu_environment {
        return vec![Edit::remove(commandline, because)];
    }
    let place = |&n| commandline.clone().child("qemu:arg").nth(n);
    let places = argument.positions.iter().map(place);
    places.map(|place| Edit::remove(place, because.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Case;
    use super::*;
    use crate::model::domain::{CpuCache, CpuFeature};

    const PASSTHROUGH: &str = "/domain/cpu/cache/@mode = passthrough";
    const EMULATE: [&str; 2] =
        ["/domain/cpu/cache/@level = 3", "/domain/cpu/cache/@mode = emulate"];
    const WHOLE_L3: [u32; 8] = [4, 20, 5, 21, 6, 22, 7, 23];

    fn cache(mode: &str, level: Option<&str>) -> Option<CpuCache> {
        let level = level.map(str::to_owned);
        Some(CpuCache { mode: mode.to_owned(), level })
    }

    fn arguments(case: &mut Case, arguments: &[&str]) {
        let owned = arguments.iter().map(|a| (*a).to_owned());
        case.domain.qemu_arguments = owned.collect();
    }

    #[test]
    fn whole_l3s_are_passed_through() {
        let mut case = Case::amd(&WHOLE_L3, 2);
        assert_eq!(case.edits(&RULE), [PASSTHROUGH]);
        case.cpu().cache = cache("passthrough", None);
        assert!(case.satisfied(&RULE));
        case.cpu().cache = cache("passthrough", Some("3"));
        assert_eq!(case.edits(&RULE).len(), 2, "the level goes");
    }

    #[test]
    fn ids_that_share_a_cache_come_in_powers_of_two() {
        let three_cores_of_four = [1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22];
        let case = Case::amd(&three_cores_of_four, 2);
        assert_eq!(case.edits(&RULE), [PASSTHROUGH]);
    }

    /// Trap: the host's caches are true only of the host's topology.
    #[test]
    fn other_shapes_get_an_l3_of_qemus() {
        let mut case = Case::amd(&[4, 20, 5, 21], 2);
        assert_eq!(case.edits(&RULE), EMULATE);
        case.cpu().cache = cache("passthrough", None);
        assert_eq!(case.edits(&RULE), EMULATE);
        assert!(case.reasons(&RULE).contains("would mislead"));
        case.cpu().cache = cache("emulate", Some("3"));
        assert!(case.satisfied(&RULE));
        let one_thread_of_each = Case::amd(&[4, 5, 6, 7], 1);
        assert_eq!(one_thread_of_each.edits(&RULE), EMULATE);
    }

    /// Trap: passthrough is refused for other CPU modes.
    #[test]
    fn passthrough_needs_the_hosts_cpu() {
        let mut case = Case::amd(&WHOLE_L3, 2).mode(CpuMode::Custom);
        assert_eq!(case.edits(&RULE), [PASSTHROUGH], "cpu-model changes it");
        case.policy.rules.insert("cpu-model".to_owned(), Level::Advise);
        assert_eq!(case.edits(&RULE), EMULATE);
        let mut emulated = Case::amd(&WHOLE_L3, 2).mode(CpuMode::Maximum);
        emulated.domain.virt_type = "qemu".to_owned();
        assert_eq!(emulated.edits(&RULE), EMULATE);
    }

    #[test]
    fn a_topology_that_is_not_planned_must_be_there() {
        let mut case = Case::amd(&WHOLE_L3, 2);
        case.policy.rules.insert("vcpu-topology".to_owned(), Level::Off);
        assert_eq!(case.edits(&RULE), EMULATE);
        assert!(case.advice(&RULE)[0].contains("shared by 1"));
    }

    /// Trap: a second -cpu replaces everything that libvirt computed.
    #[test]
    fn the_argument_becomes_elements() {
        let mut case = Case::amd(&WHOLE_L3, 2);
        arguments(&mut case, &["-cpu", "host,l3-cache=on"]);
        let commandline = "/domain/qemu:commandline removed";
        assert_eq!(case.edits(&RULE), [PASSTHROUGH, commandline]);
        case.domain.qemu_environment = true;
        assert_eq!(
            case.edits(&RULE),
            [
                PASSTHROUGH,
                "/domain/qemu:commandline/qemu:arg[1] removed",
                "/domain/qemu:commandline/qemu:arg[2] removed",
            ]
        );
    }

    #[test]
    fn other_arguments_stay() {
        let mut case = Case::intel(&[1, 2], 1);
        case.cpu().cache = cache("emulate", Some("3"));
        let words = "host,kvm=off,migratable=no,l3_cache=on";
        arguments(&mut case, &["-s", "-cpu", "qemu64", "-cpu", words]);
        assert_eq!(
            case.edits(&RULE),
            [
                "/domain/features/kvm/hidden/@state = on",
                "/domain/cpu/@migratable = off",
                "/domain/qemu:commandline/qemu:arg[2] removed",
                "/domain/qemu:commandline/qemu:arg[3] removed",
                "/domain/qemu:commandline/qemu:arg[4] removed",
                "/domain/qemu:commandline/qemu:arg[5] removed",
            ]
        );
    }

    #[test]
    fn words_without_an_element_keep_the_argument() {
        let mut case = Case::amd(&WHOLE_L3, 2);
        arguments(&mut case, &["-cpu", "host,+invtsc,+topoext,hv_time"]);
        assert_eq!(case.edits(&RULE), [PASSTHROUGH]);
        let advice = case.advice(&RULE).concat();
        assert!(advice.contains("for invtsc=on, hv-time=on here"), "{advice}");
        case.cpu().features.push(CpuFeature {
            name: "invtsc".to_owned(),
            policy: Some("require".to_owned()),
        });
        arguments(&mut case, &["-cpu", "host,+invtsc"]);
        assert!(case.advice(&RULE).is_empty());
        arguments(&mut case, &["-cpu", "EPYC"]);
        assert!(case.advice(&RULE)[0].contains("for EPYC here"));
    }

    #[test]
    fn it_is_for_x86() {
        let mut case = Case::intel(&[1], 1);
        case.domain.arch = Some("aarch64".to_owned());
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }
}
