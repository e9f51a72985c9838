//! A definition of Proxmox as a place of a transaction.
//!
//! Its text is the whole `VMID.conf`, but a step is about the keys that it
//! changes, and no others: Proxmox is told key by key what to write, and what
//! somebody does to other keys meanwhile is neither in the way of undoing it
//! nor lost by that. What a key says at the next start counts, for Proxmox
//! lets a VM that runs keep what it has until then.

use std::collections::{BTreeMap, BTreeSet};

use super::{Deviation, Difference, DifferenceKind};
use crate::base::{ConfDigest, Vmid};
use crate::definition::conf::{Conf, ConfEdit, ConfError};
use crate::files::journal::Step;
use crate::system::QmSet;

/// Keys of disks, and of what else lies in a storage. To take one away can
/// destroy what is there, and no rollback brings that back.
const DATA: [&str; 9] = [
    "efidisk", "ide", "sata", "scsi", "tpmstate", "unused", "virtio",
    "virtiofs", "vmstate",
];

/// Returns whether a key holds data of the VM's.
pub(super) fn holds_data(key: &str) -> bool {
    DATA.contains(&key.trim_end_matches(|c: char| c.is_ascii_digit()))
}

/// Returns the keys that a step changes.
fn keys(step: &Step) -> Result<Vec<String>, ConfError> {
    let [former, written] = [&step.former, &step.written]
        .map(|text| Conf::parse(text.as_deref().unwrap_or_default()));
    Ok(former?.differing(&written?))
}

/// Returns how the keys of a step say something else in one text than in
/// another; `None` where they do not.
pub(super) fn deviation(
    step: &Step,
    expected: &Option<String>,
    found: &Option<String>,
) -> Option<Deviation> {
    let compared = || {
        let (expected, found) = (expected.as_deref()?, found.as_deref()?);
        let keys = keys(step).ok()?;
        let (expected, found) =
            (Conf::parse(expected).ok()?, Conf::parse(found).ok()?);
        let differ = keys.iter().filter(|key| !expected.agrees(&found, key));
        Some(differ.map(|key| difference(key, &expected, &found)).collect())
    };
    match compared() {
        Some(parts) if Vec::is_empty(&parts) => None,
        Some(parts) => Some(Deviation::Definition(parts)),
        None if expected == found => None,
        None => {
            let (expected, found) = (expected.clone(), found.clone());
            Some(Deviation::Text { expected, found })
        }
    }
}

/// Says how a key differs.
fn difference(key: &str, one: &Conf, other: &Conf) -> Difference {
    let kind = match (one.value(key), other.value(key)) {
        (Some(_), None) => DifferenceKind::Missing,
        (None, _) => DifferenceKind::Added,
        _ => DifferenceKind::Other,
    };
    Difference { path: key.to_owned(), kind }
}

/// Returns the differences between two definitions, key by key.
pub(super) fn differences(one: &Conf, other: &Conf) -> Vec<Difference> {
    let keys = one.differing(other);
    keys.iter().map(|key| difference(key, one, other)).collect()
}

/// Returns whether each key of a step says what it said before the step, or
/// what the step writes: `qm` was cut off between two of them.
pub(super) fn is_on_the_way(step: &Step, current: &Option<String>) -> bool {
    let between = || {
        let [former, written, current] = [&step.former, &step.written, current]
            .map(|text| Conf::parse(text.as_deref()?).ok());
        let (former, written, current) = (former?, written?, current?);
        let keys = former.differing(&written);
        let known = |key: &String| {
            former.agrees(&current, key) || written.agrees(&current, key)
        };
        Some(keys.iter().all(known))
    };
    between().unwrap_or(false)
}

/// Returns the text that undoing a step has to lead to: what is there, with
/// the keys of the step as they were before it.
pub(super) fn undone(step: &Step, current: &str) -> Option<String> {
    let former = Conf::parse(step.former.as_deref()?).ok()?;
    let edit = |key: String| {
        let to = former.value(&key).map(str::to_owned);
        Some(ConfEdit { target: key.parse().ok()?, to })
    };
    let edits: Option<Vec<_>> =
        keys(step).ok()?.into_iter().map(edit).collect();
    Conf::parse(current).ok()?.edit(&edits?).ok()
}

/// Returns what has to be asked of Proxmox so that one text of a definition
/// means what another does.
pub(super) fn request(
    vmid: Vmid,
    found: &str,
    to: &str,
) -> Result<QmSet, ConfError> {
    let (conf, to) = (Conf::parse(found)?, Conf::parse(to)?);
    let (mut set, mut delete) = (BTreeMap::new(), BTreeSet::new());
    let mut revert = BTreeSet::new();
    // What waits and changes nothing was left by a `qm` that was cut off.
    let waiting = conf.waiting().into_iter().map(str::to_owned);
    let keys: BTreeSet<_> =
        conf.differing(&to).into_iter().chain(waiting).collect();
    for key in keys {
        match (to.value(&key), conf.main_value(&key)) {
            // What is wanted is there, and something else waits.
            (wanted, main) if wanted == main => {
                revert.insert(key);
            }
            _ if conf.agrees(&to, &key) => {}
            (Some(wanted), _) => {
                set.insert(key, wanted.to_owned());
            }
            (None, _) => {
                delete.insert(key);
            }
        }
    }
    let digest = ConfDigest::of(found);
    Ok(QmSet { vmid, set, delete, revert, digest })
}

