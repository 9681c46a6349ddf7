//! Programs of other people that the commands need, from Debian when they are missing.

use std::process::Command;

use crate::{Result, sh, ui};

/// What `find` finds, after installing the Debian package `package` if need be and possible.
pub(crate) fn ensure<T>(package: &str, find: impl Fn() -> Option<T>) -> Result<T> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let Some(apt) = sh::find("apt-get").filter(|_| sh::is_root()) else {
        return Err(format!(
            "{package} is missing. Install it with `sudo apt-get install {package}`, or with your system's own package manager"
        ));
    };
    ui::note(&format!("{package} is missing: installing it"));
    let apt = |args: &[&str]| {
        sh::run(Command::new(&apt).args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "--quiet"])?;
    apt(&["install", "--quiet", "--yes", "--no-install-recommends", package])?;
    find().ok_or_else(|| format!("{package} was installed, but its programs were not found"))
}

/// A program of that name on PATH, from `package` when it is missing.
pub(crate) fn program(name: &str, package: &str) -> Result<std::path::PathBuf> {
    ensure(package, || sh::find(name))
}
