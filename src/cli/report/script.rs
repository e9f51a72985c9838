//! A plan as a shell script, for those who would rather run it themselves.

mod host;
mod qm;

use std::collections::BTreeMap;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context};

use super::count;
use super::label::label;
use crate::base::DomainName;
use crate::model::{Change, Plan};

const TEMPLATE: &str = include_str!("../../../templates/script.sh");

/// Returns the script that gives the VMs of a plan their new definitions and
/// sets the host.
/// `connect` is the URI to give to virsh; `None` leaves it to virsh.
///
/// # Errors
/// When the template cannot be rendered: a defect of the template.
pub fn script(
    plan: &Plan,
    definitions: &BTreeMap<DomainName, String>,
    connect: Option<&str>,
) -> Result<String, Error> {
    let mut vms = Vec::new();
    for vm in &plan.vms {
        let Some(text) = definitions.get(&vm.name) else { continue };
        let mine = plan
            .changes
            .iter()
            .filter(|change| change.vm.as_deref() == Some(vm.name.as_str()))
            .collect::<Vec<_>>();
        let lines: Vec<_> = mine.iter().map(|c| comment(c)).collect();
        let proxmox = match vm.vmid {
            Some(vmid) => qm::command(vmid, &mine, text).map_err(|e| {
                Error::new(ErrorKind::InvalidOperation, e.to_string())
            })?,
            None => None,
        };
        vms.push(context! {
            name => one_line(vm.name.as_str()),
            changes => count(mine.len(), "change"),
            lines,
            is_proxmox => vm.vmid.is_some(),
            proxmox,
            end => end_of("END_OF_DEFINITION", text),
            definition => text.strip_suffix('\n').unwrap_or(text),
        });
    }
    let libvirt = plan.vms.iter().any(|vm| vm.vmid.is_none());
    let connect =
        connect.map_or_else(String::new, |uri| format!("-c {} ", quoted(uri)));
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let host = one_line(&plan.host);
    let lines = host::lines(plan);
    environment
        .render_str(TEMPLATE, context! { host, connect, libvirt, vms, lines })
}

fn comment(change: &Change) -> String {
    let to = match &change.to {
        None => "taken away".to_owned(),
        Some(to) if to.is_empty() => "added".to_owned(),
        Some(to) => to.clone(),
    };
    one_line(&format!("{}: {}: {to}", change.rule, label(&change.target)))
}

/// Makes a text fit a comment, which ends where a line does.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Quotes a text for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns a line that ends a here-document and is no line of its text.
fn end_of(end: &str, text: &str) -> String {
    let mut end = end.to_owned();
    while text.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_stays_text() {
        assert_eq!(quoted("a'b; c"), r"'a'\''b; c'");
        assert_eq!(one_line("a\nrm -rf /"), "a rm -rf /");
        let text = "<a>\nEND_OF_DEFINITION\nEND_OF_DEFINITION_\n</a>";
        assert_eq!(end_of("END_OF_DEFINITION", text), "END_OF_DEFINITION__");
    }
}
