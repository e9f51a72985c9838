//! What a script does to the host.

use super::super::changes::grouped;
use super::{end_of, one_line, quoted};
use crate::model::{Change, Plan, Program, Service, Target};

/// Returns the lines that set the host as a plan wants it; none where it
/// stays as it is.
pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let mut own: Vec<&Change> =
        plan.changes.iter().filter(|change| change.vm.is_none()).collect();
    own.sort_by_key(|change| change.stage);
    let mut lines = Vec::new();
    for group in grouped(&own, |change| change.rule.clone()) {
        for because in grouped(&group, |change| change.because.clone()) {
            let Change { rule, because, .. } = because[0];
            lines.push(one_line(&format!("# {rule}: {because}")));
        }
        for change in group {
            match &change.target {
                Target::Kernel(path) => {
                    lines.push(value(change, path.as_str()));
                }
                Target::File(path) => file(change, path.as_str(), &mut lines),
                Target::Argument { .. } => lines.push(argument(change)),
                Target::Definition(_) | Target::Conf(_) => {}
            }
        }
    }
    lines.extend(programs(&own));
    lines
}

fn value(change: &Change, path: &str) -> String {
    let to = change.to.as_deref().unwrap_or_default();
    let was = one_line(change.from.as_deref().unwrap_or("nothing"));
    format!("printf '%s\\n' {} >{} # was {was}", quoted(to), quoted(path))
}

fn file(change: &Change, path: &str, lines: &mut Vec<String>) {
    let Some(text) = &change.to else {
        return lines.push(format!("rm -f {}", quoted(path)));
    };
    if let Some((folder, _)) = path.rsplit_once('/') {
        lines.push(format!("mkdir -p {}", quoted(folder)));
    }
    let end = end_of("END_OF_FILE", text);
    lines.push(format!("tee {} >/dev/null <<'{end}'", quoted(path)));
    lines.push(text.strip_suffix('\n').unwrap_or(text).to_owned());
    lines.push(end);
}

/// Says what has to be done by hand: which tool writes the boot loader's
/// files is not for a script to guess.
fn argument(change: &Change) -> String {
    let Target::Argument { file, name } = &change.target else {
        return String::new();
    };
    let typed = |value: &str| match value {
        "" => name.clone(),
        value => format!("{name}={value}"),
    };
    let text = match (&change.from, &change.to) {
        (Some(from), Some(to)) => {
            format!("replace {} by {}", typed(from), typed(to))
        }
        (None, Some(to)) => format!("add {}", typed(to)),
        (from, None) => {
            format!("remove {}", typed(from.as_deref().unwrap_or_default()))
        }
    };
    let text = format!("to do by hand: {text} in {file}");
    format!("printf '%s\\n' {} >&2", quoted(&one_line(&text)))
}

/// Returns the programs that make the files take effect.
fn programs(changes: &[&Change]) -> Vec<String> {
    let below = |folder: &str| {
        changes.iter().any(|change| match &change.target {
            Target::File(path) => path.is_below(folder),
            _ => false,
        })
    };
    [
        ("/etc/systemd/system", Program::DaemonReload),
        (
            "/etc/systemd/system/irqbalance.service.d",
            Program::TryRestart(Service::Irqbalance),
        ),
    ]
    .into_iter()
    .filter(|(folder, _)| below(folder))
    .map(|(_, program)| program.to_string())
    .collect()
}
