//! What vmtune leaves in a definition that it changes: the transaction, the
//! policy's preset and the plan, for whoever reads the definition.
//!
//! It is an element of our own namespace in `<metadata>`, next to those of
//! others, which stay as they are. Nothing reads it: the journal is what
//! vmtune goes by. It comes and goes with a change, never alone, so that a
//! plan made after it finds it as it finds any other text. With the
//! definition before, the note before comes back.

use super::ApplyError;
use super::prepare::Prepared;
use crate::base::{Digest, DomainName, XmlPath};
use crate::definition::RenderError;
use crate::definition::xml::{Document, Edit};
use crate::files::journal::TransactionId;
use crate::files::plan_store;
use crate::model::{Place, Plan};

/// Writes the note of a transaction into each definition that it changes. In
/// one that was begun before it is already.
pub(super) fn leave(
    steps: &mut [Prepared<'_>],
    plan: &Plan,
    id: TransactionId,
) -> Result<(), ApplyError> {
    let Some(text) = plan_store::to_text(plan) else { return Ok(()) };
    let digest = Digest::of(text.as_bytes());
    let fresh = |step: &&mut Prepared<'_>| {
        step.begun.is_none() && !step.is_already_so()
    };
    for step in steps.iter_mut().filter(fresh) {
        let (Place::Definition { name, .. }, Some(written)) =
            (&step.place, &step.written)
        else {
            continue;
        };
        step.written = Some(with(written, name, plan, digest, id)?);
    }
    Ok(())
}

fn with(
    text: &str,
    vm: &DomainName,
    plan: &Plan,
    digest: Digest,
    id: TransactionId,
) -> Result<String, ApplyError> {
    let note = XmlPath::domain().child("metadata").child("vmtune:tuned");
    let edits = [
        ("transaction", id.to_string()),
        ("preset", plan.preset.clone()),
        ("plan", digest.to_string()),
    ]
    .map(|(name, value)| Edit {
        target: note.clone().attribute(name),
        to: Some(value),
    });
    let edited = Document::parse(text)
        .map_err(RenderError::from)
        .and_then(|document| Ok(document.edit(&edits)?));
    edited.map_err(|source| ApplyError::Edit { vm: vm.clone(), source })
}
