//! Renders a plan's changes into the definition that they were planned for.

use super::xml::{Document, Edit, EditError, XmlError};
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
    let edits: Vec<_> = changes.iter().filter_map(edit).collect();
    Ok(Document::parse(text)?.edit(&edits)?)
}
