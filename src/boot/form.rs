//! The forms in which files keep a kernel's command line.

use std::fmt;

use crate::base::HostPath;

/// The file that vmtune keeps arguments in where GRUB reads drop-ins. It is
/// read last, so that it adds to what all others say.
pub const DROP_IN: &str = "/etc/default/grub.d/zz-vmtune.cfg";

/// A form in which a file keeps a kernel's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Form {
    /// Settings of GRUB, a shell script: `/etc/default/grub` and the files of
    /// `/etc/default/grub.d`.
    Grub,
    /// vmtune's own file among them, [`DROP_IN`].
    GrubDropIn,
    /// One line, `/etc/kernel/cmdline`.
    CommandLine,
    /// A boot loader specification entry.
    Entry,
    /// GRUB's environment block, which may hold `kernelopts`.
    Environment,
    /// GRUB's generated menu.
    Menu,
    /// extlinux or syslinux.
    Extlinux,
    /// GRUB before version 2.
    GrubLegacy,
    /// zipl, on IBM Z.
    Zipl,
    /// LILO, or one of those made after it.
    Lilo,
}

impl Form {
    /// Tells the form of a file by its place; `None` where it is not known to
    /// keep a command line.
    #[must_use]
    pub fn of(path: &HostPath) -> Option<Self> {
        let (folder, name) = path.as_str().rsplit_once('/')?;
        let stem = folder.rsplit_once('/').map_or(folder, |(_, last)| last);
        Some(match (folder, name) {
            _ if path.as_str() == DROP_IN => Self::GrubDropIn,
            ("/etc/default", "grub") => Self::Grub,
            ("/etc/default/grub.d", _) if name.ends_with(".cfg") => Self::Grub,
            ("/etc/kernel" | "/usr/lib/kernel", "cmdline") => Self::CommandLine,
            _ if folder.ends_with("/loader/entries")
                && name.ends_with(".conf") =>
            {
                Self::Entry
            }
            (_, "grubenv") => Self::Environment,
            (_, "grub.cfg") => Self::Menu,
            (_, "extlinux.conf" | "syslinux.cfg" | "isolinux.cfg") => {
                Self::Extlinux
            }
            (_, "menu.lst" | "grub.conf") if stem == "grub" => Self::GrubLegacy,
            ("/etc", "grub.conf") => Self::GrubLegacy,
            ("/etc", "zipl.conf") => Self::Zipl,
            ("/etc", "lilo.conf" | "yaboot.conf" | "elilo.conf") => Self::Lilo,
            _ => return None,
        })
    }

    /// Returns why files of this form are left alone, where they are.
    #[must_use]
    pub const fn declined(self) -> Option<&'static str> {
        Some(match self {
            Self::Grub
            | Self::GrubDropIn
            | Self::CommandLine
            | Self::Entry
            | Self::Environment => return None,
            Self::Menu => {
                "it is generated, and what is written there is lost; the \
                 settings that it is made from are edited"
            }
            Self::Extlinux => {
                "each label has arguments of its own, and the tools that \
                 write the file differ"
            }
            Self::GrubLegacy => {
                "each title has arguments of its own, and its tools write \
                 them anew with each kernel"
            }
            Self::Zipl => {
                "each section has parameters of its own, and zipl has to \
                 write the boot record anew"
            }
            Self::Lilo => {
                "each image has arguments of its own, and the loader has to \
                 be installed anew"
            }
        })
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grub => "a file of settings for GRUB",
            Self::GrubDropIn => "vmtune's own settings for GRUB",
            Self::CommandLine => "a file with a command line",
            Self::Entry => "a boot loader entry",
            Self::Environment => "GRUB's environment block",
            Self::Menu => "GRUB's menu",
            Self::Extlinux => "a configuration of extlinux",
            Self::GrubLegacy => "a menu of GRUB before version 2",
            Self::Zipl => "a configuration of zipl",
            Self::Lilo => "a configuration of LILO",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_by_place() {
        for (path, form) in [
            ("/etc/default/grub", Some(Form::Grub)),
            ("/etc/default/grub.d/50-cloudimg.cfg", Some(Form::Grub)),
            ("/etc/default/grub.d/README", None),
            (DROP_IN, Some(Form::GrubDropIn)),
            ("/etc/kernel/cmdline", Some(Form::CommandLine)),
            ("/boot/loader/entries/a-6.1.conf", Some(Form::Entry)),
            ("/efi/loader/entries/a.conf", Some(Form::Entry)),
            ("/boot/efi/EFI/fedora/grubenv", Some(Form::Environment)),
            ("/boot/grub2/grub.cfg", Some(Form::Menu)),
            ("/boot/extlinux/extlinux.conf", Some(Form::Extlinux)),
            ("/boot/syslinux/syslinux.cfg", Some(Form::Extlinux)),
            ("/boot/grub/menu.lst", Some(Form::GrubLegacy)),
            ("/boot/grub/grub.conf", Some(Form::GrubLegacy)),
            ("/etc/zipl.conf", Some(Form::Zipl)),
            ("/etc/fstab", None),
        ] {
            let found = Form::of(&path.parse().unwrap());
            assert_eq!(found, form, "{path}");
        }
    }
}
