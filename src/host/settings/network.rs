//! Places that concern network cards.

/// Files that vmtune writes.
const FILES: [&str; 15] = [
    "/etc/network/interfaces.d/vmtune-representors",
    "/etc/systemd/network/60-vmtune-representors.network",
    "/etc/systemd/system/multi-user.target.d/90-vmtune.conf",
    "/etc/systemd/system/vmtune-nic.service",
    "/etc/systemd/system/vmtune-nic.service.d/10-create.conf",
    "/etc/systemd/system/vmtune-nic.service.d/20-eswitch.conf",
    "/etc/systemd/system/vmtune-nic.service.d/30-mtu.conf",
    "/etc/systemd/system/vmtune-nic.service.d/40-identity.conf",
    "/etc/systemd/system/vmtune-nic.service.d/50-bind.conf",
    "/etc/systemd/system/vmtune-nic.service.d/60-rings.conf",
    "/etc/systemd/system/vmtune-nic.service.d/70-qos.conf",
    "/etc/systemd/system/vmtune-nic.service.d/80-mrrs.conf",
    "/etc/udev/rules.d/70-vmtune-representors.rules",
    "/etc/vmtune/nic-bind.conf",
    "/etc/vmtune/nic-create.conf",
];

/// Lists the places.
pub(super) fn places() -> Vec<String> {
    FILES.map(str::to_owned).to_vec()
}
