//! Sockets, dies, cores and threads of the guest.
//!
//! The guest's scheduler, its caches and its libraries read from the topology
//! who shares what. It helps where it is true, and misleads where it is not:
//! it follows the pins, never the other way round.

pub(super) mod conf;

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::XmlPath;
use crate::model::domain::{CpuMode, CpuTopology};
use crate::model::guest;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "vcpu-topology",
    group: Group::GuestCpu,
    why: "A guest can use SMT siblings, shared caches and nodes well only \
          where its topology says what the pins make true.",
    hurts: "Windows client editions use no more than two sockets, and \
            licences may count sockets or cores.",
    folklore: "Guides find siblings by counting (CPU n and n + N/2), which \
               holds on their host only; the kernel's thread_siblings_list \
               says it for each. They switch on an L3 and leave the topology \
               out: libvirt then makes each vCPU a socket, and the guest sees \
               an L3 that 1 CPU shares.",
    sources: &[
        "libvirt, Domain XML format, \"CPU model and topology\"",
        "QEMU, qemu-options, -smp: threads are numbered fastest",
        "QEMU 10.0: a boot sector reading CPUID leaf 4 sees an L3 shared by \
         1 with sockets=8, by 8 with cores=8, by 8 with dies=2 and 16 vCPUs",
        "QEMU 10.0: clusters are refused on x86 machines; AMD guests with \
         threads=2 and without topoext get a warning and no SMT",
    ],
    level: crate::model::policy::Level::Plan,
    owns: &["/domain/cpu/topology", "/domain/cpu/feature"],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let wanted = guest::topology(cx.facts, cx.domain, cx.policy, cx.placement);
    let given = cx.domain.cpu.as_ref().and_then(|cpu| cpu.topology);
    let mut edits = Vec::new();
    if given.is_none_or(|given| !given.equals(&wanted)) {
        edits = topology_edits(given, &wanted, &because(cx, given, &wanted));
    }
    let mut advice = Vec::new();
    if wanted.threads > 1 && may_need_topoext(cx) {
        match cx.facts.cpu_vendor.value().map(String::as_str) {
            Some("AuthenticAMD" | "HygonGenuine") => edits.push(topoext(cx)),
            Some(_) => {}
            None => advice.push(
                "Whether the host's CPU is AMD's is not known: if it is, the \
                 guest sees its threads only with <feature \
                 policy='require' name='topoext'/>."
                    .to_owned(),
            ),
        }
    }
    let CpuTopology { sockets, cores, threads, .. } = wanted;
    let dies = wanted.dies.unwrap_or(1);
    let seen = format!(
        "sockets {sockets}, dies {dies}, cores {cores}, threads {threads} \
         are true to the pins"
    );
    Verdict::of(edits, advice, seen)
}

fn topology_edits(
    given: Option<CpuTopology>,
    wanted: &CpuTopology,
    because: &str,
) -> Vec<Edit> {
    let topology = XmlPath::domain().child("cpu").child("topology");
    let place = |name| topology.clone().attribute(name);
    let set = |name, to: u32| Edit::set(place(name), to.to_string(), because);
    let mut edits = Vec::new();
    let is = |part: fn(&CpuTopology) -> u32| {
        given.is_some_and(|given| part(&given) == part(wanted))
    };
    if !is(|t| t.sockets) {
        edits.push(set("sockets", wanted.sockets));
    }
    let dies = wanted.dies.unwrap_or(1);
    if given.and_then(|given| given.dies).unwrap_or(1) != dies {
        edits.push(set("dies", dies));
    }
    let clusters = wanted.clusters.unwrap_or(1);
    if given.and_then(|given| given.clusters).unwrap_or(1) != clusters {
        edits.push(Edit::remove(place("clusters"), because));
    }
    if !is(|t| t.cores) {
        edits.push(set("cores", wanted.cores));
    }
    if !is(|t| t.threads) {
        edits.push(set("threads", wanted.threads));
    }
    edits
}

