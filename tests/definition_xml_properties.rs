//! The XML editor on documents that nobody would write.

#[path = "support/xml.rs"]
mod support;

use proptest::prelude::*;
use proptest::sample::select;
use support::{comments, edit, edited, says};
use vmtune::base::Leaf;
use vmtune::definition::xml::{Document, Edit, Element, QEMU_URI, VMTUNE_URI};

/// How a generated document is laid out.
#[derive(Debug, Clone)]
struct Layout {
    newline: &'static str,
    indent: &'static str,
    quote: char,
    empty: &'static str,
}

/// One generated element.
#[derive(Debug, Clone)]
struct Node {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    /// A comment above the element.
    above: Option<String>,
    /// A comment behind it on its line.
    behind: Option<String>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Text(String),
    Children(Vec<Node>),
}

const NAMES: [&str; 12] = [
    "domain",
    "vcpu",
    "cputune",
    "vcpupin",
    "emulatorpin",
    "cpu",
    "numa",
    "cell",
    "devices",
    "a",
    "x:a",
    "q:arg",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,2}",
        "[ -~]{0,6}",
        select(vec!["\t", "\r\n", "é€", "'", "\"", "]]>", "&amp;"])
            .prop_map(str::to_owned),
    ]
}

fn comment() -> impl Strategy<Value = Option<String>> {
    proptest::option::weighted(0.2, " [a-z<>&\n]{0,5} ")
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = value().prop_map(Content::Text).boxed();
    element(leaf).prop_recursive(4, 40, 5, |inner| {
        let children = prop::collection::vec(inner, 0..5);
        element(children.prop_map(Content::Children).boxed())
    })
}

fn element(content: BoxedStrategy<Content>) -> BoxedStrategy<Node> {
    let keys = vec!["vcpu", "id", "cpuset", "x:b"];
    let attributes = prop::sample::subsequence(keys, 0..4);
    let attributes = attributes.prop_flat_map(|keys| {
        let values = prop::collection::vec(value(), keys.len());
        values.prop_map(move |v| keys.iter().copied().zip(v).collect())
    });
    (select(NAMES.to_vec()), attributes, comment(), comment(), content)
        .prop_map(|(name, attributes, above, behind, content)| Node {
            name,
            attributes,
            above,
            behind,
            content,
        })
        .boxed()
}

fn layout() -> impl Strategy<Value = Layout> {
    (
        select(vec!["\n", "\r\n", ""]),
        select(vec!["  ", "\t", "    "]),
        select(vec!['\'', '"']),
        select(vec!["/>", " />"]),
    )
        .prop_map(|(newline, indent, quote, empty)| Layout {
            newline,
            indent,
            quote,
            empty,
        })
}

/// Generates a document and the layout that it has.
fn document() -> impl Strategy<Value = (Layout, String)> {
    (layout(), prop::collection::vec(node(), 0..5)).prop_map(
        |(layout, children)| {
            let uris = [("xmlns:x", "urn:x"), ("xmlns:q", QEMU_URI)];
            let root = Node {
                name: "domain",
                attributes: uris.map(|(n, uri)| (n, uri.to_owned())).into(),
                above: None,
                behind: None,
                content: Content::Children(children),
            };
            let mut out = String::new();
            root.write(&layout, 0, &mut out);
            (layout, out)
        },
    )
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&#60;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\r' | '\n' | '\t' => out.push_str(&format!("&#x{:x};", c as u32)),
            _ => out.push(c),
        }
    }
    out
}

impl Node {
    fn write(&self, layout: &Layout, depth: usize, out: &mut String) {
        let line = |depth| match layout.newline {
            "" => String::new(),
            newline => newline.to_owned() + &layout.indent.repeat(depth),
        };
        if depth > 0 {
            out.push_str(&line(depth));
        }
        if let Some(comment) = &self.above {
            out.push_str(&format!("<!--{comment}-->{}", line(depth)));
        }
        out.push_str(&format!("<{}", self.name));
        let quote = layout.quote;
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}={quote}{}{quote}", escape(value)));
        }
        match &self.content {
            Content::Text(text) if !text.is_empty() => {
                out.push_str(&format!(">{}</{}>", escape(text), self.name));
            }
            Content::Children(children) if !children.is_empty() => {
                out.push('>');
                for child in children {
                    child.write(layout, depth + 1, out);
                }
                out.push_str(&format!("{}</{}>", line(depth), self.name));
            }
            _ => out.push_str(layout.empty),
        }
        if let Some(comment) = &self.behind {
            out.push_str(&format!(" <!--{comment}-->"));
        }
    }
}

