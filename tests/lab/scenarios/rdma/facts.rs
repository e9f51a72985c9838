//! What vmtune says of RDMA devices against rdma, verbs and the kernel.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::inside::cards::{last, names};
use crate::inside::get;
use crate::judge::{Judge, Results};

/// The interface that each device is made on, and the function behind it.
type Sysfs = BTreeMap<String, (String, Option<String>)>;

/// Reads what the kernel says of the devices.
pub(super) fn sysfs() -> Result<Sysfs> {
    let folder = Path::new("/sys/class/infiniband");
    let device = |name: String| {
        let own = folder.join(&name);
        let file = |name: &str| own.join(name).display().to_string();
        let parent = get(&file("parent"))?;
        let behind = last(&file("device"))?;
        Ok((name, (parent, behind)))
    };
    names(folder)?.into_iter().map(device).collect()
}

pub(super) fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let facts: Value = results.json("facts.json")?;
    let facts = facts["rdma"]["value"].as_array().context("no devices")?;
    let told = |key: &str| -> BTreeMap<_, _> {
        let device = |one: &Value| {
            (one["name"].as_str().unwrap_or_default().into(), one[key].clone())
        };
        facts.iter().map(device).collect()
    };
    let interfaces = told("interfaces");
    let rdma: Vec<Value> = results.json("rdma.json")?;
    let said = rdma.iter().map(|link| {
        (
            link["ifname"].as_str().unwrap_or_default().into(),
            json!([link["netdev"]]),
        )
    });
    judge.each(
        "rdma names the same interfaces of each device",
        &interfaces,
        &said.collect(),
    );
    let sysfs: Sysfs = results.json("sysfs.json")?;
    let (mut parents, mut behind) = (BTreeMap::new(), BTreeMap::new());
    for (device, (parent, pci)) in sysfs {
        parents.insert(device.clone(), json!([parent]));
        behind.insert(device, json!(pci));
    }
    judge.each(
        "each device is on the interface as in /sys",
        &interfaces,
        &parents,
    );
    judge.each(
        "no device has a function behind it, as in /sys",
        &told("pci"),
        &behind,
    );

    let verbs = results.text("devinfo")?;
    let mut devices = BTreeMap::new();
    for device in verbs.split("hca_id:").skip(1) {
        let field = |name: &str| {
            let line = device.lines().find_map(|l| l.trim().strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next())
        };
        let name = device.split_whitespace().next().unwrap_or_default();
        devices
            .insert(name.to_owned(), (field("state:"), field("active_mtu:")));
    }
    let ready =
        |name: &String| (name.clone(), (Some("PORT_ACTIVE"), Some("4096")));
    let expected = interfaces.keys().map(ready).collect();
    judge.each(
        "verbs knows each device, active and with packets of 4096 bytes",
        &devices,
        &expected,
    );
    Ok(())
}
