//! What the unit for network cards sets, spelled as the commands of its steps.
//!
//! A rule writes a setting as the command that makes it, and `status` reads it
//! there again: one spelling for both.

use std::fmt;
use std::str::FromStr;

use super::facts::{EswitchMode, Identity};
use crate::base::{InterfaceName, ParseValueError, PciAddress};

/// What one command of a step, or one line for systemd-tmpfiles, sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NicSetting {
    /// How many virtual functions a physical one has.
    Functions {
        /// The physical function.
        function: PciAddress,
        /// How many.
        count: u16,
    },
    /// That a virtual function has a driver.
    Driver {
        /// The virtual function.
        function: PciAddress,
    },
    /// How the switch in a card works.
    Mode {
        /// The physical function.
        function: PciAddress,
        /// How.
        mode: EswitchMode,
    },
    /// The MTU of the wire.
    Mtu {
        /// Its interface.
        interface: InterfaceName,
        /// In bytes.
        mtu: u32,
    },
    /// What a virtual function is to the network. What is not known of it is
    /// left as it is.
    Identity {
        /// The interface of the wire.
        interface: InterfaceName,
        /// What it is.
        identity: Identity,
    },
    /// The ring buffers, for receiving and for sending.
    Rings {
        /// The interface.
        interface: InterfaceName,
        /// In descriptors.
        size: u32,
    },
    /// The only priority that is paused rather than lost.
    Lossless {
        /// The interface.
        interface: InterfaceName,
        /// The priority.
        priority: u8,
    },
    /// The priority of packets with a DSCP.
    Dscp {
        /// The interface.
        interface: InterfaceName,
        /// The DSCP.
        dscp: u8,
        /// The priority.
        priority: u8,
    },
    /// How much a card reads at once (MRRS).
    ReadRequest {
        /// The physical function.
        function: PciAddress,
        /// A size that the register can name.
        size: u32,
    },
}

/// Where the kernel lists PCI functions.
const DEVICES: &str = "/sys/bus/pci/devices/";
/// Where functions are bound to their drivers.
const PROBE: &str = "/sys/bus/pci/drivers_probe";
/// The sizes that the register for reads can name, from the smallest.
const READS: [u32; 6] = [128, 256, 512, 1024, 2048, 4096];

impl NicSetting {
    /// Reads the settings that a file of the unit makes: a drop-in, or a file
    /// for systemd-tmpfiles. Lines that only wait or prepare set nothing.
    pub fn all_in(text: &str) -> impl Iterator<Item = Self> {
        let commands = text
            .lines()
            .map(|line| line.strip_prefix("ExecStart=").unwrap_or(line));
        commands.filter_map(|command| command.parse().ok())
    }

    /// Sets how much a card reads at once; `None` for a size that its
    /// register cannot name.
    #[must_use]
    pub fn read_request(function: PciAddress, size: u32) -> Option<Self> {
        READS.contains(&size).then_some(Self::ReadRequest { function, size })
    }

    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        Some(match words.as_slice() {
            ["w", path, "-", "-", "-", "-", count] => {
                let path = path.strip_prefix(DEVICES)?;
                let function = path.strip_suffix("/sriov_numvfs")?;
                let function = function.parse().ok()?;
                Self::Functions { function, count: count.parse().ok()? }
            }
            ["w+", path, "-", "-", "-", "-", function] if *path == PROBE => {
                Self::Driver { function: function.parse().ok()? }
            }
            ["devlink", "dev", "eswitch", "set", device, "mode", mode] => {
                let function = device.strip_prefix("pci/")?.parse().ok()?;
                Self::Mode { function, mode: mode.parse().ok()? }
            }
            ["ip", "link", "set", "dev", name, "mtu", mtu] => {
                let interface = name.parse().ok()?;
                Self::Mtu { interface, mtu: mtu.parse().ok()? }
            }
            [
                "ip",
                "link",
                "set",
                "dev",
                name,
                "vf",
                n,
                "mac",
                mac,
                more @ ..,
            ] => {
                let mut identity =
                    Identity::new(n.parse().ok()?, mac.parse().ok()?);
                for pair in more.chunks(2) {
                    let [key, value] = pair else { return None };
                    set(&mut identity, key, value)?;
                }
                Self::Identity { interface: name.parse().ok()?, identity }
            }
            ["ethtool", "-G", name, "rx", rx, "tx", tx] if rx == tx => {
                let interface = name.parse().ok()?;
                Self::Rings { interface, size: rx.parse().ok()? }
            }
            ["dcb", "pfc", "set", "dev", name, "prio-pfc", "all:off", one] => {
                let priority = one.strip_suffix(":on")?.parse().ok()?;
                Self::Lossless { interface: name.parse().ok()?, priority }
            }
            ["dcb", "app", "replace", "dev", name, "dscp-prio", pair] => {
                let (dscp, priority) = pair.split_once(':')?;
                let (dscp, priority) =
                    (dscp.parse().ok()?, priority.parse().ok()?);
                Self::Dscp { interface: name.parse().ok()?, dscp, priority }
            }
            ["setpci", "-s", function, register] => {
                let code = register.strip_prefix("CAP_EXP+8.w=")?;
                let code = code.strip_suffix("000:7000")?.parse::<usize>();
                let size = *READS.get(code.ok()?)?;
                Self::ReadRequest { function: function.parse().ok()?, size }
            }
            _ => return None,
        })
    }
}

