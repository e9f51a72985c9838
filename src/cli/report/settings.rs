//! Changes of the host that are no line of a definition: files, and
//! arguments of the kernel.

use similar::{ChangeTag, TextDiff};

use super::changes::{grouped, sign};
use super::count;
use super::page::{BAD, BOLD, FAINT, GOOD, PLAIN, Page, Span};
use crate::model::{Change, Target};

/// Lines of a file that are shown, unless all are asked for.
const LINES: usize = 8;

/// Writes files with the lines that they get. Those that hold the same are
/// named together.
pub(super) fn files(page: &mut Page, changes: &[&Change], verbose: bool) {
    let alike = |change: &Change| (change.from.clone(), change.to.clone());
    for group in grouped(changes, alike) {
        for change in &group {
            let place = change.target.to_string();
            page.line(&[
                (PLAIN, "    ".into()),
                sign(change),
                (PLAIN, " ".into()),
                (BOLD, place),
            ]);
        }
        let lines = lines(group[0]);
        let shown = if verbose { lines.len() } else { LINES };
        for (style, line) in lines.iter().take(shown) {
            page.line(&[(PLAIN, "        ".into()), (*style, line.clone())]);
        }
        if lines.len() > shown {
            let more = count(lines.len() - shown, "line");
            let text = format!("        … and {more} more (-v)");
            page.line(&[(FAINT, text)]);
        }
    }
}

/// Returns all lines of a new file, and of one that is there the lines that
/// come and go.
fn lines(change: &Change) -> Vec<Span> {
    let Some(to) = &change.to else { return Vec::new() };
    let Some(from) = &change.from else {
        return to.lines().map(|line| (PLAIN, line.to_owned())).collect();
    };
    let diff = TextDiff::from_lines(from.as_str(), to.as_str());
    let line = |change: similar::Change<&str>| {
        let text = change.value().trim_end_matches('\n');
        match change.tag() {
            ChangeTag::Equal => None,
            ChangeTag::Delete => Some((BAD, format!("- {text}"))),
            ChangeTag::Insert => Some((GOOD, format!("+ {text}"))),
        }
    };
    diff.iter_all_changes().filter_map(line).collect()
}

/// Writes arguments of the kernel, as they are typed.
pub(super) fn arguments(page: &mut Page, changes: &[&Change]) {
    for change in changes {
        let Target::Argument { file, name } = &change.target else { continue };
        let argument = |value: &str| match value {
            "" => name.clone(),
            value => format!("{name}={value}"),
        };
        let mut spans = vec![sign(change)];
        let from = change.from.as_deref().map(argument);
        match (from, change.to.as_deref().map(argument)) {
            (Some(from), Some(to)) => spans.extend([
                (FAINT, from),
                (PLAIN, "→".to_owned()),
                (BOLD, to),
            ]),
            (None, Some(one)) | (Some(one), None) => spans.push((BOLD, one)),
            (None, None) => {}
        }
        spans.push((FAINT, format!("in {file}")));
        page.flow("    ", "      ", &spans);
    }
}

#[cfg(test)]
mod tests {
    use super::super::changes::changes;
    use super::super::sample::{change, plain};
    use super::*;
    use crate::model::Stage;

    fn show(all: &[Change], verbose: bool) -> String {
        let mut page = Page::new(80);
        changes(&mut page, &all.iter().collect::<Vec<_>>(), verbose);
        plain(&page.into_text())
    }

    fn host(
        rule: &str,
        target: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Change {
        let change = change(rule, target, from, to, "a sample asks for it");
        Change { vm: None, stage: Stage::Now, ..change }
    }

    #[test]
    fn a_file_is_shown_as_it_will_be() {
        let unit = |unit: &str, from, to| {
            let path = format!("/etc/systemd/system/{unit}.d/90-vmtune.conf");
            host("cpu-isolation", &path, from, to)
        };
        let text = "[Slice]\nAllowedCPUs=\nAllowedCPUs=0-3\n";
        let old = "[Slice]\nAllowedCPUs=\nAllowedCPUs=0-7\n";
        let all = [
            unit("system.slice", None, Some(text)),
            unit("user.slice", None, Some(text)),
            unit("a.slice", Some(old), Some(text)),
            unit("b.slice", Some(old), None),
        ];
        insta::assert_snapshot!(show(&all, false), @r"
          cpu-isolation                                                              now
            + /etc/systemd/system/system.slice.d/90-vmtune.conf
            + /etc/systemd/system/user.slice.d/90-vmtune.conf
                [Slice]
                AllowedCPUs=
                AllowedCPUs=0-3
            ~ /etc/systemd/system/a.slice.d/90-vmtune.conf
                - AllowedCPUs=0-7
                + AllowedCPUs=0-3
            - /etc/systemd/system/b.slice.d/90-vmtune.conf
            because    a sample asks for it
        ");
    }

    #[test]
    fn a_long_file_is_cut() {
        let text = (0..12).map(|n| format!("line {n}\n")).collect::<String>();
        let all = [host("a", "/etc/a", None, Some(&text))];
        let short = show(&all, false);
        assert!(short.contains("line 7\n        … and 4 lines more (-v)\n"));
        assert!(show(&all, true).contains("line 11\n"));
    }

    #[test]
    fn like_values_are_one_line() {
        let mut all: Vec<_> = [4, 5, 6, 12]
            .map(|n| {
                let path = format!(
                    "/sys/devices/system/cpu/cpufreq/policy{n}/scaling_governor"
                );
                let (from, to) = (Some("schedutil"), Some("performance"));
                host("cpu-governor", &path, from, to)
            })
            .into();
        for (n, to) in [(24, "0-3"), (25, "0-3"), (26, "8-9")] {
            let path = format!("/proc/irq/{n}/smp_affinity_list");
            all.push(host("irq-affinity", &path, Some("0-31"), Some(to)));
        }
        insta::assert_snapshot!(show(&all, false), @r"
          cpu-governor                                                               now
            ~ /sys/devices/system/cpu/cpufreq/policy{4-6,12}/scaling_governor schedutil
              → performance
            because    a sample asks for it

          irq-affinity                                                               now
            ~ /proc/irq/*/smp_affinity_list, 3 of them
              24: 0-31→0-3  25: 0-31→0-3  26: 0-31→8-9
            because    a sample asks for it
        ");
    }

    #[test]
    fn arguments_are_shown_as_they_are_typed() {
        let argument = |name: &str, from, to| {
            let target = format!("/etc/kernel/cmdline#{name}");
            host("cpu-isolation", &target, from, to)
        };
        let all = [
            argument("nohz_full", None, Some("4-7")),
            argument("isolcpus", Some("8"), Some("managed_irq,domain,4-8")),
            argument("quiet", Some(""), None),
        ];
        insta::assert_snapshot!(show(&all, false), @r"
          cpu-isolation                                                              now
            + nohz_full=4-7 in /etc/kernel/cmdline
            ~ isolcpus=8 → isolcpus=managed_irq,domain,4-8 in /etc/kernel/cmdline
            - quiet in /etc/kernel/cmdline
            because    a sample asks for it
        ");
    }
}
