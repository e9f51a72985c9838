//! Many times, in little room.

use hdrhistogram::Histogram as Hdr;

use crate::model::probe::{Bucket, Distribution, Percentile};

/// The percentiles that are told, of a hundred thousand.
const TOLD: [u32; 6] = [50_000, 90_000, 99_000, 99_900, 99_990, 99_999];
/// The longest time that has a place of its own: a minute. Longer ones count
/// as this in the percentiles, and as they are in the rest.
const LONGEST: u64 = 60_000_000_000;

/// Times as they come. Adding one neither allocates nor fails.
#[derive(Debug, Clone)]
pub struct Histogram {
    times: Hdr<u64>,
    count: u64,
    least: u64,
    most: u64,
    /// Mean and sum of squared distances from it, by Welford's method: sums
    /// of squares would lose the deviation of long runs to rounding.
    mean: f64,
    squares: f64,
}

impl Histogram {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        // Three digits, up to a minute: the only way for this to fail is
        // for these numbers to be wrong, which a test would see.
        let times = Hdr::new_with_bounds(1, LONGEST, 3)
            .or_else(|_| Hdr::new(3))
            .unwrap_or_else(|_| unreachable!("three digits are few"));
        Self {
            times,
            count: 0,
            least: u64::MAX,
            most: 0,
            mean: 0.0,
            squares: 0.0,
        }
    }

    /// Adds a time, in nanoseconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean of nanoseconds needs no 53 bits"
    )]
    pub fn add(&mut self, ns: u64) {
        self.times.saturating_record(ns.max(1));
        self.count += 1;
        self.least = self.least.min(ns);
        self.most = self.most.max(ns);
        let before = ns as f64 - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (ns as f64 - self.mean);
    }

    /// Adds all times of another.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean of nanoseconds needs no 53 bits"
    )]
    pub fn join(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        // Of the same bounds, so there is nothing that it cannot hold.
        let _ = self.times.add(&other.times);
        let (own, theirs) = (self.count as f64, other.count as f64);
        let apart = other.mean - self.mean;
        let all = own + theirs;
        self.mean += apart * theirs / all;
        self.squares += other.squares + apart * apart * own * theirs / all;
        self.count += other.count;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }

    /// Returns the median, in nanoseconds; zero of none.
    #[must_use]
    pub fn median(&self) -> u64 {
        self.times.value_at_quantile(0.5).min(self.most)
    }

    /// Tells what was added; `None` where nothing was.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "neither is negative, and both lie below the greatest time"
    )]
    pub fn told(&self) -> Option<Distribution> {
        if self.count == 0 {
            return None;
        }
        let percentiles = TOLD.map(|of_100_000| {
            let part = f64::from(of_100_000) / 100_000.0;
            let ns = self.times.value_at_quantile(part);
            Percentile { of_100_000, ns: ns.clamp(self.least, self.most) }
        });
        let mut buckets: Vec<Bucket> = Vec::new();
        for one in self.times.iter_recorded() {
            let from_ns = 1 << one.value_iterated_to().ilog2();
            let count = one.count_at_value();
            match buckets.last_mut() {
                Some(last) if last.from_ns == from_ns => last.count += count,
                _ => buckets.push(Bucket { from_ns, count }),
            }
        }
        let variance = self.squares.max(0.0) / self.count as f64;
        Some(Distribution {
            count: self.count,
            least_ns: self.least,
            most_ns: self.most,
            mean_ns: self.mean.round() as u64,
            deviation_ns: variance.sqrt().round() as u64,
            percentiles: percentiles.to_vec(),
            buckets,
        })
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_percentiles_nearly_so() {
        let mut all = Histogram::new();
        assert_eq!(all.told(), None);
        let mut late = Histogram::new();
        for ns in 1..=1000 {
            if ns % 3 == 0 { late.add(ns * 100) } else { all.add(ns * 100) }
        }
        all.join(&late);
        let told = all.told().unwrap();
        assert_eq!((told.count, told.least_ns), (1000, 100));
        assert_eq!((told.most_ns, told.mean_ns), (100_000, 50_050));
        // sqrt((1000² - 1) / 12) × 100
        assert_eq!(told.deviation_ns, 28_867);
        let median = told.percentiles[0];
        assert_eq!(median.of_100_000, 50_000);
        assert!(median.ns.abs_diff(50_000) <= 50, "{median:?}");
        assert_eq!(told.buckets.iter().map(|b| b.count).sum::<u64>(), 1000);
        assert!(told.buckets.iter().all(|b| b.from_ns.is_power_of_two()));
    }

    #[test]
    fn the_most_is_true_even_beyond_the_histogram() {
        let mut all = Histogram::new();
        all.add(0);
        all.add(3 * LONGEST);
        let told = all.told().unwrap();
        assert_eq!((told.least_ns, told.most_ns), (0, 3 * LONGEST));
        assert!(told.percentiles.iter().all(|p| p.ns <= told.most_ns));
    }
}
