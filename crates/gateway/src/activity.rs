//! What goes on in a connection, and until when its client has to do something.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::network::Timeouts;

/// How long a connection that is to end is waited for, where its client has not said yet what it wants or was told that it
/// goes on.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);
/// A write of HTTP/2 that is longer than this is more than the answer to a ping.
const MORE_THAN_A_PING: usize = 64;

/// What goes on in a connection. Times are milliseconds since it was opened, and one more; 0 is none.
pub(crate) struct Activity {
    pub(crate) opened: Instant,
    pub(crate) is_http1: bool,
    /// Requests under way.
    open: AtomicU32,
    /// Whether there ever was one.
    asked: AtomicBool,
    /// When the last one ended.
    idle_since: AtomicU64,
    /// When a head began to come.
    head_since: AtomicU64,
    /// The last answer's head has said that the connection goes on, of HTTP/1.1: its client may count on it.
    pub(crate) promised: AtomicBool,
}

impl Activity {
    pub(crate) fn new(opened: Instant, is_http1: bool) -> Arc<Self> {
        Arc::new(Self {
            opened,
            is_http1,
            open: AtomicU32::new(0),
            asked: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(1),
            promised: AtomicBool::new(false),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn at(&self, moment: u64) -> Instant {
        self.opened + Duration::from_millis(moment.saturating_sub(1))
    }

    /// A request begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.asked.store(true, Ordering::Release);
        self.head_since.store(0, Ordering::Release);
        self.promised.store(false, Ordering::Release);
        Open(Arc::clone(self))
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// Whether what has come last was no whole head.
    pub(crate) fn is_within_a_head(&self) -> bool {
        self.is_idle() && self.head_since.load(Ordering::Acquire) != 0
    }

    /// Bytes have come. Those of HTTP/2 need not be of a request.
    pub(crate) fn read(&self) {
        if self.is_http1 && self.is_idle() && self.head_since.load(Ordering::Acquire) == 0 {
            self.head_since.store(self.now(), Ordering::Release);
        }
    }

    /// Bytes have gone, of an answer that is in hyper's hands alone.
    pub(crate) fn written(&self, count: usize) {
        if count > MORE_THAN_A_PING && self.is_idle() {
            self.idle_since.store(self.now(), Ordering::Release);
        }
    }

    /// From when on a connection that is to end may: at `by` where its client has not asked for anything. Not before a client
    /// that was promised that it goes on had time for one request more, which is told otherwise; nothing while such an answer
    /// is under way.
    pub(crate) fn ends(&self, by: Instant) -> Option<Instant> {
        if !self.asked.load(Ordering::Acquire) {
            return Some(by);
        }
        if !self.promised.load(Ordering::Acquire) {
            return Some(self.opened);
        }
        self.is_idle().then(|| self.at(self.idle_since.load(Ordering::Acquire)) + LAST_WORDS)
    }

    /// Until when the client has to do something; nothing while something is done for it.
    pub(crate) fn due(&self, timeouts: &Timeouts) -> Option<Instant> {
        if !self.is_idle() {
            return None;
        }
        Some(match self.head_since.load(Ordering::Acquire) {
            0 => self.at(self.idle_since.load(Ordering::Acquire)) + timeouts.idle,
            since => self.at(since) + timeouts.header,
        })
    }
}

/// A request of a connection that is under way.
pub(crate) struct Open(pub(crate) Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Release);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
