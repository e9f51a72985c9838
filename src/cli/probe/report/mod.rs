//! What was measured, for people.

mod rdma;
mod units;

pub(crate) use self::units::share;
use self::units::{bits, dash, time};
use crate::cli::report::{BAD, BOLD, FAINT, GOOD, PLAIN, Page, Span, WARN};
use crate::model::probe::{
    CpuCost, CpuJitter, Distribution, Echo, Jitter, ProbeReport, SocketRun,
    Stream, Transport,
};

/// A CPU that loses more than this has something else running on it, in
/// parts of a million: a busy thread takes half, the timer a few hundred.
const MUCH: u64 = 10_000;
/// And one that loses more than this is disturbed now and then.
const SOME: u64 = 1_000;
/// Heights of a bar.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Writes a report.
pub(crate) fn report(page: &mut Page, found: &ProbeReport) {
    if let Some(jitter) = &found.jitter {
        cpus(page, jitter);
    }
    if !found.sockets.is_empty() {
        page.gap();
        page.line(&[(BOLD, "sockets".to_owned())]);
    }
    for run in &found.sockets {
        match run {
            SocketRun::Echo(echo) => round_trips(page, echo),
            SocketRun::Stream(stream) => through(page, stream),
        }
    }
    if let Some(rdma) = &found.rdma {
        page.gap();
        rdma::report(page, rdma);
    }
}

fn cpus(page: &mut Page, jitter: &Jitter) {
    page.line(&[(BOLD, "what CPUs lose".to_owned())]);
    let floor = time(jitter.gap_from_ns);
    page.line(&[(
        FAINT,
        format!(
            "{:>6} {:>10} {:>9} {:>9} {:>9} {:>10}  gaps from {floor} on",
            "CPU", "lost", "p50", "p99.9", "longest", "stolen"
        ),
    )]);
    // One scale for all, so that bars can be compared.
    let ranges = jitter.cpus.iter().filter_map(|one| one.gaps.as_ref());
    let buckets = ranges.flat_map(|gaps| &gaps.buckets);
    let top = buckets.filter_map(|one| one.from_ns.checked_ilog2()).max();
    for one in &jitter.cpus {
        cpu(page, one, jitter.gap_from_ns.max(1).ilog2(), top.unwrap_or(0));
    }
}

fn cpu(page: &mut Page, one: &CpuJitter, from: u32, to: u32) {
    let style = match one.lost_ppm() {
        MUCH.. => BAD,
        SOME.. => WARN,
        _ => GOOD,
    };
    let gaps = one.gaps.as_ref();
    let at = |part| gaps.map_or_else(dash, |gaps| time(percentile(gaps, part)));
    let longest = gaps.map_or_else(dash, |gaps| time(gaps.most_ns));
    let stolen = one.stolen_ns.value().map_or_else(dash, |ns| time(*ns));
    let spans: [Span; 4] = [
        (PLAIN, format!("{:>6} ", one.cpu.to_string())),
        (style, format!("{:>10}", share(one.lost_ppm()))),
        (
            PLAIN,
            format!(
                " {:>9} {:>9} {longest:>9} {stolen:>10}  ",
                at(50_000),
                at(99_900)
            ),
        ),
        (FAINT, gaps.map_or_else(String::new, |gaps| bars(gaps, from, to))),
    ];
    page.line(&spans);
}

/// Draws how many gaps there were of each power of two, by the logarithm: one
/// gap shows, and a million do not fill the screen.
fn bars(gaps: &Distribution, from: u32, to: u32) -> String {
    let bar = |power: u32| {
        let bucket = gaps
            .buckets
            .iter()
            .find(|b| b.from_ns.checked_ilog2() == Some(power));
        let Some(bucket) = bucket else { return ' ' };
        let height = usize::try_from(bucket.count.max(1).ilog10());
        let top = BARS.len() - 1;
        BARS[height.map_or(top, |height| height.min(top))]
    };
    (from..=to).map(bar).collect()
}

fn round_trips(page: &mut Page, echo: &Echo) {
    let what = match echo.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    };
    let size = echo.size;
    let times = &echo.round_trip;
    let median = &echo.median;
    page.row(
        2,
        &format!("{what} {size} B"),
        &[
            (PLAIN, format!("round trip {},", time(median.value))),
            (FAINT, format!("{} to {};", time(median.low), time(median.high))),
            (PLAIN, format!("p99 {},", time(percentile(times, 99_000)))),
            (PLAIN, format!("p99.9 {},", time(percentile(times, 99_900)))),
            (PLAIN, format!("longest {},", time(times.most_ns))),
            (FAINT, format!("{} in all", times.count)),
        ],
    );
    if echo.lost > 0 {
        page.row(2, "", &[(WARN, format!("{} were lost", echo.lost))]);
    }
}

