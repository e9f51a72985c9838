//! libvirt's URIs, as far as vmtune has to understand them.

/// Returns whether a connection leads to another machine, so that the files
/// of this one say nothing about it.
///
/// A URI is local where it names no host and no transport other than `unix`.
/// `ssh`, `tcp`, `tls` and `ext` without a host count as remote: what they
/// reach is up to a command or a tunnel that vmtune cannot see. Give it what
/// [`super::Hypervisor::uri`] returns, in which aliases are resolved.
#[must_use]
pub fn is_remote(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else { return false };
    let transport = scheme.split_once('+').map(|(_, transport)| transport);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    !host.is_empty() || transport.is_some_and(|t| t != "unix")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_told_from_this_one() {
        for uri in [
            "qemu:///system",
            "qemu:///session",
            "qemu+unix:///system?socket=/run/x",
            "qemu:///embed?root=/tmp/x",
            "test:///default",
            "test:///tmp/node.xml",
        ] {
            assert!(!is_remote(uri), "{uri}");
        }
        for uri in [
            "qemu+ssh://root@host/system",
            "qemu://host/system",
            "qemu://host",
            "qemu+tls://[::1]:16514/system",
            "qemu+ssh:///system",
            "qemu+ext:///system?command=/bin/x",
            "esx://host?no_verify=1",
        ] {
            assert!(is_remote(uri), "{uri}");
        }
    }
}
