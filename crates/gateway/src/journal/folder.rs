//! The folders of journals: one for each process that writes, below the one of the settings.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ledger::{Signer, from_hex, to_hex};
use store::{Store, StoreError};
use uuid::Uuid;

use super::segments::{self, REPLICA};
use crate::clock;

/// The file with the last run of it that this folder knows of.
const RUN: &str = "run";
/// The file with the secret that is signed with, as hexadecimal.
const SIGNING_KEY: &str = "signing.key";
/// So many processes may share the folder of the settings.
const MOST: u32 = 64;

/// A folder with a journal, and whose it is.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) replica: Uuid,
    /// What it seals with.
    pub(super) signer: Signer,
    /// Which run of that replica this is.
    pub(super) epoch: i64,
    /// Held as long as this lives.
    _lock: Lock,
}

impl Folder {
    /// Takes the first folder below `root` that no other process has and no other database; makes it where it is missing.
    pub(super) async fn take(root: &Path, store: &Store) -> anyhow::Result<Self> {
        for number in 1..=MOST {
            let path = root.join(number.to_string());
            fs::create_dir_all(&path).with_context(|| within(&path))?;
            let Some(lock) = lock(&path)? else { continue };
            // Before the id, so that no journal is without one.
            let signer = signer(&path)?;
            let replica = if let Some(replica) = segments::owner(&path)? {
                replica
            } else {
                let replica = clock::new_id();
                write_whole(&path, REPLICA, &replica.to_string())?;
                replica
            };
            if store.replica(replica).await?.is_none() && !is_empty(&path)? {
                let path = path.display();
                tracing::warn!(%path, "this journal belongs to another database, and is left alone");
                continue;
            }
            let epoch = begin(&path, replica, store).await?;
            return Ok(Self { path, replica, signer, epoch, _lock: lock });
        }
        bail!("TOLLGATE_DATA_DIR: {} is in use by {MOST} others already", root.display())
    }
}

fn within(path: &Path) -> String {
    format!("TOLLGATE_DATA_DIR: {}", path.display())
}

/// What keeps others from a folder.
pub(super) struct Lock {
    _file: File,
    /// None where the file system locks no folders.
    _folder: Option<File>,
}

/// Locks a folder for as long as what is returned lives; nothing where another process has it. Besides the file the folder
/// itself, since a file may be taken away by somebody who takes it for left over.
pub(super) fn lock(folder: &Path) -> anyhow::Result<Option<Lock>> {
    let open = || {
        let file = OpenOptions::new().create(true).append(true).open(folder.join("lock"))?;
        Ok::<_, std::io::Error>((file, File::open(folder)?))
    };
    let (file, whole) = open().with_context(|| within(folder))?;
    let whole = match whole.try_lock() {
        Ok(()) => Some(whole),
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(_)) => None,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file, _folder: whole })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| within(folder)),
    }
}

/// Begins another run of a replica whose folder is locked by us: from then on no other can write into the ledger in its name.
///
/// The folder knows its last run, and how the next one is called: of a folder and its copy only the one that starts first
/// goes on.
pub(super) async fn begin(folder: &Path, replica: Uuid, store: &Store) -> anyhow::Result<i64> {
    let state = store.replica(replica).await?;
    let current = state.map_or(0, |state| state.epoch);
    let known = match last_run(folder)? {
        // The answer was lost, or its process died with it.
        Some((epoch, run)) if current == epoch + 1 && state.and_then(|s| s.run) == Some(run) => {
            current
        }
        // A database from before our last run knows less than we do.
        Some((epoch, _)) => epoch.min(current),
        None => current,
    };
    let run = clock::new_id();
    write_whole(folder, RUN, &format!("{known} {run}"))?;
    let begun = store.begin_epoch(replica, known, run, clock::now()).await;
    begun.map_err(|error| match error {
        StoreError::Fenced => anyhow::anyhow!(
            "{}: this is a copy of a journal that another process has gone on with; \
             move it away, and keep it: it may hold receipts",
            folder.display()
        ),
        error => error.into(),
    })
}

