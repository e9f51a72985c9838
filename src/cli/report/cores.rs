//! Rows of cores: one row for each L3, one cell for each core, one mark for
//! each CPU.

use anstyle::{AnsiColor, Color, Style};

use super::host::{Holder, Holders};
use super::page::{BAD, BOLD, FAINT, PLAIN, Page, Span, WARN, columns};
use crate::base::{CpuId, CpuSet};
use crate::model::facts::Topology;

/// Colours of VMs, given out in turn.
const COLORS: [AnsiColor; 5] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::BrightYellow,
];

/// Letters of VMs, given out in turn: none that is a mark of its own.
const LETTERS: &str = "abcdefgjklmnpqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The mark of a holder.
pub(super) fn mark(holder: Holder) -> (Style, char) {
    match holder {
        Holder::Free => (FAINT, '·'),
        Holder::Host => (BOLD, 'h'),
        Holder::Isolated => (WARN, 'i'),
        Holder::Disallowed => (FAINT, 'x'),
        Holder::Other => (FAINT, 'o'),
        Holder::Several => (BAD, '!'),
        Holder::Vm(n) => {
            let color = COLORS[n % COLORS.len()];
            let letter = LETTERS.chars().nth(n).unwrap_or('*');
            (Style::new().fg_color(Some(Color::Ansi(color))), letter)
        }
    }
}

/// The cores that share an L3 within a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// All their CPUs.
    pub(super) cpus: CpuSet,
    /// The CPUs of each core.
    cores: Vec<CpuSet>,
}

/// The L3 and the kind of a core, each by its place in the list.
type Home = (Option<usize>, Option<usize>);

/// Returns the rows of a node. Cores under no L3 share one, and cores of
/// another kind have one of their own.
pub(super) fn rows(topology: &Topology, node: &CpuSet) -> Vec<Row> {
    let mut rows: Vec<(Home, Row)> = Vec::new();
    let mut rest = node.clone();
    let mut add = |cpus: CpuSet| {
        let Some(first) = cpus.first() else { return };
        let l3 = topology.l3.iter().position(|l3| l3.cpus.contains(first));
        let kind = topology.kinds.iter().position(|k| k.cpus.contains(first));
        let known = rows.iter_mut().find(|(key, _)| *key == (l3, kind));
        match known {
            Some((_, row)) => {
                row.cpus = row.cpus.union(&cpus);
                row.cores.push(cpus);
            }
            None => {
                let row = Row { cpus: cpus.clone(), cores: vec![cpus] };
                rows.push(((l3, kind), row));
            }
        }
    };
    for core in &topology.cores {
        let cpus = core.cpus.intersection(node);
        rest = rest.difference(&cpus);
        add(cpus);
    }
    for cpu in rest.iter() {
        add(std::iter::once(cpu).collect());
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Draws rows.
pub(super) fn draw(
    page: &mut Page,
    topology: &Topology,
    rows: &[Row],
    held: &Holders,
    numbered: bool,
) {
    const INDENT: &str = "    ";
    let labels: Vec<_> = rows.iter().map(|row| short(&row.cpus)).collect();
    let label = labels.iter().map(|l| columns(l)).max().unwrap_or(0);
    // Numbers of one width keep the cores of all rows under each other.
    let digits = topology.online.last().map_or(1, |c| c.to_string().len());
    for (row, name) in rows.iter().zip(&labels) {
        let cells: Vec<_> = row
            .cores
            .iter()
            .map(|core| cell(core, topology, held, numbered.then_some(digits)))
            .collect();
        let size = cells.iter().map(|c| width(c)).max().unwrap_or(1);
        let used = INDENT.len() + label + 4;
        let room = page.width().saturating_sub(used).max(size);
        let separator = if numbered { " │ " } else { " " };
        let step = size + columns(separator);
        let per_line = even((room + columns(separator)) / step, cells.len());
        for (n, line) in cells.chunks(per_line).enumerate() {
            let name = if n == 0 { name.as_str() } else { "" };
            let mut spans = vec![
                (PLAIN, INDENT.to_owned()),
                (FAINT, format!("{name:<label$} ")),
                (FAINT, if n == 0 { "[" } else { " " }.to_owned()),
            ];
            for (n, cell) in line.iter().enumerate() {
                if n > 0 {
                    spans.push((FAINT, separator.to_owned()));
                }
                spans.extend(cell.iter().cloned());
            }
            if (n + 1) * per_line >= cells.len() {
                spans.push((FAINT, "]".to_owned()));
            }
            page.line(&spans);
        }
    }
}

/// Rounds down to a number of cells that a reader can count in: a multiple
/// of eight where that many fit, so that lines of one row are alike.
const fn even(fit: usize, cells: usize) -> usize {
    if fit >= cells {
        return if cells == 0 { 1 } else { cells };
    }
    if fit >= 8 {
        return fit - fit % 8;
    }
    if fit == 0 { 1 } else { fit }
}

fn cell(
    core: &CpuSet,
    topology: &Topology,
    held: &Holders,
    digits: Option<usize>,
) -> Vec<Span> {
    let mark = |cpu: CpuId| mark(held.of(cpu, topology));
    let one = |cpu: CpuId| {
        let (style, mark) = mark(cpu);
        match digits {
            Some(digits) => (style, format!("{cpu:>digits$}{mark}")),
            None => (style, mark.to_string()),
        }
    };
    let mut spans = Vec::new();
    for (n, cpu) in core.iter().enumerate() {
        if n > 0 && digits.is_some() {
            spans.push((PLAIN, " ".to_owned()));
        }
        spans.push(one(cpu));
    }
    spans
}

fn width(cell: &[Span]) -> usize {
    cell.iter().map(|(_, text)| columns(text)).sum()
}

/// Returns a list of CPUs for a label; where firmware numbers them in turn
/// over the nodes it would be long, and its ends have to do.
fn short(cpus: &CpuSet) -> String {
    const LONGEST: usize = 24;
    let text = cpus.to_string();
    if text.len() <= LONGEST {
        return text;
    }
    let mut ids = cpus.iter();
    let start: Vec<_> = ids.by_ref().take(3).map(|c| c.to_string()).collect();
    let last = cpus.last().map(|c| c.to_string()).unwrap_or_default();
    format!("{},…,{last}", start.join(","))
}
