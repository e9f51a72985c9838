//! A definition of either language, for whoever only asks what stands at a
//! place of it.

use super::conf::{Conf, ConfError};
use super::is_xml;
use super::xml::{Document, XmlError};
use crate::base::Leaf;
use crate::model::Target;

/// Why a text is no definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// It looks like XML and is none.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// It is none of Proxmox.
    #[error(transparent)]
    Conf(#[from] ConfError),
}

/// A definition, in the language that it is written in.
#[derive(Debug)]
pub enum Parsed {
    /// libvirt's XML.
    Xml(Document),
    /// Proxmox' `VMID.conf`.
    Conf(Conf),
}

impl Parsed {
    /// Reads a text; which language it is, is told by what is in it.
    ///
    /// # Errors
    /// When it is of neither.
    pub fn read(text: &str) -> Result<Self, SyntaxError> {
        Ok(match is_xml(text) {
            true => Self::Xml(Document::parse(text)?),
            false => Self::Conf(Conf::parse(text)?),
        })
    }

    /// Returns what stands at a place; the empty string for an element that
    /// is there, nothing for a place of the other language.
    #[must_use]
    pub fn value(&self, target: &Target) -> Option<String> {
        match (self, target) {
            (Self::Xml(document), Target::Definition(path)) => {
                match path.leaf {
                    Leaf::Element => document.find(path).map(|_| String::new()),
                    Leaf::Attribute(_) => document.value(path).map(Into::into),
                    Leaf::Text => {
                        let text = document.value(path)?.trim().to_owned();
                        (!text.is_empty()).then_some(text)
                    }
                }
            }
            (Self::Conf(conf), Target::Conf(path)) => {
                conf.find(path).map(Into::into)
            }
            _ => None,
        }
    }

    /// Returns how many comments whoever keeps the definition may drop.
    /// Proxmox keeps them: they are the VM's notes.
    #[must_use]
    pub fn comments(&self) -> usize {
        match self {
            Self::Xml(document) => document.comments(),
            Self::Conf(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_of_one_language() {
        let xml = "<domain><vcpu> 2 </vcpu><os/><!-- c --></domain>";
        let xml = Parsed::read(xml).unwrap();
        let conf = Parsed::read("#c\nnuma0: cpus=0-1,memory=512\n").unwrap();
        let value = |from: &Parsed, target: &str| {
            from.value(&target.parse::<Target>().unwrap())
        };
        assert_eq!(value(&xml, "/domain/vcpu/text()").as_deref(), Some("2"));
        assert_eq!(value(&xml, "/domain/os").as_deref(), Some(""));
        assert_eq!(value(&conf, "numa0/cpus").as_deref(), Some("0-1"));
        for (from, target) in [
            (&xml, "numa0/cpus"),
            (&xml, "/domain/vcpu/@cpuset"),
            (&conf, "/domain/vcpu/text()"),
            (&conf, "cores"),
        ] {
            assert_eq!(value(from, target), None, "{target}");
        }
        assert_eq!((xml.comments(), conf.comments()), (1, 0));
        assert!(matches!(Parsed::read("<domain>"), Err(SyntaxError::Xml(_))));
        assert!(matches!(Parsed::read("a"), Err(SyntaxError::Conf(_))));
    }
}