/// The last run that this folder knows of, and the name of the one after it.
fn last_run(folder: &Path) -> anyhow::Result<Option<(i64, Uuid)>> {
    let Some(text) = read(folder, RUN)? else { return Ok(None) };
    let parsed = text
        .trim()
        .split_once(' ')
        .and_then(|(epoch, run)| Some((epoch.parse().ok()?, run.parse().ok()?)));
    let path = folder.join(RUN);
    parsed.map(Some).with_context(|| format!("{}: expected a number and an id", path.display()))
}

/// Every folder below `root` that has had a journal, with its replica.
pub(super) fn all(root: &Path) -> anyhow::Result<Vec<(PathBuf, Uuid)>> {
    let mut found = Vec::new();
    for number in 1..=MOST {
        let path = root.join(number.to_string());
        if let Some(replica) = segments::owner(&path)? {
            found.push((path, replica));
        }
    }
    Ok(found)
}

fn read(folder: &Path, name: &str) -> anyhow::Result<Option<String>> {
    let path = folder.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// What those sign with that write into the books from here: one key for all of them, in the folder of the settings.
pub(crate) fn act_signer(root: &Path) -> anyhow::Result<Signer> {
    fs::create_dir_all(root).with_context(|| within(root))?;
    signer(root)
}

/// The same, where there is one.
pub(crate) fn known_signer(root: &Path) -> anyhow::Result<Option<Signer>> {
    let path = root.join(SIGNING_KEY);
    let there = path.try_exists().with_context(|| path.display().to_string())?;
    there.then(|| signer(root)).transpose()
}

/// The keys that belong to what was signed from here.
pub(crate) fn public_keys(root: &Path) -> anyhow::Result<Vec<[u8; 32]>> {
    let folders = (1..=MOST).map(|number| root.join(number.to_string()));
    let mut keys = Vec::new();
    for folder in std::iter::once(root.to_owned()).chain(folders) {
        keys.extend(known_signer(&folder)?.map(|signer| signer.public_key()));
    }
    Ok(keys)
}

/// What the replica of a folder seals with; made where it is missing.
pub(super) fn signer(folder: &Path) -> anyhow::Result<Signer> {
    let path = folder.join(SIGNING_KEY);
    if !path.try_exists().with_context(|| path.display().to_string())? {
        make_signing_key(folder, &path).with_context(|| path.display().to_string())?;
    }
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let secret = from_hex(text.trim_ascii_end());
    // What it says instead is nobody's business.
    let secret = secret.with_context(|| {
        format!("{}: expected a signing key, 64 hexadecimal digits in lower case", path.display())
    })?;
    Ok(Signer::from_secret(&secret))
}

/// Makes a key that its owner alone can read, whole or not at all; where another process was faster, its key stays.
fn make_signing_key(folder: &Path, path: &Path) -> anyhow::Result<()> {
    let secret: [u8; 32] = rand::random();
    let mut draft = tempfile::Builder::new();
    let mut draft = draft.prefix(SIGNING_KEY).suffix(".new").tempfile_in(folder)?;
    writeln!(draft, "{}", to_hex(&secret))?;
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(path) {
        Ok(_) => {
            File::open(folder)?.sync_all()?;
            let public_key = to_hex(&Signer::from_secret(&secret).public_key());
            let path = path.display();
            tracing::info!(%path, %public_key, "a new key was made to sign with");
            Ok(())
        }
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(failed) => Err(failed.error.into()),
    }
}

fn is_empty(folder: &Path) -> anyhow::Result<bool> {
    Ok(segments::list(folder)?.is_empty())
}

/// Writes a small file, whole or not at all.
fn write_whole(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let (draft, path) = (folder.join(format!("{name}.new")), folder.join(name));
    let write = || {
        let mut file = File::create(&draft)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()
    };
    write().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::lock;

    #[test]
    fn a_folder_stays_locked_without_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        assert!(held.is_some());
        std::fs::remove_file(folder.path().join("lock")).unwrap();
        assert!(lock(folder.path()).unwrap().is_none());
        drop(held);
        assert!(lock(folder.path()).unwrap().is_some());
    }
}
