//! Topologies that hwloc reads: of this machine, of XML, of a description.

mod devices;
mod objects;
mod precheck;

use hwlocality::Topology as Hwloc;
use hwlocality::object::types::ObjectType;
use hwlocality::topology::builder::{BuildFlags, TopologyBuilder, TypeFilter};
use hwlocality::topology::export::xml::XMLExportFlags;

pub use precheck::{Form, InputError, synthetic, xml};

use super::CollectError;
use crate::model::Fact;
use crate::model::facts::{HugepagePool, PciFunction, RdmaDevice, Topology};

/// A topology as hwloc holds it.
pub(super) struct Loaded {
    hwloc: Hwloc,
    origin: String,
}

/// Reads the topology of this machine, without its devices: sysfs tells more
/// of them, and hwloc takes most of its time for them.
///
/// # Errors
/// When hwloc cannot.
pub(super) fn live() -> Result<Loaded, CollectError> {
    let refused =
        |why: String| CollectError::Hwloc { origin: LIVE.into(), why };
    let hwloc = with_all_cpus(TopologyBuilder::new())
        .and_then(|builder| builder.build().map_err(|e| e.to_string()))
        .map_err(refused)?;
    Ok(Loaded { hwloc, origin: LIVE.into() })
}

const LIVE: &str = "hwloc of this machine";

/// Reads an hwloc XML of any format from 1 to 3.
///
/// libhwloc before 2.10 refuses format 3 by its number. Later ones read it as
/// format 2 and leave out what they do not know, so that is what is asked of
/// the older ones as well.
///
/// # Errors
/// When the text is no hwloc XML, or hwloc refuses it.
pub(super) fn from_xml(name: &str, text: &str) -> Result<Loaded, CollectError> {
    let form = xml(text)
        .map_err(|source| CollectError::Input { name: name.into(), source })?;
    let load = |text: &str| -> Result<Hwloc, String> {
        let builder =
            TopologyBuilder::new().from_xml(text).map_err(|e| e.to_string())?;
        with_devices(builder)?.build().map_err(|e| e.to_string())
    };
    let loaded = load(text).or_else(|why| match form.as_format_2(text) {
        Some(text) => load(&text),
        None => Err(why),
    });
    let refused = |why| CollectError::Hwloc {
        origin: format!("{name} (format {form})"),
        why,
    };
    let hwloc = loaded.map_err(refused)?;
    Ok(Loaded { hwloc, origin: format!("hwloc XML {name}") })
}

/// Makes a topology of a description in hwloc's synthetic syntax, such as
/// `package:2 l3:2 core:4 pu:2`.
///
/// # Errors
/// When hwloc does not know the description, or it is of more CPUs than
/// vmtune counts.
pub(super) fn from_synthetic(text: &str) -> Result<Loaded, CollectError> {
    synthetic(text)
        .map_err(|source| CollectError::Input { name: text.into(), source })?;
    let hwloc = TopologyBuilder::new()
        .from_synthetic(text)
        .map_err(|e| e.to_string())
        .and_then(with_devices)
        .and_then(|builder| builder.build().map_err(|e| e.to_string()))
        .map_err(|why| CollectError::Hwloc { origin: text.into(), why })?;
    Ok(Loaded { hwloc, origin: format!("synthetic:{text}") })
}

fn with_devices(builder: TopologyBuilder) -> Result<TopologyBuilder, String> {
    with_all_cpus(builder)?
        .with_io_type_filter(TypeFilter::KeepAll)
        .map_err(|e| e.to_string())
}

/// Asks for the CPUs too that this process may not use, and for none of them
/// to be visited: what a VM has for itself is left in peace, and the kernel
/// says the same of each CPU as the CPU itself.
fn with_all_cpus(builder: TopologyBuilder) -> Result<TopologyBuilder, String> {
    builder
        .with_flags(
            BuildFlags::INCLUDE_DISALLOWED | BuildFlags::DONT_CHANGE_BINDING,
        )
        .map_err(|e| e.to_string())
}

impl Loaded {
    /// Returns packages, nodes, caches, cores and CPUs.
    ///
    /// # Errors
    /// When the topology has no CPUs, or numbers beyond vmtune's.
    pub(super) fn topology(&self) -> Result<Topology, CollectError> {
        objects::topology(&self.hwloc, &self.origin)
    }

    /// Returns the huge pages of each node; hwloc knows how many there are,
    /// not how many are free.
    pub(super) fn hugepages(&self) -> Fact<Vec<HugepagePool>> {
        objects::hugepages(&self.hwloc, &self.origin)
    }

    /// Returns the PCI functions that matter to a VM.
    pub(super) fn pci(&self) -> Fact<Vec<PciFunction>> {
        devices::pci(&self.hwloc, &self.origin)
    }

    /// Returns the RDMA devices.
    pub(super) fn rdma(&self) -> Fact<Vec<RdmaDevice>> {
        devices::rdma(&self.hwloc, &self.origin)
    }

    /// Returns what hwloc noted of the machine or of its packages, under the
    /// first of these keys that is there.
    pub(super) fn info(&self, keys: &[&str]) -> Fact<String> {
        let root = self.hwloc.root_object();
        let packages = self.hwloc.objects_with_type(ObjectType::Package);
        let found = std::iter::once(root)
            .chain(packages)
            .find_map(|object| keys.iter().find_map(|key| object.info(key)));
        match found.and_then(|value| value.to_str().ok()) {
            Some(value) => Fact::known(value.to_owned(), &self.origin),
            None => {
                Fact::unknown(format!("{} has no {}", self.origin, keys[0]))
            }
        }
    }

    /// Writes the topology as hwloc XML of format 2.
    ///
    /// # Errors
    /// When hwloc cannot.
    pub(super) fn export(&self) -> Result<String, CollectError> {
        let xml = self.hwloc.export_xml(XMLExportFlags::empty());
        xml.map(|xml| xml.as_str().to_owned()).map_err(|e| {
            CollectError::Hwloc {
                origin: self.origin.clone(),
                why: e.to_string(),
            }
        })
    }
}