fn because(
    cx: &Context<'_>,
    given: Option<CpuTopology>,
    wanted: &CpuTopology,
) -> String {
    let mut parts = Vec::new();
    match given {
        None => parts.push(
            "without a topology libvirt makes each vCPU a socket, which \
             shares no cache"
                .to_owned(),
        ),
        Some(given) if given.vcpus() != cx.domain.vcpus => parts.push(format!(
            "the topology makes {} vCPUs, the VM has {}",
            given.vcpus(),
            cx.domain.vcpus
        )),
        Some(given) if given.clusters.unwrap_or(1) > 1 => {
            parts.push("x86 machines have no clusters".to_owned());
        }
        Some(_) => {}
    }
    if wanted.sockets > 1 {
        parts.push(format!(
            "{} sockets, so that no guest cell splits one",
            wanted.sockets
        ));
    }
    let cpus = cx.placement.cpus();
    let first = cpus.first();
    let l3 = first.and_then(|cpu| cx.facts.topology.l3_of(cpu));
    if let (Some(dies), Some(l3)) = (wanted.dies, l3) {
        parts.push(format!(
            "{dies} dies a socket, for its vCPUs fill as many L3s evenly, the \
             first that of CPUs {}",
            l3.cpus
        ));
    }
    let core = first.and_then(|cpu| cx.facts.topology.core_of(cpu));
    if let (2.., Some(core)) = (wanted.threads, core) {
        parts.push(format!(
            "{} vCPUs in a row are pinned to siblings, the first to the core \
             of CPUs {}",
            wanted.threads, core.cpus
        ));
    } else if cx.placement.threads > 1 {
        parts.push("the pins are not all siblings".to_owned());
    } else {
        parts.push("one thread to a core".to_owned());
    }
    format!("{} ({})", parts.join("; "), cx.facts.topology.origin)
}

/// Returns whether the CPU could lack topoext: models by name bring what they
/// need, and only KVM hands out the host's own.
fn may_need_topoext(cx: &Context<'_>) -> bool {
    let mode = guest::cpu_mode(cx.facts, cx.domain, cx.policy);
    let cpu = cx.domain.cpu.as_ref();
    let policy = cpu.and_then(|cpu| cpu.feature("topoext"));
    cx.domain.virt_type == "kvm"
        && cx.domain.is_x86_64()
        && (guest::is_hosts_own(mode.as_ref())
            || mode == Some(CpuMode::HostModel))
        && !matches!(policy, Some("require" | "force"))
}

