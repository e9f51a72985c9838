//! RDMA in a lab host: devices in software on top of network interfaces.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::cards::names;
use super::{Lab, get, wait};

const DEVICES: &str = "/sys/class/infiniband";

impl Lab {
    /// Makes an RDMA device on an interface.
    pub(crate) fn soft_roce(&self, device: &str, on: &str) -> Result<()> {
        self.run("modprobe-rdma", &["modprobe", "rdma_rxe"])?;
        let line = ["link", "add", device, "type", "rxe", "netdev", on];
        self.run(&format!("add-{device}"), &[&["rdma"], &line[..]].concat())?;
        Ok(())
    }
}

/// Returns the number of the GID that stands for an IPv4 address: which one
/// it is differs from device to device.
pub(crate) fn gid(device: &str, address: Ipv4Addr) -> Result<String> {
    let gids = Path::new(DEVICES).join(device).join("ports/1/gids");
    let is = |name: &String| {
        let gid = get(&gids.join(name).display().to_string());
        let gid = gid.ok().and_then(|text| text.parse().ok());
        gid == Some(address.to_ipv6_mapped())
    };
    wait(&format!("{device} has the GID of its address"), 30, || {
        names(&gids).ok()?.into_iter().find(is)
    })
}

/// Waits until a program listens on a TCP port.
pub(crate) fn listens(port: u16) -> Result<()> {
    let local = format!(":{port:04X} ");
    wait(&format!("something listens on port {port}"), 60, || {
        let lists = ["/proc/net/tcp", "/proc/net/tcp6"];
        let mut lines =
            lists.iter().flat_map(|list| get(list)).flat_map(|text| {
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            });
        // 0A is the kernel's number for a socket that listens.
        lines.find(|line| line.contains(&local) && line.contains(" 0A "))
    })?;
    Ok(())
}

/// Reads the line of figures that perftest prints below its headings: bytes
/// of a message, messages, and then bandwidths or times.
pub(crate) fn figures(text: &str) -> Result<Vec<f64>> {
    let mut lines = text.lines().skip_while(|line| !line.contains("#bytes"));
    let line = lines.nth(1).context("perftest has printed no figures")?;
    let numbers = line.split_whitespace().map(str::parse);
    Ok(numbers.collect::<Result<_, _>>()?)
}
