//! Sets as the kernel's bit masks.

use super::{Id, IdSet};

/// Bits in one group of digits.
const GROUP: u32 = 32;
/// Digits of one group.
const DIGITS: usize = 8;

impl<T: Id> IdSet<T> {
    /// Reads a bit mask as the kernel prints it: groups of eight hexadecimal
    /// digits, highest first, with commas between (`00000000,000000ff`).
    ///
    /// Returns `None` for anything else, and for masks wider than
    /// [`IdSet::MAX_NUMBER`] bits.
    #[must_use]
    pub fn of_mask(text: &str) -> Option<Self> {
        let mut set = Self::new();
        let mut base = 0;
        for group in text.trim().rsplit(',') {
            let hex = group.bytes().all(|b| b.is_ascii_hexdigit());
            if !hex || group.is_empty() || group.len() > DIGITS {
                return None;
            }
            let bits = u32::from_str_radix(group, 16).ok()?;
            for bit in (0..GROUP).filter(|bit| bits & (1 << bit) != 0) {
                set.insert(T::from_number(base + bit));
            }
            base += GROUP;
            if base > Self::MAX_NUMBER {
                return None;
            }
        }
        Some(set)
    }

    /// Writes the set as a bit mask, with as many digits as another mask
    /// has: the kernel always prints all CPUs that there could be. Ids that
    /// do not fit get more digits.
    #[must_use]
    pub fn to_mask(&self, like: &str) -> String {
        let last = self.last().map_or(0, Id::number) as usize;
        let shown = like.chars().filter(char::is_ascii_hexdigit).count();
        let digits = shown.max(last / 4 + 1);
        let mut text = String::with_capacity(digits + digits / DIGITS);
        for place in (0..digits).rev() {
            let has = |bit: &u32| {
                let number = u32::try_from(place * 4).unwrap_or(u32::MAX);
                self.contains(T::from_number(number + bit))
            };
            let digit: u32 = (0..4).filter(has).map(|bit| 1 << bit).sum();
            text.extend(char::from_digit(digit, 16));
            if place > 0 && place % DIGITS == 0 {
                text.push(',');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::base::CpuSet;

    #[test]
    fn masks_are_read() {
        let read = |text| CpuSet::of_mask(text).map(|set| set.to_string());
        assert_eq!(read("00000000,000000ff\n").as_deref(), Some("0-7"));
        assert_eq!(read("1,00000000,80000000").as_deref(), Some("31,64"));
        assert_eq!(read("0").as_deref(), Some(""));
        for bad in ["", ",", "g", "0-3", "123456789", "1,,1", "+1", "0x1"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        let wide = vec!["00000000"; 4096].join(",");
        assert_eq!(read(&wide), None);
    }

    #[test]
    fn masks_are_written_as_wide_as_the_kernels() {
        for (cpus, like, mask) in [
            ("0-7", "00000000,00000000", "00000000,000000ff"),
            ("0,11", "fff", "801"),
            ("31,64", "", "1,00000000,80000000"),
            ("", "ff", "00"),
            ("0-39", "ff,ffffffff", "ff,ffffffff"),
        ] {
            let cpus: CpuSet = cpus.parse().unwrap();
            let text = cpus.to_mask(like);
            assert_eq!(text, mask);
            assert_eq!(CpuSet::of_mask(&text), Some(cpus));
        }
    }
}
