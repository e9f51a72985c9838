//! Real definitions, where `VMTUNE_CORPUS` says where they are: each that
//! this libvirt takes is changed and restored.

use std::fs;
use std::path::{Path, PathBuf};

use virt::connect::Connect;
use virt::sys;
use vmtune::apply::{Machine, apply, rollback};
use vmtune::files::StateDir;
use vmtune::hypervisor::{Hypervisor as _, Libvirt, Validate};
use vmtune::system::fake::Fake;

use crate::daemon::Daemon;
use crate::host;
use crate::plans::{self, plan};

#[test]
fn real_definitions_are_changed_and_restored() {
    let Some(root) = std::env::var_os("VMTUNE_CORPUS") else {
        eprintln!("skipped, the corpus: VMTUNE_CORPUS does not name it");
        return;
    };
    if !host::ready(0) {
        return;
    }
    let (daemon, libvirt) = Daemon::start();
    let state = StateDir::open(&daemon.path().join("state")).unwrap();
    let system = Fake::new();
    let machine = plans::machine(&libvirt, &system, &state);
    let connect = Connect::open(Some(&daemon.uri())).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for path in files(&PathBuf::from(root).join("domains")) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let any = "any".parse().unwrap();
        if libvirt.define(&any, &text, Validate::Lenient).is_err() {
            refused += 1;
            continue;
        }
        taken += 1;
        let info = libvirt.domains().unwrap().remove(0);
        let former = libvirt.inactive_definition(&info.uuid).unwrap();
        change(&libvirt, info.name.as_str(), &machine, &path);
        let again = libvirt.inactive_definition(&info.uuid).unwrap();
        assert_eq!(again, former, "{}", path.display());
        let domain = connect.lookup_domain_by_name(info.name.as_str());
        let flags = sys::VIR_DOMAIN_UNDEFINE_NVRAM;
        domain.unwrap().undefine_flags(flags).unwrap();
    }
    eprintln!("{taken} definitions restored, {refused} refused by libvirt");
    assert!(taken > 0);
}

/// Applies a plan and undoes it.
fn change(libvirt: &Libvirt, vm: &str, machine: &Machine<'_>, path: &Path) {
    let plan = plan(
        libvirt,
        vm,
        &[
            ("/domain/cputune/vcpupin[@vcpu='0']/@cpuset", Some("1")),
            ("/domain/cputune/emulatorpin/@cpuset", Some("0")),
            ("/domain/memoryBacking/nosharepages", Some("")),
            ("/domain/vcpu/@cpuset", None),
        ],
    );
    let outcome = apply(&plan, None, machine).unwrap();
    // A refusal by the schema is the definition's own: it was taken without.
    let cause = outcome.failed.as_ref().map(|failed| {
        let cause = std::error::Error::source(&failed.error);
        let cause = cause.and_then(std::error::Error::source);
        cause.map(ToString::to_string).unwrap_or_default()
    });
    if let Some(cause) = cause {
        eprintln!("{}: {cause}", path.display());
        assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
        return;
    }
    let outcome = rollback(None, false, machine).unwrap();
    assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "xml") {
            found.push(path);
        }
    }
    found.sort();
    found
}
