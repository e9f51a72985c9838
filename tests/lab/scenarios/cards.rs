//! Functions of a network card that a host has after each boot: a plan is
//! applied, the host starts again and has them as planned, and after a
//! rollback it starts as it did before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inside::cards::{last, names};
use crate::inside::{Lab, get, wait};
use crate::judge::{Judge, Results};
use crate::scenario::{Fault, Scenario};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "cards",
    about: "a card's functions are made at each boot as planned",
    shapes: &["systemd-vf"],
    alone: true,
    patience: 200,
    faults: &[
        Fault {
            name: "renamed",
            shape: "systemd-vf",
            found_by: "each function has its planned address",
        },
        Fault {
            name: "shrunk",
            shape: "systemd-vf",
            found_by: "status finds nothing",
        },
        Fault {
            name: "disabled",
            shape: "systemd-vf",
            found_by: "the unit has taken all its steps",
        },
    ],
    run,
    judge,
};

const VM: &str = "<domain type='qemu'>
  <name>any</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
</domain>
";

/// The rules that this is about.
const RULES: [&str; 3] = ["sriov-vfs", "mtu", "vf-identity"];
const UNIT: &str = "vmtune-nic.service";
const COUNT: usize = 3;
const MTU: u64 = 9000;
/// A drop-in that keeps the unit from starting.
const MASK: &str = "/etc/systemd/system/vmtune-nic.service.d/99-no.conf";

/// The card, as plain tools and the kernel show it.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Card {
    /// The MTU of its wire.
    mtu: u64,
    functions: Vec<Function>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Function {
    /// The address that the card holds for it.
    mac: String,
    driver: Option<String>,
    /// The functions of its IOMMU group.
    group: Vec<String>,
    address: String,
}

fn run(lab: &Lab) -> Result<()> {
    lab.libvirtd()?;
    match lab.boot {
        0 => {
            let card = card()?;
            lab.define("any", VM)?;
            lab.keep_json("before.json", &look(lab, &card)?)?;
            let policy = format!(
                "[nic]\nfunctions = ['{card}']\ncount = {COUNT}\nmtu = {MTU}\n"
            );
            lab.keep("policy.toml", &policy)?;
            plan(lab, "plan.json")?;
            lab.vmtune("apply", &["apply", "--yes", "--verbose"])?;
            if lab.does_wrong("disabled") {
                std::fs::write(MASK, "[Unit]\nConditionPathExists=/no\n")?;
            }
            lab.start_again("")
        }
        1 => {
            let card = card()?;
            let state = ["systemctl", "show", "-p", "Result,SubState", UNIT];
            wait("the unit has ended", 90, || {
                let shown = lab.run("state", &state).ok()?;
                (!shown.contains("SubState=start\n")).then_some(())
            })?;
            lab.try_run("unit", &["systemctl", "status", "-n50", UNIT])?;
            if lab.does_wrong("renamed") {
                let port = port(&card)?;
                let mac = "02:00:00:00:00:99";
                let line = ["link", "set", &port, "vf", "1", "mac", mac];
                lab.ip("renamed", &line)?;
            }
            if lab.does_wrong("shrunk") {
                let line = ["link", "set", &port(&card)?, "mtu", "1500"];
                lab.ip("shrunk", &line)?;
            }
            lab.keep_json("applied.json", &look(lab, &card)?)?;
            plan(lab, "again.json")?;
            let line = ["status", "--format", "json"];
            let (code, _) = lab.try_vmtune("status.json", &line)?;
            lab.keep("status.code", &code.to_string())?;
            lab.vmtune("rollback", &["rollback", "--yes", "--verbose"])?;
            lab.start_again("")
        }
        _ => {
            lab.keep_json("back.json", &look(lab, &card()?)?)?;
            let folder = Path::new("/etc/systemd/system");
            lab.keep_json("units.json", &names(folder)?)
        }
    }
}

fn plan(lab: &Lab, name: &str) -> Result<()> {
    let policy = lab.path("policy.toml");
    let policy = policy.to_str().context("a path is text")?;
    let mut line = vec!["plan", "any", "--policy", policy];
    line.extend(RULES.iter().flat_map(|rule| ["--only", *rule]));
    line.extend(["--format", "json"]);
    lab.vmtune(name, &line).map(drop)
}

