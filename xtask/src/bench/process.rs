//! A server process: started on a core, waited for, looked at through /proc, and ended.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Result, sh};

/// A proxy in Python takes its time.
const START_UP: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

/// Work that a server puts off until after the answer belongs to the request: it is waited for, but not for ever.
const QUIET: Duration = Duration::from_millis(300);
const QUIET_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    name: &'static str,
    pub(crate) port: u16,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command`, with what it says going to a file in `dir`.
    pub(crate) fn start(
        name: &'static str,
        port: u16,
        mut command: Command,
        dir: &Path,
    ) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let open =
            || File::create(&log).map_err(|why| format!("cannot write {}: {why}", log.display()));
        let (out, err) = (open()?, File::options().append(true).open(&log));
        let err = err.map_err(|why| format!("cannot write {}: {why}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|why| format!("cannot start {name}: {why}"))?;
        Ok(Self { name, port, child, log })
    }

    /// Waits until `ready` says so, or the process ends, or the patience does.
    pub(crate) fn wait(&mut self, ready: impl Fn(SocketAddr) -> bool) -> Result {
        let deadline = Instant::now() + START_UP;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!(
                    "{} ended with {status} instead of starting:\n{}",
                    self.name,
                    self.said()
                ));
            }
            if ready(self.address()) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(format!("{} is not ready after {} s:\n{}", self.name, START_UP.as_secs(), self.said()))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The last lines of what the server wrote.
    pub(crate) fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// CPU time of the process and its children, in ticks, once the process has nothing left to do.
    pub(crate) fn settled_ticks(&self) -> Result<u64> {
        let deadline = Instant::now() + QUIET_LIMIT;
        let mut before = self.ticks()?;
        loop {
            thread::sleep(QUIET);
            let now = self.ticks()?;
            if now == before || Instant::now() > deadline {
                return Ok(now);
            }
            before = now;
        }
    }

    fn ticks(&self) -> Result<u64> {
        let own = self.child.id();
        let all =
            processes().into_iter().filter(|process| process.id == own || process.parent == own);
        let ticks: Vec<u64> = all.map(|process| process.ticks).collect();
        if ticks.is_empty() {
            Err(format!("{} is gone:\n{}", self.name, self.said()))
        } else {
            Ok(ticks.iter().sum())
        }
    }

    /// Resident memory of the process itself, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status =
            std::fs::read_to_string(&path).map_err(|why| format!("cannot read {path}: {why}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.ok_or_else(|| format!("{path} names no VmRSS"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        sh::terminate(&mut self.child);
    }
}

/// A command, bound to a core. `taskset` becomes the program, so the process number is the program's.
pub(crate) fn on_core(core: &str, command: &Command) -> Command {
    under(&["taskset", "-c", core], command)
}

/// A command that another one runs, which `words` are.
pub(crate) fn under(words: &[&str], command: &Command) -> Command {
    let program = command.get_program();
    let mut words = words.iter().map(OsStr::new).chain([program]);
    let mut outer = Command::new(words.next().unwrap_or(program));
    outer.args(words).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

pub(crate) fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, POLL).is_ok()
}

/// One process of /proc.
struct Process {
    id: u32,
    parent: u32,
    ticks: u64,
}

fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

impl Process {
    /// From `/proc/ID/stat`: number, name in brackets (which may hold anything), state, parent, …, user time, system
    /// time as fields 14 and 15. The times are those of all threads.
    fn read(id: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self { id, parent: number(4)?.try_into().ok()?, ticks: number(14)? + number(15)? })
    }
}
