//! The journal: what a request does with money is written here before it has an effect, and from here into the database,
//! in batches.
//!
//! What is written outlives the process at once, and a `kill -9` with it; a moment later it is synced and outlives the
//! machine. No request waits for the database. Whoever asks for usage or a bill waits until every receipt written so far
//! has been applied. After a crash the next start, or the next `tollgate usage`, `bill` or `verify`, settles what was under
//! way and applies what is left.

mod folder;
mod group;
mod record;
mod recover;
mod running;
mod segments;
mod work;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use ledger::{Receipt, UsageReport};
use store::{Entry, Store, StoreError};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::telemetry::Tally;
use folder::Folder;
use group::{Part, Written};
use record::Kind;
use segments::{Tail, Writer};

pub(crate) use folder::{act_signer, known_signer, public_keys};
pub(crate) use recover::catch_up;
pub(crate) use running::{Admitted, Dispatched, Progress, Unfinished};
pub(crate) use segments::{JournalError, room};
pub(crate) use work::LEAST_ROOM;

/// How long a question about usage waits for the database.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many records may wait for a database that is away: about 8 GiB.
const MOST_WAITING: u64 = 16_000_000;

/// About how long a receipt is in bytes.
const ENTRY: usize = 1024;

/// What an answer waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// The receipt outlives the process. When the power fails, the last milliseconds may be lost.
    Process,
    /// The hold is on the disk before the request goes out, the receipt before its answer ends.
    Strict,
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error(transparent)]
    Receipt(#[from] StoreError),
    #[error("the journal: {0}")]
    Journal(Arc<JournalError>),
    #[error("a receipt of what was never sent")]
    Undispatched,
    #[error("the journal cannot be relied on any more: a sync has failed")]
    Closed,
}

/// How far the database has come.
#[derive(Clone, Debug)]
struct Applied {
    /// Every receipt up to this record is there.
    seq: u64,
    /// The database's own word for it, which may be older where only other records have followed.
    cursor: u64,
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
    written: Mutex<Written>,
    /// Somebody has written.
    unsynced: Notify,
    unapplied: Notify,
    /// Somebody waits for the database.
    hurry: Notify,
    synced: watch::Sender<u64>,
    applied: watch::Sender<Applied>,
    /// A sync has failed: what the disk has is not known any more.
    broken: AtomicBool,
    /// The disk has too little room for more.
    full: AtomicBool,
    /// Somebody has taken the file away.
    gone: AtomicBool,
    pub(crate) tally: Tally,
}

/// What there is to tell of a journal at some moment.
pub(crate) struct Figures {
    pub(crate) records: u64,
    /// Written by this process.
    pub(crate) bytes: u64,
    /// Records that the database has not taken.
    pub(crate) lag: u64,
    /// None where the system does not say.
    pub(crate) disk_free: Option<u64>,
    pub(crate) is_open: bool,
}

impl Journal {
    /// Opens a journal below `root`, settles and applies what earlier runs have left, and keeps at it on `tasks` until
    /// `stop`.
    pub(crate) async fn open(
        root: &Path,
        durability: Durability,
        store: &Store,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        let folder = Folder::take(root, store).await?;
        let cursor = recover::take_over(&folder, store).await?;
        catch_up(root, store, Some(&folder.path)).await?;
        let writer = Writer::open(&folder.path, cursor)?;
        let synced = watch::Sender::new(writer.last());
        let applied = watch::Sender::new(Applied { seq: cursor, cursor, failure: None });
        let written = Written::new(writer);
        let journal = Arc::new(Self {
            folder,
            durability,
            written: Mutex::new(written),
            unsynced: Notify::new(),
            unapplied: Notify::new(),
            hurry: Notify::new(),
            synced,
            applied,
            broken: AtomicBool::new(false),
            full: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            tally: Tally::default(),
        });
        let tail = Tail::behind(&journal.folder.path, cursor);
        tasks.spawn(work::sync(Arc::clone(&journal), stop.clone()));
        tasks.spawn(work::apply(Arc::clone(&journal), tail, store.clone(), stop.clone()));
        Ok(journal)
    }

    /// Whose journal it is.
    pub(crate) fn replica(&self) -> Uuid {
        self.folder.replica
    }

