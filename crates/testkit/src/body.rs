//! The body of an answer as it goes out.
//!
//! A stream of events will be a third kind beside the two here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep};

pub(crate) type AnswerBody = Either<Full<Bytes>, CutBody>;

/// Time for the first half to reach the client: a server drops what it has not yet written when
/// a body fails.
const FLUSH: Duration = Duration::from_millis(20);

/// Half of a body, and then a broken connection.
pub(crate) struct CutBody {
    half: Option<Bytes>,
    flushed: Pin<Box<Sleep>>,
}

impl CutBody {
    pub(crate) fn new(whole: &Bytes) -> Self {
        let half = whole.slice(..whole.len() / 2);
        Self { half: Some(half), flushed: Box::pin(tokio::time::sleep(FLUSH)) }
    }
}

impl Body for CutBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(half) = self.half.take() {
            self.flushed.as_mut().reset(Instant::now() + FLUSH);
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        self.flushed
            .as_mut()
            .poll(context)
            .map(|()| Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut on demand"))))
    }
}
