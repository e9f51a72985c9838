//! Policy files: TOML laid over a preset.
//!
//! A file is first read alone, so that an error can name its line; then its
//! tables are laid over the preset's, so that a key that it does not set
//! keeps the preset's value and not the type's default.

mod error;
mod presets;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

pub use error::PolicyError;
pub use presets::{PRESETS, Preset, preset};

use crate::model::policy::Policy;

/// Reads a policy file. `file` names it in errors; `rules` are the ids that
/// `[rules]` may name.
///
/// # Errors
/// At the first key or value that is not one, with its line and what was
/// probably meant.
pub fn read(
    text: &str,
    file: &str,
    rules: &[&str],
) -> Result<Policy, PolicyError> {
    let fault = |e: &toml::de::Error| PolicyError::of_toml(file, text, e);
    let policy: Policy = toml::from_str(text).map_err(|e| fault(&e))?;
    let spans = DeTable::parse(text).map_err(|e| fault(&e))?;
    let at = |span: std::ops::Range<usize>| error::line(text, span.start);
    let preset = presets::text(&policy.preset).ok_or_else(|| {
        let line = spans.get_ref().get("preset").map(|v| at(v.span()));
        let known = PRESETS.iter().map(|p| p.name);
        PolicyError::unknown(file, line, "preset", &policy.preset, known)
    })?;
    for key in rule_keys(spans.get_ref()) {
        let (name, line) = (key.get_ref(), Some(at(key.span())));
        if !rules.contains(&name.as_ref()) {
            let known = rules.iter().copied();
            return Err(PolicyError::unknown(file, line, "rule", name, known));
        }
    }
    let mut merged: Table = toml::from_str(preset).map_err(|e| fault(&e))?;
    let own: Table = toml::from_str(text).map_err(|e| fault(&e))?;
    lay_over(&mut merged, own);
    Policy::deserialize(merged).map_err(|e| fault(&e))
}

/// Returns the keys of `[rules]` and of each `[vm.NAME.rules]`.
fn rule_keys<'a>(
    root: &'a DeTable<'a>,
) -> Vec<&'a Spanned<std::borrow::Cow<'a, str>>> {
    let table = |table: &'a DeTable<'a>, key: &str| {
        table.get(key).and_then(|value| match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        })
    };
    let vms = table(root, "vm").into_iter().flat_map(|vms| vms.values());
    let vms = vms.filter_map(|vm| vm.get_ref().as_table());
    std::iter::once(root)
        .chain(vms)
        .filter_map(|owner| table(owner, "rules"))
        .flat_map(|rules| rules.keys())
        .collect()
}

/// Lays one table over another, table by table down to the values.
fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => {
                lay_over(under, over);
            }
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::{Emulator, Isolation, Level, Smt};

    const RULES: &[&str] = &["hugepages", "vcpu-pin"];

    fn fault(text: &str) -> String {
        read(text, "p.toml", RULES).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_laid_over_the_preset() {
        let text = "preset = 'latency'\n[cpu]\nsmt = 'any'\n\
                    [rules]\nhugepages = 'off'\n[vm.a]\nthreads = 1";
        let policy = read(text, "p.toml", RULES).unwrap();
        assert_eq!(policy.cpu.smt, Smt::Any);
        assert_eq!(policy.cpu.emulator, Emulator::Dedicated);
        assert_eq!(policy.cpu.isolation, Isolation::Kernel);
        assert_eq!(policy.rules["hugepages"], Level::Off);
        assert_eq!(policy.vm["a"].threads, Some(1));
    }

    #[test]
    fn an_empty_file_is_the_default_preset() {
        assert_eq!(read("", "p.toml", RULES), Ok(Policy::default()));
    }

    #[test]
    fn rules_are_known_by_id() {
        insta::assert_snapshot!(
            fault("[vm.a]\n[vm.a.rules]\nhugpages = 'off'"),
            @r#"p.toml, line 3: there is no rule "hugpages"; did you mean "hugepages"?"#
        );
    }
}
