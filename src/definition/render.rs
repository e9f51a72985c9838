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
    let edit = |change: &Change| {
        let Target::Definition(target) = &change.target;
        Edit { target: target.clone(), to: change.to.clone() }
    };
    let edits: Vec<_> = changes.iter().map(edit).collect();
    Ok(Document::parse(text)?.edit(&edits)?)
}