/// Sets what a word and its value say of a function.
fn set(identity: &mut Identity, key: &str, value: &str) -> Option<()> {
    let switch = || match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    };
    match key {
        "vlan" => identity.vlan = Some(value.parse().ok()?),
        "max_tx_rate" => identity.max_rate = Some(value.parse().ok()?),
        "min_tx_rate" => identity.min_rate = Some(value.parse().ok()?),
        "spoofchk" => identity.spoof_check = Some(switch()?),
        "trust" => identity.trust = Some(switch()?),
        _ => return None,
    }
    Some(())
}

impl fmt::Display for NicSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Functions { function, count } => {
                write!(f, "w {DEVICES}{function}/sriov_numvfs - - - - {count}")
            }
            Self::Driver { function } => {
                write!(f, "w+ {PROBE} - - - - {function}")
            }
            Self::Mode { function, mode } => {
                write!(f, "devlink dev eswitch set pci/{function} mode {mode}")
            }
            Self::Mtu { interface, mtu } => {
                write!(f, "ip link set dev {interface} mtu {mtu}")
            }
            Self::Identity { interface, identity } => {
                let Identity { vf, mac, .. } = identity;
                write!(f, "ip link set dev {interface} vf {vf} mac {mac}")?;
                if let Some(vlan) = identity.vlan {
                    write!(f, " vlan {vlan}")?;
                }
                if let Some(rate) = identity.max_rate {
                    write!(f, " max_tx_rate {rate}")?;
                }
                if let Some(rate) = identity.min_rate {
                    write!(f, " min_tx_rate {rate}")?;
                }
                let word = |on| if on { "on" } else { "off" };
                if let Some(check) = identity.spoof_check {
                    write!(f, " spoofchk {}", word(check))?;
                }
                if let Some(trust) = identity.trust {
                    write!(f, " trust {}", word(trust))?;
                }
                Ok(())
            }
            Self::Rings { interface, size } => {
                write!(f, "ethtool -G {interface} rx {size} tx {size}")
            }
            Self::Lossless { interface, priority } => write!(
                f,
                "dcb pfc set dev {interface} prio-pfc all:off {priority}:on"
            ),
            Self::Dscp { interface, dscp, priority } => write!(
                f,
                "dcb app replace dev {interface} dscp-prio {dscp}:{priority}"
            ),
            Self::ReadRequest { function, size } => {
                let code = READS.iter().position(|one| one == size);
                let code = code.ok_or(fmt::Error)?;
                write!(f, "setpci -s {function} CAP_EXP+8.w={code:x}000:7000")
            }
        }
    }
}

impl FromStr for NicSetting {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseValueError::new(text, "a setting of a network card");
        Self::read(text).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_as_it_was_written() {
        for text in [
            "w /sys/bus/pci/devices/0000:81:00.0/sriov_numvfs - - - - 4",
            "w+ /sys/bus/pci/drivers_probe - - - - 0000:81:00.2",
            "devlink dev eswitch set pci/0000:81:00.0 mode switchdev",
            "ip link set dev eth0 mtu 9000",
            "ip link set dev eth0 vf 3 mac c4:70:ff:ff:ff:e3",
            "ip link set dev eth0 vf 3 mac c4:70:ff:ff:ff:e3 vlan 7 \
             max_tx_rate 100 min_tx_rate 10 spoofchk off trust on",
            "ethtool -G eth0 rx 4096 tx 4096",
            "dcb pfc set dev eth0 prio-pfc all:off 3:on",
            "dcb app replace dev eth0 dscp-prio 26:3",
            "setpci -s 0000:81:00.0 CAP_EXP+8.w=5000:7000",
        ] {
            let setting: NicSetting = text.parse().unwrap();
            assert_eq!(setting.to_string(), text);
        }
    }

    #[test]
    fn what_has_another_form_sets_nothing() {
        for text in [
            "",
            "w /sys/bus/pci/devices/x/sriov_numvfs - - - - 4",
            "w /proc/sys/vm/x - - - - 4",
            "w+ /sys/bus/pci/drivers_probe - - - - all",
            "devlink dev eswitch set pci/0000:81:00.0 mode other",
            "ip link set dev eth0 up",
            "ip link set dev eth0 vf 3 mac c4:70:ff:ff:ff:e3 vlan",
            "ip link set dev eth0 vf 3 mac c4:70:ff:ff:ff:e3 trust maybe",
            "ethtool -G eth0 rx 4096 tx 8",
            "setpci -s 0000:81:00.0 CAP_EXP+8.w=6000:7000",
            "udevadm wait --timeout=60 /sys/class/net/eth0",
        ] {
            assert!(text.parse::<NicSetting>().is_err(), "{text}");
        }
        let drop_in = "# ExecStart=ip link set dev eth0 mtu 1\n[Service]\n\
                       ExecStart=udevadm wait /sys/class/net/eth0\n\
                       ExecStart=ip link set dev eth0 mtu 9000\n";
        let interface = "eth0".parse().unwrap();
        assert_eq!(
            NicSetting::all_in(drop_in).collect::<Vec<_>>(),
            [NicSetting::Mtu { interface, mtu: 9000 }]
        );
    }
}
