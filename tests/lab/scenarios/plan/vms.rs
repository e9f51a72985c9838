//! The VMs of each shape, chosen so that by hand one can say where they go.

/// What is planned on a host.
pub(super) struct Vms {
    /// The policy, where it is not the preset.
    pub(super) policy: &'static str,
    /// VMs that are planned together. Each group runs before the next is
    /// planned.
    pub(super) groups: Vec<Vec<Vm>>,
}

/// A VM, so small that its firmware alone runs.
pub(super) struct Vm {
    pub(super) name: &'static str,
    pub(super) vcpus: u32,
    pub(super) iothreads: u32,
    /// In MiB.
    pub(super) memory: u64,
    /// The nodes that it belongs on.
    pub(super) nodes: &'static [u32],
}

impl Vm {
    /// Returns what its owner defines: sizes, and nothing of this host.
    pub(super) fn xml(&self) -> String {
        let Self { name, vcpus, iothreads, memory, .. } = self;
        format!(
            "<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu placement='static'>{vcpus}</vcpu>
  <iothreads>{iothreads}</iothreads>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/><apic/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <memballoon model='none'/>
  </devices>
</domain>
"
        )
    }
}

impl Vms {
    /// Returns all of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Vm> {
        self.groups.iter().flatten()
    }
}

fn vm(name: &'static str, vcpus: u32, nodes: &'static [u32]) -> Vm {
    Vm { name, vcpus, iothreads: 1, memory: 64, nodes }
}

/// Returns the VMs of a shape; none where it is there for other things.
pub(super) fn of(shape: &str) -> Option<Vms> {
    Some(match shape {
        // Core 0 is the host's. Node 2 has the card, so it is taken last;
        // with node 3, near to it, it serves the guest with two nodes.
        "epyc-2s-4n" => Vms {
            policy: "memory.pages = '2M'\nvm.cells.cells = 2\n",
            groups: vec![
                vec![
                    vm("whole", 4, &[1]),
                    Vm { memory: 128, ..vm("cells", 8, &[2, 3]) },
                ],
                vec![vm("small", 2, &[0])],
            ],
        },
        // A core of each node is the host's. The emulator's own core makes
        // it all of node 0; node 1 has the card.
        "xeon-2s" => Vms {
            policy: "memory.pages = '2M'
vm.whole.cpu.emulator = 'dedicated'
",
            groups: vec![
                vec![Vm { iothreads: 2, ..vm("whole", 4, &[0]) }],
                vec![vm("small", 2, &[1])],
            ],
        },
        // One of three cores for a vCPU alone, and two for four.
        "desktop-1s" => Vms {
            policy: "memory.pages = '2M'\nvm.small.cpu.smt = 'isolate'\n",
            groups: vec![
                vec![vm("whole", 4, &[0])],
                vec![vm("small", 1, &[0])],
            ],
        },
        // A core of each node is the host's.
        "no-smt" => Vms {
            policy: "memory.pages = '2M'\nvm.cells.cells = 2\n",
            groups: vec![
                vec![vm("cells", 4, &[0, 1])],
                vec![vm("small", 1, &[0])],
            ],
        },
        // Core 0 is the host's, the one of CPU 2 has lost its sibling.
        "offline-cpus" => Vms {
            policy: "memory.pages = '2M'\nvm.cells.cells = 2\n",
            groups: vec![
                vec![vm("cells", 4, &[0, 1])],
                vec![vm("small", 2, &[1])],
            ],
        },
        "small-vf" => Vms {
            policy: "memory.pages = '2M'\n",
            groups: vec![vec![vm("small", 1, &[0])]],
        },
        _ => return None,
    })
}
