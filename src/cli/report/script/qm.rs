//! What a script does to a VM of Proxmox.

use super::quoted;
use crate::base::Vmid;
use crate::definition::conf::{Conf, ConfError};
use crate::model::{Change, Target};

/// Returns the command that gives a VM the values that its new definition
/// has; `None` where nothing of it changes. A value is set as a whole, for
/// Proxmox has no command for one property of it.
///
/// # Errors
/// When the new definition cannot be read.
pub(super) fn command(
    vmid: Vmid,
    changes: &[&Change],
    definition: &str,
) -> Result<Option<String>, ConfError> {
    let conf = Conf::parse(definition)?;
    let mut keys: Vec<&str> = changes
        .iter()
        .filter_map(|change| match &change.target {
            Target::Conf(path) => Some(path.key()),
            _ => None,
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(None);
    }
    let mut command = format!("qm set {vmid}");
    for key in &keys {
        if let Some(value) = conf.value(key) {
            command += &format!(" \\\n  --{key} {}", quoted(value));
        }
    }
    let gone: Vec<_> =
        keys.iter().copied().filter(|key| conf.value(key).is_none()).collect();
    if !gone.is_empty() {
        command += &format!(" \\\n  --delete {}", quoted(&gone.join(",")));
    }
    Ok(Some(command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stage;

    fn change(target: &str) -> Change {
        Change {
            rule: "numa-cells".to_owned(),
            vm: Some("vm101".to_owned()),
            target: target.parse().unwrap(),
            from: None,
            to: None,
            because: String::new(),
            stage: Stage::VmStart,
            trade: None,
        }
    }

    #[test]
    fn whole_values_are_set_and_keys_deleted() {
        let vmid = "101".parse().unwrap();
        let changes = ["numa0/cpus", "numa0/memory", "hugepages"].map(change);
        let changes: Vec<_> = changes.iter().collect();
        let text = "name: a\nnuma0: cpus=0-1;4,memory=512\n";
        let command = command(vmid, &changes, text).unwrap().unwrap();
        let expected = "qm set 101 \\\n  --numa0 'cpus=0-1;4,memory=512' \\\n  \
                        --delete 'hugepages'";
        assert_eq!(command, expected);
    }
}
