//! What the tests of the XML editor share: edits as text, and roxmltree as a
//! second opinion on what a document says.

use vmtune::definition::xml::{Document, Edit, EditError};

/// Makes an edit of a path and a value.
pub fn edit(target: &str, to: Option<&str>) -> Edit {
    Edit { target: target.parse().unwrap(), to: to.map(Into::into) }
}

/// Parses a text and edits it.
pub fn edited(xml: &str, edits: &[Edit]) -> Result<String, EditError> {
    Document::parse(xml).unwrap().edit(edits)
}

/// Returns all that a document says, one line for each element, attribute
/// and text, without order and layout.
pub fn says(xml: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(xml).unwrap();
    let mut lines = Vec::new();
    for node in document.descendants().filter(|node| node.is_element()) {
        let mut names: Vec<_> = node
            .ancestors()
            .filter(|node| node.is_element())
            .map(|node| {
                name(node.tag_name().namespace(), node.tag_name().name())
            })
            .collect();
        names.reverse();
        let path = names.join("/");
        for attribute in node.attributes() {
            let name = name(attribute.namespace(), attribute.name());
            lines.push(format!("{path}/@{name}={:?}", attribute.value()));
        }
        let texts = node.children().filter(|child| child.is_text());
        let text: String = texts.filter_map(|text| text.text()).collect();
        if !text.trim().is_empty() {
            lines.push(format!("{path}={text:?}"));
        }
        lines.push(path);
    }
    lines.sort();
    lines
}

fn name(namespace: Option<&str>, local: &str) -> String {
    match namespace {
        Some(uri) => format!("{{{uri}}}{local}"),
        None => local.to_owned(),
    }
}

/// Returns the comments of a document in order.
pub fn comments(xml: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(xml).unwrap();
    let comments = document.descendants().filter(|node| node.is_comment());
    comments.filter_map(|node| node.text().map(Into::into)).collect()
}
