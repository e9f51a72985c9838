//! Where something ends that is not looked into: a command whose output is
//! taken, an expansion with an operator.
//!
//! Each function takes a text from where the thing begins, and returns its
//! length; nothing where its end is not sure.

/// Things within things that are followed; nobody writes so many.
const DEPTH: usize = 32;

/// Skips `$(…)`.
pub(super) fn parentheses(text: &str) -> Option<usize> {
    parentheses_within(text, DEPTH)
}

/// Skips `${…}` outside of quotes.
pub(super) fn brace(text: &str) -> Option<usize> {
    brace_within(text, DEPTH)
}

fn parentheses_within(text: &str, depths: usize) -> Option<usize> {
    let mut at = text.find('(')? + 1;
    let mut depth = 1;
    let mut word_begins = true;
    while let Some(c) = text[at..].chars().next() {
        let begins = word_begins;
        word_begins = matches!(c, ' ' | '\t' | '\n' | ';' | '&' | '|' | '(');
        at += match c {
            // The parentheses of its patterns have no partner.
            'c' if begins && text[at..].starts_with("case") => return None,
            '#' if begins => text[at..].find('\n')?,
            '<' if text[at..].starts_with("<<") => return None,
            '(' => {
                depth += 1;
                1
            }
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
                1
            }
            c => one(&text[at..], c, depths)?,
        };
    }
    None
}

fn brace_within(text: &str, depths: usize) -> Option<usize> {
    let mut at = text.find('{')? + 1;
    while let Some(c) = text[at..].chars().next() {
        if c == '}' {
            return Some(at + 1);
        }
        at += one(&text[at..], c, depths)?;
    }
    None
}

/// Skips `${…}` between double quotes, where shells do not agree on what a
/// single quote means.
pub(super) fn quoted_brace(text: &str) -> Option<usize> {
    let len = brace(text)?;
    (!text[..len].contains(['\'', '"'])).then_some(len)
}

/// Skips what is between backticks.
pub(super) fn backtick(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        let next = at + text[at..].find(['`', '\\'])?;
        if text[next..].starts_with('`') {
            return Some(next + 1);
        }
        at = next + 1 + text[next + 1..].chars().next()?.len_utf8();
    }
}

/// Skips one character, or all that belongs to it.
fn one(text: &str, c: char, depths: usize) -> Option<usize> {
    let inner = depths.checked_sub(1)?;
    match c {
        '\\' => Some(1 + text[1..].chars().next()?.len_utf8()),
        '\'' => Some(1 + text[1..].find('\'')? + 1),
        '"' => double(text, inner),
        '`' => backtick(text),
        '$' if text[1..].starts_with('(') => parentheses_within(text, inner),
        '$' if text[1..].starts_with('{') => brace_within(text, inner),
        c => Some(c.len_utf8()),
    }
}

fn double(text: &str, depths: usize) -> Option<usize> {
    let mut at = 1;
    while let Some(c) = text[at..].chars().next() {
        at += match c {
            '"' => return Some(at + 1),
            '\'' => 1,
            c => one(&text[at..], c, depths)?,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_behind_quotes_and_comments() {
        for (text, rest) in [
            ("$(echo ')' \")\" \\) $(x) `)`)y", "y"),
            ("$( # it's )\n)y", "y"),
            ("$(( 1 + (2) ))y", "y"),
            ("$(a#b)y", "y"),
        ] {
            let len = parentheses(text);
            assert_eq!(len.map(|len| &text[len..]), Some(rest), "{text}");
        }
        for text in ["$(", "$(case x in a) b;; esac)", "$(cat <<E\n)\nE\n)"] {
            assert_eq!(parentheses(text), None, "{text}");
        }
        assert_eq!(parentheses(&"$(".repeat(1 << 20)), None);
        let text = "${X:-\"}\" '}' ${Y}}y";
        assert_eq!(brace(text).map(|len| &text[len..]), Some("y"));
        assert_eq!(quoted_brace("${X:-'}\"y"), None);
        let text = "`a \\` b`y";
        assert_eq!(backtick(text).map(|len| &text[len..]), Some("y"));
        assert_eq!(backtick("`\\"), None);
    }
}
