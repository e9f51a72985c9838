//! Real files, where there is a folder of them: each survives being edited,
//! or is declined with a reason.

use std::path::PathBuf;

use vmtune::boot::{self, Form};

use crate::{edited, remove, set};

/// Tells where a file of the corpus stood, by its name.
fn place(name: &str) -> &'static str {
    let ends = [
        ("menu.lst", "/boot/grub/menu.lst"),
        ("grubenv", "/boot/grub/grubenv"),
        ("default-grub", "/etc/default/grub"),
        ("grub.cfg", "/boot/grub/grub.cfg"),
        ("cmdline", "/etc/kernel/cmdline"),
        ("menu.conf", "/boot/grub/grub.conf"),
    ];
    let parts = [
        ("grub2", "/boot/grub2/grub.cfg"),
        ("extlinux", "/boot/extlinux/extlinux.conf"),
        ("zipl", "/etc/zipl.conf"),
        ("grub.", "/boot/grub/grub.conf"),
        ("loader", "/boot/loader/entries/a.conf"),
    ];
    let end = ends.into_iter().find(|(end, _)| name.ends_with(end));
    let part = || parts.into_iter().find(|(part, _)| name.contains(part));
    end.or_else(part).unwrap_or_else(|| panic!("what is {name}?")).1
}

#[test]
fn every_file_survives_or_is_declined() {
    let Some(corpus) = std::env::var_os("VMTUNE_CORPUS") else {
        eprintln!("every_file_survives: skipped, VMTUNE_CORPUS is not set");
        return;
    };
    let folder = PathBuf::from(corpus).join("boot");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let form = Form::of(&place(&name).parse().unwrap()).unwrap();
        files += 1;
        let new = [set("isolcpus", "2-3"), set("hugepagesz=1G", "0:2,1:4")];
        let after = match edited(form, &text, &new) {
            Ok(after) => after,
            Err(why) => {
                println!("{name}: declined: {why}");
                continue;
            }
        };
        println!("{name}: edited");
        assert_ne!(after, text, "{name}");
        assert_eq!(edited(form, &after, &new).as_ref(), Ok(&after), "{name}");
        let gone = [remove("hugepagesz=1G"), remove("isolcpus")];
        for gone in [gone.clone(), [gone[1].clone(), gone[0].clone()]] {
            let back = edited(form, &after, &gone);
            assert_eq!(back.as_ref(), Ok(&text), "{name}");
        }
        // What is there can be changed and put back.
        for (argument, value) in boot::arguments(form, &text).unwrap() {
            let other = edited(form, &text, &[set(&argument, "vmtune")]);
            let Ok(other) = other else { continue };
            let back = edited(form, &other, &[set(&argument, &value)]);
            assert_eq!(back.as_ref(), Ok(&text), "{name} {argument}");
        }
    }
    println!("{files} files");
    assert!(files > 0);
}
