//! What must hold before a text is given to libhwloc, which is C and trusts
//! much. Pure.

use std::borrow::Cow;
use std::fmt;

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::base::CpuSet;

/// Deepest nesting of objects; real machines end below twenty, and libhwloc
/// recurses.
const MAX_DEPTH: usize = 128;
/// Longest description; hwloc's own examples have some fifty characters.
const MAX_SYNTHETIC: usize = 4096;

/// Why a text is not given to libhwloc.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// It is not XML.
    #[error("it is not well-formed XML: {0}")]
    NotXml(String),
    /// It is XML of another kind.
    #[error("its root element is <{0}>, not hwloc's <topology>")]
    OtherRoot(String),
    /// It declares entities, which hwloc never writes.
    #[error("it declares entities")]
    Entities,
    /// Objects are nested too deeply.
    #[error("its objects are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A number of a CPU or node is beyond what vmtune counts.
    #[error("it numbers a CPU or node {0}; the limit is {max}", max = CpuSet::MAX_NUMBER)]
    Number(String),
    /// The format is newer than 3.
    #[error("its format is {0}; formats 1 to 3 are known")]
    Format(String),
    /// A description has a NUL, or is too long.
    #[error("it is no description of a topology")]
    Synthetic,
    /// A description multiplies to too many objects.
    #[error("it describes more than {max} CPUs", max = CpuSet::MAX_NUMBER)]
    TooLarge,
}

/// The format of an hwloc XML, `2.0`; format 1 has no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form(Option<String>);

impl Form {
    /// Returns a text of format 3 under the number 2.0.
    pub(super) fn as_format_2<'a>(
        &self,
        text: &'a str,
    ) -> Option<Cow<'a, str>> {
        let number = self.0.as_ref().filter(|n| n.starts_with("3."))?;
        let (head, tail) = text.split_once("<topology")?;
        let (tag, body) = tail.split_once('>')?;
        let tag = tag.replacen(number, "2.0", 1);
        Some(format!("{head}<topology{tag}>{body}").into())
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("1"))
    }
}

