//! A second opinion on GRUB's settings: a shell sources the files, as GRUB's
//! tools do, and its variables are compared with what vmtune reads.

use std::path::Path;
use std::process::Command;

use vmtune::base::HostPath;
use vmtune::boot::{self, BootError, Form};

use crate::{edited, set};

/// Sources files in order and returns the command line that they lead to.
pub(crate) fn sourced(shell: &str, files: &[&Path]) -> Option<String> {
    let sources = files.iter().map(|file| format!(". {}\n", file.display()));
    let print = "printf '%s %s' \"$GRUB_CMDLINE_LINUX\" \
                 \"$GRUB_CMDLINE_LINUX_DEFAULT\"";
    let script = sources.collect::<String>() + print;
    let mut command = Command::new(shell);
    let output = command.env_clear().arg("-c").arg(script).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// Returns the arguments of a command line by itself.
pub(crate) fn of_line(line: &str) -> Vec<(String, String)> {
    // A file with nothing, or with what could be a comment, is refused.
    let line = format!("first {}", line.replace('\n', " "));
    boot::arguments(Form::CommandLine, &line).unwrap().split_off(1)
}

#[test]
fn a_shell_agrees_with_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grub");
    let name = "GRUB_CMDLINE_LINUX_DEFAULT";
    for text in [
        "V=\"quiet splash\"",
        "V='quiet'",
        "V=quiet\\ splash",
        "V=\"a\"'b c'd\\\"e\\ \\\"f",
        "V=\"a \\\"b=c d\\\"\" # V=x",
        "V=\"a\\\n b\"\nX=1",
        "V=a\\\nb",
        "GRUB_CMDLINE_LI\\\nNUX=x\nV=y",
        "V='a\nb'",
        "V=\"old\"\nV=\"new\"",
        "V=\"a\"\nV=\"$V b\"",
        "V=\"a\"\nGRUB_CMDLINE_LINUX=\"${V} b\"",
        "X='iommu=pt a=1'\nV=\"$X b\"",
        "V=\"\\$vt_handoff \\a \\\\ \\`x\\`\"",
        "V=\"a -- b\"",
        "V=\"$\" GRUB_CMDLINE_LINUX=\"$ $\"",
        "#V=a\n  V=b # c",
        "V=a#b",
        "X=`echo \"V=x\"`; V=y",
        "X=$(echo ')' # )\n); V=y",
        "if [ -e / ]; then X=1; fi\nV=z",
        "echo V=x >/dev/null; V=y",
        "V=\"a\tb\x0bc\"",
        "V=\"é ü=ß\"",
        "",
    ] {
        let text = text.replace('V', name);
        std::fs::write(&file, &text).unwrap();
        let found = boot::arguments(Form::Grub, &text).unwrap();
        let line = sourced("sh", &[&file]).unwrap();
        assert_eq!(found, of_line(&line), "{text}: {line}");
        for (argument, to) in [("isolcpus", "2-3"), ("a", "b c")] {
            let edits = [set(argument, to)];
            let after = match edited(Form::Grub, &text, &edits) {
                Err(BootError::Shared(_)) => continue,
                after => after.unwrap(),
            };
            std::fs::write(&file, &after).unwrap();
            let line = sourced("sh", &[&file]).unwrap();
            let found = of_line(&line);
            let value = boot::value(&found, argument);
            assert_eq!(value, Some(to), "{after}: {line}");
            assert_eq!(Ok(found), boot::arguments(Form::Grub, &after));
        }
    }
}

/// Where `+=` is known, it is read as it is meant.
#[test]
fn a_shell_with_addition_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grub");
    let text = "GRUB_CMDLINE_LINUX=a\nGRUB_CMDLINE_LINUX+=\" b\"\n\
                GRUB_CMDLINE_LINUX_DEFAULT+=\" c\"\n";
    std::fs::write(&file, text).unwrap();
    let Some(line) = sourced("bash", &[&file]) else {
        eprintln!("a_shell_with_addition_agrees: skipped, there is no bash");
        return;
    };
    assert_eq!(line, "a b  c");
    assert_eq!(boot::arguments(Form::Grub, text), Ok(of_line(&line)));
}

#[test]
fn a_shell_agrees_on_several_files() {
    let folder = tempfile::tempdir().unwrap();
    let name = "GRUB_CMDLINE_LINUX_DEFAULT";
    let texts = [
        ("/etc/default/grub", "V=\"quiet\"\nGRUB_CMDLINE_LINUX='a=1'\nX=y\n"),
        ("/etc/default/grub.d/40-add.cfg", "V=\"$V crashkernel=1G\"\n"),
        ("/etc/default/grub.d/50-cloud.cfg", "V=\"console=tty1 $X\"\n"),
        ("/etc/default/grub.d/zz-vmtune.cfg", "V=\"$V isolcpus=2-3\"\n"),
    ];
    let mut files: Vec<(HostPath, String)> = Vec::new();
    let mut paths = Vec::new();
    for (path, text) in texts {
        let path: HostPath = path.parse().unwrap();
        let text = text.replace('V', name);
        let copy = folder.path().join(path.name());
        std::fs::write(&copy, &text).unwrap();
        paths.push(copy);
        files.push((path, text));
        let paths: Vec<&Path> = paths.iter().map(|p| p.as_path()).collect();
        let expected = of_line(&sourced("sh", &paths).unwrap());
        let found = boot::collected(&files, true).unwrap();
        let all = found.arguments.iter();
        let all = all.map(|one| (one.name.clone(), one.value.clone()));
        assert_eq!(all.collect::<Vec<_>>(), expected);
    }
    let found = boot::collected(&files, true).unwrap();
    let place = |name: &str| found.file_for(name).name().to_owned();
    assert_eq!(place("a"), "grub");
    assert_eq!(place("console"), "50-cloud.cfg");
    assert_eq!(place("isolcpus"), "zz-vmtune.cfg");
    assert_eq!(place("new"), "zz-vmtune.cfg");
    // The drop-ins before the last overwrite these.
    let names: Vec<_> =
        found.arguments.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["a", "console", "y", "isolcpus"]);
}
