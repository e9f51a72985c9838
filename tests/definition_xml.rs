//! The XML editor on documents as people write them, and on a corpus of real
//! ones where `VMTUNE_CORPUS` names its folder.

#[path = "support/xml.rs"]
mod support;

use std::path::{Path, PathBuf};

use support::{comments, edit, edited, says};
use vmtune::definition::xml::{
    Document, EditError, Element, QEMU_URI, VMTUNE_URI,
};

#[track_caller]
fn check(before: &str, edits: &[(&str, Option<&str>)], after: &str) {
    let edits: Vec<_> = edits.iter().map(|(t, to)| edit(t, *to)).collect();
    assert_eq!(edited(before, &edits).unwrap(), after);
}

#[test]
fn what_is_not_xml_is_refused() {
    for xml in [
        "",
        " ",
        "text",
        "<a>",
        "</a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>text",
        "text<a/>",
        "<a/>&amp;",
        "<![CDATA[x]]><a/>",
        "<a x='1' x='2'/>",
        "<a x='1'y='2'/>",
        "<a x=1/>",
        "<a x/>",
        "<a x='<'/>",
        "< a/>",
        "<a / >",
        "<1/>",
        "<a:/>",
        "<a:b/>",
        "<a b:c='1'/>",
        "<a>]]></a>",
        "<a>&nbsp;</a>",
        "<a>&</a>",
        "<a>&#0;</a>",
        "<a>\u{1}</a>",
        "<a>\u{fffe}</a>",
        "<a x='&x;'/>",
        "<a><!-- -- --></a>",
        "<a><!-- x ---></a>",
        "<a><?xml version='1.0'?></a>",
        "<a><??></a>",
        "<a><? x?></a>",
        " <?xml version='1.0'?><a/>",
        "<?xml?><a/>",
        "<?xml version='1.1'?><a/>",
        "<?xml version='1.0' encoding='latin1'?><a/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<a/><!DOCTYPE a>",
        "<!DOCTYPE a SYSTEM 'x'><a/>",
        "<a xmlns:xmlns='u'/>",
        "<a xmlns:x=''/>",
        "<a xmlns:xml='u'/>",
        "<a><![CDATA[x</a>",
        "<a xmlns:x='u' xmlns:y='u' x:b='' y:b=''/>",
        "<a><b xmlns:x='u'/><x:c/></a>",
        "<a xmlns:x='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "\u{feff}\u{feff}<a/>",
        "<a><!x></a>",
        "<a></a x='1'>",
        "<a></ a>",
        "<a",
        "<a x='",
        "<!--",
    ] {
        assert!(Document::parse(xml).is_err(), "{xml:?}");
    }
}

#[test]
fn what_is_xml_is_kept() {
    for xml in [
        "<a/>",
        "\u{feff}<?xml version='1.0' encoding='utf-8'?>\r\n<a />\r\n",
        "<!-- before --><?x y?><!DOCTYPE a>\n<a\n\tx = \"'\" y='\"'/>\t<!-- x -->",
        "<a><![CDATA[<&]]]]><![CDATA[>]]>&lt;&#x20AC;é</a >",
        "<a xml:space='preserve' xmlns='urn:x' xmlns:b='urn:y'><b:c b:d=''/></a>",
    ] {
        let document = Document::parse(xml).unwrap();
        assert_eq!(document.edit(&[]).unwrap(), xml);
        roxmltree::Document::parse_with_options(
            xml,
            roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() },
        )
        .unwrap();
    }
}

#[test]
fn one_line_stays_one_line() {
    check("<d/>", &[("/d/a/@b", Some(""))], "<d><a b=''/></d>");
    check(
        "<domain><name>a</name><vcpu>2</vcpu><os/></domain>\n",
        &[
            ("/domain/cputune/vcpupin[@vcpu='0']/@cpuset", Some("1")),
            ("/domain/os/type/text()", Some("hvm")),
        ],
        "<domain><name>a</name><vcpu>2</vcpu><cputune><vcpupin vcpu='0' \
         cpuset='1'/></cputune><os><type>hvm</type></os></domain>\n",
    );
}

#[test]
fn tabs_line_ends_and_quotes_are_the_documents_own() {
    check(
        "<domain type=\"kvm\">\r\n\t<vcpu>2</vcpu>\r\n</domain>\r\n",
        &[
            ("/domain/cpu/numa/cell[@id='0']/@cpus", Some("0-1")),
            ("/domain/description/text()", Some("a\nb")),
        ],
        "<domain type=\"kvm\">\r\n\t<description>a\r\nb</description>\r\n\t\
         <vcpu>2</vcpu>\r\n\t<cpu>\r\n\t\t<numa>\r\n\t\t\t<cell id=\"0\" \
         cpus=\"0-1\"/>\r\n\t\t</numa>\r\n\t</cpu>\r\n</domain>\r\n",
    );
}

