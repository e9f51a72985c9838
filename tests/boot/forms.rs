//! The forms besides GRUB's settings.

use vmtune::boot::Form::{CommandLine, Entry, Environment};
use vmtune::boot::{self, BootError, entry_version};

use crate::{
    assert_added, assert_arguments, assert_edited, edited, refused, remove, set,
};

#[test]
fn a_command_line_is_one_line() {
    for (before, after) in [
        ("root=ZFS=rpool/ROOT/pve-1 boot=zfs\n", " isolcpus=2-3"),
        ("root=/dev/sda1", " isolcpus=2-3"),
        ("root=/dev/sda1 ro  \n\n", " isolcpus=2-3"),
        ("  root=/dev/sda1\r\n", " isolcpus=2-3"),
        ("a=\"b c\"", " isolcpus=2-3"),
    ] {
        let end = before.trim_end().len();
        let after = format!("{}{after}{}", &before[..end], &before[end..]);
        assert_added(CommandLine, before, "isolcpus", "2-3", &after);
    }
    let init = "root=/dev/sda1 -- isolcpus=9\n";
    let expected = "root=/dev/sda1 isolcpus=2-3 -- isolcpus=9\n";
    assert_added(CommandLine, init, "isolcpus", "2-3", expected);
    assert_arguments(CommandLine, init, &[("root", "/dev/sda1")]);
}

#[test]
fn programs_do_not_agree_on_more_than_a_line() {
    for text in ["a\nb\n", "\nroot=x\n", "root=x\n# words\n"] {
        assert!(refused(CommandLine, text).contains("first line"), "{text}");
    }
    assert!(refused(CommandLine, "# root=x\n").contains("a comment"));
    assert_eq!(refused(CommandLine, "\n"), "it holds no command line");
    // Alone it would leave the host without root=.
    let absent = boot::edit(CommandLine, None, &[set("isolcpus", "2-3")]);
    assert_eq!(absent, Err(BootError::Absent));
    assert_eq!(boot::edit(CommandLine, None, &[remove("a")]), Ok(None));
}

#[test]
fn entries_keep_their_lines() {
    let text = "# a comment with options x\ntitle Debian\nversion 6.1.0\n\
                options\troot=UUID=1 ro\noptions   $kernelopts quiet  \n\
                linux /vmlinuz\nsort-key options\n";
    let expected = text.replace("quiet  ", "quiet isolcpus=2-3  ");
    assert_added(Entry, text, "isolcpus", "2-3", &expected);
    let found = [("root", "UUID=1"), ("ro", ""), ("quiet", "")];
    assert_arguments(Entry, text, &found);
    assert_edited(
        Entry,
        text,
        &[remove("ro"), set("root", "UUID=2")],
        &text.replace("UUID=1 ro", "UUID=2"),
    );
    assert_added(
        Entry,
        "options $kernelopts $tuned_params\n",
        "a",
        "1",
        "options $kernelopts $tuned_params a=1\n",
    );
    assert_eq!(refused(Entry, "linux /x\n"), "it holds no command line");
    assert_eq!(entry_version(text), Some("6.1.0"));
    assert_eq!(entry_version("linux /x\n"), None);
}

fn block(content: &str) -> String {
    let header = "# GRUB Environment Block\n";
    let text = format!("{header}{content}");
    let fill = "#".repeat(1024 - text.len());
    text + &fill
}

#[test]
fn an_environment_block_keeps_its_size() {
    let before =
        block("saved_entry=a\nkernelopts=root=x a\\\\b ro\nx=y\\\nz\n");
    let after =
        block("saved_entry=a\nkernelopts=root=x a\\\\b ro c=1\nx=y\\\nz\n");
    assert_added(Environment, &before, "c", "1", &after);
    let found = [("root", "x"), ("a\\b", ""), ("ro", "")];
    assert_arguments(Environment, &before, &found);

    let none = block("saved_entry=a\n");
    assert_eq!(refused(Environment, &none), "it holds no command line");
    assert!(refused(Environment, &none[1..]).contains("1024 bytes"));
    let full = block(&format!("kernelopts=a{}\n", " b=1".repeat(244)));
    let error = edited(Environment, &full, &[set("isolcpus", "2-3")]);
    assert_eq!(error, Err(BootError::Full));
    let empty = block("kernelopts=\n");
    assert_added(Environment, &empty, "c", "1", &block("kernelopts=c=1\n"));
}
