//! Paths on a host, as the host itself calls them.

use std::fmt;
use std::str::FromStr;

use super::{ParseValueError, serde_as_text};

/// An absolute path on the host, without `.`, `..`, doubled slashes or a
/// slash at its end.
///
/// It says where a setting is. Whether something is there, and whether it may
/// be followed, is for whoever opens it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPath(String);

impl HostPath {
    /// Longest path in bytes; Linux's own PATH_MAX is 4096.
    pub const MAX_LEN: usize = 1024;

    /// Returns the path as text, with its leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path below `/`, without the slash.
    #[must_use]
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }

    /// Returns whether the path lies below a folder, given with its leading
    /// slash and without one at its end.
    #[must_use]
    pub fn is_below(&self, folder: &str) -> bool {
        let rest = self.0.strip_prefix(folder);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// Returns the last part of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for HostPath {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseValueError::new(text, "an absolute path");
        let rest = text.strip_prefix('/').ok_or_else(bad)?;
        let odd = |part: &str| {
            part.is_empty()
                || part == "."
                || part == ".."
                || part.contains(char::is_control)
        };
        if text.len() > Self::MAX_LEN || rest.split('/').any(odd) {
            return Err(bad());
        }
        Ok(Self(text.to_owned()))
    }
}

serde_as_text!(HostPath, "^/[^/]+(/[^/]+)*$", "an absolute path on the host");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        let path: HostPath = "/sys/kernel/mm/ksm/run".parse().unwrap();
        assert_eq!(path.relative(), "sys/kernel/mm/ksm/run");
        assert_eq!(path.name(), "run");
        assert!(path.is_below("/sys/kernel"));
        assert!(!path.is_below("/sys/ker"));
        for bad in ["", "/", "sys", "/a/", "//a", "/a/../b", "/a/./b", "/a\nb"]
        {
            assert!(bad.parse::<HostPath>().is_err(), "{bad:?}");
        }
    }
}
