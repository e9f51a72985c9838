//! Starts hosts, waits for them, and has judged what came back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::arguments::{self, Run, Wish};
use crate::inside::{self, Ending, Job};
use crate::judge::{Judge, Results};
use crate::kernel::Kernel;
use crate::qemu::{self, Places, Start};
use crate::shape::Shape;
use crate::{boot, guest, needs};

/// What QEMU itself says.
const LOG: &str = "qemu.log";
/// How long a host may take to start, in seconds, on a busy machine.
const BOOT: u64 = 180;
/// How often a host may start again.
const BOOTS: u32 = 4;
/// What the host's kernel says, and what runs in it.
const CONSOLE: &str = "console.log";
/// How often QEMU is started that stops before the kernel begins: emulated
/// firmware that moves devices about trips it up.
const STARTS: u32 = 6;
/// How often a run is repeated where the emulator had a fault.
const REPEATS: u32 = 2;
/// What emulation does now and then: it loses a CPU for seconds, or QEMU
/// stops at an assertion of its own, mostly before the kernel says a word.
const EMULATOR_FAULTS: [&str; 5] =
    ["BUG: ", "rcu: INFO", "Assertion", "soft lockup", "Kernel panic"];

/// What a kernel says that has lost a CPU to the emulator.
const LOST: [&str; 2] = ["rcu: INFO", "soft lockup"];

/// Does what was asked for; false where something did not hold.
pub(crate) fn fulfil(wish: &Wish) -> Result<bool> {
    match wish {
        Wish::Inside => inside::run().map(|()| true),
        Wish::Libvirtd => inside::print_libvirtd_start().map(|()| true),
        Wish::List => arguments::print_list().map(|()| true),
        Wish::Names => arguments::print_names().map(|()| true),
        Wish::Usage => {
            arguments::print_usage();
            Ok(true)
        }
        Wish::Kernel => kernel(),
        Wish::Shell(shape) => shell(&Shape::read(shape)?),
        Wish::Run(runs) => run_all(runs),
    }
}

/// The folder for what is kept, below the one that Cargo gives to tests.
fn cache() -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab");
    fs::create_dir_all(&path)?;
    Ok(path.canonicalize()?)
}

fn places() -> Result<Places> {
    let cache = cache()?;
    let kernel = Kernel::get(&cache)?;
    let archive = boot::archive(&cache, &kernel)?;
    let vmtune = Path::new(env!("CARGO_BIN_EXE_vmtune")).canonicalize()?;
    let programs = vmtune.parent().context("vmtune is in no folder")?;
    Ok(Places { kernel, archive, programs: programs.to_owned(), cache })
}

fn wish() -> String {
    std::env::var("VMTUNE_LAB").unwrap_or_default()
}

/// Says why the lab cannot be used, if so. A test run downloads nothing;
/// `VMTUNE_LAB=require` is for who wants that too.
fn unusable() -> Result<Option<String>> {
    let wish = wish();
    let lack = match wish.as_str() {
        "skip" => return Ok(Some("VMTUNE_LAB=skip".into())),
        "require" => needs::lack(),
        "" => {
            let no_kernel = Kernel::cached(&cache()?)?.is_none();
            needs::lack().or_else(|| {
                no_kernel.then(|| "no kernel yet: `make lab` fetches it".into())
            })
        }
        other => bail!("VMTUNE_LAB={other}: it is \"skip\" or \"require\""),
    };
    match lack {
        Some(lack) if wish == "require" => bail!("the lab is required: {lack}"),
        lack => Ok(lack),
    }
}

fn kernel() -> Result<bool> {
    // The word may be meant for other tests, and 100 MB are too much then.
    if wish() == "require" {
        Kernel::get(&cache()?)?;
    } else {
        println!("skipped, the kernel: VMTUNE_LAB=require fetches it");
    }
    Ok(true)
}

fn shell(shape: &Shape) -> Result<bool> {
    if let Some(lack) = needs::lack() {
        bail!(lack);
    }
    let places = places()?;
    let out = tempfile::tempdir()?;
    let disk = out.path().join("disk");
    if shape.systemd {
        qemu::disk(&disk)?;
    }
    if shape.svm {
        guest::archive(&places.cache, &places.kernel)?;
    }
    let start = Start {
        out: out.path(),
        disk: shape.systemd.then_some(disk.as_path()),
        arguments: "",
        shell: true,
    };
    eprintln!("lab: {}: {}", shape.name, shape.about);
    eprintln!("lab: it starts, which takes some 15 s");
    let log = fs::File::create(out.path().join(LOG))?;
    let status = qemu::command(shape, &places, &start)?.stderr(log).status()?;
    if !status.success() {
        bail!("QEMU has failed: {}", last_line(out.path())?);
    }
    Ok(true)
}

