//! Unified diffs of definitions.

use similar::TextDiff;

use super::page::{BAD, BOLD, GOOD, KEY, PLAIN};

/// Lines of context, as `diff -u` gives.
const CONTEXT: usize = 3;

/// Returns the unified diff from one definition to another, in colour; empty
/// where they are equal.
#[must_use]
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&format!("a/{name}.xml"), &format!("b/{name}.xml"))
        .to_string();
    let mut text = String::with_capacity(diff.len());
    for line in diff.split_inclusive('\n') {
        let style = match line.as_bytes() {
            [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => BOLD,
            [b'@', ..] => KEY,
            [b'-', ..] => BAD,
            [b'+', ..] => GOOD,
            _ => PLAIN,
        };
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        text += &format!("{style}{line}{style:#}{end}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diffs_can_be_patched_with() {
        let diff = unified("vm1", "<a>\n<b/>\n</a>", "<a>\n<c/>\n</a>");
        let plain = anstream::adapter::strip_str(&diff).to_string();
        insta::assert_snapshot!(plain, @r"
        --- a/vm1.xml
        +++ b/vm1.xml
        @@ -1,3 +1,3 @@
         <a>
        -<b/>
        +<c/>
         </a>
        \ No newline at end of file
        ");
        assert_eq!(unified("vm1", "<a/>", "<a/>"), "");
    }
}
