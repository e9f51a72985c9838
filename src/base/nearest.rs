//! The known word that somebody most likely meant.

/// Returns the known word nearest to one that is not known, unless all are
/// too far to be a slip: more than a third of the letters, at least one.
#[must_use]
pub fn nearest<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|k| (strsim::osa_distance(&lower, &k.to_lowercase()), k))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let known = ["smt", "pins", "placement", "housekeeping"];
        for (word, meant) in [
            ("stm", Some("smt")),
            ("SMT", Some("smt")),
            ("placment", Some("placement")),
            ("house-keeping", Some("housekeeping")),
            ("memory", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word:?}");
        }
    }
}
