//! What goes on behind the requests: the journal is synced, and applied to the database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ledger::Signer;
use store::{Batch, Entries, Store, StoreError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::record::Kind;
use super::segments::{self, Tail};
use super::{Applied, Durability, Folder, Journal};
use crate::clock;
use crate::telemetry::Tally;

/// What is written may wait so long to be synced with more.
const GROUP: Duration = Duration::from_millis(10);
/// What is written may wait so long to be applied with more, unless somebody asks for it.
const GATHER: Duration = Duration::from_millis(100);
/// How many records are read for one transaction.
const BATCH: usize = 4_096;
/// So many records without a receipt may follow before the database is told.
const UNTOLD: u64 = 65_536;
/// With less room on the disk no more requests begin, in bytes; those under way can still end.
pub(crate) const LEAST_ROOM: u64 = 256 * 1024 * 1024;
/// How often to look for it then.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(1);
/// How long to wait before each try after the first; from then on as long as before the last.
const BACKOFF_MS: [u64; 6] = [50, 100, 200, 400, 800, 1_600];
/// A database that is away is looked for at least so often: to look for it costs neither side much, and what waits for
/// it grows meanwhile.
const LOOK_FOR_DATABASE: Duration = Duration::from_millis(200);

/// Syncs whatever is written, until `stop`.
pub(super) async fn sync(journal: Arc<Journal>, stop: CancellationToken) {
    loop {
        let is_full = journal.full.load(Ordering::Relaxed);
        let stopped = tokio::select! {
            () = journal.unsynced.notified() => false,
            // Nobody writes, but there may be room again.
            () = sleep(LOOK_FOR_ROOM), if is_full => false,
            () = stop.cancelled() => true,
        };
        let syncing = Arc::clone(&journal);
        let done = tokio::task::spawn_blocking(move || sync_once(&syncing)).await;
        if !matches!(done, Ok(Ok(()))) {
            tracing::error!(?done, "the journal could not be synced; no more requests are taken");
            journal.broken.store(true, Ordering::Relaxed);
            // Whoever waits is told.
            journal.synced.send_modify(|_| {});
            return;
        }
        if stopped {
            return;
        }
        if journal.durability == Durability::Process {
            sleep(GROUP).await;
        }
    }
}

fn sync_once(journal: &Journal) -> anyhow::Result<()> {
    let (file, last, is_full) = {
        let written = journal.written();
        let writer = written.writer();
        (writer.file()?, writer.last(), writer.is_full())
    };
    let begun = Instant::now();
    file.sync_data()?;
    let took = begun.elapsed();
    // Under one lock, so that whoever has seen the one knows of the other.
    journal.synced.send_modify(|synced| {
        *synced = last;
        journal.tally.synced(took);
    });
    // Only what no loss of power can take back: the database must never know more than the journal.
    journal.unapplied.notify_one();
    if let Err(error) = journal.written().writer().look() {
        // The file is still open: what is under way is written and applied.
        if !journal.gone.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "no more requests are taken: this process has to be started anew");
        }
        return Ok(());
    }
    journal.full.store(segments::room(&journal.folder.path)? < LEAST_ROOM, Ordering::Relaxed);
    if is_full {
        let oldest = {
            let written = &mut *journal.written();
            written.turn()?;
            written.oldest()
        };
        let applied = journal.applied.borrow().cursor;
        segments::tidy(&journal.folder.path, applied.min(oldest.saturating_sub(1)))?;
    }
    Ok(())
}

/// Applies whatever is written, until `stop`, and then what is left.
pub(super) async fn apply(
    journal: Arc<Journal>,
    mut tail: Tail,
    store: Store,
    stop: CancellationToken,
) {
    let Folder { replica, epoch, ref signer, .. } = journal.folder;
    let (cursor, tally) = (tail.last(), Some(&journal.tally));
    let mut books = Books { store: &store, replica, epoch, signer, cursor, tally };
    let mut tries = 0;
    // Whether the last try has not even found the database.
    let mut away = false;
    loop {
        let wait = async {
            if tries > 0 {
                // Who asks for usage may know that it is there again.
                tokio::select! {
                    () = sleep(wait_after(tries, away)) => {}
                    () = journal.hurry.notified(), if away => {}
                }
                return;
            }
            journal.unapplied.notified().await;
            tokio::select! {
                () = sleep(GATHER) => {}
                () = journal.hurry.notified() => {}
            }
        };
        stop.run_until_cancelled(wait).await;
        let tell = |cursor: u64, result: Result<u64, StoreError>| {
            journal.applied.send_modify(|applied| match result {
                Ok(seq) => *applied = Applied { seq, cursor, failure: None },
                Err(error) => applied.failure = Some(error),
            });
        };
        // Whoever stops in the midst of this goes round once more.
        let stopping = stop.is_cancelled();
        if stopping {
            // What was written last is synced now.
            let _ = journal.sync().await;
        }
        let again = async {
            if tries > 0 {
                if let Err(error) = books.find().await {
                    tell(books.cursor, Err(error.clone()));
                    return Err(error.into());
                }
                tail = Tail::behind(&journal.folder.path, books.cursor);
            }
            let (end, at) = (*journal.synced.borrow(), clock::now());
            books.apply_all(&mut tail, end, || journal.written().oldest(), tell).await?;
            let synced = journal.synced.borrow();
            journal.tally.caught_up(at, *synced > end);
            anyhow::Ok(())
        };
        match again.await {
            Ok(()) => {
                if tries > 0 {
                    tracing::info!(cursor = books.cursor, "the database has taken what waited");
                }
                tries = 0;
            }
            Err(error) => {
                journal.tally.failed();
                away = error.downcast_ref().is_some_and(StoreError::is_transient);
                if tries == 0 || !away {
                    tracing::error!(%error, "receipts wait in the journal: the database does not take them");
                }
                tries += 1;
            }
        }
        if stopping && (tries == 0 || tries > BACKOFF_MS.len()) {
            return;
        }
    }
}

