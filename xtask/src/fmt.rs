//! `cargo xtask fmt`

use crate::{Result, no_arguments, sh};

pub(crate) fn run(args: &[String]) -> Result {
    no_arguments(args)?;
    sh::run(&mut sh::cargo(&["fmt", "--all"]))
}
