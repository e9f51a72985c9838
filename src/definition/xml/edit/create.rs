//! Elements and attributes to create, and the names that they get.

use std::borrow::Cow;

use super::EditError;
use super::draft::{Draft, New, Spot, Wishes};
use crate::base::{Predicate, Step, XmlPath};
use crate::definition::xml::chars::{Raw, decode, is_qualified_name};
use crate::definition::xml::element::Element;
use crate::definition::xml::scope::{Space, declared_prefix, split};

impl Draft<'_> {
    /// Creates the child that a step describes, attributes and all.
    pub(super) fn create(
        &mut self,
        target: &XmlPath,
        parent: Spot,
        step: &Step,
    ) -> Result<Spot, EditError> {
        if self.has_text(parent) {
            return Err(EditError::Mixed { target: target.clone() });
        }
        self.check_position(target, parent, step)?;
        let mut wishes = Wishes::default();
        let written = self.written_element(
            target,
            parent,
            &step.name,
            &mut wishes.declarations,
        )?;
        let index = self.new.len();
        let name = step.name.clone();
        self.new.push(New { parent, name, written, wishes });
        self.wishes(parent).children.push(index);
        for predicate in &step.predicates {
            if let Predicate::Attribute(name, value) = predicate {
                self.attribute_wish(
                    target,
                    Spot::New(index),
                    name,
                    Some(value),
                )?;
            }
        }
        Ok(Spot::New(index))
    }

    /// A position can only be the next one: nothing is created to fill a gap.
    fn check_position(
        &self,
        target: &XmlPath,
        parent: Spot,
        step: &Step,
    ) -> Result<(), EditError> {
        let mut spots = self.children_named(parent, &step.name);
        for predicate in &step.predicates {
            match predicate {
                Predicate::Position(n) if *n != spots.len() + 1 => {
                    let (target, next) = (target.clone(), spots.len() + 1);
                    return Err(EditError::Position { target, next });
                }
                // The new element is the only one that is left.
                Predicate::Position(_) => spots.clear(),
                Predicate::Attribute(..) => {
                    spots = self.filter(spots, predicate);
                }
            }
        }
        Ok(())
    }

    /// Returns what a new element is called in the text; adds the declaration
    /// that the name needs.
    fn written_element(
        &self,
        target: &XmlPath,
        parent: Spot,
        name: &str,
        declarations: &mut Vec<(String, String)>,
    ) -> Result<String, EditError> {
        check_name(target, name)?;
        let (prefix, local) = split(name);
        if prefix.is_empty() {
            let default = self.binding(parent, "");
            if default.is_some_and(|uri| !uri.is_empty()) {
                declarations.push(("xmlns".into(), String::new()));
            }
            return Ok(name.to_owned());
        }
        let Some(uri) = Space::of_path_prefix(prefix).and_then(Space::uri)
        else {
            self.check_bound(target, parent, prefix)?;
            return Ok(name.to_owned());
        };
        let prefix = self.prefix_for(parent, uri).unwrap_or_else(|| {
            let prefix = self.free_prefix(parent, prefix);
            declarations.push((format!("xmlns:{prefix}"), uri.to_owned()));
            prefix
        });
        Ok(qualified(&prefix, local))
    }

    /// Returns what an attribute is called in the text, should it be added.
    pub(super) fn written_attribute(
        &mut self,
        target: &XmlPath,
        spot: Spot,
        name: &str,
        to: Option<&str>,
    ) -> Result<String, EditError> {
        check_name(target, name)?;
        if declared_prefix(name).is_some() {
            return Err(EditError::Declaration { target: target.clone() });
        }
        let (prefix, local) = split(name);
        if prefix.is_empty() || to.is_none() {
            return Ok(name.to_owned());
        }
        let Some(uri) = Space::of_path_prefix(prefix).and_then(Space::uri)
        else {
            self.check_bound(target, spot, prefix)?;
            return Ok(name.to_owned());
        };
        // The default namespace does not reach attributes.
        let bound = self.prefix_for(spot, uri).filter(|p| !p.is_empty());
        let prefix = match bound {
            Some(prefix) => prefix,
            None => {
                let prefix = self.free_prefix(spot, prefix);
                let declaration = (format!("xmlns:{prefix}"), uri.to_owned());
                self.wishes(spot).declarations.push(declaration);
                prefix
            }
        };
        Ok(qualified(&prefix, local))
    }

    fn check_bound(
        &self,
        target: &XmlPath,
        spot: Spot,
        prefix: &str,
    ) -> Result<(), EditError> {
        if prefix == "xml" || self.binding(spot, prefix).is_some() {
            return Ok(());
        }
        let (target, prefix) = (target.clone(), prefix.to_owned());
        Err(EditError::Prefix { target, prefix })
    }

    /// Returns what a prefix is bound to at an element.
    fn binding(&self, at: Spot, prefix: &str) -> Option<Cow<'_, str>> {
        std::iter::successors(Some(at), |spot| self.parent(*spot))
            .flat_map(|spot| self.declarations(spot))
            .find(|(declared, _)| *declared == prefix)
            .map(|(_, uri)| uri)
    }

    /// Returns a prefix that is bound to a URI at an element, one with a name
    /// before the default namespace.
    fn prefix_for(&self, at: Spot, uri: &str) -> Option<String> {
        let mut default = None;
        for spot in std::iter::successors(Some(at), |s| self.parent(*s)) {
            for (prefix, declared) in self.declarations(spot) {
                let bound = declared == uri
                    && self.binding(at, prefix).is_some_and(|b| b == uri);
                if bound && prefix.is_empty() {
                    default = Some(String::new());
                } else if bound {
                    return Some(prefix.to_owned());
                }
            }
        }
        default
    }

    /// Returns a prefix like the wanted one that is not bound yet, so that a
    /// declaration changes the meaning of nothing.
    fn free_prefix(&self, at: Spot, wanted: &str) -> String {
        let mut prefix = wanted.to_owned();
        let mut number = 0;
        while self.binding(at, &prefix).is_some() {
            number += 1;
            prefix = format!("{wanted}{number}");
        }
        prefix
    }

    /// Returns the declarations of an element: prefix and URI.
    fn declarations(&self, spot: Spot) -> Vec<(&str, Cow<'_, str>)> {
        let wishes = match spot {
            Spot::Old(id) => self.old.get(&id).map(|old| &old.wishes),
            Spot::New(index) => Some(&self.new[index].wishes),
        };
        let mut found = Vec::new();
        if let Spot::Old(id) = spot {
            for attribute in self.document.attributes(id) {
                let written = self.document.slice(attribute.name);
                if let Some(prefix) = declared_prefix(written) {
                    let raw = self.document.slice(attribute.value);
                    found.push((prefix, decode(raw, Raw::Attribute)));
                }
            }
        }
        for (name, uri) in wishes.iter().flat_map(|w| &w.declarations) {
            if let Some(prefix) = declared_prefix(name) {
                found.push((prefix, Cow::Borrowed(uri.as_str())));
            }
        }
        found
    }

    /// Returns the name of an element in paths.
    pub(super) fn name(&self, spot: Spot) -> Cow<'_, str> {
        match spot {
            Spot::Old(id) => Element::new(self.document, id).name(),
            Spot::New(index) => Cow::Borrowed(&self.new[index].name),
        }
    }
}

fn qualified(prefix: &str, local: &str) -> String {
    if prefix.is_empty() {
        local.to_owned()
    } else {
        format!("{prefix}:{local}")
    }
}

fn check_name(target: &XmlPath, name: &str) -> Result<(), EditError> {
    if is_qualified_name(name) {
        return Ok(());
    }
    let (target, name) = (target.clone(), name.to_owned());
    Err(EditError::Name { target, name })
}