/// Returns the last thing that QEMU said.
fn last_line(dir: &Path) -> Result<String> {
    let log = fs::read_to_string(dir.join(LOG))?;
    Ok(log.lines().next_back().unwrap_or_default().to_owned())
}

fn run_all(runs: &[Run]) -> Result<bool> {
    if runs.is_empty() {
        println!("lab: nothing here is called that");
        return Ok(true);
    }
    if let Some(lack) = unusable()? {
        println!("skipped, the lab: {lack}");
        return Ok(true);
    }
    let places = places()?;
    let start = Instant::now();
    let (mut checks, mut faults) = (0, 0);
    for run in runs {
        let dir = places.cache.join("runs").join(run.name());
        let shape = Shape::read(&run.shape)?;
        println!("{}: {}", shape.name, shape.about);
        let boot_start = Instant::now();
        let done = with_retry(run, &shape, &places, &dir);
        let judged = match done.and_then(|()| judged(run, &dir)) {
            Ok(judged) => judged,
            Err(error) => {
                println!("  FAIL  {error:#}\n        see {}", dir.display());
                faults += 1;
                continue;
            }
        };
        println!("  {} s in all\n", boot_start.elapsed().as_secs());
        checks += judged.0;
        faults += judged.1;
    }
    let seconds = start.elapsed().as_secs();
    println!("lab: {checks} checks, {faults} faults, {seconds} s");
    Ok(faults == 0)
}

/// Judges a run; returns how many checks were made, and how many faults are
/// to be told of. Where a fault was made on purpose, that is when it was not
/// found.
fn judged(run: &Run, dir: &Path) -> Result<(usize, usize)> {
    let (mut checks, mut faults) = (0, 0);
    for scenario in &run.scenarios {
        let dir = dir.join(scenario.name);
        let mut judge = Judge::default();
        (scenario.judge)(&Results::new(&dir), &mut judge)
            .with_context(|| format!("judging {}", dir.display()))?;
        println!("  {}, {} s", scenario.name, seconds(&dir)?);
        let found: Vec<_> =
            judge.checks.iter().filter(|c| c.fault.is_some()).collect();
        if let Some(fault) = run.fault {
            let by = found.iter().find(|c| c.what.starts_with(fault.found_by));
            match by {
                Some(check) => {
                    println!("    found {}: {}", fault.name, check.what);
                }
                None => println!("    FAIL  {} was not found", fault.name),
            }
            checks += 1;
            faults += usize::from(by.is_none());
            continue;
        }
        for check in &judge.checks {
            match &check.fault {
                None => println!("    ok    {}", check.what),
                Some(fault) => {
                    println!("    FAIL  {}\n    {fault}", check.what);
                }
            }
        }
        if judge.checks.is_empty() {
            bail!("the scenario {} checks nothing", scenario.name);
        }
        checks += judge.checks.len();
        faults += found.len();
    }
    Ok((checks, faults))
}

/// Returns how long a scenario took, over all starts of its host.
fn seconds(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for boot in 0..BOOTS {
        if let Ok(text) =
            fs::read_to_string(dir.join(format!("seconds.{boot}")))
        {
            sum += text.trim().parse::<u64>()?;
        }
    }
    Ok(sum)
}

fn with_retry(
    run: &Run,
    shape: &Shape,
    places: &Places,
    dir: &Path,
) -> Result<()> {
    for repeat in 1..=REPEATS {
        let Err(error) = host(run, shape, places, dir) else { return Ok(()) };
        let console = fs::read_to_string(dir.join(CONSOLE))?
            + &fs::read_to_string(dir.join(LOG))?;
        let fault = EMULATOR_FAULTS.into_iter().find(|f| console.contains(f));
        let fault = fault.map(|fault| format!("its log has {fault:?}"));
        let silent = error.is::<Silent>().then(|| error.to_string());
        let Some(why) = silent.or(fault) else { return Err(error) };
        println!("  once more, for the emulator had a fault: {why}");
        let kept = dir.with_extension(repeat.to_string());
        let _ = fs::remove_dir_all(&kept);
        fs::rename(dir, &kept)?;
    }
    host(run, shape, places, dir)
}

