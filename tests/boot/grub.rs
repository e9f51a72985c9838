//! GRUB's settings: each case that went wrong somewhere, by its name.

use vmtune::boot::Form::{Grub, GrubDropIn};
use vmtune::boot::{self};

use crate::{
    assert_added, assert_arguments, assert_edited, edited, refused, remove, set,
};

const DEFAULT: &str = "GRUB_CMDLINE_LINUX_DEFAULT";

#[test]
fn an_argument_comes_last() {
    for (before, after) in [
        ("=\"quiet\"", "=\"quiet isolcpus=2-3\""),
        ("='quiet'", "='quiet isolcpus=2-3'"),
        ("=quiet", "=quiet\\ isolcpus=2-3"),
        ("=", "=isolcpus=2-3"),
        ("=\"\"", "=\"isolcpus=2-3\""),
        ("=''", "='isolcpus=2-3'"),
        ("=\"  \"", "=\"isolcpus=2-3  \""),
        ("=\" quiet  \"", "=\" quiet isolcpus=2-3  \""),
        ("=\"quiet\"' splash'", "=\"quiet\"' splash isolcpus=2-3'"),
        ("=\"quiet\"splash", "=\"quiet\"splash\\ isolcpus=2-3"),
        ("=a\\ b", "=a\\ b\\ isolcpus=2-3"),
        ("=\"a\\\"b c\\\"\"", "=\"a\\\"b c\\\" isolcpus=2-3\""),
        ("=\"quiet\" # words", "=\"quiet isolcpus=2-3\" # words"),
        ("=\"quiet\"; X=1", "=\"quiet isolcpus=2-3\"; X=1"),
        ("=\"a\\\n b\"", "=\"a\\\n b isolcpus=2-3\""),
        ("=\"a \\\n\"", "=\"a isolcpus=2-3 \\\n\""),
        ("=\"a\nb\"", "=\"a\nb isolcpus=2-3\""),
        ("=\"$X\"", "=\"$X isolcpus=2-3\""),
        ("=$X", "=$X\\ isolcpus=2-3"),
        ("=\"${X}\"", "=\"${X} isolcpus=2-3\""),
        ("=\"a $X \"", "=\"a $X isolcpus=2-3 \""),
        ("+=\" a\"", "+=\" a isolcpus=2-3\""),
        ("+=\"\"", "+=\" isolcpus=2-3\""),
        ("=\"a -- b\"", "=\"a isolcpus=2-3 -- b\""),
        ("=\"-- b\"", "=\"isolcpus=2-3 -- b\""),
        ("='  -- b'", "='  isolcpus=2-3 -- b'"),
        ("=\"$X -- b\"", "=\"$X isolcpus=2-3 -- b\""),
        ("=\"a --- b\"", "=\"a --- b isolcpus=2-3\""),
    ] {
        for end in ["", "\n", "\n# more\nGRUB_TIMEOUT=5\n"] {
            let file = |rest: &str| format!("A=b\n{DEFAULT}{rest}{end}");
            let (before, after) = (file(before), file(after));
            assert_added(Grub, &before, "isolcpus", "2-3", &after);
        }
    }
}

#[test]
fn it_goes_to_the_assignment_that_counts() {
    let last = format!("{DEFAULT}=\"old\"\n{DEFAULT}=\"new\"\n");
    let expected = format!("{DEFAULT}=\"old\"\n{DEFAULT}=\"new a=1\"\n");
    assert_added(Grub, &last, "a", "1", &expected);

    let beside = format!("#{DEFAULT}=\"x\"\n{DEFAULT}='y'\n # {DEFAULT}=z");
    let expected =
        format!("#{DEFAULT}=\"x\"\n{DEFAULT}='y a=1'\n # {DEFAULT}=z");
    assert_added(Grub, &beside, "a", "1", &expected);

    let both = format!("GRUB_CMDLINE_LINUX=\"b\"\n{DEFAULT}=\"c\"\n");
    let expected = format!("GRUB_CMDLINE_LINUX=\"b\"\n{DEFAULT}=\"c a=1\"\n");
    assert_added(Grub, &both, "a", "1", &expected);

    // Fedora sets this one alone.
    let one = "GRUB_CMDLINE_LINUX=\"rhgb quiet\"\n";
    let expected = "GRUB_CMDLINE_LINUX=\"rhgb quiet a=1\"\n";
    assert_added(Grub, one, "a", "1", expected);

    let itself = format!("{DEFAULT}=\"a\"\n{DEFAULT}=\"${DEFAULT} b\"\n");
    let expected = format!("{DEFAULT}=\"a\"\n{DEFAULT}=\"${DEFAULT} b c=1\"\n");
    assert_added(Grub, &itself, "c", "1", &expected);

    // Behind `--`, what the other variable says is init's too.
    let init = format!("GRUB_CMDLINE_LINUX=\"x -- y\"\n{DEFAULT}=\"z\"\n");
    let expected =
        format!("GRUB_CMDLINE_LINUX=\"x a=1 -- y\"\n{DEFAULT}=\"z\"\n");
    assert_added(Grub, &init, "a", "1", &expected);
}

