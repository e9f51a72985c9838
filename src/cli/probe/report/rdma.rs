//! What RDMA carries, for people.

use super::percentile;
use super::units::{bits, dash, each_second, time};
use crate::base::Bytes;
use crate::cli::report::{BOLD, FAINT, PLAIN, Page, WARN};
use crate::model::Fact;
use crate::model::probe::{
    CpuCost, Rdma, RdmaEnd, RdmaFound, RdmaRun, RdmaTuning,
};

/// Words in the names of counters that grow where something went wrong.
const FAULTS: [&str; 14] = [
    "err",
    "error",
    "errors",
    "retry",
    "rnr",
    "timeout",
    "sequence",
    "seq",
    "duplicate",
    "discards",
    "dropped",
    "wait",
    "ecn",
    "cnp",
];

/// Writes what was measured over RDMA, or why it was not.
pub(super) fn report(page: &mut Page, rdma: &Fact<Rdma>) {
    page.line(&[(BOLD, "RDMA".to_owned())]);
    let rdma = match rdma {
        Fact::Known { value, .. } => value,
        Fact::Unknown { unknown } => {
            page.row(2, "", &[(WARN, format!("not measured: {unknown}"))]);
            return;
        }
    };
    page.row(2, "from", &[(PLAIN, end(&rdma.own))]);
    page.row(2, "to", &[(PLAIN, end(&rdma.peer))]);
    for run in &rdma.runs {
        one(page, run);
    }
}

fn end(end: &RdmaEnd) -> String {
    let RdmaEnd { device, port, gid, kind, mtu, .. } = end;
    let gid = match gid.to_ipv4_mapped() {
        Some(address) => address.to_string(),
        None => gid.to_string(),
    };
    format!("{device} port {port}, {gid} ({kind}), packets of {mtu} B")
}

fn one(page: &mut Page, run: &RdmaRun) {
    let size = Bytes(run.size.into()).to_string();
    let spans = match &run.found {
        RdmaFound::RoundTrip { round_trip, median } => vec![
            (PLAIN, format!("{size}: round trip {},", time(median.value))),
            (FAINT, format!("{} to {};", time(median.low), time(median.high))),
            (PLAIN, format!("p99 {},", time(percentile(round_trip, 99_000)))),
            (PLAIN, format!("longest {},", time(round_trip.most_ns))),
            (FAINT, format!("{} in all", round_trip.count)),
        ],
        RdmaFound::Flow { both_ways, messages, rate } => {
            let ways = if *both_ways { " both ways" } else { "" };
            let (low, high) = (bits(rate.low), bits(rate.high));
            let cost =
                |cost: &CpuCost| cost.per_gigabyte().map_or_else(dash, time);
            vec![
                (PLAIN, format!("{size}: {}{ways},", bits(rate.value))),
                (FAINT, format!("{low} to {high};")),
                (PLAIN, format!("{},", each_second(messages.value))),
                (PLAIN, format!("CPU a GB: {} here,", cost(&run.own_cost))),
                (PLAIN, format!("{} there;", cost(&run.peer_cost))),
                (FAINT, tuning(&run.tuning)),
            ]
        }
    };
    page.row(2, run.verb.name(), &spans);
    for (side, counters) in
        [("here", &run.own_counters), ("there", &run.peer_counters)]
    {
        let is_fault =
            |name: &str| name.split('_').any(|word| FAULTS.contains(&word));
        let faults = counters.iter().filter(|(name, _)| is_fault(name));
        let faults: Vec<String> =
            faults.map(|(name, n)| format!("{name} +{n}")).collect();
        if !faults.is_empty() {
            let faults = faults.join(", ");
            page.row(2, "", &[(WARN, format!("{side}: {faults}"))]);
        }
    }
}

/// Spells how messages were given to the card.
fn tuning(tuning: &RdmaTuning) -> String {
    let RdmaTuning { queue_pairs, depth, list, inline, .. } = tuning;
    let inline = if *inline { ", inline" } else { "" };
    format!("{queue_pairs} x {depth} on the way, {list} at a time{inline}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::probe::{Bucket, Distribution, Median, Percentile, Verb};

    fn side(device: &str, gid: &str) -> RdmaEnd {
        RdmaEnd {
            device: device.into(),
            port: 1,
            gid_index: 3,
            gid: gid.parse().unwrap(),
            kind: "RoCE v2".into(),
            mtu: 4096,
        }
    }

    fn run(verb: Verb, size: u32, found: RdmaFound) -> RdmaRun {
        let cost = |cpu_ns| CpuCost { bytes: 2_000_000_000, cpu_ns };
        let counters = [("ack_deferred", 9), ("out_of_sequence", 4)];
        let counters = counters.map(|(name, n)| (name.to_owned(), n));
        RdmaRun {
            verb,
            size,
            tuning: RdmaTuning {
                mtu: 4096,
                traffic_class: 106,
                queue_pairs: 2,
                depth: 128,
                list: 32,
                inline: true,
            },
            found,
            own_cost: cost(90_000_000),
            peer_cost: cost(0),
            own_counters: BTreeMap::new(),
            peer_counters: BTreeMap::from(counters),
        }
    }

    fn show(rdma: &Fact<Rdma>) -> String {
        let mut page = Page::new(80);
        report(&mut page, rdma);
        anstream::adapter::strip_str(&page.into_text()).to_string()
    }

    #[test]
    fn a_report_says_from_where_how_and_what_it_cost() {
        let median =
            |value| Median { repeats: 7, value, low: value - 9, high: value };
        let round_trip = Distribution {
            count: 1000,
            least_ns: 3_000,
            most_ns: 90_000,
            mean_ns: 4_000,
            deviation_ns: 10,
            percentiles: vec![Percentile { of_100_000: 99_000, ns: 5_000 }],
            buckets: vec![Bucket { from_ns: 2048, count: 1000 }],
        };
        let trip = RdmaFound::RoundTrip { round_trip, median: median(3_700) };
        let flow = RdmaFound::Flow {
            both_ways: true,
            messages: median(47_000_000),
            rate: median(3_008_000_000),
        };
        let found = Rdma {
            own: side("mlx5_2", "::ffff:192.0.2.1"),
            peer: side("mlx5_0", "2001:db8::7"),
            runs: vec![
                run(Verb::Send, 64, flow),
                run(Verb::Write, 65536, trip),
            ],
        };
        insta::assert_snapshot!(show(&Fact::known(found, "verbs")), @"
        RDMA
          from       mlx5_2 port 1, 192.0.2.1 (RoCE v2), packets of 4096 B
          to         mlx5_0 port 1, 2001:db8::7 (RoCE v2), packets of 4096 B
          send       64 B: 24.0 Gbit/s both ways, 24.0 Gbit/s to 24.0 Gbit/s; 47.0 M/s,
                     CPU a GB: 45.0 ms here, 0 ns there; 2 x 128 on the way, 32 at a
                     time, inline
                     there: out_of_sequence +4
          write      64 KiB: round trip 3.70 µs, 3.69 µs to 3.70 µs; p99 5.00 µs,
                     longest 90.0 µs, 1000 in all
                     there: out_of_sequence +4
        ");
    }

    #[test]
    fn where_there_is_none_it_says_why() {
        let none = Fact::unknown("there is no RDMA device");
        insta::assert_snapshot!(show(&none), @"
        RDMA
                     not measured: there is no RDMA device
        ");
    }
}
