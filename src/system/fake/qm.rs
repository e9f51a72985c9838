//! What `qm set` makes of a definition, for tests: as strict as Proxmox, and
//! step by step, so that it can be cut off in the middle.
//!
//! Proxmox reads the text into hashes and writes them sorted, comments first.
//! It writes once for each key that is set or taken away: into `[PENDING]`,
//! which it then empties into the main part, unless the VM runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{ConfDigest, Vmid};

/// The keys that this Proxmox knows; a number may follow those that end in
/// `*`.
const KNOWN: [&str; 27] = [
    "affinity",
    "agent",
    "args",
    "balloon",
    "bios",
    "boot",
    "cores",
    "cpu",
    "cpuunits",
    "hookscript",
    "hostpci*",
    "hotplug",
    "hugepages",
    "lock",
    "machine",
    "memory",
    "meta",
    "name",
    "net*",
    "numa",
    "numa*",
    "onboot",
    "ostype",
    "scsi*",
    "smbios1",
    "sockets",
    "vcpus",
];

/// One part of a definition, as Proxmox holds it.
type Part = BTreeMap<String, String>;

/// A definition as Proxmox holds it.
#[derive(Debug, Clone, Default)]
struct Held {
    notes: Vec<String>,
    main: Part,
    pending: Part,
    deleted: BTreeSet<String>,
    /// Other sections, with their names.
    others: BTreeMap<String, String>,
}

/// Returns the texts that `qm set` writes one after the other, the last of
/// which stays. `words` are the program and its arguments.
///
/// # Errors
/// What Proxmox says where it refuses; then it has written nothing.
pub fn texts(
    vmid: Vmid,
    text: &str,
    running: bool,
    words: &[String],
) -> Result<Vec<String>, String> {
    let asked = Asked::read(vmid, words)?;
    if asked.digest.as_deref() != Some(&*ConfDigest::of(text).to_string()) {
        return Err("checksum mismatch (file change by other user?)".into());
    }
    let mut held = Held::read(text);
    if let Some(lock) = held.main.get("lock") {
        return Err(format!("VM is locked ({lock})"));
    }
    let (mut set, mut delete) = (asked.set, asked.delete);
    for key in asked.revert {
        match held.main.get(&key) {
            Some(value) => {
                set.insert(key, value.clone());
            }
            None if held.pending.contains_key(&key) => delete.push(key),
            None => {}
        }
    }
    let mut texts = Vec::new();
    for key in delete {
        let known = held.main.contains_key(&key);
        if held.pending.remove(&key).is_some() || known {
            held.deleted.insert(key);
            texts.push(held.write());
        }
    }
    for (key, value) in set {
        held.deleted.remove(&key);
        held.pending.insert(key, value);
        texts.push(held.write());
    }
    held.tidy();
    if !running {
        held.start();
    }
    texts.push(held.write());
    Ok(texts)
}

/// What a command line asks for.
struct Asked {
    set: Part,
    delete: Vec<String>,
    revert: Vec<String>,
    digest: Option<String>,
}

impl Asked {
    fn read(vmid: Vmid, words: &[String]) -> Result<Self, String> {
        let (start, options) = words.split_at(words.len().min(3));
        if start != ["qm", "set", &vmid.to_string()] {
            return Err(format!("unknown command {start:?}"));
        }
        let (set, digest) = (Part::new(), None);
        let (delete, revert) = (Vec::new(), Vec::new());
        let mut asked = Self { set, delete, revert, digest };
        for pair in options.chunks(2) {
            let [option, value] = pair else {
                return Err(format!("Option {pair:?} requires an argument"));
            };
            let key = option.strip_prefix("--").unwrap_or_default();
            let list = || value.split(',').map(str::to_owned);
            match key {
                "delete" => asked.delete.extend(list()),
                "revert" => asked.revert.extend(list()),
                "digest" => asked.digest = Some(value.clone()),
                _ if !is_known(key) => {
                    return Err(format!("Unknown option: {key}"));
                }
                _ if value.trim() != value || value.contains(['\n', '\0']) => {
                    return Err(format!("{key}: value does not look right"));
                }
                _ if asked.set.contains_key(key) => {
                    return Err(format!(
                        "{key}: type check failed - got ARRAY"
                    ));
                }
                _ => {
                    asked.set.insert(key.into(), value.clone());
                }
            }
        }
        let mut seen: BTreeSet<&String> = asked.set.keys().collect();
        for key in asked.delete.iter().chain(&asked.revert) {
            if !is_known(key) {
                return Err(format!("unknown option '{key}'"));
            }
            if !seen.insert(key) {
                return Err(format!("you can't use '-{key}' and more"));
            }
        }
        match asked.set.is_empty() && seen.is_empty() {
            true => Err("no options specified".into()),
            false => Ok(asked),
        }
    }
}

fn is_known(key: &str) -> bool {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    KNOWN.iter().any(|known| match known.strip_suffix('*') {
        Some(known) => known == stem && stem.len() < key.len(),
        None => *known == key,
    })
}

