//! Which text a plan was made from.

use crate::base::Digest;

/// Returns the SHA-256 of a definition's text, every byte of it: a plan is
/// stale after any change, even one of layout.
#[must_use]
pub fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha256() {
        let known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b\
                     7852b855";
        assert_eq!(digest("").to_string(), known);
        assert_ne!(digest("<domain/>"), digest("<domain />"));
    }
}
