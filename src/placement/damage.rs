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

/// Returns what the free cores of all nodes together are worth to later VMs
/// with two cells, each on a node of its own.
///
/// The same home sizes count, but a home counts only with a partner on
/// another node. On a host of two nodes this keeps them level; on a host of
/// many nodes there are partners enough, and filling goes on.
pub(super) fn pair_worth(free: &[u32], capacity: u32) -> i64 {
    let sizes = std::iter::successors(Some(1u32), |size| size.checked_mul(2));
    let pairs = sizes.take_while(|&size| size <= capacity).map(|size| {
        let homes = || free.iter().map(|cores| cores / size);
        let all: u32 = homes().sum();
        let most = homes().max().unwrap_or(0);
        i64::from((all / 2).min(all - most)) * 2 * i64::from(size)
    });
    pairs.sum()
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
    fn a_home_without_a_partner_is_worth_nothing_to_two_cells() {
        assert_eq!(pair_worth(&[8], 8), 0);
        assert_eq!(pair_worth(&[8, 0], 8), 0);
        assert_eq!(pair_worth(&[1, 1], 8), 2);
        assert!(pair_worth(&[4, 4], 8) > pair_worth(&[6, 2], 8));
        let fill = pair_worth(&[8, 8, 8, 4], 8) - pair_worth(&[8, 8, 8, 0], 8);
        let breaks =
            pair_worth(&[8, 8, 8, 4], 8) - pair_worth(&[8, 8, 4, 4], 8);
        assert!(fill <= breaks);
    }

    #[test]
    fn nothing_is_worth_nothing() {
        assert_eq!(worth(0, 8), 0);
        assert_eq!(worth(0, 1), 0);
        assert_eq!(worth(1, 1), 1);
    }
}