/// Checks that a text is hwloc XML that libhwloc can be given.
///
/// # Errors
/// When it is not.
pub fn xml(text: &str) -> Result<Form, InputError> {
    let mut reader = Reader::from_str(text);
    let mut form = None;
    let mut depth = 0;
    loop {
        let event = reader
            .read_event()
            .map_err(|e| InputError::NotXml(e.to_string()))?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                match form {
                    None => form = Some(root(tag)?),
                    Some(_) => numbers(tag)?,
                }
                depth += usize::from(matches!(event, Event::Start(_)));
                if depth > MAX_DEPTH {
                    return Err(InputError::TooDeep);
                }
            }
            Event::End(_) => depth -= 1,
            Event::DocType(doctype) if doctype.contains('[') => {
                return Err(InputError::Entities);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match form {
        Some(form) if depth == 0 => Ok(form),
        _ => Err(InputError::NotXml("it ends early".into())),
    }
}

fn root(tag: &BytesStart<'_>) -> Result<Form, InputError> {
    let name = tag.name().into_inner().to_owned();
    if name != "topology" {
        return Err(InputError::OtherRoot(name));
    }
    let version = attribute(tag, "version")?;
    match version.as_deref().map(|v| v.split_once('.').unwrap_or((v, ""))) {
        None | Some(("1" | "2" | "3", _)) => Ok(Form(version)),
        Some(_) => Err(InputError::Format(version.unwrap_or_default())),
    }
}

fn numbers(tag: &BytesStart<'_>) -> Result<(), InputError> {
    if tag.name().into_inner() != "object" {
        return Ok(());
    }
    let kind = attribute(tag, "type")?;
    let Some(index) = attribute(tag, "os_index")? else { return Ok(()) };
    let number = index.parse::<u32>();
    let counted = matches!(kind.as_deref(), Some("PU" | "NUMANode" | "Node"));
    if counted && !number.is_ok_and(|n| n <= CpuSet::MAX_NUMBER) {
        return Err(InputError::Number(index));
    }
    Ok(())
}

fn attribute(
    tag: &BytesStart<'_>,
    name: &str,
) -> Result<Option<String>, InputError> {
    let found = tag
        .try_get_attribute(name)
        .map_err(|e| InputError::NotXml(e.to_string()))?;
    Ok(found.map(|a| a.value.into_owned()))
}

/// Checks that a description in hwloc's synthetic syntax is of a size that a
/// machine can have. hwloc itself judges the rest.
///
/// # Errors
/// When it is not.
pub fn synthetic(text: &str) -> Result<(), InputError> {
    if text.len() > MAX_SYNTHETIC || text.contains(|c: char| c.is_control()) {
        return Err(InputError::Synthetic);
    }
    // Attributes stand in brackets and count nothing.
    let mut depth = 0_u32;
    let mut levels = String::new();
    for c in text.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => levels.push(c),
            _ => {}
        }
    }
    let mut product = 1_u32;
    for level in levels.split_whitespace() {
        let count = level.rsplit(':').next().unwrap_or(level);
        let Ok(count) = count.parse::<u32>() else { continue };
        product = product
            .checked_mul(count.max(1))
            .filter(|n| *n <= CpuSet::MAX_NUMBER)
            .ok_or(InputError::TooLarge)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told() {
        let form = |text: &str| xml(text).map(|form| form.to_string());
        assert_eq!(form("<topology/>"), Ok("1".into()));
        assert_eq!(form("<topology version='2.0'/>"), Ok("2.0".into()));
        let four = form("<topology version='4.0'/>");
        assert_eq!(four, Err(InputError::Format("4.0".into())));
        let domain = form("<domain/>");
        assert_eq!(domain, Err(InputError::OtherRoot("domain".into())));
        assert!(matches!(form(""), Err(InputError::NotXml(_))));
        assert!(matches!(form("<topology>"), Err(InputError::NotXml(_))));
        assert!(matches!(form("{}"), Err(InputError::NotXml(_))));
    }

    #[test]
    fn format_3_is_offered_as_2() {
        let text = "<topology version=\"3.0\"><a v='3.0'/></topology>";
        let form = xml(text).unwrap();
        let expected = "<topology version=\"2.0\"><a v='3.0'/></topology>";
        assert_eq!(form.as_format_2(text).unwrap(), expected);
        assert_eq!(xml(expected).unwrap().as_format_2(expected), None);
    }

    #[test]
    fn traps_are_refused() {
        let entities = "<!DOCTYPE topology [<!ENTITY a 'b'>]><topology/>";
        assert_eq!(xml(entities), Err(InputError::Entities));
        let plain = "<!DOCTYPE topology SYSTEM 'hwloc2.dtd'><topology/>";
        assert!(xml(plain).is_ok());
        let deep = format!("<topology>{}", "<object>".repeat(200));
        assert_eq!(xml(&deep), Err(InputError::TooDeep));
        let far = "<topology><object type='PU' os_index='99999'/></topology>";
        assert_eq!(xml(far), Err(InputError::Number("99999".into())));
        // PCI functions have large numbers by right.
        let pci = "<topology><object type='PCIDev' os_index='4294967295'/>\
                   </topology>";
        assert!(xml(pci).is_ok());
    }

    #[test]
    fn descriptions_are_bounded() {
        assert_eq!(synthetic("package:2 l3:2 core:4 pu:2"), Ok(()));
        assert_eq!(synthetic("[numa(memory=1234567)] pack:2 16"), Ok(()));
        assert_eq!(synthetic("core:9999 pu:9999"), Err(InputError::TooLarge));
        assert_eq!(synthetic("pu:2\0"), Err(InputError::Synthetic));
    }
}
