//! What a connection is allowed: how long its client may take for each step, and when it ends.
//!
//! hyper has a limit for the head of a request alone, which counts while nothing is asked for, too. So the time is taken
//! here: of the head from its first byte, of the pause between two requests, of a client that does not take its answer.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::activity::{Activity, LAST_WORDS, Open};
use crate::ending::Ending;
use crate::frames::Frames;
use crate::network::Timeouts;

/// What hyper makes of a connection.
pub(crate) type Served =
    Pin<Box<dyn GracefulConnection<Error = hyper::Error, Output = hyper::Result<()>> + Send>>;

/// A connection on its way to its end.
pub(crate) struct Watched {
    connection: Served,
    activity: Arc<Activity>,
    timeouts: Timeouts,
    timer: Pin<Box<Sleep>>,
    ending: Arc<Ending>,
    leave: CancellationToken,
    /// The word that it is to end; once it has come, the word that it is cut.
    word: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whom the word wakes.
    listener: Option<Waker>,
    /// By when it has said what it wants, once it is to end.
    leaving: Option<Instant>,
    left: bool,
    /// When it is dropped, whatever goes on: it was idle for too long.
    over: Option<Instant>,
    /// Wakes the requests of HTTP/2, which have tasks of their own.
    streams: CancellationToken,
}

impl Watched {
    pub(crate) fn new(
        connection: Served,
        activity: Arc<Activity>,
        timeouts: Timeouts,
        (ending, leave): (Arc<Ending>, CancellationToken),
        streams: CancellationToken,
    ) -> Self {
        let timer = Box::pin(sleep_until(activity.opened + timeouts.header));
        let word = Box::pin(leave.clone().cancelled_owned());
        Self {
            connection,
            activity,
            timeouts,
            timer,
            ending,
            leave,
            word,
            listener: None,
            leaving: None,
            left: false,
            over: None,
            streams,
        }
    }

    /// Takes the word that the end is near, and then that it is there.
    fn listen(&mut self, context: &mut Context<'_>) {
        let has_come = match self.leaving {
            // A flag, because a token has a lock. Who is to leave from the start is told at the first look.
            None => self.ending.is_draining() && self.leave.is_cancelled(),
            Some(_) => self.ending.is_cut(),
        };
        let is_told = |listener: &Waker| listener.will_wake(context.waker());
        if !has_come && self.listener.as_ref().is_some_and(is_told) {
            return;
        }
        self.listener = Some(context.waker().clone());
        if self.word.as_mut().poll(context).is_pending() {
            return;
        }
        if self.leaving.is_none() {
            self.leaving = Some(Instant::now() + LAST_WORDS);
            self.word.set(self.ending.word());
            self.listener = None;
            self.listen(context);
        } else {
            // Polled again and again from here on, which ends soon.
            self.streams.cancel();
        }
    }

    /// From when on it may end; at once where answers are cut.
    fn ends(&self, by: Instant) -> Option<Instant> {
        if self.ending.is_cut() { Some(self.activity.opened) } else { self.activity.ends(by) }
    }

    /// When it is to end, as far as that is known.
    fn leaves(&self) -> Option<Instant> {
        self.leaving.filter(|_| !self.left).and_then(|by| self.ends(by))
    }

    /// Ends it once it has said what it wants.
    fn leave(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let Some(by) = self.leaving.filter(|_| !self.left) else { return Poll::Pending };
        if self.ends(by).is_none_or(|ends| Instant::now() < ends) {
            return Poll::Pending;
        }
        self.left = true;
        self.connection.as_mut().graceful_shutdown();
        self.connection.as_mut().poll(context)
    }

    fn due(&self) -> Option<Instant> {
        let due = match self.over {
            Some(over) => self.activity.is_idle().then_some(over),
            None => self.activity.due(&self.timeouts),
        };
        due.into_iter().chain(self.leaves()).min()
    }

    /// It was waited for long enough.
    fn expire(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        if self.over.is_some() || self.activity.is_http1 {
            return Poll::Ready(Ok(()));
        }
        // The client of HTTP/2 is told, and may be in the middle of asking.
        self.over = Some(Instant::now() + LAST_WORDS);
        self.left = true;
        self.connection.as_mut().graceful_shutdown();
        self.connection.as_mut().poll(context)
    }
}

impl Future for Watched {
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.listen(context);
        if let ended @ Poll::Ready(_) = this.connection.as_mut().poll(context) {
            return ended;
        }
        loop {
            if let ended @ Poll::Ready(_) = this.leave(context) {
                return ended;
            }
            let due = this.due();
            // What a request of HTTP/1.1 comes to is seen here.
            if due.is_none() && this.activity.is_http1 && this.leaving.is_none() {
                return Poll::Pending;
            }
            if due.is_some_and(|due| due < this.timer.deadline()) || this.timer.is_elapsed() {
                let again = || Instant::now() + this.timeouts.idle;
                this.timer.as_mut().reset(due.unwrap_or_else(again));
            }
            ready!(this.timer.as_mut().poll(context));
            // Often the time is not up, because something has happened since the timer was set.
            let now = Instant::now();
            if this.due().is_some_and(|due| due <= now)
                && this.leaves().is_none_or(|leaves| leaves > now)
                && let ended @ Poll::Ready(_) = this.expire(context)
            {
                return ended;
            }
        }
    }
}