/// A host that has not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Silent(String);

/// Starts a host until it does not want to start again.
fn host(run: &Run, shape: &Shape, places: &Places, dir: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    let disk = dir.join("disk");
    if shape.systemd {
        qemu::disk(&disk)?;
    }
    if shape.svm {
        guest::archive(&places.cache, &places.kernel)?;
    }
    let mut more = String::new();
    for boot in 0..BOOTS {
        let job = Job {
            shape: shape.name.clone(),
            scenarios: run.scenarios.iter().map(|s| s.name.into()).collect(),
            boot,
            fault: run.fault.map(|fault| fault.name.into()),
        };
        fs::write(dir.join("job.json"), serde_json::to_string(&job)?)?;
        let start = Start {
            out: dir,
            disk: shape.systemd.then_some(disk.as_path()),
            arguments: &more,
            shell: false,
        };
        let patience: u64 = run.scenarios.iter().map(|s| s.patience).sum();
        let patience = Duration::from_secs(BOOT + patience);
        boots(shape, places, &start, patience)?;
        let ending = fs::read_to_string(dir.join(Ending::FILE));
        let _ = fs::remove_file(dir.join(Ending::FILE));
        let ending = ending.map_err(|_| {
            Silent("the host ended before its scenarios did".into())
        })?;
        match serde_json::from_str(&ending)? {
            Ending::Done => {
                let _ = fs::remove_file(&disk);
                return Ok(());
            }
            Ending::Again { arguments } => more = arguments,
            Ending::Failed { scenario, why } => bail!("{scenario}: {why}"),
        }
    }
    bail!("the host wants to start more than {BOOTS} times")
}

/// How long a kernel may take to say its first word, on a busy machine. One
/// was seen to hang before it for ever, with idle CPUs.
const FIRST_WORD: Duration = Duration::from_secs(150);

/// Starts QEMU and waits for its end. Where it stops, or hangs, before the
/// kernel has said a word, nothing has begun yet, and it is started again.
fn boots(
    shape: &Shape,
    places: &Places,
    start: &Start<'_>,
    patience: Duration,
) -> Result<()> {
    let console = start.out.join(CONSOLE);
    let said = || fs::metadata(&console).map_or(0, |file| file.len());
    for _ in 1..STARTS {
        let before = said();
        let done = boot_once(shape, places, start, patience);
        let Err(error) = &done else { return done };
        let fault =
            error.is::<Silent>() || last_line(start.out)?.contains("Assertion");
        if said() > before || !fault {
            return done;
        }
        println!("  started again: QEMU stopped before the kernel began");
    }
    boot_once(shape, places, start, patience)
}

fn boot_once(
    shape: &Shape,
    places: &Places,
    start: &Start<'_>,
    patience: Duration,
) -> Result<()> {
    let mut child = qemu::spawn(shape, places, start)?;
    let ended = wait(&mut child, &start.out.join(CONSOLE), patience);
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    if !ended?.success() {
        bail!("QEMU has failed: {}", last_line(start.out)?);
    }
    Ok(())
}

/// Waits for QEMU's end. A host that has lost a CPU comes to no end, or
/// does so an hour later: it is given up as soon as its console says so.
fn wait(
    child: &mut Child,
    console: &Path,
    patience: Duration,
) -> Result<ExitStatus> {
    let start = Instant::now();
    let end = start + patience;
    let before = fs::metadata(console).map_or(0, |file| file.len());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > end {
            let seconds = patience.as_secs();
            return Err(Silent(format!("no end within {seconds} s")).into());
        }
        let said = fs::read(console).unwrap_or_default();
        if said.len() as u64 <= before && start.elapsed() > FIRST_WORD {
            let seconds = FIRST_WORD.as_secs();
            let text = format!("its kernel said nothing for {seconds} s");
            return Err(Silent(text).into());
        }
        let said = String::from_utf8_lossy(&said);
        if let Some(fault) = LOST.iter().find(|fault| said.contains(**fault)) {
            let text = format!("its console has {fault:?}");
            return Err(Silent(text).into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
