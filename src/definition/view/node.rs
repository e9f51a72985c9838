//! An element whose values must be readable where they are there.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::super::xml::Element;
use super::error::{ReadError, ReadProblem};
use crate::base::{Bytes, Leaf, ParseValueError, XmlPath};

/// An element of a definition.
#[derive(Clone, Copy)]
pub(super) struct Node<'d>(Element<'d>);

impl<'d> Node<'d> {
    pub(super) fn new(element: Element<'d>) -> Self {
        Self(element)
    }

    pub(super) fn is(self, name: &str) -> bool {
        self.0.is(name)
    }

    pub(super) fn name(self) -> String {
        self.0.name().into_owned()
    }

    pub(super) fn child(self, name: &str) -> Option<Self> {
        self.0.child(name).map(Self)
    }

    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        self.0.children().map(Self)
    }

    /// Walks all elements that the names lead down to, in document order.
    pub(super) fn all(self, names: &[&str]) -> std::vec::IntoIter<Self> {
        let mut found = vec![self];
        for name in names {
            found = found
                .iter()
                .flat_map(|node| node.0.children_named(name).map(Self))
                .collect();
        }
        found.into_iter()
    }

    /// Walks the attributes: name and value.
    pub(super) fn attributes(self) -> impl Iterator<Item = (String, String)> {
        self.0
            .attributes()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
    }

    pub(super) fn attribute(self, name: &str) -> Option<String> {
        self.0.attribute(name).map(|value| value.into_owned())
    }

    /// Returns whether an attribute has this value.
    pub(super) fn says(self, name: &str, value: &str) -> bool {
        self.0.attribute(name).is_some_and(|found| found == value)
    }

    /// Returns an attribute that must be there.
    pub(super) fn required(
        self,
        name: &'static str,
    ) -> Result<String, ReadError> {
        self.attribute(name).ok_or_else(|| self.missing(name))
    }

    pub(super) fn missing(self, what: &'static str) -> ReadError {
        self.fault(ReadProblem::Missing(what))
    }

    /// Reads an attribute where it is there.
    pub(super) fn parse<T>(self, name: &str) -> Result<Option<T>, ReadError>
    where
        T: FromStr<Err = ParseValueError>,
    {
        self.parse_with(name, str::parse)
    }

    /// Reads an attribute where it is there, in a way of its own.
    pub(super) fn parse_with<T>(
        self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, ParseValueError>,
    ) -> Result<Option<T>, ReadError> {
        let Some(text) = self.0.attribute(name) else { return Ok(None) };
        let fault = |e| self.fault_at(name, ReadProblem::Value(e));
        parse(&text).map(Some).map_err(fault)
    }

    /// Reads a number of 32 bits where it is there.
    pub(super) fn number(self, name: &str) -> Result<Option<u32>, ReadError> {
        self.parse_with(name, number_in(0..=u32::MAX, "a number"))
    }

    /// Reads a number that must be there and is no larger than this.
    pub(super) fn required_number(
        self,
        name: &'static str,
        max: u32,
    ) -> Result<u32, ReadError> {
        let parse = number_in(0..=max, "a number that can be one here");
        self.parse_with(name, parse)?.ok_or_else(|| self.missing(name))
    }

    /// Reads the text without the blanks around it.
    pub(super) fn text_as<T>(
        self,
        parse: impl FnOnce(&str) -> Result<T, ParseValueError>,
    ) -> Result<T, ReadError> {
        self.text_as_is(|text| parse(text.trim()))
    }

    /// Reads the text with the blanks around it, which belong to a name.
    pub(super) fn text_as_is<T>(
        self,
        parse: impl FnOnce(&str) -> Result<T, ParseValueError>,
    ) -> Result<T, ReadError> {
        let fault = |e| self.fault(ReadProblem::Value(e));
        parse(&self.0.text()).map_err(fault)
    }

    /// Returns the text without the blanks around it; `None` for none.
    pub(super) fn text(self) -> Option<String> {
        let text = self.0.text();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Reads the text as memory in the unit that `unit=…` gives.
    pub(super) fn memory(self) -> Result<Bytes, ReadError> {
        let unit = self.0.attribute("unit");
        self.text_as(|text| Bytes::with_unit(text, unit.as_deref()))
    }

    /// Reads an attribute as memory in the unit that `unit=…` gives.
    pub(super) fn memory_attribute(
        self,
        name: &'static str,
    ) -> Result<Bytes, ReadError> {
        let unit = self.0.attribute("unit");
        let parse = |text: &str| Bytes::with_unit(text, unit.as_deref());
        self.parse_with(name, parse)?.ok_or_else(|| self.missing(name))
    }

    /// Says what is wrong with the element.
    pub(super) fn fault(self, problem: ReadProblem) -> ReadError {
        let (place, path) = (self.0.place(), self.0.path());
        ReadError::Definition { place, path, problem }
    }

    /// Says what is wrong with an attribute.
    pub(super) fn fault_at(
        self,
        name: &str,
        problem: ReadProblem,
    ) -> ReadError {
        let place = self.0.attribute_place(name);
        let leaf = Leaf::Attribute(name.to_owned());
        ReadError::Definition {
            place: place.unwrap_or_else(|| self.0.place()),
            path: XmlPath { leaf, ..self.0.path() },
            problem,
        }
    }
}

/// Reads a decimal number within a range.
pub(super) fn number_in(
    range: RangeInclusive<u32>,
    expected: &'static str,
) -> impl Fn(&str) -> Result<u32, ParseValueError> {
    move |text| {
        let number = text.trim().parse().ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| ParseValueError::new(text, expected))
    }
}
