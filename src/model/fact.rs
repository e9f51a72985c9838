//! A fact: something that was read, or the reason why it is not known.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
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

    /// Makes the fact that nobody looked: what facts were written before there
    /// was such a fact.
    #[must_use]
    pub fn not_read() -> Self {
        Self::unknown("it was not read")
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

/// Read by hand: serde's own reading of an untagged enum loses what a JSON
/// key is (a node's number) and says of an error only that nothing matched.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fact<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, bound = "T: Deserialize<'de>")]
        struct Fields<T> {
            // `null` is a value where T has one.
            #[serde(default = "Option::default", deserialize_with = "some")]
            value: Option<T>,
            origin: Option<Origin>,
            unknown: Option<String>,
        }
        fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<T>, D::Error> {
            T::deserialize(from).map(Some)
        }
        match Fields::deserialize(from)? {
            Fields {
                value: Some(value),
                origin: Some(origin),
                unknown: None,
            } => Ok(Self::Known { value, origin }),
            Fields { value: None, origin: None, unknown: Some(unknown) } => {
                Ok(Self::Unknown { unknown })
            }
            _ => Err(D::Error::custom(
                "a fact has a value and an origin, or says why it is unknown",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn facts_are_read_as_they_are_written() {
        let none: Fact<Option<u32>> = Fact::known(None, "a");
        let text = serde_json::to_string(&none).unwrap();
        assert_eq!(serde_json::from_str::<Fact<_>>(&text).unwrap(), none);

        let keys = BTreeMap::from([(crate::base::NodeId(3), 10)]);
        let keys = Fact::known(keys, "b");
        let text = serde_json::to_string(&keys).unwrap();
        assert_eq!(serde_json::from_str::<Fact<_>>(&text).unwrap(), keys);

        let unknown: Fact<u32> = Fact::unknown("because");
        let text = serde_json::to_string(&unknown).unwrap();
        assert_eq!(serde_json::from_str::<Fact<_>>(&text).unwrap(), unknown);
    }

    #[test]
    fn half_facts_are_refused() {
        for text in [
            "{}",
            "{\"value\": 1}",
            "{\"origin\": \"a\"}",
            "{\"value\": 1, \"origin\": \"a\", \"unknown\": \"b\"}",
            "{\"unknown\": \"b\", \"more\": 1}",
        ] {
            assert!(serde_json::from_str::<Fact<u32>>(text).is_err(), "{text}");
        }
    }
}
