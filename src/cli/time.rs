//! Moments and spans of time, as a person reads and types them.

use std::time::Duration;

/// Returns a moment given in seconds since 1970 as `2026-11-21 12:34 UTC`.
pub(super) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute) = (rest / 3600, rest / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// Spells how long something took.
pub(super) fn duration(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        return format!("{} ms", took.as_millis());
    }
    format!("{:.1} s", took.as_secs_f64())
}

/// Reads a span of time as it is typed: `30s`, `5m`, `1h`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    /// Longer is a mistake: who waits for a day has confirmed.
    const LONGEST: u64 = 24 * 3600;
    let bad = || "it is a number and s, m or h, up to 24h".to_owned();
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(bad()),
    };
    let digits = &text[..text.len() - 1];
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| bad())?;
    match number.checked_mul(seconds) {
        Some(span @ 1..=LONGEST) if plain => Ok(Duration::from_secs(span)),
        _ => Err(bad()),
    }
}

/// Returns year, month and day of a day counted from 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4)
            && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    // The calendar repeats after 400 years, which have 146,097 days.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (month, length) in (1..).zip(months) {
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
    }
    (year, 12, 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (millis, text) in
            [(0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (75_250, "75.2 s")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("24h", 86_400)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)));
        }
        let huge = format!("{}h", u64::MAX);
        for bad in ["", "5", "m", "0s", "+5m", "5 m", "25h", "5é", &huge] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_are_those_of_date() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_795_264_440, "2026-11-21 12:34 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