#[test]
fn a_file_without_a_command_line_gets_one() {
    let block = "# Set by vmtune; `vmtune rollback` takes it away again.\n\
                 GRUB_CMDLINE_LINUX_DEFAULT=\
                 \"$GRUB_CMDLINE_LINUX_DEFAULT isolcpus=2-3\"";
    for text in ["", "\n", "GRUB_TIMEOUT=5\n"] {
        let expected = format!("{text}{block}\n");
        assert_added(Grub, text, "isolcpus", "2-3", &expected);
    }
    for text in ["GRUB_TIMEOUT=5", "# words"] {
        let expected = format!("{text}\n{block}");
        assert_added(Grub, text, "isolcpus", "2-3", &expected);
    }
}

#[test]
fn vmtunes_own_file_comes_and_goes() {
    let first = boot::edit(GrubDropIn, None, &[set("isolcpus", "2-3")]);
    let first = first.unwrap().unwrap();
    assert!(first.starts_with("# Set by vmtune"), "{first}");
    assert_arguments(GrubDropIn, &first, &[("isolcpus", "2-3")]);

    let more = [set("hugepagesz=1G", "8"), set("isolcpus", "4-7")];
    let second = edited(GrubDropIn, &first, &more).unwrap();
    let expected = [("isolcpus", "4-7"), ("hugepagesz=1G", "8")];
    assert_arguments(GrubDropIn, &second, &expected);

    let third = edited(GrubDropIn, &second, &[remove("isolcpus")]).unwrap();
    let none = boot::edit(GrubDropIn, Some(&third), &[remove("hugepagesz=1G")]);
    assert_eq!(none, Ok(None));

    // What somebody else wrote there stays.
    let mine = format!("{third}GRUB_TIMEOUT=1\n");
    let left = edited(GrubDropIn, &mine, &[remove("hugepagesz=1G")]);
    assert_eq!(left.as_deref(), Ok("GRUB_TIMEOUT=1\n"));
    assert_eq!(boot::edit(GrubDropIn, None, &[remove("a")]), Ok(None));
}

#[test]
fn values_change_where_they_stand() {
    for (before, after) in [
        ("\"a isolcpus=1 b\"", "\"a isolcpus=2-3 b\""),
        ("'isolcpus=1'", "'isolcpus=2-3'"),
        ("isolcpus=1", "isolcpus=2-3"),
        ("\"a isolcpus b\"", "\"a isolcpus=2-3 b\""),
        ("\"\\\"isolcpus=1\\\" b\"", "\"isolcpus=2-3 b\""),
        ("\"isolcpus=\\\"1\\\"\"", "\"isolcpus=2-3\""),
        // The kernel heeds the first alone.
        ("\"isolcpus=1 a isolcpus=4\"", "\"isolcpus=2-3 a\""),
    ] {
        let file = |value: &str| format!("{DEFAULT}={value}\n");
        let (before, after) = (file(before), file(after));
        assert_edited(Grub, &before, &[set("isolcpus", "2-3")], &after);
    }
    // Of most others it heeds the last.
    let twice = format!("{DEFAULT}=\"mitigations=off a mitigations=auto\"");
    let expected = format!("{DEFAULT}=\"mitigations=off a mitigations=x\"");
    assert_edited(Grub, &twice, &[set("mitigations", "x")], &expected);
    // To the kernel both are one name.
    let dash = format!("{DEFAULT}=\"nohz-full=1\"");
    let expected = format!("{DEFAULT}=\"nohz-full=2\"");
    assert_edited(Grub, &dash, &[set("nohz_full", "2")], &expected);
}

