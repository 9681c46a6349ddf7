//! The listener: takes connections, applies faults, remembers what it was asked.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, Body, errors};
use crate::body::{AnswerBody, Ending, Pieces};
use crate::canned::CannedStream;
use crate::fault::Fault;
use crate::provider::Route;
use crate::recordings::RecordingsError;
use crate::replay::Replay;
use crate::responder::{Request, Responder};
use crate::spoil::spoil;

/// How many requests are remembered.
const MEMORY: usize = 1000;

/// How long a connection may take to end once the simulator stops.
const GRACE: Duration = Duration::from_secs(1);

/// A simulator that is not running yet.
pub struct Simulator {
    replay: Replay,
    fault: Option<Fault>,
    keep_requests: bool,
    canned: Option<CannedStream>,
}

impl Default for Simulator {
    fn default() -> Self {
        Self { replay: Replay::default(), fault: None, keep_requests: true, canned: None }
    }
}

impl Simulator {
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers recorded requests with their recordings, from this folder.
    pub fn recordings(mut self, dir: impl AsRef<Path>) -> Result<Self, RecordingsError> {
        self.replay = Replay::load(dir.as_ref())?;
        Ok(self)
    }

    /// Applies a fault to every request to a model for which no other fault was asked.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Whether requests are kept for [`Running::seen`]; a benchmark has no use for them.
    #[must_use]
    pub fn keep_requests(mut self, keep: bool) -> Self {
        self.keep_requests = keep;
        self
    }

    /// Answers every chat request with the same bytes and does not read it, for benchmarks. Faults
    /// still work unless a message asks for them.
    #[must_use]
    pub fn canned(mut self, canned: bool) -> Self {
        self.canned = canned.then(CannedStream::default);
        self
    }

    /// Like [`canned`](Self::canned), and says what a request for a stream gets.
    #[must_use]
    pub fn canned_stream(mut self, stream: CannedStream) -> Self {
        self.canned = Some(stream);
        self
    }

    /// Listens, on a port of the system's choice if the port is 0.
    pub async fn start(self, address: SocketAddr) -> io::Result<Running> {
        let listener = TcpListener::bind(address).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            responder: Responder::new(self.replay, self.canned.as_ref()),
            standing_fault: self.fault,
            next_faults: Mutex::default(),
            next_recordings: Mutex::default(),
            seen: self.keep_requests.then(Mutex::default),
            count: AtomicU64::new(0),
            aborted: Arc::default(),
            stop: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), tasks.clone()));
        Ok(Running { addr, shared, tasks })
    }
}

/// A simulator that listens. It stops when it is dropped; [`Running::stop`] also waits for its end.
pub struct Running {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Running {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL of Anthropic, Gemini and `DeepSeek`.
    pub fn url(&self) -> String {
        let host = match self.addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(host, self.addr.port()))
    }

    /// The base URL of `OpenAI`, whose clients expect the version in it.
    pub fn openai_url(&self) -> String {
        format!("{}/v1", self.url())
    }

    /// The last requests received, oldest first; none if they are not kept.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.shared.seen.as_ref();
        seen.map(|seen| lock(seen).iter().cloned().collect()).unwrap_or_default()
    }

    /// How many requests were received.
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// How many streams were given up by their reader before all of them was sent.
    pub fn aborted(&self) -> u64 {
        self.shared.aborted.load(Ordering::Relaxed)
    }

    /// Applies a fault to the next request to a model that has none waiting for it. Such a fault goes
    /// before one that the message asks for.
    pub fn push_fault(&self, fault: Fault) {
        lock(&self.shared.next_faults).push_back(fault);
    }

    /// Answers the next request to a model that has none waiting for it with this recording,
    /// whatever it asks and whoever asks. A fault is applied to it like to any other answer.
    pub fn answer_next_with(&self, recording_id: &str) {
        lock(&self.shared.next_recordings).push_back(recording_id.to_owned());
    }

    /// Takes no new connections, lets answers that are being sent end, and closes.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

struct Shared {
    responder: Responder,
    standing_fault: Option<Fault>,
    next_faults: Mutex<VecDeque<Fault>>,
    next_recordings: Mutex<VecDeque<String>>,
    seen: Option<Mutex<VecDeque<Seen>>>,
    count: AtomicU64,
    aborted: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// What is locked here is whole at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, Arc::clone(&shared)));
            }
            // Out of file descriptors, say: closing connections will free some.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without it, small answers may wait for an acknowledgement; they still arrive.
    drop(stream.set_nodelay(true));
    let stop = shared.stop.clone();
    let service = service_fn(move |request| handle(Arc::clone(&shared), request));
    let server = auto::Builder::new(TokioExecutor::new());
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    // How a connection ends is the client's concern, and part of what is simulated.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    drop(timeout(GRACE, connection).await);
}

