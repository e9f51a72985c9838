//! The text that a plan makes of a definition.

use super::ApplyError;
use crate::base::DomainName;
use crate::definition::xml::{Document, Edit};
use crate::model::{Change, Plan, Target};

/// Returns the definition of `vm` as the plan wants it; all that the plan
/// does not change stays as it is, byte for byte.
///
/// # Errors
/// When the text is not XML, or a change does not fit it.
pub fn render(
    text: &str,
    plan: &Plan,
    vm: &DomainName,
) -> Result<String, ApplyError> {
    let document = Document::parse(text)
        .map_err(|source| ApplyError::Definition { vm: vm.clone(), source })?;
    let edits: Vec<Edit> = changes_of(plan, vm)
        .filter_map(|change| match &change.target {
            Target::Definition(path) => {
                Some(Edit { target: path.clone(), to: change.to.clone() })
            }
            _ => None,
        })
        .collect();
    document
        .edit(&edits)
        .map_err(|source| ApplyError::Edit { vm: vm.clone(), source })
}

/// Returns the changes of one VM, in the plan's order.
pub(super) fn changes_of<'p>(
    plan: &'p Plan,
    vm: &DomainName,
) -> impl Iterator<Item = &'p Change> {
    let name = vm.as_str().to_owned();
    plan.changes
        .iter()
        .filter(move |change| change.vm.as_deref() == Some(name.as_str()))
}
