//! The body of an answer as it goes out: at once, in pieces, with pauses, and not always to its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep};

pub(crate) type AnswerBody = Either<Full<Bytes>, Pieces>;

/// Time for what was sent to reach the client: a server drops what it has not yet written when a
/// body fails.
const FLUSH: Duration = Duration::from_millis(20);

/// What follows the last piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    #[default]
    Whole,
    /// A broken connection.
    Cut,
    /// Silence.
    Hang,
}

/// A body that is sent piece by piece.
pub(crate) struct Pieces {
    pieces: Arc<[Bytes]>,
    next: usize,
    gap: Duration,
    ending: Ending,
    pause: Option<Pin<Box<Sleep>>>,
    flushed: bool,
    /// Counts the bodies whose reader did not want all of it.
    aborted: Arc<AtomicU64>,
}

impl Pieces {
    pub(crate) fn new(
        pieces: Arc<[Bytes]>,
        gap: Duration,
        ending: Ending,
        aborted: Arc<AtomicU64>,
    ) -> Self {
        Self { pieces, next: 0, gap, ending, pause: None, flushed: false, aborted }
    }

    fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        match &mut self.pause {
            Some(pause) => pause.as_mut().reset(until),
            None => self.pause = Some(Box::pin(tokio::time::sleep_until(until))),
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if self.next < self.pieces.len() {
            self.aborted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(pause) = &mut self.pause
                && !pause.is_elapsed()
                && pause.as_mut().poll(context).is_pending()
            {
                return Poll::Pending;
            }
            if let Some(piece) = self.pieces.get(self.next).cloned() {
                self.next += 1;
                if self.next < self.pieces.len() && !self.gap.is_zero() {
                    let gap = self.gap;
                    self.wait(gap);
                }
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            match self.ending {
                Ending::Whole => return Poll::Ready(None),
                Ending::Cut if self.flushed => {
                    let cut = io::Error::new(io::ErrorKind::ConnectionAborted, "cut on demand");
                    return Poll::Ready(Some(Err(cut)));
                }
                Ending::Cut => {
                    self.flushed = true;
                    self.wait(FLUSH);
                }
                // Nobody wakes this body: it ends with its connection.
                Ending::Hang => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ending == Ending::Whole && self.next >= self.pieces.len()
    }
}
