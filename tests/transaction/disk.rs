//! A hypervisor that keeps its definitions in a folder, so that they outlive
//! a process that is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use vmtune::base::{CpuSet, DomainName, DomainUuid, NodeId, PageSize};
use vmtune::hypervisor::{
    Cause, CauseKind, DomainInfo, FreePages, Hypervisor, HypervisorError,
    Validate,
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
            let uuid = uuid.split('<').next().unwrap();
            DomainInfo {
                name: name.strip_suffix(".xml").unwrap().parse().unwrap(),
                uuid: uuid.parse().unwrap(),
                id: None,
                running: false,
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

    /// Its VMs never run.
    fn pin(
        &self,
        domain: &DomainUuid,
        role: Role,
        _: &CpuSet,
    ) -> Result<(), HypervisorError> {
        Err(HypervisorError::Pin {
            domain: *domain,
            thread: role.to_string(),
            source: Cause::new(CauseKind::Other, "it does not run"),
        })
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
