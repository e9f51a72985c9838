//! Numbers with their units, in three digits.

/// Stands where there is no number.
pub(super) fn dash() -> String {
    "–".to_owned()
}

/// Spells a time with three digits: `1.23 µs`.
pub(super) fn time(ns: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000), ("ns", 1)];
    scaled(ns, &UNITS, " ")
}

/// Spells bytes a second as bits a second, as wires are counted.
pub(super) fn bits(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("Gbit/s", 1_000_000_000),
        ("Mbit/s", 1_000_000),
        ("kbit/s", 1_000),
        ("bit/s", 1),
    ];
    scaled(bytes.saturating_mul(8), &UNITS, " ")
}

/// Spells how many a second.
pub(super) fn each_second(count: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("G/s", 1_000_000_000), ("M/s", 1_000_000), ("k/s", 1_000), ("/s", 1)];
    scaled(count, &UNITS, " ")
}

/// Spells parts of a million as per cent, and few of them as what they are.
pub(crate) fn share(ppm: u64) -> String {
    if ppm < 1_000 {
        return format!("{ppm} ppm");
    }
    scaled(ppm, &[("%", 10_000)], " ")
}

fn scaled(value: u64, units: &[(&str, u64)], apart: &str) -> String {
    let unit = units.iter().find(|(_, of)| value >= *of).or(units.last());
    let Some((unit, of)) = unit else { return value.to_string() };
    if *of == 1 {
        return format!("{value}{apart}{unit}");
    }
    let (whole, rest) = (value / of, value % of);
    match whole {
        100.. => format!("{whole}{apart}{unit}"),
        10.. => format!("{whole}.{}{apart}{unit}", rest * 10 / of),
        _ => format!("{whole}.{:02}{apart}{unit}", rest * 100 / of),
    }
}
