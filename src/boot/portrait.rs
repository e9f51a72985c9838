//! A file with the same arguments as another one, and nothing else of it.

use super::line::{Glyph, Quoting, plain};
use super::shell::{Shell, Value};
use super::word::words;
use super::{Form, grub};

/// Stands for a file of settings that is not understood: neither is this.
const NOT_UNDERSTOOD: &str = "eval\n";

/// Returns a file of the same form that sets the same arguments, each as
/// `write` gives it, and holds nothing else: no comment, no other setting and
/// no argument of init. Such a file can be shown to others. Of the forms that
/// a host's facts are not read from, nothing is left.
pub fn portrait(
    form: Form,
    text: &str,
    write: &mut dyn FnMut(&str) -> String,
) -> String {
    match form {
        Form::Grub | Form::GrubDropIn => script(text, write),
        Form::CommandLine => {
            // One line, or what is refused for having more.
            let line = |line: &str| match line.trim_start().chars().next() {
                Some('#') => "#".to_owned(),
                _ => plain_words(line, write),
            };
            let lines: Vec<_> = text.lines().map(line).collect();
            lines.join("\n") + if text.ends_with('\n') { "\n" } else { "" }
        }
        _ => String::new(),
    }
}

fn script(text: &str, write: &mut dyn FnMut(&str) -> String) -> String {
    let mut shell = Shell::new(&grub::NAMES);
    if shell.run(text, 0).is_err() {
        return NOT_UNDERSTOOD.to_owned();
    }
    let mut out = String::new();
    for name in grub::NAMES {
        if let Some(value) = shell.value(name) {
            let text = shell_words(value, write);
            out += &format!("{name}=\"{text}\"\n");
        }
    }
    out
}

fn plain_words(line: &str, write: &mut dyn FnMut(&str) -> String) -> String {
    let found = words(&plain(line, 0));
    let texts = found.kernel.iter().filter_map(|word| word.text.as_deref());
    let mut texts: Vec<String> = texts.map(write).collect();
    if found.end < line.chars().count() {
        texts.push("--".to_owned());
    }
    texts.join(" ")
}

/// Writes a value's words between double quotes, and the variables that it
/// refers to.
fn shell_words(value: &Value, write: &mut dyn FnMut(&str) -> String) -> String {
    let found = words(&value.glyphs);
    let mut texts = Vec::new();
    for word in &found.kernel {
        let escape = |c: char| match c {
            '$' | '`' | '\\' => format!("\\{c}"),
            c => Quoting::Double.write(c.encode_utf8(&mut [0; 4])),
        };
        match &word.text {
            Some(text) => {
                texts.push(write(text).chars().map(escape).collect());
            }
            None => {
                let names = value.glyphs[word.range.clone()].iter();
                let names = names.filter_map(|glyph| match glyph {
                    Glyph::Hole { name, .. } => Some(format!("${{{name}}}")),
                    _ => None,
                });
                texts.push(names.collect::<String>());
            }
        }
    }
    if found.end < value.glyphs.len() {
        texts.push("--".to_owned());
    }
    texts.join(" ")
}
