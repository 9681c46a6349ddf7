//! The connections to one provider: those of HTTP/1.1 wait here from one request to the next, that of HTTP/2 is shared.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::rt::Executor as _;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, sleep};

use super::line::{Line, LineError};
use super::packed::Packed;

/// How long a connection waits for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) type Shared = SendRequest<Full<Bytes>>;

#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    /// The one that has waited longest first.
    lines: VecDeque<(Box<Line>, Instant)>,
    shared: Option<(Shared, Instant)>,
    /// Whether somebody will look for those that have waited too long.
    swept: bool,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection over HTTP/1.1 that can be used at once: the one used last, since that is the likeliest to be open.
    pub(super) fn line(&self) -> Option<Box<Line>> {
        loop {
            let (mut line, _) = self.lock().lines.pop_back()?;
            if line.is_idle() {
                return Some(line);
            }
        }
    }

    /// Keeps a connection for the next request, if it can take one.
    fn keep(&self, mut line: Box<Line>) {
        if !line.is_idle() {
            return;
        }
        let mut waiting = self.lock();
        waiting.lines.push_back((line, Instant::now()));
        self.see_to_sweeping(&mut waiting);
    }

    /// The connection over HTTP/2.
    pub(super) fn shared(&self) -> Option<Shared> {
        let mut waiting = self.lock();
        let (shared, used) = waiting.shared.as_mut().filter(|(shared, _)| shared.is_ready())?;
        *used = Instant::now();
        Some(shared.clone())
    }

    pub(super) fn share(&self, shared: Shared) {
        let mut waiting = self.lock();
        waiting.shared = Some((shared, Instant::now()));
        self.see_to_sweeping(&mut waiting);
    }

    fn see_to_sweeping(&self, waiting: &mut Waiting) {
        if !std::mem::replace(&mut waiting.swept, true) {
            // Nothing that shutdown would have to wait for.
            TokioExecutor::new().execute(sweep(Arc::downgrade(&self.0)));
        }
    }
}

/// Closes what nobody has used for long, until there is nothing left.
async fn sweep(connections: Weak<Mutex<Waiting>>) {
    loop {
        sleep(IDLE_TIMEOUT / 4).await;
        let Some(connections) = connections.upgrade().map(Connections) else { return };
        let mut waiting = connections.lock();
        let recent = |used: &Instant| used.elapsed() < IDLE_TIMEOUT;
        let old = waiting.lines.iter().take_while(|(_, used)| !recent(used)).count();
        let closed: Vec<_> = waiting.lines.drain(..old).collect();
        waiting.shared = waiting.shared.take().filter(|(_, used)| recent(used));
        if waiting.lines.is_empty() && waiting.shared.is_none() {
            waiting.swept = false;
            return;
        }
        drop(waiting);
        drop(closed);
    }
}

/// Why a body does not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Own(#[from] LineError),
    #[error(transparent)]
    Shared(#[from] hyper::Error),
    #[error("it cannot be unpacked")]
    Packed(#[source] std::io::Error),
}

/// The body of an answer. One that is read to its end leaves its connection to the next request; one that is dropped before
/// closes it, by which the provider sees that nobody reads on.
pub(crate) struct Body {
    source: Source,
    /// How it is unpacked, where it comes packed.
    packed: Option<Box<Packed>>,
}

enum Source {
    /// A connection of HTTP/1.1, and where it waits afterwards.
    Own(Box<Line>, Connections),
    Shared(Incoming),
    Nowhere,
}

impl Body {
    pub(super) const fn own(line: Box<Line>, connections: Connections) -> Self {
        Self { source: Source::Own(line, connections), packed: None }
    }

    pub(super) const fn shared(incoming: Incoming) -> Self {
        Self { source: Source::Shared(incoming), packed: None }
    }

    /// The same, of whose bytes only what was packed in them is seen.
    pub(super) fn unpacked(mut self) -> Self {
        self.packed = Some(Box::default());
        self
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let polled = match &mut self.source {
            Source::Own(line, _) => line.poll_body(context).map_err(BodyError::from),
            // What comes behind a body is not looked at.
            Source::Shared(incoming) => Pin::new(incoming)
                .poll_frame(context)
                .map_ok(|frame| frame.into_data().unwrap_or_default())
                .map_err(BodyError::from),
            Source::Nowhere => Poll::Ready(None),
        };
        if let Poll::Ready(None) = polled {
            self.over();
        }
        polled
    }

    /// Leaves the connection to the next request.
    fn over(&mut self) {
        let source = std::mem::replace(&mut self.source, Source::Nowhere);
        if let Source::Own(line, connections) = source {
            connections.keep(line);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Some(packed) = &mut this.packed
                && let Some(bytes) = packed.next().map_err(BodyError::Packed)?
            {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let come = ready!(this.poll_source(context)?);
            let Some(packed) = &mut this.packed else {
                return Poll::Ready(come.map(|bytes| Ok(Frame::data(bytes))));
            };
            let Some(bytes) = come else {
                let last = packed.end().map_err(BodyError::Packed)?;
                return Poll::Ready(last.map(|bytes| Ok(Frame::data(bytes))));
            };
            packed.put(bytes);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.packed.is_none() && self.source.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            _ if self.packed.is_some() => SizeHint::default(),
            Source::Own(line, _) => line.size_hint(),
            Source::Shared(incoming) => incoming.size_hint(),
            Source::Nowhere => SizeHint::with_exact(0),
        }
    }
}

impl Source {
    fn is_over(&self) -> bool {
        match self {
            Self::Own(line, _) => line.is_over(),
            Self::Shared(incoming) => incoming.is_end_stream(),
            Self::Nowhere => true,
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.source.is_over() {
            self.over();
        }
    }
}
