//! A throw-away `PostgreSQL` for the tests.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::janitor::Janitor;
use crate::{Result, packages, sh};

/// The account that runs the server when we are root, which it refuses to be.
const ACCOUNT: &str = "postgres";

/// Nothing outlives the tests, so nothing has to reach the disk; many test processes connect at once.
const OPTIONS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off \
    -c synchronous_commit=off -c full_page_writes=off -c max_connections=300";

/// A free port is only known to have been free a moment ago.
const ATTEMPTS: u32 = 3;

/// A running server with an empty database. It is stopped and its folder removed with this value, or when this
/// process ends in any other way.
pub(crate) struct Cluster {
    pub(crate) url: String,
    _janitor: Janitor,
}

impl Cluster {
    pub(crate) fn start() -> Result<Self> {
        let bin = packages::ensure("postgresql", find)?;
        let launcher = Launcher::new()?;
        let folder = launcher.folder()?;
        let stop =
            "folder=$1; shift; \"$@\" stop -m immediate -D \"$folder/data\"; rm -rf -- \"$folder\"";
        let pg_ctl = bin.join("pg_ctl").display().to_string();
        let mut args = vec![folder.as_str()];
        args.extend(launcher.prefix);
        args.push(&pg_ctl);
        let janitor = Janitor::hire(stop, &args)?;

        let data = format!("{folder}/data");
        let mut initdb = launcher.command(&bin.join("initdb"));
        initdb.args([
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
            &data,
        ]);
        sh::output(&mut initdb)?;
        let port = launch(&launcher, &pg_ctl, &folder)?;
        Ok(Self {
            url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            _janitor: janitor,
        })
    }
}

/// Starts the server on a free port and waits until it answers.
fn launch(launcher: &Launcher, pg_ctl: &str, folder: &str) -> Result<u16> {
    let (data, log) = (format!("{folder}/data"), format!("{folder}/log"));
    for _ in 0..ATTEMPTS {
        let port = free_port()?;
        let options = format!("-p {port} {OPTIONS}");
        let mut start = launcher.command(Path::new(pg_ctl));
        start.args(["start", "--wait", "-D", &data, "-l", &log, "-o", &options]);
        let status = start.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if status.map_err(|why| format!("cannot start {pg_ctl}: {why}"))?.success() {
            return Ok(port);
        }
    }
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    Err(format!("PostgreSQL does not start:\n{}", said.trim()))
}

/// How the server's programs are started: as they are, or by root in the name of another account.
struct Launcher {
    prefix: &'static [&'static str],
}

impl Launcher {
    fn new() -> Result<Self> {
        if !sh::is_root() {
            return Ok(Self { prefix: &[] });
        }
        let known = sh::output(Command::new("id").args(["-u", ACCOUNT])).is_ok();
        if known && sh::find("runuser").is_some() {
            return Ok(Self { prefix: &["runuser", "-u", ACCOUNT, "--"] });
        }
        Err(format!(
            "PostgreSQL refuses to run as root, and there is no account `{ACCOUNT}` or no `runuser` to run it with; \
             run this command as another user"
        ))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = match self.prefix.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        // Not where we are: the other account may not be able to read that.
        command.current_dir("/");
        command
    }

    /// A new folder that belongs to the account of the server.
    fn folder(&self) -> Result<String> {
        let parent =
            if self.prefix.is_empty() { std::env::temp_dir() } else { PathBuf::from("/tmp") };
        let template = parent.join("tollgate-postgres.XXXXXX");
        sh::output(self.command(Path::new("mktemp")).arg("-d").arg(template))
    }
}

/// The folder of `initdb` and `pg_ctl`: the one that `pg_config` names, Debian's newest, or one on PATH.
fn find() -> Option<PathBuf> {
    let configured = sh::output(Command::new("pg_config").arg("--bindir")).ok().map(PathBuf::from);
    let on_path = sh::find("initdb").and_then(|file| file.parent().map(Path::to_owned));
    let complete = |bin: &PathBuf| {
        ["initdb", "pg_ctl", "postgres"].iter().all(|name| bin.join(name).is_file())
    };
    configured.into_iter().chain(debian()).chain(on_path).find(complete)
}

/// Debian's folders, newest version first.
fn debian() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else {
        return Vec::new();
    };
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
    versions.into_iter().map(|path| path.join("bin")).collect()
}

/// A port of 127.0.0.1 that nobody listens on just now.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|why| format!("no free port on 127.0.0.1: {why}"))
}
