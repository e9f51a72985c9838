//! A boot of the host: the unit's commands are run on the card made of code,
//! one after the other, and the first that fails ends the unit.

use std::collections::BTreeMap;

use crate::card::Card;
use crate::unit;

/// What a boot leaves.
pub(crate) struct Boot<'f> {
    pub(crate) card: Card<'f>,
    /// What the card complained of; last the refusal that ended the unit.
    pub(crate) faults: Vec<String>,
}

/// Boots a host with these files. A program that is to fail does nothing.
pub(crate) fn boot(
    files: &BTreeMap<String, String>,
    failing: Option<usize>,
) -> Boot<'_> {
    let mut card = Card::new(files);
    let mut refusal = None;
    for (n, words) in unit::commands(files).iter().enumerate() {
        if failing == Some(n) {
            break;
        }
        if let Err(why) = card.run(words) {
            refusal = Some(why);
            break;
        }
    }
    let mut faults = std::mem::take(&mut card.complaints);
    faults.extend(refusal);
    Boot { card, faults }
}
