//! What goes on behind the requests, counted: how the journal gets to the disk and into the database.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::Histogram;
use crate::clock;

/// From a fast disk to one that hangs, in microseconds.
pub(crate) const WORK_BOUNDS: [u64; 12] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// The counters of a journal.
pub(crate) struct Tally {
    pub(super) sync: Histogram<12>,
    pub(super) apply: Histogram<12>,
    pub(super) receipts: AtomicU64,
    pub(super) failures: AtomicU64,
    /// Since when something waits for the database, in microseconds since 1970; 0 where nothing does.
    waiting_since: AtomicI64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            sync: Histogram::new(&WORK_BOUNDS),
            apply: Histogram::new(&WORK_BOUNDS),
            receipts: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            waiting_since: AtomicI64::new(0),
        }
    }
}

impl Tally {
    /// The journal was synced; what is new in it waits for the database from now on.
    pub(crate) fn synced(&self, took: Duration) {
        self.sync.note(took);
        let (order, now) = (Ordering::Relaxed, clock::now());
        let _ = self.waiting_since.compare_exchange(0, now, order, order);
    }

    /// The database has taken a batch.
    pub(crate) fn applied(&self, receipts: usize, took: Duration) {
        self.apply.note(took);
        self.receipts.fetch_add(u64::try_from(receipts).unwrap_or(0), Ordering::Relaxed);
    }

    /// The database has not taken what there was.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The database has everything that was synced at the moment `at`; `more` says whether more has been since.
    pub(crate) fn caught_up(&self, at: i64, more: bool) {
        self.waiting_since.store(if more { at } else { 0 }, Ordering::Relaxed);
    }

    /// For how long the oldest record has waited for the database, in microseconds.
    pub(super) fn waiting_for(&self) -> i64 {
        let since = self.waiting_since.load(Ordering::Relaxed);
        if since == 0 { 0 } else { clock::now().saturating_sub(since).max(0) }
    }
}
