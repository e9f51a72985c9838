//! The network cards of a lab host, and their virtual functions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Lab, get, set, wait};

/// Where the kernel lists PCI functions.
const FUNCTIONS: &str = "/sys/bus/pci/devices";

/// A port of a card: a physical function.
pub(crate) struct Port {
    /// Its address, as the kernel spells it.
    pub(crate) address: String,
    /// Its network interface.
    pub(crate) interface: String,
}

impl Lab {
    /// Loads the cards' driver and returns their ports, by address. They are
    /// up: the driver of their functions refuses to start otherwise.
    pub(crate) fn ports(&self) -> Result<Vec<Port>> {
        self.run("modprobe-igb", &["modprobe", "-a", "igb", "igbvf"])?;
        let mut ports = Vec::new();
        for address in names(Path::new("/sys/bus/pci/drivers/igb"))? {
            if !address.contains(':') {
                continue;
            }
            let interface = interface(&address)?;
            self.ip("up", &["link", "set", &interface, "up"])?;
            ports.push(Port { address, interface });
        }
        for port in &ports {
            let carrier = format!("/sys/class/net/{}/carrier", port.interface);
            wait("the port has a link", 60, || {
                get(&carrier).ok().filter(|text| text == "1")
            })?;
        }
        Ok(ports)
    }

    /// Runs `ip`; it must succeed.
    pub(crate) fn ip(&self, name: &str, line: &[&str]) -> Result<String> {
        self.run(name, &[&["ip"], line].concat())
    }
}

impl Port {
    /// Makes so many functions in place of those that there are. They have
    /// no driver yet: what they are told before is what they start with.
    /// Returns their addresses by number.
    pub(crate) fn make_functions(&self, count: usize) -> Result<Vec<String>> {
        let file = |name: &str| format!("{FUNCTIONS}/{}/{name}", self.address);
        set(&file("sriov_numvfs"), "0")?;
        set(&file("sriov_drivers_autoprobe"), "0")?;
        set(&file("sriov_numvfs"), &count.to_string())?;
        set(&file("sriov_drivers_autoprobe"), "1")?;
        let function = |number| {
            let link = file(&format!("virtfn{number}"));
            last(&link)?.with_context(|| format!("{link} is not there"))
        };
        (0..count).map(function).collect()
    }
}

/// Has the driver that the kernel finds for a function bind it; returns the
/// function's interface.
pub(crate) fn bind(function: &str) -> Result<String> {
    set("/sys/bus/pci/drivers_probe", function)?;
    interface(function)
}

/// Returns the attributes of a function's `<address>` in a definition.
pub(crate) fn in_xml(function: &str) -> String {
    let names = ["domain", "bus", "slot", "function"];
    let parts = names.iter().zip(function.split([':', '.']));
    let parts = parts.map(|(name, part)| format!("{name}='0x{part}'"));
    parts.collect::<Vec<_>>().join(" ")
}

/// Returns the interface of a function, once it is there.
fn interface(function: &str) -> Result<String> {
    let folder = PathBuf::from(FUNCTIONS).join(function).join("net");
    wait("the function has an interface", 30, || {
        names(&folder).ok()?.into_iter().next()
    })
}

/// Returns the last part of where a link leads, where it is there.
pub(crate) fn last(link: &str) -> Result<Option<String>> {
    if !Path::new(link).exists() {
        return Ok(None);
    }
    let target =
        fs::read_link(link).with_context(|| format!("following {link}"))?;
    let name = target.file_name().context("a link to nothing")?;
    Ok(Some(name.to_string_lossy().into_owned()))
}

/// Returns the names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("listing {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
