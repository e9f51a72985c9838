//! Whether plan, host and guest say the same, and all is as before.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::host::{Process, State};
use super::{FORMER_MAC, MAC, MEMORY, MESSAGES, VCPUS};
use crate::judge::{Judge, Results};
use crate::placement::{numbers, on_one_of, pins, pins_of};

pub(super) fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let plan: Value = results.json("plan.json")?;
    let placement = &plan["vms"][0]["placement"];
    let before: State = results.json("before.json")?;
    planned(placement, &before, judge)?;
    given(results, placement, judge)?;
    applied(results, placement, judge)?;
    started(results, placement, &before, judge)?;
    seen(results, placement, judge)?;
    moved(results, judge)?;
    ended(results, &before, judge)
}

/// The plan is for the card's node.
fn planned(placement: &Value, before: &State, judge: &mut Judge) -> Result<()> {
    let node = before.numa_node;
    let near = numbers(&before.cpus[&node]);
    let pins = pins(placement);
    let expected = pins.keys().map(|vcpu| (vcpu.clone(), true)).collect();
    judge.each(
        "each vCPU is planned on one CPU of the card's node",
        &on_one_of(&pins, &near),
        &expected,
    );
    judge.same("all vCPUs are planned", &pins.len(), &VCPUS);
    let cells = placement["cells"].as_array().context("no cells")?;
    let memory: Vec<_> =
        cells.iter().map(|cell| &cell["memory_node"]).collect();
    judge.same(
        "the memory is planned as pages of 2 MiB of that node",
        &(&placement["pages"], memory),
        &(&json!("2M"), vec![&json!(node)]),
    );
    Ok(())
}

/// The VM has the function that it should have.
fn given(
    results: &Results,
    placement: &Value,
    judge: &mut Judge,
) -> Result<()> {
    let function: String = results.json("function.json")?;
    let nics = placement["nics"].as_array().context("no functions")?;
    let planned: Vec<_> = nics.iter().map(|nic| &nic["function"]).collect();
    judge.same(
        "the plan gives the VM the first function that no other VM has",
        &planned,
        &vec![&json!(function)],
    );
    let text = results.text("applied.xml")?;
    let xml = roxmltree::Document::parse(&text)?;
    let mut interfaces =
        xml.descendants().filter(|node| node.has_tag_name("interface"));
    let interface = interfaces.next().context("no interface")?;
    let child = |name: &str, attribute: &str| {
        let mut children = interface.children();
        let child = children.find(|child| child.has_tag_name(name));
        child.and_then(|child| child.attribute(attribute))
    };
    judge.same(
        "libvirt has it as an interface with that MAC",
        &(interface.attribute("type"), child("mac", "address")),
        &(Some("hostdev"), Some(MAC)),
    );
    let bus = child("address", "bus").unwrap_or_default();
    let index = u32::from_str_radix(bus.trim_start_matches("0x"), 16)?;
    let index = index.to_string();
    let port = xml.descendants().find(|node| {
        node.has_tag_name("controller")
            && node.attribute("type") == Some("pci")
            && node.attribute("index") == Some(&index)
    });
    judge.same(
        "libvirt has put it on a root port",
        &port.and_then(|port| port.attribute("model")),
        &Some("pcie-root-port"),
    );
    Ok(())
}

/// The definition that libvirt has says what the plan does.
fn applied(
    results: &Results,
    placement: &Value,
    judge: &mut Judge,
) -> Result<()> {
    let text = results.text("applied.xml")?;
    let xml = roxmltree::Document::parse(&text)?;
    let all = |name: &'static str| {
        xml.descendants().filter(move |node| node.has_tag_name(name))
    };
    judge.each(
        "the definition pins each vCPU as planned",
        &pins_of(&xml),
        &pins(placement),
    );
    let emulator = all("emulatorpin").next();
    judge.same(
        "the definition pins the emulator as planned",
        &emulator.and_then(|pin| pin.attribute("cpuset")),
        &placement["emulator"].as_str(),
    );
    let page = all("hugepages").flat_map(|pages| pages.children());
    let sizes: Vec<_> =
        page.filter_map(|page| page.attribute("size")).collect();
    judge.same("the definition asks for those pages", &sizes, &vec!["2048"]);
    Ok(())
}

