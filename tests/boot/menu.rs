//! GRUB's generated menu: what its default starts.

use vmtune::boot;

/// What GRUB 2.12 of Debian writes, shortened.
const MENU: &str = r#"### BEGIN /etc/grub.d/00_header ###
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
function savedefault {
  if [ -z "${boot_once}" ]; then
    saved_entry="${chosen}"
  fi
}
set root='hd0,gpt2' # it's here
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'simple-1' {
	load_video
	if [ x$grub_platform = xxen ]; then insmod xzio; fi
	echo	'Loading Linux 6.1 ...'
	linux	/boot/vmlinuz-6.1 root=UUID=1 ro  quiet isolcpus=2-3 hugepagesz=1G hugepages=8 $vt_handoff dyndbg="file a +p"
	initrd	/boot/initrd.img-6.1
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'advanced-1' {
	menuentry 'Debian GNU/Linux, with Linux 6.1' --class debian --id 'a-6.1' {
		linux	/boot/vmlinuz-6.1 root=UUID=1 ro advanced -- init
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1 (recovery mode)' --id=a-6.1-r {
		linux	/boot/vmlinuz-6.1 root=UUID=1 ro single
	}
}
if [ "$grub_platform" = "efi" ]; then
	menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi' {
		fwsetup
	}
fi
menuentry 'Windows' { chainloader +1; }
menuentry 'Other' --id other {
	linux /a b \
	  c
}
"#;

fn words(menu: &str, environment: Option<&str>) -> Result<String, String> {
    let found = boot::generated(menu, environment);
    let found = found.map_err(|error| error.to_string())?;
    let word = |(name, value): &(String, String)| match value.as_str() {
        "" => name.clone(),
        value => format!("{name}={value}"),
    };
    Ok(found.iter().map(word).collect::<Vec<_>>().join(" "))
}

fn chosen(default: &str) -> Result<String, String> {
    let set = format!("set default=\"{default}\"");
    words(&MENU.replace("set default=\"0\"", &set), None)
}

#[test]
fn the_first_entry_is_the_default() {
    let expected = "root=UUID=1 ro quiet isolcpus=2-3 hugepagesz=1G=8 \
                    dyndbg=file a +p";
    assert_eq!(words(MENU, None).as_deref(), Ok(expected));
    let found = boot::generated(MENU, None).unwrap();
    assert_eq!(boot::value(&found, "isolcpus"), Some("2-3"));
    assert_eq!(boot::value(&found, "hugepagesz=1G"), Some("8"));
    assert_eq!(boot::value(&found, "nohz_full"), None);
}

#[test]
fn the_default_is_found_by_number_title_or_id() {
    for default in ["1", "1>0", "advanced-1", "advanced-1>a-6.1"] {
        let found = chosen(default);
        assert_eq!(found.as_deref(), Ok("root=UUID=1 ro advanced"));
    }
    let title = "Advanced options for Debian GNU/Linux>\
                 Debian GNU/Linux, with Linux 6.1 (recovery mode)";
    for default in [title, "1>1", "advanced-1>a-6.1-r"] {
        let found = chosen(default);
        assert_eq!(found.as_deref(), Ok("root=UUID=1 ro single"));
    }
    assert_eq!(chosen("other").as_deref(), Ok("b c"));
}

#[test]
fn a_saved_entry_is_looked_up() {
    let saved =
        MENU.replace("set default=\"0\"", "set default=\"${saved_entry}\"");
    let block = |text: &str| format!("# GRUB Environment Block\n{text}\n####");
    let found = words(&saved, Some(&block("saved_entry=other")));
    assert_eq!(found.as_deref(), Ok("b c"));
    for none in [None, Some(block("saved_entry=")), Some(block("x=y"))] {
        let found = words(&saved, none.as_deref()).unwrap();
        assert!(found.contains("isolcpus=2-3"), "{found}");
    }
    let once = words(MENU, Some(&block("next_entry=other")));
    assert!(once.unwrap_err().contains("for once"));
}

#[test]
fn a_menu_that_does_not_tell_is_refused() {
    for (default, why) in [
        ("1>9", "is not there"),
        ("5", "not always there"),
        ("gone", "not among its entries"),
        ("Windows", "one Linux"),
        ("$x", "another variable"),
    ] {
        let error = chosen(default).unwrap_err();
        assert!(error.contains(why), "{default}: {error}");
    }
    let error = words("insmod blscfg\nblscfg\n", None).unwrap_err();
    assert!(error.contains("no entries"), "{error}");
}
