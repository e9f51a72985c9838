//! Where secrets stand in a definition of Proxmox.

use std::ops::Range;

/// Returns the places of the secrets, in every section and note-free line:
/// the password of cloud-init, and what `args` hands to QEMU as one.
pub(in crate::definition) fn secrets(
    text: &str,
    mut argument: impl FnMut(&str, Range<usize>, &mut Vec<Range<usize>>),
) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for raw in text.split_inclusive('\n') {
        let start = at;
        at += raw.len();
        let line = raw.trim_end();
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim_start();
        let place = start + line.len() - value.len()..start + line.len();
        match key.trim() {
            "cipassword" if !value.is_empty() => found.push(place),
            "args" => {
                let mut at = place.start;
                for word in value.split_inclusive([' ', '\t']) {
                    let end = at + word.trim_end().len();
                    argument(word.trim_end(), at..end, &mut found);
                    at += word.len();
                }
            }
            _ => {}
        }
    }
    found
}