/// The host runs the VM as planned.
fn started(
    results: &Results,
    placement: &Value,
    before: &State,
    judge: &mut Judge,
) -> Result<()> {
    let running: State = results.json("running.json")?;
    let function: String = results.json("function.json")?;
    judge.same(
        "libvirt has given the function, and no other, to vfio-pci",
        &(running.driver.as_deref(), running.vfio),
        &(Some("vfio-pci"), vec![function]),
    );
    let process: Process = results.json("process.json")?;
    let group = format!("/dev/vfio/{}", running.iommu_group);
    judge.same("QEMU has its IOMMU group", &process.groups, &vec![group]);

    let (mut vcpus, mut others) = (BTreeMap::new(), BTreeMap::new());
    for (name, cpus) in process.threads {
        let number =
            name.strip_prefix("CPU ").and_then(|n| n.split('/').next());
        match number {
            Some(vcpu) => vcpus.insert(vcpu.to_owned(), cpus),
            // The kernel makes this one of a vCPU's thread, for itself.
            None if name.starts_with("kvm-nx-lpage") => None,
            None => others.insert(name, cpus),
        };
    }
    judge.each(
        "each vCPU thread is on its planned CPU",
        &vcpus,
        &pins(placement),
    );
    let emulator = placement["emulator"].as_str().unwrap_or_default();
    let expected =
        others.keys().cloned().map(|name| (name, emulator.to_owned()));
    judge.each(
        "each other thread is on the emulator's planned CPUs",
        &others,
        &expected.collect(),
    );
    let (node, pages) = (before.numa_node, MEMORY / 2);
    let expected = BTreeMap::from([(node, pages)]);
    judge.each("QEMU has the planned pages", &process.pages, &expected);
    let mut free = before.free.clone();
    free.entry(node).and_modify(|free| *free -= pages);
    judge.each("no other page is used", &running.free, &free);
    judge.same(
        "vmtune check finds nothing",
        &results.json::<i32>("check.json")?,
        &0,
    );
    Ok(())
}

/// The guest sees what was planned.
fn seen(results: &Results, placement: &Value, judge: &mut Judge) -> Result<()> {
    let agent: Value = results.json("agent.json")?;
    let commands = agent["supported_commands"].as_array().into_iter().flatten();
    let mut able = commands.filter(|command| command["enabled"] == true);
    judge.holds(
        "the guest agent answers, and runs programs",
        able.any(|command| command["name"] == "guest-exec"),
        || agent.to_string(),
    );
    let text = results.text("guest.look")?;
    let lines: Vec<_> = text.lines().collect();
    let threads = placement["threads"].as_u64().context("no threads")?;
    let siblings = match threads {
        1 => "0".to_owned(),
        more => format!("0-{}", more - 1),
    };
    judge.same(
        "the guest sees its vCPUs, the planned threads, and the function's MAC",
        &lines,
        &vec![&VCPUS.to_string()[..], &siblings, MAC],
    );
    let verdict: Value = results.json("verdict")?;
    let looked = verdict["report"]["jitter"]["cpus"].as_array();
    judge.same(
        "vmtune verify has looked at each vCPU from inside",
        &looked.map(Vec::len),
        &Some(VCPUS),
    );
    let left = results.text("guest.left")?;
    judge.holds(
        "and has left nothing in the guest",
        !left.contains("vmtune-probe"),
        || left.clone(),
    );
    Ok(())
}

/// Packets go between host and guest.
fn moved(results: &Results, judge: &mut Judge) -> Result<()> {
    let ping = results.text("ping")?;
    judge.holds(
        "the guest answers over the function",
        ping.contains("5 packets transmitted, 5 packets received"),
        || ping.clone(),
    );
    let figures: Vec<f64> = results.json("figures.json")?;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    judge.same(
        "ib_write_bw has sent its messages from the host to the guest",
        &figures.get(..2),
        &Some(&[65536.0, MESSAGES as f64][..]),
    );
    // Packets of RoCE have 1024 bytes where the interface's have 1500.
    let least = MESSAGES * 64;
    for what in ["sent", "received"] {
        let count = |when: &str| -> Result<u64> {
            let text = results.text(&format!("{what}.{when}"))?;
            Ok(text.lines().next().unwrap_or_default().parse()?)
        };
        let grown = count("after")? - count("before")?;
        judge.holds(
            format!("each of their packets was {what}"),
            grown >= least,
            || format!("{grown} of {least}"),
        );
    }
    Ok(())
}

/// All is as it was.
fn ended(results: &Results, before: &State, judge: &mut Judge) -> Result<()> {
    let after: State = results.json("after.json")?;
    judge.same(
        "the function is back at its driver, with its MAC",
        &(&after.driver, &after.mac),
        &(&before.driver, &before.mac),
    );
    let (driver, mac) = (before.driver.as_deref(), before.mac.as_deref());
    judge.same(
        "it had both, and not the guest's",
        &(driver, mac),
        &(Some("igbvf"), Some(FORMER_MAC)),
    );
    let port = |when: &str| -> Result<(Value, Value)> {
        let links: Value = results.json(&format!("port.{when}"))?;
        let link = links.get(0).context("ip does not know the port")?;
        Ok((link["mtu"].clone(), link["vfinfo_list"].clone()))
    };
    judge.same(
        "ip says of the port's MTU and of its functions what it said before",
        &port("after")?,
        &port("before")?,
    );
    judge.same("vfio-pci has no function", &after.vfio, &Vec::new());
    judge.each("all pages are free again", &after.free, &before.free);
    let (former, applied) =
        (results.text("former.xml")?, results.text("applied.xml")?);
    judge.holds("apply changed the definition", former != applied, || {
        former.clone()
    });
    let restored = results.text("restored.xml")?;
    judge.holds(
        "rollback has given back the former definition, to the byte",
        former == restored,
        || restored.clone(),
    );
    Ok(())
}
