//! A card with two ports, made of code. It does what it is told, refuses what a
//! real one refuses, and writes down what a real one would take and get wrong.

use std::collections::BTreeMap;

/// A virtual function.
#[derive(Default)]
pub(crate) struct Function {
    /// Whether somebody waited until it was there.
    awaited: bool,
    pub(crate) mac: Option<String>,
    pub(crate) bound: bool,
}

/// A port.
#[derive(Default)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) addresses: Vec<String>,
    /// Whether somebody waited for its interface.
    ready: bool,
    /// Whether functions come without drivers.
    held: bool,
    pub(crate) switchdev: bool,
    pub(crate) mtu: u32,
    up: bool,
    pub(crate) functions: Vec<Function>,
    /// In descriptors.
    pub(crate) rings: u32,
    /// The priority that is paused rather than lost.
    pub(crate) lossless: Option<u8>,
    /// A DSCP and its priority.
    pub(crate) dscp: Option<(u8, u8)>,
    /// How much it reads at once, as its register says it.
    pub(crate) reads: u8,
}

/// Why a command fails.
pub(crate) type Refusal = String;

/// The card and what it complains of.
pub(crate) struct Card<'f> {
    files: &'f BTreeMap<String, String>,
    pub(crate) ports: BTreeMap<String, Port>,
    pub(crate) complaints: Vec<String>,
}

impl<'f> Card<'f> {
    /// A card as the firmware leaves it, on a host with these files.
    pub(crate) fn new(files: &'f BTreeMap<String, String>) -> Self {
        let port = |name: &str, addresses: &[&str]| Port {
            name: name.to_owned(),
            addresses: addresses.iter().map(|a| format!("0000:{a}")).collect(),
            mtu: 1500,
            rings: 1024,
            reads: 2,
            ..Port::default()
        };
        let first = ["81:00.2", "81:00.3", "81:00.4", "81:00.5"];
        let second = ["81:01.2", "81:01.3", "81:01.4", "81:01.5"];
        let ports = [
            ("0000:81:00.0".to_owned(), port("enp129s0f0np0", &first)),
            ("0000:81:00.1".to_owned(), port("enp129s0f1np1", &second)),
        ];
        Self { files, ports: ports.into(), complaints: Vec::new() }
    }

    fn complain(&mut self, what: impl Into<String>) {
        self.complaints.push(what.into());
    }

    fn port(&mut self, name: &str) -> Result<&mut Port, Refusal> {
        let port = self.ports.values_mut().find(|port| port.name == name);
        port.ok_or_else(|| format!("there is no {name}"))
    }

