//! Each way in which a change of the host can be otherwise.

use super::*;

const KSM: &str = "/sys/kernel/mm/ksm/run";
const IRQ: &str = "/proc/irq/24/smp_affinity_list";
const FILE: &str = "/etc/sysctl.d/90-vmtune.conf";
const CPUS: &str = "/etc/kernel/cmdline#isolcpus";
const MENU: &str = "/boot/grub/grub.cfg";

fn change(target: &str, to: Option<&str>) -> Change {
    Change {
        rule: "test".into(),
        vm: None,
        target: target.parse().unwrap(),
        from: None,
        to: to.map(Into::into),
        because: String::new(),
        stage: Stage::Now,
        trade: None,
    }
}

fn seen(stands: Option<&str>) -> Seen {
    let stands = Ok(stands.map(Into::into));
    Seen { stands, shown: vec![], started: Ok(None), booted: false }
}

fn started(stands: Option<&str>, with: Option<&str>) -> Seen {
    Seen { started: Ok(with.map(Into::into)), ..seen(stands) }
}

fn said(change: &Change, seen: &Seen) -> String {
    let same = |_: &HostPath, a: &str, b: &str| a.trim() == b.trim();
    let finding = setting(change, seen, &same);
    let note = finding.note.map(|note| format!(" ({note})"));
    let text = match finding.state {
        State::Holds => "holds".into(),
        State::Drifted { found } => format!("{found}, not {}", finding.planned),
        State::Waits { stage } => format!("waits for {stage}"),
        State::Unknown { why } => format!("unknown: {why}"),
    };
    text + &note.unwrap_or_default()
}

#[test]
fn values_of_the_kernel_are_compared_by_their_meaning() {
    let ksm = change(KSM, Some("0"));
    assert_eq!(said(&ksm, &seen(Some(" 0"))), "holds");
    assert_eq!(said(&ksm, &seen(Some("1"))), "1, not 0");
    let gone = Seen { stands: Err("no such file".into()), ..seen(None) };
    assert_eq!(said(&ksm, &gone), "unknown: no such file");
}

#[test]
fn a_boot_explains_a_value_that_is_gone_and_excuses_it_not() {
    let ksm = change(KSM, Some("0"));
    let booted = |stands| Seen { booted: true, ..seen(Some(stands)) };
    assert_eq!(said(&ksm, &booted("0")), "holds");
    assert_eq!(
        said(&ksm, &booted("1")),
        "1, not 0 (the host was booted since it was set)"
    );
    // Number 24 may be another device's.
    for stands in ["0-1", "0-3"] {
        let said = said(&change(IRQ, Some("0-1")), &booted(stands));
        assert!(said.starts_with("unknown: the host was booted"), "{said}");
    }
    let all = "/proc/irq/default_smp_affinity";
    let all = change(all, Some("3"));
    assert!(said(&all, &booted("f")).starts_with("f, not 3"));
}

#[test]
fn the_first_line_of_a_file_that_differs_is_named() {
    let file = change(FILE, Some("# vmtune\na = 1\nb = 2\n"));
    assert_eq!(said(&file, &seen(file.to.as_deref())), "holds");
    assert_eq!(said(&file, &seen(None)), "no file, not 3 lines: a = 1");
    for (text, expected) in [
        ("# vmtune\na = 1\nb = 3\n", "line 3: b = 3, not line 3: b = 2"),
        ("# vmtune\na = 1\n", "line 3: , not line 3: b = 2"),
        ("# vmtune\na = 1\nb = 2", "line 4: nothing, not line 4: no value"),
    ] {
        assert_eq!(said(&file, &seen(Some(text))), expected);
    }
    let long = |end: &str| format!("{}{end}\n", "0123456789".repeat(10));
    let file = change(FILE, Some(&long("1")));
    assert_eq!(
        said(&file, &seen(Some(&long("2\u{1b}[2J")))),
        "line 1: …012345678901234567892 [2J, not \
         line 1: …012345678901234567891"
    );
    let gone = change(FILE, None);
    assert_eq!(said(&gone, &seen(None)), "holds");
    assert_eq!(
        said(&gone, &seen(Some("a = 1\n"))),
        "1 line: a = 1, not no file"
    );
}

#[test]
fn a_file_for_the_next_boot_waits_for_it() {
    let mut file = change(FILE, Some("a\n"));
    file.stage = Stage::HostBoot;
    let mut seen = seen(Some("a\n"));
    assert_eq!(said(&file, &seen), "waits for host-boot");
    seen.booted = true;
    assert_eq!(said(&file, &seen), "holds");
    seen.stands = Ok(None);
    assert_eq!(said(&file, &seen), "no file, not 1 line: a");
}

#[test]
fn an_argument_is_followed_to_the_kernel() {
    let cpus = change(CPUS, Some("2-3"));
    let own = Some("2-3");
    assert_eq!(said(&cpus, &started(own, own)), "holds");
    assert_eq!(said(&cpus, &started(own, None)), "waits for host-boot");
    assert_eq!(said(&cpus, &started(own, Some("2"))), "waits for host-boot");
    assert_eq!(said(&cpus, &started(None, own)), "nothing, not 2-3");

    let mut booted = started(own, Some("2"));
    booted.booted = true;
    assert_eq!(said(&cpus, &booted), "2 in /proc/cmdline, not 2-3");
    booted.started = Ok(None);
    assert_eq!(said(&cpus, &booted), "nothing in /proc/cmdline, not 2-3");

    let mut menu = started(own, own);
    menu.shown = vec![(MENU.into(), Some("2-3".into()))];
    assert_eq!(said(&cpus, &menu), "holds");
    menu.shown.push((MENU.into(), None));
    let expected = format!("nothing in {MENU}, not 2-3");
    assert_eq!(said(&cpus, &menu), expected);
}

#[test]
fn an_argument_that_was_taken_away_is_gone_after_a_boot() {
    let quiet = change("/etc/kernel/cmdline#quiet", None);
    assert_eq!(said(&quiet, &started(None, None)), "holds");
    assert_eq!(said(&quiet, &started(Some(""), None)), "no value, not nothing");
    let mut still = started(None, Some(""));
    assert_eq!(said(&quiet, &still), "waits for host-boot");
    still.booted = true;
    assert!(said(&quiet, &still).starts_with("no value in /proc/cmdline"));
}
