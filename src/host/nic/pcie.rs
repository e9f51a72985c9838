//! How a function hangs on the PCI Express bus, from sysfs and the function's
//! configuration space.

use crate::base::PciAddress;
use crate::host::{Root, pci};
use crate::model::Fact;
use crate::model::facts::PcieLink;

/// Bytes of configuration space that hold all capabilities of the old kind,
/// PCI Express among them. What is behind them may hold a serial number.
const SIZE: usize = 256;
/// The capability of PCI Express.
const EXPRESS: u8 = 0x10;
/// Where its control register is, from its start.
const DEVICE_CONTROL: usize = 8;

/// Reads the link.
pub(super) fn read(root: &Root, address: PciAddress) -> PcieLink {
    let at = |name: &str| format!("{}/{address}/{name}", pci::FOLDER);
    let speed = |name: &str| {
        root.fact(&at(name), |text| {
            (text != "Unknown").then(|| text.to_owned())
        })
    };
    // Devices of a virtual machine have links of no width.
    let width = |name: &str| {
        root.fact(&at(name), |text| text.parse().ok().filter(|n| *n != 0))
    };
    let control = control(root, &at("config"));
    PcieLink {
        speed: speed("current_link_speed"),
        max_speed: speed("max_link_speed"),
        width: width("current_link_width"),
        max_width: width("max_link_width"),
        max_payload: control.clone().map(|bits| bytes(bits >> 5)),
        max_read_request: control.map(|bits| bytes(bits >> 12)),
    }
}

/// Reads a size of three bits: 128 bytes, 256, …
const fn bytes(bits: u16) -> u32 {
    128 << (bits & 7)
}

/// Reads the device control register of PCI Express.
fn control(root: &Root, path: &str) -> Fact<u16> {
    let config = match root.read_start(path, SIZE) {
        Ok(config) => config,
        Err(e) => return Fact::unknown(e.reason()),
    };
    if config.len() < SIZE {
        return Fact::unknown(format!("/{path} is shown whole to root only"));
    }
    match device_control(&config) {
        Some(bits) => Fact::known(bits, format!("/{path}")),
        None => Fact::unknown("it has no PCI Express capability"),
    }
}

/// Walks the list of capabilities, which is as long as hardware made it.
fn device_control(config: &[u8]) -> Option<u16> {
    const STATUS: usize = 6;
    const HAS_LIST: u8 = 0x10;
    const FIRST: usize = 0x34;
    const MOST: usize = 48;
    if config.get(STATUS)? & HAS_LIST == 0 {
        return None;
    }
    let mut at = usize::from(*config.get(FIRST)? & !3);
    for _ in 0..MOST {
        if at < 0x40 {
            return None;
        }
        if *config.get(at)? == EXPRESS {
            let low = *config.get(at + DEVICE_CONTROL)?;
            let high = *config.get(at + DEVICE_CONTROL + 1)?;
            return Some(u16::from_le_bytes([low, high]));
        }
        at = usize::from(*config.get(at + 1)? & !3);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power management at 0x40, PCI Express at 0x60.
    fn config() -> Vec<u8> {
        let mut config = vec![0; SIZE];
        config[6] = 0x10;
        config[0x34] = 0x40;
        config[0x40..0x42].copy_from_slice(&[0x01, 0x60]);
        config[0x60..0x62].copy_from_slice(&[EXPRESS, 0]);
        config[0x68..0x6a].copy_from_slice(&0x2936_u16.to_le_bytes());
        config
    }

    #[test]
    fn sizes_are_read_where_the_capability_is() {
        let bits = device_control(&config()).unwrap();
        assert_eq!(bytes(bits >> 5), 256);
        assert_eq!(bytes(bits >> 12), 512);
    }

    #[test]
    fn a_list_without_an_end_is_left() {
        let mut looped = config();
        looped[0x41] = 0x40;
        assert_eq!(device_control(&looped), None);
        let mut short = config();
        short[0x41] = 0xfc;
        short[0xfc] = EXPRESS;
        assert_eq!(device_control(&short), None, "it ends behind the space");
        assert_eq!(device_control(&[0; SIZE]), None);
        assert_eq!(device_control(&[]), None);
    }
}
