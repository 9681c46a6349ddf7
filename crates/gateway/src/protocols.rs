//! Both versions of HTTP on one port. A client of HTTP/2 begins with words that no method of HTTP/1.1 begins with; they
//! are looked at and left where they are, so that no connection has a buffer for them.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Headers have to arrive in this time, or the connection is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// What waits in a connection for a client that reads slowly, in bytes. Headers have to fit as well.
const MOST_BUFFERED: usize = 32 * 1024;
/// How often a client is looked at that has sent less than a word.
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// How a client has begun.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    Http1,
    Http2,
}

/// A connection on its way to its end.
type Serving = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

pub(crate) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Protocols {
    pub(crate) fn new() -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MOST_BUFFERED);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(1_000)
            .max_send_buf_size(MOST_BUFFERED);
        Self { http1, http2 }
    }

    /// Which version a client speaks; none where it says nothing.
    pub(crate) async fn begun(stream: &TcpStream) -> Option<Begun> {
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
        timeout(HEADER_TIMEOUT, look).await.ok().flatten()
    }

    /// Serves a connection to its end. Boxed, so that each takes no more room than it needs.
    pub(crate) fn serve<S, B>(
        &self,
        begun: Begun,
        stream: TcpStream,
        service: S,
        watcher: Watcher,
    ) -> Serving
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let io = TokioIo::new(stream);
        match begun {
            Begun::Http1 => Box::pin(watcher.watch(self.http1.serve_connection(io, service))),
            Begun::Http2 => Box::pin(watcher.watch(self.http2.serve_connection(io, service))),
        }
    }
}
