//! The changes of one VM or of the host, rule by rule: what, why, when, and
//! what it trades.

use super::label::{attribute, element, key, pattern, together};
use super::page::{BAD, BOLD, FAINT, GOOD, KEY, PLAIN, Page, Span, WARN};
use super::settings::{arguments, files};
use crate::model::{Change, Stage, Target};

/// So many like changes and more are shown as a table.
const FOLD: usize = 3;
/// Rows of such a table, unless all are asked for.
const ROWS: usize = 4;
/// Reasons of one rule, unless all are asked for.
const REASONS: usize = 2;

/// Writes changes, grouped by the time when they take effect, and by rule in
/// the order of their first change.
pub(super) fn changes(page: &mut Page, all: &[&Change], verbose: bool) {
    let mut all = all.to_vec();
    all.sort_by_key(|change| change.stage);
    for group in grouped(&all, |change| (change.stage, change.rule.clone())) {
        rule(page, &group, verbose);
    }
}

/// Says when a change takes effect.
pub(in crate::cli) const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Now => "now",
        Stage::VmStart => "when the VM starts",
        Stage::HostBoot => "when the host boots",
    }
}

/// Collects things by a key, in the order of each key's first thing.
pub(super) fn grouped<'a, T, K: PartialEq>(
    all: &[&'a T],
    of: impl Fn(&T) -> K,
) -> Vec<Vec<&'a T>> {
    let mut groups: Vec<(K, Vec<&'a T>)> = Vec::new();
    for one in all {
        let key = of(one);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(one),
            None => groups.push((key, vec![one])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn rule(page: &mut Page, changes: &[&Change], verbose: bool) {
    page.gap();
    page.line_ends(
        &[(PLAIN, "  ".into()), (KEY, changes[0].rule.clone())],
        &(FAINT, stage(changes[0].stage).to_owned()),
    );
    let of = |is: fn(&Target) -> bool| -> Vec<&Change> {
        changes.iter().copied().filter(|c| is(&c.target)).collect()
    };
    let values = of(|t| t.is_of_vm() || matches!(t, Target::Kernel(_)));
    values_of(page, &values, verbose);
    files(page, &of(|t| matches!(t, Target::File(_))), verbose);
    arguments(page, &of(|t| matches!(t, Target::Argument { .. })));
    let reasons = distinct(changes, |change| Some(change.because.as_str()));
    let shown = if verbose { reasons.len() } else { REASONS };
    for (n, reason) in reasons.iter().take(shown).enumerate() {
        let label = if n == 0 { "because" } else { "" };
        page.row(4, label, &[(PLAIN, (*reason).to_owned())]);
    }
    if reasons.len() > shown {
        let more = reasons.len() - shown;
        page.row(4, "", &[(FAINT, format!("and {more} more (-v)"))]);
    }
    for trade in distinct(changes, |change| change.trade.as_deref()) {
        page.row(4, "trades", &[(WARN, trade.to_owned())]);
    }
}

/// Writes changes of values, like ones together.
fn values_of(page: &mut Page, changes: &[&Change], verbose: bool) {
    let like =
        |c: &Change| (pattern(&c.target), c.from.is_some(), c.to.is_some());
    let (many, few): (Vec<_>, Vec<_>) =
        grouped(changes, like).into_iter().partition(|group| {
            group.len() >= FOLD && !key(&group[0].target).is_empty()
        });
    let few: Vec<&Change> = few.into_iter().flatten().collect();
    for group in grouped(&few, |c| (element(&c.target), sign(c).1)) {
        line(page, &group);
    }
    for group in many {
        table(page, &group, verbose);
    }
}

fn distinct<'a>(
    changes: &[&'a Change],
    of: impl Fn(&'a Change) -> Option<&'a str>,
) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for text in changes.iter().copied().filter_map(of) {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

/// Returns the sign of a change: new, other or gone.
pub(super) fn sign(change: &Change) -> Span {
    match (&change.from, &change.to) {
        (_, None) => (BAD, "-".to_owned()),
        (None, Some(_)) => (GOOD, "+".to_owned()),
        (Some(_), Some(_)) => (WARN, "~".to_owned()),
    }
}

/// Writes the changes of one element: its attributes, its text, itself.
fn line(page: &mut Page, changes: &[&Change]) {
    let mut spans = vec![sign(changes[0]), (BOLD, element(&changes[0].target))];
    let value = |text: &Option<String>| {
        text.clone().filter(|text| !text.trim().is_empty())
    };
    for (n, change) in changes.iter().enumerate() {
        let end = if n + 1 < changes.len() { "," } else { "" };
        spans.extend(attribute(&change.target).map(|name| (BOLD, name)));
        spans.extend(from_to(&value(&change.from), &value(&change.to), end));
    }
    page.flow("    ", "      ", &spans);
}

/// Returns what stands there and what shall, as far as there is any.
fn from_to(from: &Option<String>, to: &Option<String>, end: &str) -> Vec<Span> {
    match (from, to) {
        (Some(from), Some(to)) => vec![
            (FAINT, from.clone()),
            (PLAIN, "→".to_owned()),
            (PLAIN, to.clone() + end),
        ],
        (None, Some(to)) => vec![(PLAIN, to.clone() + end)],
        (Some(from), None) => vec![(FAINT, clipped(from) + end)],
        (None, None) => Vec::new(),
    }
}

/// Shortens what goes away: a whole element may stand there.
fn clipped(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(std::iter::once('…')).collect()
}

/// Writes like changes as cells, `3: 17` or `3: 1→17`.
fn table(page: &mut Page, changes: &[&Change], verbose: bool) {
    let first = changes[0];
    let title =
        format!("{}, {} of them", pattern(&first.target), changes.len());
    let alike = |c: &&Change| c.from == first.from && c.to == first.to;
    if changes.iter().all(alike) {
        let targets = changes.iter().map(|change| &change.target);
        if let Some(title) = together(targets) {
            let mut spans = vec![sign(first), (BOLD, title)];
            spans.extend(from_to(&first.from, &first.to, ""));
            return page.flow("    ", "      ", &spans);
        }
        let spans =
            [sign(first), (BOLD, title + ", each"), (PLAIN, values(first))];
        return page.flow("    ", "      ", &spans);
    }
    page.flow("    ", "      ", &[sign(first), (BOLD, title)]);
    let cells: Vec<String> =
        changes.iter().map(|change| cell(change)).collect();
    let widest = cells.iter().map(|c| c.chars().count()).max().unwrap_or(0);
    const INDENT: &str = "      ";
    let per_row = ((page.width() - INDENT.len()) / (widest + 2)).max(1);
    let rows: Vec<_> = cells.chunks(per_row).collect();
    let shown = if verbose || rows.len() <= ROWS { rows.len() } else { ROWS };
    for row in &rows[..shown] {
        let padded = row.iter().map(|cell| format!("{cell:<widest$}"));
        let text = padded.collect::<Vec<_>>().join("  ");
        page.line(&[(PLAIN, INDENT.into()), (PLAIN, text.trim_end().into())]);
    }
    let left = cells.len().saturating_sub(shown * per_row);
    if left > 0 {
        let text = format!("{INDENT}… and {left} more (-v)");
        page.line(&[(FAINT, text)]);
    }
}

fn cell(change: &Change) -> String {
    format!("{}: {}", key(&change.target), values(change))
}

fn values(change: &Change) -> String {
    clipped(&match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{from}→{to}"),
        (None, Some(value)) | (Some(value), None) => value.clone(),
        (None, None) => String::new(),
    })
}