#[test]
fn a_value_is_quoted_where_it_has_blanks() {
    for (before, after) in [
        ("\"q\"", "\"q a=\\\"b c\\\"\""),
        ("'q'", "'q a=\"b c\"'"),
        ("q", "q\\ a=\\\"b\\ c\\\""),
    ] {
        let file = |value: &str| format!("{DEFAULT}={value}\n");
        let (before, after) = (file(before), file(after));
        assert_added(Grub, &before, "a", "b c", &after);
        assert_arguments(Grub, &after, &[("q", ""), ("a", "b c")]);
    }
}

#[test]
fn pairs_stay_pairs() {
    let text = format!(
        "{DEFAULT}=\"default_hugepagesz=1G hugepagesz=1G hugepages=4 \
         hugepagesz=2M hugepages=512\""
    );
    let expected = [
        ("default_hugepagesz", "1G"),
        ("hugepagesz=1G", "4"),
        ("hugepagesz=2M", "512"),
    ];
    assert_arguments(Grub, &text, &expected);
    let more = text.replace("hugepages=4", "hugepages=0:2,1:6");
    assert_edited(Grub, &text, &[set("hugepagesz=1G", "0:2,1:6")], &more);
    assert_edited(Grub, &text, &[set("hugepagesz=1024M", "0:2,1:6")], &more);
    let less = text.replace(" hugepagesz=1G hugepages=4", "");
    assert_edited(Grub, &text, &[remove("hugepagesz=1G")], &less);
    assert_added(
        Grub,
        &less,
        "hugepagesz=1G",
        "4",
        &less.replace("512", "512 hugepagesz=1G hugepages=4"),
    );

    let alone = format!("{DEFAULT}=\"hugepagesz=1G quiet\"");
    let expected = alone.replace("1G", "1G hugepages=4");
    assert_edited(Grub, &alone, &[set("hugepagesz=1G", "4")], &expected);

    // The size may stand elsewhere, and its first number is in force.
    let default = format!(
        "{DEFAULT}=\"default_hugepagesz=1G hugepages=1 \
                           hugepagesz=1G hugepages=2\""
    );
    let expected = format!("{DEFAULT}=\"default_hugepagesz=1G hugepages=8\"");
    assert_edited(Grub, &default, &[set("hugepagesz=1G", "8")], &expected);
    let expected = format!("{DEFAULT}=\"default_hugepagesz=1G\"");
    assert_edited(Grub, &default, &[remove("hugepagesz=1G")], &expected);

    let sizeless = format!("{DEFAULT}=\"hugepages=7\"");
    let error = edited(Grub, &sizeless, &[set("hugepagesz=2M", "9")]);
    assert!(error.unwrap_err().to_string().contains("without a size"));
    let expected =
        format!("{DEFAULT}=\"hugepages=7 hugepagesz=1G hugepages=9\"");
    assert_added(Grub, &sizeless, "hugepagesz=1G", "9", &expected);
}

#[test]
fn what_would_change_others_is_refused() {
    for (text, name, why) in [
        ("X=\"a=1\"\nV=\"$X\"", "a", "comes from a variable"),
        ("V=\"a=1\"\nV=\"$V $V\"", "a", "used twice"),
        ("GRUB_CMDLINE_LINUX=a\nV=\"$GRUB_CMDLINE_LINUX\"", "a", "used twice"),
        // `hugepages=` would lose its size.
        (
            "V=\"default_hugepagesz=1G hugepages=4\"",
            "default_hugepagesz",
            "hugepagesz=1G would change as well",
        ),
    ] {
        let text = text.replace('V', DEFAULT);
        let error = edited(Grub, &text, &[remove(name)]).unwrap_err();
        assert!(error.to_string().contains(why), "{text}: {error}");
    }
    let open = format!("{DEFAULT}='a=\"b c'");
    assert!(refused(Grub, &open).contains("is not closed"));
}

