//! Namespaces: which prefix means what, where.

use std::borrow::Cow;
use std::collections::HashMap;

/// libvirt's namespace for what it hands to QEMU.
pub const QEMU_URI: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// Our own namespace, for what we leave in a definition's metadata. It is a
/// name and no address: nobody has to keep a page there.
pub const VMTUNE_URI: &str = "urn:vmtune:domain:1";

const XML_URI: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_URI: &str = "http://www.w3.org/2000/xmlns/";

/// A namespace by number: equal numbers are equal URIs within a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Space(u32);

impl Space {
    /// No namespace: where libvirt's own elements are.
    pub(super) const NONE: Self = Self(0);
    pub(super) const QEMU: Self = Self(1);
    pub(super) const VMTUNE: Self = Self(2);
    /// What the prefix `xml` is bound to.
    pub(super) const XML: Self = Self(3);
    /// Namespace declarations themselves.
    pub(super) const XMLNS: Self = Self(4);
    /// The first number for URIs that mean nothing to us.
    const OTHER: u32 = 5;

    /// Returns the namespace that a path's prefix stands for.
    pub(super) fn of_path_prefix(prefix: &str) -> Option<Self> {
        match prefix {
            "qemu" => Some(Self::QEMU),
            "vmtune" => Some(Self::VMTUNE),
            _ => None,
        }
    }

    /// Returns the prefix that paths use for a namespace.
    pub(super) fn path_prefix(self) -> Option<&'static str> {
        match self {
            Self::QEMU => Some("qemu"),
            Self::VMTUNE => Some("vmtune"),
            _ => None,
        }
    }

    /// Returns the URI of a namespace that paths have a prefix for.
    pub(super) fn uri(self) -> Option<&'static str> {
        match self {
            Self::QEMU => Some(QEMU_URI),
            Self::VMTUNE => Some(VMTUNE_URI),
            _ => None,
        }
    }
}

/// Splits a written name into prefix and local name.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// Returns the prefix that an attribute of this name declares; empty for
/// the default namespace.
pub(super) fn declared_prefix(attribute: &str) -> Option<&str> {
    match split(attribute) {
        ("xmlns", prefix) => Some(prefix),
        ("", "xmlns") => Some(""),
        _ => None,
    }
}

/// Returns whether a path's name means the thing of this written name.
///
/// A name without a prefix means no namespace, and never the document's
/// default one. A prefix other than `qemu` and `vmtune` is taken as written.
pub(super) fn matches(path_name: &str, written: &str, space: Space) -> bool {
    let (prefix, local) = split(path_name);
    match Space::of_path_prefix(prefix) {
        Some(wanted) => space == wanted && split(written).1 == local,
        None if prefix.is_empty() => {
            written == path_name && matches!(space, Space::NONE | Space::XMLNS)
        }
        None => written == path_name,
    }
}

/// Returns the name that paths use for the thing of this written name.
pub(super) fn path_name(written: &str, space: Space) -> Cow<'_, str> {
    let (prefix, local) = split(written);
    match space.path_prefix() {
        Some(wanted) if wanted != prefix => {
            Cow::Owned(format!("{wanted}:{local}"))
        }
        _ => Cow::Borrowed(written),
    }
}

/// The bindings at one point of the parse.
#[derive(Default)]
pub(super) struct Scope<'t> {
    /// What each prefix is bound to, the innermost last.
    bound: HashMap<&'t str, Vec<Space>>,
    /// The prefixes in the order in which they were bound.
    order: Vec<&'t str>,
    /// The numbers of URIs that mean nothing to us.
    others: HashMap<String, Space>,
}

impl<'t> Scope<'t> {
    /// Binds a prefix; returns whether XML allows that.
    pub(super) fn bind(&mut self, prefix: &'t str, uri: &str) -> bool {
        let allowed = match (prefix, uri) {
            ("xml", XML_URI) => return true,
            ("xml" | "xmlns", _) | (_, XML_URI | XMLNS_URI) => false,
            ("", _) => true,
            (_, "") => false,
            _ => true,
        };
        if allowed {
            let space = self.number(uri);
            self.bound.entry(prefix).or_default().push(space);
            self.order.push(prefix);
        }
        allowed
    }

    /// Returns a point to go back to with [`Scope::leave`].
    pub(super) fn mark(&self) -> usize {
        self.order.len()
    }

    /// Forgets what was bound since the mark.
    pub(super) fn leave(&mut self, mark: usize) {
        for prefix in self.order.drain(mark..) {
            if let Some(spaces) = self.bound.get_mut(prefix) {
                spaces.pop();
            }
        }
    }

    /// Returns what an element's prefix means.
    pub(super) fn element(&self, prefix: &str) -> Option<Space> {
        match prefix {
            "xml" => Some(Space::XML),
            "" => Some(self.innermost("").unwrap_or(Space::NONE)),
            _ => self.innermost(prefix),
        }
    }

    /// Returns what an attribute's prefix means; without one there is no
    /// namespace, whatever the default is.
    pub(super) fn attribute(&self, prefix: &str) -> Option<Space> {
        if prefix.is_empty() {
            return Some(Space::NONE);
        }
        self.element(prefix)
    }

    fn innermost(&self, prefix: &str) -> Option<Space> {
        self.bound.get(prefix)?.last().copied()
    }

    fn number(&mut self, uri: &str) -> Space {
        match uri {
            "" => Space::NONE,
            QEMU_URI => Space::QEMU,
            VMTUNE_URI => Space::VMTUNE,
            _ => {
                let next = Space::OTHER.saturating_add(
                    u32::try_from(self.others.len()).unwrap_or(u32::MAX),
                );
                if let Some(space) = self.others.get(uri) {
                    return *space;
                }
                self.others.insert(uri.to_owned(), Space(next));
                Space(next)
            }
        }
    }
}
