//! The balloon, as Proxmox has it: `balloon: 0` for none.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};
use super::{NOT_PINNED, reason};

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    let Some(because) = reason(cx) else {
        return Verdict::NotApplicable(NOT_PINNED);
    };
    let edits = vec![Edit::set(key("balloon"), "0", because)];
    Verdict::Change { edits, advice: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Case;
    use super::super::RULE;

    #[test]
    fn pinned_memory_has_no_balloon() {
        let mut case = Case::plain().proxmox();
        assert!(case.edits(&RULE).is_empty());
        case.pass("0000:c1:00.2", Some(0));
        assert_eq!(case.edits(&RULE), ["balloon = 0"]);
    }
}
