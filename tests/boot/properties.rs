//! GRUB's settings that nobody would write: nothing but what is wanted
//! changes, and what is taken away leaves no trace.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use vmtune::boot::{self, ArgumentEdit, BootError, Form};

use crate::shells::{of_line, sourced};
use crate::{edited, remove, set};

const NAMES: [&str; 2] = ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"];

/// Words that are on command lines.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec![
            "quiet", "ro", "isolcpus=1", "nohz_full=1-3", "hugepagesz=1G",
            "hugepages=4", "hugepagesz=2M", "default_hugepagesz=1G",
            "a=\"b c\"", "\"d=e f\"", "console=tty0", "nohz-full=2", "x=",
        ]).prop_map(str::to_owned),
        1 => Just("--".to_owned()),
        1 => "[a-z#~=\"!]{1,4}",
    ]
}

/// A command line before it is quoted.
fn line() -> impl Strategy<Value = String> {
    let blank = select(vec![" ", "  ", "\t", " \n"]);
    let part = (word(), blank).prop_map(|(word, blank)| word + blank);
    (select(vec!["", " "]), prop::collection::vec(part, 0..5), any::<bool>())
        .prop_map(|(first, parts, trim)| {
            let line = first.to_owned() + &parts.concat();
            if trim { line.trim_end().to_owned() } else { line }
        })
}

