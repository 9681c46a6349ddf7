//! A connection over HTTP/1.1, which runs where it is used: no task of its own stands between a request and its socket.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::coop;

/// What is read of an answer before the client has taken it, in bytes.
const MOST_BUFFERED: usize = 32 * 1024;

pub(super) type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// One connection, and what speaks on it.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<Io, Full<Bytes>>,
    ended: bool,
    nudge: Arc<Nudge>,
    /// The nudge once more, as the connection takes it.
    waker: Waker,
}

impl Line {
    pub(super) async fn open(io: Io) -> hyper::Result<Box<Self>> {
        let (sender, connection) = Builder::new().max_buf_size(MOST_BUFFERED).handshake(io).await?;
        let nudge = Arc::new(Nudge::default());
        let waker = Waker::from(Arc::clone(&nudge));
        Ok(Box::new(Self { sender, connection, ended: false, nudge, waker }))
    }

    /// Sends a request and waits for the head of its answer. A request that was not sent comes back with the error.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let answer = self.sender.try_send_request(request);
        let mut answer = std::pin::pin!(answer);
        std::future::poll_fn(|context| self.drive(context, |context| answer.as_mut().poll(context)))
            .await
    }

    /// Polls `wanted` and the connection that it waits for in turn, until it is there or both wait for the socket.
    pub(super) fn drive<T>(
        &mut self,
        context: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.nudge.begin(context.waker());
        let mut inner = Context::from_waker(&self.waker);
        loop {
            if let Poll::Ready(there) = wanted(&mut inner) {
                return Poll::Ready(there);
            }
            if self.ended {
                return Poll::Pending;
            }
            // What has been said up to here, the connection hears now.
            self.nudge.hear();
            self.ended = Pin::new(&mut self.connection).poll(&mut inner).is_ready();
            if self.ended {
                continue;
            }
            if self.nudge.rest() {
                return Poll::Pending;
            }
            if !coop::has_budget_remaining() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Whether the connection takes another request. Looks at the socket, and waits for nothing.
    pub(super) fn is_idle(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        self.ended = self.ended || Pin::new(&mut self.connection).poll(&mut nobody).is_ready();
        !self.ended && self.sender.is_ready()
    }

    /// Lets go of the task that used the connection last.
    pub(super) fn rest(&self) {
        self.nudge.forget();
    }
}

/// Wakes the task that uses a connection; while the task is at work on it anyway, leaves a note.
#[derive(Default)]
struct Nudge {
    state: AtomicU8,
    task: Mutex<Option<Waker>>,
}

const RESTING: u8 = 0;
const WORKING: u8 = 1;
const NUDGED: u8 = 2;

impl Nudge {
    /// The work begins, on this task.
    fn begin(&self, task: &Waker) {
        let mut current = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.as_ref().is_some_and(|current| current.will_wake(task)) {
            *current = Some(task.clone());
        }
        self.state.store(WORKING, Ordering::SeqCst);
    }

    /// Takes the note, if there is one.
    fn hear(&self) {
        self.state.store(WORKING, Ordering::SeqCst);
    }

    /// Ends the work, unless there is a note.
    fn rest(&self) -> bool {
        let (from, to) = (WORKING, RESTING);
        self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn forget(&self) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(NUDGED, Ordering::SeqCst) != RESTING {
            return;
        }
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}