/// The socket: a client that takes nothing for too long has gone, and so has one of HTTP/2 that sends frames for nothing.
pub(crate) struct Guarded {
    stream: TcpStream,
    activity: Arc<Activity>,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    frames: Option<Frames>,
    /// The last bytes were of a head.
    in_head: bool,
}

impl Guarded {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>, patience: Duration) -> Self {
        let frames = (!activity.is_http1).then(|| Frames::new(activity.opened));
        Self { stream, activity, patience, stalled: None, frames, in_head: false }
    }

    /// Throws away what still comes of a head that was refused in the middle: for as long as a head may take in all, as
    /// long as something comes. Were the connection closed at once, its client would meet a broken connection while it sends,
    /// and never read why.
    fn throw_away(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 4 * 1024];
        loop {
            let mut rest = ReadBuf::new(&mut bytes);
            if Pin::new(&mut self.stream).poll_read(context, &mut rest)?.is_pending() {
                let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(LAST_WORDS)));
                return stalled.as_mut().poll(context).map(Ok);
            }
            self.stalled = None;
            if rest.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn gone(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(written) => {
                self.stalled = None;
                if let Ok(count) = written {
                    self.activity.written(count);
                    if let Some(frames) = &mut self.frames {
                        frames.written(count);
                    }
                }
                Poll::Ready(written)
            }
            Poll::Pending => {
                let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience)));
                ready!(stalled.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            self.in_head = self.activity.is_http1 && self.activity.is_idle();
            self.activity.read();
        }
        if let Some(frames) = &mut self.frames {
            frames.read(read, Instant::now())?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.gone(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        if self.in_head && self.activity.is_within_a_head() {
            return self.throw_away(context);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.gone(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// What a request has done since it was looked at.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Progress {
    Nothing,
    /// It has given its client more.
    Moved,
    /// It has nothing for its client yet.
    Ours,
}

thread_local! {
    /// Of the request of HTTP/2 that runs on this thread: hyper asks it for nothing while its client takes nothing.
    static PROGRESS: Cell<Progress> = const { Cell::new(Progress::Nothing) };
}

/// An answer on its way, with the request that it belongs to.
pub(crate) struct Answering<F> {
    answer: F,
    open: Option<Open>,
    /// Where the head says whether the connection goes on: of HTTP/1.1.
    ending: Option<Arc<Ending>>,
}

impl<F> Answering<F> {
    pub(crate) fn new(answer: F, activity: &Arc<Activity>, ending: &Arc<Ending>) -> Self {
        let ending = activity.is_http1.then(|| Arc::clone(ending));
        Self { answer, open: Some(activity.begin()), ending }
    }
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Counted>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Poll::Ready(Ok(mut response)) = Pin::new(&mut this.answer).poll(context) else {
            PROGRESS.set(Progress::Ours);
            return Poll::Pending;
        };
        let open = this.open.take();
        if let (Some(ending), Some(open)) = (&this.ending, &open) {
            if ending.is_draining() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            let promised = !response.headers().contains_key(header::CONNECTION);
            open.0.promised.store(promised, Ordering::Release);
        }
        Poll::Ready(Ok(response.map(|body| Counted { body, _open: open })))
    }
}

/// The body of an answer, which is under way until it is dropped.
pub(crate) struct Counted {
    body: Body,
    _open: Option<Open>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        PROGRESS.set(if frame.is_pending() { Progress::Ours } else { Progress::Moved });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Runs the requests of one connection of HTTP/2, each until its client takes no more of it.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) patience: Duration,
    pub(crate) word: CancellationToken,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        TokioExecutor::new().execute(Stream {
            stream: Box::pin(stream),
            patience: self.patience,
            stalled: None,
            word: Box::pin(self.word.clone().cancelled_owned()),
        });
    }
}

struct Stream<F> {
    stream: Pin<Box<F>>,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    word: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // For nothing but to be woken.
        let _ = this.word.as_mut().poll(context);
        PROGRESS.set(Progress::Nothing);
        if this.stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let progress = PROGRESS.get();
        if progress != Progress::Nothing {
            this.stalled = None;
        }
        if progress == Progress::Ours {
            return Poll::Pending;
        }
        let stalled = this.stalled.get_or_insert_with(|| Box::pin(sleep(this.patience)));
        // Dropped, it is reset.
        stalled.as_mut().poll(context)
    }
}
