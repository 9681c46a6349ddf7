//! `cargo xtask bills`: random bills beside those of an implementation with exact fractions.

use crate::{Result, sh};

/// The arguments are the comparison's own: `[--bills N] [--from S]`.
pub(crate) fn run(args: &[String]) -> Result {
    let mut command =
        sh::cargo(&["run", "--quiet", "--package", "ledger", "--example", "bills", "--"]);
    sh::run(command.args(args))
}