/// Says what Proxmox made of a text otherwise than it was written: keys, and
/// where there are none, the layout.
pub(super) fn normalised(written: &Conf, left: &Conf) -> Vec<Difference> {
    let mut parts = differences(written, left);
    let one = |path: &str, kind| Difference { path: path.to_owned(), kind };
    if written.waiting().is_empty() && !left.waiting().is_empty() {
        parts.push(one("[PENDING]", DifferenceKind::Added));
    } else if parts.is_empty() && written.text() != left.text() {
        parts.push(one("the layout", DifferenceKind::Other));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::journal::Left;
    use crate::model::{Footing, Place};

    const FORMER: &str = "balloon: 512\ncores: 2\nmemory: 1024\n";
    const WRITTEN: &str = "affinity: 4-5\ncores: 4\nmemory: 1024\n";

    fn step() -> Step {
        let vmid = "101".parse().unwrap();
        Step {
            place: Place::Conf { name: "vm1".parse().unwrap(), vmid },
            former: Some(FORMER.into()),
            footing: Footing::default(),
            written: Some(WRITTEN.into()),
            left: Left::Unknown,
            rolled_back: false,
        }
    }

    fn deviates(found: &str) -> Option<String> {
        let (expected, found) = (Some(WRITTEN.into()), Some(found.into()));
        deviation(&step(), &expected, &found).map(|how| how.to_string())
    }

    #[test]
    fn the_keys_of_a_step_are_compared_and_no_others() {
        assert_eq!(deviates(WRITTEN), None);
        let disk = format!("{WRITTEN}scsi0: local:disk\n");
        assert_eq!(deviates(&disk), None, "a disk is nobody's loss");
        let pending = format!(
            "{FORMER}\n[PENDING]\naffinity: 4-5\n\
                               cores: 4\ndelete: balloon\n"
        );
        assert_eq!(deviates(&pending), None, "it is so at the next start");
        assert_eq!(
            deviates(FORMER).unwrap(),
            "affinity is gone, balloon is new, cores differs"
        );
        assert_eq!(deviates("rubbish").unwrap(), "it holds another text");
    }

    #[test]
    fn a_step_cut_off_between_two_keys_is_on_the_way() {
        let on_the_way =
            |text: &str| is_on_the_way(&step(), &Some(text.to_owned()));
        for half in [FORMER, WRITTEN, "balloon: 512\ncores: 4\nmemory: 9\n"] {
            assert!(on_the_way(half), "{half}");
        }
        assert!(!on_the_way("cores: 8\nmemory: 1024\n"));
        assert!(!on_the_way("rubbish") && !is_on_the_way(&step(), &None));
    }

    #[test]
    fn undoing_leaves_other_keys_as_they_are() {
        let now = "affinity: 4-5\ncores: 4\nmemory: 2048\nscsi0: x\n";
        assert_eq!(
            undone(&step(), now).unwrap(),
            "balloon: 512\ncores: 2\nmemory: 2048\nscsi0: x\n"
        );
    }

    #[test]
    fn what_only_waits_is_reverted() {
        let vmid: Vmid = "101".parse().unwrap();
        let words = |found: &str, to: &str| {
            let set = request(vmid, found, to).unwrap();
            let words = set.words();
            words[3..words.len() - 2].join(" ")
        };
        assert_eq!(
            words(FORMER, WRITTEN),
            "--affinity 4-5 --cores 4 --delete balloon"
        );
        let pending = format!(
            "{FORMER}\n[PENDING]\naffinity: 4-5\n\
                               cores: 4\ndelete: balloon\n"
        );
        assert_eq!(words(&pending, FORMER), "--revert affinity,balloon,cores");
        // Somebody had something waiting before.
        let former = "cores: 1\n\n[PENDING]\ncores: 2\n";
        let now = "cores: 1\n\n[PENDING]\ncores: 4\n";
        assert_eq!(words(now, former), "--cores 2");
        assert!(request(vmid, FORMER, FORMER).unwrap().is_empty());
        assert!(request(vmid, now, now).unwrap().is_empty());
        // A `qm` that was cut off while it reverted.
        let half = "cores: 1\n\n[PENDING]\ncores: 1\n";
        assert_eq!(words(half, "cores: 1\n"), "--revert cores");
    }

    #[test]
    fn what_proxmox_wrote_its_own_way_is_said() {
        let said = |left: &str| {
            let [one, other] = [WRITTEN, left].map(|t| Conf::parse(t).unwrap());
            let parts = normalised(&one, &other);
            parts.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(WRITTEN), Vec::<String>::new());
        let pending = "memory: 1024\n\n[PENDING]\naffinity: 4-5\ncores: 4\n";
        assert_eq!(said(pending), ["[PENDING] is new"]);
        let other = "memory: 1024\naffinity: 4-5\ncores: 4\n";
        assert_eq!(said(other), ["the layout differs"]);
        assert_eq!(said("affinity: 4-5\ncores: 4\n"), ["memory is gone"]);
    }
}
