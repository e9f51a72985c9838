//! Names of kernel arguments: which are the same, and which of several counts.

/// Arguments of which the kernel keeps to the first and ignores the others:
/// neither the last one wins, nor do they add up. Tried with Linux 6.12;
/// `isolcpus=` and `nohz_full=` since 4.15, huge pages since 5.8. Older
/// kernels took the last one, so that only a single one is sure.
const FIRST_COUNTS: [&str; 5] =
    ["default_hugepagesz", "hugepages", "hugepagesz", "isolcpus", "nohz_full"];

/// Returns whether two names, as [`Target::Argument`] has them, are one to
/// the kernel: it takes `-` for `_`, and `hugepagesz=1024M` for
/// `hugepagesz=1G`.
///
/// [`Target::Argument`]: crate::model::Target::Argument
#[must_use]
pub fn is_same_argument(one: &str, other: &str) -> bool {
    let parts = |name: &'_ str| match name.split_once('=') {
        Some((name, size)) => (folded(name), Some(size.to_owned())),
        None => (folded(name), None),
    };
    let (one, one_size) = parts(one);
    let (other, other_size) = parts(other);
    one == other
        && match (one_size, other_size) {
            (None, None) => true,
            (Some(one), Some(other)) => is_same_size(&one, &other),
            _ => false,
        }
}

/// Returns whether the kernel keeps to the first argument of that name, and
/// ignores what comes after it. Of all others the last one counts.
#[must_use]
pub fn first_counts(name: &str) -> bool {
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    FIRST_COUNTS.contains(&folded(name).as_str())
}

/// Returns whether two texts are one size of pages: bytes in decimal, octal
/// or hexadecimal, with a unit or without.
#[must_use]
pub fn is_same_size(one: &str, other: &str) -> bool {
    match (size(one), size(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn folded(name: &str) -> String {
    name.replace('-', "_")
}

fn size(text: &str) -> Option<u64> {
    let split = text.len() - usize::from(text.ends_with(is_unit));
    let (number, unit) = text.split_at_checked(split)?;
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => 40,
    };
    let (digits, radix) = match number.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if number.starts_with('0') => (number, 8),
        None => (number, 10),
    };
    let number = u64::from_str_radix(digits, radix).ok()?;
    number.checked_mul(1 << shift)
}

const fn is_unit(c: char) -> bool {
    matches!(c, 'K' | 'M' | 'G' | 'T' | 'k' | 'm' | 'g' | 't')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernels() {
        for (one, other) in [
            ("nohz-full", "nohz_full"),
            ("hugepagesz=1G", "hugepagesz=1024M"),
            ("hugepagesz=2M", "hugepagesz=2048k"),
            ("hugepagesz=2M", "hugepagesz=0x200000"),
            ("hugepagesz=odd", "hugepagesz=odd"),
        ] {
            assert!(is_same_argument(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("hugepagesz", "hugepagesz=1G"),
            ("hugepagesz=1G", "hugepagesz=2M"),
            ("hugepagesz=1G", "default_hugepagesz=1G"),
            ("hugepagesz=é", "hugepagesz=1G"),
            ("isolcpus", "isolcpu"),
        ] {
            assert!(!is_same_argument(one, other), "{one} {other}");
        }
    }

    #[test]
    fn of_few_the_first_counts() {
        assert!(first_counts("isolcpus"));
        assert!(first_counts("nohz-full"));
        assert!(first_counts("hugepagesz=1G"));
        assert!(!first_counts("rcu_nocbs"));
        assert!(!first_counts("irqaffinity"));
    }
}
