//! `cargo xtask ci`: what must pass before a change is taken.

use crate::bench::layout;
use crate::steps::Steps;
use crate::{Result, no_arguments, sh};

/// Below that share of what the layout names, in percent, an idle program takes some MiB more.
const STALE: usize = 90;

pub(crate) fn run(args: &[String]) -> Result {
    no_arguments(args)?;
    let mut steps = Steps::new();
    let outcome = ci(&mut steps);
    steps.table();
    outcome
}

fn ci(steps: &mut Steps) -> Result {
    steps.program("lint", &mut sh::cargo(&["xtask", "lint"]))?;
    steps.run("release binary", |note| {
        sh::run(&mut sh::cargo(&["build", "--release", "--package", "gateway"]))?;
        let program = sh::target_dir()?.join("release/tollgate");
        if let Some(share) = layout::still_there(&program).filter(|share| *share < STALE) {
            *note = format!("has {share} % of layout.txt: run `cargo xtask layout`");
        }
        Ok(())
    })?;
    steps.program("test", &mut sh::cargo(&["xtask", "test"]))
}
