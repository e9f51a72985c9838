//! Network cards against what their unit sets, and what is around them
//! against what it is set for.

mod around;
mod interrupts;
mod setting;

pub use interrupts::passed_through;

use super::{Finding, State};
use crate::model::facts::Network;
use crate::model::{NicSetting, Stage};

/// What a step of the unit sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSetting {
    /// The setting.
    pub setting: NicSetting,
    /// Whether the host was booted since it was planned.
    pub booted: bool,
}

/// Compares what the unit sets with the cards, and what a card needs around it
/// to be of use with what there is.
#[must_use]
pub fn network(planned: &[PlannedSetting], seen: &Network) -> Vec<Finding> {
    let own = planned.iter().map(|one| setting::finding(one, seen));
    own.chain(around::findings(planned, seen)).collect()
}

/// How one thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sight {
    AsPlanned,
    Otherwise(String),
    Unknown(String),
}

impl Sight {
    /// Compares a value with what was planned.
    fn of<T: PartialEq>(
        found: &T,
        wanted: &T,
        spell: impl FnOnce(&T) -> String,
    ) -> Self {
        match found == wanted {
            true => Self::AsPlanned,
            false => Self::Otherwise(spell(found)),
        }
    }

    /// Makes a statement of it. The unit does its work when the host boots, so
    /// until then what is otherwise waits.
    fn finding(self, what: String, planned: String, booted: bool) -> Finding {
        let state = match self {
            Self::AsPlanned => State::Holds,
            Self::Otherwise(_) if !booted => {
                State::Waits { stage: Stage::HostBoot }
            }
            Self::Otherwise(found) => State::Drifted { found },
            Self::Unknown(why) => State::Unknown { why },
        };
        Finding { vm: None, what, planned, state, note: None }
    }
}

#[cfg(test)]
mod tests;