/// Returns the element that the number picks.
fn pick(document: &Document, number: prop::sample::Index) -> Element<'_> {
    let mut all = vec![document.root()];
    let mut next = 0;
    while let Some(element) = all.get(next).copied() {
        all.extend(element.children());
        next += 1;
    }
    *number.get(&all)
}

/// A path below some element: to a child, an attribute or a text, there or
/// not, with and without predicates.
fn below() -> impl Strategy<Value = String> {
    let step = select(vec![
        "",
        "/cputune",
        "/vcpupin[@vcpu='1']",
        "/cpu/numa/cell[@id=\"0\"]",
        "/vmtune:a",
        "/qemu:commandline",
        "/qemu:arg[1]",
        "/a",
        "/x:a[1]",
        "/vcpu",
        "/new[@a='&<']",
    ]);
    let leaf = select(vec!["", "/@cpuset", "/@vmtune:b", "/@id", "/text()"]);
    (step.clone(), step, leaf).prop_map(|(a, b, leaf)| format!("{a}{b}{leaf}"))
}

/// Returns a path without predicates as `says` has it.
fn expanded(pattern: &str) -> String {
    let pattern = pattern.strip_suffix("/text()").unwrap_or(pattern);
    pattern[1..]
        .replace("qemu:", &format!("{{{QEMU_URI}}}"))
        .replace("vmtune:", &format!("{{{VMTUNE_URI}}}"))
        .replace("x:", "{urn:x}")
}

