//! Any text is a document or refused; a document survives being edited.
//!
//! The input is a document, or lines of edits, a NUL and a document. A line
//! is `path`, which removes, or `path value`, which sets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmtune::base::Leaf;
use vmtune::definition::redact;
use vmtune::definition::xml::{Document, Edit, Element};

fuzz_target!(|input: &str| {
    let (edits, xml) = input.split_once('\0').unwrap_or(("", input));
    let Ok(document) = Document::parse(xml) else { return };
    assert_eq!(document.edit(&[]).as_deref(), Ok(xml));
    let well_formed = |text: &str| {
        // roxmltree takes a document type only on request, and takes a
        // byte-order mark as text.
        let options =
            roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let parsed = roxmltree::Document::parse_with_options(text, options);
        assert!(parsed.is_ok(), "{parsed:?}");
    };
    well_formed(xml);
    redact(xml).expect("a document");
    for element in some(&document) {
        change(&document, element, well_formed);
    }
    let mut accepted = Vec::new();
    for line in edits.lines().take(8) {
        let (path, to) = match line.split_once(' ') {
            Some((path, value)) => (path, Some(value.to_owned())),
            None => (line, None),
        };
        let Ok(target) = path.parse() else { continue };
        accepted.push(Edit { target, to });
        match document.edit(&accepted) {
            Ok(text) => well_formed(&text),
            Err(_) => drop(accepted.pop()),
        }
    }
    // One edit at a time, so that a position means what it says.
    for edit in &accepted {
        if let Ok(text) = document.edit(std::slice::from_ref(edit)) {
            holds(&document, edit, &text);
        }
    }
});

/// Returns the first elements of a document.
fn some(document: &Document) -> Vec<Element<'_>> {
    let mut all = vec![document.root()];
    let mut next = 0;
    while let Some(element) = all.get(next).copied()
        && all.len() < 6
    {
        all.extend(element.children().take(3));
        next += 1;
    }
    all
}

/// Sets and removes what an element has and what it has not.
fn change(
    document: &Document,
    element: Element<'_>,
    well_formed: impl Fn(&str),
) {
    let path = element.path();
    if document.find(&path).is_none() {
        // In a default namespace that paths have no name for.
        return;
    }
    let set = |leaf, to: Option<&str>| {
        let mut target = path.clone();
        target.leaf = leaf;
        Edit { target, to: to.map(Into::into) }
    };
    for value in ["", "a'\"<&>]]>\t\r\n"] {
        for (name, _) in element.attributes().take(4) {
            let edit = set(Leaf::Attribute(name.into_owned()), Some(value));
            if let Ok(text) = document.edit(std::slice::from_ref(&edit)) {
                well_formed(&text);
                holds(document, &edit, &text);
            }
        }
        let edit = set(Leaf::Text, Some(value));
        if let Ok(text) = document.edit(std::slice::from_ref(&edit)) {
            well_formed(&text);
            holds(document, &edit, &text);
        }
    }
    if element.parent().is_some() {
        let text = document.edit(&[set(Leaf::Element, None)]);
        well_formed(&text.expect("any element but the root can go"));
    }
    for name in ["cputune", "qemu:x", "vmtune:x"] {
        if element.child(name).is_some() {
            continue;
        }
        let mut target = path.clone();
        let step = format!("/a/{name}/b/@qemu:c");
        let step: vmtune::base::XmlPath = step.parse().expect("a path");
        target.steps.extend(step.steps.into_iter().skip(1));
        target.leaf = step.leaf;
        let edit = Edit { target, to: Some("x".into()) };
        let Ok(text) = document.edit(std::slice::from_ref(&edit)) else {
            continue;
        };
        well_formed(&text);
        holds(document, &edit, &text);
        let mut target = edit.target;
        target.steps.pop();
        target.leaf = Leaf::Element;
        let edited = Document::parse(&text).expect("what we wrote");
        let back = edited.edit(&[Edit { target, to: None }]);
        let back = back.expect("what was added can go");
        let closed = element.source().ends_with("/>");
        if element.children().next().is_some() {
            assert_eq!(back, document.text());
        } else if closed {
            // The blanks before `/>` follow the document's custom.
            assert_eq!(tight(&back), tight(document.text()));
        }
    }
}

/// Takes the blanks before every `/>` away.
fn tight(text: &str) -> String {
    let mut parts = text.split("/>").peekable();
    let mut tight = String::new();
    while let Some(part) = parts.next() {
        match parts.peek() {
            Some(_) => tight += &format!("{}/>", part.trim_ascii_end()),
            None => tight += part,
        }
    }
    tight
}

/// Asserts that a document has what one edit wanted.
fn holds(before: &Document, edit: &Edit, text: &str) {
    let after = Document::parse(text).expect("what we wrote");
    let there = after.value(&edit.target);
    // An edit may change what its own path asks for.
    let asks = |name: &str| {
        let steps = edit.target.steps.iter();
        steps.flat_map(|step| &step.predicates).any(|predicate| {
            matches!(predicate,
                vmtune::base::Predicate::Attribute(n, _) if n == name)
        })
    };
    match (&edit.target.leaf, &edit.to) {
        (Leaf::Attribute(name), Some(value)) if !asks(name) => {
            assert_eq!(there.as_deref(), Some(value.as_str()));
        }
        (Leaf::Attribute(name), None) if !asks(name) => {
            assert_eq!(there, None);
        }
        (Leaf::Text, Some(value)) => {
            assert_eq!(there.as_deref(), Some(value.as_str()));
        }
        (Leaf::Element, Some(_)) => assert!(there.is_some()),
        (Leaf::Element, None) => {
            let count = |d: &Document| d.find_all(&edit.target).len();
            assert!(count(before) <= 1);
        }
        _ => {}
    }
}
