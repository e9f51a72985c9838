//! Secrets, and a text that shows none of them.

use std::ops::Range;

use super::xml::{Document, Element, XmlError};
use super::{conf, is_xml};

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Attributes and elements whose value is a password: that of a VNC or SPICE
/// server, and those that a person puts into metadata.
const PASSWORDS: [&str; 2] = ["passwd", "password"];

/// Options of QEMU that carry a secret in the command line itself; `data` is
/// that of a secret object.
const OPTIONS: [&str; 4] = ["password=", "passwd=", "data=", "key="];

/// Words in the name of a variable, or of a JSON key, that tell a secret.
const WORDS: [&str; 6] = ["pass", "secret", "token", "key", "data", "cred"];

/// Returns a definition for printing: each secret is `***`, every other byte
/// is as it was.
///
/// Secrets are the attributes `passwd` and `password`, the texts of elements
/// of those names and of `secret`, and in arguments and variables for QEMU
/// the values of options such as `password=`, or the whole where it could
/// hide one.
/// libvirt keeps all others in a store of its own and names them by UUID.
/// Of Proxmox' definitions it is the password of cloud-init, and `args`.
///
/// # Errors
///
/// Fails where the text is not a document: what cannot be read must not be
/// printed either.
pub fn redact(text: &str) -> Result<String, XmlError> {
    let mut secrets = match is_xml(text) {
        true => {
            let mut secrets = Vec::new();
            find(text, Document::parse(text)?.root(), &mut secrets);
            secrets
        }
        false => conf::secrets(text, |word, place, out| {
            argument(text, word, place, out);
        }),
    };
    secrets.sort_by_key(|range| range.start);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for secret in secrets {
        out.push_str(&text[done..secret.start]);
        out.push_str(MASK);
        done = secret.end;
    }
    out.push_str(&text[done..]);
    Ok(out)
}

/// Adds the ranges of the secrets of an element and all within it.
fn find(text: &str, element: Element<'_>, out: &mut Vec<Range<usize>>) {
    let name = element.name();
    let ranges = PASSWORDS.iter().filter_map(|n| element.attribute_range(n));
    out.extend(ranges.filter(|range| !range.is_empty()));
    let local = name.rsplit(':').next().unwrap_or_default();
    if (local == "secret" || PASSWORDS.contains(&local))
        && !element.text().trim().is_empty()
    {
        out.extend(element.text_ranges());
    }
    if let (Some(value), Some(range)) =
        (element.attribute("value"), element.attribute_range("value"))
    {
        match &*name {
            "qemu:arg" => argument(text, &value, range, out),
            "qemu:env"
                if element.attribute("name").is_some_and(|n| tells(&n)) =>
            {
                out.push(range);
            }
            _ => {}
        }
    }
    for child in element.children() {
        find(text, child, out);
    }
}

/// Adds the secrets of one argument for QEMU.
fn argument(
    text: &str,
    value: &str,
    range: Range<usize>,
    out: &mut Vec<Range<usize>>,
) {
    let json = value.trim_start().starts_with('{') && tells(value);
    let option = OPTIONS.iter().any(|option| value.contains(option));
    let raw = &text[range.clone()];
    if json || (option && raw.contains('&')) {
        // References can hide where a value starts and ends.
        return out.push(range);
    }
    let mut at = 0;
    while let Some(start) = OPTIONS
        .iter()
        .filter_map(|o| Some(at + raw[at..].find(o)? + o.len()))
        .min()
    {
        at = start + option_len(&raw[start..]);
        if start < at {
            out.push(range.start + start..range.start + at);
        }
    }
}

/// Returns where an option's value ends: at a comma, but not at a doubled
/// one, which stands for itself.
fn option_len(value: &str) -> usize {
    let mut at = 0;
    while let Some(comma) = value[at..].find(',') {
        at += comma;
        if !value[at..].starts_with(",,") {
            return at;
        }
        at += 2;
    }
    value.len()
}

fn tells(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        for (shown, secret) in [
            ("<graphics passwd='{}' passwdValidTo='2030'/>", "hunter2"),
            ("<disk><secret type='ceph' uuid='1-2'/></disk>", "none"),
            ("<secret>{}</secret>", "c2VjcmV0"),
            ("<x:y xmlns:x='urn:x'><x:password>{}</x:password></x:y>", "p"),
        ] {
            let xml = format!("<domain>\n {shown}\n</domain>");
            let full = xml.replace("{}", secret);
            assert_eq!(redact(&full).unwrap(), xml.replace("{}", MASK));
        }
    }

    #[test]
    fn arguments_are_masked_by_option() {
        for (value, shown) in [
            (
                "secret,id=s,data=a,,b,format=raw",
                "secret,id=s,data=***,format=raw",
            ),
            ("socket,password-secret=s", "socket,password-secret=s"),
            ("spice,password=x", "spice,password=***"),
            ("spice,password=&lt;,x", "***"),
            ("{&quot;data&quot;:1}", "***"),
            ("-cpu", "-cpu"),
        ] {
            let xml = |value| {
                let uri = crate::definition::xml::QEMU_URI;
                format!("<d xmlns:q='{uri}'><q:arg value='{value}'/></d>")
            };
            assert_eq!(redact(&xml(value)).unwrap(), xml(shown));
        }
        assert!(redact("<d").is_err());
    }

    #[test]
    fn secrets_of_proxmox_are_masked() {
        let text = "#cipassword: note\nargs: -vnc :1,password=x -object \
                    secret,id=s,data=a\ncipassword: $5$a\n\n[snap]\n\
                    cipassword: b\ncores: 1\n";
        let shown = "#cipassword: note\nargs: -vnc :1,password=*** -object \
                     secret,id=s,data=***\ncipassword: ***\n\n[snap]\n\
                     cipassword: ***\ncores: 1\n";
        assert_eq!(redact(text).unwrap(), shown);
    }
}