#[test]
fn other_settings_may_be_anything() {
    for other in [
        "GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`",
        "GRUB_DISTRIBUTOR=`( . /etc/os-release; echo ${NAME:-Debian} ) \
         2>/dev/null || echo Debian`",
        "X=$(echo \")\" # it's\n)",
        "if [ \"$X\" = \"\" ]; then\n  GRUB_DEFAULT=1\nelse\n  X=2\nfi",
        "[ -e /x ] && GRUB_TERMINAL=console",
        "echo \"Including Xen overrides\" >&2",
        "export GRUB_COLOR_NORMAL GRUB_COLOR_HIGHLIGHT=x",
        "export GRUB_CMDLINE_LINUX_DEFAULT",
        "GRUB_GFXMODE=640x480,auto; : ${Y:=z}",
        "GRUB_CMDLINE_LINUX_RECOVERY=\"$(x)\" GRUB_CMDLINE_XEN='y'",
    ] {
        let file =
            |value: &str| format!("{other}\n{DEFAULT}=\"{value}\"\n{other}");
        let (before, after) = (file("quiet"), file("quiet isolcpus=2-3"));
        assert_added(Grub, &before, "isolcpus", "2-3", &after);
    }
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    for (text, why) in [
        ("V=\"$(cat /x)\"", "what a command prints"),
        ("V=`cat /x`", "what a command prints"),
        ("V=\"${X:-y}\"", "an expansion with an operator"),
        ("X=$(y); V=\"$X\"", "only a shell can tell"),
        ("V=~/x", "`~`"),
        ("V=$1", "a parameter of the shell"),
        ("if [ -e /x ]; then V=y; fi", "under a condition"),
        ("[ -e /x ] && V=y", "under a condition"),
        ("V=x | cat", "the command `cat`"),
        ("V=x echo y", "for one command"),
        ("V=\"quiet\" splash", "the command `splash`"),
        ("export V=x", "under a condition"),
        (": ${V:=x}", "by an expansion"),
        ("echo $((V=1))", "by an expansion"),
        ("f() { V=x; }", "a function or a subshell"),
        ("(V=x)", "a function or a subshell"),
        ("{ V=x; }", "`{`"),
        ("for i in a b; do V=$i; done", "`for`"),
        ("case x in x) V=y;; esac", "`case`"),
        (". /etc/default/other", "the command `.`"),
        ("eval V=x", "the command `eval`"),
        ("exit 0", "the command `exit`"),
        ("$X", "a command that is not written out"),
        ("unset V", "the command `unset`"),
        ("V[0]=x", "the command"),
        ("V=(a b)", "a function or a subshell"),
        ("cat <<E\nV=x\nE", "a here-document"),
        ("V=x &", "in the background"),
        ("V=$'a'", "shells differ"),
        ("V=\"a", "a double quote is not closed"),
        ("V='a", "a single quote is not closed"),
        ("V=$(a", "no end that is understood"),
        ("V=a\\", "a backslash ends the file"),
        ("if true; then V=x", "an `if` without `fi`"),
        ("V=x\r", "carriage return"),
        ("V=)", "closes nothing"),
    ] {
        let file = format!("A=1\n{}\n", text.replace('V', DEFAULT));
        let file = if text.ends_with('\\') { file.trim_end() } else { &file };
        let error = refused(Grub, file);
        assert!(error.contains(why), "{text}: {error}");
        assert!(error.starts_with("line "), "{text}: {error}");
        assert!(boot::arguments(Grub, file).is_err(), "{text}");
    }
    assert!(refused(Grub, "A=1\n\neval x\n").starts_with("line 3:"));
}

#[test]
fn names_and_values_that_would_not_come_through_are_refused() {
    let text = format!("{DEFAULT}=\"quiet\"\n");
    for edit in [
        set("a b", "1"),
        set("--", ""),
        set("hugepagesz", "1G"),
        set("hugepages", "4"),
        set("hugepagesz=1G", ""),
        set("a", "$x"),
        set("a", "x;y"),
        set("a", "x\ny"),
        remove("a=b"),
    ] {
        let result = edited(Grub, &text, std::slice::from_ref(&edit));
        assert!(result.is_err(), "{edit:?}: {result:?}");
    }
}
