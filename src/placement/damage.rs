//! What a placement breaks for the VMs that come after it.

/// Returns what `free` whole cores of a domain (an L3 or a node) that has
/// `capacity` cores are worth to later VMs.
///
/// A home of *s* cores is a place for a VM that needs *s* cores together. The
/// worth is the sum over home sizes 1, 2, 4, … and the whole domain, of how
/// many cores still belong to a home of that size. Taking cores from a domain
/// that is broken already loses few homes; breaking a whole one loses the
/// large homes, so a placement fills what is begun and leaves the rest whole.
pub(super) fn worth(free: u32, capacity: u32) -> i64 {
    let sizes = std::iter::successors(Some(1u32), |size| size.checked_mul(2));
    let powers: i64 = sizes
        .take_while(|&size| size < capacity)
        .map(|size| i64::from(free / size * size))
        .sum();
    let whole = if free == capacity { i64::from(capacity) } else { 0 };
    powers + whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaking_a_whole_domain_costs_more_than_filling_a_broken_one() {
        let loss = |before, after| worth(before, 8) - worth(after, 8);
        assert!(loss(8, 4) > loss(4, 0));
        assert!(loss(8, 6) > loss(6, 4));
        assert_eq!(loss(8, 8), 0);
    }

    #[test]
    fn nothing_is_worth_nothing() {
        assert_eq!(worth(0, 8), 0);
        assert_eq!(worth(0, 1), 0);
        assert_eq!(worth(1, 1), 1);
    }
}
