//! The folders of journals: one for each process that writes, below the one of the settings.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use store::Store;
use uuid::Uuid;

use super::segments;
use crate::clock;

/// The file with the id of the replica.
const REPLICA: &str = "replica";
/// So many processes may share the folder of the settings.
const MOST: u32 = 64;

/// A folder with a journal, and whose it is.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) replica: Uuid,
    /// How far the database has come with it.
    pub(super) cursor: u64,
    /// Held as long as this lives.
    _lock: File,
}

impl Folder {
    /// Takes the first folder below `root` that no other process has and no other database; makes it where it is missing.
    pub(super) async fn take(root: &Path, store: &Store) -> anyhow::Result<Self> {
        for number in 1..=MOST {
            let path = root.join(number.to_string());
            let within = || format!("TOLLGATE_DATA_DIR: {}", path.display());
            fs::create_dir_all(&path).with_context(within)?;
            let lock = OpenOptions::new().create(true).append(true).open(path.join("lock"));
            let lock = lock.with_context(within)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error).with_context(within),
            }
            let replica = match replica_of(&path)? {
                Some(replica) => replica,
                None => name(&path, clock::new_id())?,
            };
            let cursor = match store.cursor(replica).await? {
                Some(cursor) => cursor,
                None if is_empty(&path)? => {
                    store.apply(replica, 0, Vec::new()).await?;
                    0
                }
                None => {
                    let path = path.display();
                    tracing::warn!(%path, "this journal belongs to another database, and is left alone");
                    continue;
                }
            };
            return Ok(Self { path, replica, cursor, _lock: lock });
        }
        bail!("TOLLGATE_DATA_DIR: {} is in use by {MOST} others already", root.display())
    }
}

/// Every folder below `root` that has had a journal, with its replica.
pub(super) fn all(root: &Path) -> anyhow::Result<Vec<(PathBuf, Uuid)>> {
    let mut found = Vec::new();
    for number in 1..=MOST {
        let path = root.join(number.to_string());
        if let Some(replica) = replica_of(&path)? {
            found.push((path, replica));
        }
    }
    Ok(found)
}

/// The replica whose folder this is; none where there is no journal.
fn replica_of(folder: &Path) -> anyhow::Result<Option<Uuid>> {
    let path = folder.join(REPLICA);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let id = text.trim().parse();
    id.map(Some).with_context(|| format!("{}: expected the id of a replica", path.display()))
}

fn is_empty(folder: &Path) -> anyhow::Result<bool> {
    Ok(segments::list(folder)?.is_empty())
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
