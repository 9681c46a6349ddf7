//! `cargo xtask fuzz`: many random inputs for everything that reads bytes of strangers.

use crate::{Result, sh};

/// The arguments are the fuzzer's own: `[TARGET...] [--inputs N] [--seed S] [--again FILE]`.
pub(crate) fn run(args: &[String]) -> Result {
    let mut command = sh::cargo(&["run", "--release", "--quiet", "--package", "fuzz", "--"]);
    sh::run(command.args(args))
}
