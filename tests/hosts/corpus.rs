//! Real topologies and trees, where there is a folder of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use vmtune::model::facts::Facts;

use crate::facts;

/// Returns the sorted content of a folder of the corpus, or says that there
/// is none.
fn corpus(test: &str, folder: &str) -> Vec<PathBuf> {
    let Some(corpus) = std::env::var_os("VMTUNE_CORPUS") else {
        eprintln!("{test}: skipped, VMTUNE_CORPUS names no folder");
        return Vec::new();
    };
    let mut files: Vec<_> = std::fs::read_dir(Path::new(&corpus).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Returns the counts that tell one topology from another: online CPUs,
/// packages, nodes, L3s, L2s, cores, widest core, kinds of core.
fn counts(facts: &Facts) -> [usize; 8] {
    let topology = &facts.topology;
    [
        topology.online.len(),
        topology.packages.len(),
        topology.nodes.len(),
        topology.l3.len(),
        topology.l2.len(),
        topology.cores.len(),
        topology.smt_width() as usize,
        topology.kinds.len(),
    ]
}

#[test]
fn every_topology_of_the_corpus_loads() {
    let expected = [
        ("16amd64-8n2c-cpusets", [10, 6, 5, 0, 10, 10, 1, 0]),
        ("16em64t-4s2c2t-offlines", [7, 4, 1, 4, 6, 6, 2, 0]),
        ("16intel64-manyVFs", [16, 2, 2, 2, 16, 16, 1, 0]),
        ("192em64t-24n8c2t", [384, 24, 24, 24, 192, 192, 2, 0]),
        ("32em64t-2n8c2t-pci-normalio", [32, 2, 2, 2, 16, 16, 2, 0]),
        ("8intel64-4n2t-memattrs", [8, 0, 4, 0, 0, 8, 1, 0]),
        ("cxlmem+dax.v2", [4, 1, 1, 1, 4, 4, 1, 0]),
        ("cxlmem+dax.v3", [4, 1, 1, 1, 4, 4, 1, 0]),
        ("fakecpukinds", [4, 1, 1, 0, 0, 2, 2, 3]),
        ("flux-ipa20", [224, 2, 8, 2, 112, 112, 2, 0]),
        ("flux-sierra2", [176, 2, 6, 23, 0, 44, 4, 0]),
        (
            "hwloc3-AMD-15h-Bulldozer-4xOpteron-6272",
            [64, 4, 1, 8, 32, 64, 1, 0],
        ),
        ("hwloc3-AMD-17h-Zen-2xEpyc-7451", [96, 2, 1, 16, 48, 48, 2, 0]),
        (
            "hwloc3-AMD-1Ah-Zen5StrixPoint-RyzenAI9HX370",
            [24, 1, 1, 2, 12, 12, 2, 2],
        ),
        ("hwloc3-Intel-CascadeLake-2xXeon6230", [80, 2, 1, 2, 40, 40, 2, 0]),
        (
            "hwloc3-Intel-KnightsLanding-XeonPhi-7210",
            [256, 1, 1, 0, 32, 64, 4, 0],
        ),
        ("hwloc3-Intel-RaptorLake-Corei7-1370P", [20, 1, 1, 1, 8, 14, 2, 2]),
        ("hwloc3-nvidia-dgx-gb10", [20, 1, 1, 2, 20, 20, 1, 2]),
    ];
    let files = corpus("every_topology_of_the_corpus_loads", "topologies");
    assert!(files.is_empty() || files.len() == expected.len());
    for (file, (name, expected)) in files.iter().zip(expected) {
        assert_eq!(file.file_stem().unwrap(), name);
        assert_eq!(counts(&facts(file)), expected, "{name}");
    }
}

#[test]
fn every_tree_of_the_corpus_loads() {
    let expected = [
        ("128arm-2pa2n8cluster4co", [128, 2, 4, 4, 128, 128, 1, 0]),
        ("16amd64-8n2c-cpusets", [15, 8, 8, 0, 15, 15, 1, 0]),
        ("16em64t-4s2c2t-offlines", [12, 4, 1, 4, 7, 7, 2, 0]),
        ("20em64t-hybrid-1p6c2t+2ca4co1t", [20, 1, 1, 1, 8, 14, 2, 2]),
        ("20s390-2g6s4c", [20, 8, 1, 0, 0, 20, 1, 0]),
        ("256ppc-8n8s4t", [256, 64, 8, 64, 64, 64, 4, 0]),
        ("2arm-2c", [2, 1, 1, 0, 0, 2, 1, 0]),
        ("32intel64-2p8co2t+8ve", [32, 2, 2, 2, 16, 16, 2, 0]),
        ("4fake-4gr1nu1pu", [4, 1, 4, 0, 0, 4, 1, 0]),
        ("64amd64-4s2n4ca2co", [64, 4, 8, 8, 32, 32, 2, 0]),
        ("64fake-4n2s2ca2c2t", [64, 8, 4, 8, 16, 32, 2, 0]),
        ("8ia64-2n2s2c", [8, 4, 2, 8, 8, 8, 1, 0]),
        ("fakememinitiators-1np2c+1npp+gi", [8, 2, 11, 0, 0, 8, 1, 0]),
        ("nvidiagpunumanodes", [32, 2, 8, 4, 4, 8, 4, 0]),
    ];
    let files = corpus("every_tree_of_the_corpus_loads", "sysfs");
    assert!(files.is_empty() || files.len() == expected.len());
    for (file, (name, expected)) in files.iter().zip(expected) {
        assert_eq!(file.file_name().unwrap(), &*format!("{name}.tar.bz2"));
        let folder = crate::scratch();
        let mut tar = Command::new("tar");
        // Half of the POWER tree, and nothing reads it.
        tar.arg("--exclude=device-tree").arg("-xjf").arg(file);
        tar.arg("-C").arg(folder.path());
        assert!(tar.status().unwrap().success(), "{name}: tar and bzip2");
        let inner = std::fs::read_dir(&folder).unwrap().next().unwrap();
        assert_eq!(counts(&facts(inner.unwrap().path())), expected, "{name}");
    }
}
