//! The text that a plan makes of a definition.

use super::ApplyError;
use super::group::changes_of;
use crate::base::DomainName;
use crate::definition;
use crate::model::{Change, Plan};

/// Returns the definition of `vm` as the plan wants it; all that the plan
/// does not change stays as it is, byte for byte.
///
/// # Errors
/// When the text is no definition, or a change does not fit it.
pub fn render(
    text: &str,
    plan: &Plan,
    vm: &DomainName,
) -> Result<String, ApplyError> {
    let changes: Vec<Change> = changes_of(plan, vm).cloned().collect();
    definition::render(text, &changes)
        .map_err(|source| ApplyError::Edit { vm: vm.clone(), source })
}
