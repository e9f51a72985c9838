//! Feeds violations to the scans, to see that they bite.

use super::scan::{
    MAX_LINES, covers, forbidden_imports, forbidden_prints, forbidden_unsafe,
    is_one_sentence, malformed, percentile,
};
use super::source::Source;

fn imports(path: &str, text: &str) -> Vec<String> {
    forbidden_imports(&Source::new(path, text))
}

#[test]
fn names_file_line_and_floors() {
    let text = "//! X.\n\nuse crate::host::Root;\n";
    let found = imports("src/rules/hugepages.rs", text);
    assert_eq!(found, ["src/rules/hugepages.rs:3: rules imports host"]);
    assert!(imports("src/cli/facts.rs", text).is_empty());
    assert_eq!(
        imports("src/utility.rs", ""),
        ["src/utility.rs: utility is not in the table of floors"]
    );
}

#[test]
fn sees_paths_groups_and_macros() {
    for text in [
        "fn f() -> crate::host::Root {}",
        "use crate::{base::CpuId, host::Root};",
        "use crate::*;",
        "$crate::files::lock()",
        "pub(in crate::host) fn f() {}",
    ] {
        assert_eq!(imports("src/model/x.rs", text).len(), 1, "{text}");
    }
    for text in [
        "use crate::base::CpuId;",
        "// crate::host is another matter\n",
        "/* crate::host /* and */ crate::files */",
        "const A: &str = \"crate::host\";",
        "const A: &str = r#\"\"crate::host\"#;",
        "const A: [char; 2] = ['\"', '\\'']; // crate::host",
        "use my_crate::host;",
    ] {
        assert_eq!(imports("src/model/x.rs", text), [""; 0], "{text}");
    }
}

#[test]
fn sees_super_climb_out() {
    let cases = [
        ("src/rules/mod.rs", "use super::host::Root;", 1),
        ("src/rules/a.rs", "use super::Rule;", 0),
        ("src/rules/a.rs", "use super::super::host::Root;", 1),
        ("src/rules/a.rs", "use super::{super::host::Root};", 1),
        ("src/model/facts/a.rs", "use super::super::Fact;", 0),
        ("src/rules/a.rs", "mod b {\n    use super::super::C;\n}", 0),
        ("src/rules/a.rs", "mod b {\n}\nuse super::super::host;", 1),
    ];
    for (path, text, expected) in cases {
        assert_eq!(imports(path, text).len(), expected, "{path}: {text}");
    }
}

#[test]
fn lets_tests_read_fixtures() {
    let text = "#[cfg(test)]\nmod tests {\n    use crate::host::R;\n\n    \
                use crate::apply::A;\n}\nuse crate::host::Root;\n";
    assert_eq!(
        imports("src/rules/a.rs", text),
        [
            "src/rules/a.rs:5: rules imports apply",
            "src/rules/a.rs:7: rules imports host",
        ]
    );
    let face = Source::new(
        "src/rules/mod.rs",
        "#[cfg(test)]\nmod fixture;\nmod a;\n#[cfg(test)]\n\
         pub(crate) use crate::host::R;\n",
    );
    assert_eq!(face.test_modules(), ["src/rules/fixture"]);
    assert!(forbidden_imports(&face).is_empty());
}

#[test]
fn sees_prints_and_unsafe() {
    let print = "fn f() {\n    println!();\n}\n";
    let source = Source::new("src/host/a.rs", print);
    assert_eq!(forbidden_prints(&source), ["src/host/a.rs:2: prints"]);
    let cli = Source::new("src/cli/a.rs", print);
    assert!(forbidden_prints(&cli).is_empty());
    let text = "#![allow(unsafe_code)]\n// unsafe\nunsafe { f() }\n";
    let source = Source::new("src/host/a.rs", text);
    assert_eq!(forbidden_unsafe(&source), ["src/host/a.rs:3: unsafe"]);
}

#[test]
fn sees_malformed_files() {
    let long = "//! Long.\n".repeat(MAX_LINES + 1);
    assert_eq!(malformed(&Source::new("src/a.rs", &long)).len(), 1);
    assert_eq!(malformed(&Source::new("src/a.rs", "fn f() {}")).len(), 1);
    for path in ["tests/common/mod.rs", "src/host/utils.rs"] {
        assert_eq!(malformed(&Source::new(path, "//! X.")).len(), 1);
    }
    assert!(malformed(&Source::new("src/a.rs", "//! X.")).is_empty());
    assert_eq!(percentile((1..=10).collect(), 90), 9);
    assert_eq!(percentile(vec![3, 1, 2], 50), 2);
}

#[test]
fn knows_sentences_and_places() {
    assert!(is_one_sentence("Balloons take pages away."));
    for text in ["", "no capital.", "No stop", "One. Two.", "A\nb."] {
        assert!(!is_one_sentence(text), "{text:?}");
    }
    assert!(covers("/domain/cpu", "/domain/cpu/@mode"));
    assert!(covers("/domain/cpu", "/domain/cpu"));
    assert!(!covers("/domain/cpu", "/domain/cputune"));
    assert!(!covers("/domain/cpu/@mode", "/domain/cpu"));
}