#[test]
fn numbered_elements_keep_their_order() {
    let pin = |n: &str| format!("    <vcpupin vcpu='{n}' cpuset='{n}'/>\n");
    let pins = |list: &[&str]| {
        let all: String = list.iter().map(|n| pin(n)).collect();
        format!("<domain>\n  <cputune>\n{all}  </cputune>\n</domain>")
    };
    let edits: Vec<_> = ["3", "0", "2", "10"]
        .iter()
        .map(|n| {
            let path = format!("/domain/cputune/vcpupin[@vcpu='{n}']/@cpuset");
            edit(&path, Some(n))
        })
        .collect();
    let after = edited(&pins(&["1", "4"]), &edits).unwrap();
    assert_eq!(after, pins(&["0", "1", "2", "3", "4", "10"]));
}

#[test]
fn comments_stay_with_their_neighbours() {
    let before = "<domain>
  <!-- one -->
  <vcpu>2</vcpu> <!-- two --> <!-- 2 -->
  <!-- three -->
  <cputune/> <!-- four -->

  <!-- five -->

  <!-- six -->
  <os/>
</domain>
";
    let after = before
        .replace("  <!-- one", "  <memory>1</memory>\n  <!-- one")
        .replace("-- 2 -->\n", "-- 2 -->\n  <iothreads>1</iothreads>\n")
        .replace("-- four -->\n", "-- four -->\n  <numatune/>\n");
    let memory = ("/domain/memory/text()", Some("1"));
    let iothreads = ("/domain/iothreads/text()", Some("1"));
    let numatune = ("/domain/numatune", Some(""));
    check(before, &[memory, numatune, iothreads], &after);
    let gone =
        |(path, _): (&'static str, _)| (path.trim_end_matches("/text()"), None);
    check(&after, &[gone(memory), gone(iothreads), gone(numatune)], before);
    check(
        before,
        &[("/domain/cputune", None), ("/domain/os", None)],
        &before.replace("  <cputune/> <!--", "  <!--").replace("\n  <os/>", ""),
    );
}

#[test]
fn removal_leaves_no_trace() {
    let xml =
        "<d>\n  <a>\n    <b x='1'/>  \n    <b x='2'/>\n  </a>\n  <c/>\n</d>";
    check(
        xml,
        &[("/d/a/b[1]", None)],
        &xml.replacen("    <b x='1'/>  \n", "", 1),
    );
    let both = [("/d/a/b[1]", None), ("/d/a/b[2]", None)];
    check(xml, &both, "<d>\n  <a/>\n  <c/>\n</d>");
    check(xml, &[("/d/a", None), ("/d/c", None)], "<d/>");
    check("<d><a/> <b/> <c/></d>", &[("/d/b", None)], "<d><a/> <c/></d>");
    check("<d><a/><b/><c/></d>", &[("/d/b", None)], "<d><a/><c/></d>");
    check("<d>x <b/> y</d>", &[("/d/b", None)], "<d>x  y</d>");
    check("<d><a>x</a><b/></d>", &[("/d/a/text()", None)], "<d><a/><b/></d>");
    check("<d><!-- c --><a/></d>", &[("/d/a", None)], "<d><!-- c --></d>");
    check("<d a='1' \n b='2' />", &[("/d/@b", None)], "<d a='1' />");
}

#[test]
fn several_removals_and_additions_meet() {
    let xml = "<d>\n  <a/> <b/>\n  <c><e x=''/></c>\n</d>";
    check(xml, &[("/d/b", None)], &xml.replace(" <b/>", ""));
    let both = [("/d/a", None), ("/d/b", None)];
    check(xml, &both, &xml.replace("<a/> <b/>", ""));
    let nested = [("/d/c/e/@x", None), ("/d/c/e", None), ("/d/c", None)];
    check(xml, &nested, &xml.replace("  <c><e x=''/></c>\n", ""));
    let new = [("/d/a/@x", Some("1")), ("/d/a/f", Some(""))];
    check(xml, &new, &xml.replace("<a/>", "<a x='1'>\n    <f/>\n  </a>"));
    check(
        "<d><a /><b ><c /></b></d>",
        &[("/d/b/c", None)],
        "<d><a /><b /></d>",
    );
}

#[test]
fn a_text_replaces_all_pieces_but_comments() {
    let xml = "<d><a>x<!-- c -->y&amp;<![CDATA[z]]></a><b></b></d>";
    let edits = [("/d/a/text()", Some("<w")), ("/d/b/text()", Some("v"))];
    check(xml, &edits, "<d><a>&lt;w<!-- c --></a><b>v</b></d>");
    check(xml, &[("/d/a/text()", Some("xy&z"))], xml);
    check(xml, &[("/d/a/text()", Some(""))], "<d><a><!-- c --></a><b></b></d>");
}

#[test]
fn a_tag_that_ends_like_a_comment_is_none() {
    let xml = "<d>\n  <!-- c --> <y-->t</y-->\n  <vcpu/>\n</d>";
    let xml = xml.replace("d>", "domain>");
    let edits = [("/domain/y--", None), ("/domain/name", Some(""))];
    let after = xml.replace(" <y-->t</y-->", "\n  <name/>");
    check(&xml, &edits, &after);
}

#[test]
fn a_removed_neighbour_moves_nothing() {
    let xml = "<domain>\n  <vcpu>2</vcpu>\n  <os/>\n  <devices/>\n</domain>";
    let edits = [
        ("/domain/os", None),
        ("/domain/cputune", Some("")),
        ("/domain/features", Some("")),
    ];
    let after = xml.replace("<os/>", "<cputune/>\n  <features/>");
    check(xml, &edits, &after);
    let replaced = [
        ("/domain/vcpu", None),
        edits[0],
        ("/domain/devices", None),
        ("/domain/cpu/@mode", Some("maximum")),
    ];
    check(xml, &replaced, "<domain>\n  <cpu mode='maximum'/>\n</domain>");
}

#[test]
fn positions_are_those_of_the_original() {
    let xml = "<d><a/><a/><a/></d>";
    check(
        xml,
        &[
            ("/d/a[1]", None),
            ("/d/a[2]/@x", Some("2")),
            ("/d/a[4]/@x", Some("4")),
            ("/d/a[4]/@y", Some("5")),
            ("/d/a[5]/b", Some("")),
        ],
        "<d><a x='2'/><a/><a x='4' y='5'/><a><b/></a></d>",
    );
}

#[test]
fn namespaces_go_by_uri() {
    let arg = "/domain/qemu:commandline/qemu:arg[1]/@value";
    let xml = format!("<domain xmlns:q='{QEMU_URI}'><devices/></domain>");
    let line = "<q:commandline><q:arg value='-x'/></q:commandline>";
    let after = xml.replace("</domain>", &format!("{line}</domain>"));
    check(&xml, &[(arg, Some("-x"))], &after);
    check(&after, &[("/domain/qemu:commandline", None)], &xml);

    let xml = "<domain xmlns:vmtune='urn:other'><metadata/></domain>";
    let path = "/domain/metadata/vmtune:plan/@id";
    let open = format!("<vmtune1:plan xmlns:vmtune1='{VMTUNE_URI}' id='7'/>");
    let after =
        xml.replace("<metadata/>", &format!("<metadata>{open}</metadata>"));
    check(xml, &[(path, Some("7"))], &after);
    check(&after, &[(path, Some("8"))], &after.replace('7', "8"));

    let xml = format!("<d><commandline xmlns='{QEMU_URI}'/></d>");
    let own = format!("xmlns='{QEMU_URI}' xmlns:qemu='{QEMU_URI}' qemu:y='1'");
    let after = format!("<d><commandline {own}/></d>");
    check(&xml, &[("/d/qemu:commandline/@qemu:y", Some("1"))], &after);
    let value = ("/d/qemu:commandline/x/@qemu:y", Some("1"));
    let child = format!("<x xmlns='' xmlns:qemu='{QEMU_URI}' qemu:y='1'/>");
    let after =
        format!("<d><commandline xmlns='{QEMU_URI}'>{child}</commandline></d>");
    check(&xml, &[value], &after);
}

#[test]
fn an_attribute_cannot_be_there_twice_under_two_prefixes() {
    let xml = format!("<d xmlns:q='{QEMU_URI}'/>");
    let edits = [edit("/d/@qemu:x", Some("1")), edit("/d/@q:x", Some("1"))];
    let error = edited(&xml, &edits).unwrap_err();
    assert!(matches!(error, EditError::Result(_)), "{error}");
}

#[test]
fn large_documents_take_linear_time() {
    let many = "<a b='c'/>\n".repeat(Document::MAX_LEN / 11 - 10);
    let xml = format!("<d>\n{many}</d>");
    let document = Document::parse(&xml).unwrap();
    let edits = [edit("/d/a[7]", None), edit("/d/z/@y", Some("x"))];
    assert!(document.edit(&edits).is_ok());
    let spaces = (0..100_000).map(|n| format!(" xmlns:a{n}='u{n}'"));
    let xml = format!("<d{}/>", spaces.collect::<String>());
    assert!(Document::parse(&xml).is_ok());
}

/// Returns the definitions of the corpus; none where there is no corpus.
fn corpus() -> Vec<(PathBuf, String)> {
    let Some(root) = std::env::var_os("VMTUNE_CORPUS") else {
        eprintln!("skipped: VMTUNE_CORPUS names no folder");
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut folders = vec![Path::new(&root).join("domains")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "xml") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Returns some elements of a document, spread over all of it.
fn some(document: &Document) -> Vec<Element<'_>> {
    let mut all = vec![document.root()];
    let mut next = 0;
    while let Some(element) = all.get(next).copied() {
        all.extend(element.children());
        next += 1;
    }
    let step = all.len() / 20 + 1;
    all.into_iter().step_by(step).collect()
}

#[test]
fn the_corpus_reads_as_roxmltree_reads_it() {
    for (path, text) in corpus() {
        let document = Document::parse(&text).expect("a definition");
        assert_eq!(document.edit(&[]).unwrap(), text);
        let other = roxmltree::Document::parse(&text).unwrap();
        let mut ours = vec![document.root()];
        let theirs = other.descendants().filter(|node| node.is_element());
        for node in theirs {
            let element = ours.pop().expect("as many elements");
            let name = element.name();
            let local = name.rsplit(':').next();
            assert_eq!(local, Some(node.tag_name().name()));
            let texts = node.children().filter_map(|child| {
                child.is_text().then(|| child.text()).flatten()
            });
            assert_eq!(element.text(), texts.collect::<String>());
            let values: Vec<_> = element
                .attributes()
                .filter(|(name, _)| !name.starts_with("xmlns"))
                .map(|(_, value)| value.into_owned())
                .collect();
            let other: Vec<_> = node.attributes().map(|a| a.value()).collect();
            assert_eq!(values, other, "{}", path.display());
            let mut children: Vec<_> = element.children().collect();
            children.reverse();
            ours.extend(children);
        }
        assert!(ours.is_empty());
    }
}

#[test]
fn the_corpus_changes_only_where_it_is_edited() {
    for (path, text) in corpus() {
        let document = Document::parse(&text).unwrap();
        for element in some(&document) {
            let base = element.path().to_string();
            for (name, value) in element.attributes() {
                let xmlns = name.starts_with("xmlns");
                let Some(range) = element.attribute_range(&name) else {
                    continue;
                };
                if xmlns || value.is_empty() {
                    continue;
                }
                let target = format!("{base}/@{name}");
                let changed = edit(&target, Some("a&b"));
                let mut expected = text.clone();
                expected.replace_range(range, "a&amp;b");
                let after = document.edit(&[changed]).unwrap();
                assert_eq!(after, expected, "{}: {target}", path.display());
            }
            if element.parent().is_some() {
                let after = document.edit(&[edit(&base, None)]).unwrap();
                let kept = comments(&text).len()
                    - element.source().matches("<!--").count();
                assert_eq!(comments(&after).len(), kept);
                let gone = says(&text).len() - says(&after).len();
                let lines = says_within(element);
                assert_eq!(gone, lines, "{}: {base}", path.display());
            }
        }
    }
}

/// Returns how many lines `says` has for an element.
fn says_within(element: Element<'_>) -> usize {
    let attributes = element
        .attributes()
        .filter(|(name, _)| !name.starts_with("xmlns"))
        .count();
    let text = usize::from(!element.text().trim().is_empty());
    1 + attributes + text + element.children().map(says_within).sum::<usize>()
}

#[test]
fn the_corpus_is_as_before_after_set_and_remove() {
    let (mut done, mut open) = (0, 0);
    for (path, text) in corpus() {
        let document = Document::parse(&text).unwrap();
        let spaced =
            text.contains(" />") && text.replace(" />", "").contains("/>");
        for element in some(&document) {
            let source = element.source();
            let is_empty = element.children().next().is_none();
            // `<a></a>` comes back as `<a/>`; so does `<a />` where most of
            // the document has none.
            if is_empty && (spaced || !source.ends_with("/>")) {
                open += 1;
                continue;
            }
            let base = element.path().to_string();
            for child in ["vmtune:x", "address", "emulatorpin", "zz"] {
                if element.child(child).is_some() {
                    continue;
                }
                let target = format!("{base}/{child}");
                let set = [edit(&format!("{target}/y[@z='1']/@a"), Some("2"))];
                let Ok(after) = document.edit(&set) else {
                    assert!(!element.text().trim().is_empty());
                    continue;
                };
                let added = says(&after).len() - says(&text).len();
                assert_eq!(added, 4, "{}: {target}", path.display());
                let back = edited(&after, &[edit(&target, None)]).unwrap();
                assert_eq!(back, text, "{}: {target}", path.display());
                done += 1;
            }
        }
    }
    eprintln!("{done} elements set and removed, {open} left out");
}
