//! The folder of a journal: whose it is, and that one process alone writes it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use uuid::Uuid;

use crate::clock;

/// The file with the id of the replica.
const REPLICA: &str = "replica";

pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) replica: Uuid,
    /// Held as long as this lives.
    _lock: File,
}

impl Folder {
    /// Takes the folder for this process; makes it where it is missing.
    pub(super) fn lock(path: PathBuf) -> anyhow::Result<Self> {
        let shown = path.display();
        fs::create_dir_all(&path)
            .with_context(|| format!("TOLLGATE_DATA_DIR: cannot make {shown}"))?;
        let lock = OpenOptions::new().create(true).append(true).open(path.join("lock"));
        let lock = lock.with_context(|| format!("TOLLGATE_DATA_DIR: cannot write in {shown}"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "TOLLGATE_DATA_DIR: {shown} is in use by another tollgate; each needs a folder of its own"
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("TOLLGATE_DATA_DIR: {shown}"));
            }
        }
        let replica = match replica_of(&path)? {
            Some(replica) => replica,
            None => name(&path, clock::new_id())?,
        };
        Ok(Self { path, replica, _lock: lock })
    }
}

/// The replica whose folder this is; none where there is no journal.
pub(super) fn replica_of(folder: &Path) -> anyhow::Result<Option<Uuid>> {
    let path = folder.join(REPLICA);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let id = text.trim().parse();
    id.map(Some).with_context(|| format!("{}: expected the id of a replica", path.display()))
}

/// Gives a new folder its id, whole or not at all.
fn name(folder: &Path, replica: Uuid) -> anyhow::Result<Uuid> {
    let (draft, path) = (folder.join("replica.new"), folder.join(REPLICA));
    let write = || {
        let mut file = File::create(&draft)?;
        writeln!(file, "{replica}")?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()
    };
    write().with_context(|| path.display().to_string())?;
    Ok(replica)
}
