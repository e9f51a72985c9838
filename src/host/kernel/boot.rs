//! Which program starts the kernel, and what it will start it with.

use crate::base::HostPath;
use crate::boot::{self, BootError, Form, Keeper};
use crate::host::Root;
use crate::model::Fact;
use crate::model::facts::{BootArguments, BootLoader};

/// The EFI variable in which systemd-boot leaves its name; the number is the
/// vendor id that its interface specification fixes, the same everywhere.
const LOADER_INFO: &str =
    "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// Tells the boot loader by the files that its tools leave, first what is
/// sure. GRUB's drop-ins are a Debian patch: where grubby is, the folder may
/// be there and means nothing.
pub(super) fn loader(root: &Root) -> Fact<BootLoader> {
    if !root.exists("etc") {
        return Fact::unknown("/etc does not exist");
    }
    // Their command lines are made of other files than their loader reads.
    for system in ["run/ostree-booted", "etc/NIXOS"] {
        if root.exists(system) {
            return Fact::known(BootLoader::Other, format!("/{system}"));
        }
    }
    let by_file = [
        ("etc/kernel/proxmox-boot-uuids", BootLoader::ProxmoxBootTool),
        (LOADER_INFO, BootLoader::SystemdBoot),
        ("usr/sbin/grubby", BootLoader::Grubby),
        ("usr/bin/grubby", BootLoader::Grubby),
        ("etc/default/grub.d", BootLoader::GrubDropIn),
        ("etc/default/grub", BootLoader::Grub),
        ("etc/kernel/cmdline", BootLoader::SystemdBoot),
    ];
    let found = by_file.into_iter().find(|(path, _)| match *path {
        LOADER_INFO => root.read_bytes(path).is_ok_and(|b| is_systemd(&b)),
        path => root.exists(path),
    });
    match found {
        Some((path, loader)) => Fact::known(loader, format!("/{path}")),
        None => Fact::known(BootLoader::Other, "/etc"),
    }
}

/// Reads the arguments that the kernel will be started with next, from the
/// files that a person would edit.
#[must_use]
pub fn next_arguments(root: &Root) -> Fact<BootArguments> {
    arguments(root, &loader(root))
}

/// Reads the arguments that the kernel will be started with next.
pub(super) fn arguments(
    root: &Root,
    loader: &Fact<BootLoader>,
) -> Fact<BootArguments> {
    let Some(loader) = loader.value() else {
        let reason = loader.reason().unwrap_or("it was not read");
        return Fact::unknown(reason);
    };
    let exists = |path: &str| root.exists(path.trim_start_matches('/'));
    let read = match boot::keeper(*loader, systemd_boot(root), &exists) {
        Ok(Keeper::Grub) => grub(root),
        Ok(Keeper::CommandLine) => command_line(root),
        Err(why) => Err(said(&why)),
    };
    read.unwrap_or_else(Fact::unknown)
}

const MAIN: &str = "etc/default/grub";
const DROP_INS: &str = "etc/default/grub.d";
const COMMAND_LINE: &str = "etc/kernel/cmdline";

/// Reads GRUB's settings as its tools do: the main file, then the drop-ins.
fn grub(root: &Root) -> Result<Fact<BootArguments>, String> {
    let mut paths = Vec::new();
    if root.exists(MAIN) {
        paths.push(MAIN.to_owned());
    }
    let drop_ins = root.exists(DROP_INS);
    if drop_ins {
        let names = root.list(DROP_INS).map_err(|error| error.reason())?;
        let settings = names.iter().filter(|name| name.ends_with(".cfg"));
        paths.extend(settings.map(|name| format!("{DROP_INS}/{name}")));
    }
    collected(root, &paths, drop_ins)
}

fn command_line(root: &Root) -> Result<Fact<BootArguments>, String> {
    collected(root, &[COMMAND_LINE.to_owned()], false)
}

fn collected(
    root: &Root,
    paths: &[String],
    drop_ins: bool,
) -> Result<Fact<BootArguments>, String> {
    let mut files: Vec<(HostPath, String)> = Vec::new();
    for path in paths {
        let file: HostPath = format!("/{path}")
            .parse()
            .map_err(|_| format!("/{path} cannot be written down"))?;
        let form = Form::of(&file).ok_or("it has no known form")?;
        let text =
            root.read_boot(path, form).map_err(|error| error.reason())?;
        files.push((file, text));
    }
    let found = boot::collected(&files, drop_ins).map_err(|e| said(&e))?;
    let origins = files.iter().map(|(path, _)| path.as_str());
    let origin = origins.collect::<Vec<_>>().join(", ");
    let none = format!("/{DROP_INS}");
    Ok(Fact::known(found, if origin.is_empty() { none } else { origin }))
}

/// Returns an error and what it stems from as a clause.
fn said(error: &BootError) -> String {
    match error {
        BootError::File { file, source } => {
            format!("{file}: {}", said(source))
        }
        other => other.to_string(),
    }
}

/// Tells whether systemd-boot has started the machine. It always says so in
/// its variable.
fn systemd_boot(root: &Root) -> Option<bool> {
    const EFI: &str = "sys/firmware/efi";
    if let Ok(variable) = root.read_bytes(LOADER_INFO) {
        return Some(is_systemd(&variable));
    }
    let variables = root.exists(&format!("{EFI}/efivars"));
    let legacy = root.is_complete() && !root.exists(EFI);
    (variables || legacy).then_some(false)
}

/// Returns whether the variable, four bytes of attributes and UTF-16, names
/// systemd-boot. GRUB writes it too.
fn is_systemd(variable: &[u8]) -> bool {
    let text: Vec<u8> = variable.iter().skip(4).step_by(2).copied().collect();
    text.starts_with(b"systemd-boot")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_name_is_utf_16_after_four_bytes() {
        let mut variable = vec![6, 0, 0, 0];
        variable.extend("systemd-boot 257".bytes().flat_map(|b| [b, 0]));
        assert!(is_systemd(&variable));
        assert!(!is_systemd(b"\x06\0\0\0G\0R\0U\0B\0"));
        assert!(!is_systemd(b""));
    }
}
