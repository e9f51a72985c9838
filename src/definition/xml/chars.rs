//! Characters, names, references and escapes of XML 1.0.

use std::borrow::Cow;
use std::fmt::Write;

use super::error::XmlProblem;

/// Blanks as XML has them; `char::is_whitespace` knows more.
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Returns whether a text consists of XML's blanks only.
pub(super) fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Returns whether a document may hold this character.
pub(super) fn is_allowed(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    }
}

/// Returns whether a text is a name, with at most one prefix.
pub(super) fn is_qualified_name(text: &str) -> bool {
    match text.split_once(':') {
        Some((prefix, local)) => is_name(prefix) && is_name(local),
        None => is_name(text),
    }
}

/// Returns whether a text is a name without a colon.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(starts_name) && text.chars().all(continues_name)
}

fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}'
        | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
        | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}'
        | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

fn continues_name(c: char) -> bool {
    starts_name(c)
        || matches!(c,
            '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}'
            | '\u{203f}'..='\u{2040}')
}

/// Resolves the reference at the start of `text`, which starts with `&`.
/// Returns the character and the length of the reference in bytes.
fn reference(text: &str) -> Result<(char, usize), XmlProblem> {
    let body = text.get(1..).unwrap_or_default();
    // The longest one that is of use is `&#x10FFFF;`; leading zeros are
    // allowed, but nobody needs sixty.
    let end = body.bytes().take(64).position(|b| b == b';');
    let Some(body) = end.and_then(|end| body.get(..end)) else {
        let shown = text.chars().take(16).collect();
        return Err(XmlProblem::Entity(shown));
    };
    let len = body.len() + 2;
    let Some(number) = body.strip_prefix('#') else {
        return match body {
            "lt" => Ok(('<', len)),
            "gt" => Ok(('>', len)),
            "amp" => Ok(('&', len)),
            "apos" => Ok(('\'', len)),
            "quot" => Ok(('"', len)),
            _ => Err(XmlProblem::Entity(body.to_owned())),
        };
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // `from_str_radix` would take a sign.
    let plain = digits.chars().all(|c| c.is_digit(radix));
    u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| plain)
        .and_then(char::from_u32)
        .filter(|c| is_allowed(*c))
        .map(|c| (c, len))
        .ok_or_else(|| XmlProblem::CharacterReference(body.to_owned()))
}

/// Checks all references of a raw text; an error comes with its offset.
pub(super) fn check_references(raw: &str) -> Result<(), (usize, XmlProblem)> {
    for (at, _) in raw.match_indices('&') {
        reference(&raw[at..]).map_err(|problem| (at, problem))?;
    }
    Ok(())
}

/// What a raw text stands in; blanks mean different things there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw {
    Text,
    CData,
    Attribute,
}

/// Returns what a raw text means: references resolved, line ends as one `\n`,
/// and in an attribute every blank as a space.
pub(super) fn decode(raw: &str, kind: Raw) -> Cow<'_, str> {
    let special = |c: char| match c {
        '&' => kind != Raw::CData,
        '\r' => true,
        '\n' | '\t' => kind == Raw::Attribute,
        _ => false,
    };
    if !raw.contains(special) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(special) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut taken = 1;
        if rest.starts_with('&') {
            match reference(rest) {
                Ok((c, len)) => {
                    out.push(c);
                    taken = len;
                }
                // The parser refuses these; keep the text as it is.
                Err(_) => out.push('&'),
            }
        } else {
            taken += usize::from(rest.starts_with("\r\n"));
            out.push(if kind == Raw::Attribute { ' ' } else { '\n' });
        }
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Escapes a value for an attribute in these quotes.
pub(super) fn escape_attribute(value: &str, quote: char) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '\'' if quote == '\'' => out.push_str("&apos;"),
            '"' if quote == '"' => out.push_str("&quot;"),
            // A raw one would be read back as a space.
            '\t' | '\n' | '\r' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

/// Escapes a text, with line ends as the document has them.
pub(super) fn escape_text(text: &str, newline: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // `]]>` is not allowed in a text.
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str(newline),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_or_are_refused() {
        for (raw, c) in
            [("&lt;", '<'), ("&#x41;", 'A'), ("&#10;", '\n'), ("&amp;x", '&')]
        {
            assert_eq!(reference(raw).unwrap().0, c);
        }
        for raw in ["&", "&;", "&nbsp;", "&#0;", "&#+65;", "&#xD800;", "&#;"] {
            assert!(reference(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn decoding_undoes_escaping() {
        let value = "a<b>&'\"\t\n\r]]>é";
        for quote in ['\'', '"'] {
            let raw = escape_attribute(value, quote);
            assert!(!raw.contains(quote));
            assert_eq!(decode(&raw, Raw::Attribute), value);
        }
        let raw = escape_text(value, "\r\n");
        assert_eq!(decode(&raw, Raw::Text), value);
    }

    #[test]
    fn line_ends_are_one_character() {
        assert_eq!(decode("a\r\nb\rc", Raw::Text), "a\nb\nc");
        assert_eq!(decode("a\r\nb\tc", Raw::Attribute), "a b c");
        assert_eq!(decode("&lt;", Raw::CData), "&lt;");
    }

    #[test]
    fn names_follow_the_grammar() {
        for name in ["vcpu", "qemu:arg", "_x-1.2", "é"] {
            assert!(is_qualified_name(name), "{name}");
        }
        for name in ["", "1a", "a:", ":a", "a:b:c", "a b", "-a"] {
            assert!(!is_qualified_name(name), "{name}");
        }
    }
}
