//! A card with two ports that does what it is told, and writes down what a
//! real one would have refused or got wrong.

use std::collections::BTreeMap;

/// A virtual function.
#[derive(Default)]
struct Function {
    /// Whether somebody waited until it was there.
    awaited: bool,
    mac: Option<String>,
    bound: bool,
}

/// A port.
#[derive(Default)]
pub(crate) struct Port {
    name: String,
    addresses: Vec<String>,
    /// Whether somebody waited for its interface.
    ready: bool,
    /// Whether functions come without drivers.
    held: bool,
    pub(crate) switchdev: bool,
    pub(crate) mtu: u32,
    up: bool,
    functions: Vec<Function>,
}

/// The card and what it complains of.
pub(crate) struct Card<'f> {
    files: &'f BTreeMap<String, String>,
    pub(crate) ports: BTreeMap<String, Port>,
    pub(crate) complaints: Vec<String>,
    /// What was done that not each card can do.
    pub(crate) extras: Vec<String>,
}

impl<'f> Card<'f> {
    /// A card as the firmware leaves it, on a host with these files.
    pub(crate) fn new(files: &'f BTreeMap<String, String>) -> Self {
        let port = |name: &str, addresses: &[&str]| Port {
            name: name.to_owned(),
            addresses: addresses.iter().map(|a| format!("0000:{a}")).collect(),
            mtu: 1500,
            ..Port::default()
        };
        let first = ["81:00.2", "81:00.3", "81:00.4", "81:00.5"];
        let second = ["81:01.2", "81:01.3", "81:01.4", "81:01.5"];
        let ports = [
            ("0000:81:00.0".to_owned(), port("enp129s0f0np0", &first)),
            ("0000:81:00.1".to_owned(), port("enp129s0f1np1", &second)),
        ];
        let (complaints, extras) = (Vec::new(), Vec::new());
        Self { files, ports: ports.into(), complaints, extras }
    }

    fn complain(&mut self, what: impl Into<String>) {
        self.complaints.push(what.into());
    }

    /// Does one command.
    pub(crate) fn run(&mut self, words: &[String]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["udevadm", "wait", rest @ ..] => {
                for path in rest.iter().filter(|word| word.starts_with('/')) {
                    self.wait(path);
                }
            }
            ["systemd-tmpfiles", "--create", path] => match self
                .files
                .get(*path)
            {
                Some(text) => text.lines().for_each(|line| self.value(line)),
                None => self.complain(format!("there is no {path}")),
            },
            ["devlink", "dev", "eswitch", "set", device, "mode", mode] => {
                self.mode(device, mode);
            }
            ["ip", "link", "set", "dev", name, "mtu", mtu] => {
                self.mtu(name, mtu.parse().unwrap());
            }
            ["ip", "link", "set", "dev", name, "up"] => {
                let mut ports = self.ports.values_mut();
                ports.find(|port| port.name == *name).unwrap().up = true;
            }
            ["ip", "link", "set", "dev", name, "vf", n, "mac", mac, ..] => {
                self.mac(name, n.parse().unwrap(), mac);
            }
            ["ethtool", "-G", ..] | ["dcb", ..] | ["setpci", ..] => {
                let left =
                    |port: &Port| port.functions.iter().any(|f| !f.bound);
                if self.ports.values().any(left) {
                    self.complain("what may fail is done before the drivers");
                }
                self.extras.push(words.join(" "));
            }
            other => panic!("no such command: {other:?}"),
        }
    }

    fn wait(&mut self, path: &str) {
        if let Some(name) = path.strip_prefix("/sys/class/net/") {
            let port = self.ports.values_mut().find(|p| p.name == name);
            port.unwrap().ready = true;
            return;
        }
        let (port, rest) = self.device(path).unwrap();
        let n: usize = rest.strip_prefix("virtfn").unwrap().parse().unwrap();
        match port.functions.get_mut(n) {
            Some(function) => function.awaited = true,
            None => self.complain(format!("{path} never comes")),
        }
    }

    fn device<'p>(&mut self, path: &'p str) -> Option<(&mut Port, &'p str)> {
        let rest = path.strip_prefix("/sys/bus/pci/devices/")?;
        let (address, rest) = rest.split_once('/')?;
        Some((self.ports.get_mut(address)?, rest))
    }

    /// Does one line for systemd-tmpfiles.
    fn value(&mut self, line: &str) {
        if line.starts_with('#') {
            return;
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
            "sriov_numvfs" => {
                let ready = port.ready;
                let there = !port.functions.is_empty();
                let (bound, count) = (!port.held, value.parse().unwrap());
                let function = || Function { bound, ..Function::default() };
                port.functions = (0..count).map(|_| function()).collect();
                if !ready {
                    self.complain("the card has no driver yet");
                }
                if there {
                    self.complain("there are functions already");
                }
                if bound {
                    self.complain("functions are bound before they are set up");
                }
            }
            other => panic!("no attribute {other}"),
        }
    }

    fn probe(&mut self, address: &str) {
        let mut found = None;
        for port in self.ports.values_mut() {
            let at = port.addresses.iter().position(|one| one == address);
            if let Some(n) = at.filter(|n| *n < port.functions.len()) {
                found = Some((port.held, port.up, &mut port.functions[n]));
            }
        }
        let what = match found {
            None => format!("there is no {address}"),
            Some((true, ..)) => format!("{address} may not be bound"),
            Some((_, false, _)) => format!("nobody answers {address}"),
            Some((false, true, function)) => {
                function.bound = true;
                match function.mac {
                    Some(_) => return,
                    None => format!("{address} is bound without an address"),
                }
            }
        };
        self.complain(what);
    }

    fn mode(&mut self, device: &str, mode: &str) {
        let address = device.strip_prefix("pci/").unwrap();
        let port = self.ports.get_mut(address).unwrap();
        port.switchdev = mode == "switchdev";
        // An MTU does not survive an interface that is made anew.
        port.mtu = 1500;
        let used = port.functions.iter().any(|f| f.bound);
        let coming = port.functions.iter().any(|f| !f.awaited);
        let late = port.functions.is_empty();
        if used {
            self.complain("the mode changes while functions have drivers");
        }
        if coming {
            self.complain("the mode changes while functions come up");
        }
        if late {
            self.complain("the mode changes before there are functions");
        }
    }

    fn mtu(&mut self, name: &str, mtu: u32) {
        let port = self.ports.values_mut().find(|p| p.name == name).unwrap();
        port.mtu = mtu;
        if port.functions.iter().any(|f| f.bound) {
            self.complain("functions have drivers before the wire has its MTU");
        }
    }

    fn mac(&mut self, name: &str, n: usize, mac: &str) {
        let port = self.ports.values_mut().find(|p| p.name == name).unwrap();
        let what = match port.functions.get_mut(n) {
            None => format!("{name} has no function {n}"),
            Some(function) => {
                function.mac = Some(mac.to_owned());
                match function.bound {
                    false => return,
                    true => "a driver does not see the address".to_owned(),
                }
            }
        };
        self.complain(what);
    }

    /// Returns the functions of a port that are as they should be.
    pub(crate) fn good(&self, port: &str) -> usize {
        let functions = self.ports[port].functions.iter();
        functions.filter(|f| f.awaited && f.bound && f.mac.is_some()).count()
    }
}
