//! A capture: the same facts as the machine that it is of. It is kept as a
//! fixture of the project where that is asked for.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::inside::Lab;
use crate::judge::{Judge, Results};

/// Captures this host, and reads the facts of it and of the capture.
pub(super) fn run(lab: &Lab) -> Result<()> {
    // Thousands of small writes would take long over a share.
    let capture = "/tmp/capture";
    let json = ["--format", "json"];
    let live = [&["facts", "--capture", capture], &json[..]].concat();
    lab.vmtune("facts.json", &live)?;
    let again = [&["facts", "--host", capture], &json[..]].concat();
    lab.vmtune("facts-capture.json", &again)?;
    let archive = lab.path("capture.tar");
    let archive = archive.to_str().unwrap();
    lab.run("tar", &["tar", "-cf", archive, "-C", "/tmp", "capture"])?;
    Ok(fs::remove_dir_all(capture)?)
}

/// Judges the capture, and keeps it as the shape's.
pub(super) fn judge(
    results: &Results,
    shape: &str,
    judge: &mut Judge,
) -> Result<()> {
    let of = |name| -> Result<Value> { Ok(still(results.json(name)?)) };
    let (live, again) = (of("facts.json")?, of("facts-capture.json")?);
    for (key, value) in live.as_object().context("facts are no object")? {
        judge.same(
            format!("a capture has the same facts: {key}"),
            &again.get(key),
            &Some(value),
        );
    }
    let folder = results.path("capture");
    if !folder.exists() {
        let into = results.path("");
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(results.path("capture.tar")).arg("-C").arg(into);
        ensure!(tar.status()?.success(), "the capture cannot be unpacked");
    }
    let all = all_of(&folder)?;
    let path = env!("CARGO_MANIFEST_DIR");
    let program = std::env::current_exe()?;
    let program = program.file_name().context("a program has a name")?;
    for name in [path, &program.to_string_lossy()] {
        judge.holds(
            "a capture does not name where it was made",
            !all.contains(name),
            || format!("it holds {name:?}"),
        );
    }
    if std::env::var_os("VMTUNE_UPDATE").is_some() {
        keep(&folder, shape)?;
    }
    Ok(())
}

/// Takes out of facts what a capture does not have, and what is another a
/// second later.
fn still(mut facts: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                // They name the machine, or the capture.
                fields.remove("origin");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    /// Addresses are replaced in it, and a question that was not answered
    /// is one that it has no answer of.
    fn unname(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("mac");
                if let Some(why) = fields.get_mut("unknown") {
                    why.take();
                }
                fields.values_mut().for_each(unname);
            }
            Value::Array(items) => items.iter_mut().for_each(unname),
            _ => {}
        }
    }
    strip(&mut facts);
    unname(&mut facts["nics"]);
    unname(&mut facts["open_vswitch"]);
    unname(&mut facts["bridges"]);
    facts["source"].take();
    facts["memory"]["free"].take();
    facts["memory"]["zones"].take();
    // libvirt is asked live, where it runs.
    facts["hypervisor"].take();
    // Names of the machine are replaced in it.
    facts["kernel"]["command_line"].take();
    // The kernel lowers it where it takes too long to sample.
    facts["kernel"]["sysctls"]["kernel.perf_event_max_sample_rate"].take();
    facts
}

/// Returns all names, links and texts below a folder.
fn all_of(folder: &Path) -> Result<String> {
    let mut all = String::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        all += &path.file_name().unwrap_or_default().to_string_lossy();
        if let Ok(target) = fs::read_link(&path) {
            all += &target.to_string_lossy();
        } else if path.is_dir() {
            all += &all_of(&path)?;
        } else {
            all += &String::from_utf8_lossy(&fs::read(&path)?);
        }
        all.push('\n');
    }
    Ok(all)
}

/// Puts a capture where the tests of hosts find it.
fn keep(folder: &Path, shape: &str) -> Result<()> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let to = package.join("tests/hosts/lab").join(shape);
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    fs::create_dir_all(to.parent().context("a path of several parts")?)?;
    let copied = Command::new("cp").arg("-a").arg(folder).arg(&to).status()?;
    ensure!(copied.success(), "{} is not kept", to.display());
    Ok(())
}
