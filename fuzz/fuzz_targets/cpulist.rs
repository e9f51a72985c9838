//! Any text is a CPU list or refused; a list survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmtune::base::CpuSet;

fuzz_target!(|text: &str| {
    let Ok(set) = text.parse::<CpuSet>() else { return };
    assert_eq!(set.iter().count(), set.len());
    assert!(set.iter().all(|cpu| set.contains(cpu)));
    assert_eq!(set.iter().next(), set.first());
    assert_eq!(set.iter().last(), set.last());
    let written = set.to_string();
    let again: CpuSet = written.parse().expect("a list that we wrote");
    assert_eq!(again, set);
    assert_eq!(again.to_string(), written);
});
