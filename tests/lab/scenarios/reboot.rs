//! Arguments for the kernel, written as an administrator writes them, and a
//! host that starts again with them; with GRUB first, then with boot loader
//! entries, then without any.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::inside::{self, Lab, loader};
use crate::judge::{Judge, Results};
use crate::scenario::{Fault, Scenario};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "reboot",
    about: "kernel arguments by way of GRUB and of boot loader entries",
    shapes: &["systemd"],
    alone: true,
    patience: 120,
    faults: &[Fault {
        name: "old-menu",
        shape: "systemd",
        found_by: "with GRUB, the kernel was started with the drop-in's",
    }],
    run,
    judge,
};

const DROP_IN: &str = "/etc/default/grub.d/60-isolation.cfg";
const BY_GRUB: &str = "hugepagesz=2M hugepages=0:64,1:96 \
                       isolcpus=managed_irq,domain,2-3 nohz_full=2-3 \
                       rcu_nocbs=2-3 irqaffinity=0-1";
const LINE: &str = "/etc/kernel/cmdline";
const BARE: &str = "root=/dev/vda ro";
const BY_ENTRY: &str = "hugepagesz=1G hugepages=1:1 hugepagesz=2M \
                        hugepages=0:16,1:8 isolcpus=domain,3";

/// What has to be there after each start.
const FILE: &str = "/var/lib/lab/kept";
const VM: &str = "<domain type='qemu'>
  <name>kept</name>
  <memory unit='MiB'>64</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
</domain>
";

/// A start, and what has to be true after it.
struct Boot {
    with: &'static str,
    arguments: &'static str,
    isolated: &'static str,
    tickless: &'static str,
    /// Pages by node and size in KiB, where there are any.
    pools: &'static [(&'static str, u64)],
    loader: &'static str,
}

const BOOTS: [Boot; 4] = [
    Boot {
        with: "at first",
        arguments: "",
        isolated: "",
        tickless: "",
        pools: &[],
        loader: "grub-drop-in",
    },
    Boot {
        with: "with GRUB",
        arguments: BY_GRUB,
        isolated: "2-3",
        tickless: "2-3",
        pools: &[("0:2048", 64), ("1:2048", 96)],
        loader: "grub-drop-in",
    },
    Boot {
        with: "with an entry",
        arguments: BY_ENTRY,
        isolated: "3",
        tickless: "",
        pools: &[("0:2048", 16), ("1:2048", 8), ("1:1048576", 1)],
        loader: "systemd-boot",
    },
    Boot {
        with: "without arguments",
        arguments: BARE,
        isolated: "",
        tickless: "",
        pools: &[],
        loader: "systemd-boot",
    },
];

fn run(lab: &Lab) -> Result<()> {
    let boot = lab.boot;
    if boot == 0 {
        lab.install_grub()?;
        lab.libvirtd()?;
        lab.define("kept", VM)?;
        fs::create_dir_all("/var/lib/lab")?;
        fs::write(FILE, "kept\n")?;
    }
    look(lab)?;
    match boot {
        0 => {
            let more = format!(
                "GRUB_CMDLINE_LINUX_DEFAULT=\
                 \"$GRUB_CMDLINE_LINUX_DEFAULT {BY_GRUB}\"\n"
            );
            if lab.does_wrong("old-menu") {
                lab.update_grub("update-grub")?;
                fs::write(DROP_IN, more)?;
            } else {
                fs::write(DROP_IN, more)?;
                lab.update_grub("update-grub")?;
            }
            start_again(lab, &loader::grub_arguments()?)
        }
        1 => {
            lab.remove_grub()?;
            lab.install_entries()?;
            fs::write(LINE, format!("{BARE} {BY_ENTRY}\n"))?;
            lab.write_entry("kernel-install")?;
            start_again(lab, &loader::entry_arguments()?)
        }
        2 => {
            fs::write(LINE, format!("{BARE}\n"))?;
            lab.write_entry("kernel-install")?;
            start_again(lab, &loader::entry_arguments()?)
        }
        _ => Ok(()),
    }
}

fn start_again(lab: &Lab, arguments: &str) -> Result<()> {
    lab.keep(&format!("next.{}", lab.boot), arguments)?;
    lab.start_again(arguments)
}

