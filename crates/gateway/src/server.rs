//! The way in: routes, the listener, and a clean end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

use crate::activity::LAST_WORDS;
use crate::app::App;
use crate::auth::Peer;
use crate::config::Settings;
use crate::idempotency::REPLAYED;
use crate::inbound::Named;
use crate::limits::{self, Entrance};
use crate::listener::{self, Door};
use crate::problem::Problem;
use crate::protocols::{Begun, Protocols};
use crate::proxies::Proxies;
use crate::{answer, clock, console, endpoints, pipeline, rates, unread, web};

/// How long clients may take for the end of an answer that was cut.
const LAST_FRAMES: Duration = Duration::from_secs(5);
/// How long the database may be silent before that is told: it is asked four times a second.
const SILENT: Duration = Duration::from_secs(5);

const HEALTHZ: &str = "/healthz";
const ALIVE: &str = "ok\n";

/// All routes.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = endpoints::models()
        .merge(web::router())
        .route(HEALTHZ, get(|| async { ALIVE }))
        .route("/readyz", get(ready))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(name_request))
        .layer(middleware::from_fn_with_state(Arc::clone(app), unread::throw_away))
        .layer(CatchPanicLayer::custom(panicked))
        // These see to all of that themselves.
        .merge(endpoints::inference())
        .method_not_allowed_fallback(wrong_method);
    if let Some(cors) = cors(&app.live.load().cors_origins) {
        router = router.layer(cors);
    }
    router.with_state(Arc::clone(app))
}

/// Whether requests can be served here now. A database that is away is told and no more: nobody else has another one, and
/// what is in memory, in slices and in the journal serves on without it.
async fn ready(State(app): State<Arc<App>>) -> Result<String, Problem> {
    if app.ending.is_draining() {
        let message = "this process is about to end";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", message));
    }
    if !app.journal.is_open() {
        return Err(Problem::store("the journal takes no more receipts"));
    }
    if app.funds.is_fenced() {
        return Err(Problem::store(
            "no more credit is spent here: this process has to be started anew",
        ));
    }
    let (_, age) = app.snapshots.freshness();
    let silent = Duration::from_micros(age);
    Ok(if silent < SILENT {
        "ready\n".to_owned()
    } else {
        format!("ready, but the database has not answered for {} s\n", silent.as_secs())
    })
}

async fn not_found(State(app): State<Arc<App>>, request: Request) -> Response {
    let message = "there is nothing at this path";
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", message);
    if console::problem::is_looked_at(request.method(), request.headers()) {
        return console::problem::response(&problem, request.headers());
    }
    no_endpoint(&app, request, problem).await
}

async fn wrong_method(State(app): State<Arc<App>>, request: Request) -> Response {
    let message = "this path does not take this method";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    no_endpoint(&app, request, Problem::new(status, "method_not_allowed", message)).await
}

/// In the dialect of whoever asks at such a path.
async fn no_endpoint(app: &App, request: Request, problem: Problem) -> Response {
    let face = endpoints::face(request.uri().path(), request.headers());
    endpoints::refuse(app, face, request, problem).await
}

fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Problem::internal("a handler panicked").into_response()
}

/// Gives an id to every answer that has none of a receipt.
async fn name_request(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if !response.headers().contains_key(answer::REQUEST_ID) {
        answer::name(response.headers_mut(), clock::new_id());
    }
    response
}

fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<&str> = origins.iter().map(|o| o.trim()).filter(|o| !o.is_empty()).collect();
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.contains(&"*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let own = [answer::REQUEST_ID, answer::COST, answer::DROPPED, answer::ATTEMPTS];
    let others = [REPLAYED, answer::GENERATION_ID, header::RETRY_AFTER];
    let others = others.into_iter().chain(rates::EXPOSED);
    let exposed: Vec<_> = own.into_iter().chain(others).collect();
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods(Any)
            // Not a star, which does not cover `authorization`.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(exposed),
    )
}

