//! What holds for all definitions of a kind.

use proptest::prelude::*;

use super::fixture::{Case, Error, GOOD, OTHER};

/// Moves the pin of one vCPU of the good VM.
fn moved(vcpu: usize, cpu: u32) -> Option<String> {
    let own = [2, 18, 3, 19, 9, 25, 10, 26][vcpu];
    let pin = |cpu| format!("vcpu='{vcpu}' cpuset='{cpu}'");
    (own != cpu).then(|| GOOD.replace(&pin(own), &pin(cpu)))
}

proptest! {
    /// Each thread of the good VM has one CPU where it may be.
    #[test]
    fn any_other_pin_is_an_error(vcpu in 0_usize..8, cpu in 0_u32..40) {
        let Some(text) = moved(vcpu, cpu) else { return Ok(()) };
        let findings = Case::of(&text).findings();
        prop_assert!(findings.iter().any(|f| f.severity == Error));
    }

    /// Whole cores may be swapped within a node.
    #[test]
    fn cores_of_a_node_are_alike(first in 1_u32..8, second in 1_u32..8) {
        prop_assume!(first != second);
        // An L3 that is shared unevenly is no fault of the definition.
        let text = GOOD
            .replace("'2'/>", &format!("'{first}'/>"))
            .replace("'18'/>", &format!("'{}'/>", first + 16))
            .replace("'3'/>", &format!("'{second}'/>"))
            .replace("'19'/>", &format!("'{}'/>", second + 16));
        let errors = Case::of(&text).findings();
        prop_assert!(errors.iter().all(|f| f.severity != Error), "{errors:?}");
    }

    /// What is judged together does not depend on the order.
    #[test]
    fn order_does_not_matter(a in 0_u32..32, b in 0_u32..32) {
        let other = OTHER
            .replace("'13'", &format!("'{a}'"))
            .replace("'29'", &format!("'{b}'"));
        let one = Case::good().beside(&other).findings();
        let two = Case::of(&other).beside(GOOD).findings();
        prop_assert_eq!(one, two);
    }
}
