//! Counters tell that what perftest has sent went through.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::{ENDS, MESSAGES};
use crate::inside::cards::names;
use crate::inside::get;
use crate::judge::{Judge, Results};

/// What a device and its interface have counted, by the kernel's names.
pub(super) type Counters = BTreeMap<String, BTreeMap<String, u64>>;

/// Reads the counters of each device.
pub(super) fn counters() -> Result<Counters> {
    let read = |(device, on, _): (&str, &str, _)| {
        let port = format!("/sys/class/infiniband/{device}/ports/1");
        let mut all = BTreeMap::new();
        for folder in [
            format!("{port}/hw_counters"),
            format!("/sys/class/net/{on}/statistics"),
        ] {
            for name in names(Path::new(&folder))? {
                let value = get(&format!("{folder}/{name}"))?;
                all.insert(name, value.parse()?);
            }
        }
        Ok((device.to_owned(), all))
    };
    ENDS.into_iter().map(read).collect()
}

/// Judges that a test has moved its messages from one device to the other.
pub(super) fn judge(
    results: &Results,
    judge: &mut Judge,
    program: &str,
    bytes: u64,
) -> Result<()> {
    let figures: Vec<f64> = results.json(&format!("{program}.json"))?;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    judge.same(
        format!("{program} has sent {MESSAGES} messages of {bytes} bytes"),
        &figures.get(..2),
        &Some(&[bytes as f64, MESSAGES as f64][..]),
    );
    judge.holds(
        format!("{program} has measured something"),
        figures.len() >= 5 && figures.iter().all(|figure| *figure > 0.0),
        || format!("{figures:?}"),
    );
    let before: Counters = results.json(&format!("{program}.before"))?;
    let after: Counters = results.json(&format!("{program}.after"))?;
    let grown = |device: &str, counter: &str| {
        after[device][counter] - before[device][counter]
    };
    let [(a, ..), (b, ..)] = ENDS;
    let packets = MESSAGES * bytes.div_ceil(4096);
    for (device, counter, least) in [
        (a, "sent_pkts", packets),
        (b, "rcvd_pkts", packets),
        (a, "tx_bytes", MESSAGES * bytes),
        (b, "rx_bytes", MESSAGES * bytes),
    ] {
        let found = grown(device, counter);
        judge.holds(
            format!(
                "each message of {program} went through: {counter} of {device}"
            ),
            found >= least,
            || format!("{counter} has grown by {found}, not by {least}"),
        );
    }
    judge.holds(
        format!("{program} was answered"),
        grown(a, "rcvd_pkts") > 0 && grown(b, "sent_pkts") > 0,
        || format!("{after:?}"),
    );
    let lost = [a, b].map(|device| {
        ["send_err", "retry_exceeded_err", "retry_rnr_exceeded_err"]
            .map(|counter| grown(device, counter))
    });
    judge.same(
        format!("{program} has given up no message"),
        &lost,
        &[[0; 3]; 2],
    );
    Ok(())
}
