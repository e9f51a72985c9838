//! Rules, for people on a terminal and for `docs/rules.md`.

use std::fmt::Write as _;

use super::page::{BOLD, FAINT, KEY, PLAIN, Page};
use crate::model::policy::Level;
use crate::rules::conf::CONF_RULES;
use crate::rules::{Group, Rule};

/// Returns the name of a group.
#[must_use]
pub const fn group_name(group: Group) -> &'static str {
    match group {
        Group::GuestCpu => "Guest CPU",
        Group::GuestMemory => "Guest memory",
        Group::GuestIo => "Guest I/O",
        Group::HostCpu => "Host CPU",
        Group::HostMemory => "Host memory",
        Group::HostIo => "Host I/O",
        Group::Network => "Network",
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Plan => "plan: its changes are planned",
        Level::Advise => "advise: it says what it would change",
        Level::Off => "off, unless the policy says otherwise",
    }
}

/// Writes one rule.
pub fn rule(page: &mut Page, rule: &Rule) {
    let plain = |text: &str| [(PLAIN, text.to_owned())];
    page.line(&[
        (KEY, format!("{}  ", rule.id)),
        (FAINT, group_name(rule.group).to_owned()),
    ]);
    page.gap();
    page.row(2, "why", &plain(rule.why));
    page.row(2, "hurts", &plain(rule.hurts));
    if !rule.folklore.is_empty() {
        page.row(2, "guides say", &plain(rule.folklore));
    }
    page.row(2, "level", &plain(level(rule.level)));
    for (n, place) in rule.owns.iter().enumerate() {
        page.row(2, if n == 0 { "sets" } else { "" }, &plain(place));
    }
    for (n, key) in words_of(rule).0.iter().enumerate() {
        page.row(2, if n == 0 { "in Proxmox" } else { "" }, &plain(key));
    }
    let sources = rule.sources.iter().chain(words_of(rule).1);
    for (n, source) in sources.enumerate() {
        page.row(2, if n == 0 { "sources" } else { "" }, &plain(source));
    }
    page.gap();
    let off = format!("[rules] {} = \"off\"", rule.id);
    page.flow("  ", "  ", &[(FAINT, "off by policy:".into()), (PLAIN, off)]);
}

/// Writes all rules, a line each, by group.
pub fn rules(page: &mut Page, rules: &[&Rule]) {
    let widest = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    for (group, rules) in by_group(rules) {
        page.gap();
        page.line(&[(BOLD, group_name(group).to_owned())]);
        for rule in rules {
            let first = format!("  {KEY}{:widest$}{KEY:#}  ", rule.id);
            let rest = " ".repeat(widest + 4);
            page.flow(&first, &rest, &[(PLAIN, rule.why.to_owned())]);
        }
    }
    page.gap();
    page.flow(
        "  ",
        "  ",
        &[
            (KEY, "vmtune explain RULE".into()),
            (FAINT, "says more about one".into()),
        ],
    );
}

/// Returns `docs/rules.md`.
#[must_use]
pub fn markdown(rules: &[&Rule]) -> String {
    let mut text = String::from(
        "# Rules\n\n\
         Generated from `src/rules/` by `UPDATE=1 cargo test --test docs`.\n\
         `vmtune explain RULE` says the same on a terminal.\n",
    );
    for (group, rules) in by_group(rules) {
        let _ = write!(text, "\n## {}\n", group_name(group));
        for rule in rules {
            let _ = write!(
                text,
                "\n### {}\n\n{}\n\n- When it hurts: {}\n",
                rule.id, rule.why, rule.hurts
            );
            if !rule.folklore.is_empty() {
                let _ = writeln!(text, "- What guides say: {}", rule.folklore);
            }
            let _ = writeln!(text, "- Level: {}", level(rule.level));
            let owns = rule.owns.iter().map(|place| format!("`{place}`"));
            let owns = owns.collect::<Vec<_>>().join(", ");
            let owns = if owns.is_empty() { "nothing".into() } else { owns };
            let _ = writeln!(text, "- Sets: {owns}");
            let keys = words_of(rule).0.iter().map(|key| format!("`{key}`"));
            let keys = keys.collect::<Vec<_>>().join(", ");
            if !keys.is_empty() {
                let _ = writeln!(text, "- In Proxmox: {keys}");
            }
            let sources = rule.sources.iter().chain(words_of(rule).1);
            let sources = sources.copied().collect::<Vec<_>>().join("; ");
            let _ = writeln!(text, "- Sources: {sources}");
        }
    }
    text
}

/// Returns the keys that a rule sets in a definition of Proxmox, and what it
/// rests on there.
fn words_of(rule: &Rule) -> (&'static [&'static str], &'static [&'static str]) {
    let words = CONF_RULES.iter().find(|words| words.rule.id == rule.id);
    words.map_or((&[], &[]), |words| (words.owns, words.sources))
}

fn by_group<'a>(rules: &[&'a Rule]) -> Vec<(Group, Vec<&'a Rule>)> {
    let mut groups: Vec<(Group, Vec<&'a Rule>)> = Vec::new();
    for rule in rules {
        match groups.iter_mut().find(|(group, _)| *group == rule.group) {
            Some((_, members)) => members.push(rule),
            None => groups.push((rule.group, vec![rule])),
        }
    }
    groups.sort_by_key(|(group, _)| *group);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Evaluate, Verdict};

    const SAMPLE: Rule = Rule {
        id: "hugepages",
        group: Group::GuestMemory,
        why: "Large pages need fewer table walks.",
        hurts: "Pages that a VM holds are lost to the host.",
        folklore: "Some ask for 1G pages always; they must be free.",
        sources: &["libvirt, formatdomain, memoryBacking", "kernel, hugetlb"],
        level: Level::Plan,
        owns: &["/domain/memoryBacking/hugepages"],
        evaluate: Evaluate::Vm(|_| Verdict::NotApplicable("a sample")),
    };

    #[test]
    fn a_rule_explains_itself() {
        let mut page = Page::new(60);
        rule(&mut page, &SAMPLE);
        let plain = anstream::adapter::strip_str(&page.into_text()).to_string();
        insta::assert_snapshot!(plain, @r#"
        hugepages  Guest memory

          why        Large pages need fewer table walks.
          hurts      Pages that a VM holds are lost to the host.
          guides say Some ask for 1G pages always; they must be
                     free.
          level      plan: its changes are planned
          sets       /domain/memoryBacking/hugepages
          in Proxmox hugepages
          sources    libvirt, formatdomain, memoryBacking
                     kernel, hugetlb
                     qemu-server 9.2, Memory.pm, hugepages_topology:
                     one host node of one digit for each guest node

          off by policy: [rules] hugepages = "off"
        "#);
    }

    #[test]
    fn the_document_holds_every_part() {
        insta::assert_snapshot!(markdown(&[&SAMPLE]), @"
        # Rules

        Generated from `src/rules/` by `UPDATE=1 cargo test --test docs`.
        `vmtune explain RULE` says the same on a terminal.

        ## Guest memory

        ### hugepages

        Large pages need fewer table walks.

        - When it hurts: Pages that a VM holds are lost to the host.
        - What guides say: Some ask for 1G pages always; they must be free.
        - Level: plan: its changes are planned
        - Sets: `/domain/memoryBacking/hugepages`
        - In Proxmox: `hugepages`
        - Sources: libvirt, formatdomain, memoryBacking; kernel, hugetlb; qemu-server 9.2, Memory.pm, hugepages_topology: one host node of one digit for each guest node
        ");
    }
}
