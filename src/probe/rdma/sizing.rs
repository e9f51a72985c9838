//! How many messages are on the way, and how many are given at a time.

/// Messages that a queue pair has on the way: enough to fill the way there
/// and back on fast networks, and what perftest has.
pub const DEPTH: u32 = 128;
/// Messages of up to this size cost more to give than to carry.
const SMALL: u32 = 8 << 10;
/// The most that are given at a time: the device hears of a list once, and
/// tells of it once.
const LIST: u32 = 32;
/// Bytes that may be on the way on one queue pair: more gains nothing on any
/// network, and takes longer to drain than a measurement takes.
const ON_THE_WAY: u32 = 16 << 20;

/// Chooses depth and list for messages of a size, with at most so many on the
/// way: a quarter of them is a list, so that the device has work while the
/// next list is written. Each message of a larger size is told of alone.
#[must_use]
pub fn depth_and_list(size: u32, most: u32) -> (u32, u32) {
    let depth = most.min(ON_THE_WAY / size.max(1)).max(2);
    let list = if size <= SMALL { (depth / 4).clamp(1, LIST) } else { 1 };
    (depth / list * list, list)
}

/// The sizes of a sweep: each power of two from 2 B to 8 MiB.
pub fn sweep() -> impl Iterator<Item = u32> {
    (1..=23).map(|power| 1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_go_in_lists_and_large_ones_are_few() {
        for (size, most, expected) in [
            (2, DEPTH, (128, 32)),
            (8 << 10, DEPTH, (128, 32)),
            (64 << 10, DEPTH, (128, 1)),
            (1 << 20, DEPTH, (16, 1)),
            (8 << 20, DEPTH, (2, 1)),
            (u32::MAX, DEPTH, (2, 1)),
            (64, 1, (2, 1)),
            (64, 30, (28, 7)),
            (64, 1000, (992, 32)),
        ] {
            assert_eq!(depth_and_list(size, most), expected, "{size} {most}");
        }
    }

    #[test]
    fn a_sweep_is_from_2_b_to_8_mib() {
        let sizes: Vec<u32> = sweep().collect();
        assert_eq!((sizes.first(), sizes.last()), (Some(&2), Some(&(8 << 20))));
        assert_eq!(sizes.len(), 23);
    }
}
