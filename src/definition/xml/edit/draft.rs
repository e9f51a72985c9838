//! What the edits want, gathered before a byte is touched.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Edit, EditError};
use crate::base::{Leaf, Predicate, Step, XmlPath};
use crate::definition::xml::chars::{is_allowed, is_blank};
use crate::definition::xml::element::Element;
use crate::definition::xml::tree::{Document, Id};

/// The document and what shall become of it.
pub(super) struct Draft<'d> {
    pub(super) document: &'d Document,
    /// What shall become of elements that are there.
    pub(super) old: BTreeMap<Id, Old>,
    /// The elements to create, in the order of the edits.
    pub(super) new: Vec<New>,
}

/// An element, there or to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    Old(Id),
    /// By its index in [`Draft::new`].
    New(usize),
}

/// What shall become of an element that is there.
#[derive(Default)]
pub(super) struct Old {
    pub(super) removed: bool,
    /// Whether an edit relies on its being there.
    pub(super) kept: bool,
    pub(super) wishes: Wishes,
}

/// An element to create.
pub(super) struct New {
    pub(super) parent: Spot,
    /// Its name in paths.
    pub(super) name: String,
    /// Its name in the text.
    pub(super) written: String,
    pub(super) wishes: Wishes,
}

/// What an element shall have.
#[derive(Default)]
pub(super) struct Wishes {
    /// Namespace declarations to add: attribute name and URI.
    pub(super) declarations: Vec<(String, String)>,
    pub(super) attributes: Vec<Wish>,
    /// The new text; the inner none removes it.
    pub(super) text: Option<Option<String>>,
    /// Children to create, by their index in [`Draft::new`].
    pub(super) children: Vec<usize>,
}

/// What an attribute shall be.
pub(super) struct Wish {
    /// Its name in paths.
    pub(super) name: String,
    /// Its name in the text, should it have to be added.
    pub(super) written: String,
    /// None: it shall not be there.
    pub(super) to: Option<String>,
}

impl Wishes {
    /// Returns whether anything but removal is wanted.
    fn add(&self) -> bool {
        !self.children.is_empty()
            || matches!(self.text, Some(Some(_)))
            || self.attributes.iter().any(|wish| wish.to.is_some())
    }
}

/// How far a path leads.
struct Found {
    /// The elements at the last step that leads anywhere.
    spots: Vec<Spot>,
    /// How many steps lead there.
    steps: usize,
}

impl<'d> Draft<'d> {
    pub(super) fn new(document: &'d Document) -> Self {
        Self { document, old: BTreeMap::new(), new: Vec::new() }
    }

    /// Takes one edit in.
    pub(super) fn take(&mut self, edit: &Edit) -> Result<(), EditError> {
        let target = &edit.target;
        if target.steps.len() > Document::MAX_DEPTH {
            return Err(EditError::TooDeep { target: target.clone() });
        }
        if let Some(value) = &edit.to {
            check_value(target, value)?;
        }
        match (&target.leaf, &edit.to) {
            (Leaf::Element, Some(_)) => self.ensure(target),
            (Leaf::Element, None) => self.remove(target),
            (leaf, Some(value)) => {
                let spot = self.reach(target)?;
                self.check_kept(target, spot)?;
                match leaf {
                    Leaf::Attribute(name) => {
                        self.attribute_wish(target, spot, name, Some(value))
                    }
                    _ => self.text_wish(target, spot, Some(value)),
                }
            }
            (leaf, None) => match self.only(target)? {
                None => Ok(()),
                Some(spot) => match leaf {
                    Leaf::Attribute(name) => {
                        self.attribute_wish(target, spot, name, None)
                    }
                    _ => self.text_wish(target, spot, None),
                },
            },
        }
    }

    fn ensure(&mut self, target: &XmlPath) -> Result<(), EditError> {
        let found = self.find(target)?;
        if found.steps < target.steps.len() {
            return self.reach(target).map(|_| ());
        }
        let stays = found.spots.iter().find(|spot| !self.is_removed(**spot));
        match stays {
            Some(&Spot::Old(id)) => {
                self.old.entry(id).or_default().kept = true;
                Ok(())
            }
            Some(Spot::New(_)) => Ok(()),
            None => Err(removed(target)),
        }
    }

