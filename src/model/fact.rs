//! A fact: something that was read, or the reason why it is not known.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a fact comes from: a path, a command line option, a document.
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
#[serde(transparent)]
pub struct Origin(pub String);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value with its origin, or the reason why there is none.
///
/// There is no default: a fact that could not be read stays unknown until
/// somebody reads it, and whoever needs it says so.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case", untagged)]
pub enum Fact<T> {
    /// It was read.
    Known {
        /// What was read.
        value: T,
        /// Where it was read.
        origin: Origin,
    },
    /// It was not read.
    Unknown {
        /// Why, as a clause: "the source holds no kernel command line".
        unknown: String,
    },
}

impl<T> Fact<T> {
    /// Makes a known fact.
    pub fn known(value: T, origin: impl Into<String>) -> Self {
        Self::Known { value, origin: Origin(origin.into()) }
    }

    /// Makes an unknown fact with its reason.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { unknown: reason.into() }
    }

    /// Returns the value where it is known.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unknown { .. } => None,
        }
    }

    /// Returns the origin where the value is known.
    #[must_use]
    pub const fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Known { origin, .. } => Some(origin),
            Self::Unknown { .. } => None,
        }
    }

    /// Returns why the value is not known.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Known { .. } => None,
            Self::Unknown { unknown } => Some(unknown),
        }
    }

    /// Makes another value of a known one, with the same origin.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known { value, origin } => {
                Fact::Known { value: f(value), origin }
            }
            Self::Unknown { unknown } => Fact::Unknown { unknown },
        }
    }
}

impl<T: PartialEq> Fact<T> {
    /// Returns whether the value is known and is this.
    #[must_use]
    pub fn is(&self, value: &T) -> bool {
        self.value() == Some(value)
    }
}
