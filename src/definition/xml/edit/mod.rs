//! Edits: what is wanted of a document, and the text that has it.

mod create;
mod draft;
mod splice;
mod write;

use super::error::XmlError;
use super::style::Style;
use super::tree::Document;
use crate::base::XmlPath;

/// One edit of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The place. Its predicates and positions are those of the document
    /// before any edit; elements that earlier edits of the same list have
    /// created count behind those.
    pub target: XmlPath,
    /// The value that an attribute or a text shall have; for an element, that
    /// it shall exist, whatever the value says. None: it shall not be there.
    pub to: Option<String>,
}

/// Why edits cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The path starts at another root.
    #[error("editing {target}: the root element is {found}")]
    OtherRoot {
        /// The path of the edit.
        target: XmlPath,
        /// The root's name.
        found: String,
    },
    /// A document has a root.
    #[error("editing {target}: the root element cannot be removed")]
    RemovesRoot {
        /// The path of the edit.
        target: XmlPath,
    },
    /// The path does not say which of several elements it means.
    #[error("editing {target}: the path fits {count} elements")]
    Ambiguous {
        /// The path of the edit.
        target: XmlPath,
        /// How many elements fit, or would have to get the missing child.
        count: usize,
    },
    /// An edit contradicts one before it.
    #[error("editing {target}: an earlier edit {earlier}")]
    Conflict {
        /// The path of the edit.
        target: XmlPath,
        /// What the earlier edit did: "removes the element".
        earlier: &'static str,
    },
    /// A missing element cannot be created at this position.
    #[error("editing {target}: the next position would be {next}")]
    Position {
        /// The path of the edit.
        target: XmlPath,
        /// The position that a new element would have.
        next: usize,
    },
    /// Text and elements would stand side by side.
    #[error("editing {target}: an element has either text or children")]
    Mixed {
        /// The path of the edit.
        target: XmlPath,
    },
    /// A name that XML does not allow.
    #[error("editing {target}: {name:?} is not a name")]
    Name {
        /// The path of the edit.
        target: XmlPath,
        /// The name.
        name: String,
    },
    /// A value holds a character that XML does not allow.
    #[error("editing {target}: U+{:04X} is not allowed", u32::from(*.character))]
    Character {
        /// The path of the edit.
        target: XmlPath,
        /// The character.
        character: char,
    },
    /// A prefix that the document does not bind at that place.
    #[error("editing {target}: the namespace prefix {prefix:?} is not bound")]
    Prefix {
        /// The path of the edit.
        target: XmlPath,
        /// The prefix.
        prefix: String,
    },
    /// Namespace declarations come and go with what needs them.
    #[error("editing {target}: namespace declarations are not edited")]
    Declaration {
        /// The path of the edit.
        target: XmlPath,
    },
    /// The path is longer than a document may be deep.
    #[error("editing {target}: deeper than {} levels", Document::MAX_DEPTH)]
    TooDeep {
        /// The path of the edit.
        target: XmlPath,
    },
    /// The result would not be a document: it is too large, or an attribute
    /// is there twice under two prefixes.
    #[error("the edited document is not valid")]
    Result(#[source] XmlError),
}

impl Document {
    /// Returns the text with the edits made, all other bytes as they were.
    ///
    /// What is missing on the way to a target is created, with attributes
    /// from the predicates, in libvirt's order and the document's layout.
    /// What is already as wanted stays as it is written, and what shall not
    /// be there may be missing already. A removed element takes its line
    /// with it, but no comment; an element that loses its whole content is
    /// written as an empty one.
    ///
    /// # Errors
    ///
    /// Fails as a whole, for the first edit that cannot be made.
    pub fn edit(&self, edits: &[Edit]) -> Result<String, EditError> {
        let mut draft = draft::Draft::new(self);
        for edit in edits {
            draft.take(edit)?;
        }
        let splices = splice::splices(&draft, &Style::of(self));
        if splices.is_empty() {
            return Ok(self.text.clone());
        }
        let text = splice::apply(&self.text, splices);
        // Nothing leaves that could not be read again.
        Self::parse(&text).map_err(EditError::Result)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(xml: &str, edits: &[(&str, Option<&str>)]) -> String {
        let edit = |(target, to): &(&str, Option<&str>)| Edit {
            target: target.parse().unwrap(),
            to: to.map(Into::into),
        };
        let edits: Vec<_> = edits.iter().map(edit).collect();
        let document = Document::parse(xml).unwrap();
        document.edit(&edits).unwrap_or_else(|error| error.to_string())
    }

    const XML: &str = "<domain>
  <vcpu cpuset=\"0\">4</vcpu> <!-- four -->
  <cpu mode='host-passthrough'/>

  <!-- devices -->
  <devices/>
</domain>
";

    #[test]
    fn what_is_missing_is_created_in_place() {
        let pin = "/domain/cputune/vcpupin[@vcpu='1']/@cpuset";
        let threads = "/domain/cpu/topology/@threads";
        let text = edited(XML, &[(pin, Some("3")), (threads, Some("2"))]);
        let expected = "<domain>
  <vcpu cpuset=\"0\">4</vcpu> <!-- four -->
  <cputune>
    <vcpupin vcpu='1' cpuset='3'/>
  </cputune>
  <cpu mode='host-passthrough'>
    <topology threads='2'/>
  </cpu>

  <!-- devices -->
  <devices/>
</domain>
";
        assert_eq!(text, expected);
        let back = [("/domain/cputune", None), ("/domain/cpu/topology", None)];
        assert_eq!(edited(&text, &back), XML);
    }

    #[test]
    fn values_change_alone() {
        let edits = [
            ("/domain/vcpu/@cpuset", Some("1\"<")),
            ("/domain/vcpu/text()", Some("8")),
            ("/domain/cpu/@mode", None),
            ("/domain/missing/@x", None),
        ];
        let expected = XML
            .replace("\"0\"", "\"1&quot;&lt;\"")
            .replace(">4<", ">8<")
            .replace(" mode='host-passthrough'", "");
        assert_eq!(edited(XML, &edits), expected);
    }

    #[test]
    fn contradictions_are_refused() {
        let cpu = ("/domain/cpu", None);
        let mode = |to| ("/domain/cpu/@mode", Some(to));
        let x = "<d><a/><a/></d>";
        for (xml, edits, error) in [
            (XML, [cpu, mode("x")], "removes the element"),
            (XML, [mode("x"), cpu], "needs the element"),
            (XML, [("/domain/cpu", Some("")), cpu], "needs the element"),
            (XML, [cpu, ("/domain/cpu", Some(""))], "removes the element"),
            (XML, [("/domain/os", Some("")), ("/domain/os", None)], "creates"),
            (XML, [mode("x"), mode("y")], "another value"),
            (XML, [("/domain", None), cpu], "root element"),
            (XML, [("/network/x", None), cpu], "is domain"),
            (x, [("/d/a/@x", Some("")), ("/d", None)], "fits 2"),
            (x, [("/d/a[4]", Some("")), ("/d", None)], "would be 3"),
            (x, [("/d/text()", Some("x")), ("/d", None)], "either text"),
            (x, [("/d/b/@x", Some("\0")), ("/d", None)], "U+0000"),
            (x, [("/d/y:b", Some("")), ("/d", None)], "\"y\" is not bound"),
            (x, [("/d/@xmlns:y", Some("u")), ("/d", None)], "declarations"),
        ] {
            let text = edited(xml, &edits);
            assert!(text.contains(error), "{text}");
        }
    }
}
