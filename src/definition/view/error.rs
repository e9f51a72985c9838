//! Why a text is not a definition that can be planned.

use super::super::conf::ConfError;
use super::super::xml::{Place, XmlError};
use crate::base::{ParseValueError, XmlPath};

/// Why a definition could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The text is not XML.
    #[error("reading the definition as XML")]
    Xml(#[from] XmlError),
    /// The text is not a definition of Proxmox.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// An element does not say what it should.
    #[error("line {}, column {}: {path}: {problem}", place.line, place.column)]
    Definition {
        /// Where the element or attribute is.
        place: Place,
        /// Which element or attribute it is.
        path: XmlPath,
        /// What is wrong with it.
        problem: ReadProblem,
    },
}

/// What is wrong with an element.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadProblem {
    /// Another kind of document.
    #[error("not a domain definition, which starts with <domain>")]
    NotADomain,
    /// A document that holds a definition among other things.
    #[error(
        "holds a definition but is none; give the <domain> inside, as \
         `virsh dumpxml --inactive` prints it"
    )]
    Wrapper,
    /// A hypervisor that is not QEMU.
    #[error("virt type {0:?} is not run by QEMU")]
    VirtType(String),
    /// A child or an attribute that must be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value of the wrong form.
    #[error("{0}")]
    Value(ParseValueError),
    /// Something that may be said once only.
    #[error("{0} is there twice")]
    Twice(String),
    /// A sum that does not fit.
    #[error("the amounts of memory add up to more than 2^64 bytes")]
    TooMuchMemory,
}

impl ReadProblem {
    /// Says why an element is not the root of a definition.
    pub(super) fn of_root(name: &str) -> Self {
        match name {
            "domstatus" | "domainsnapshot" | "domaincheckpoint"
            | "domainbackup" | "inactiveDomain" => Self::Wrapper,
            _ => Self::NotADomain,
        }
    }
}
