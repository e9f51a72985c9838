//! `-cpu` among the arguments of `<qemu:commandline>`.

use super::Domain;

/// A `-cpu` argument: `host,l3-cache=on,+invtsc`. QEMU uses the last one, and
/// libvirt's own comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuArgument {
    /// The text after `-cpu`.
    pub text: String,
    /// The CPU model, as `host`.
    pub model: String,
    /// The properties, each with its value: `on` and `off` where it has none
    /// or another word for them, and dashes for underscores.
    pub properties: Vec<(String, String)>,
    /// Positions among the arguments of all `-cpu`s and their texts, counted
    /// from 1, rising.
    pub positions: Vec<usize>,
}

impl CpuArgument {
    /// Returns the argument that counts; none where there is none.
    #[must_use]
    pub fn of(domain: &Domain) -> Option<Self> {
        let mut positions = Vec::new();
        let mut last = None;
        let mut arguments = domain.qemu_arguments.iter().enumerate();
        while let Some((index, argument)) = arguments.next() {
            if argument == "-cpu" || argument == "--cpu" {
                last = arguments.next();
                positions.push(index + 1);
                positions.extend(last.map(|(index, _)| index + 1));
            }
        }
        let (_, text) = last?;
        let mut words = text.split(',');
        let model = words.next()?.to_owned();
        let properties = words.map(property).collect();
        Some(Self { text: text.clone(), model, properties, positions })
    }
}

fn property(word: &str) -> (String, String) {
    let (name, value) = match (word.split_at_checked(1), word.split_once('=')) {
        (Some(("+", name)), _) => (name, "on"),
        (Some(("-", name)), _) => (name, "off"),
        (_, Some((name, value))) => (name, value),
        _ => (word, "on"),
    };
    let value = match value {
        "yes" | "true" | "y" => "on",
        "no" | "false" | "n" => "off",
        other => other,
    };
    (name.replace('_', "-"), value.to_owned())
}