impl Held {
    fn read(text: &str) -> Self {
        let mut held = Self::default();
        let mut section = String::new();
        for line in text.lines().map(str::trim_end) {
            let named =
                line.strip_prefix('[').and_then(|l| l.strip_suffix(']'));
            if let Some(name) = named {
                section = name.to_owned();
                continue;
            }
            if line.is_empty() {
                continue;
            }
            match (section.as_str(), line.split_once(':')) {
                ("", _) if line.starts_with('#') => {
                    held.notes.push(line.to_owned());
                }
                ("" | "PENDING", Some((key, value))) => {
                    held.line(&section, key, value.trim());
                }
                ("" | "PENDING", None) => {}
                (name, _) => {
                    let other = held.others.entry(name.to_owned());
                    *other.or_default() += &format!("{line}\n");
                }
            }
        }
        held
    }

    fn line(&mut self, section: &str, key: &str, value: &str) {
        // What Proxmox does not know it drops.
        let part = match section {
            "" => &mut self.main,
            _ if key == "delete" => {
                let keys = value.split(',').map(str::to_owned);
                return self.deleted.extend(keys);
            }
            _ => &mut self.pending,
        };
        if is_known(key) && !value.is_empty() {
            part.insert(key.to_owned(), value.to_owned());
        }
    }

    /// Takes away what waits and changes nothing.
    fn tidy(&mut self) {
        let main = &self.main;
        self.pending.retain(|key, value| main.get(key) != Some(value));
        self.deleted.retain(|key| main.contains_key(key));
    }

    /// Does what waits for the next start.
    fn start(&mut self) {
        for key in std::mem::take(&mut self.deleted) {
            self.main.remove(&key);
        }
        self.main.append(&mut self.pending);
    }

    fn write(&self) -> String {
        let mut text: String =
            self.notes.iter().map(|note| format!("{note}\n")).collect();
        let lines = |part: &Part| -> String {
            part.iter().map(|(key, v)| format!("{key}: {v}\n")).collect()
        };
        text += &lines(&self.main);
        let mut pending = self.pending.clone();
        if !self.deleted.is_empty() {
            let keys: Vec<_> = self.deleted.iter().cloned().collect();
            pending.insert("delete".to_owned(), keys.join(","));
        }
        if !pending.is_empty() {
            text += &format!("\n[PENDING]\n{}", lines(&pending));
        }
        for (name, other) in &self.others {
            text += &format!("\n[{name}]\n{other}");
        }
        text
    }
}

/// Returns the definition as it is once the VM was stopped and started.
#[must_use]
pub fn started(text: &str) -> String {
    let mut held = Held::read(text);
    held.tidy();
    held.start();
    held.write()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#notes\nballoon: 512\ncores: 2\nmemory: 1024\n\
                        \n[snap]\ncores: 2\n";

    fn qm(text: &str, running: bool, options: &str) -> Result<String, String> {
        let vmid = "101".parse().unwrap();
        let digest = ConfDigest::of(text);
        let words = format!("qm set 101 {options} --digest {digest}");
        let words: Vec<_> =
            words.split_whitespace().map(str::to_owned).collect();
        let texts = texts(vmid, text, running, &words)?;
        Ok(texts.last().unwrap().clone())
    }

    #[test]
    fn values_wait_for_a_vm_that_runs() {
        let options = "--cores 4 --delete balloon";
        let set = qm(TEXT, false, options).unwrap();
        let now = "#notes\ncores: 4\nmemory: 1024\n\n[snap]\ncores: 2\n";
        assert_eq!(set, now);
        let waits = qm(TEXT, true, options).unwrap();
        assert_eq!(
            waits,
            "#notes\nballoon: 512\ncores: 2\nmemory: 1024\n\n[PENDING]\n\
             cores: 4\ndelete: balloon\n\n[snap]\ncores: 2\n"
        );
        assert_eq!(started(&waits), now);
        let back = qm(&waits, true, "--revert cores,balloon").unwrap();
        assert_eq!(back, TEXT);
        let back = qm(&waits, true, "--cores 2 --balloon 512").unwrap();
        assert_eq!(back, TEXT);
    }

    #[test]
    fn what_proxmox_refuses_is_refused() {
        for (options, expected) in [
            ("--nothing 1", "Unknown option: nothing"),
            ("--cores", "Option"),
            ("--delete numa,nothing", "unknown option 'nothing'"),
            ("--cores 1 --delete cores", "you can't use"),
            ("--cores 1 --cores 2", "cores: type check"),
            ("", "no options"),
        ] {
            let error = qm(TEXT, false, options).unwrap_err();
            assert!(error.starts_with(expected), "{options}: {error}");
        }
        let locked = TEXT.replace("cores: 2\nm", "cores: 2\nlock: backup\nm");
        let error = qm(&locked, false, "--cores 4").unwrap_err();
        assert_eq!(error, "VM is locked (backup)");
        let words = ["qm", "set", "101", "--cores", "4", "--digest", "0"];
        let words = words.map(str::to_owned);
        let error =
            texts("101".parse().unwrap(), TEXT, false, &words).unwrap_err();
        assert!(error.starts_with("checksum mismatch"), "{error}");
    }
}
