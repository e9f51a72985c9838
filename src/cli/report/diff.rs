//! Unified diffs of definitions and files.

use similar::TextDiff;

use super::page::{BAD, BOLD, GOOD, KEY, PLAIN};
use crate::base::HostPath;

/// Lines of context, as `diff -u` gives.
const CONTEXT: usize = 3;

/// Returns the unified diff from one text of a file of this name to another,
/// in colour; empty where they are equal.
#[must_use]
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let names = [format!("a/{name}"), format!("b/{name}")];
    coloured(&names, old, new)
}

/// Returns the unified diff of a file of the host, which may be new or go.
#[must_use]
pub fn unified_file(
    path: &HostPath,
    old: Option<&str>,
    new: Option<&str>,
) -> String {
    let name = |side: &str, text: Option<&str>| match text {
        Some(_) => format!("{side}{path}"),
        None => "/dev/null".to_owned(),
    };
    let names = [name("a", old), name("b", new)];
    coloured(&names, old.unwrap_or_default(), new.unwrap_or_default())
}

fn coloured([before, after]: &[String; 2], old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(before, after)
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
        let diff = unified("vm1.xml", "<a>\n<b/>\n</a>", "<a>\n<c/>\n</a>");
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
        assert_eq!(unified("vm1.xml", "<a/>", "<a/>"), "");
    }

    #[test]
    fn files_come_from_nowhere_or_go_there() {
        let path = "/etc/tmpfiles.d/a.conf".parse().unwrap();
        let diff = |old, new| {
            let text = unified_file(&path, old, new);
            let plain = anstream::adapter::strip_str(&text).to_string();
            plain.lines().take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let (old, new) = (Some("w a\n"), Some("w b\n"));
        let [a, b] =
            ["--- a/etc/tmpfiles.d/a.conf", "+++ b/etc/tmpfiles.d/a.conf"];
        assert_eq!(diff(old, new), [a, b]);
        assert_eq!(diff(None, new), ["--- /dev/null", b]);
        assert_eq!(diff(old, None), [a, "+++ /dev/null"]);
    }
}
