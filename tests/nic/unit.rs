//! A unit of systemd with its drop-ins, read without vmtune's help.

use std::collections::BTreeMap;

const FOLDER: &str = "/etc/systemd/system";
const UNIT: &str = "vmtune-nic.service";

/// Returns the commands in the order in which systemd starts them, word by
/// word: those of the unit, then those of its drop-ins by name.
pub(crate) fn commands(files: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let unit = format!("{FOLDER}/{UNIT}");
    let inside = format!("{unit}.d/");
    let drop_ins = files.iter().filter(|(path, _)| path.starts_with(&inside));
    let drop_ins = drop_ins.map(|(_, text)| text);
    let texts = files.get(&unit).into_iter().chain(drop_ins);
    texts.flat_map(|text| lines_of(text, "Service")).filter_map(start).collect()
}

fn start(line: String) -> Option<Vec<String>> {
    let command = line.strip_prefix("ExecStart=")?;
    // Nothing that systemd or a shell would read as more than a word.
    let odd = |c: char| "\"'\\%$;&|<>*?`(){}~#@!".contains(c);
    assert!(!command.contains(odd), "{command}");
    let words: Vec<_> = command.split(' ').map(str::to_owned).collect();
    assert!(words.iter().all(|word| !word.is_empty()), "{command}");
    Some(words)
}

/// Returns the lines of a section, without comments.
pub(crate) fn lines_of(text: &str, section: &str) -> Vec<String> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == format!("[{section}]");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            lines.push(line.to_owned());
        }
    }
    lines
}
