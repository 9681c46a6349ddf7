//! `cargo xtask dev`: the program, built and started again whenever a source changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::{Result, sh, ui};

const WATCHED: [&str; 4] = ["crates", "pricing", "migrations", "Cargo.toml"];
const INTERVAL: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &[String]) -> Result {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let args = match args[..] {
        [] | ["--"] => vec!["demo"],
        ["--", ref rest @ ..] => rest.to_vec(),
        _ => return Err("usage: cargo xtask dev [-- ARGS of tollgate]".to_owned()),
    };
    let mut program =
        Program { path: sh::target_dir()?.join("debug").join("tollgate"), child: None };
    loop {
        // Taken before building: a change while the compiler runs counts as the next one.
        let seen = snapshot();
        program.rebuild(&args)?;
        while snapshot() == seen {
            program.watch();
            thread::sleep(INTERVAL);
        }
        ui::heading("a source changed");
    }
}

/// The program under development; it ends with us. Ctrl-C reaches both, as the terminal sends it to the whole group.
struct Program {
    path: PathBuf,
    child: Option<Child>,
}

impl Program {
    /// Builds, and only then replaces the running program: while the sources don't compile, the old one stays.
    fn rebuild(&mut self, args: &[&str]) -> Result {
        if let Err(why) = sh::run(&mut sh::cargo(&["build", "--package", "gateway"])) {
            ui::error(&why);
            ui::note("waiting for the next change");
            return Ok(());
        }
        self.stop();
        ui::command(&format!("tollgate {}", args.join(" ")));
        let child = Command::new(&self.path).args(args).current_dir(sh::root()).spawn();
        self.child =
            Some(child.map_err(|why| format!("cannot start {}: {why}", self.path.display()))?);
        Ok(())
    }

    /// Says so once when the program ended by itself.
    fn watch(&mut self) {
        if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
            ui::note(&format!("tollgate ended with {status}; waiting for the next change"));
            self.child = None;
        }
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            sh::terminate(&mut child);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// When each watched file was last written.
fn snapshot() -> BTreeMap<PathBuf, SystemTime> {
    let mut files = BTreeMap::new();
    for path in WATCHED {
        collect(&sh::root().join(path), &mut files);
    }
    files
}

fn collect(path: &Path, files: &mut BTreeMap<PathBuf, SystemTime>) {
    // A file may vanish between being listed and being looked at; that is a change as well.
    let Ok(metadata) = path.symlink_metadata() else { return };
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            collect(&entry.path(), files);
        }
    } else if let Ok(time) = metadata.modified() {
        files.insert(path.to_owned(), time);
    }
}
