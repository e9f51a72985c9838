//! Renders a plan's changes into the definition that they were planned for.

use super::conf::{Conf, ConfEdit, ConfEditError, ConfError};
use super::is_xml;
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
    /// The definition of Proxmox cannot be read.
    #[error("reading the definition")]
    ReadConf(#[from] ConfError),
    /// A change cannot be made to it.
    #[error("editing the definition")]
    EditConf(#[from] ConfEditError),
}

/// Returns the definition with the changes made, and not a byte besides. Of
/// the changes those count that are in the definition's own words.
///
/// # Errors
/// When the text is no definition, or two changes contradict each other.
pub fn render(text: &str, changes: &[Change]) -> Result<String, RenderError> {
    if is_xml(text) {
        let edit = |change: &Change| match &change.target {
            Target::Definition(target) => {
                Some(Edit { target: target.clone(), to: change.to.clone() })
            }
            _ => None,
        };
        let mut edits: Vec<_> = changes.iter().filter_map(edit).collect();
        // A new element can only be the next of its name.
        edits.sort_by_key(|edit| position(&edit.target));
        return Ok(Document::parse(text)?.edit(&edits)?);
    }
    let edit = |change: &Change| match &change.target {
        Target::Conf(target) => {
            Some(ConfEdit { target: target.clone(), to: change.to.clone() })
        }
        _ => None,
    };
    let edits: Vec<_> = changes.iter().filter_map(edit).collect();
    Ok(Conf::parse(text)?.edit(&edits)?)
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