    /// Which run of that replica this is.
    pub(crate) fn epoch(&self) -> i64 {
        self.folder.epoch
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether more requests may begin: not when the disk has failed or is full, the database refuses what was written,
    /// or too much waits for it.
    pub(crate) fn is_open(&self) -> bool {
        let applied = self.applied.borrow();
        let waiting = self.written().last().saturating_sub(applied.seq);
        let shut = [&self.broken, &self.full, &self.gone];
        let is_shut = shut.iter().any(|why| why.load(Ordering::Relaxed));
        !is_shut && applied.refusal().is_none() && waiting < MOST_WAITING
    }

    /// What there is to tell of it.
    pub(crate) fn figures(&self) -> Figures {
        let applied = self.applied.borrow().seq;
        let (records, bytes) = {
            let written = self.written();
            (written.last(), written.bytes())
        };
        let lag = records.saturating_sub(applied);
        let disk_free = segments::room(&self.folder.path).ok();
        Figures { records, bytes, lag, disk_free, is_open: self.is_open() }
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Writes that an attempt goes out now, and before it what was admitted unless that stands there already (`held`).
    /// Returns the record with which the request begins.
    pub(crate) async fn dispatch(
        &self,
        admitted: &Admitted,
        held: Option<u64>,
        attempt: &Dispatched,
    ) -> Result<u64, CommitError> {
        if self.is_broken() {
            return Err(CommitError::Closed);
        }
        let (first, last, part) = {
            let mut written = self.written();
            let first = held.unwrap_or_else(|| written.begin(|bytes| admitted.encode(bytes)));
            let id = admitted.request_id;
            let last = written.prepare(Kind::Dispatched, |bytes| attempt.encode(id, bytes));
            (first, last, Part::of(self, &written))
        };
        part.written().await?;
        self.on_disk(last).await?;
        Ok(first)
    }

    /// Writes how much of an answer its client gets now.
    pub(crate) fn progress(
        &self,
        request_id: Uuid,
        output_bytes: u64,
        report: Option<&UsageReport>,
    ) -> Result<(), CommitError> {
        let body = |bytes: &mut Vec<u8>| {
            running::encode_progress(request_id, output_bytes, report, bytes);
        };
        self.written().append(Kind::Progress, body)
    }

    /// Writes that a request which began with record `held` ended without a cost.
    pub(crate) fn void(&self, request_id: Uuid, held: u64) {
        let mut written = self.written();
        let body = |bytes: &mut Vec<u8>| running::encode_void(request_id, bytes);
        if let Err(error) = written.append(Kind::Void, body) {
            // The next start takes it for one that was under way, of which nothing was delivered.
            tracing::error!(%error, %request_id, "the end of a request was not written");
        }
        written.end(held);
    }

    /// Writes the receipt of a request which began with record `held`. When this returns `Ok`, it will be in the
    /// database, whatever becomes of this process.
    pub(crate) async fn commit(&self, receipt: &Receipt, held: u64) -> Result<(), CommitError> {
        let (seq, part) = self.prepare(receipt, held)?;
        part.written().await?;
        self.on_disk(seq).await
    }

    /// The same without waiting for anything.
    pub(crate) fn settle(&self, receipt: &Receipt, held: u64) -> Result<(), CommitError> {
        let (_, part) = self.prepare(receipt, held)?;
        part.write()
    }

    fn prepare(&self, receipt: &Receipt, held: u64) -> Result<(u64, Part<'_>), CommitError> {
        let mut entry = Vec::with_capacity(ENTRY);
        Entry::encode_receipt(receipt, &mut entry)?;
        if self.is_broken() {
            return Err(CommitError::Closed);
        }
        let mut written = self.written();
        let seq = written.settle(held, |bytes| bytes.extend_from_slice(&entry));
        Ok((seq, Part::of(self, &written)))
    }

    /// Waits until everything that was written before now is on the disk.
    pub(crate) async fn sync(&self) -> Result<(), CommitError> {
        let last = self.written().last();
        self.unsynced.notify_one();
        self.synced_to(last).await
    }

    async fn synced_to(&self, seq: u64) -> Result<(), CommitError> {
        let mut synced = self.synced.subscribe();
        let there = synced.wait_for(|synced| *synced >= seq || self.is_broken()).await;
        if there.is_err() || self.is_broken() { Err(CommitError::Closed) } else { Ok(()) }
    }

    /// Waits until a record is on the disk, where that is asked for.
    async fn on_disk(&self, seq: u64) -> Result<(), CommitError> {
        if self.durability == Durability::Strict { self.synced_to(seq).await } else { Ok(()) }
    }

    /// Whether the database has every receipt.
    pub(crate) fn is_applied(&self) -> bool {
        self.applied.borrow().seq >= self.written().settled()
    }

    /// Waits until the database has every receipt that was written before now.
    ///
    /// # Errors
    /// It does not take it, or not in time.
    pub(crate) async fn applied(&self) -> anyhow::Result<()> {
        if self.is_applied() {
            return Ok(());
        }
        let wanted = self.written().settled();
        let mut applied = self.applied.subscribe();
        self.hurry.notify_one();
        let there = applied.wait_for(|now| now.seq >= wanted || now.refusal().is_some());
        let there = timeout(PATIENCE, there).await??;
        match there.refusal() {
            Some(error) if there.seq < wanted => Err(error.clone().into()),
            _ => Ok(()),
        }
    }
}
