//! Replaces what names a machine. Pure.

use std::collections::BTreeMap;

use crate::base::{MacAddress, SwitchId};

/// Replaces, in texts and paths, what names a machine or its owner: hardware
/// addresses (MAC, InfiniBand), GUIDs and GIDs, switch ids made of them, UUIDs, interface names made
/// of an address (`enx001122334455`), and the host's name. From a kernel
/// command line it takes the values of all parameters but those that a plan
/// may cite.
///
/// The same text always gets the same stand-in, so what was equal stays
/// equal. Stand-ins are numbered as they come; those of MAC addresses are
/// locally administered, so they are nobody's.
#[derive(Debug, Default)]
pub struct Scrubber {
    addresses: BTreeMap<String, u64>,
    values: BTreeMap<String, u64>,
    hostname: Option<String>,
}

impl Scrubber {
    /// Adds the host's name to what is replaced. One of a single letter or
    /// two would be found everywhere and is left.
    pub fn hostname(&mut self, name: &str) {
        let name = name.trim();
        self.hostname = (name.len() > 2).then(|| name.to_owned());
    }

    /// Scrubs each part of a path or of a link's text.
    #[must_use]
    pub fn path(&mut self, path: &str) -> String {
        let parts = path.split('/').map(|part| self.text(part));
        parts.collect::<Vec<_>>().join("/")
    }

    /// Scrubs a text.
    #[must_use]
    pub fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = ' ';
        while let Some(c) = rest.chars().next() {
            let found = if before.is_ascii_alphanumeric() {
                None
            } else {
                self.at(rest)
            };
            let (len, stand_in) = found.unwrap_or((c.len_utf8(), c.into()));
            out.push_str(&stand_in);
            before = rest[..len].chars().next_back().unwrap_or(c);
            rest = &rest[len..];
        }
        out
    }

    /// Returns the stand-in for a whole value.
    pub(super) fn value(&mut self, value: &str) -> String {
        format!("scrubbed{}", number(&mut self.values, value.to_owned()))
    }

    /// Looks for something to replace at the start of a text; gives its
    /// length and the stand-in.
    fn at(&mut self, text: &str) -> Option<(usize, String)> {
        if let Some(id) = switch_id(text) {
            let mac =
                MacAddress::new([id[7], id[6], id[5], id[2], id[1], id[0]]);
            let stand_in = self.like(&mac.to_string()).parse();
            let stand_in = SwitchId::of_mlx5(stand_in.unwrap_or(mac));
            return Some((SWITCH_ID, stand_in.to_string()));
        }
        let len = uuid(text)
            .or_else(|| groups(text, 4, &[4, 8]))
            .or_else(|| groups(text, 2, &[6, 8, 20]))
            .or_else(|| self.hostname_at(text));
        if let Some(len) = len {
            if is_nobodys(&text[..len]) {
                return Some((len, text[..len].to_owned()));
            }
            let stand_in = self.like(&text[..len]);
            return Some((len, stand_in));
        }
        let (prefix, len) = address_name(text)?;
        let digits = self.like(&text[prefix..len]);
        Some((len, format!("{}{digits}", &text[..prefix])))
    }

    fn hostname_at(&self, text: &str) -> Option<usize> {
        let name = self.hostname.as_deref()?;
        let after = text.strip_prefix(name)?;
        ends(after).then_some(name.len())
    }

    /// Makes a stand-in of the same form: the digits are a number, the rest
    /// stays.
    fn like(&mut self, found: &str) -> String {
        if self.hostname.as_deref() == Some(found) {
            return "host".into();
        }
        let digits = |c: &char| c.is_ascii_hexdigit();
        let key: String = found.chars().filter(digits).collect();
        let number = number(&mut self.addresses, key.to_ascii_lowercase());
        let width = key.len();
        let mut hex = format!("{number:0width$x}").into_bytes();
        // The second digit of a MAC says that nobody was given it.
        hex[1] = b'2';
        let mut hex = hex.into_iter().map(char::from);
        let stand_in =
            |c| if digits(&c) { hex.next().unwrap_or('0') } else { c };
        found.chars().map(stand_in).collect()
    }
}

/// Numbers what comes as it comes, from 1.
fn number(numbers: &mut BTreeMap<String, u64>, key: String) -> u64 {
    let next = numbers.len() as u64 + 1;
    *numbers.entry(key).or_insert(next)
}

/// Returns whether a word can end before this text.
fn ends(after: &str) -> bool {
    !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':')
}

