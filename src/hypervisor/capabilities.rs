//! libvirt's two capabilities documents, as far as rules ask for them.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::model::facts::CpuCapabilities;

/// What a connection says that it can run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Capabilities {
    /// The host's architecture.
    pub(super) arch: String,
    /// Virt types (`kvm`, `qemu`) of guests of the host's architecture,
    /// sorted.
    pub(super) virt_types: Vec<String>,
}

/// Reads `<capabilities>`.
pub(super) fn host(text: &str) -> Result<Capabilities, quick_xml::Error> {
    let mut arch = String::new();
    let mut guest = String::new();
    let mut types = Vec::new();
    for element in elements(text)? {
        match element.path.as_str() {
            "/capabilities/host/cpu/arch" => arch = element.text,
            "/capabilities/guest/arch" => {
                guest = element.attribute("name").unwrap_or_default().into();
            }
            "/capabilities/guest/arch/domain" => {
                let kind = element.attribute("type").unwrap_or_default();
                types.push((guest.clone(), kind.to_owned()));
            }
            _ => {}
        }
    }
    types.retain(|(guest, _)| *guest == arch);
    let mut virt_types: Vec<_> =
        types.into_iter().map(|(_, kind)| kind).collect();
    virt_types.sort();
    virt_types.dedup();
    Ok(Capabilities { arch, virt_types })
}

/// Reads `<domainCapabilities>`.
pub(super) fn domain(text: &str) -> Result<CpuCapabilities, quick_xml::Error> {
    let mut found = CpuCapabilities {
        cpu_modes: Vec::new(),
        machine: String::new(),
        iommu_models: None,
        max_vcpus: None,
    };
    let mut in_models = false;
    for element in elements(text)? {
        let is = |key, value| element.attribute(key) == Some(value);
        match element.path.as_str() {
            "/domainCapabilities/machine" => found.machine = element.text,
            "/domainCapabilities/vcpu" => {
                found.max_vcpus =
                    element.attribute("max").and_then(|max| max.parse().ok());
            }
            "/domainCapabilities/cpu/mode" if is("supported", "yes") => {
                found
                    .cpu_modes
                    .extend(element.attribute("name").map(Into::into));
            }
            "/domainCapabilities/devices/iommu" => {
                found.iommu_models = Some(Vec::new());
            }
            "/domainCapabilities/devices/iommu/enum" => {
                in_models = is("name", "model");
            }
            "/domainCapabilities/devices/iommu/enum/value" if in_models => {
                found.iommu_models.get_or_insert_default().push(element.text);
            }
            _ => {}
        }
    }
    Ok(found)
}

/// An element of a small document, where it stands and what it holds.
struct Element {
    /// `/capabilities/host/cpu`
    path: String,
    attributes: Vec<(String, String)>,
    /// The text directly after the start tag, trimmed.
    text: String,
}

impl Element {
    fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        all.find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Returns all elements in the order of their start tags.
fn elements(text: &str) -> Result<Vec<Element>, quick_xml::Error> {
    let mut reader = Reader::from_str(text);
    let mut path = String::new();
    let mut all: Vec<Element> = Vec::new();
    let up = |path: &mut String| {
        path.truncate(path.rfind('/').unwrap_or_default());
    };
    loop {
        match reader.read_event()? {
            Event::Start(tag) => {
                all.push(element(&mut path, &tag)?);
            }
            Event::Empty(tag) => {
                all.push(element(&mut path, &tag)?);
                up(&mut path);
            }
            Event::End(_) => up(&mut path),
            Event::Text(text) => {
                let text = text.xml10_content();
                if let Some(last) = all.last_mut()
                    && last.path == path
                {
                    last.text.push_str(text.trim());
                }
            }
            Event::Eof => return Ok(all),
            _ => {}
        }
    }
}

fn element(
    path: &mut String,
    tag: &BytesStart<'_>,
) -> Result<Element, quick_xml::Error> {
    path.push('/');
    path.push_str(tag.name().as_ref());
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        attributes
            .push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(Element { path: path.clone(), attributes, text: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virt_types_are_those_of_the_hosts_architecture() {
        let text = "
            <capabilities>
              <host><cpu><arch>x86_64</arch></cpu></host>
              <guest><os_type>hvm</os_type><arch name='i686'>
                <domain type='qemu'/><domain type='xen'/></arch></guest>
              <guest><os_type>hvm</os_type><arch name='x86_64'>
                <emulator>/usr/bin/x</emulator>
                <domain type='qemu'/><domain type='kvm'/></arch></guest>
            </capabilities>";
        let read = host(text).unwrap();
        assert_eq!(read.arch, "x86_64");
        assert_eq!(read.virt_types, ["kvm", "qemu"]);
    }

    #[test]
    fn only_supported_modes_count() {
        let text = "
            <domainCapabilities>
              <machine>pc-q35-10.0</machine><vcpu max='4096'/>
              <cpu><mode name='host-passthrough' supported='no'/>
                <mode name='maximum' supported='yes'><enum name='x'/></mode>
              </cpu>
              <devices><disk supported='yes'><enum name='model'>
                <value>virtio</value></enum></disk></devices>
            </domainCapabilities>";
        let read = domain(text).unwrap();
        assert_eq!(read.cpu_modes, ["maximum"]);
        assert_eq!(read.machine, "pc-q35-10.0");
        assert_eq!(read.max_vcpus, Some(4096));
        assert_eq!(read.iommu_models, None, "not reported is not none");
    }

    #[test]
    fn iommu_models_are_read_where_reported() {
        let text = "
            <domainCapabilities><devices><iommu supported='yes'>
              <enum name='model'><value>intel</value><value>virtio</value>
              </enum><enum name='other'><value>no</value></enum>
            </iommu></devices></domainCapabilities>";
        let models = domain(text).unwrap().iommu_models.unwrap();
        assert_eq!(models, ["intel", "virtio"]);
    }

    #[test]
    fn damaged_documents_are_errors() {
        assert!(host("<capabilities><host></capabilities>").is_err());
    }
}