fn topoext(cx: &Context<'_>) -> Edit {
    let feature = XmlPath::domain().child("cpu").child("feature");
    let policy = feature.with("name", "topoext").attribute("policy");
    let origin = cx.facts.cpu_vendor.origin();
    let because = format!(
        "the host's CPU is AMD's ({}): without topoext the guest sees no \
         threads, and the host's own CPU model does not bring it",
        origin.map_or("", |origin| &origin.0)
    );
    Edit::set(policy, "require", because)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, cpus};
    use super::*;
    use crate::base::VcpuId;
    use crate::model::Fact;
    use crate::model::domain::CpuMode;

    const AT: &str = "/domain/cpu/topology/@";

    /// The shape planned for a VM without a topology: sockets, dies, cores,
    /// threads.
    fn shape(case: &Case) -> [u32; 4] {
        let edits = case.edits(&RULE);
        ["sockets", "dies", "cores", "threads"].map(|name| {
            let start = format!("{AT}{name} = ");
            let mut values =
                edits.iter().filter_map(|e| e.strip_prefix(&start));
            values.next().map_or(1, |value| value.parse().unwrap())
        })
    }

    fn topology(numbers: [u32; 4]) -> CpuTopology {
        let [sockets, dies, cores, threads] = numbers;
        let dies = Some(dies);
        CpuTopology { sockets, dies, clusters: None, cores, threads }
    }

    /// Trap: libvirt's default of one socket for each vCPU shares no cache.
    #[test]
    fn a_missing_topology_is_written() {
        let case = Case::intel(&[1, 2, 3, 4], 1);
        assert_eq!(shape(&case), [1, 1, 4, 1]);
        assert!(case.reasons(&RULE).contains("each vCPU a socket"));
    }

    /// Trap: vCPU 2k and 2k + 1 are the threads of one guest core.
    #[test]
    fn threads_are_siblings_or_are_none() {
        assert_eq!(shape(&Case::intel(&[1, 17, 2, 18], 2)), [1, 1, 2, 2]);
        assert_eq!(shape(&Case::intel(&[1, 2, 17, 18], 2)), [1, 1, 4, 1]);
    }

    /// Trap: siblings are what the host says, not CPU n and n + N/2; and
    /// cores of one thread (hybrid, or a sibling offline) have none.
    #[test]
    fn siblings_are_the_hosts() {
        let mut case = Case::intel(&[2, 3, 4, 5], 2);
        for (core, pair) in (0..).zip(["2-3", "4-5"]) {
            case.facts.topology.cores[core].cpus = cpus(pair);
        }
        assert_eq!(shape(&case), [1, 1, 2, 2]);
        case.facts.topology.cores[1].cpus = cpus("4");
        assert_eq!(shape(&case), [1, 1, 4, 1]);
    }

    /// Trap: `dies` is how libvirt gives a guest several L3s.
    #[test]
    fn dies_are_l3s_that_are_filled_evenly() {
        let even = Case::amd(&[2, 18, 3, 19, 4, 20, 5, 21], 2);
        assert_eq!(shape(&even), [1, 2, 2, 2]);
        assert!(even.reasons(&RULE).contains("CPUs 0-3,16-19"));
        let uneven = Case::amd(&[1, 2, 3, 4], 1);
        assert_eq!(shape(&uneven), [1, 1, 4, 1]);
        let mixed = Case::amd(&[1, 4, 2, 5], 1);
        assert_eq!(shape(&mixed), [1, 1, 4, 1]);
        let mut unknown = Case::amd(&[2, 3, 4, 5], 1);
        unknown.facts.topology.l3.clear();
        assert_eq!(shape(&unknown), [1, 1, 4, 1]);
    }

    #[test]
    fn a_guest_cell_is_whole_sockets() {
        let even = Case::amd(&[2, 3, 4, 5, 10, 11, 12, 13], 1);
        assert_eq!(shape(&even), [2, 2, 2, 1]);
        let uneven = Case::intel(&[1, 2, 3, 4, 9, 10], 1);
        assert_eq!(shape(&uneven), [3, 1, 2, 1]);
    }

    #[test]
    fn an_equal_topology_stays() {
        let mut case = Case::intel(&[1, 17, 2, 18], 2);
        case.cpu().topology = Some(topology([1, 1, 2, 2]));
        assert!(case.satisfied(&RULE));
        case.cpu().topology = Some(topology([1, 1, 4, 2]));
        assert_eq!(case.edits(&RULE), [format!("{AT}cores = 2")]);
        assert!(case.reasons(&RULE).contains("makes 8 vCPUs, the VM has 4"));
    }

    /// Trap: libvirt takes clusters on x86, QEMU refuses them.
    #[test]
    fn clusters_are_not_for_x86() {
        let mut case = Case::intel(&[1, 2], 1);
        case.cpu().topology =
            Some(CpuTopology { clusters: Some(2), ..topology([1, 1, 1, 1]) });
        let removed = format!("{AT}clusters removed");
        assert_eq!(case.edits(&RULE), [removed, format!("{AT}cores = 2")]);
        case.domain.arch = Some("aarch64".to_owned());
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn vcpus_that_float_keep_a_complete_topology() {
        let mut case = Case::intel(&[1, 2], 1);
        for vcpu in 0..2 {
            case.placement.vcpus.insert(VcpuId(vcpu), cpus("1-7"));
        }
        assert_eq!(shape(&case), [1, 1, 2, 1]);
        case.cpu().topology = Some(topology([2, 1, 1, 1]));
        assert!(case.satisfied(&RULE));
    }

    /// Trap: on AMD the host's own CPU model does not bring topoext.
    #[test]
    fn threads_need_topoext_on_amd() {
        let topoext =
            "/domain/cpu/feature[@name='topoext']/@policy = require".to_owned();
        let pins = [2, 18, 3, 19];
        assert!(Case::amd(&pins, 2).edits(&RULE).contains(&topoext));
        assert!(!Case::intel(&pins, 2).edits(&RULE).contains(&topoext));
        assert!(!Case::amd(&pins, 1).edits(&RULE).contains(&topoext));
        let mut named = Case::amd(&pins, 2).mode(CpuMode::Custom);
        let off = crate::model::policy::Level::Off;
        named.policy.rules.insert("cpu-model".to_owned(), off);
        assert!(!named.edits(&RULE).contains(&topoext), "the model has it");
        let mut unknown = Case::amd(&pins, 2);
        unknown.facts.cpu_vendor = Fact::unknown("not read");
        assert!(unknown.advice(&RULE)[0].contains("topoext"));
    }
}
