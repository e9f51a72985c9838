//! What a check has found, before the policy says how bad that is.

use super::vm::Vm;
use super::{Finding, Severity};
use crate::model::policy::{Level, Pins};

/// Something that is wrong with the VM at hand.
pub(super) struct Flaw {
    rule: &'static str,
    kind: Kind,
    line: Option<u32>,
    what: String,
    remedy: String,
}

/// How a flaw shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// libvirt or QEMU refuses it, or makes something else of it.
    Refused,
    /// The VM starts and breaks a hard rule of ours.
    Broken,
    /// The VM runs, and worse than it could.
    Slow,
}

/// Rules whose settings follow from the pins: where the policy keeps the
/// pins that are there, breaking these is the user's own choice.
const FOLLOW_PINS: [&str; 5] =
    ["vcpu-pin", "vcpu-topology", "emulator-pin", "iothread-pin", "numa-cells"];

impl Flaw {
    /// libvirt or QEMU refuses it, or makes something else of it.
    pub(super) fn refused(
        rule: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(rule, Kind::Refused, what.into(), remedy.into())
    }

    /// The VM starts and breaks a hard rule of ours.
    pub(super) fn broken(
        rule: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(rule, Kind::Broken, what.into(), remedy.into())
    }

    /// The VM runs, and worse than it could.
    pub(super) fn slow(
        rule: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(rule, Kind::Slow, what.into(), remedy.into())
    }

    fn new(
        rule: &'static str,
        kind: Kind,
        what: String,
        remedy: String,
    ) -> Self {
        Self { rule, kind, line: None, what, remedy }
    }

    /// Says on which line it is.
    pub(super) fn at(self, line: Option<u32>) -> Self {
        Self { line, ..self }
    }

    /// Makes it a mere disadvantage where that is so.
    pub(super) fn slow_if(self, condition: bool) -> Self {
        let kind = if condition { Kind::Slow } else { self.kind };
        Self { kind, ..self }
    }

    /// Weighs it under the VM's policy; `None` where that wants silence.
    pub(super) fn finding(self, vm: &Vm<'_>) -> Option<Finding> {
        let level = vm.policy.rules.get(self.rule).copied();
        let kept = vm.policy.cpu.pins == Pins::Keep
            && FOLLOW_PINS.contains(&self.rule);
        let severity = match (self.kind, level.unwrap_or_default()) {
            (Kind::Refused, _) => Severity::Error,
            (_, Level::Off) => return None,
            (Kind::Broken, Level::Plan) if !kept => Severity::Error,
            (Kind::Broken | Kind::Slow, _) => Severity::Warning,
        };
        Some(Finding {
            vm: vm.name().to_owned(),
            rule: self.rule,
            severity,
            refused: self.kind == Kind::Refused,
            line: self.line,
            what: self.what,
            remedy: self.remedy,
        })
    }
}
