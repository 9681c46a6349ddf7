//! Starting, watching and ending other programs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Result, ui};

/// How long a program may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// The repository.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// A variable of the environment that is set to something.
#[expect(
    clippy::disallowed_methods,
    reason = "these are the project's commands, not the program: no config.rs here"
)]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a continuous integration runs us, by the variable that all of them set.
pub(crate) fn in_ci() -> bool {
    env("CI").is_some_and(|value| value != "false" && value != "0")
}

/// The folder that cargo builds into: two levels above this very program (`target/debug/xtask`).
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()
        .map_err(|why| format!("cannot find this program's own path: {why}"))?;
    let target = program.parent().and_then(Path::parent);
    target
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} is not in a target folder", program.display()))
}

/// `cargo` at the repository's root.
///
/// The variables that the outer `cargo run` set for this program are taken away: build scripts that watch them
/// would run again after each change between `cargo build` and `cargo xtask`.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(args);
    for (name, _) in std::env::vars_os() {
        let inner = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
        if name.to_str().is_some_and(|name| inner.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program on our own terminal.
pub(crate) fn run(command: &mut Command) -> Result {
    ui::command(&shown(command));
    let status =
        command.status().map_err(|why| format!("cannot start `{}`: {why}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", shown(command))) }
}

/// Runs a program like [`run`] and shows its lines to `look` as well.
///
/// On a terminal the program keeps it to itself, with its colours and progress bars, and `look` sees nothing.
pub(crate) fn run_watched(command: &mut Command, look: &mut dyn FnMut(&str)) -> Result {
    if stderr().is_terminal() {
        return run(command);
    }
    ui::command(&shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| format!("cannot start `{}`: {why}", shown(command)))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let lines = thread::scope(|scope| {
        let out = scope.spawn(move || out.map(|pipe| copy(pipe, &mut stdout())));
        let err = scope.spawn(move || err.map(|pipe| copy(pipe, &mut stderr())));
        [out, err].map(|thread| thread.join().ok().flatten().unwrap_or_default()).concat()
    });
    for line in &lines {
        look(&plain(line));
    }
    let status =
        child.wait().map_err(|why| format!("cannot wait for `{}`: {why}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", shown(command))) }
}

/// Runs a program and returns what it printed; its complaints become the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.output().map_err(|why| format!("cannot start `{}`: {why}", shown(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{}` ended with {}\n{}", shown(command), output.status, said.trim()))
}

/// A program on PATH, or in the folders that only an administrator's PATH names.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether we are the administrator.
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

/// Asks a child to end, waits a while, then ends it.
pub(crate) fn terminate(child: &mut Child) {
    // The standard library can only kill; asking politely is the shell's built-in. The child is ours and not yet
    // waited for, so its number can't have passed to another process.
    let _ = Command::new("sh")
        .args(["-c", "kill -TERM \"$0\" 2>/dev/null", &child.id().to_string()])
        .status();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A command line as a person would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn copy(from: impl Read, to: &mut impl Write) -> Vec<String> {
    let mut lines = Vec::new();
    for line in BufReader::new(from).split(b'\n').map_while(std::io::Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        let _ = writeln!(to, "{line}");
        lines.push(line);
    }
    lines
}

/// A line without its colours.
fn plain(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    text
}
