//! The hwloc XML of a capture. Pure.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer};

/// What hwloc notes of objects and is kept; serial numbers, asset tags,
/// addresses and the host's name are among what is not.
const KEPT: [&str; 18] = [
    "Architecture",
    "Backend",
    "CPUFamilyNumber",
    "CPUModel",
    "CPUModelNumber",
    "CPURevision",
    "CPUStepping",
    "CPUVendor",
    "CoreType",
    "FrequencyBaseMHz",
    "FrequencyMaxMHz",
    "GPUVendor",
    "Inclusive",
    "LinuxCapacity",
    "MemoryTier",
    "OSName",
    "OSRelease",
    "hwlocVersion",
];

/// Returns an hwloc XML without notes that are not on the list and without
/// user data.
///
/// # Errors
/// When the text is not XML.
pub fn scrubbed(xml: &str) -> Result<String, quick_xml::Error> {
    let mut reader = Reader::from_str(xml);
    let mut writer = Writer::new(Vec::with_capacity(xml.len()));
    // Inside of what is left out: how deep.
    let mut out = 0_usize;
    loop {
        let event = reader.read_event()?;
        match &event {
            Event::Eof => break,
            Event::Start(tag) if out > 0 || is_out(tag) => out += 1,
            Event::Empty(tag) if out > 0 || is_out(tag) => {}
            Event::End(_) if out > 0 => out -= 1,
            _ if out > 0 => {}
            _ => writer.write_event(event)?,
        }
    }
    let text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    // What was left out leaves its line empty.
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}

fn is_out(tag: &BytesStart<'_>) -> bool {
    match tag.name().into_inner() {
        "userdata" => true,
        "info" => !matches!(
            tag.try_get_attribute("name"),
            Ok(Some(name)) if KEPT.contains(&&*name.value)
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::scrubbed;

    #[test]
    fn notes_are_kept_by_a_list() {
        let xml = "<topology>\n  <info name=\"HostName\" value=\"web7\"/>\n  \
                   <info name=\"CPUModel\" value=\"A &amp; B\"/>\n  \
                   <userdata length=\"3\">abc</userdata>\n</topology>\n";
        let expected = "<topology>\n  <info name=\"CPUModel\" \
                        value=\"A &amp; B\"/>\n</topology>\n";
        assert_eq!(scrubbed(xml).unwrap(), expected);
        assert!(scrubbed("<a").is_err());
    }
}