/// Returns the first card, once udev has loaded its driver.
fn card() -> Result<String> {
    let all = names(Path::new("/sys/bus/pci/drivers/igb"))?;
    all.into_iter().find(|name| name.contains(':')).context("no card")
}

fn port(card: &str) -> Result<String> {
    let folder = format!("/sys/bus/pci/devices/{card}/net");
    names(Path::new(&folder))?.pop().context("the card has no interface")
}

fn look(lab: &Lab, card: &str) -> Result<Card> {
    let line = ["-j", "-d", "link", "show", "dev", &port(card)?];
    let shown: Value = serde_json::from_str(&lab.ip("ip.json", &line)?)?;
    let folder = format!("/sys/bus/pci/devices/{card}");
    let mut functions = Vec::new();
    let told = shown[0]["vfinfo_list"].as_array();
    for vf in told.into_iter().flatten() {
        let link = format!("{folder}/virtfn{}", functions.len());
        let address = last(&link)?.context("a function that is not there")?;
        let own = format!("/sys/bus/pci/devices/{address}");
        let group = format!("{own}/iommu_group/devices");
        functions.push(Function {
            mac: vf["address"].as_str().unwrap_or_default().to_owned(),
            driver: last(&format!("{own}/driver"))?,
            group: names(Path::new(&group))?,
            address,
        });
    }
    let made = get(&format!("{folder}/sriov_numvfs"))?;
    anyhow::ensure!(made == functions.len().to_string(), "{made} functions");
    let mtu = shown[0]["mtu"].as_u64().context("ip tells no MTU")?;
    Ok(Card { mtu, functions })
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let before: Card = results.json("before.json")?;
    judge.same("before, there are no functions", &before.functions, &vec![]);
    let state = results.text("state")?;
    let all = state.contains("Result=success\n")
        && state.contains("SubState=exited\n");
    judge.holds("the unit has taken all its steps", all, || {
        format!("{state}{}", results.text("unit").unwrap_or_default())
    });
    let applied: Card = results.json("applied.json")?;
    judge.same("the MTU is the planned one", &applied.mtu, &MTU);
    judge.same("there are all functions", &applied.functions.len(), &COUNT);
    let planned = planned(&results.json("plan.json")?);
    let numbered = applied.functions.iter().enumerate();
    let found = numbered.map(|(n, f)| (n, f.mac.clone())).collect();
    judge.each("each function has its planned address", &found, &planned);
    let macs: BTreeSet<_> = planned.values().collect();
    judge.same("no two have the same", &macs.len(), &COUNT);
    for function in &applied.functions {
        let name = &function.address;
        let alone = vec![name.clone()];
        judge.same(
            format!("{name} has a group of its own"),
            &function.group,
            &alone,
        );
        judge.same(
            format!("{name} has its driver"),
            &function.driver.as_deref(),
            &Some("igbvf"),
        );
    }
    let again: Value = results.json("again.json")?;
    judge.same(
        "a second plan changes nothing",
        &again["changes"],
        &Value::Array(Vec::new()),
    );
    judge.same("status finds nothing", &&*results.text("status.code")?, &"0");
    let back: Card = results.json("back.json")?;
    judge.same("rolled back, the card is as before", &back, &before);
    let units: Vec<String> = results.json("units.json")?;
    let left: Vec<_> =
        units.iter().filter(|name| name.contains("vmtune")).collect();
    judge.holds("rolled back, no unit is left", left.is_empty(), || {
        format!("{left:?}")
    });
    Ok(())
}

/// Returns the address of each function, from the lines of the unit that set
/// them: `… vf 1 mac 02:…`.
fn planned(plan: &Value) -> BTreeMap<usize, String> {
    let changes = plan["changes"].as_array().into_iter().flatten();
    let texts = changes.filter_map(|change| change["to"].as_str());
    let mut found = BTreeMap::new();
    for line in texts.flat_map(str::lines) {
        let words: Vec<_> = line.split_whitespace().collect();
        let after = |word: &str| {
            let at = words.iter().position(|one| *one == word)?;
            words.get(at + 1).copied()
        };
        if let (Some(vf), Some(mac)) = (after("vf"), after("mac"))
            && let Ok(number) = vf.parse()
        {
            found.insert(number, mac.to_owned());
        }
    }
    found
}