/// Keeps what this start is like.
fn look(lab: &Lab) -> Result<()> {
    let boot = lab.boot;
    for (name, path) in [
        ("cmdline", "/proc/cmdline"),
        ("isolated", "/sys/devices/system/cpu/isolated"),
        ("tickless", "/sys/devices/system/cpu/nohz_full"),
        ("file", FILE),
        ("mounts", "/proc/mounts"),
    ] {
        lab.keep(&format!("{name}.{boot}"), &inside::get(path)?)?;
    }
    lab.keep_json(&format!("pools.{boot}"), &pools()?)?;
    lab.vmtune(&format!("facts.{boot}"), &["facts", "--format", "json"])?;
    lab.libvirtd()?;
    lab.virsh(&format!("vms.{boot}"), &["list", "--all", "--name"])?;
    Ok(())
}

/// Returns the pools that hold pages, by node and size.
fn pools() -> Result<BTreeMap<String, u64>> {
    let mut pools = BTreeMap::new();
    for node in 0..2 {
        let folder = format!("/sys/devices/system/node/node{node}/hugepages");
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let size = name.strip_prefix("hugepages-").unwrap_or(&name);
            let size = size.trim_end_matches("kB");
            let pages = path.join("nr_hugepages");
            let pages: u64 = inside::get(pages.to_str().unwrap())?.parse()?;
            if pages > 0 {
                pools.insert(format!("{node}:{size}"), pages);
            }
        }
    }
    Ok(pools)
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    for (number, boot) in BOOTS.iter().enumerate() {
        let with = boot.with;
        let text = |name: &str| results.text(&format!("{name}.{number}"));
        let line = text("cmdline")?;
        if number > 0 {
            let next = results.text(&format!("next.{}", number - 1))?;
            let what = match number {
                1 => "with GRUB, the kernel was started with the drop-in's \
                      arguments, as its menu has them"
                    .to_owned(),
                _ => format!(
                    "{with}, the kernel was started with what \
                     /etc/kernel/cmdline says, as the entry has it"
                ),
            };
            let holds = line.ends_with(&next) && next.ends_with(boot.arguments);
            judge.holds(what, holds, || format!("{line}\n    {next}"));
        }
        for (name, what, expected) in [
            ("isolated", "these CPUs are isolated", boot.isolated),
            ("tickless", "these CPUs need no tick", boot.tickless),
        ] {
            let found = text(name)?;
            // How the kernel writes an empty list depends on its version.
            let found = found.trim_matches(['(', ')']).replace("null", "");
            let expected = expected.to_owned();
            judge.same(
                format!("{with}, {what}: {expected:?}"),
                &found,
                &expected,
            );
        }
        let pools: BTreeMap<String, u64> =
            results.json(&format!("pools.{number}"))?;
        let expected = boot.pools.iter().map(|(at, n)| ((*at).to_owned(), *n));
        let expected: BTreeMap<_, _> = expected.collect();
        let what = format!("{with}, each node has the pages it was given");
        judge.same(what, &pools, &expected);
        judge.holds(
            format!("{with}, the file system for pages is mounted"),
            text("mounts")?.contains(" /dev/hugepages hugetlbfs "),
            || "it is not".into(),
        );
        let facts: Value = results.json(&format!("facts.{number}"))?;
        judge_facts(judge, boot, &facts, line.trim(), &pools)?;
        let found = (text("file")?, text("vms")?.trim().to_owned());
        let expected = ("kept".to_owned(), "kept".to_owned());
        let what = format!("{with}, the disk has its file and its VM");
        judge.same(what, &found, &expected);
    }
    Ok(())
}

/// Judges what vmtune says of a start.
fn judge_facts(
    judge: &mut Judge,
    boot: &Boot,
    facts: &Value,
    line: &str,
    pools: &BTreeMap<String, u64>,
) -> Result<()> {
    let with = boot.with;
    for (place, what, expected) in [
        ("/kernel/command_line/value", "the kernel's arguments", line),
        ("/kernel/boot_loader/value", "the boot loader", boot.loader),
        ("/topology/isolated/value", "the isolated CPUs", boot.isolated),
    ] {
        let found = facts.pointer(place).and_then(Value::as_str);
        let what = format!("{with}, vmtune knows {what}");
        judge.same(what, &found, &Some(expected));
    }
    let list = facts.pointer("/memory/hugepages/value");
    let mut found = BTreeMap::new();
    for pool in list.and_then(Value::as_array).context("facts have no pools")? {
        let size = match pool["size"].as_str() {
            Some("1G") => 1_048_576,
            Some("2M") => 2048,
            other => anyhow::bail!("a pool of {other:?}"),
        };
        let total = pool["total"].as_u64().context("a pool has no total")?;
        if total > 0 {
            found.insert(format!("{}:{size}", pool["node"]), total);
        }
    }
    judge.same(format!("{with}, vmtune knows the pools"), &found, pools);
    Ok(())
}