fn wait_after(tries: usize, away: bool) -> Duration {
    let last = BACKOFF_MS.len() - 1;
    let wait = BACKOFF_MS.get(tries.saturating_sub(1).min(last));
    let wait = Duration::from_millis(wait.copied().unwrap_or_default());
    if away { wait.min(LOOK_FOR_DATABASE) } else { wait }
}

/// The database's side of a journal.
pub(super) struct Books<'a> {
    pub(super) store: &'a Store,
    pub(super) replica: Uuid,
    /// In which run of it this is.
    pub(super) epoch: i64,
    /// What its receipts are sealed with.
    pub(super) signer: &'a Signer,
    /// How far the database says that it has come.
    pub(super) cursor: u64,
    /// Where somebody counts.
    pub(super) tally: Option<&'a Tally>,
}

impl Books<'_> {
    /// Looks for a database that was away, and how far it has come: it may be another one by now, restored from an older
    /// copy.
    async fn find(&mut self) -> Result<(), StoreError> {
        self.store.reach().await?;
        if let Some(known) = self.store.replica(self.replica).await? {
            self.cursor = known.cursor;
        }
        Ok(())
    }

    /// Applies what a journal has up to record `end`, and tells after each batch the database's cursor and how far it has
    /// come. `oldest` is the first record that a recovery would need. A batch that no balance can take is applied record by
    /// record, and the receipt that is too much is set aside.
    pub(super) async fn apply_all(
        &mut self,
        tail: &mut Tail,
        end: u64,
        oldest: impl Fn() -> u64,
        tell: impl Fn(u64, Result<u64, StoreError>),
    ) -> anyhow::Result<()> {
        let mut one_by_one = 0;
        loop {
            let before = tail.last();
            let alone = before < one_by_one;
            let entries = read(tail, end, if alone { 1 } else { BATCH })?;
            let seq = tail.last();
            if seq == before {
                return Ok(());
            }
            // What holds no receipt moves nobody's money: the database need not hear of every bit of it.
            let is_news = !entries.is_empty() || seq - self.cursor > UNTOLD;
            if is_news && let Err(error) = self.apply(seq, oldest(), entries, alone).await {
                if error.is_out_of_range() && !alone {
                    (one_by_one, *tail) = (seq, tail.back_to(before));
                    continue;
                }
                tell(self.cursor, Err(error.clone()));
                return Err(error.into());
            }
            tell(self.cursor, Ok(seq));
        }
    }

    async fn apply(
        &mut self,
        seq: u64,
        open: u64,
        entries: Entries,
        alone: bool,
    ) -> Result<(), StoreError> {
        let (id, at) = (clock::new_id(), clock::now());
        let (replica, epoch, after) = (self.replica, self.epoch, self.cursor);
        let batch = Batch { id, replica, epoch, after, seq, open, at, entries };
        let (receipts, begun) = (batch.entries.len(), Instant::now());
        match self.store.apply(&batch, self.signer).await {
            Err(error) if alone && error.is_out_of_range() => {
                self.store.set_aside(&batch, &error.to_string()).await?;
                tracing::error!(record = seq, %replica, %error, "a receipt that no balance can take was set aside, and is charged to nobody: `tollgate verify` names it");
            }
            applied => report(&applied?),
        }
        if let Some(tally) = self.tally {
            tally.applied(receipts, begun.elapsed());
        }
        self.cursor = seq;
        Ok(())
    }

    /// Tells the database of what was read last, receipt or not.
    pub(super) async fn finish(&mut self, seq: u64, open: u64) -> Result<(), StoreError> {
        if seq > self.cursor {
            self.apply(seq, open, Entries::default(), false).await
        } else {
            Ok(())
        }
    }
}

/// What was not posted as it was meant to be is for the operator to know.
fn report(applied: &store::Applied) {
    for (account, amount) in &applied.absorbed {
        tracing::error!(%account, %amount, "usage that no credit was left for is paid by the house");
    }
}

fn read(tail: &mut Tail, end: u64, most: usize) -> anyhow::Result<Entries> {
    let mut entries = Entries::default();
    let left = usize::try_from(end.saturating_sub(tail.last())).unwrap_or(most);
    tail.read(left.min(most), |seq, kind, body| {
        if kind == Kind::Settled {
            entries.push(seq, body);
        }
    })?;
    Ok(entries)
}
