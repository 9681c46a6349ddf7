//! The rest of a body that nobody wants.
//!
//! A request may be refused before its body has come, or in the middle of it. Were the connection closed at once, the
//! client would meet a broken connection while it sends, and never read why. So the rest is read and thrown away first,
//! within bounds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::app::App;

/// Nobody waits longer for it, and not longer than for a body that is wanted.
const LONGEST: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 128 * 1024 * 1024;

/// Holds the answer back until the body has been read, by the handler or here.
pub(crate) async fn throw_away(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // From here on, so that what the handler has waited for in vain is not waited for again.
    let until = until(&app);
    // Who waits for a "100 Continue" sends nothing that would have to be read.
    let waits = request.headers().contains_key(header::EXPECT);
    let (back, mut left) = oneshot::channel();
    let request = request
        .map(|body| Body::new(Watched { body: Some(body), started: !waits, back: Some(back) }));
    let response = next.run(request).await;
    if let Ok(body) = left.try_recv() {
        rest(body, until).await;
    }
    response
}

/// Reads the rest of a request that was refused before its body was looked at.
pub(crate) async fn refused(app: &App, headers: &HeaderMap, body: Body) {
    if !body.is_end_stream() && !headers.contains_key(header::EXPECT) {
        rest(body, until(app)).await;
    }
}

/// Until when the rest of a body is waited for that is not wanted from now on.
pub(crate) fn until(app: &App) -> Instant {
    Instant::now() + app.live.load().network.body_timeout().min(LONGEST)
}

/// Reads the rest of a body, within bounds.
pub(crate) async fn rest(body: Body, until: Instant) {
    let _ = timeout_at(until, read(body)).await;
}

async fn read(mut body: Body) {
    let mut bytes = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        bytes = bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if bytes > MOST_BYTES {
            return;
        }
    }
}

/// A body that gives itself back when it is dropped before its end.
struct Watched {
    body: Option<Body>,
    started: bool,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.started = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.started
            && let Some(body) = self.body.take().filter(|body| !body.is_end_stream())
            && let Some(back) = self.back.take()
        {
            // Nobody waits where the handler itself was dropped: the client has gone.
            let _ = back.send(body);
        }
    }
}
