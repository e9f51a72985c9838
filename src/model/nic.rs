//! The virtual functions that a VM is given, as its placement says it.

use serde::{Deserialize, Serialize};

use crate::base::{MacAddress, PciAddress};

/// What became of one virtual function that the policy asks for.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct NicPlacement {
    /// The function; `None` where none can be had.
    pub function: Option<PciAddress>,
    /// Whether the definition has it already.
    pub attached: bool,
    /// Whether it is an `<interface>`; a `<hostdev>` otherwise.
    pub is_interface: bool,
    /// The MAC address that it shall have; `None` where it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// Why this one, or why none.
    pub because: String,
}

impl NicPlacement {
    /// Returns the function where it is to be attached.
    #[must_use]
    pub fn added(&self) -> Option<PciAddress> {
        self.function.filter(|_| !self.attached)
    }
}
