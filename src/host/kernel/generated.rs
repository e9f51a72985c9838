//! What the boot loader's programs have made of the files with the arguments.

use crate::base::HostPath;
use crate::boot::{self, Form, Shown};
use crate::host::Root;

/// A boot entry, as the next boot will find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The file that holds it.
    pub path: String,
    /// The arguments that it starts the kernel with.
    pub arguments: Vec<(String, String)>,
}

/// Reads the boot entries that are made of a file with arguments: the default
/// of GRUB's menu, or the entries of the kernel that runs. What cannot be
/// read is left out: on some hosts there is no such file, and not everybody
/// may read it.
#[must_use]
pub fn generated(root: &Root, file: &HostPath) -> Vec<Generated> {
    let exists = |path: &str| root.exists(path.trim_start_matches('/'));
    let Ok(effect) = boot::effect(file, &exists) else { return Vec::new() };
    match effect.shown {
        Shown::Menu { menu, environment } => {
            menu_entry(root, &menu, &environment).into_iter().collect()
        }
        Shown::Entries(folder) => entries(root, &folder),
        Shown::File(_) => Vec::new(),
    }
}

fn menu_entry(
    root: &Root,
    menu: &HostPath,
    environment: &HostPath,
) -> Option<Generated> {
    let text = root.read(menu.relative()).ok()?;
    let environment = root.read(environment.relative()).ok();
    let arguments = boot::generated(&text, environment.as_deref()).ok()?;
    Some(Generated { path: menu.to_string(), arguments })
}

fn entries(root: &Root, folder: &HostPath) -> Vec<Generated> {
    let Ok(release) = root.read("proc/sys/kernel/osrelease") else {
        return Vec::new();
    };
    let names = root.list(folder.relative()).unwrap_or_default();
    let read = |name: &String| {
        let path = format!("{folder}/{name}");
        let file: HostPath = path.parse().ok()?;
        (Form::of(&file)? == Form::Entry).then_some(())?;
        let text = root.read(file.relative()).ok()?;
        let version = boot::entry_version(&text)?;
        let arguments = boot::arguments(Form::Entry, &text).ok()?;
        (version == release.trim()).then_some(Generated { path, arguments })
    };
    names.iter().filter_map(read).collect()
}
