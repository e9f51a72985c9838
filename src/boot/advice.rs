//! What a person has to do where vmtune does not write the command line.

use super::argument::typed;
use super::route::owner;
use super::{ArgumentEdit, keeper};
use crate::model::facts::BootLoader;

/// Returns what a person has to do, command by command, to set arguments on a
/// host whose command line vmtune does not write; `None` where it does. The
/// parameters are those of [`keeper`].
#[must_use]
pub fn advice(
    loader: BootLoader,
    systemd_boot: Option<bool>,
    exists: &dyn Fn(&str) -> bool,
    edits: &[ArgumentEdit],
) -> Option<String> {
    if keeper(loader, systemd_boot, exists).is_ok() {
        return None;
    }
    let wanted = Words(edits.iter().flat_map(wanted).collect());
    let unwanted = edits.iter().filter(|edit| edit.to.is_none());
    let unwanted = Words(unwanted.map(|edit| edit.name.clone()).collect());
    let plain =
        [wanted.after("add ", " ", ""), unwanted.after("take away ", " ", "")];
    let plain = plain.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    let file = |file: &str, variable: &str, program: &str| {
        format!("{plain} in {variable} of {file}, then run `{program}`")
    };
    Some(match (owner(exists), loader) {
        (Some("ostree"), _) => {
            let (away, add) =
                (" --delete-if-present=", " --append-if-missing=");
            let away = unwanted.after(away, away, "").unwrap_or_default();
            let add = wanted.after(add, add, "").unwrap_or_default();
            format!("run `rpm-ostree kargs{away}{add}`")
        }
        (Some(_), _) => format!(
            "{plain} in boot.kernelParams of /etc/nixos/configuration.nix, \
             then run `nixos-rebuild boot`"
        ),
        (None, BootLoader::Grubby) => {
            let away = unwanted.after(" --remove-args=\"", " ", "\"");
            let add = wanted.after(" --args=\"", " ", "\"");
            let (away, add) =
                (away.unwrap_or_default(), add.unwrap_or_default());
            format!("run `grubby --update-kernel=ALL{away}{add}`")
        }
        _ if exists("/etc/update-extlinux.conf") => file(
            "/etc/update-extlinux.conf",
            "default_kernel_opts",
            "update-extlinux",
        ),
        _ if exists("/etc/zipl.conf") => {
            file("/etc/zipl.conf", "parameters", "zipl")
        }
        _ => format!(
            "{plain} on the kernel's command line, where the boot loader \
             keeps it"
        ),
    })
}

fn wanted(edit: &ArgumentEdit) -> Vec<String> {
    let typed = |to: &String| typed(&edit.name, to);
    edit.to.as_ref().map(typed).unwrap_or_default()
}

/// Words of a command line.
struct Words(Vec<String>);

impl Words {
    /// Writes the words, unless there are none.
    fn after(&self, open: &str, between: &str, close: &str) -> Option<String> {
        let all = self.0.join(between);
        (!self.0.is_empty()).then(|| format!("{open}{all}{close}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(loader: BootLoader, there: &str) -> Option<String> {
        let edit = |name: &str, to: Option<&str>| ArgumentEdit {
            name: name.to_owned(),
            to: to.map(str::to_owned),
        };
        let edits = [
            edit("isolcpus", Some("4-7")),
            edit("hugepagesz=1G", Some("8")),
            edit("nosmt", None),
        ];
        advice(loader, None, &|path| path == there, &edits)
    }

    #[test]
    fn each_keeper_has_its_command() {
        for (loader, there, expected) in [
            (
                BootLoader::Grubby,
                "",
                "run `grubby --update-kernel=ALL --remove-args=\"nosmt\" \
                 --args=\"isolcpus=4-7 hugepagesz=1G hugepages=8\"`",
            ),
            (
                BootLoader::Grub,
                "/run/ostree-booted",
                "run `rpm-ostree kargs --delete-if-present=nosmt \
                 --append-if-missing=isolcpus=4-7 \
                 --append-if-missing=hugepagesz=1G \
                 --append-if-missing=hugepages=8`",
            ),
            (
                BootLoader::Other,
                "/etc/NIXOS",
                "add isolcpus=4-7 hugepagesz=1G hugepages=8 and take away \
                 nosmt in boot.kernelParams of /etc/nixos/configuration.nix, \
                 then run `nixos-rebuild boot`",
            ),
            (
                BootLoader::Other,
                "/etc/update-extlinux.conf",
                "add isolcpus=4-7 hugepagesz=1G hugepages=8 and take away \
                 nosmt in default_kernel_opts of /etc/update-extlinux.conf, \
                 then run `update-extlinux`",
            ),
        ] {
            assert_eq!(said(loader, there).as_deref(), Some(expected));
        }
        assert_eq!(said(BootLoader::Grub, ""), None);
    }
}
