//! The half of the lab that runs in its hosts.

mod agent;
pub(crate) mod cards;
mod libvirtd;
pub(crate) mod loader;
pub(crate) mod rdma;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::scenarios;

pub(crate) use libvirtd::print_start as print_libvirtd_start;

/// Where a host sees the folder that everything comes back in.
const OUT: &str = "/lab/out";

/// What a host is started for.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    pub(crate) shape: String,
    pub(crate) scenarios: Vec<String>,
    /// How often this host was started before.
    pub(crate) boot: u32,
    /// What shall be done wrong.
    pub(crate) fault: Option<String>,
}

/// How a host's life ended. It is written last: where it is absent, the host
/// has not come to its end.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Ending {
    /// All scenarios have run.
    Done,
    /// The host shall start again, with these arguments for its kernel.
    Again { arguments: String },
    /// A scenario could not go on.
    Failed { scenario: String, why: String },
}

impl Ending {
    /// The file that holds it.
    pub(crate) const FILE: &str = "ending.json";
}

/// A lab host, as seen by a scenario in it.
pub(crate) struct Lab {
    dir: PathBuf,
    /// The name of its shape.
    pub(crate) shape: String,
    /// How often it was started before.
    pub(crate) boot: u32,
    fault: Option<String>,
}

impl Lab {
    /// Whether the scenario shall do this wrong.
    pub(crate) fn does_wrong(&self, fault: &str) -> bool {
        self.fault.as_deref() == Some(fault)
    }

    /// Runs a program that must succeed; its output is kept under `name` and
    /// returned.
    pub(crate) fn run(&self, name: &str, line: &[&str]) -> Result<String> {
        let (code, text) = self.try_run(name, line)?;
        if code != 0 {
            let errors =
                fs::read_to_string(self.dir.join(format!("{name}.err")));
            bail!("{line:?} ended with {code}:\n{}{text}", errors?);
        }
        Ok(text)
    }

    /// Runs a program, keeps its output as `name` and `name.err`, and returns
    /// its exit code and output.
    pub(crate) fn try_run(
        &self,
        name: &str,
        line: &[&str],
    ) -> Result<(i32, String)> {
        let start = Instant::now();
        let out = self.dir.join(name);
        let err = self.dir.join(format!("{name}.err"));
        let status = Command::new(line[0])
            .args(&line[1..])
            .stdin(Stdio::null())
            .stdout(fs::File::create(&out)?)
            .stderr(fs::File::create(&err)?)
            .status()
            .with_context(|| format!("starting {}", line[0]))?;
        let text = String::from_utf8_lossy(&fs::read(&out)?).into_owned();
        let code = status.code().unwrap_or(-1);
        let seconds = start.elapsed().as_secs_f32();
        say(&format!("{seconds:5.1} s  {code}  {}", line.join(" ")));
        Ok((code, text))
    }

    /// Runs vmtune, as an administrator would; it must succeed.
    pub(crate) fn vmtune(&self, name: &str, line: &[&str]) -> Result<String> {
        self.run(name, &[&["/lab/programs/vmtune"], line].concat())
    }

    /// Runs vmtune and returns its exit code and output.
    pub(crate) fn try_vmtune(
        &self,
        name: &str,
        line: &[&str],
    ) -> Result<(i32, String)> {
        self.try_run(name, &[&["/lab/programs/vmtune"], line].concat())
    }

    /// Starts a program that goes on by itself; its output is kept.
    pub(crate) fn start(
        &self,
        name: &str,
        line: &[&str],
    ) -> Result<std::process::Child> {
        say(&format!("     +  -  {}", line.join(" ")));
        let file = fs::File::create(self.dir.join(name))?;
        Command::new(line[0])
            .args(&line[1..])
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {}", line[0]))
    }

    /// Keeps a text for the judge.
    pub(crate) fn keep(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.dir.join(name), text)
            .with_context(|| format!("keeping {name}"))
    }

    /// Keeps a value for the judge, as JSON.
    pub(crate) fn keep_json(
        &self,
        name: &str,
        value: &impl Serialize,
    ) -> Result<()> {
        self.keep(name, &serde_json::to_string_pretty(value)?)
    }

    /// Returns where a file of the scenario's is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Has the host start again after this scenario, with these arguments for
    /// its kernel besides those that the lab needs. Its disk is kept, and the
    /// scenario runs again with `boot` one higher.
    pub(crate) fn start_again(&self, arguments: &str) -> Result<()> {
        self.keep("again", arguments)
    }
}

/// Writes a file of the kernel's.
pub(crate) fn set(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("writing {value} to {path}"))
}

/// Reads a file of the kernel's, without the end of its line.
pub(crate) fn get(path: &str) -> Result<String> {
    let text = fs::read_to_string(path);
    Ok(text.with_context(|| format!("reading {path}"))?.trim_end().to_owned())
}

/// Waits until something is there; it is asked several times a second.
pub(crate) fn wait<T>(
    what: &str,
    seconds: u64,
    mut there: impl FnMut() -> Option<T>,
) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = there() {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Prints a line to the console, with the time since the host was started.
pub(crate) fn say(text: &str) {
    let uptime = get("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split(' ').next().unwrap_or_default();
    println!("lab {uptime:>7}: {text}");
}

/// Fails anywhere but in a lab host: what is done there would make a mess of
/// a machine.
pub(crate) fn ensure_lab_host() -> Result<()> {
    let ours = get("/proc/cmdline")?.contains(" lab.program=");
    ensure!(ours, "this is no lab host");
    Ok(())
}

/// Runs what the host was started for.
pub(crate) fn run() -> Result<()> {
    ensure_lab_host()?;
    let out = Path::new(OUT);
    let job = fs::read_to_string(out.join("job.json"))?;
    let job: Job = serde_json::from_str(&job)?;
    let ending = run_all(out, &job)?;
    // Renamed, so that it is there whole or not at all.
    fs::write(out.join("ending.tmp"), serde_json::to_string(&ending)?)?;
    fs::rename(out.join("ending.tmp"), out.join(Ending::FILE))?;
    Ok(())
}

fn run_all(out: &Path, job: &Job) -> Result<Ending> {
    let mut again = None;
    for name in &job.scenarios {
        let scenario = scenarios::find(name)
            .with_context(|| format!("there is no scenario {name:?}"))?;
        let dir = out.join(name);
        fs::create_dir_all(&dir)?;
        let (boot, fault) = (job.boot, job.fault.clone());
        let shape = job.shape.clone();
        let lab = Lab { dir: dir.clone(), shape, boot, fault };
        say(&format!("the scenario {name} begins"));
        let start = Instant::now();
        if let Err(error) = (scenario.run)(&lab) {
            let why = format!("{error:#}");
            say(&format!("the scenario {name} failed: {why}"));
            return Ok(Ending::Failed { scenario: name.clone(), why });
        }
        let seconds = start.elapsed().as_secs().to_string();
        lab.keep(&format!("seconds.{boot}"), &seconds)?;
        if let Ok(arguments) = fs::read_to_string(dir.join("again")) {
            fs::remove_file(dir.join("again"))?;
            again = Some(arguments);
        }
    }
    Ok(match again {
        Some(arguments) => Ending::Again { arguments },
        None => Ending::Done,
    })
}
