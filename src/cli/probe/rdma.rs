//! RDMA in `vmtune-probe`: its options, and what they ask for.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::args::RunArgs;
use crate::base::Bytes;
use crate::model::probe::{Pattern, Rdma, Verb};
use crate::probe::rdma::{
    DEPTH, RdmaAsk, Station, Wish, depth_and_list, sweep,
};
use crate::probe::{ProbeError, Session};

/// How long both sides work before it counts, and after.
const AROUND: Duration = Duration::from_millis(200);

/// Which device; of `run` and `serve`.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "RDMA")]
pub(super) struct DeviceArgs {
    /// The RDMA device; the one that has the address of the connection to the
    /// other probe unless given
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// The place of the address in the device's table, chosen unless given
    #[arg(long, value_name = "N")]
    gid: Option<u8>,
}

impl DeviceArgs {
    pub(super) fn station(&self) -> Station {
        let (device, gid_index) = (self.device.clone(), self.gid);
        Station::here(Wish { device, gid_index })
    }
}

/// What to measure over RDMA.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "RDMA")]
pub(super) struct RdmaArgs {
    /// What to ask of the cards
    #[arg(long, value_name = "VERB", value_delimiter = ',')]
    #[arg(default_value = "write,read,send", value_parser = verb)]
    verbs: Vec<Verb>,
    /// How messages follow each other: round-trip, one-way, both-ways
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    #[arg(default_value = "round-trip,one-way", value_parser = pattern)]
    patterns: Vec<Pattern>,
    /// Bytes a message: a list as 64,4KiB,1MiB, or `sweep` from 2 B to 8 MiB.
    /// All sizes together take --seconds
    #[arg(long, value_name = "SIZES", default_value = "64,4KiB,64KiB,1MiB")]
    #[arg(value_parser = sizes)]
    sizes: Sizes,
    /// How many connections, all from one thread
    #[arg(long, value_name = "N", default_value_t = 1)]
    queue_pairs: u32,
    /// How many messages each has on the way; fewer of large ones
    #[arg(long, value_name = "N", default_value_t = DEPTH)]
    depth: u32,
    /// The traffic class of all packets: 106 is DSCP 26 with ECN
    #[arg(long, value_name = "N", default_value_t = 0)]
    traffic_class: u8,
}

/// Bytes a message, one or several.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sizes(Vec<u32>);

/// Measures all that was asked for over RDMA.
pub(super) fn measure(
    args: &RunArgs,
    session: &mut Session,
) -> Result<Rdma, ProbeError> {
    let RdmaArgs { verbs, patterns, sizes, .. } = &args.rdma;
    let count = u32::try_from(sizes.0.len()).unwrap_or(u32::MAX).max(1);
    let span = Duration::from_secs(args.seconds.into()) / count;
    let station = args.device.station();
    let mut found: Option<Rdma> = None;
    for pattern in patterns {
        for verb in verbs {
            for size in &sizes.0 {
                let (depth, list) = depth_and_list(*size, args.rdma.depth);
                let ask = RdmaAsk {
                    verb: *verb,
                    pattern: *pattern,
                    size: *size,
                    queue_pairs: args.rdma.queue_pairs,
                    depth,
                    list,
                    traffic_class: args.rdma.traffic_class,
                    warm_up: AROUND,
                    count: span / args.repeats.max(1),
                    repeats: args.repeats,
                };
                let (run, own, peer) = session.rdma(&station, &ask)?;
                found
                    .get_or_insert(Rdma { own, peer, runs: Vec::new() })
                    .runs
                    .push(run);
            }
        }
    }
    found.ok_or(ProbeError::Nothing)
}

fn verb(text: &str) -> Result<Verb, String> {
    [Verb::Write, Verb::Read, Verb::Send]
        .into_iter()
        .find(|verb| verb.name() == text)
        .ok_or_else(|| "it is write, read or send".to_owned())
}

fn pattern(text: &str) -> Result<Pattern, String> {
    match text {
        "round-trip" => Ok(Pattern::RoundTrip),
        "one-way" => Ok(Pattern::OneWay),
        "both-ways" => Ok(Pattern::BothWays),
        _ => Err("it is round-trip, one-way or both-ways".to_owned()),
    }
}

fn sizes(text: &str) -> Result<Sizes, String> {
    if text == "sweep" {
        return Ok(Sizes(sweep().collect()));
    }
    text.split(',').map(size).collect::<Result<_, _>>().map(Sizes)
}

/// Reads bytes with or without a unit: `64`, `4KiB`, `1M`.
fn size(text: &str) -> Result<u32, String> {
    const MOST: u32 = 8 << 20;
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let unit = if unit.is_empty() { "b" } else { unit };
    let bytes = Bytes::with_unit(number, Some(unit)).ok();
    let bytes = bytes.and_then(|bytes| u32::try_from(bytes.0).ok());
    bytes
        .filter(|bytes| (1..=MOST).contains(bytes))
        .ok_or_else(|| format!("{text:?} is not 1 to {MOST} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_units_or_a_sweep() {
        assert_eq!(sizes("2,4KiB,1MiB").unwrap().0, [2, 4096, 1 << 20]);
        assert_eq!(sizes("sweep").unwrap().0.len(), 23);
        for bad in ["", "0", "2,", "-1", "9MiB", "1e3", "4kg"] {
            assert!(sizes(bad).is_err(), "{bad}");
        }
    }
}
