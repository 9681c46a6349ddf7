//! The journal: every receipt is written here before its answer ends, and from here into the database, in batches.
//!
//! What is written outlives the process at once, and a `kill -9` with it; a moment later it is synced and outlives the
//! machine. No request waits for the database. Whoever asks for usage or a bill waits until everything written so far has
//! been applied. After a crash the next start, or the next `tollgate usage`, `bill` or `verify`, applies what is left.

mod folder;
mod record;
mod segments;
mod work;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use ledger::Receipt;
use store::{Entry, Store, StoreError};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use folder::Folder;
use record::Kind;
use segments::{Tail, Writer};

pub(crate) use segments::JournalError;

/// How long a question about usage waits for the database.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many records may wait for a database that is away: about 8 GiB.
const MOST_WAITING: u64 = 16_000_000;
/// How many records are applied in one transaction.
const BATCH: usize = 1_024;

/// What an answer waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// The receipt outlives the process. When the power fails, the last milliseconds may be lost.
    Process,
    /// The receipt is on the disk.
    Strict,
}

/// Why a receipt was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error(transparent)]
    Receipt(#[from] StoreError),
    #[error("the journal: {0}")]
    Journal(#[from] JournalError),
    #[error("the journal cannot be relied on any more: a sync has failed")]
    Closed,
}

/// How far the database has come.
#[derive(Clone, Debug)]
struct Applied {
    seq: u64,
    /// Why it goes no further.
    failure: Option<StoreError>,
}

impl Applied {
    /// Why the database refuses what was written, where it is not just away.
    fn refusal(&self) -> Option<&StoreError> {
        self.failure.as_ref().filter(|error| !error.is_transient())
    }
}

pub(crate) struct Journal {
    folder: Folder,
    durability: Durability,
    writer: Mutex<Writer>,
    /// Somebody has written.
    unsynced: Notify,
    unapplied: Notify,
    /// Somebody waits for the database.
    hurry: Notify,
    synced: watch::Sender<u64>,
    applied: watch::Sender<Applied>,
    /// A sync has failed: what the disk has is not known any more.
    broken: AtomicBool,
}

impl Journal {
    /// Opens a journal below `root`, applies what earlier runs have left, and keeps at it on `tasks` until `stop`.
    pub(crate) async fn open(
        root: &Path,
        durability: Durability,
        store: &Store,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        catch_up(root, store).await?;
        let folder = Folder::take(root, store).await?;
        let cursor = folder.cursor;
        let writer = Writer::open(&folder.path, cursor)?;
        let synced = watch::Sender::new(writer.last());
        let applied = watch::Sender::new(Applied { seq: cursor, failure: None });
        let journal = Arc::new(Self {
            folder,
            durability,
            writer: Mutex::new(writer),
            unsynced: Notify::new(),
            unapplied: Notify::new(),
            hurry: Notify::new(),
            synced,
            applied,
            broken: AtomicBool::new(false),
        });
        let tail = Tail::behind(&journal.folder.path, cursor);
        // Whoever had the folder may have died only just now.
        journal.unapplied.notify_one();
        tasks.spawn(work::sync(Arc::clone(&journal), stop.clone()));
        tasks.spawn(work::apply(Arc::clone(&journal), tail, store.clone(), stop.clone()));
        Ok(journal)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether more may be written: not when the disk has failed, the database refuses what was written, or too much
    /// waits for it.
    pub(crate) fn is_open(&self) -> bool {
        let applied = self.applied.borrow();
        let waiting = self.writer().last().saturating_sub(applied.seq);
        !self.is_broken() && applied.refusal().is_none() && waiting < MOST_WAITING
    }

    /// Writes a receipt. When this returns `Ok`, it will be in the database, whatever becomes of this process.
    pub(crate) async fn commit(&self, receipt: &Receipt) -> Result<(), CommitError> {
        let entry = Entry::of(receipt)?;
        if self.is_broken() {
            return Err(CommitError::Closed);
        }
        let seq = self.writer().append(Kind::Settled, |bytes| entry.encode(bytes))?;
        self.unsynced.notify_one();
        self.unapplied.notify_one();
        // Others who are as far go first: answers that leave together cost a fifth less each.
        tokio::task::yield_now().await;
        if self.durability == Durability::Strict {
            let mut synced = self.synced.subscribe();
            let there = synced.wait_for(|synced| *synced >= seq || self.is_broken()).await;
            if there.is_err() || self.is_broken() {
                return Err(CommitError::Closed);
            }
        }
        Ok(())
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Waits until the database has everything that was written before now.
    ///
    /// # Errors
    /// It does not take it, or not in time.
    pub(crate) async fn applied(&self) -> anyhow::Result<()> {
        let wanted = self.writer().last();
        let mut applied = self.applied.subscribe();
        if applied.borrow().seq >= wanted {
            return Ok(());
        }
        self.hurry.notify_one();
        let there = applied.wait_for(|now| now.seq >= wanted || now.refusal().is_some());
        let there = timeout(PATIENCE, there).await??;
        match there.refusal() {
            Some(error) if there.seq < wanted => Err(error.clone().into()),
            _ => Ok(()),
        }
    }
}

/// Applies what the journals below `root` have that the database has not, whoever writes them. Those of another database
/// stay as they are.
pub(crate) async fn catch_up(root: &Path, store: &Store) -> anyhow::Result<()> {
    for (path, replica) in folder::all(root)? {
        let Some(cursor) = store.cursor(replica).await? else { continue };
        let mut tail = Tail::behind(&path, cursor);
        work::apply_all(&mut tail, store, replica, |_| {}).await?;
    }
    Ok(())
}
