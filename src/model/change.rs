//! One edit of a plan: what it sets, from what to what, why and when.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::XmlPath;

/// One edit.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The rule that wants it.
    pub rule: String,
    /// The VM whose definition is edited; `None` for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// What is edited.
    pub target: Target,
    /// What stands there; `None` where nothing does.
    pub from: Option<String>,
    /// What shall stand there; `None` to take it away. The empty string for
    /// an element that has only to be there.
    pub to: Option<String>,
    /// Why, in this case, with the facts that it rests on.
    pub because: String,
    /// When it takes effect.
    pub stage: Stage,
    /// What it costs in safety; `None` where it costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade: Option<String>,
}

/// What a change edits.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(untagged)]
pub enum Target {
    /// A place in a domain definition.
    Definition(XmlPath),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definition(path) => path.fmt(f),
        }
    }
}

/// When a change takes effect.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// At once.
    Now,
    /// When the VM starts next.
    VmStart,
    /// When the host boots next.
    HostBoot,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now => "now",
            Self::VmStart => "vm-start",
            Self::HostBoot => "host-boot",
        })
    }
}
