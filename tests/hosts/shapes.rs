//! Made-up machines and the facts that are read of them. The facts are
//! fixtures of other tests as well; `VMTUNE_UPDATE=1` writes them anew.

pub(crate) mod connectx;
mod desktop;
mod odd;
mod server;

use std::path::{Path, PathBuf};

use vmtune::host::{self, Source};

use crate::facts;
use crate::machine::Machine;

/// Writes a machine into a folder.
type Shape = fn(&Path) -> Machine;

/// Machines, and where the facts of each are kept.
pub(crate) const SHAPES: [(Shape, &str); 6] = [
    (server::epyc_2s_nps2_cx6, "examples/host.json"),
    (connectx::epyc_cx6lx_ovs, "tests/hosts/connectx-ovs.json"),
    (desktop::desktop_1s, "tests/hosts/desktop-1s.json"),
    (desktop::hybrid, "tests/hosts/hybrid.json"),
    (odd::no_smt, "tests/hosts/no-smt.json"),
    (odd::cxl, "tests/hosts/cxl.json"),
];

#[test]
fn shapes_are_read_as_they_are_kept() {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for (shape, kept) in SHAPES {
        let folder = crate::scratch();
        let facts = facts(&shape(folder.path()).dir);
        let text = serde_json::to_string_pretty(&facts).unwrap() + "\n";
        let path = package.join(kept);
        if std::env::var_os("VMTUNE_UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        let differs =
            text.lines().zip(expected.lines()).find(|(new, old)| new != old);
        assert_eq!(differs, None, "{kept}");
        assert_eq!(text.len(), expected.len(), "{kept}");

        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let source = Source::FactsJson { name, text };
        assert_eq!(host::collect(&source).unwrap(), facts);
    }
}
