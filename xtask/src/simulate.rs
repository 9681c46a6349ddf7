//! `cargo xtask simulate`: money under every accident, in worlds that are made of seeds.

use crate::{Result, sh};

/// The arguments are the simulation's own: `[--seeds N] [--from S] [--seed S]`.
pub(crate) fn run(args: &[String]) -> Result {
    // Not a release build: it would check no more than the optimised debug build, and less where that asserts.
    let mut command =
        sh::cargo(&["run", "--quiet", "--package", "ledger", "--example", "simulate", "--"]);
    sh::run(command.args(args))
}
