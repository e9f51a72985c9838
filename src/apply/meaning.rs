//! Whether two values mean the same: what is written and what comes back are
//! seldom the same text.

use crate::base::{CpuSet, HostPath};
use crate::system::chosen;

/// Returns whether two values mean the same: the same text, the same list of
/// CPUs or nodes, or the same number in decimal and hexadecimal.
pub(super) fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    let set = |text: &str| text.parse::<CpuSet>().ok();
    let both = |x: Option<bool>| x == Some(true);
    a == b
        || both(set(a).zip(set(b)).map(|(a, b)| a == b))
        || both(number(a).zip(number(b)).map(|(a, b)| a == b))
}

/// Returns whether two values of the kernel at this path mean the same. Of a
/// list of choices the one that is chosen counts.
#[must_use]
pub fn same_value(path: &HostPath, a: &str, b: &str) -> bool {
    let word = |text| chosen(text).unwrap_or(text).trim();
    let (a, b) = (word(a), word(b));
    if is_mask(path) {
        return a == b || mask(a).is_some_and(|a| mask(b) == Some(a));
    }
    same(a, b)
}

/// Returns whether a value lies between two others, as a pool of pages does
/// that was being filled.
pub(super) fn is_between(value: &str, one: &str, other: &str) -> bool {
    let numbers = (number(value), number(one), number(other));
    let (Some(value), Some(one), Some(other)) = numbers else {
        return false;
    };
    (one.min(other)..=one.max(other)).contains(&value)
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Returns whether the kernel keeps a mask of CPUs there: hexadecimal digits
/// that could be taken for a list.
fn is_mask(path: &HostPath) -> bool {
    const MASKS: [&str; 5] = [
        "smp_affinity",
        "default_smp_affinity",
        "cpumask",
        "rps_cpus",
        "xps_cpus",
    ];
    MASKS.contains(&path.name())
}

/// Returns the digits of a mask that count. All groups but the first have
/// eight.
fn mask(text: &str) -> Option<String> {
    let mut digits = String::new();
    for (n, group) in text.split(',').enumerate() {
        let hex = group.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex || group.is_empty() || n > 0 && group.len() != 8 {
            return None;
        }
        digits.push_str(&group.to_lowercase());
    }
    Some(digits.trim_start_matches('0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_numbers_have_many_spellings() {
        for (a, b) in [
            ("1,0", "0-1"),
            ("10", "0x0a"),
            ("8", "08"),
            (" 1 ", "1"),
            ("", ""),
        ] {
            assert!(same(a, b), "{a} and {b}");
        }
        for (a, b) in [("1", "2"), ("0-2", "0-1"), ("x", "y"), ("", "0")] {
            assert!(!same(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn values_of_the_kernel_are_words_and_masks_too() {
        let path = |text: &str| text.parse::<HostPath>().unwrap();
        let thp = path("/sys/kernel/mm/transparent_hugepage/enabled");
        assert!(same_value(&thp, "always [madvise] never", "madvise"));
        assert!(!same_value(&thp, "always [madvise] never", "never"));
        let irq = path("/proc/irq/default_smp_affinity");
        assert!(same_value(&irq, "3", "00000000,00000003"));
        assert!(same_value(&irq, "1,0000000F", "00000001,0000000f"));
        // As lists of CPUs these would be the same.
        assert!(!same_value(&irq, "1,00000003", "3,00000001"));
        assert!(!same_value(&irq, "3", "x"));
    }

    #[test]
    fn a_pool_that_is_being_filled_is_in_between() {
        assert!(is_between("5", "0", "8") && is_between("5", "8", "0"));
        assert!(!is_between("9", "0", "8") && !is_between("x", "0", "8"));
    }
}