/// What ends the program: asked for once, answers under way finish; asked for again, they are cut.
pub(crate) trait Stop {
    /// Waits for the next time that the end is asked for.
    async fn asked(&mut self);
}

/// Serves HTTP/1.1 and HTTP/2 until `stop`, then lets answers under way finish, or cuts what is left of them when their
/// time is up. Returns when that is.
pub(crate) async fn serve(app: &Arc<App>, door: Door, stop: &mut impl Stop) -> Instant {
    let server = Arc::new(Server::new(app));
    loop {
        tokio::select! {
            (stream, peer) = listener::accept(&door.listener) => server.take(stream, peer),
            () = stop.asked() => break,
        }
    }
    tracing::info!("ending: no new requests, answers under way finish");
    app.ending.drain();
    server.draining.cancel();
    let grace = sleep(app.live.load().network.grace());
    tokio::pin!(grace);
    let mut again = false;
    while !again {
        tokio::select! {
            (stream, peer) = listener::accept(&door.listener) => server.take(stream, peer),
            () = &mut grace => break,
            () = stop.asked() => again = true,
        }
    }
    let until = Instant::now() + app.live.load().network.drain();
    for (stream, peer) in door.close() {
        server.take(stream, peer);
    }
    server.closing.cancel();
    server.tasks.close();
    let late = async {
        if !again {
            tokio::select! {
                () = sleep_until(until) => tracing::warn!("what is left of the answers is cut"),
                () = stop.asked() => tracing::warn!("the end is asked for again: answers are cut"),
            }
        }
    };
    tokio::select! {
        () = server.tasks.wait() => return until,
        () = late => app.ending.cut(),
    }
    if timeout(LAST_FRAMES, server.tasks.wait()).await.is_err() {
        tracing::warn!("some clients did not take the end of their answer in time");
    }
    // Work on a request whose connection is dropped goes on in a task of its own, and is settled there.
    server.late.cancel();
    server.tasks.wait().await;
    Instant::now()
}

type Answers = Box<dyn Fn(Peer, http::Request<Incoming>) -> Served + Send + Sync>;

/// How connections are served, which is made of settings.
struct Front {
    settings: Arc<Settings>,
    protocols: Protocols,
    proxies: Proxies,
    answers: Answers,
}

impl Front {
    fn new(app: &Arc<App>) -> Arc<Self> {
        let settings = app.live.load_full();
        // Pages that may call from elsewhere need the router's layers.
        let direct = settings.cors_origins.iter().all(|origin| origin.trim().is_empty());
        let router = TowerToHyperService::new(router(app));
        let own = Arc::clone(app);
        let answers = move |peer: Peer, mut request: http::Request<Incoming>| {
            let found = endpoints::direct(request.method(), request.uri().path());
            if let Some((face, operation)) = found.filter(|_| direct) {
                let (app, request) = (Arc::clone(&own), request.map(Body::new));
                let call = (face, operation, Named::default());
                Served::Direct(Box::pin(pipeline::serve(app, call, peer, request)))
            } else {
                request.extensions_mut().insert(peer);
                Served::Routed(Box::pin(router.call(request)))
            }
        };
        Arc::new(Self {
            protocols: Protocols::new(&settings.network, &app.ending),
            proxies: Proxies::new(&settings.trusted_proxies),
            answers: Box::new(answers),
            settings,
        })
    }
}

/// The connections.
struct Server {
    app: Arc<App>,
    front: ArcSwap<Front>,
    tasks: TaskTracker,
    /// The door is about to be closed, is closed; what is left is dropped.
    draining: CancellationToken,
    closing: CancellationToken,
    late: CancellationToken,
}

impl Server {
    fn new(app: &Arc<App>) -> Self {
        Self {
            app: Arc::clone(app),
            front: ArcSwap::new(Front::new(app)),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            late: CancellationToken::new(),
        }
    }

