//! The few XPath forms that name one place in a domain definition.
//!
//! A path starts at the root element, has predicates on attributes or a
//! position, and ends at an element, an attribute or its text:
//! `/domain/cputune/vcpupin[@vcpu='3']/@cpuset`.

use std::fmt;
use std::str::FromStr;

use super::{ParseValueError, serde_as_text};

/// A place in an XML definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct XmlPath {
    /// The elements from the root down.
    pub steps: Vec<Step>,
    /// What of the last element is meant.
    pub leaf: Leaf,
}

/// One element on the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The element's name. The prefix `qemu:` stands for libvirt's QEMU
    /// namespace and `vmtune:` for our own, whatever the document calls them.
    pub name: String,
    /// What tells the element from its siblings of the same name.
    pub predicates: Vec<Predicate>,
}

/// What tells an element from its siblings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Predicate {
    /// `[@name='value']`
    Attribute(String, String),
    /// `[n]`, counted from 1 among siblings of the same name.
    Position(usize),
}

/// What of the last element a path means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaf {
    /// The element itself.
    Element,
    /// `/@name`
    Attribute(String),
    /// `/text()`
    Text,
}

impl XmlPath {
    /// Starts at the root of a domain definition.
    #[must_use]
    pub fn domain() -> Self {
        let root = Step { name: "domain".to_owned(), predicates: Vec::new() };
        Self { steps: vec![root], leaf: Leaf::Element }
    }

    /// Goes down to a child element.
    #[must_use]
    pub fn child(mut self, name: &str) -> Self {
        self.steps.push(Step { name: name.to_owned(), predicates: Vec::new() });
        self
    }

    /// Means the element whose attribute has this value.
    #[must_use]
    pub fn with(self, attribute: &str, value: impl fmt::Display) -> Self {
        let name = attribute.to_owned();
        self.predicate(Predicate::Attribute(name, value.to_string()))
    }

    /// Means the element at this position, counted from 1.
    #[must_use]
    pub fn nth(self, position: usize) -> Self {
        self.predicate(Predicate::Position(position))
    }

    /// Means an attribute of the element.
    #[must_use]
    pub fn attribute(self, name: &str) -> Self {
        Self { leaf: Leaf::Attribute(name.to_owned()), ..self }
    }

    /// Means the text of the element.
    #[must_use]
    pub fn text(self) -> Self {
        Self { leaf: Leaf::Text, ..self }
    }

    fn predicate(mut self, predicate: Predicate) -> Self {
        if let Some(last) = self.steps.last_mut() {
            last.predicates.push(predicate);
        }
        self
    }

    /// Returns the path without predicates: `/domain/cputune/vcpupin/@cpuset`.
    #[must_use]
    pub fn pattern(&self) -> String {
        let steps = self
            .steps
            .iter()
            .map(|s| Step { name: s.name.clone(), predicates: Vec::new() });
        Self { steps: steps.collect(), leaf: self.leaf.clone() }.to_string()
    }
}

impl fmt::Display for XmlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "/{}", step.name)?;
            for predicate in &step.predicates {
                match predicate {
                    Predicate::Attribute(name, value) => {
                        let quote =
                            if value.contains('\'') { '"' } else { '\'' };
                        write!(f, "[@{name}={quote}{value}{quote}]")?;
                    }
                    Predicate::Position(n) => write!(f, "[{n}]")?,
                }
            }
        }
        match &self.leaf {
            Leaf::Element => Ok(()),
            Leaf::Attribute(name) => write!(f, "/@{name}"),
            Leaf::Text => f.write_str("/text()"),
        }
    }
}

impl FromStr for XmlPath {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| {
            ParseValueError::new(text, "a path such as /domain/vcpu/@cpuset")
        })
    }
}

fn parse(text: &str) -> Option<XmlPath> {
    let mut rest = text;
    let mut steps = Vec::new();
    let mut leaf = Leaf::Element;
    while let Some(after) = rest.strip_prefix('/') {
        if let Some(attribute) = after.strip_prefix('@') {
            leaf = Leaf::Attribute(name(attribute)?);
            rest = "";
            break;
        }
        if after == "text()" {
            leaf = Leaf::Text;
            rest = "";
            break;
        }
        let end = after.find(['/', '[']).unwrap_or(after.len());
        let mut step = Step { name: name(&after[..end])?, predicates: vec![] };
        rest = &after[end..];
        while let Some(inner) = rest.strip_prefix('[') {
            let (predicate, after) = predicate(inner)?;
            step.predicates.push(predicate);
            rest = after;
        }
        steps.push(step);
    }
    (rest.is_empty() && !steps.is_empty()).then_some(XmlPath { steps, leaf })
}

fn predicate(inner: &str) -> Option<(Predicate, &str)> {
    if let Some(attribute) = inner.strip_prefix('@') {
        let (key, value) = attribute.split_once('=')?;
        let quote = value.chars().next().filter(|q| "'\"".contains(*q))?;
        let (value, after) = value[1..].split_once(quote)?;
        let after = after.strip_prefix(']')?;
        return Some((Predicate::Attribute(name(key)?, value.into()), after));
    }
    let (number, after) = inner.split_once(']')?;
    let number = number.parse().ok().filter(|n| *n > 0)?;
    Some((Predicate::Position(number), after))
}

/// Takes an XML name of the plain kind that libvirt uses.
fn name(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_:-.".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    (starts && text.chars().all(plain)).then(|| text.to_owned())
}

serde_as_text!(XmlPath, "^/", "a place in a domain definition, as an XPath");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip() {
        for text in [
            "/domain",
            "/domain/vcpu/text()",
            "/domain/cputune/vcpupin[@vcpu='3']/@cpuset",
            "/domain/devices/controller[@type='pci'][@index='4']/target",
            "/domain/qemu:commandline/qemu:arg[2]",
            "/domain/x[@a=\"it's\"]",
        ] {
            assert_eq!(text.parse::<XmlPath>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_xpath_is_refused() {
        for text in [
            "",
            "/",
            "domain",
            "//vcpu",
            "/domain/*",
            "/a[0]",
            "/a[@b=c]",
            "/a/@b/c",
        ] {
            assert!(text.parse::<XmlPath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn paths_are_built_as_they_are_written() {
        let pin = XmlPath::domain().child("cputune").child("vcpupin");
        for (path, text) in [
            (
                pin.with("vcpu", 3).attribute("cpuset"),
                "/domain/cputune/vcpupin[@vcpu='3']/@cpuset",
            ),
            (XmlPath::domain().child("a").nth(2), "/domain/a[2]"),
            (XmlPath::domain().child("vcpu").text(), "/domain/vcpu/text()"),
        ] {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse(), Ok(path));
        }
    }

    #[test]
    fn patterns_have_no_predicates() {
        let path: XmlPath = "/domain/a[@b='c']/d[2]/@e".parse().unwrap();
        assert_eq!(path.pattern(), "/domain/a/d/@e");
    }
}