/// Puts a text into a script.
fn quoted(text: &str, how: usize) -> String {
    let escape = |special: &str, text: &str| {
        let mut out = String::new();
        for c in text.chars() {
            if special.contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    match how {
        0 => format!("\"{}\"", escape("$`\"\\", text)),
        1 => format!("'{text}'"),
        2 if !text.contains('\n') => escape(" \t\"#$~!`;&|<>()'\\", text),
        3 => {
            let half = text.char_indices().nth(text.chars().count() / 2);
            let half = half.map_or(0, |(at, _)| at);
            let (first, second) = text.split_at(half);
            format!("'{first}'\"{}\"", escape("$`\"\\", second))
        }
        4 => {
            let text = escape("$`\"\\", text);
            let at = text.find(' ').unwrap_or(0);
            format!("\"{}\\\n{}\"", &text[..at], &text[at..])
        }
        _ => format!("\"\"'{text}'"),
    }
}

/// An assignment to one of the two variables.
fn assignment() -> impl Strategy<Value = String> {
    let refer = select(vec!["", "", "\"$V \"", "$V", "\"${L} \""]);
    (
        select(NAMES.to_vec()),
        refer,
        line(),
        0_usize..6,
        select(vec!["", " # x"]),
    )
        .prop_map(|(name, refer, line, how, end)| {
            let refer = refer.replace('L', NAMES[0]).replace('V', name);
            format!("{name}={refer}{}{end}", quoted(&line, how))
        })
}

fn other() -> impl Strategy<Value = String> {
    select(vec![
        "",
        "# GRUB_CMDLINE_LINUX=\"x\"",
        "GRUB_TIMEOUT=5",
        "X=`echo \"it's\"`",
        "X=\"$(echo ')')\"",
        "if [ -e / ]; then X=1; fi",
        "echo GRUB_CMDLINE_LINUX=x >/dev/null",
        "  export GRUB_CMDLINE_LINUX",
        "GRUB_DEFAULT='a>b'; Y=\\\n",
    ])
    .prop_map(str::to_owned)
}

/// A script, and whether it ends with the end of a line.
fn script() -> impl Strategy<Value = String> {
    let part = prop_oneof![2 => assignment(), 1 => other()];
    (prop::collection::vec(part, 0..6), any::<bool>())
        .prop_map(|(parts, end)| parts.join("\n") + if end { "\n" } else { "" })
}

fn edit() -> impl Strategy<Value = ArgumentEdit> {
    let name = select(vec![
        "isolcpus",
        "nohz_full",
        "quiet",
        "a",
        "d",
        "new",
        "hugepagesz=1G",
        "hugepagesz=2M",
        "default_hugepagesz",
        "x",
        "console",
    ]);
    let to = select(vec![None, Some("2-3"), Some("b c"), Some("1G"), Some("")]);
    (name, to).prop_map(|(name, to)| match to {
        Some(to) => set(name, to),
        None => remove(name),
    })
}

/// Returns what a shell makes of a script.
fn by_shell(folder: &Path, text: &str) -> Vec<(String, String)> {
    let file = folder.join("grub");
    std::fs::write(&file, text).unwrap();
    of_line(&sourced("sh", &[&file]).expect("a shell"))
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What is added and taken away again leaves the bytes that were there.
    #[test]
    fn added_and_removed_is_nothing(
        text in script(),
        names in prop::sample::subsequence(
            vec!["new", "rcu_nocbs", "hugepagesz=16M", "z.y"], 1..4),
        value in select(vec!["1", "2-3,5", "b c"]),
    ) {
        let add: Vec<_> = names.iter().map(|name| set(name, value)).collect();
        let after = match edited(Form::Grub, &text, &add) {
            Ok(after) => after,
            Err(
                BootError::Unclosed
                | BootError::Sizeless(_)
                | BootError::Shared(_)
                | BootError::NotUnderstood { .. },
            ) => return Ok(()),
            Err(other) => {
                prop_assert!(false, "{}: {}", text, other);
                return Ok(());
            }
        };
        let mut there = names.clone();
        for _ in 0..names.len() {
            let gone: Vec<_> = there.iter().map(|name| remove(name)).collect();
            let back = edited(Form::Grub, &after, &gone);
            prop_assert_eq!(back.as_ref(), Ok(&text), "{}", after);
            there.rotate_left(1);
        }
    }

    /// A command line by itself is edited as one in a script.
    #[test]
    fn a_command_line_is_edited_alone(line in line(), edit in edit()) {
        let line = line.replace('\n', " ");
        let edits = [edit.clone()];
        let Ok(after) = edited(Form::CommandLine, &line, &edits) else {
            return Ok(());
        };
        let again = edited(Form::CommandLine, &after, &edits);
        prop_assert_eq!(again, Ok(after.clone()));
        let absent = boot::arguments(Form::CommandLine, &line).unwrap();
        if boot::value(&absent, &edit.name).is_none() {
            let gone = [remove(&edit.name)];
            let back = edited(Form::CommandLine, &after, &gone);
            prop_assert_eq!(back, Ok(line));
        }
    }

    /// Any text is read or refused, and what is read is edited or refused.
    #[test]
    fn any_text_is_taken_or_refused(
        text in "(GRUB_CMDLINE_LINUX(_DEFAULT)?[+]?=|[\"'`$\\\\#{}();&|<> \n~=-]|if |fi|case|\\$\\(|\\$\\{|a|é|\t|quiet|hugepages(z)?=)*",
    ) {
        for form in [Form::Grub, Form::CommandLine, Form::Entry] {
            let edits = [set("new", "1")];
            let Ok(after) = edited(form, &text, &edits) else { continue };
            let back = edited(form, &after, &[remove("new")]);
            prop_assert_eq!(back.as_ref(), Ok(&text));
        }
        let _menu = boot::generated(&text, Some(&text));
    }
}

proptest! {
    // Each case starts shells.
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: ProptestConfig::default().cases / 8,
        ..ProptestConfig::default()
    })]

    /// An edit holds, for a shell too; made again it changes nothing; and no
    /// other argument, comment or line is touched.
    #[test]
    fn an_edit_holds_alone(text in script(), edit in edit()) {
        let edits = [edit.clone()];
        let Ok(after) = edited(Form::Grub, &text, &edits) else {
            return Ok(());
        };
        prop_assert_eq!(edited(Form::Grub, &after, &edits), Ok(after.clone()));
        let folder = tempfile::tempdir().unwrap();
        let before = by_shell(folder.path(), &text);
        let found = by_shell(folder.path(), &after);
        prop_assert_eq!(boot::value(&found, &edit.name), edit.to.as_deref());
        let others = |all: &[(String, String)]| -> Vec<_> {
            let same = |name: &str| boot::value(
                &[(name.to_owned(), String::new())], &edit.name).is_some();
            all.iter().filter(|(name, _)| !same(name)).cloned().collect()
        };
        prop_assert_eq!(others(&before), others(&found), "{}\n{}", text, after);
        let comments = |text: &str| text.matches("# ").count();
        let own = usize::from(after.contains("# Set by vmtune"));
        prop_assert_eq!(comments(&text) + own, comments(&after));
    }

    /// A shell and vmtune agree on what a script says, where vmtune claims to
    /// understand it.
    #[test]
    fn a_shell_agrees(text in script()) {
        let path = "/etc/default/grub".parse().unwrap();
        let Ok(found) = boot::collected(&[(path, text.clone())], false) else {
            return Ok(());
        };
        let folder = tempfile::tempdir().unwrap();
        let found: Vec<_> = found
            .arguments
            .into_iter()
            .map(|one| (one.name, one.value))
            .map(|(a, b)| (a.replace('\n', " "), b.replace('\n', " ")))
            .collect();
        prop_assert_eq!(found, by_shell(folder.path(), &text), "{}", text);
    }
}
