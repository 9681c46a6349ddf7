//! `cargo xtask flames`: where the gateway's time goes, as flame graphs in docs/performance.
//!
//! The program is the release with names and frames; the load is that of `cargo xtask bench`.

mod fold;
mod svg;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::load::Target;
use super::scenario::Scenario;
use super::servers::{Gateway, Providers};
use super::{Tools, Warm};
use crate::janitor::TempDir;
use crate::{Result, packages, sh, ui};

/// How often a second it is looked at what the program does: no multiple of anything that happens in it.
const EACH_SECOND: &str = "997";
const CONNECTIONS: u32 = 32;
const SCENARIOS: [Scenario; 3] = [Scenario::Small, Scenario::Large, Scenario::Stream];

pub(crate) fn run(args: &[String]) -> Result {
    let (mut seconds, mut bins) = (10, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--seconds" => {
                let number: Option<u32> = value.parse().ok().filter(|number| *number > 0);
                seconds = number.ok_or_else(|| format!("{arg} needs a whole number above zero"))?;
            }
            "--bins" => bins = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown option `{arg}`; `cargo xtask help` lists them")),
        }
    }
    let tools = Tools::find()?;
    let perf = packages::program("perf", "linux-perf")?;
    let bins = match bins {
        Some(bins) => bins.canonicalize().map_err(|why| format!("{}: {why}", bins.display()))?,
        None => build()?,
    };
    let dir = TempDir::new(&sh::target_dir()?, "flames")?;
    let providers = Providers::start(&bins, dir.path())?;
    let gateway = Gateway::start(&bins, dir.path(), &providers)?;
    for scenario in SCENARIOS {
        ui::heading(scenario.title());
        let target = Target::gateway(&gateway, scenario, dir.path())?;
        let warm = Warm::up(target, &tools, CONNECTIONS)?;
        let seen = dir.path().join(format!("{}.perf", scenario.name()));
        let stacks = watched(&perf, &warm, &seen, seconds)?;
        let title = format!("{}: where the program's own time goes", scenario.title());
        let svg = svg::draw(&title, &stacks);
        let place = format!("docs/performance/{}.svg", scenario.name());
        let path = sh::root().join(&place);
        std::fs::create_dir_all(sh::root().join("docs/performance"))
            .and_then(|()| std::fs::write(&path, svg))
            .map_err(|why| format!("cannot write {place}: {why}"))?;
        ui::note(&format!("{place}, of {} samples", stacks.total()));
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    ui::heading("build with frames");
    let mut cargo = sh::cargo(&["build", "--profile", "flames", "-p", "gateway", "-p", "testkit"]);
    cargo.env("RUSTFLAGS", "-C force-frame-pointers=yes");
    sh::run(&mut cargo)?;
    Ok(sh::target_dir()?.join("flames"))
}

/// What the program was doing, sample by sample, under load.
fn watched(perf: &Path, warm: &Warm<'_>, seen: &Path, seconds: u32) -> Result<fold::Stacks> {
    let process = warm.target.server.id().to_string();
    let mut record = Command::new(perf);
    record.args([
        "record",
        "-q",
        "-e",
        "cpu-clock:u",
        "-F",
        EACH_SECOND,
        "-g",
        "-p",
        &process,
        "-o",
    ]);
    // Told how long, it ends by itself, and while the load goes on.
    record.arg(seen).args(["--", "sleep", &seconds.to_string()]);
    record.stdin(Stdio::null());
    let mut record = record.spawn().map_err(|why| format!("cannot start perf: {why}"))?;
    warm.load(seconds + 1)?;
    let done = record.wait().map_err(|why| format!("perf: {why}"))?;
    if !done.success() {
        return Err("perf has recorded nothing; see kernel.perf_event_paranoid".to_owned());
    }
    let mut script = Command::new(perf);
    script.args(["script", "--no-inline", "-F", "ip,sym", "-i"]).arg(seen);
    Ok(fold::read(&sh::output(&mut script)?))
}
