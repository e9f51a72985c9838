//! Plans by hand.

use std::collections::BTreeMap;

use vmtune::base::{
    Bytes, CellId, CpuId, CpuSet, Digest, DomainName, NodeId, PageSize, VcpuId,
    VcpuSet,
};
use vmtune::hypervisor::Hypervisor;
use vmtune::model::{
    CellPlacement, Change, Objective, Plan, Stage, Target, VmPlacement, VmPlan,
};

/// Makes a plan of these edits for one VM as it is now.
pub(crate) fn plan(
    hypervisor: &dyn Hypervisor,
    vm: &str,
    edits: &[(&str, Option<&str>)],
) -> Plan {
    let info = hypervisor.find(vm).unwrap();
    let text = hypervisor.inactive_definition(&info.uuid).unwrap();
    let change = |(target, to): &(&str, Option<&str>)| Change {
        rule: "by-hand".into(),
        vm: Some(vm.into()),
        target: Target::Definition(target.parse().unwrap()),
        from: None,
        to: to.map(Into::into),
        because: "a test".into(),
        stage: Stage::VmStart,
        trade: None,
    };
    Plan {
        schema_version: Plan::SCHEMA_VERSION,
        fingerprint: Digest::of(b"facts"),
        host: "this machine".into(),
        connection: hypervisor.uri().into(),
        preset: "balanced".into(),
        housekeeping: CpuSet::new(),
        vms: vec![VmPlan {
            name: info.name,
            uuid: Some(info.uuid),
            digest: Digest::of(text.as_bytes()),
            placement: None,
            objective: Objective::default(),
            bound: Objective::default(),
        }],
        changes: edits.iter().map(change).collect(),
        advice: vec![],
        unknown: vec![],
    }
}

/// Plans one vCPU on CPU 1, everything else on CPU 0, and all memory in pages
/// of 2 MiB from node 0.
pub(crate) fn pinned(
    hypervisor: &dyn Hypervisor,
    vm: &str,
    memory: Bytes,
) -> Plan {
    let mut plan = plan(
        hypervisor,
        vm,
        &[
            ("/domain/cputune/vcpupin[@vcpu='0']/@cpuset", Some("1")),
            ("/domain/cputune/emulatorpin/@cpuset", Some("0")),
            ("/domain/cputune/iothreadpin[@iothread='1']/@cpuset", Some("0")),
            ("/domain/numatune/memory/@mode", Some("strict")),
            ("/domain/numatune/memory/@nodeset", Some("0")),
            (
                "/domain/memoryBacking/hugepages/page[@size='2048']/@unit",
                Some("KiB"),
            ),
        ],
    );
    let cpu = |n| [CpuId(n)].into_iter().collect::<CpuSet>();
    plan.vms[0].placement = Some(VmPlacement {
        name: vm.parse::<DomainName>().unwrap(),
        exclusive: true,
        vcpus: BTreeMap::from([(VcpuId(0), cpu(1))]),
        cells: vec![CellPlacement {
            id: CellId(0),
            vcpus: [VcpuId(0)].into_iter().collect::<VcpuSet>(),
            memory,
            node: NodeId(0),
            memory_node: NodeId(0),
        }],
        threads: 1,
        pages: Some(PageSize::TWO_MIB),
        emulator: cpu(0),
        iothreads: BTreeMap::from([(1, cpu(0))]),
        reserved: CpuSet::new(),
        because: vec![],
    });
    plan
}
