//! `mapping/pci.cfg`: which functions of which node a resource mapping stands
//! for.
//!
//! A section is a name on a line of its own and indented properties below it;
//! `map` is there once for each device of each node.

use std::collections::BTreeMap;

use super::error::{ConfError, ConfProblem};
use super::property;
use super::view::devices::functions;
use crate::base::ParseValueError;
use crate::model::domain::{Domain, Hostdev, MappedChoice};

/// The resource mappings of PCI functions, as one node has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mappings {
    choices: BTreeMap<String, Vec<MappedChoice>>,
}

impl Mappings {
    /// Reads a file of mappings, and of it what is for one node.
    ///
    /// # Errors
    /// When a line is of no known form; the error says which.
    pub fn parse(text: &str, node: &str) -> Result<Self, ConfError> {
        let mut choices: BTreeMap<String, Vec<MappedChoice>> = BTreeMap::new();
        let mut section: Option<String> = None;
        for (line, raw) in (1..).zip(text.lines()) {
            let fault = |problem| ConfError { line, problem };
            let content = raw.trim();
            if let Some(odd) = content.chars().find(|c| c.is_control()) {
                return Err(fault(ConfProblem::Character(odd)));
            }
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if !raw.starts_with([' ', '\t']) {
                if !is_name(content) {
                    return Err(fault(ConfProblem::Mapping));
                }
                choices.entry(content.to_owned()).or_default();
                section = Some(content.to_owned());
                continue;
            }
            let (Some(name), Some((key, value))) =
                (&section, content.split_once([' ', '\t']))
            else {
                return Err(fault(ConfProblem::Mapping));
            };
            if key != "map" {
                continue;
            }
            let choice = choice(value.trim(), node).map_err(|problem| {
                fault(ConfProblem::Value { key: "map".to_owned(), problem })
            })?;
            choices.entry(name.clone()).or_default().extend(choice);
        }
        Ok(Self { choices })
    }

    /// Says of each mapped device of a VM what it can be. One that can only
    /// be one thing is that: it is where its functions are.
    pub fn resolve(&self, domain: &mut Domain) {
        let devices = &mut domain.devices;
        for device in &mut devices.mapped {
            let choices = self.choices.get(&device.mapping);
            let choices = choices.cloned().unwrap_or_default();
            if let [only] = &choices[..] {
                let own = only.functions.iter().map(|&source| Hostdev {
                    source,
                    is_interface: false,
                    position: device.position,
                    managed: true,
                    mac: None,
                    guest_bus: None,
                });
                devices.hostdevs.extend(own);
            }
            device.choices = Some(choices);
        }
    }
}

/// Reads one device of a mapping; none where it is of another node.
fn choice(
    text: &str,
    node: &str,
) -> Result<Option<MappedChoice>, ParseValueError> {
    if property::get("map", text, "node") != Some(node) {
        return Ok(None);
    }
    let bad = |what| ParseValueError::new(text, what);
    let path = property::get("map", text, "path");
    let path = path.ok_or_else(|| bad("a device with a path"))?;
    let group = property::get("map", text, "iommugroup");
    let group = group.map(str::parse::<i64>).transpose();
    let group = group.map_err(|_| bad("a device with a numbered group"))?;
    Ok(Some(MappedChoice {
        functions: functions(path)?,
        // -1 says that there is no IOMMU.
        iommu_group: group.and_then(|group| u32::try_from(group).ok()),
    }))
}

/// Returns whether a text can be the name of a mapping.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
nic\n\
\tdescription first: port\n\
\tmap id=15b3:101e,iommugroup=57,node=pve1,path=0000:c1:00.2\n\
\tmap id=15b3:101e,iommugroup=60,node=pve2,path=0000:41:00.2\n\
\n\
pool\n\
\tmap node=pve1,path=0000:c1:00.3,id=15b3:101e,iommugroup=-1\n\
\tmap node=pve1,path=0000:c1:00.4;0000:c1:00.5,id=15b3:101e\n\
\tmdev 1\n";

    fn vm(text: &str) -> Domain {
        crate::definition::read(&format!("name: a\n{text}")).unwrap()
    }

    #[test]
    fn a_mapping_with_one_device_is_that_device() {
        let mappings = Mappings::parse(TEXT, "pve1").unwrap();
        let mut domain = vm("hostpci2: mapping=nic,pcie=1\n");
        mappings.resolve(&mut domain);
        let [hostdev] = &domain.devices.hostdevs[..] else { panic!() };
        assert_eq!(hostdev.source.to_string(), "0000:c1:00.2");
        assert_eq!(hostdev.position, 2);
        let choices = domain.devices.mapped[0].choices.as_ref().unwrap();
        assert_eq!(choices[0].iommu_group, Some(57));
    }

    #[test]
    fn a_mapping_with_several_devices_or_none_is_no_place() {
        let mappings = Mappings::parse(TEXT, "pve1").unwrap();
        let mut domain = vm("hostpci0: mapping=pool\nhostpci1: mapping=x\n");
        mappings.resolve(&mut domain);
        assert!(domain.devices.hostdevs.is_empty());
        let choices = |n: usize| domain.devices.mapped[n].choices.clone();
        let pool = choices(0).unwrap();
        assert_eq!(pool.len(), 2);
        assert_eq!(pool[0].iommu_group, None);
        assert_eq!(pool[1].functions.len(), 2);
        assert_eq!(choices(1), Some(Vec::new()));
        assert!(
            vm("hostpci0: mapping=x\n").devices.mapped[0].choices.is_none()
        );
    }

    #[test]
    fn hostile_mappings_are_refused_with_a_line() {
        for (text, expected) in [
            ("\tmap node=a\n", "line 1: neither"),
            ("a b\n", "line 1: neither"),
            ("../x\n", "line 1: neither"),
            ("a\n\tmap\n", "line 2: neither"),
            ("a\n\tmap node=pve1\n", "line 2: map:"),
            ("a\n\tmap node=pve1,path=../../x\n", "line 2: map:"),
            ("a\n\tmap node=pve1,path=01:00.0,iommugroup=x\n", "line 2: map:"),
            ("a\n\tdescription \u{1b}[2J\n", "line 2: the character U+001B"),
        ] {
            let error = Mappings::parse(text, "pve1").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
