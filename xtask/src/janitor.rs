//! Cleaning up, however we end.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Result;

/// Runs a shell script when it is dropped, and also when this process is interrupted or killed.
///
/// A destructor alone would not do: Ctrl-C runs none. The shell waits on a pipe that only we hold open; the pipe
/// closes when we end, whatever the reason.
pub(crate) struct Janitor {
    shell: Child,
}

impl Janitor {
    /// `args` are `$1`, `$2`, … of the script.
    pub(crate) fn hire(script: &str, args: &[&str]) -> Result<Self> {
        // A group of its own and deaf to the terminal, or Ctrl-C would end it together with us.
        let script = format!("trap '' HUP INT TERM; while read -r _; do :; done; {script}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "janitor"]).args(args).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell =
            command.spawn().map_err(|why| format!("cannot start `sh` to clean up: {why}"))?;
        Ok(Self { shell })
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A folder that is removed with everything in it.
pub(crate) struct TempDir {
    path: PathBuf,
    _janitor: Janitor,
}

impl TempDir {
    /// A new folder in `parent`.
    pub(crate) fn new(parent: &Path, name: &str) -> Result<Self> {
        let path = parent.join(format!("{name}-{}", std::process::id()));
        let text = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
        let janitor = Janitor::hire("rm -rf -- \"$1\"", &[text])?;
        std::fs::create_dir_all(&path)
            .map_err(|why| format!("cannot create {}: {why}", path.display()))?;
        Ok(Self { path, _janitor: janitor })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