    fn remove(&mut self, target: &XmlPath) -> Result<(), EditError> {
        let id = match self.only(target)? {
            None => return Ok(()),
            Some(Spot::New(_)) => {
                return Err(conflict(target, "creates the element"));
            }
            Some(Spot::Old(Id::ROOT)) => {
                let target = target.clone();
                return Err(EditError::RemovesRoot { target });
            }
            Some(Spot::Old(id)) => id,
        };
        let below = self.old.range(id..self.document.element(id).next);
        if below.into_iter().any(|(_, old)| old.kept || old.wishes.add()) {
            return Err(conflict(target, "needs the element"));
        }
        self.old.entry(id).or_default().removed = true;
        if let Some(parent) = self.document.element(id).parent {
            // Its layout may have to change.
            self.old.entry(parent).or_default();
        }
        Ok(())
    }

    /// Wants an attribute of an element that stays.
    pub(super) fn attribute_wish(
        &mut self,
        target: &XmlPath,
        spot: Spot,
        name: &str,
        to: Option<&str>,
    ) -> Result<(), EditError> {
        if let Some(to) = to {
            check_value(target, to)?;
        }
        let earlier = &self.wishes(spot).attributes;
        if let Some(wish) = earlier.iter().find(|wish| wish.name == name) {
            if wish.to.as_deref() == to {
                return Ok(());
            }
            return Err(conflict(target, "has another value for it"));
        }
        let written = self.written_attribute(target, spot, name, to)?;
        let wish = Wish { name: name.into(), written, to: to.map(Into::into) };
        self.wishes(spot).attributes.push(wish);
        Ok(())
    }

    fn text_wish(
        &mut self,
        target: &XmlPath,
        spot: Spot,
        to: Option<&str>,
    ) -> Result<(), EditError> {
        let wishes = self.wishes(spot);
        if let Some(earlier) = &wishes.text {
            if earlier.as_deref() == to {
                return Ok(());
            }
            return Err(conflict(target, "has another value for it"));
        }
        let mut children = !wishes.children.is_empty();
        if let Spot::Old(id) = spot {
            let element = Element::new(self.document, id);
            children |= element.children().next().is_some();
            if children && to.is_none() && is_blank(&element.text()) {
                return Ok(());
            }
        }
        if children {
            return Err(EditError::Mixed { target: target.clone() });
        }
        self.wishes(spot).text = Some(to.map(Into::into));
        Ok(())
    }

    /// Returns the one element that a path leads to, if there is one.
    fn only(&self, target: &XmlPath) -> Result<Option<Spot>, EditError> {
        let found = self.find(target)?;
        match found.spots[..] {
            _ if found.steps < target.steps.len() => Ok(None),
            [spot] => Ok(Some(spot)),
            _ => Err(ambiguous(target, found.spots.len())),
        }
    }

    /// Returns the one element that a path leads to, creating what is missing.
    fn reach(&mut self, target: &XmlPath) -> Result<Spot, EditError> {
        let found = self.find(target)?;
        let [mut spot] = found.spots[..] else {
            return Err(ambiguous(target, found.spots.len()));
        };
        for step in &target.steps[found.steps..] {
            self.check_kept(target, spot)?;
            spot = self.create(target, spot, step)?;
        }
        Ok(spot)
    }

    fn find(&self, target: &XmlPath) -> Result<Found, EditError> {
        let root = self.document.root();
        let first = target.steps.first();
        let fits = first.is_some_and(|step| {
            let own = root.is(&step.name).then_some(Spot::Old(Id::ROOT));
            !self.select(own.into_iter().collect(), step).is_empty()
        });
        if !fits {
            let (target, found) = (target.clone(), root.name().into_owned());
            return Err(EditError::OtherRoot { target, found });
        }
        let mut found = Found { spots: vec![Spot::Old(Id::ROOT)], steps: 1 };
        for step in &target.steps[1..] {
            let spots: Vec<_> = found
                .spots
                .iter()
                .flat_map(|spot| {
                    self.select(self.children_named(*spot, &step.name), step)
                })
                .collect();
            if spots.is_empty() {
                break;
            }
            found = Found { spots, steps: found.steps + 1 };
        }
        Ok(found)
    }

