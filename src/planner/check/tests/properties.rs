//! What holds for all definitions of a kind.

use proptest::prelude::*;

use super::fixture::{Case, Error, GOOD, OTHER};

/// The CPUs of the good VM, by vCPU.
const CPUS: [u32; 8] = [2, 18, 3, 19, 9, 25, 10, 26];

/// Returns the good VM with other pins.
fn pinned(cpus: [u32; 8]) -> String {
    let pin = |vcpu, cpu| format!("vcpu='{vcpu}' cpuset='{cpu}'");
    (0..8).fold(GOOD.to_owned(), |text, vcpu| {
        text.replace(&pin(vcpu, CPUS[vcpu]), &pin(vcpu, cpus[vcpu]))
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Each vCPU of the good VM has one CPU where it may be.
    #[test]
    fn any_other_pin_is_an_error(vcpu in 0_usize..8, cpu in 0_u32..40) {
        let mut cpus = CPUS;
        cpus[vcpu] = cpu;
        let findings = Case::of(&pinned(cpus)).findings();
        let faulted = findings.iter().any(|f| f.severity == Error);
        prop_assert_eq!(faulted, cpus != CPUS, "{:?}", findings);
    }

    /// The cores of a node are alike.
    #[test]
    fn any_other_cores_of_the_node_will_do(a in 1_u32..8, b in 1_u32..8) {
        prop_assume!(a != b);
        let cpus = [a, a + 16, b, b + 16, 9, 25, 10, 26];
        let findings = Case::of(&pinned(cpus)).findings();
        let faulted = findings.iter().any(|f| f.severity == Error);
        prop_assert!(!faulted, "{:?}", findings);
    }

    /// Who takes a CPU from whom does not depend on the order.
    #[test]
    fn order_does_not_matter_to_pins(a in 0_u32..32, b in 0_u32..32) {
        let other = OTHER
            .replace("'13'", &format!("'{a}'"))
            .replace("'29'", &format!("'{b}'"));
        let one = Case::good().beside(&other).findings();
        let two = Case::of(&other).beside(GOOD).findings();
        prop_assert_eq!(one, two);
    }
}
