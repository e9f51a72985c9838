//! XML that keeps every byte: a tree of spans over the text, and edits that
//! touch what they mean to touch and nothing else.

mod chars;
mod edit;
mod element;
mod error;
mod find;
mod order;
mod parse;
mod scope;
mod style;
mod tag;
mod tree;

pub use edit::{Edit, EditError};
pub use element::Element;
pub use error::{Place, XmlError, XmlProblem};
pub use scope::{QEMU_URI, VMTUNE_URI};
pub use tree::Document;
