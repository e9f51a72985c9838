//! Which of the VMs that were found are planned, and which only hold things.

use crate::base::{DomainUuid, nearest};
use crate::model::domain::Domain;
use crate::planner::{Neighbour, Subject};

use super::exit::CliError;

/// A VM that was found, by its definitions.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Where its definition comes from, for people: a file or a URI.
    pub(super) origin: String,
    /// libvirt's number of it while it runs; Proxmox' number of it always.
    pub(super) id: Option<u32>,
    /// The inactive definition; the live one of a transient VM.
    pub(super) text: String,
    /// The same, read.
    pub(super) domain: Domain,
    /// The live definition of a running VM.
    pub(super) live: Option<Domain>,
    /// Whether nothing outlives it that could be edited.
    pub(super) transient: bool,
}

/// What is planned around what.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The VMs to plan, sorted by name.
    pub(super) subjects: Vec<Subject>,
    /// Where each of them comes from, in the same order.
    pub(super) origins: Vec<String>,
    /// Names of those that are transient.
    pub(super) transient: Vec<String>,
    /// What else the host holds, sorted by name.
    pub(super) neighbours: Vec<Neighbour>,
}

/// Takes the named VMs as subjects and the others as neighbours; all are
/// subjects where none is named.
pub(super) fn select(
    mut found: Vec<Found>,
    named: &[String],
    place: &str,
) -> Result<Selection, CliError> {
    found.sort_by(|a, b| a.domain.name.cmp(&b.domain.name));
    for pair in found.windows(2) {
        if pair[0].domain.name == pair[1].domain.name {
            return Err(twins(&pair[0], &pair[1]));
        }
    }
    let mut chosen = vec![named.is_empty(); found.len()];
    for name in named {
        let index = position(&found, name, place)?;
        if std::mem::replace(&mut chosen[index], true) {
            let twice = &found[index].domain.name;
            return Err(CliError::usage(format!("{twice} is named twice")));
        }
    }
    let mut selection = Selection::default();
    for (one, chosen) in found.into_iter().zip(chosen) {
        if chosen {
            if one.transient {
                selection.transient.push(one.domain.name.to_string());
            }
            selection.origins.push(one.origin);
            selection.subjects.push(Subject {
                text: one.text,
                domain: one.domain,
                live: one.live,
            });
        } else {
            selection.neighbours.push(Neighbour {
                name: one.domain.name.clone(),
                running: one.live.is_some(),
                definitions: std::iter::once(one.domain)
                    .chain(one.live)
                    .collect(),
            });
        }
    }
    Ok(selection)
}

fn twins(a: &Found, b: &Found) -> CliError {
    let (name, a, b) = (&a.domain.name, &a.origin, &b.origin);
    CliError::usage(format!("{a} and {b} both define {name}"))
        .hint("give each VM a name of its own, or leave one file out")
}

/// Finds a VM by name, by UUID, or by its number.
fn position(
    found: &[Found],
    wanted: &str,
    place: &str,
) -> Result<usize, CliError> {
    let by = |is: &dyn Fn(&Found) -> bool| found.iter().position(is);
    let id: Option<u32> = wanted.parse().ok();
    let named = by(&|one| one.domain.name.as_str() == wanted);
    let numbered = id.and_then(|id| by(&|one| one.id == Some(id)));
    if let (Some(named), Some(numbered)) = (named, numbered)
        && named != numbered
    {
        let other = &found[numbered].domain.name;
        return Err(CliError::usage(format!(
            "{wanted} is the name of one VM and the number of {other}"
        ))
        .hint("name the VM by its UUID"));
    }
    let uuid: Option<DomainUuid> = wanted.parse().ok();
    named
        .or_else(|| uuid.and_then(|u| by(&|one| one.domain.uuid == Some(u))))
        .or(numbered)
        .ok_or_else(|| missing(found, wanted, place))
}

fn missing(found: &[Found], wanted: &str, place: &str) -> CliError {
    let names = || found.iter().map(|one| one.domain.name.as_str());
    let error = CliError::usage(match place {
        "files" => format!("no --domain file holds a VM {wanted:?}"),
        uri => format!("{uri} has no VM {wanted:?}"),
    });
    // A handful is quicker to read than to ask for.
    const LISTED: usize = 8;
    match nearest(wanted, names()) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None if found.is_empty() => error.hint(
            "there are none at all; is it the right connection? See --connect",
        ),
        None => {
            let list: Vec<_> = names().take(LISTED).collect();
            let more = if found.len() > LISTED { ", …" } else { "" };
            error.hint(format!("those found: {}{more}", list.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, uuid: u8, id: Option<u32>) -> Found {
        let text = format!(
            "<domain type='kvm'><name>{name}</name>\
             <uuid>00000000-0000-0000-0000-0000000000{uuid:02x}</uuid>\
             <memory>1048576</memory><vcpu>1</vcpu><os><type>hvm</type></os>\
             </domain>"
        );
        let domain = crate::definition::read(&text).unwrap();
        Found {
            origin: format!("{name}.xml"),
            id,
            text,
            live: id.map(|_| domain.clone()),
            domain,
            transient: false,
        }
    }

    fn chosen(named: &[&str]) -> Result<Vec<String>, String> {
        let all = vec![
            found("b", 2, Some(7)),
            found("a", 1, None),
            found("7", 3, None),
        ];
        let named: Vec<_> = named.iter().map(|n| (*n).to_owned()).collect();
        let selection =
            select(all, &named, "files").map_err(|e| e.in_short())?;
        assert_eq!(selection.subjects.len() + selection.neighbours.len(), 3);
        let names =
            selection.subjects.iter().map(|s| s.domain.name.to_string());
        Ok(names.collect())
    }

    #[test]
    fn vms_have_names_and_uuids_and_numbers() {
        let b = "00000000-0000-0000-0000-000000000002";
        assert_eq!(chosen(&[]).unwrap(), ["7", "a", "b"]);
        assert_eq!(chosen(&["a", b]).unwrap(), ["a", "b"]);
        assert!(chosen(&["b", b]).unwrap_err().contains("named twice"));
        assert!(chosen(&["7"]).unwrap_err().contains("the number of b"));
        assert!(chosen(&["c"]).unwrap_err().contains("\"c\""));
    }
}
