//! `cargo xtask lint`: everything that can be said about the sources without running them.

use crate::steps::Steps;
use crate::{Result, no_arguments, sh};

const ADVISORIES: &str = "--advisories";

pub(crate) fn run(args: &[String]) -> Result {
    let advisories = args.iter().any(|arg| arg == ADVISORIES);
    let rest: Vec<String> = args.iter().filter(|arg| *arg != ADVISORIES).cloned().collect();
    no_arguments(&rest)?;

    let mut steps = Steps::new();
    let outcome = lint(&mut steps, advisories);
    steps.table();
    outcome
}

fn lint(steps: &mut Steps, advisories: bool) -> Result {
    steps.program("format", &mut sh::cargo(&["fmt", "--all", "--check"]))?;
    steps.program(
        "clippy",
        &mut sh::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    )?;
    let mut doc = sh::cargo(&["doc", "--no-deps", "--document-private-items", "--workspace"]);
    steps.program("documentation", doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    if sh::output(&mut sh::cargo(&["deny", "--version"])).is_err() {
        // It has seconds of work, and takes minutes to be made fast.
        let install = ["install", "cargo-deny", "--locked", "--debug"];
        steps.program("install cargo-deny", &mut sh::cargo(&install))?;
    }
    steps.program(
        "dependencies",
        &mut sh::cargo(&["deny", "check", "bans", "licenses", "sources"]),
    )?;
    if advisories {
        steps.program("advisories", &mut sh::cargo(&["deny", "check", "advisories"]))?;
    }
    Ok(())
}
