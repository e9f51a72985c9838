//! XML that keeps every byte: a tree of spans over the text, and edits that
//! touch what they mean to touch and nothing else.

mod chars;
mod element;
mod error;
mod find;
mod parse;
mod scope;
mod tag;
mod tree;

pub use element::Element;
pub use error::{Place, XmlError, XmlProblem};
pub use scope::{QEMU_URI, VMTUNE_URI};
pub use tree::Document;
