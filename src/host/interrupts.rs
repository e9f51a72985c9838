//! Interrupts of the PCI functions that matter to VMs, from
//! `/sys/bus/pci/devices/*/msi_irqs` and `/proc/irq`.

use super::{Root, pci, text};
use crate::base::CpuSet;
use crate::model::Fact;
use crate::model::facts::{Interrupt, PciClass, PciFunction};

/// Since this release the kernel takes the right to write away from the list
/// of CPUs of an interrupt that stays where it is ("genirq/proc: Make
/// smp_affinity read-only for interrupts that userspace can't set").
const TELLS_MANAGED: (u32, u32) = (6, 12);

/// Reads the interrupts of functions. Those of a disk are the host's own and
/// hundreds on a large host; they are read once a VM has it.
pub(super) fn read(
    root: &Root,
    functions: &Fact<Vec<PciFunction>>,
    release: &Fact<String>,
) -> Fact<Vec<Interrupt>> {
    let functions = match functions {
        Fact::Known { value, .. } => value,
        Fact::Unknown { unknown } => return Fact::unknown(unknown),
    };
    let tells = release.value().and_then(|text| version(text));
    let tells = tells.is_some_and(|version| version >= TELLS_MANAGED);
    let mut all = Vec::new();
    for function in functions {
        if function.class == PciClass::Storage && !function.is_passed_through()
        {
            continue;
        }
        let folder = format!("{}/{}/msi_irqs", pci::FOLDER, function.address);
        // Without a driver there is no such folder.
        for name in root.list(&folder).unwrap_or_default() {
            let Some(number) = text::number_after(&name, "") else { continue };
            let irq = format!("proc/irq/{number}");
            // A vector that no driver has asked for has no list.
            let list = format!("{irq}/smp_affinity_list");
            let Ok(writable) = root.is_writable(&list) else { continue };
            all.push(Interrupt {
                number,
                device: function.address,
                effective: root
                    .fact(&format!("{irq}/effective_affinity_list"), |text| {
                        text.parse::<CpuSet>().ok()
                    }),
                movable: match (writable, tells) {
                    (true, false) => Fact::unknown(
                        "kernels before 6.12 do not tell which they manage",
                    ),
                    (movable, _) => Fact::known(movable, format!("/{list}")),
                },
            });
        }
    }
    all.sort_unstable_by_key(|interrupt| interrupt.number);
    Fact::known(all, format!("/{}/*/msi_irqs", pci::FOLDER))
}

/// Reads the first two numbers of a kernel's release: `6.12.9-arch1-1`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_begin_with_two_numbers() {
        assert_eq!(version("6.12.9-arch1-1"), Some((6, 12)));
        assert_eq!(version("6.8.0-45-generic"), Some((6, 8)));
        assert_eq!(version("7.0-rc1"), Some((7, 0)));
        assert_eq!(version("six"), None);
    }
}
