//! `cargo xtask ci`: what must pass before a change is taken.

use std::thread;

use crate::bench::layout;
use crate::steps::Steps;
use crate::{Result, no_arguments, release, sh};

/// Below that share of what the layout names, in percent, an idle program takes some MiB more. A tenth of it is in the build
/// with a profile alone.
const STALE: usize = 80;

pub(crate) fn run(args: &[String]) -> Result {
    no_arguments(args)?;
    let mut steps = Steps::new();
    let outcome = ci(&mut steps);
    steps.table();
    outcome
}

fn ci(steps: &mut Steps) -> Result {
    thread::scope(|scope| {
        // For minutes the linker has work for one processor. What follows has some for the other, in another folder.
        let built = scope.spawn(|| release::build_plain(&["gateway"]));
        steps.program("lint", &mut sh::cargo(&["xtask", "lint"]))?;
        steps.run("release binary, built beside it", |note| {
            let program = built.join().map_err(|_| "the build panicked")??.join("tollgate");
            if let Some(share) = layout::still_there(&program).filter(|share| *share < STALE) {
                *note = format!("has {share} % of layout.txt: run `cargo xtask layout`");
            }
            Ok(())
        })
    })?;
    steps.program("test", &mut sh::cargo(&["xtask", "test"]))
}
