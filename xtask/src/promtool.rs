//! Prometheus' own tool, which the tests ask about metrics and rules. Out of Debian's package and not installed, because the
//! package would start a server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{Result, sh};

/// The tool on PATH, or one of the package's that is kept below the target folder.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(found) = sh::find("promtool") {
        return Ok(found);
    }
    let folder = sh::target_dir()?.join("prometheus");
    let tool = folder.join("usr/bin/promtool");
    if tool.is_file() {
        return Ok(tool);
    }
    let missing =
        "promtool is missing. Install your system's package of Prometheus, or put promtool on PATH";
    let apt = sh::find("apt-get").ok_or(missing)?;
    fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let download = || {
        sh::run(Command::new(&apt).args(["download", "--quiet", "prometheus"]).current_dir(&folder))
    };
    if download().is_err() {
        sh::run(Command::new(&apt).args(["update", "--quiet"]))?;
        download()?;
    }
    let files = fs::read_dir(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let mut files = files.flatten().map(|file| file.path());
    let package = files.find(|file| file.extension().is_some_and(|kind| kind == "deb"));
    let package = package.ok_or(missing)?;
    sh::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&folder))?;
    let _ = fs::remove_file(package);
    if tool.is_file() { Ok(tool) } else { Err(missing.to_owned()) }
}
