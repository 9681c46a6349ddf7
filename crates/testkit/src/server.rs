//! The listener: takes connections, applies faults, remembers what it was asked.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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

use crate::answer::{Answer, errors};
use crate::body::{AnswerBody, CutBody};
use crate::fault::Fault;
use crate::provider::{Provider, Route};
use crate::recordings::RecordingsError;
use crate::replay::Replay;
use crate::responder::{Request, Responder};

/// How many requests are remembered.
const MEMORY: usize = 1000;

/// How long a connection may take to end once the simulator stops.
const GRACE: Duration = Duration::from_secs(1);

/// A simulator that is not running yet.
pub struct Simulator {
    replay: Replay,
    fault: Option<Fault>,
    keep_requests: bool,
    canned: bool,
}

impl Default for Simulator {
    fn default() -> Self {
        Self { replay: Replay::default(), fault: None, keep_requests: true, canned: false }
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

    /// Applies a fault to every chat request for which no other fault was asked.
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
        self.canned = canned;
        self
    }

    /// Listens, on a port of the system's choice if the port is 0.
    pub async fn start(self, address: SocketAddr) -> io::Result<Running> {
        let listener = TcpListener::bind(address).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            responder: Responder::new(self.replay, self.canned),
            standing_fault: self.fault,
            next_faults: Mutex::default(),
            seen: self.keep_requests.then(Mutex::default),
            count: AtomicU64::new(0),
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

    /// Applies a fault to the next chat request that has none waiting for it. Such a fault goes
    /// before one that the message asks for.
    pub fn push_fault(&self, fault: Fault) {
        lock(&self.shared.next_faults).push_back(fault);
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
    seen: Option<Mutex<VecDeque<Seen>>>,
    count: AtomicU64,
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
    let queued = matches!(route, Route::Chat { .. }).then(|| shared.next_fault()).flatten();
    let (mut answer, fault) = if let Some(canned) = shared.responder.canned(route) {
        (canned, queued.or(shared.standing_fault))
    } else {
        shared.respond(&parts, &body, seed, queued)
    };
    let provider = route.provider();
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
        Some(fault) => answer = spoil(answer, provider, fault),
        None => {}
    }
    answer.identify(provider, seed);
    Ok(send(answer, fault == Some(Fault::Cut)))
}

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

    fn respond(
        &self,
        parts: &Parts,
        body: &Bytes,
        seed: u64,
        queued: Option<Fault>,
    ) -> (Answer, Option<Fault>) {
        let request = Request::read(parts, body);
        let route = Route::of(&parts.method, parts.uri.path());
        let standing = self.standing_fault.filter(|_| matches!(route, Route::Chat { .. }));
        match request.fault() {
            Ok(asked) => {
                let fault = queued.or(asked).or(standing);
                (self.responder.answer(&request, seed), fault)
            }
            Err(error) => (errors::error(route.provider(), 400, &error.to_string()), queued),
        }
    }
}

/// Replaces or changes an answer as the fault says; the faults of time and of the connection are
/// not applied here.
fn spoil(answer: Answer, provider: Provider, fault: Fault) -> Answer {
    match fault {
        Fault::Delay(_) | Fault::Hang | Fault::Cut => answer,
        Fault::Status(status) => errors::on_demand(provider, status),
        Fault::RateLimited { retry_after_seconds } => {
            errors::rate_limited(provider, retry_after_seconds)
        }
        Fault::Garbage => Answer::of(200, "{\"id\":\"garbage\",\"choices\":[{\"mess"),
        Fault::Empty => Answer::of(200, ""),
        Fault::NoUsage => answer.without_usage(),
    }
}

fn send(answer: Answer, cut: bool) -> Response<AnswerBody> {
    let (status, headers, body) = answer.into_parts();
    let length = body.len();
    let body = if cut { Either::Right(CutBody::new(&body)) } else { Either::Left(Full::new(body)) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    // A cut body does not know its length, and its length is what makes the cut visible.
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}
