//! Which domain a person means, and which one they may have meant.

use super::{DomainInfo, HypervisorError};
use crate::base::{DomainName, DomainUuid};

/// How many similar names an error lists.
const NEAREST: usize = 3;

/// Finds a domain by name, UUID or the number of a running one.
///
/// `virsh` takes the number first, this takes what is unique: a text that is
/// one domain's name and another's number is refused.
///
/// # Errors
/// [`HypervisorError::NotFound`] and [`HypervisorError::Ambiguous`].
pub fn find<'a>(
    domains: &'a [DomainInfo],
    wanted: &str,
) -> Result<&'a DomainInfo, HypervisorError> {
    let uuid: Option<DomainUuid> = wanted.parse().ok();
    let id: Option<u32> = wanted.parse().ok();
    let named = domains.iter().find(|one| one.name.as_str() == wanted);
    let numbered =
        id.and_then(|id| domains.iter().find(|one| one.id == Some(id)));
    match (named, numbered) {
        (Some(named), Some(numbered)) if named.uuid != numbered.uuid => {
            return Err(HypervisorError::Ambiguous {
                wanted: wanted.into(),
                other: numbered.name.clone(),
            });
        }
        _ => {}
    }
    named
        .or_else(|| {
            uuid.and_then(|uuid| domains.iter().find(|d| d.uuid == uuid))
        })
        .or(numbered)
        .ok_or_else(|| HypervisorError::NotFound {
            wanted: wanted.into(),
            nearest: nearest(domains, wanted),
        })
}

/// Returns the names that a slip of the keyboard could have meant.
fn nearest(domains: &[DomainInfo], wanted: &str) -> Vec<DomainName> {
    // A third of the letters wrong is a slip; more is another name.
    let most = wanted.chars().count() / 3 + 1;
    let mut near: Vec<_> = domains
        .iter()
        .map(|domain| (distance(domain.name.as_str(), wanted), &domain.name))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    near.sort();
    near.into_iter().take(NEAREST).map(|(_, name)| name.clone()).collect()
}

/// Counts the letters to insert, delete or replace to get from `a` to `b`,
/// with case not counted.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<DomainInfo> {
        [("vm1", Some(7)), ("vm2", None), ("7", None), ("database", Some(3))]
            .into_iter()
            .zip(1u8..)
            .map(|((name, id), n)| DomainInfo {
                name: name.parse().unwrap(),
                uuid: format!("{n:032x}").parse().unwrap(),
                id,
                running: id.is_some(),
                persistent: true,
            })
            .collect()
    }

    #[test]
    fn a_domain_has_three_names() {
        let list = list();
        let name = |wanted: &str| find(&list, wanted).unwrap().name.to_string();
        assert_eq!(name("vm2"), "vm2");
        assert_eq!(name("3"), "database");
        assert_eq!(name("00000000-0000-0000-0000-000000000002"), "vm2");
    }

    #[test]
    fn two_meanings_are_refused() {
        let error = find(&list(), "7").unwrap_err();
        assert!(matches!(error, HypervisorError::Ambiguous { .. }), "{error}");
    }

    #[test]
    fn a_slip_gets_the_nearest_names() {
        let list = list();
        let hint = |wanted: &str| find(&list, wanted).unwrap_err().hint();
        assert_eq!(hint("vm3").unwrap(), "did you mean \"vm1\" or \"vm2\"?",);
        assert_eq!(hint("Databse").unwrap(), "did you mean \"database\"?");
        assert!(hint("something-else").unwrap().contains("virsh list"));
    }

    #[test]
    fn distances_are_edits() {
        for (a, b, n) in [("", "ab", 2), ("abc", "ABC", 0), ("abc", "acb", 2)] {
            assert_eq!(distance(a, b), n, "{a} {b}");
        }
    }
}
