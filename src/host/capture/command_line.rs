//! The kernel command line of a capture. Pure.

use super::Scrubber;
use crate::boot::{self, Form};
use crate::host::text;

/// Parameters whose values a plan may cite, or whose values name nothing;
/// with a dot at the end, all parameters of a module.
const KEPT: [&str; 40] = [
    "amd_iommu",
    "amd_pstate",
    "audit",
    "clocksource",
    "console",
    "cpuidle.",
    "default_hugepagesz",
    "hugepages",
    "hugepagesz",
    "idle",
    "init_on_alloc",
    "intel_idle.",
    "intel_iommu",
    "intel_pstate",
    "iommu",
    "iommu.",
    "irqaffinity",
    "isolcpus",
    "kvm.",
    "kvm_amd.",
    "kvm_intel.",
    "kthread_cpus",
    "mitigations",
    "mlx5_core.",
    "nmi_watchdog",
    "nohz",
    "nohz_full",
    "numa",
    "numa_balancing",
    "pci",
    "pcie_acs_override",
    "pcie_aspm",
    "preempt",
    "processor.",
    "rcu_nocbs",
    "spectre_v2",
    "transparent_hugepage",
    "tsc",
    "vfio_pci.",
    "vhost_net.",
];

impl Scrubber {
    /// Scrubs a kernel command line: names of parameters stay, and values
    /// that are numbers, CPU lists or switches, and those of parameters that
    /// a plan may cite. What follows `--` is init's and goes.
    #[must_use]
    pub fn command_line(&mut self, command_line: &str) -> String {
        let mut words = Vec::new();
        for word in text::parameters(command_line) {
            if word == "--" {
                break;
            }
            words.push(self.parameter(word));
        }
        let mut line = words.join(" ");
        if command_line.ends_with('\n') {
            line.push('\n');
        }
        line
    }

    /// Scrubs a file with a command line for the next boot in the same way:
    /// it sets the same arguments and says nothing else.
    #[must_use]
    pub fn next_boot(&mut self, form: Form, text: &str) -> String {
        boot::portrait(form, text, &mut |word| self.parameter(word))
    }

    fn parameter(&mut self, word: &str) -> String {
        let Some((name, value)) = word.split_once('=') else {
            return word.to_owned();
        };
        if is_kept(name) || is_plain(value) {
            return word.to_owned();
        }
        format!("{name}={}", self.value(value))
    }
}

fn is_kept(name: &str) -> bool {
    // The kernel takes `-` for `_` in names.
    let name = name.replace('-', "_");
    KEPT.iter().any(|kept| match kept.strip_suffix('.') {
        Some(module) => name.split_once('.').is_some_and(|(m, _)| m == module),
        None => name == *kept,
    })
}

fn is_plain(value: &str) -> bool {
    let switch =
        ["on", "off", "y", "n", "Y", "N", "yes", "no", "true", "false"];
    let number = value.trim_end_matches(['K', 'M', 'G']);
    switch.contains(&value)
        || number.parse::<i64>().is_ok()
        || value.parse::<crate::base::CpuSet>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_plan_cites_stays() {
        let line = "BOOT_IMAGE=/vmlinuz-6.1 root=/dev/mapper/acme--vg-root ro \
                    quiet isolcpus=managed_irq,2-7 hugepages=16 \
                    hugepagesz=1G rd.luks.key=secret ip=10.0.0.7::eth0 \
                    panic=-1 kvm-intel.nested=1 -- --token abc\n";
        let expected = "BOOT_IMAGE=scrubbed1 root=scrubbed2 ro quiet \
                        isolcpus=managed_irq,2-7 hugepages=16 hugepagesz=1G \
                        rd.luks.key=scrubbed3 ip=scrubbed4 panic=-1 \
                        kvm-intel.nested=1\n";
        assert_eq!(Scrubber::default().command_line(line), expected);
    }

    #[test]
    fn files_for_the_next_boot_say_no_more() {
        let mut scrubber = Scrubber::default();
        let text = "# ask Eve\nGRUB_DISTRIBUTOR='Acme'\n\
                    GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT \
                    quiet root=/dev/acme isolcpus=2-7 -- --token abc\"\n";
        let expected = "GRUB_CMDLINE_LINUX_DEFAULT=\
                        \"${GRUB_CMDLINE_LINUX_DEFAULT} quiet \
                        root=scrubbed1 isolcpus=2-7 --\"\n";
        assert_eq!(scrubber.next_boot(Form::Grub, text), expected);
        let secret = "GRUB_CMDLINE_LINUX=\"$(cat /root/secret)\"\n";
        assert_eq!(scrubber.next_boot(Form::Grub, secret), "eval\n");
        let text = "root=/dev/acme boot=zfs dyndbg=\"file a\" -- x y\n";
        let expected = "root=scrubbed1 boot=scrubbed2 dyndbg=scrubbed3 --\n";
        assert_eq!(scrubber.next_boot(Form::CommandLine, text), expected);
    }
}
