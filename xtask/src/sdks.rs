//! The SDKs that the tests run against the program: those for Python in an environment of their own, those for Node
//! beside a Node that is new enough for them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, packages, sh};

const SCRIPTS: &str = "crates/gateway/tests/sdk";
const PYTHON: &str = "python/requirements.txt";
const NODE: [&str; 2] = ["node/package.json", "node/package-lock.json"];

/// The folder with the SDKs, installed if it is not there yet or what is wanted has changed since.
pub(crate) fn ensure() -> Result<PathBuf> {
    let folder = sh::target_dir()?.join("sdk");
    let scripts = sh::root().join(SCRIPTS);
    fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    once(&folder.join("python"), &[scripts.join(PYTHON)], |folder| python(folder, &scripts))?;
    once(&folder.join("node_modules"), &NODE.map(|file| scripts.join(file)), |_| {
        node(&folder, &scripts)
    })?;
    Ok(folder)
}

/// Does it unless it was done for files of the same content.
fn once(folder: &Path, files: &[PathBuf], install: impl Fn(&Path) -> Result) -> Result {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let text = fs::read(file).map_err(|why| format!("{}: {why}", file.display()))?;
        text.hash(&mut hasher);
    }
    let (mark, wanted) = (folder.with_extension("done"), format!("{:016x}", hasher.finish()));
    if folder.is_dir() && fs::read_to_string(&mark).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    for old in [&mark, folder] {
        // What is not there need not go; what cannot go is found out by the installation.
        let _ = if old.is_dir() { fs::remove_dir_all(old) } else { fs::remove_file(old) };
    }
    install(folder)?;
    fs::write(&mark, wanted).map_err(|why| format!("{}: {why}", mark.display()))
}

fn python(folder: &Path, scripts: &Path) -> Result {
    let python = packages::program("python3", "python3")?;
    let complete = || {
        // Debian keeps what fills an environment in a package of its own.
        let check = ["-c", "import ensurepip, venv"];
        sh::output(Command::new(&python).args(check)).is_ok().then_some(())
    };
    packages::ensure("python3-venv", complete)?;
    sh::run(Command::new(&python).args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    sh::run(pip.arg(scripts.join(PYTHON)))
}

fn node(folder: &Path, scripts: &Path) -> Result {
    packages::program("node", "nodejs")?;
    let npm = packages::program("npm", "npm")?;
    for file in NODE.map(|file| scripts.join(file)) {
        let to = folder.join(file.file_name().unwrap_or_default());
        fs::copy(&file, &to).map_err(|why| format!("{}: {why}", to.display()))?;
    }
    // The machine's Node may be older than the SDKs want; theirs is among the packages.
    let quiet = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    sh::run(Command::new(npm).args(quiet).current_dir(folder))
}
