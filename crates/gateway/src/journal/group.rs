//! What requests write in the same moment is written at once: each has its record prepared, lets the others who are as far
//! do the same, and goes on when all of it stands in the file.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::record::Kind;
use super::segments::{JournalError, Writer};
use super::{CommitError, Journal};

/// Why the records of a group were not written, if they were not.
type Fate = Arc<OnceLock<Arc<JournalError>>>;

/// Records that are prepared, and what holds once they are written.
#[derive(Default)]
struct Group {
    fate: Fate,
    /// The last receipt.
    settled: Option<u64>,
    /// The records with which the requests began that end.
    ended: Vec<u64>,
}

/// What is written, and what of it is still needed.
pub(super) struct Written {
    writer: Writer,
    /// The records with which the requests begin that have not ended.
    running: BTreeSet<u64>,
    /// The record of the last receipt.
    settled: u64,
    /// How much this process has written, in bytes.
    bytes: u64,
    group: Group,
}

impl Written {
    pub(super) fn new(writer: Writer) -> Self {
        let settled = writer.last();
        Self { writer, running: BTreeSet::new(), settled, bytes: 0, group: Group::default() }
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The last record that is written.
    pub(super) fn last(&self) -> u64 {
        self.writer.last()
    }

    /// The last receipt that is written.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// How much this process has written, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The first record that a recovery would have to read.
    pub(super) fn oldest(&self) -> u64 {
        self.running.first().copied().unwrap_or(self.last() + 1)
    }

    /// Prepares a record, and returns the number that it has once it is written.
    pub(super) fn prepare(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> u64 {
        self.writer.prepare(kind, body)
    }

    /// Prepares the record with which a request begins.
    pub(super) fn begin(&mut self, body: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let seq = self.prepare(Kind::Held, body);
        // From now on: whoever asks for the oldest before whoever began it goes on must hear of it.
        self.running.insert(seq);
        seq
    }

    /// Prepares the receipt of a request that began with record `held`.
    pub(super) fn settle(&mut self, held: u64, body: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let seq = self.prepare(Kind::Settled, body);
        self.group.settled = Some(seq);
        self.group.ended.push(held);
        seq
    }

    /// Writes a record at once, and whatever is prepared.
    pub(super) fn append(
        &mut self,
        kind: Kind,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), CommitError> {
        self.prepare(kind, body);
        let fate = Arc::clone(&self.group.fate);
        self.flush();
        told(&fate)
    }

    /// Ends a request that began with record `held`.
    pub(super) fn end(&mut self, held: u64) {
        self.running.remove(&held);
    }

    /// Writes what is prepared, all or nothing.
    fn flush(&mut self) {
        let Group { fate, settled, ended } = std::mem::take(&mut self.group);
        let prepared = self.writer.prepared_bytes();
        match self.writer.flush() {
            Ok(_) => {
                self.bytes += prepared;
                self.settled = settled.unwrap_or(self.settled);
                for held in ended {
                    self.running.remove(&held);
                }
            }
            Err(error) => {
                // These numbers are given again.
                self.running.split_off(&(self.last() + 1));
                // A group is written once.
                let _ = fate.set(Arc::new(error));
            }
        }
    }

    /// Goes on in another segment.
    pub(super) fn turn(&mut self) -> Result<(), JournalError> {
        // Whoever has a part in it hears whether it could be written.
        self.flush();
        self.writer.turn()
    }
}

fn told(fate: &Fate) -> Result<(), CommitError> {
    fate.get().map_or(Ok(()), |error| Err(CommitError::Journal(Arc::clone(error))))
}

/// A request's part in what is written next. It is written even where the request is given up.
pub(super) struct Part<'a> {
    journal: &'a Journal,
    fate: Fate,
}

impl<'a> Part<'a> {
    /// What was prepared last.
    pub(super) fn of(journal: &'a Journal, written: &Written) -> Self {
        Self { journal, fate: Arc::clone(&written.group.fate) }
    }

    /// Returns when it is written. Others who are as far go first: what leaves together costs a fifth less each.
    pub(super) async fn written(self) -> Result<(), CommitError> {
        tokio::task::yield_now().await;
        self.write()
    }

    /// The same without waiting for others.
    pub(super) fn write(&self) -> Result<(), CommitError> {
        self.flush();
        self.journal.unsynced.notify_one();
        told(&self.fate)
    }

    /// Writes it, unless that was done for another part.
    fn flush(&self) {
        let mut written = self.journal.written();
        if Arc::ptr_eq(&written.group.fate, &self.fate) {
            written.flush();
        }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
