//! A VM that gets a function is planned on the node that the card is at.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::sysfs::Sysfs;
use crate::inside::Lab;
use crate::inside::cards::in_xml;
use crate::judge::{Judge, Results};
use crate::placement::{numbers, on_one_of, pins, pins_of};

const VM: &str = "near";

/// Plans the VM, and once more without its function. It needs half of what a
/// node has, so that any node would do.
pub(super) fn run(lab: &Lab, sysfs: &Sysfs, function: &str) -> Result<()> {
    let least = sysfs.nodes.values().map(|cpus| numbers(cpus).len()).min();
    let vcpus = least.context("no nodes")? / 2;
    lab.keep_json("function.json", &function)?;
    lab.keep("alone.xml", &definition(vcpus, None))?;
    lab.libvirtd()?;
    lab.define(VM, &definition(vcpus, Some(function)))?;
    let policy = match lab.does_wrong("away") {
        true => "[devices]\nlocality = \"ignore\"\n",
        false => "",
    };
    lab.keep("policy.toml", policy)?;
    let policy = lab.path("policy.toml").display().to_string();
    let plan = ["plan", VM, "--connect", "qemu:///system", "--policy", &policy];
    lab.vmtune("plan.json", &[&plan[..], &["--format", "json"]].concat())?;
    lab.vmtune("planned.xml", &[&plan[..], &["--format", "xml"]].concat())?;
    let alone = lab.path("alone.xml").display().to_string();
    let plan = ["plan", "--domain", &alone, "--format", "json"];
    lab.vmtune("alone.json", &plan)?;
    lab.virsh("undefine", &["undefine", VM])?;
    Ok(())
}

fn definition(vcpus: usize, function: Option<&str>) -> String {
    let hostdev = function.map_or_else(String::new, hostdev);
    format!(
        "<domain type='qemu'>
  <name>{VM}</name>
  <memory unit='MiB'>128</memory>
  <vcpu>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices>{hostdev}
    <memballoon model='none'/>
  </devices>
</domain>
"
    )
}

fn hostdev(function: &str) -> String {
    format!(
        "
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address {}/></source>
    </hostdev>",
        in_xml(function)
    )
}

pub(super) fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let sysfs: Sysfs = results.json("sysfs.json")?;
    let function: String = results.json("function.json")?;
    let function =
        sysfs.functions.get(&function).context("no such function")?;
    let node =
        sysfs.node_of(function).context("the function's node is not known")?;
    let near = numbers(&sysfs.nodes[&node]);
    let plan: Value = results.json("plan.json")?;
    let placement = &plan["vms"][0]["placement"];
    let vcpus = pins(placement);

    let expected = vcpus.keys().map(|vcpu| (vcpu.clone(), true)).collect();
    judge.each(
        "each vCPU is on a CPU of the card's node",
        &on_one_of(&vcpus, &near),
        &expected,
    );
    let cells = placement["cells"].as_array().context("no cells")?;
    let memory: Vec<_> =
        cells.iter().map(|cell| &cell["memory_node"]).collect();
    judge.same(
        "the memory comes from the card's node",
        &memory,
        &vec![&json!(node)],
    );
    judge.same(
        "the plan counts no vCPU away from the card",
        &plan["vms"][0]["objective"][1],
        &json!(0),
    );

    let text = results.text("planned.xml")?;
    let xml = roxmltree::Document::parse(&text)?;
    let all = |name: &'static str| {
        xml.descendants().filter(move |node| node.has_tag_name(name))
    };
    judge.each(
        "the definition pins each vCPU as the plan says",
        &pins_of(&xml),
        &vcpus,
    );
    let nodeset: Vec<_> = all("numatune")
        .flat_map(|tune| tune.children())
        .filter_map(|part| part.attribute("nodeset"))
        .collect();
    judge.holds(
        "the definition takes memory of that node alone",
        !nodeset.is_empty()
            && nodeset.iter().all(|set| *set == node.to_string()),
        || format!("{nodeset:?}"),
    );

    if sysfs.nodes.len() > 1 {
        let alone: Value = results.json("alone.json")?;
        let elsewhere = pins(&alone["vms"][0]["placement"]);
        let mut cpus = elsewhere.values().flat_map(|list| numbers(list));
        let there = cpus.any(|cpu| near.contains(&cpu));
        judge.holds(
            "without the function the same VM is elsewhere",
            !there && !elsewhere.is_empty(),
            || format!("it is on {elsewhere:?}"),
        );
    }
    Ok(())
}
