//! `fuzz [TARGET...] [--inputs N] [--seed S]`, which `cargo xtask fuzz` builds and starts.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use fuzz::corpus::{Input, Kind};
use fuzz::run::{Options, Report, run};
use fuzz::targets::{TARGETS, Target};

struct Asked {
    targets: Vec<Target>,
    options: Options,
    /// An input that was kept, to be tried again.
    again: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match asked(&args).and_then(|asked| all(&asked)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    // Nobody may be reading any more.
    drop(writeln!(std::io::stdout(), "{line}"));
}

fn asked(args: &[String]) -> anyhow::Result<Asked> {
    let mut asked =
        Asked { targets: Vec::new(), options: Options { inputs: 1_000_000, seed: 1 }, again: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || -> anyhow::Result<u64> {
            let text = args.next().with_context(|| format!("{arg} needs a number"))?;
            text.replace('_', "").parse().with_context(|| format!("{text} is no number"))
        };
        match arg.as_str() {
            "--inputs" => asked.options.inputs = number()?,
            "--seed" => asked.options.seed = number()?,
            "--again" => {
                let path = args.next().context("--again needs a file of target/fuzz")?;
                asked.again = Some(PathBuf::from(path));
            }
            name => {
                let names = TARGETS.map(|target| target.name).join(", ");
                let target = Target::find(name);
                asked.targets.push(target.with_context(|| format!("{name} is none of {names}"))?);
            }
        }
    }
    if asked.targets.is_empty() {
        asked.targets.extend(TARGETS);
    }
    Ok(asked)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz")
}

/// Whether nothing failed.
fn all(asked: &Asked) -> anyhow::Result<bool> {
    if let Some(path) = &asked.again {
        return again(path);
    }
    let mut fine = true;
    for target in &asked.targets {
        let mut told = Duration::ZERO;
        let report = run(*target, asked.options, &mut |tried, time| {
            if time > told + Duration::from_secs(10) {
                told = time;
                say(&line(target, tried, time));
            }
        })?;
        say(&format!(
            "{}, {} outcomes, slowest {:.1?}",
            line(target, report.inputs, report.time),
            report.kept,
            report.slowest
        ));
        fine &= well(target, &report)?;
    }
    Ok(fine)
}

fn line(target: &Target, inputs: u64, time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = inputs.saturating_mul(1000) / millis;
    format!("{:16} {inputs:>9} inputs in {:>5} s, {rate:>6} a second", target.name, time.as_secs())
}

fn well(target: &Target, report: &Report) -> anyhow::Result<bool> {
    let Some(failure) = &report.failure else { return Ok(true) };
    let path = failure.save(&folder(), target)?;
    say(&format!("{} fails: {}\n  kept in {}", target.name, failure.what, path.display()));
    Ok(false)
}

/// Tries an input that was kept, whose name tells the target.
fn again(path: &Path) -> anyhow::Result<bool> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut parts = name.split('.');
    let target =
        parts.next().and_then(Target::find).context("the file's name begins with no target")?;
    let kind = parts.next().unwrap_or_default();
    let kind =
        [Kind::Request, Kind::Answer, Kind::Stream].into_iter().find(|one| one.name() == kind);
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let input = Input { kind: kind.context("the file's name says not what it is")?, bytes };
    match target.run(&input) {
        Ok(_) => {
            say("passes");
            Ok(true)
        }
        Err(what) => {
            say(&format!("fails: {what}"));
            Ok(false)
        }
    }
}
