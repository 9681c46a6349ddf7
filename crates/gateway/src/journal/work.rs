//! What goes on behind the requests: the journal is synced, and applied to the database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use store::{Entry, Store, StoreError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::record::Kind;
use super::segments::{self, Tail};
use super::{Applied, BATCH, Durability, Journal};

/// What is written may wait so long to be synced with more.
const GROUP: Duration = Duration::from_millis(10);
/// What is written may wait so long to be applied with more, unless somebody asks for it.
const GATHER: Duration = Duration::from_millis(100);
/// How long to wait before each try after the first; from then on as long as before the last.
const BACKOFF_MS: [u64; 6] = [50, 100, 200, 400, 800, 1_600];

/// Syncs whatever is written, until `stop`.
pub(super) async fn sync(journal: Arc<Journal>, stop: CancellationToken) {
    loop {
        let stopped = tokio::select! {
            () = journal.unsynced.notified() => false,
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
    let (file, last, full) = {
        let writer = journal.writer();
        (writer.file()?, writer.last(), writer.is_full())
    };
    file.sync_data()?;
    journal.synced.send_replace(last);
    if full {
        journal.writer().turn()?;
        segments::tidy(&journal.folder.path, journal.applied.borrow().seq)?;
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
    let mut tries = 0;
    loop {
        let wait = async {
            if tries > 0 {
                return sleep(wait_after(tries)).await;
            }
            journal.unapplied.notified().await;
            tokio::select! {
                () = sleep(GATHER) => {}
                () = journal.hurry.notified() => {}
            }
        };
        stop.run_until_cancelled(wait).await;
        let tell = |result: Result<u64, StoreError>| {
            journal.applied.send_modify(|applied| match result {
                Ok(seq) => *applied = Applied { seq, failure: None },
                Err(error) => applied.failure = Some(error),
            });
        };
        match apply_all(&mut tail, &store, journal.folder.replica, tell).await {
            Ok(()) => tries = 0,
            Err(error) => {
                tracing::error!(%error, "receipts wait in the journal: the database does not take them");
                tail = Tail::behind(&journal.folder.path, journal.applied.borrow().seq);
                tries += 1;
            }
        }
        if stop.is_cancelled() && (tries == 0 || tries > BACKOFF_MS.len()) {
            return;
        }
    }
}

fn wait_after(tries: usize) -> Duration {
    let last = BACKOFF_MS.len() - 1;
    let wait = BACKOFF_MS.get(tries.saturating_sub(1).min(last));
    Duration::from_millis(wait.copied().unwrap_or_default())
}

/// Applies what a journal has at this moment, and tells after each batch how far the database has come.
pub(super) async fn apply_all(
    tail: &mut Tail,
    store: &Store,
    replica: Uuid,
    tell: impl Fn(Result<u64, StoreError>),
) -> anyhow::Result<()> {
    loop {
        let entries = read(tail)?;
        if entries.is_empty() {
            return Ok(());
        }
        let seq = tail.last();
        let applied = store.apply(replica, seq, entries).await;
        tell(applied.clone().map(|()| seq));
        applied?;
    }
}

fn read(tail: &mut Tail) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut unreadable: Option<StoreError> = None;
    tail.read(BATCH, |Kind::Settled, body| match Entry::decode(body) {
        Ok(entry) => entries.push(entry),
        Err(error) => unreadable = Some(error),
    })?;
    unreadable.map_or(Ok(entries), |error| Err(error.into()))
}
