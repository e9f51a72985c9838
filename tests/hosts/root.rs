//! A root: reads stay in it, whatever a tree holds.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use vmtune::host::Root;

fn tree() -> tempfile::TempDir {
    let folder = crate::scratch();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir_all(at("root/sys/a")).unwrap();
    fs::create_dir_all(at("root/etc")).unwrap();
    fs::write(at("outside"), "outside\n").unwrap();
    fs::write(at("root/etc/passwd"), "inside\n").unwrap();
    fs::write(at("root/sys/a/file"), "text\n").unwrap();
    symlink("../../../../outside", at("root/sys/a/climbs")).unwrap();
    symlink("/etc/passwd", at("root/sys/a/absolute")).unwrap();
    symlink("../a", at("root/sys/a/self")).unwrap();
    symlink("loop", at("root/sys/a/loop")).unwrap();
    symlink("../../../..", at("root/sys/a/up")).unwrap();
    fs::write(at("root/sys/a/.keep"), "").unwrap();
    folder
}

fn root(folder: &tempfile::TempDir) -> Root {
    Root::tree(folder.path().join("root"))
}

#[test]
fn links_end_inside() {
    let folder = tree();
    let root = root(&folder);
    let kind = |path| root.read(path).unwrap_err().source.kind();
    assert_eq!(root.read("sys/a/file").unwrap(), "text\n");
    assert_eq!(root.read("sys/a/self/self/file").unwrap(), "text\n");
    assert_eq!(root.read("sys/a/absolute").unwrap(), "inside\n");
    assert_eq!(root.read("sys/a/up/etc/passwd").unwrap(), "inside\n");
    assert_eq!(root.resolve("sys/a/up/etc").unwrap(), "etc");
    assert_eq!(kind("sys/a/climbs"), ErrorKind::NotFound);
    assert!(root.read("sys/a/loop").is_err());
    assert!(!root.exists("sys/a/climbs") && root.exists("sys/a/absolute"));
    assert_eq!(root.link_name("sys/a/absolute").unwrap(), "passwd");
    assert!(root.link_name("sys/a/up").is_err());
}

#[test]
fn paths_do_not_climb() {
    let folder = tree();
    for root in [root(&folder), Root::live()] {
        for path in ["../outside", "sys/../../outside", "/etc/passwd", "a\0"] {
            let error = root.read(path).unwrap_err();
            assert_eq!(error.source.kind(), ErrorKind::InvalidInput, "{path}");
            assert!(root.list(path).is_err() && !root.exists(path));
            assert!(root.resolve(path).is_err());
            assert!(root.link_name(path).is_err());
        }
    }
}

#[test]
fn only_ordinary_files_of_ordinary_size_are_read() {
    let folder = tree();
    let root = root(&folder);
    let at = |path: &str| folder.path().join("root").join(path);
    let pipe = Command::new("mkfifo").arg(at("sys/pipe")).status();
    assert!(pipe.unwrap().success());
    assert!(root.read("sys/pipe").is_err());
    assert!(root.read("sys").is_err());
    let large = fs::File::create(at("sys/large")).unwrap();
    large.set_len(Root::MAX_FILE + 1).unwrap();
    assert_eq!(
        root.read("sys/large").unwrap_err().source.kind(),
        ErrorKind::FileTooLarge
    );
    fs::write(at("sys/binary"), b"\xff\xfe").unwrap();
    let error = root.read("sys/binary").unwrap_err();
    assert_eq!(error.path, "/sys/binary");
    assert_eq!(error.source.kind(), ErrorKind::InvalidData);
    fs::write(at("sys/list"), b"0-3\n\0").unwrap();
    assert_eq!(root.read("sys/list").unwrap(), "0-3\n");
}

#[test]
fn listed_names_are_sorted() {
    let folder = tree();
    let names = root(&folder).list("sys/a").unwrap();
    let expected = ["absolute", "climbs", "file", "loop", "self", "up"];
    assert_eq!(names, expected);
    assert!(root(&folder).list("sys/b").is_err());
    assert!(Root::tree(Path::new("/nowhere")).list("sys").is_err());
}