async fn handle(
    shared: Arc<Shared>,
    request: http::Request<Incoming>,
) -> io::Result<Response<AnswerBody>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let seed = shared.note(&parts, &body);
    let route = Route::of(&parts.method, parts.uri.path());
    let is_call = matches!(route, Route::Call { .. });
    let queued = is_call.then(|| shared.next_fault()).flatten();
    let (mut answer, fault) = if let Some(canned) = shared.responder.canned(route, &body) {
        (canned, queued.or(shared.standing_fault))
    } else if let Some(id) = is_call.then(|| shared.next_recording(&parts)).flatten() {
        (shared.responder.recording(&id, route.shape()), queued.or(shared.standing_fault))
    } else {
        shared.respond(&parts, &body, seed, queued)
    };
    match fault {
        Some(Fault::Hang) => {
            shared.stop.cancelled().await;
            return Err(io::Error::other("hung on demand"));
        }
        Some(Fault::Delay(time)) => {
            tokio::select! {
                () = sleep(time) => {}
                () = shared.stop.cancelled() => return Err(io::Error::other("stopped")),
            }
        }
        Some(Fault::Echo(status)) => answer = errors::echo(route.shape(), status, &parts.headers),
        Some(fault) => answer = spoil(answer, route.shape(), fault),
        None => {}
    }
    answer.identify(route.provider(), seed);
    Ok(send(answer, Arc::clone(&shared.aborted)))
}

/// The header that asks for a recording, if the client can set one.
const RECORDING: &str = "x-simulator-recording";

impl Shared {
    /// Remembers a request and gives it a number.
    fn note(&self, parts: &Parts, body: &Bytes) -> u64 {
        if let Some(seen) = &self.seen {
            let entry = Seen {
                method: parts.method.clone(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().map(str::to_owned),
                headers: parts.headers.clone(),
                body: body.clone(),
            };
            let mut seen = lock(seen);
            if seen.len() == MEMORY {
                seen.pop_front();
            }
            seen.push_back(entry);
        }
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn next_fault(&self) -> Option<Fault> {
        lock(&self.next_faults).pop_front()
    }

    /// The recording that this request is to be answered with.
    fn next_recording(&self, parts: &Parts) -> Option<String> {
        let asked = parts.headers.get(RECORDING).and_then(|id| id.to_str().ok());
        asked.map(str::to_owned).or_else(|| lock(&self.next_recordings).pop_front())
    }

    fn respond(
        &self,
        parts: &Parts,
        body: &Bytes,
        seed: u64,
        queued: Option<Fault>,
    ) -> (Answer, Option<Fault>) {
        let request = Request::read(parts, body);
        let route = Route::of(&parts.method, parts.uri.path());
        let standing = self.standing_fault.filter(|_| matches!(route, Route::Call { .. }));
        match request.fault() {
            Ok(asked) => {
                let fault = queued.or(asked).or(standing);
                (self.responder.answer(&request, seed), fault)
            }
            Err(error) => (errors::error(route.shape(), 400, &error.to_string()), queued),
        }
    }
}

fn send(answer: Answer, aborted: Arc<AtomicU64>) -> Response<AnswerBody> {
    let (status, headers, body, manner) = answer.into_parts();
    let (pieces, length): (Arc<[Bytes]>, Option<usize>) = match body {
        Body::Whole(bytes) => {
            let length = manner.promised.map_or(bytes.len(), NonZeroUsize::get);
            (Arc::new([bytes]), Some(length))
        }
        Body::Stream(stream) => (stream.frames.into(), None),
        Body::Canned(canned) => (Arc::clone(&canned.pieces), None),
    };
    let pieces = match manner.piece {
        Some(size) => cut(&pieces.concat().into(), size.get()),
        None => pieces,
    };
    let plain = length.is_some() && manner.piece.is_none() && manner.ending == Ending::Whole;
    let body = match pieces.first() {
        Some(whole) if plain => Either::Left(Full::new(whole.clone())),
        _ => Either::Right(Pieces::new(pieces, manner.gap, manner.ending, aborted)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(length) = length {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

fn cut(bytes: &Bytes, size: usize) -> Arc<[Bytes]> {
    let starts = (0..bytes.len()).step_by(size);
    starts.map(|start| bytes.slice(start..bytes.len().min(start + size))).collect()
}
