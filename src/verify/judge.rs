//! What the probe found, judged by what was planned.

use serde::{Deserialize, Serialize};

use crate::base::{CpuSet, DomainName, VcpuId};
use crate::model::VmPlacement;
use crate::model::domain::Domain;
use crate::model::probe::{CpuJitter, ProbeReport};

/// What a vCPU with a CPU of its own may lose, in parts of a million. The
/// timer of an ordinary kernel takes some hundreds; another busy thread takes
/// half of all.
const MAY_LOSE_PPM: u64 = 10_000;

/// What came of looking at a VM from inside.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Version of this form; see [`Verdict::SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The VM.
    pub vm: DomainName,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// What the probe found; every word of it is the guest's.
    pub report: ProbeReport,
}

impl Verdict {
    /// The version of the form that this program writes.
    pub const SCHEMA_VERSION: u32 = 1;
}

/// Something that is not as it should be.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// The vCPU that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcpu: Option<VcpuId>,
    /// What is found, what was expected, and what limits.
    pub says: String,
    /// Rules that could help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// What can be found.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The guest has more or fewer CPUs than the VM.
    CpuCount,
    /// A vCPU is kept from running.
    CpuLost,
}

/// Judges what the probe found in a VM of this definition. `placement` is
/// where a plan that stands put it.
#[must_use]
pub fn judge(
    domain: &Domain,
    placement: Option<&VmPlacement>,
    report: ProbeReport,
) -> Verdict {
    let mut findings = Vec::new();
    if let Some(jitter) = &report.jitter {
        let vcpus = domain.current_vcpus.unwrap_or(domain.vcpus);
        findings.extend(count(vcpus, jitter.cpus.len()));
        let lost = jitter.cpus.iter().filter_map(|one| lost(one, placement));
        findings.extend(lost);
    }
    let (schema_version, vm) = (Verdict::SCHEMA_VERSION, domain.name.clone());
    Verdict { schema_version, vm, findings, report }
}

fn count(vcpus: u32, seen: usize) -> Option<Finding> {
    (usize::try_from(vcpus) != Ok(seen)).then(|| Finding {
        kind: FindingKind::CpuCount,
        vcpu: None,
        says: format!("the VM has {vcpus} vCPUs, and the guest uses {seen}"),
        rules: Vec::new(),
    })
}

fn lost(one: &CpuJitter, placement: Option<&VmPlacement>) -> Option<Finding> {
    let ppm = one.lost_ppm();
    if ppm <= MAY_LOSE_PPM {
        return None;
    }
    // The guest numbers its CPUs as the VM its vCPUs.
    let vcpu = VcpuId(one.cpu.0);
    let cpus = placement.and_then(|placement| placement.vcpus.get(&vcpu));
    let stolen = one.stolen_ns.value().copied().unwrap_or_default();
    let (why, rules) = if stolen >= one.lost_ns / 2 {
        others(cpus, placement)
    } else if one.preempted > 0 {
        let why = format!(
            "other threads of the guest were let onto it {} times",
            one.preempted
        );
        (why, [].as_slice())
    } else {
        let why = "neither the guest nor the hypervisor says to whom: \
                   interrupts of the host, its firmware, or threads of a host \
                   that does not tell"
            .to_owned();
        (why, ["cpu-isolation", "irq-affinity", "vcpu-pin"].as_slice())
    };
    Some(Finding {
        kind: FindingKind::CpuLost,
        vcpu: Some(vcpu),
        says: format!(
            "loses {} of its time, and should lose at most {}: {why}",
            percent(ppm),
            percent(MAY_LOSE_PPM)
        ),
        rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
    })
}

/// Says to whom the hypervisor gives the time.
fn others(
    cpus: Option<&CpuSet>,
    placement: Option<&VmPlacement>,
) -> (String, &'static [&'static str]) {
    match (cpus, placement) {
        (Some(cpus), Some(placement)) if placement.exclusive => (
            format!("the host gives it to others on CPU {cpus}"),
            &["cpu-isolation", "emulator-pin", "irq-affinity"],
        ),
        (Some(cpus), _) => (
            format!(
                "the host gives it to others on CPUs {cpus}, which it \
                     shares"
            ),
            &["vcpu-pin"],
        ),
        (None, _) => (
            "the host gives it to others, and no plan that stands says where \
             it runs"
                .to_owned(),
            &["vcpu-pin", "cpu-isolation"],
        ),
    }
}

