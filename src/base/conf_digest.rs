//! The digest by which Proxmox tells one text of a definition from another.

use std::fmt;

use sha1::{Digest as _, Sha1};

/// What Proxmox calls the `digest` of a `VMID.conf`: the SHA-1 of its bytes.
/// It guards against a change in between, not against anybody's ill will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfDigest([u8; 20]);

impl ConfDigest {
    /// Returns the digest of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha1::digest(text.as_bytes()).into())
    }
}

impl fmt::Display for ConfDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_sha1sum() {
        let digest = ConfDigest::of("cores: 2\n").to_string();
        assert_eq!(digest, "53c98c066cdc5ebe7a5b770edca1a3a6ad673583");
    }
}
