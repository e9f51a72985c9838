//! Times, many of them, in few numbers.

use serde::{Deserialize, Serialize};

/// How long something took, told of all times that were seen. Least, most,
/// mean and deviation are exact; percentiles are within 0.1 %.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// How many there were.
    pub count: u64,
    /// The least, in nanoseconds.
    pub least_ns: u64,
    /// The most: the true one, whatever the percentiles say.
    pub most_ns: u64,
    /// The mean.
    pub mean_ns: u64,
    /// The standard deviation.
    pub deviation_ns: u64,
    /// Chosen percentiles, the least first.
    pub percentiles: Vec<Percentile>,
    /// How many fell between one power of two and the next, those with any.
    pub buckets: Vec<Bucket>,
}

/// The time that so many did not exceed.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Percentile {
    /// How many of a hundred thousand.
    pub of_100_000: u32,
    /// The time, in nanoseconds.
    pub ns: u64,
}

/// A bar of a histogram.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Times from this, in nanoseconds, and less than twice of it.
    pub from_ns: u64,
    /// How many.
    pub count: u64,
}

/// The median of repeated measurements, and where the true one is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Median {
    /// How often it was measured.
    pub repeats: u32,
    /// The median.
    pub value: u64,
    /// With at least 95 % confidence the median of all such measurements is
    /// not less; the least value where there were fewer than six.
    pub low: u64,
    /// Nor more; the greatest value where there were fewer than six.
    pub high: u64,
}

impl Median {
    /// Takes the median of these values; `None` of none.
    ///
    /// The interval is that of order statistics: the number of values below
    /// the true median has a binomial distribution with p = 1/2, whatever is
    /// measured.
    #[must_use]
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let n = values.len();
        let (low, high) = (values.first()?, values.last()?);
        let upper = values.get(n / 2)?;
        let lower = values.get((n - 1) / 2)?;
        let at = rank(n);
        Some(Self {
            repeats: u32::try_from(n).unwrap_or(u32::MAX),
            value: lower.midpoint(*upper),
            low: *values.get(at).unwrap_or(low),
            high: *n
                .checked_sub(at + 1)
                .and_then(|at| values.get(at))
                .unwrap_or(high),
        })
    }
}

/// Returns how many values may be left out at each end so that what is left
/// still spans the median in 95 of 100 cases: the greatest k with
/// P(X ≤ k) ≤ 0.025, X of binomial distribution (n, 1/2).
fn rank(n: usize) -> usize {
    let mut term = 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut below = 0.0;
    let mut k = 0;
    for i in 0..n {
        below += term;
        if below > 0.025 {
            break;
        }
        k = i;
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let ratio = (n - i) as f64 / (i + 1) as f64;
        term *= ratio;
    }
    k.min(n.saturating_sub(1) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_order_statistics() {
        // From tables of the sign test: 6 and 7 values span it by all,
        // 9 by all but the outer ones, 20 by all but five at each end.
        for (n, expected) in [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (20, 5)] {
            assert_eq!(rank(n), expected, "{n}");
        }
        let median = Median::of((1..=9).rev().collect()).unwrap();
        let Median { repeats, value, low, high } = median;
        assert_eq!((repeats, value, low, high), (9, 5, 2, 8));
        assert_eq!(Median::of(vec![4, 2]).unwrap().value, 3);
        assert_eq!(Median::of(Vec::new()), None);
    }
}
