//! A hypervisor that keeps its definitions in a folder, and the pins of VMs
//! that run, so that they outlive a process that is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use vmtune::base::{CpuSet, DomainName, DomainUuid, NodeId, PageSize, VcpuId};
use vmtune::hypervisor::{
    Cause, CauseKind, DomainInfo, FreePages, Hypervisor, HypervisorError,
    LivePins, Validate,
};
use vmtune::model::facts::HypervisorFacts;
use vmtune::model::{Fact, Role};

#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    pub(crate) fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn file(&self, name: &DomainName) -> PathBuf {
        self.folder.join(format!("{name}.xml"))
    }

    /// Where the pins of a VM are while it runs, a line each.
    fn run(&self, domain: &DomainUuid) -> PathBuf {
        self.folder.with_file_name(format!("run-{domain}"))
    }
}

/// Returns the thread and the CPUs of a line: `vcpu 0 4-5`.
fn pin(line: &str) -> (Role, CpuSet) {
    let words: Vec<&str> = line.split(' ').collect();
    let number = || words[1].parse().unwrap();
    let thread = match words[0] {
        "vcpu" => Role::Vcpu(VcpuId(number())),
        "iothread" => Role::IoThread(number()),
        _ => Role::Emulator,
    };
    (thread, words[words.len() - 1].parse().unwrap())
}

/// Does what libvirt does to comments.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    out + rest
}

impl Hypervisor for Disk {
    fn uri(&self) -> &'static str {
        "disk:///system"
    }

    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let info = |name: &String| {
            let text = fs::read_to_string(self.folder.join(name)).unwrap();
            let uuid = text.split("<uuid>").nth(1).unwrap();
            let uuid = uuid.split('<').next().unwrap().parse().unwrap();
            let running = self.run(&uuid).exists();
            DomainInfo {
                name: name.strip_suffix(".xml").unwrap().parse().unwrap(),
                uuid,
                id: running.then_some(1),
                running,
                persistent: true,
            }
        };
        Ok(names.iter().map(info).collect())
    }

    fn inactive_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<String, HypervisorError> {
        let found = self.domains()?.into_iter().find(|d| d.uuid == *domain);
        match found {
            Some(info) => {
                Ok(fs::read_to_string(self.file(&info.name)).unwrap())
            }
            None => Err(HypervisorError::Read {
                which: "inactive",
                domain: *domain,
                source: Cause::new(CauseKind::NoDomain, "there is none"),
            }),
        }
    }

    fn live_definition(
        &self,
        _: &DomainUuid,
    ) -> Result<Option<String>, HypervisorError> {
        Ok(None)
    }

    fn define(
        &self,
        domain: &DomainName,
        text: &str,
        _: Validate,
    ) -> Result<(), HypervisorError> {
        // As libvirtd does it, so that no kill leaves half of it.
        let new = self.folder.with_extension("new");
        fs::write(&new, without_comments(text)).unwrap();
        fs::rename(&new, self.file(domain)).unwrap();
        Ok(())
    }

    fn pins(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<LivePins>, HypervisorError> {
        let text = fs::read_to_string(self.run(domain)).ok();
        let pins = |text: String| text.lines().map(pin).collect();
        Ok(text.map(|text| LivePins { run: 1, cpus: pins(text) }))
    }

    fn pin(
        &self,
        domain: &DomainUuid,
        role: Role,
        cpus: &CpuSet,
    ) -> Result<(), HypervisorError> {
        let text = fs::read_to_string(self.run(domain)).unwrap();
        let moved = |line: &str| match pin(line) {
            (thread, _) if thread == role => {
                let (thread, _) = line.rsplit_once(' ').unwrap();
                format!("{thread} {cpus}\n")
            }
            _ => format!("{line}\n"),
        };
        let new = self.folder.with_extension("new");
        fs::write(&new, text.lines().map(moved).collect::<String>()).unwrap();
        fs::rename(&new, self.run(domain)).unwrap();
        Ok(())
    }

    fn free_pages(
        &self,
        _: &[NodeId],
        _: &[PageSize],
    ) -> Result<FreePages, HypervisorError> {
        Ok(FreePages::new())
    }

    fn facts(&self) -> Result<HypervisorFacts, HypervisorError> {
        Ok(HypervisorFacts {
            libvirt: Fact::unknown("there is none"),
            qemu: Fact::unknown("there is none"),
            domains: BTreeMap::new(),
        })
    }
}
