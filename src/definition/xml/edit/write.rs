//! The text of new elements, and their order among the old.

use super::draft::{Draft, Spot};
use crate::definition::xml::chars::{escape_attribute, escape_text};
use crate::definition::xml::order::{self, Sibling};
use crate::definition::xml::style::Style;
use crate::definition::xml::tree::Id;

/// Writes new elements the way the document is written.
pub(super) struct Writer<'a> {
    pub(super) draft: &'a Draft<'a>,
    pub(super) style: &'a Style,
}

impl Writer<'_> {
    /// Writes one new element; `indent` is that of its line, none where it
    /// stands within a line.
    pub(super) fn element(
        &self,
        index: usize,
        indent: Option<&str>,
        out: &mut String,
    ) {
        let new = &self.draft.new[index];
        out.push('<');
        out.push_str(&new.written);
        for (name, uri) in &new.wishes.declarations {
            self.attribute(name, uri, " ", out);
        }
        for wish in &new.wishes.attributes {
            if let Some(value) = &wish.to {
                self.attribute(&wish.written, value, " ", out);
            }
        }
        if let Some(Some(text)) = &new.wishes.text {
            out.push('>');
            out.push_str(&escape_text(text, self.style.newline));
            self.close(&new.written, out);
        } else if new.wishes.children.is_empty() {
            out.push_str(self.style.empty);
            out.push('>');
        } else {
            out.push('>');
            let children: Vec<_> = self
                .arrange(&new.name, [], &new.wishes.children)
                .into_iter()
                .map(|sibling| sibling.item)
                .collect();
            self.block(&children, indent, out);
            self.close(&new.written, out);
        }
    }

    /// Writes the whole content of an element of that indentation.
    pub(super) fn block(
        &self,
        children: &[Spot],
        indent: Option<&str>,
        out: &mut String,
    ) {
        let inner = indent.map(|outer| format!("{outer}{}", self.style.indent));
        self.children(children, inner.as_deref(), out);
        if let Some(outer) = indent {
            out.push_str(self.style.newline);
            out.push_str(outer);
        }
    }

    /// Writes new siblings, each on a line of that indentation, if any.
    pub(super) fn children(
        &self,
        children: &[Spot],
        indent: Option<&str>,
        out: &mut String,
    ) {
        for child in children {
            let Spot::New(index) = *child else { continue };
            if let Some(indent) = indent {
                out.push_str(self.style.newline);
                out.push_str(indent);
            }
            self.element(index, indent, out);
        }
    }

    pub(super) fn attribute(
        &self,
        name: &str,
        value: &str,
        blanks: &str,
        out: &mut String,
    ) {
        let quote = self.style.quote;
        out.push_str(blanks);
        out.push_str(name);
        out.push('=');
        out.push(quote);
        out.push_str(&escape_attribute(value, quote));
        out.push(quote);
    }

    pub(super) fn close(&self, written: &str, out: &mut String) {
        out.push_str("</");
        out.push_str(written);
        out.push('>');
    }

    /// Puts the new children of a parent among the old ones that stay.
    pub(super) fn arrange(
        &self,
        parent: &str,
        old: impl IntoIterator<Item = Id>,
        new: &[usize],
    ) -> Vec<Sibling<Spot>> {
        let sibling = |item| self.sibling(parent, item);
        let mut all: Vec<_> =
            old.into_iter().map(Spot::Old).map(sibling).collect();
        for &index in new {
            order::insert(&mut all, sibling(Spot::New(index)));
        }
        all
    }

    fn sibling(&self, parent: &str, item: Spot) -> Sibling<Spot> {
        let name = self.draft.name(item).into_owned();
        let key = order::key(parent, &name)
            .and_then(|key| self.draft.attribute(item, key))
            .and_then(|value| value.trim().parse().ok());
        Sibling { item, rank: order::rank(parent, &name), key, name }
    }
}