/// Returns the length of so many groups of hexadecimal digits with colons
/// between, if their number is one of these.
fn groups(text: &str, digits: usize, numbers: &[usize]) -> Option<usize> {
    let is_group = |group: &str| {
        group.len() == digits && group.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let end = text.find(|c: char| c != ':' && !c.is_ascii_hexdigit());
    let text = &text[..end.unwrap_or(text.len())];
    // Groups may be followed by a colon that is punctuation.
    let plain = text.trim_end_matches(':');
    let count = plain.split(':').count();
    (plain.split(':').all(is_group) && numbers.contains(&count))
        .then_some(plain.len())
}

/// Returns whether an address is the one for nobody or for all.
fn is_nobodys(address: &str) -> bool {
    let all = |digit: char| {
        let mut digits = address.chars().filter(char::is_ascii_hexdigit);
        digits.all(|c| c.eq_ignore_ascii_case(&digit))
    };
    all('0') || all('f')
}

/// Digits of a switch id that is made of a MAC address.
const SWITCH_ID: usize = 16;

/// Reads the id of a switch that is a MAC address turned round, with 00:03 in
/// its middle. Its stand-in is made of that of the address.
fn switch_id(text: &str) -> Option<[u8; 8]> {
    let (digits, after) = text.split_at_checked(SWITCH_ID)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) || !ends(after) {
        return None;
    }
    let bytes = u64::from_str_radix(digits, 16).ok()?.to_be_bytes();
    (bytes[3..5] == [0, 3]).then_some(bytes)
}

/// Returns the length of a UUID.
fn uuid(text: &str) -> Option<usize> {
    const FORM: [usize; 5] = [8, 4, 4, 4, 12];
    const LEN: usize = 36;
    let (uuid, after) = text.split_at_checked(LEN)?;
    let parts: Vec<_> = uuid.split('-').collect();
    let lengths = parts.iter().map(|part| part.len());
    let hex = uuid.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    (hex && lengths.eq(FORM) && ends(after)).then_some(LEN)
}

/// Returns where the address begins and ends in a name that udev made of it:
/// letters, the last of them an `x`, then 12 or 16 digits.
fn address_name(text: &str) -> Option<(usize, usize)> {
    let letters = text.find(|c: char| !c.is_ascii_lowercase() || c == 'x')?;
    if letters == 0 || !text[letters..].starts_with('x') {
        return None;
    }
    let prefix = letters + 1;
    let digits = text[prefix..]
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(text.len() - prefix);
    let end = prefix + digits;
    (matches!(digits, 12 | 16) && ends(&text[end..])).then_some((prefix, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(text: &str) -> String {
        Scrubber::default().text(text)
    }

    #[test]
    fn addresses_are_replaced_by_numbers() {
        assert_eq!(scrub("b8:ce:f6:01:02:03\n"), "02:00:00:00:00:01\n");
        assert_eq!(scrub("mac:B8:CE:F6:01:02:03"), "mac:02:00:00:00:00:01");
        assert_eq!(scrub("b8ce:f603:0001:0203"), "0200:0000:0000:0001");
        assert_eq!(
            scrub("UUID=0e9af1d4-1c2b-4d5e-8f90-123456789abc "),
            "UUID=02000000-0000-0000-0000-000000000001 "
        );
        assert_eq!(scrub("enxb8cef6010203"), "enx020000000001");
    }

    #[test]
    fn the_same_address_gets_the_same_number() {
        let mut scrubber = Scrubber::default();
        let a = scrubber.text("b8:ce:f6:01:02:03");
        let b = scrubber.text("b8:ce:f6:01:02:04");
        assert_ne!(a, b);
        assert_eq!(scrubber.text("B8:CE:F6:01:02:03"), a);
        let name = scrubber.path("net/enxb8cef6010203/address");
        assert_eq!(name, "net/enx020000000001/address");
    }

    #[test]
    fn the_switch_of_a_card_is_scrubbed_like_its_address() {
        let mut scrubber = Scrubber::default();
        let id = scrubber.text("\"3264160003bd70c4\"");
        let mac: MacAddress =
            scrubber.text("c4:70:bd:16:64:32").parse().unwrap();
        assert_eq!(id, format!("\"{}\"", SwitchId::of_mlx5(mac)));
        assert_ne!(mac.to_string(), "c4:70:bd:16:64:32");
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "0000:c1:00.2",
            "10000:e1:00.0",
            "15b3:101d",
            "00000000,000000ff",
            "0x00000003",
            "enp193s0f0np0",
            "mlx5_0",
            "12:34:56",
            "é–ü:",
            "deadbeefdeadbeef",
            "00:00:00:00:00:00",
            "FF:FF:FF:FF:FF:FF",
            "0000:0000:0000:0000:0000:0000:0000:0000",
        ] {
            assert_eq!(scrub(text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_scrubbed_once(text in "[0-9a-fx:\\-. é]{0,60}") {
            let mut scrubber = Scrubber::default();
            let once = scrubber.text(&text);
            proptest::prop_assert_eq!(once.len(), text.len());
            // Stand-ins are replaced again, but nothing new is found.
            let forms = |text: &str| text.replace(|c: char| {
                c.is_ascii_hexdigit()
            }, "0");
            proptest::prop_assert_eq!(forms(&once), forms(&text));
        }
    }

    #[test]
    fn the_hosts_name_is_replaced_as_a_word() {
        let mut scrubber = Scrubber::default();
        scrubber.hostname("web7\n");
        assert_eq!(scrubber.text("web7 web77 xweb7"), "host web77 xweb7");
    }
}
