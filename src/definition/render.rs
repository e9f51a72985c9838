//! Renders a plan's changes into the definition that they were planned for.

use super::xml::{Document, Edit, EditError, XmlError};
use crate::base::{Predicate, XmlPath};
use crate::model::{Change, Target};

/// Why changes could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The definition cannot be read.
    #[error("reading the definition")]
    Read(#[from] XmlError),
    /// A change cannot be made to it.
    #[error("editing the definition")]
    Edit(#[from] EditError),
}

/// Returns the definition with the changes made, and not a byte besides.
///
/// # Errors
/// When the text is no definition, or two changes contradict each other.
pub fn render(text: &str, changes: &[Change]) -> Result<String, RenderError> {
    let edit = |change: &Change| match &change.target {
        Target::Definition(target) => {
            Some(Edit { target: target.clone(), to: change.to.clone() })
        }
        // The host's own.
        Target::Kernel(_) | Target::File(_) | Target::Argument { .. } => None,
    };
    let mut edits: Vec<_> = changes.iter().filter_map(edit).collect();
    // A new element can only be the next of its name.
    edits.sort_by_key(|edit| position(&edit.target));
    Ok(Document::parse(text)?.edit(&edits)?)
}

/// Returns the highest number that a path counts elements by; 0 for none.
fn position(path: &XmlPath) -> usize {
    let predicates = path.steps.iter().flat_map(|step| &step.predicates);
    let positions = predicates.filter_map(|predicate| match predicate {
        Predicate::Position(position) => Some(*position),
        Predicate::Attribute(..) => None,
    });
    positions.max().unwrap_or(0)
}
