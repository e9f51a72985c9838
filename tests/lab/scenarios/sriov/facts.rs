//! vmtune's facts of PCI functions against what others say of them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::sysfs::{Function, Sysfs};
use super::{FUNCTIONS, MAC, VLAN};
use crate::judge::{Judge, Results};

pub(super) fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let facts: Value = results.json("facts.json")?;
    let sysfs: Sysfs = results.json("sysfs.json")?;
    let facts = Told::read(&facts)?;
    against_sysfs(&facts, &sysfs, judge);
    against_lspci(&facts, &results.text("lspci")?, judge);
    let ip: Value = results.json("ip.json")?;
    against_ip(&facts, &sysfs, &ip, judge)?;
    in_text(&results.text("facts.txt")?, &sysfs, judge);
    Ok(())
}

/// What vmtune told.
struct Told<'a> {
    /// The network functions by address.
    functions: BTreeMap<&'a str, &'a Value>,
    groups: BTreeMap<u64, Vec<&'a str>>,
}

impl<'a> Told<'a> {
    fn read(facts: &'a Value) -> Result<Self> {
        let all = facts["pci"]["value"].as_array().context("no functions")?;
        let network = all.iter().filter(|one| one["class"] == "network");
        let functions = network
            .filter_map(|one| Some((one["address"].as_str()?, one)))
            .collect();
        let groups = &facts["kernel"]["iommu"]["groups"]["value"];
        let groups = groups.as_array().context("no groups")?.iter();
        let members = |group: &'a Value| -> Option<(u64, Vec<&'a str>)> {
            let members = group["functions"].as_array()?.iter();
            Some((
                group["id"].as_u64()?,
                members.filter_map(Value::as_str).collect(),
            ))
        };
        Ok(Self { functions, groups: groups.filter_map(members).collect() })
    }

    /// Returns one thing of each function.
    fn of(&self, pointer: &str) -> BTreeMap<&'a str, Value> {
        let value = |one: &Value| one.pointer(pointer).cloned();
        let all = self.functions.iter();
        all.map(|(at, one)| (*at, value(one).unwrap_or_default())).collect()
    }
}

fn against_sysfs(facts: &Told<'_>, sysfs: &Sysfs, judge: &mut Judge) {
    let real = |value: &dyn Fn(&Function) -> Value| -> BTreeMap<_, _> {
        sysfs.network().map(|(at, one)| (at, value(one))).collect()
    };
    let made: usize = FUNCTIONS.iter().sum();
    let functions = sysfs.network().filter(|(_, one)| one.physfn.is_some());
    judge.same("all functions were made", &functions.count(), &made);
    let is = |what: &str| format!("each function {what} in /sys");
    let id = real(&|one| {
        json!(format!("{}:{}", &one.vendor[2..], &one.device[2..]))
    });
    judge.each(
        &is("has the vendor and device as"),
        &facts.of("/id/value"),
        &id,
    );
    let driver = real(&|one| json!(one.driver));
    judge.each(&is("has the driver as"), &facts.of("/driver/value"), &driver);
    let group = real(&|one| json!(one.iommu_group));
    judge.each(
        &is("is in the IOMMU group as"),
        &facts.of("/iommu_group/value"),
        &group,
    );
    let physfn = real(&|one| json!(one.physfn));
    judge.each(&is("belongs to the port as"), &facts.of("/physfn"), &physfn);
    let total = real(&|one| json!(one.sriov_totalvfs));
    judge.each(
        &is("can have so many functions as"),
        &facts.of("/sriov/total/value"),
        &total,
    );
    let virtfns = real(&|one| match one.sriov_totalvfs {
        Some(_) => json!(one.virtfns),
        None => Value::Null,
    });
    judge.each(
        &is("has the functions, in order, as"),
        &facts.of("/sriov/virtfns"),
        &virtfns,
    );
    let net = real(&|one| json!(one.net));
    judge.each(&is("has the interfaces as"), &facts.of("/interfaces"), &net);
    let node = real(&|one| match sysfs.node_of(one) {
        Some(node) => json!(node.to_string()),
        None => Value::Null,
    });
    judge.each(&is("is at the node as"), &facts.of("/nodes/value"), &node);
    judge.holds(
        "each function's node is known",
        !node.values().any(Value::is_null),
        || format!("{node:?}"),
    );

    let groups: BTreeMap<_, _> = sysfs
        .groups
        .iter()
        .map(|(id, members)| {
            (u64::from(*id), members.iter().map(String::as_str).collect())
        })
        .collect();
    judge.each(
        "each IOMMU group has the members as in /sys",
        &facts.groups,
        &groups,
    );
    let alone = sysfs.network().filter(|(at, one)| {
        one.iommu_group.is_some_and(|id| sysfs.groups[&id] == [*at])
    });
    judge.same(
        "each function has a group to itself",
        &alone.count(),
        &sysfs.network().count(),
    );
}

