//! `cargo xtask ci`: what must pass before a change is taken.

use crate::steps::Steps;
use crate::{Result, no_arguments, sh};

pub(crate) fn run(args: &[String]) -> Result {
    no_arguments(args)?;
    let mut steps = Steps::new();
    let outcome = ci(&mut steps);
    steps.table();
    outcome
}

fn ci(steps: &mut Steps) -> Result {
    steps.program("lint", &mut sh::cargo(&["xtask", "lint"]))?;
    steps.program(
        "release binary",
        &mut sh::cargo(&["build", "--release", "--package", "gateway"]),
    )?;
    steps.program("test", &mut sh::cargo(&["xtask", "test"]))
}
