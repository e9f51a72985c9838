//! The presets that every policy starts from.

use crate::model::policy::Policy;

/// A named policy that comes with vmtune.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name, as `preset = "…"` and `--policy` take it.
    pub name: &'static str,
    /// Its file: the keys, and comments that say what they trade.
    pub text: &'static str,
}

/// All presets, the default first.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "balanced",
        text: include_str!("../../templates/policy/balanced.toml"),
    },
    Preset {
        name: "latency",
        text: include_str!("../../templates/policy/latency.toml"),
    },
    Preset {
        name: "throughput",
        text: include_str!("../../templates/policy/throughput.toml"),
    },
    Preset {
        name: "security",
        text: include_str!("../../templates/policy/security.toml"),
    },
];

/// Returns a preset by name.
#[must_use]
pub fn preset(name: &str) -> Option<Policy> {
    toml::from_str(text(name)?).ok()
}

/// Returns the file of a preset.
pub(super) fn text(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|p| p.name == name).map(|p| p.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_policies_and_name_themselves() {
        for p in PRESETS {
            let policy = preset(p.name).expect(p.name);
            assert_eq!(policy.preset, p.name);
        }
    }

    #[test]
    fn balanced_is_the_default() {
        assert_eq!(preset("balanced"), Some(Policy::default()));
    }
}