    /// Keeps what the predicates let through, as `Document::find` does.
    fn select(&self, mut spots: Vec<Spot>, step: &Step) -> Vec<Spot> {
        for predicate in &step.predicates {
            spots = self.filter(spots, predicate);
        }
        spots
    }

    pub(super) fn filter(
        &self,
        mut spots: Vec<Spot>,
        predicate: &Predicate,
    ) -> Vec<Spot> {
        match predicate {
            Predicate::Attribute(name, value) => {
                spots.retain(|spot| {
                    self.attribute(*spot, name).is_some_and(|v| v == *value)
                });
                spots
            }
            Predicate::Position(n) => {
                let kept = n.checked_sub(1).and_then(|n| spots.get(n)).copied();
                kept.into_iter().collect()
            }
        }
    }

    /// Returns the children of a name: those of the document, removed or not,
    /// then those to create.
    pub(super) fn children_named(&self, spot: Spot, name: &str) -> Vec<Spot> {
        let mut spots = Vec::new();
        let created = match spot {
            Spot::Old(id) => {
                let element = Element::new(self.document, id);
                let there = element.children_named(name);
                spots.extend(there.map(|child| Spot::Old(child.id())));
                self.old.get(&id).map(|old| &old.wishes.children)
            }
            Spot::New(index) => Some(&self.new[index].wishes.children),
        };
        let created = created.into_iter().flatten().copied();
        spots.extend(
            created.filter(|&i| self.new[i].name == name).map(Spot::New),
        );
        spots
    }

    /// Returns an attribute as predicates see it.
    pub(super) fn attribute(
        &self,
        spot: Spot,
        name: &str,
    ) -> Option<Cow<'_, str>> {
        match spot {
            Spot::Old(id) => Element::new(self.document, id).attribute(name),
            Spot::New(index) => {
                let wishes = self.new[index].wishes.attributes.iter();
                let wish = wishes.into_iter().find(|wish| wish.name == name)?;
                wish.to.as_deref().map(Cow::Borrowed)
            }
        }
    }

    pub(super) fn wishes(&mut self, spot: Spot) -> &mut Wishes {
        match spot {
            Spot::Old(id) => &mut self.old.entry(id).or_default().wishes,
            Spot::New(index) => &mut self.new[index].wishes,
        }
    }

    pub(super) fn parent(&self, spot: Spot) -> Option<Spot> {
        match spot {
            Spot::Old(id) => self.document.element(id).parent.map(Spot::Old),
            Spot::New(index) => Some(self.new[index].parent),
        }
    }

    fn is_removed(&self, spot: Spot) -> bool {
        std::iter::successors(Some(spot), |spot| self.parent(*spot)).any(
            |spot| match spot {
                Spot::Old(id) => self.old.get(&id).is_some_and(|o| o.removed),
                Spot::New(_) => false,
            },
        )
    }

    fn check_kept(&self, target: &XmlPath, at: Spot) -> Result<(), EditError> {
        if self.is_removed(at) { Err(removed(target)) } else { Ok(()) }
    }

    /// Returns whether an element has a text that is more than layout.
    pub(super) fn has_text(&self, spot: Spot) -> bool {
        match spot {
            Spot::Old(id) => {
                let wished = self.old.get(&id);
                wished.is_some_and(|old| old.wishes.text.is_some())
                    || Element::new(self.document, id).has_text()
            }
            Spot::New(index) => self.new[index].wishes.text.is_some(),
        }
    }
}

fn check_value(target: &XmlPath, value: &str) -> Result<(), EditError> {
    match value.chars().find(|c| !is_allowed(*c)) {
        Some(character) => {
            let target = target.clone();
            Err(EditError::Character { target, character })
        }
        None => Ok(()),
    }
}

fn conflict(target: &XmlPath, earlier: &'static str) -> EditError {
    EditError::Conflict { target: target.clone(), earlier }
}

fn removed(target: &XmlPath) -> EditError {
    conflict(target, "removes the element")
}

fn ambiguous(target: &XmlPath, count: usize) -> EditError {
    EditError::Ambiguous { target: target.clone(), count }
}
