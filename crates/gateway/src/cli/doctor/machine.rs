//! The machine: room, files, limits.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Check, fail, note, ok};
use crate::config::Settings;
use crate::journal;
use crate::telemetry;

const MIB: u64 = 1024 * 1024;
/// Below this, new requests are refused soon.
const LITTLE_ROOM: u64 = 4 * journal::LEAST_ROOM;
/// Every request under way takes two.
const FEW_FILES: u64 = 4_096;
/// Where other machines write too, or nothing lasts.
const REMOTE: [&str; 6] = ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"];
const PASSING: [&str; 2] = ["tmpfs", "ramfs"];

pub(super) fn look(settings: &Settings, file: Option<&Path>) -> Vec<Check> {
    let mut checks = vec![folder(&settings.data_dir)];
    let data = existing(&settings.data_dir);
    checks.extend(filesystem("journal", &data));
    checks.extend(open_to_others("journal", &settings.data_dir));
    if let Some(file) = sqlite_file(&settings.database_url) {
        checks.extend(filesystem("sqlite", &existing(&file)));
        checks.extend(readable("sqlite", &file));
    }
    checks.extend(file.and_then(|file| readable("settings file", file)));
    checks.extend(capture(settings));
    checks.extend(settings.capture.folder().and_then(|folder| open_to_others("capture", folder)));
    checks
        .extend(port("port", (settings.port != 0).then(|| (settings.host, settings.port).into())));
    checks.extend(port("metrics", telemetry::address(settings).ok().flatten()));
    checks.extend(files());
    checks
}

/// Whether the folder of the journals can be written, and how much room there is.
fn folder(path: &Path) -> Check {
    let shown = path.display();
    let data = existing(path);
    if let Err(error) = writable(&data) {
        let data = data.display();
        return fail("journal", format!("TOLLGATE_DATA_DIR: {data} cannot be written: {error}"));
    }
    match journal::room(&data) {
        Ok(room) if room < journal::LEAST_ROOM => {
            let (room, least) = (room / MIB, journal::LEAST_ROOM / MIB);
            let text = format!(
                "TOLLGATE_DATA_DIR: {room} MiB are left at {shown}: below {least} MiB new requests are refused"
            );
            fail("journal", text)
        }
        Ok(room) if room < LITTLE_ROOM => {
            note("journal", format!("{} MiB are left at {shown}: make room", room / MIB))
        }
        Ok(room) => ok("journal", format!("{shown}, {} MiB free", room / MIB)),
        Err(error) => fail("journal", error.to_string()),
    }
}

fn writable(folder: &Path) -> rustix::io::Result<()> {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
}

/// Whether the folder of recordings can be made or written.
fn capture(settings: &Settings) -> Option<Check> {
    let folder = existing(settings.capture.folder()?);
    let error = writable(&folder).err()?;
    let folder = folder.display();
    Some(fail("capture", format!("TOLLGATE_CAPTURE_DIR: {folder} cannot be written: {error}")))
}

/// The nearest folder or file that there is.
fn existing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn sqlite_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or_default();
    (!path.is_empty() && !path.contains(":memory:")).then(|| PathBuf::from(path))
}

/// Whether what is written there lasts, and is this machine's own.
fn filesystem(name: &'static str, path: &Path) -> Option<Check> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let kind = kind_of(&mounts, path)?;
    let shown = path.display();
    if REMOTE.contains(&kind) {
        let text = format!("{shown} is on {kind}: locks and syncs are not to be relied on there");
        return Some(fail(name, text));
    }
    PASSING
        .contains(&kind)
        .then(|| note(name, format!("{shown} is on {kind}: it is gone with the machine")))
}

/// The kind of file system on which a path is, by the list of all.
fn kind_of<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let mut words = line.split(' ').skip(1);
        Some((Path::new(words.next()?), words.next()?))
    };
    let above = mounts.lines().filter_map(mount).filter(|(at, _)| path.starts_with(at));
    above.max_by_key(|(at, _)| at.components().count()).map(|(_, kind)| kind)
}

/// Whether others than its owner can read a file with secrets or books.
fn readable(name: &'static str, path: &Path) -> Option<Check> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let shown = path.display();
    (mode & 0o044 != 0)
        .then(|| note(name, format!("{shown} can be read by others (mode {mode:o}): chmod 600")))
}

/// Whether others than its owner can look into a folder of ours: this program makes none of that kind.
fn open_to_others(name: &'static str, folder: &Path) -> Option<Check> {
    let mode = fs::metadata(folder).ok()?.permissions().mode() & 0o777;
    let shown = folder.display();
    (mode & 0o077 != 0).then(|| {
        note(name, format!("{shown} is open to others (mode {mode:o}): chmod -R go= {shown}"))
    })
}

/// Whether somebody else has the port; that may be the server itself.
fn port(name: &'static str, address: Option<SocketAddr>) -> Option<Check> {
    let address = address?;
    let error = TcpListener::bind(address).err()?;
    let text =
        format!("{address} is taken ({error}): by a server that runs, or by another program");
    Some(note(name, text))
}

fn files() -> Option<Check> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let hard = line.split_whitespace().nth(1)?;
    let most: u64 = hard.parse().unwrap_or(u64::MAX);
    (most < FEW_FILES).then(|| {
        note("files", format!("{most} may be open at once, and a request takes two: raise the limit (ulimit -n, LimitNOFILE)"))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{kind_of, sqlite_file};

    #[test]
    fn a_path_is_on_the_nearest_mount() {
        let mounts =
            "/dev/a / ext4 rw 0 0\nserver:/x /data nfs4 rw 0 0\ntmpfs /data/tmp tmpfs rw 0 0\n";
        for (path, kind) in [
            ("/etc", "ext4"),
            ("/data/t.db", "nfs4"),
            ("/data/tmp/x", "tmpfs"),
            ("/database", "ext4"),
        ] {
            assert_eq!(kind_of(mounts, Path::new(path)), Some(kind), "{path}");
        }
    }

    #[test]
    fn the_file_of_a_url() {
        let file = |url| sqlite_file(url).map(|path| path.display().to_string());
        assert_eq!(file("sqlite://tollgate.db").as_deref(), Some("tollgate.db"));
        assert_eq!(file("sqlite:///var/t.db?mode=rwc").as_deref(), Some("/var/t.db"));
        assert_eq!((file("sqlite::memory:"), file("postgres://x/y")), (None, None));
    }
}