    /// Does one command, if its words are just those that a program takes.
    pub(crate) fn run(&mut self, words: &[String]) -> Result<(), Refusal> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let number = |word: &str| word.parse::<u32>().unwrap();
        match words.as_slice() {
            ["udevadm", "wait", rest @ ..] => {
                let paths = rest.iter().filter(|word| word.starts_with('/'));
                return paths.into_iter().try_for_each(|path| self.wait(path));
            }
            ["systemd-tmpfiles", "--create", path] => {
                let text = self.files.get(*path);
                let text = text.ok_or_else(|| format!("there is no {path}"))?;
                return text.lines().try_for_each(|line| self.value(line));
            }
            ["devlink", "dev", "eswitch", "set", device, "mode", mode] => {
                return self.mode(device, mode);
            }
            ["ip", "link", "set", "dev", name, "mtu", mtu] => {
                return self.mtu(name, number(mtu));
            }
            ["ip", "link", "set", "dev", name, "up"] => {
                self.port(name)?.up = true;
            }
            [
                "ip",
                "link",
                "set",
                "dev",
                name,
                "vf",
                n,
                "mac",
                mac,
                more @ ..,
            ] => {
                for pair in more.chunks(2) {
                    let known = "vlan max_tx_rate min_tx_rate spoofchk trust";
                    let mut known = known.split(' ');
                    assert!(known.any(|key| key == pair[0]), "{more:?}");
                    assert_eq!(pair.len(), 2, "{more:?}");
                }
                return self.mac(name, n.parse().unwrap(), mac);
            }
            ["ethtool", "-G", name, "rx", rx, "tx", tx] if rx == tx => {
                self.finish();
                self.port(name)?.rings = number(rx);
            }
            ["dcb", "pfc", "set", "dev", name, "prio-pfc", "all:off", one] => {
                self.finish();
                let priority = one.strip_suffix(":on").unwrap();
                self.port(name)?.lossless = priority.parse().ok();
            }
            ["dcb", "app", "replace", "dev", name, "dscp-prio", pair] => {
                self.finish();
                let (dscp, priority) = pair.split_once(':').unwrap();
                let pair = (dscp.parse().unwrap(), priority.parse().unwrap());
                self.port(name)?.dscp = Some(pair);
            }
            ["setpci", "-s", address, register] => {
                self.finish();
                let bits = register.strip_prefix("CAP_EXP+8.w=").unwrap();
                let code = bits.strip_suffix("000:7000").unwrap();
                let port = self.ports.get_mut(*address).unwrap();
                port.reads = code.parse().unwrap();
            }
            other => panic!("no such command: {other:?}"),
        }
        Ok(())
    }

    /// From here on a card may refuse what not each can do.
    fn finish(&mut self) {
        let left = |port: &Port| port.functions.iter().any(|f| !f.bound);
        if self.ports.values().any(left) {
            self.complain("what may fail is done before the drivers");
        }
    }

    fn wait(&mut self, path: &str) -> Result<(), Refusal> {
        if let Some(name) = path.strip_prefix("/sys/class/net/") {
            self.port(name)?.ready = true;
            return Ok(());
        }
        let (port, rest) = self.device(path).unwrap();
        let n: usize = rest.strip_prefix("virtfn").unwrap().parse().unwrap();
        let function = port.functions.get_mut(n);
        let never = || format!("{path} never comes");
        function.ok_or_else(never)?.awaited = true;
        Ok(())
    }

    fn device<'p>(&mut self, path: &'p str) -> Option<(&mut Port, &'p str)> {
        let rest = path.strip_prefix("/sys/bus/pci/devices/")?;
        let (address, rest) = rest.split_once('/')?;
        Some((self.ports.get_mut(address)?, rest))
    }

    /// Does one line for systemd-tmpfiles.
    fn value(&mut self, line: &str) -> Result<(), Refusal> {
        if line.starts_with('#') {
            return Ok(());
        }
        let words: Vec<_> = line.split(' ').collect();
        let [kind, path, "-", "-", "-", "-", value] = words[..] else {
            panic!("{line}");
        };
        if path == "/sys/bus/pci/drivers_probe" {
            assert_eq!(kind, "w+", "of plain lines only the first counts");
            return self.probe(value);
        }
        assert_eq!(kind, "w");
        let (port, attribute) = self.device(path).unwrap();
        match attribute {
            "sriov_drivers_autoprobe" => port.held = value == "0",
            "sriov_numvfs" if !port.ready => {
                return Err("the card has no driver yet".to_owned());
            }
            "sriov_numvfs" if !port.functions.is_empty() => {
                return Err("there are functions already".to_owned());
            }
            "sriov_numvfs" => {
                let (bound, count) = (!port.held, value.parse().unwrap());
                let function = || Function { bound, ..Function::default() };
                port.functions = (0..count).map(|_| function()).collect();
                if bound {
                    self.complain("functions are bound before they are set up");
                }
            }
            other => panic!("no attribute {other}"),
        }
        Ok(())
    }

    fn probe(&mut self, address: &str) -> Result<(), Refusal> {
        let mut found = None;
        for port in self.ports.values_mut() {
            let at = port.addresses.iter().position(|one| one == address);
            if let Some(n) = at.filter(|n| *n < port.functions.len()) {
                found = Some((port.held, port.up, &mut port.functions[n]));
            }
        }
        let gone = || format!("there is no {address}");
        let (held, up, function) = found.ok_or_else(gone)?;
        let fault = match (held, up) {
            (true, _) => Some("may not be bound"),
            (false, false) => Some("is answered by nobody"),
            (false, true) => {
                function.bound = true;
                let lacks = function.mac.is_none();
                lacks.then_some("is bound without an address")
            }
        };
        if let Some(fault) = fault {
            self.complain(format!("{address} {fault}"));
        }
        Ok(())
    }

    fn mode(&mut self, device: &str, mode: &str) -> Result<(), Refusal> {
        let address = device.strip_prefix("pci/").unwrap();
        let port = self.ports.get_mut(address).unwrap();
        if port.functions.iter().any(|f| f.bound) {
            let why = "the mode changes while functions have drivers";
            return Err(why.to_owned());
        }
        if port.functions.iter().any(|f| !f.awaited) {
            return Err("the mode changes while functions come up".to_owned());
        }
        port.switchdev = mode == "switchdev";
        // An MTU does not survive an interface that is made anew.
        port.mtu = 1500;
        if port.functions.is_empty() {
            self.complain("the mode changes before there are functions");
        }
        Ok(())
    }

    fn mtu(&mut self, name: &str, mtu: u32) -> Result<(), Refusal> {
        let port = self.port(name)?;
        port.mtu = mtu;
        if port.functions.iter().any(|f| f.bound) {
            self.complain("functions have drivers before the wire has its MTU");
        }
        Ok(())
    }

    fn mac(&mut self, name: &str, n: usize, mac: &str) -> Result<(), Refusal> {
        let port = self.port(name)?;
        let gone = || format!("{name} has no function {n}");
        let function = port.functions.get_mut(n).ok_or_else(gone)?;
        function.mac = Some(mac.to_owned());
        if function.bound {
            self.complain("a driver does not see the address");
        }
        Ok(())
    }

    /// Returns the functions of a port that are as they should be.
    pub(crate) fn good(&self, port: &str) -> usize {
        let functions = self.ports[port].functions.iter();
        functions.filter(|f| f.awaited && f.bound && f.mac.is_some()).count()
    }
}
