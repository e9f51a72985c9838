//! Values: the numbers and names of the field, each with one parser and one spelling.

mod conf_digest;
mod conf_path;
mod digest;
mod host_path;
mod ids;
mod isolcpus;
mod mac;
mod mask;
mod memory;
mod names;
mod nearest;
mod pci;
mod port;
mod set;
mod vmid;
mod xpath;

pub use conf_digest::ConfDigest;
pub use conf_path::ConfPath;
pub use digest::Digest;
pub use host_path::HostPath;
pub use ids::{CellId, CpuId, NodeId, VcpuId};
pub use isolcpus::Isolcpus;
pub use mac::{MacAddress, SwitchId};
pub use memory::{Bytes, PageSize};
pub use names::{DomainName, DomainUuid, InterfaceName};
pub use nearest::nearest;
pub use pci::{PciAddress, PciId};
pub use port::{Part, PortName};
pub use set::{CpuSet, Id, IdSet, NodeSet, VcpuSet};
pub use vmid::Vmid;
pub use xpath::{Leaf, Predicate, Step, XmlPath};

/// Why a text is not a value of the type that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseValueError {
    /// The text, cut to a length that fits a message.
    pub text: String,
    /// What was expected, as a noun phrase: "a CPU list such as 0-3,8".
    pub expected: &'static str,
}

impl ParseValueError {
    /// Longest piece of a foreign text that a message repeats: enough to
    /// recognise it, too little to flood a terminal.
    const SHOWN: usize = 60;

    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        let mut shown: String = text.chars().take(Self::SHOWN).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self { text: shown, expected }
    }
}

/// Implements serde through `Display` and `FromStr`, so that a value has one
/// spelling everywhere and an invalid one cannot enter by a file.
macro_rules! serde_as_text {
    ($type:ty, $pattern:expr, $about:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(
                &self,
                out: S,
            ) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(
                from: D,
            ) -> Result<Self, D::Error> {
                let text =
                    <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(
                _: &mut schemars::SchemaGenerator,
            ) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "description": $about,
                })
            }
        }
    };
}
pub(crate) use serde_as_text;
