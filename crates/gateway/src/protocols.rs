//! Both versions of HTTP on one port. A client of HTTP/2 begins with words that no method of HTTP/1.1 begins with; they
//! are looked at and left where they are, so that no connection has a buffer for them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::connection::{Answering, Guarded, Served, Streams, Watched};
use crate::ending::Ending;
use crate::network::{Network, Timeouts};

/// What waits in a connection for a client that reads slowly, in bytes. Headers have to fit as well.
const MOST_BUFFERED: usize = 32 * 1024;
/// The same of the headers of HTTP/2, as its own way of counting them has it.
const MOST_HEADERS: u32 = 32 * 1024;
/// How many headers a request may have.
const HEADERS: usize = 100;
/// What a client of HTTP/2 may send ahead, in bytes: of one request and of all of a connection.
const WINDOW: u32 = 1024 * 1024;
/// Requests that a client of HTTP/2 may take back before they are looked at, and those that were refused as malformed;
/// whoever does more of that has no other aim.
const MOST_RESET: usize = 20;
const MOST_MALFORMED: usize = 1_024;
/// How often a client of HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// How often a client is looked at that has sent less than a word.
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// How a client has begun.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    Http1,
    Http2,
}

pub(crate) struct Protocols {
    http1: http1::Builder,
    http2_streams: u32,
    timeouts: Timeouts,
    ending: Arc<Ending>,
}

impl Protocols {
    pub(crate) fn new(network: &Network, ending: &Arc<Ending>) -> Self {
        let mut http1 = http1::Builder::new();
        // The time is taken in `connection.rs`.
        http1.header_read_timeout(None).max_buf_size(MOST_BUFFERED).max_headers(HEADERS);
        let (http2_streams, timeouts) = (network.http2_streams, network.timeouts());
        Self { http1, http2_streams, timeouts, ending: Arc::clone(ending) }
    }

    /// Which version a client speaks; none where it says nothing.
    pub(crate) async fn begun(&self, stream: &TcpStream) -> Option<Begun> {
        const PREFACE: [u8; 3] = *b"PRI";
        let look = async {
            let mut first = [0; PREFACE.len()];
            loop {
                let count = stream.peek(&mut first).await.ok().filter(|count| *count > 0)?;
                let seen = first.get(..count)?;
                if !PREFACE.starts_with(seen) {
                    return Some(Begun::Http1);
                }
                if seen == PREFACE {
                    return Some(Begun::Http2);
                }
                sleep(AGAIN_AFTER).await;
            }
        };
        timeout(self.timeouts.header, look).await.ok().flatten()
    }

    /// Serves a connection to its end, which `leave` asks for.
    pub(crate) fn serve<A>(
        &self,
        begun: Begun,
        (stream, opened): (TcpStream, Instant),
        leave: CancellationToken,
        answer: impl Fn(Request<Incoming>) -> A + Send + 'static,
    ) -> Watched
    where
        A: Future<Output = Result<Response<Body>, Infallible>> + Send + Unpin + 'static,
    {
        let activity = Activity::new(opened, begun == Begun::Http1);
        let io = Guarded::new(stream, Arc::clone(&activity), self.timeouts.write);
        let io = TokioIo::new(io);
        let streams = CancellationToken::new();
        let service = {
            let (activity, ending) = (Arc::clone(&activity), Arc::clone(&self.ending));
            service_fn(move |request| Answering::new(answer(request), &activity, &ending))
        };
        let connection: Served = match begun {
            Begun::Http1 => Box::pin(self.http1.serve_connection(io, service)),
            Begun::Http2 => Box::pin(self.http2(streams.clone()).serve_connection(io, service)),
        };
        let ending = (Arc::clone(&self.ending), leave);
        Watched::new(connection, activity, self.timeouts, ending, streams)
    }

    fn http2(&self, word: CancellationToken) -> http2::Builder<Streams> {
        let mut http2 = http2::Builder::new(Streams { patience: self.timeouts.write, word });
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.http2_streams)
            .max_send_buf_size(MOST_BUFFERED)
            .max_header_list_size(MOST_HEADERS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_pending_accept_reset_streams(MOST_RESET)
            .max_local_error_reset_streams(MOST_MALFORMED)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN);
        http2
    }
}