/// Spells parts of a million for people.
fn percent(ppm: u64) -> String {
    format!("{}.{} %", ppm / 10_000, ppm % 10_000 / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CpuId;
    use crate::definition;
    use crate::model::Fact;
    use crate::model::probe::Jitter;

    fn domain() -> Domain {
        definition::read(
            "<domain type='kvm'><name>vm1</name><memory>1048576</memory>\
             <vcpu>2</vcpu><os><type>hvm</type></os></domain>",
        )
        .unwrap()
    }

    fn placement(exclusive: bool) -> VmPlacement {
        let cpus = |text: &str| text.parse::<CpuSet>().unwrap();
        VmPlacement {
            name: "vm1".parse().unwrap(),
            exclusive,
            vcpus: [(VcpuId(0), cpus("4")), (VcpuId(1), cpus("5"))].into(),
            cells: Vec::new(),
            threads: 1,
            pages: None,
            emulator: cpus("0"),
            iothreads: [].into(),
            reserved: cpus(""),
            nics: Vec::new(),
            because: Vec::new(),
        }
    }

    /// A second of looking, of which vCPU 1 lost so many milliseconds, and so
    /// many were given to others.
    fn report(lost_ms: u64, stolen_ms: u64, preempted: u64) -> ProbeReport {
        let cpu = |cpu, lost_ms: u64, stolen_ms: u64, preempted| CpuJitter {
            cpu: CpuId(cpu),
            looked_ns: 1_000_000_000,
            lost_ns: lost_ms * 1_000_000,
            gaps: None,
            stolen_ns: Fact::known(stolen_ms * 1_000_000, "/proc/stat"),
            preempted,
        };
        let cpus = vec![cpu(0, 1, 0, 0), cpu(1, lost_ms, stolen_ms, preempted)];
        let jitter = Some(Jitter { gap_from_ns: 1000, cpus });
        let version = "1".to_owned();
        ProbeReport {
            schema_version: 1,
            version,
            jitter,
            sockets: Vec::new(),
            rdma: None,
        }
    }

    fn says(placement: Option<&VmPlacement>, report: ProbeReport) -> String {
        let judged = judge(&domain(), placement, report);
        let [finding] = &judged.findings[..] else { panic!("{judged:?}") };
        assert_eq!(finding.kind, FindingKind::CpuLost);
        assert_eq!(finding.vcpu, Some(VcpuId(1)));
        let start = "loses 50.0 % of its time, and should lose at most 1.0 %: ";
        let why = finding.says.strip_prefix(start).unwrap();
        format!("{why} -> {}", finding.rules.join(" "))
    }

    #[test]
    fn who_has_the_time_is_said_where_it_is_known() {
        let (own, shared) = (placement(true), placement(false));
        let stolen = || report(500, 490, 3);
        assert_eq!(
            says(Some(&own), stolen()),
            "the host gives it to others on CPU 5 -> cpu-isolation \
             emulator-pin irq-affinity"
        );
        assert_eq!(
            says(Some(&shared), stolen()),
            "the host gives it to others on CPUs 5, which it shares -> \
             vcpu-pin"
        );
        assert!(says(None, stolen()).contains("no plan that stands"));
        let own_threads = says(Some(&own), report(500, 0, 40));
        assert!(own_threads.contains("threads of the guest"), "{own_threads}");
        let nobody = says(Some(&own), report(500, 0, 0));
        assert!(nobody.starts_with("neither the guest nor"), "{nobody}");
    }

    #[test]
    fn what_the_timer_takes_is_no_finding() {
        let judged = judge(&domain(), None, report(10, 10, 5));
        assert_eq!(judged.findings, []);
        let mut fewer = report(0, 0, 0);
        fewer.jitter.as_mut().unwrap().cpus.pop();
        let judged = judge(&domain(), None, fewer);
        let [finding] = &judged.findings[..] else { panic!("{judged:?}") };
        assert_eq!(finding.kind, FindingKind::CpuCount);
        assert_eq!(finding.says, "the VM has 2 vCPUs, and the guest uses 1");
    }
}
