//! A body that is recorded while its client reads it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{Capture, MOST_BYTES, Record};

/// A request whose answer is not there yet.
pub(crate) struct Recording {
    capture: Arc<Capture>,
    begun: Instant,
    record: Record,
}

impl Recording {
    pub(super) fn new(capture: Arc<Capture>, begun: Instant, record: Record) -> Self {
        Self { capture, begun, record }
    }

    /// Records an answer on its way.
    pub(crate) fn of(mut self: Box<Self>, response: Response) -> Response {
        self.record.status = response.status().as_u16();
        let kind = response.headers().get(header::CONTENT_TYPE);
        self.record.is_events =
            kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        response.map(|body| Body::new(Tapped { body, recording: Some(self) }))
    }

    fn take(&mut self, bytes: &[u8]) {
        let record = &mut self.record;
        let room = MOST_BYTES.saturating_sub(record.response.len()).min(bytes.len());
        record.response.extend_from_slice(&bytes[..room]);
        record.response_bytes += u64::try_from(bytes.len()).unwrap_or(0);
    }
}

struct Tapped {
    body: Body,
    recording: Option<Box<Recording>>,
}

impl HttpBody for Tapped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(recording)) = (&polled, &mut this.recording)
            && let Some(bytes) = frame.data_ref()
        {
            recording.take(bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        let Some(recording) = self.recording.take() else { return };
        let Recording { capture, begun, mut record } = *recording;
        record.whole = self.body.is_end_stream();
        record.took = begun.elapsed();
        capture.leave(record);
    }
}
