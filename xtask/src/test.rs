//! `cargo xtask test`: every test of the project, on servers of its own.

use crate::postgres::Cluster;
use crate::steps::Steps;
use crate::{Result, packages, promtool, sdks, sh, ui};

/// Names the database server that the tests may fill with databases of their own.
const POSTGRES: &str = "TOLLGATE_TEST_POSTGRES";

/// Names the folder with the SDKs that are tried on the program.
pub(crate) const SDKS: &str = "TOLLGATE_TEST_SDKS";

/// Names the browser that the console is tried in.
pub(crate) const CHROMIUM: &str = "TOLLGATE_TEST_CHROMIUM";

/// Names the Redis that tests start servers of their own with.
const REDIS: &str = "TOLLGATE_TEST_REDIS";

/// Names Prometheus' tool, which is asked about metrics and rules.
const PROMTOOL: &str = "TOLLGATE_TEST_PROMTOOL";

pub(crate) fn run(args: &[String]) -> Result {
    with(args, &[])
}

/// The same with more variables for the tests.
pub(crate) fn with(args: &[String], more: Given<'_>) -> Result {
    let mut steps = Steps::new();
    let outcome = test(&mut steps, args, more);
    steps.table();
    outcome
}

fn test(steps: &mut Steps, args: &[String], more: Given<'_>) -> Result {
    let (url, _cluster) = if let Some(url) = sh::env(POSTGRES) {
        ui::note(&format!("PostgreSQL: the one that {POSTGRES} names"));
        (url, None)
    } else {
        let cluster = steps.run("PostgreSQL", |_| Cluster::start())?;
        (cluster.url.clone(), Some(cluster))
    };
    let sdks = steps.run("SDKs", |_| sdks())?;
    let chromium = steps.run("Chromium", |_| chromium())?;
    let redis = steps.run("Redis", |_| redis())?;
    let promtool = if let Some(tool) = sh::env(PROMTOOL) {
        ui::note(&format!("promtool: the one that {PROMTOOL} names"));
        tool
    } else {
        // Where it cannot be had, the tests that ask it are skipped by name.
        let found = steps.run("promtool", |note| {
            Ok(promtool::ensure().map_err(|why| *note = format!("not there: {why}")).ok())
        })?;
        found.map(|tool| tool.display().to_string()).unwrap_or_default()
    };
    let own = [
        (POSTGRES, url.as_str()),
        (SDKS, sdks.as_str()),
        (CHROMIUM, chromium.as_str()),
        (REDIS, redis.as_str()),
        (PROMTOOL, promtool.as_str()),
    ];
    let given: Vec<_> = own.iter().chain(more).copied().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    steps.run("tests", |note| tests(&args, &given, note))?;
    if args.is_empty() {
        steps.run("doc tests", |note| doc_tests(&given, note))?;
    }
    Ok(())
}

/// The folder with the SDKs: the one that is named, or one where they are installed.
pub(crate) fn sdks() -> Result<String> {
    if let Some(folder) = sh::env(SDKS) {
        ui::note(&format!("SDKs: those that {SDKS} names"));
        return Ok(folder);
    }
    Ok(sdks::ensure()?.display().to_string())
}

/// The browser: the one that is named, or Debian's.
pub(crate) fn chromium() -> Result<String> {
    if let Some(program) = sh::env(CHROMIUM) {
        ui::note(&format!("Chromium: the one that {CHROMIUM} names"));
        return Ok(program);
    }
    Ok(packages::program("chromium", "chromium")?.display().to_string())
}

/// The Redis: the one that is named, or Debian's.
fn redis() -> Result<String> {
    if let Some(program) = sh::env(REDIS) {
        ui::note(&format!("Redis: the one that {REDIS} names"));
        return Ok(program);
    }
    Ok(packages::program("redis-server", "redis-server")?.display().to_string())
}

/// Variables that tell the tests what there is for them.
type Given<'a> = &'a [(&'a str, &'a str)];

fn tests(args: &[&str], given: Given<'_>, note: &mut String) -> Result {
    let nextest = sh::output(&mut sh::cargo(&["nextest", "--version"])).is_ok();
    if !nextest {
        let mut command = sh::cargo(&["test", "--workspace", "--all-targets", "--no-fail-fast"]);
        return counted(command.args(args).envs(given.iter().copied()), note);
    }
    let mut command = sh::cargo(&["nextest", "run", "--workspace"]);
    if sh::in_ci() {
        command.args(["--profile", "ci"]);
    }
    sh::run_watched(command.args(args).envs(given.iter().copied()), &mut |line| {
        // `     Summary [   1.234s] 12 tests run: 12 passed, 0 skipped`
        if let Some(summary) = line.trim_start().strip_prefix("Summary [") {
            summary.split_once(']').map_or("", |(_, rest)| rest).trim().clone_into(note);
        }
    })
}

fn doc_tests(given: Given<'_>, note: &mut String) -> Result {
    counted(
        sh::cargo(&["test", "--doc", "--workspace", "--no-fail-fast"]).envs(given.iter().copied()),
        note,
    )
}

/// Runs cargo's own test runner and adds up its summaries, of which there is one for each program.
fn counted(command: &mut std::process::Command, note: &mut String) -> Result {
    let (mut passed, mut failed, mut seen) = (0, 0, false);
    let outcome = sh::run_watched(command, &mut |line| {
        // `test result: ok. 3 passed; 0 failed; 0 ignored; ...`
        if let Some(result) = line.strip_prefix("test result: ") {
            seen = true;
            passed += count_before(result, " passed");
            failed += count_before(result, " failed");
        }
    });
    if seen {
        *note = format!("{passed} passed, {failed} failed");
    }
    outcome
}

fn count_before(text: &str, word: &str) -> u64 {
    let number = text.split_once(word).and_then(|(before, _)| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