/// Whether an element's source has nothing but blanks between its tags.
fn holds_blanks(source: &str) -> bool {
    let inside = source.split_once('>').map(|(_, rest)| rest);
    let inside = inside.and_then(|rest| rest.rsplit_once('<'));
    inside.is_some_and(|(text, _)| {
        !text.is_empty() && text.trim_ascii().is_empty()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_changes_without_an_edit((_, xml) in document()) {
        let document = Document::parse(&xml).unwrap();
        prop_assert_eq!(document.edit(&[]).unwrap(), xml);
    }

    /// One edit is made or refused; once made, its own path shows it.
    #[test]
    fn one_edit_holds(
        (_, xml) in document(),
        number in any::<prop::sample::Index>(),
        below in below(),
        value in value(),
        set in any::<bool>(),
    ) {
        let document = Document::parse(&xml).unwrap();
        let base = pick(&document, number).path();
        let target = format!("{base}{below}");
        // This one changes what its own predicate asks for.
        prop_assume!(!target.ends_with("[@id=\"0\"]/@id"));
        let edit = edit(&target, set.then_some(value.as_str()));
        let Ok(text) = document.edit(std::slice::from_ref(&edit)) else {
            return Ok(());
        };
        let after = Document::parse(&text).unwrap();
        let left = after.find_all(&edit.target).len();
        match (&edit.target.leaf, set) {
            (Leaf::Element, true) => prop_assert!(left > 0),
            (Leaf::Element, false) => {
                let before = document.find_all(&edit.target).len();
                prop_assert!(before <= 1);
                // Where siblings share the name, the next one moves up.
                prop_assert!(left == 0 || target.ends_with(']'));
            }
            (_, true) => {
                let there = after.value(&edit.target);
                prop_assert_eq!(there.as_deref(), Some(value.as_str()));
            }
            (_, false) => {
                let there = after.value(&edit.target);
                prop_assert!(there.is_none_or(|v| v.trim().is_empty()));
            }
        }
    }

    /// Several edits hold together: what they set is said afterwards, and
    /// all that was said is still said, but for the values that they change.
    #[test]
    fn several_edits_hold(
        (_, xml) in document(),
        wanted in prop::collection::vec(
            (any::<prop::sample::Index>(), below(), value()),
            2..6,
        ),
    ) {
        let document = Document::parse(&xml).unwrap();
        let mut edits: Vec<Edit> = Vec::new();
        for (number, below, value) in wanted {
            let base = pick(&document, number).path();
            edits.push(edit(&format!("{base}{below}"), Some(&value)));
            if document.edit(&edits).is_err() {
                edits.pop();
            }
        }
        let text = document.edit(&edits).unwrap();
        prop_assert_eq!(comments(&text), comments(&xml));
        let mut after = says(&text);
        let mut values = 0;
        for edit in &edits {
            let path = expanded(&edit.target.pattern());
            let value = edit.to.as_deref().unwrap_or_default();
            let line = match edit.target.leaf {
                Leaf::Element => path,
                Leaf::Text if value.trim().is_empty() => continue,
                Leaf::Text => format!("{path}={value:?}"),
                Leaf::Attribute(_) => format!("{path}={value:?}"),
            };
            prop_assert!(after.contains(&line), "{} in {}", line, text);
            values += usize::from(edit.target.leaf != Leaf::Element);
        }
        let mut lost = 0;
        for line in says(&xml) {
            match after.iter().position(|there| *there == line) {
                Some(at) => drop(after.swap_remove(at)),
                None => lost += 1,
            }
        }
        let blanks = edits.iter().filter(|e| e.target.leaf == Leaf::Text);
        prop_assert!(lost <= values + blanks.count(), "{} of {}", lost, text);
    }

    /// An attribute changes alone, whatever else the document holds.
    #[test]
    fn an_attribute_changes_alone(
        (_, xml) in document(),
        number in any::<prop::sample::Index>(),
        value in value(),
    ) {
        let document = Document::parse(&xml).unwrap();
        let element = pick(&document, number);
        let path = element.path();
        for (name, _) in element.attributes() {
            if name.starts_with("xmlns") {
                continue;
            }
            let wanted = edit(&format!("{path}/@{name}"), Some(&value));
            let text = document.edit(std::slice::from_ref(&wanted)).unwrap();
            let range = element.attribute_range(&name).unwrap();
            let tail = xml.len() - range.end;
            prop_assert_eq!(&text[..range.start], &xml[..range.start]);
            prop_assert_eq!(&text[text.len() - tail..], &xml[range.end..]);
            let after = Document::parse(&text).unwrap();
            let there = after.find(&path).unwrap().attribute(&name).unwrap();
            prop_assert_eq!(there, value.as_str());
        }
    }

    /// What is set where nothing was and removed again leaves no trace, but
    /// for the blanks of an element that held nothing else.
    #[test]
    fn set_and_remove_is_nothing(
        (_, xml) in document(),
        number in any::<prop::sample::Index>(),
        child in select(vec!["cputune", "vmtune:z", "qemu:z", "vcpu", "zz"]),
    ) {
        let document = Document::parse(&xml).unwrap();
        let element = pick(&document, number);
        prop_assume!(element.child(child).is_none());
        prop_assume!(!holds_blanks(element.source()));
        let target = format!("{}/{child}", element.path());
        let set = edit(&format!("{target}/vcpupin[@vcpu='2']/@cpuset"), Some("3"));
        let Ok(text) = document.edit(&[set]) else {
            prop_assert!(!element.text().is_empty());
            return Ok(());
        };
        prop_assert_eq!(says(&text).len(), says(&xml).len() + 4);
        prop_assert_eq!(edited(&text, &[edit(&target, None)]).unwrap(), xml);
    }

    /// A removed element takes what it says with it, and nothing more.
    #[test]
    fn removal_takes_one_element(
        (layout, xml) in document(),
        number in any::<prop::sample::Index>(),
    ) {
        let document = Document::parse(&xml).unwrap();
        let element = pick(&document, number);
        if element.parent().is_none() {
            return Ok(());
        }
        let path = element.path().to_string();
        let text = document.edit(&[edit(&path, None)]).unwrap();
        let inside = element.source().matches("<!--").count();
        prop_assert_eq!(comments(&text).len() + inside, comments(&xml).len());
        let lines = text.matches('\n').count();
        if layout.newline.is_empty() {
            prop_assert!(xml.len() - text.len() >= element.source().len() - 4);
        } else {
            prop_assert!(lines <= xml.matches('\n').count());
        }
    }

    /// No text makes the parser fail in another way than by an error, and
    /// what it takes roxmltree takes too.
    #[test]
    fn any_text_is_taken_or_refused(
        xml in "(<(a|b:c|/a|!--|\\?x|!\\[CDATA\\[)?|/?>|--|\\]\\]>| x='[&<;l]{0,3}'| xmlns:b='u'|[ -~]|&(lt|#9);|\u{feff}|\n){0,24}",
    ) {
        if let Ok(document) = Document::parse(&xml) {
            prop_assert_eq!(document.text(), &xml);
            let text = xml.strip_prefix('\u{feff}').unwrap_or(&xml);
            prop_assert!(roxmltree::Document::parse(text).is_ok());
        }
    }
}
