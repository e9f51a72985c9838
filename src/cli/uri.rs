//! libvirt's connection URIs: whether the host behind one is this machine.

/// Returns the machine that a URI means where that is another one.
///
/// libvirt's form is `driver[+transport]://[user@][host][:port]/path`; a URI
/// with a host, or a transport made for one, is remote
/// (<https://libvirt.org/uri.html>).
#[must_use]
pub(super) fn remote_host(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let transport = scheme.split_once('+').map(|(_, transport)| transport);
    match transport {
        Some("unix") => None,
        Some(_) => Some(if host.is_empty() { "another machine" } else { host }),
        None => (!host.is_empty()).then_some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_uris_name_a_host() {
        for (uri, host) in [
            ("qemu:///system", None),
            ("test:///default", None),
            ("qemu+unix:///system?socket=/x", None),
            ("qemu:///embed?root=/a//b", None),
            ("qemu+ssh://root@kvm1/system", Some("kvm1")),
            ("qemu://kvm1/system", Some("kvm1")),
            ("qemu+tcp:///system", Some("another machine")),
            ("alias", None),
        ] {
            assert_eq!(remote_host(uri), host, "{uri}");
        }
    }
}