/// Compares with lspci, which reads the configuration space and has a list of
/// names of its own.
fn against_lspci(facts: &Told<'_>, lspci: &str, judge: &mut Judge) {
    let mut said: [BTreeMap<&str, Value>; 4] = Default::default();
    let mut nodes_told = false;
    for device in lspci.split("\n\n") {
        let field = |name: &str| {
            let mut lines = device.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(':')).map(str::trim)
        };
        let number = |name| bracketed(field(name).unwrap_or_default());
        let Some(slot) = field("Slot") else { continue };
        if !number("Class").starts_with("02") {
            continue;
        }
        let id = format!("{}:{}", number("Vendor"), number("Device"));
        said[0].insert(slot, json!(id));
        said[1].insert(slot, json!(field("Driver")));
        let group = field("IOMMUGroup").and_then(|id| id.parse::<u32>().ok());
        said[2].insert(slot, json!(group));
        said[3].insert(slot, json!(field("NUMANode")));
        nodes_told |= field("NUMANode").is_some();
    }
    let [ids, drivers, groups, nodes] = &said;
    judge.each(
        "lspci names the same vendor and device",
        &facts.of("/id/value"),
        ids,
    );
    judge.each(
        "lspci names the same driver",
        &facts.of("/driver/value"),
        drivers,
    );
    judge.each(
        "lspci names the same IOMMU group",
        &facts.of("/iommu_group/value"),
        groups,
    );
    if nodes_told {
        judge.each(
            "lspci names the same node",
            &facts.of("/nodes/value"),
            nodes,
        );
    }
}

/// Returns the number at the end of `82576 Virtual Function [10ca]`.
fn bracketed(text: &str) -> &str {
    let start = text.rfind('[').map_or(0, |at| at + 1);
    text[start..].trim_end_matches(']')
}

fn against_ip(
    facts: &Told<'_>,
    sysfs: &Sysfs,
    ip: &Value,
    judge: &mut Judge,
) -> Result<()> {
    let links = ip.as_array().context("no links")?;
    let names: BTreeSet<_> =
        links.iter().map(|link| link["ifname"].as_str()).collect();
    let interfaces = facts.of("/interfaces");
    let told = interfaces.values().filter_map(Value::as_array).flatten();
    let unknown: Vec<_> =
        told.filter(|name| !names.contains(&name.as_str())).collect();
    judge.holds(
        "ip knows each interface of the functions",
        unknown.is_empty(),
        || format!("not {unknown:?}"),
    );

    let (_, port) = sysfs
        .network()
        .find(|(_, one)| !one.virtfns.is_empty())
        .context("no port has functions")?;
    let link = links.iter().find(|link| link["ifname"] == port.net[0].as_str());
    let functions = &link.context("ip does not know the port")?["vfinfo_list"];
    let what = |of: &Value| {
        let vlan = of["vlan_list"][0]["vlan"].as_u64();
        (
            of["address"].clone(),
            vlan,
            of["trust"].as_bool(),
            of["spoofchk"].as_bool(),
        )
    };
    judge.same(
        "ip says of function 0 what it was told: MAC, VLAN, trust, spoofchk",
        &what(&functions[0]),
        &(json!(MAC), VLAN.parse().ok(), Some(true), Some(false)),
    );
    let (_, vlan, trust, spoofchk) = what(&functions[1]);
    judge.same(
        "ip says of function 1, which was told nothing, what is safe",
        &(vlan, trust, spoofchk),
        &(None, Some(false), Some(true)),
    );
    let own = |number: usize| {
        let function = sysfs.functions.get(&port.virtfns[number]);
        function.map(|one| one.macs.clone())
    };
    judge.same(
        "function 0 has started with the MAC that it was told",
        &own(0),
        &Some(vec![MAC.into()]),
    );
    Ok(())
}

/// Compares what people see: each card is listed below its node.
fn in_text(text: &str, sysfs: &Sysfs, judge: &mut Judge) {
    let mut node = None;
    let mut found = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("node ") {
            node = rest.split(' ').next().map(str::to_owned);
        } else if let Some(rest) = line.strip_prefix("NIC ") {
            let mut words =
                rest.split([' ', ',']).filter(|word| !word.is_empty());
            let address = words.next().unwrap_or_default();
            // Further down the cards are told of one by one.
            let port = words.next().unwrap_or_default();
            found.entry(address).or_insert((node.clone(), port));
        }
    }
    let ports = sysfs.network().filter(|(_, one)| one.physfn.is_none());
    let expected = ports
        .map(|(at, one)| {
            let node = sysfs.node_of(one).map(|node| node.to_string());
            (at, (node, one.net[0].as_str()))
        })
        .collect();
    judge.each(
        "the text lists each port at its node, by its interface",
        &found,
        &expected,
    );
}