    /// For a new connection: made anew once the settings were read again.
    fn front(&self) -> Arc<Front> {
        let front = self.front.load_full();
        if Arc::ptr_eq(&front.settings, &self.app.live.load()) {
            return front;
        }
        let front = Front::new(&self.app);
        self.front.store(Arc::clone(&front));
        front
    }

    /// Serves a connection in a task of its own, if there is a place for it.
    fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let peer = Peer(peer.ip());
        let front = self.front();
        let trusted = front.proxies.trusts(peer.0.to_canonical());
        let Some(entrance) = self.app.limits.connection(peer.0, trusted) else { return };
        let server = Arc::clone(self);
        self.tasks.spawn(async move {
            let late = server.late.clone();
            // Pinned here: by value it would have room twice.
            let entered = pin!(server.connection(&front, stream, peer, entrance));
            let _ = late.run_until_cancelled(entered).await;
        });
    }

    async fn connection(
        &self,
        front: &Arc<Front>,
        stream: TcpStream,
        peer: Peer,
        entrance: Entrance,
    ) {
        let opened = Instant::now();
        let _ = stream.set_nodelay(true);
        // One that has asked for nothing yet is not waited for much longer.
        let begun = tokio::select! {
            biased;
            begun = front.protocols.begun(&stream) => begun,
            () = self.closed_for_a_while() => None,
        };
        let Some(begun) = begun else { return };
        // Of HTTP/2 nothing is lost on the way; a client of HTTP/1.1 is told with its next answer.
        let at_once = begun == Begun::Http2 && !self.draining.is_cancelled();
        let leave = if at_once { &self.draining } else { &self.closing };
        let over = entrance.over;
        let leave = if over { cancelled() } else { leave.clone() };
        let (app, answers) = (Arc::clone(&self.app), Arc::clone(front));
        let answer = move |request: http::Request<Incoming>| {
            let refused = if over { Some(limits::overloaded()) } else { without_host(&request) };
            match refused {
                None => (answers.answers)(peer, request),
                Some(problem) => {
                    let (app, request) = (Arc::clone(&app), request.map(Body::new));
                    Served::Direct(Box::pin(turned_away(app, request, problem)))
                }
            }
        };
        let served = front.protocols.serve(begun, (stream, opened), leave, answer);
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(entrance);
    }

    async fn closed_for_a_while(&self) {
        self.closing.cancelled().await;
        sleep(LAST_WORDS).await;
    }
}

/// Of a connection that ends with its first answer.
fn cancelled() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}

/// 400: a request of HTTP/1.1 says whom it is for, and none says it twice, so that whoever passes it on reads it as it is read here.
/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
fn without_host<B>(request: &http::Request<B>) -> Option<Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let is_said = hosts.next().is_some() || request.version() != Version::HTTP_11;
    let is_well = is_said && hosts.next().is_none();
    (!is_well).then(|| Problem::bad_request("host: expected one such header in a request"))
}

/// Answers whoever is not served, and ends the connection. Who asks only whether the process runs while there are too many is
/// told that it does, lest it be killed for being busy.
async fn turned_away(app: Arc<App>, request: Request, problem: Problem) -> Response {
    let is_http1 = request.version() < Version::HTTP_2;
    let is_busy = problem.status == StatusCode::SERVICE_UNAVAILABLE;
    let asks_health = request.method() == Method::GET && request.uri().path() == HEALTHZ;
    let mut response = if is_busy && asks_health {
        ALIVE.into_response()
    } else {
        no_endpoint(&app, request, problem).await
    };
    if is_http1 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An answer on its way, from the endpoint itself or by the router.
enum Served {
    Direct(Pin<Box<dyn Future<Output = Response> + Send>>),
    Routed(Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>),
}

impl Future for Served {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Direct(answer) => answer.as_mut().poll(context).map(Ok),
            Self::Routed(answer) => answer.as_mut().poll(context),
        }
    }
}
