//! Any text is a value or refused; a value survives being written.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use vmtune::base::{
    Bytes, Digest, DomainName, DomainUuid, PageSize, PciAddress, PciId, XmlPath,
};
use vmtune::definition::redact;

fn round_trip<T: FromStr + Display + Debug + PartialEq>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let written = value.to_string();
    let again = written.parse::<T>().ok().expect("a value that we wrote");
    assert_eq!(again, value);
    assert_eq!(again.to_string(), written);
}

fuzz_target!(|text: &str| {
    round_trip::<PciAddress>(text);
    round_trip::<PciId>(text);
    round_trip::<XmlPath>(text);
    round_trip::<PageSize>(text);
    round_trip::<DomainUuid>(text);
    round_trip::<DomainName>(text);
    round_trip::<Digest>(text);
    let (number, unit) = text.split_once(' ').unwrap_or((text, "KiB"));
    let _ = Bytes::with_unit(number, None);
    if let Ok(bytes) = Bytes::with_unit(number, Some(unit)) {
        let again = Bytes::with_unit(&bytes.0.to_string(), Some("b"));
        assert_eq!(again, Ok(bytes));
    }
    let _ = redact(text);
});
