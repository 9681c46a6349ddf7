//! `cargo xtask build`: the program as it is meant to run.
//!
//! `cargo build --release` makes the same program without a profile. A profile says which way each branch of the code mostly
//! goes, and the compiler lays out and inlines what is run often for that: a quarter of the program's own time. Profiles are
//! kept in the repository and made by `cargo xtask profile`. One names functions as one compiler does, for one kind of
//! machine: any other makes the program as well, without that profit.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, no_arguments, sh, ui};

/// Where they are.
const PROFILES: &str = "crates/gateway/profiles";

/// What parts the compiler's flags from each other where cargo is given them.
const SEPARATOR: &str = "\x1f";

pub(crate) fn run(args: &[String]) -> Result {
    no_arguments(args)?;
    let program = build(&["gateway"])?.join("tollgate");
    ui::note(&format!("{} is ready", program.display()));
    Ok(())
}

/// Builds the programs of some packages with the profile. Returns their folder.
pub(crate) fn build(packages: &[&str]) -> Result<PathBuf> {
    let profile = profile(&Compiler::look()?);
    if !profile.is_file() {
        ui::note(&format!("there is no {}: `cargo xtask profile` makes it", profile.display()));
        return build_plain(packages);
    }
    let target = sh::target_dir()?;
    let flag = format!("-Cprofile-use={}", unpacked(&profile, &target)?.display());
    cargo(packages, &target, Some(&flag))
}

/// Builds them as `cargo build --release` does. Returns the same folder, which has the programs that were built last.
pub(crate) fn build_plain(packages: &[&str]) -> Result<PathBuf> {
    cargo(packages, &sh::target_dir()?, None)
}

/// A program that counts its steps.
pub(crate) struct Counting {
    /// Its folder.
    pub(crate) bins: PathBuf,
    /// Where it writes its counts when it ends.
    pub(crate) counts: PathBuf,
}

/// Builds one. What was counted before is gone then.
pub(crate) fn build_counting() -> Result<Counting> {
    let target = sh::target_dir()?.join("counting");
    let counts = target.join("counts");
    let flag = format!("-Cprofile-generate={}", counts.display());
    let bins = cargo(&["gateway"], &target, Some(&flag))?;
    match std::fs::remove_dir_all(&counts) {
        Err(why) if why.kind() != ErrorKind::NotFound => {
            Err(format!("cannot empty {}: {why}", counts.display()))
        }
        _ => Ok(Counting { bins, counts }),
    }
}

/// What a profile depends on.
pub(crate) struct Compiler {
    release: String,
    host: String,
    /// The first number of the version of LLVM that it has.
    pub(crate) llvm: String,
}

impl Compiler {
    pub(crate) fn look() -> Result<Self> {
        let said = sh::output(Command::new("rustc").arg("-vV").current_dir(sh::root()))?;
        let find = |name: &str| {
            let value = said.lines().find_map(|line| line.strip_prefix(name));
            value.map(str::to_owned).ok_or_else(|| format!("`rustc -vV` names no `{name}`"))
        };
        let llvm = find("LLVM version: ")?;
        let llvm = llvm.split('.').next().unwrap_or_default().to_owned();
        Ok(Self { release: find("release: ")?, host: find("host: ")?, llvm })
    }
}

/// A profile as the compiler reads it. It stays as it is where nothing is new, so that nothing is built again.
fn unpacked(profile: &Path, target: &Path) -> Result<PathBuf> {
    let bytes = gzip("-dc", profile)?;
    let path = target.join("profile.profdata");
    if std::fs::read(&path).ok().as_ref() != Some(&bytes) {
        std::fs::write(&path, bytes)
            .map_err(|why| format!("cannot write {}: {why}", path.display()))?;
    }
    Ok(path)
}

/// Keeps a profile in the repository.
pub(crate) fn keep(compiler: &Compiler, unpacked: &Path) -> Result<PathBuf> {
    let path = profile(compiler);
    std::fs::write(&path, gzip("-9nc", unpacked)?)
        .map_err(|why| format!("cannot write {}: {why}", path.display()))?;
    Ok(path)
}

fn gzip(option: &str, file: &Path) -> Result<Vec<u8>> {
    let done = Command::new("gzip").arg(option).arg(file).output();
    let done = done.map_err(|why| format!("cannot start `gzip`: {why}"))?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    Err(format!("`gzip` ended with {}\n{}", done.status, String::from_utf8_lossy(&done.stderr)))
}

/// The file of a compiler's profile.
fn profile(compiler: &Compiler) -> PathBuf {
    let name = format!("{}-{}.profdata.gz", compiler.release, compiler.host);
    sh::root().join(PROFILES).join(name)
}

/// Builds packages with one more flag of the compiler, and returns the folder of their programs.
fn cargo(packages: &[&str], target: &Path, flag: Option<&str>) -> Result<PathBuf> {
    let mut command = sh::cargo(&["build", "--release", "--target-dir"]);
    command.arg(target);
    for package in packages {
        command.args(["--package", package]);
    }
    if let Some(flag) = flag {
        // A folder's name may have spaces.
        let more = sh::env("RUSTFLAGS").unwrap_or_default();
        let flags: Vec<&str> = more.split_whitespace().chain([flag]).collect();
        command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR));
    }
    sh::run(&mut command)?;
    Ok(target.join("release"))
}
