//! Lists of choices, of which one is chosen: `always [madvise] never`.

/// Returns the word in brackets, where there is exactly one.
#[must_use]
pub fn chosen(text: &str) -> Option<&str> {
    let mut found = text.split_whitespace().filter_map(|word| {
        let word = word.strip_prefix('[')?.strip_suffix(']')?;
        (!word.is_empty() && !word.contains(['[', ']'])).then_some(word)
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Returns the list with another word chosen, as the kernel would give it
/// then; `None` where the word is none of the choices.
pub(super) fn choose(text: &str, wanted: &str) -> Option<String> {
    let before = chosen(text)?;
    let plain = |word: &str| word.trim_matches(['[', ']']).to_owned();
    let words: Vec<String> = text.split_whitespace().map(plain).collect();
    if !words.iter().any(|word| word == wanted) {
        return None;
    }
    if before == wanted {
        return Some(text.to_owned());
    }
    let mark = |word: &String| {
        if word == wanted { format!("[{word}]") } else { word.clone() }
    };
    Some(words.iter().map(mark).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_chosen() {
        assert_eq!(chosen("always [madvise] never"), Some("madvise"));
        assert_eq!(chosen("[none]"), Some("none"));
        for plain in ["", "always never", "[a] [b]", "a[1]", "[]", "[a b]"] {
            assert_eq!(chosen(plain), None, "{plain}");
        }
    }

    #[test]
    fn another_word_is_chosen() {
        let list = "always [madvise] never";
        assert_eq!(
            choose(list, "never").as_deref(),
            Some("always madvise [never]")
        );
        assert_eq!(choose(list, "madvise").as_deref(), Some(list));
        assert_eq!(choose(list, "sometimes"), None);
        assert_eq!(choose("1", "0"), None);
    }
}