fn through(page: &mut Page, stream: &Stream) {
    let Stream { connections, rate, sender, receiver, .. } = stream;
    let cost = |cost: &CpuCost| cost.per_gigabyte().map_or_else(dash, time);
    page.row(
        2,
        &format!("TCP x{connections}"),
        &[
            (PLAIN, format!("{},", bits(rate.value))),
            (FAINT, format!("{} to {};", bits(rate.low), bits(rate.high))),
            (PLAIN, format!("CPU a GB: {} to send,", cost(sender))),
            (PLAIN, format!("{} to receive", cost(receiver))),
        ],
    );
}

/// Returns a percentile; the most where it was not told.
fn percentile(times: &Distribution, of_100_000: u32) -> u64 {
    let found = times.percentiles.iter().find(|p| p.of_100_000 == of_100_000);
    found.map_or(times.most_ns, |one| one.ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CpuId;
    use crate::model::Fact;
    use crate::model::probe::{Bucket, Median, Percentile};

    fn times(least_ns: u64, most_ns: u64) -> Distribution {
        let percentile = |of_100_000, ns| Percentile { of_100_000, ns };
        Distribution {
            count: 5003,
            least_ns,
            most_ns,
            mean_ns: least_ns,
            deviation_ns: 1,
            percentiles: vec![
                percentile(50_000, 2 * least_ns),
                percentile(99_900, most_ns / 2),
            ],
            buckets: vec![
                Bucket { from_ns: 1024, count: 5000 },
                Bucket { from_ns: 1 << 21, count: 3 },
            ],
        }
    }

    #[test]
    fn a_report_is_read_at_a_glance() {
        let cpu = |cpu, lost_ns, gaps| CpuJitter {
            cpu: CpuId(cpu),
            looked_ns: 1_000_000_000,
            lost_ns,
            gaps,
            stolen_ns: Fact::known(20_000_000, "/proc/stat"),
            preempted: 0,
        };
        let median =
            Median { repeats: 7, value: 21_300, low: 20_000, high: 22_222 };
        let cost = CpuCost { bytes: 2_000_000_000, cpu_ns: 123_456_789 };
        let mut found = ProbeReport {
            schema_version: 1,
            version: "0.1.0".into(),
            jitter: Some(Jitter {
                gap_from_ns: 1000,
                cpus: vec![
                    cpu(2, 81_000, Some(times(1_200, 9_500))),
                    cpu(3, 503_000_000, Some(times(1_100, 4_001_000))),
                    cpu(11, 0, None),
                ],
            }),
            sockets: vec![
                SocketRun::Echo(Echo {
                    transport: Transport::Udp,
                    size: 16,
                    round_trip: times(10_000, 900_000),
                    median,
                    lost: 2,
                }),
                SocketRun::Stream(Stream {
                    connections: 4,
                    size: 131_072,
                    reverse: false,
                    rate: Median { value: 2_941_000_000, ..median },
                    sender: cost,
                    receiver: CpuCost::default(),
                }),
            ],
            rdma: None,
        };
        let show = |found: &ProbeReport| {
            let mut page = Page::new(80);
            report(&mut page, found);
            anstream::adapter::strip_str(&page.into_text()).to_string()
        };
        insta::assert_snapshot!(show(&found), @"
        what CPUs lose
           CPU       lost       p50     p99.9   longest     stolen  gaps from 1.00 µs on
             2     81 ppm   2.40 µs   4.75 µs   9.50 µs    20.0 ms   ▄          ▁
             3     50.3 %   2.20 µs   2.00 ms   4.00 ms    20.0 ms   ▄          ▁
            11      0 ppm         –         –         –    20.0 ms  

        sockets
          UDP 16 B   round trip 21.3 µs, 20.0 µs to 22.2 µs; p99 900 µs, p99.9 450 µs,
                     longest 900 µs, 5003 in all
                     2 were lost
          TCP x4     23.5 Gbit/s, 160 kbit/s to 177 kbit/s; CPU a GB: 61.7 ms to send, –
                     to receive
        ");
        found.sockets.clear();
        assert!(!show(&found).contains("sockets"));
    }
}
