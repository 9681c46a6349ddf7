//! The way in: routes, the listener, and a clean end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

use crate::app::App;
use crate::auth::Peer;
use crate::idempotency::REPLAYED;
use crate::inbound::Named;
use crate::problem::Problem;
use crate::protocols::Protocols;
use crate::{answer, clock, console, endpoints, pipeline, unread, web};

/// How long answers under way may take once the end is asked for.
const DRAIN: Duration = Duration::from_mins(1);

/// All routes.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = endpoints::models()
        .merge(web::router())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(name_request))
        .layer(middleware::from_fn(unread::throw_away))
        .layer(CatchPanicLayer::custom(panicked))
        // These see to all of that themselves.
        .merge(endpoints::inference())
        .method_not_allowed_fallback(wrong_method);
    if let Some(cors) = cors(&app.settings.cors_origins) {
        router = router.layer(cors);
    }
    router.with_state(Arc::clone(app))
}

async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    app.store.ping().await.map_err(Problem::store)?;
    Ok("ready\n")
}

async fn not_found(request: Request) -> Response {
    let message = "there is nothing at this path";
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", message);
    if console::problem::is_looked_at(request.method(), request.headers()) {
        return console::problem::response(&problem, request.headers());
    }
    no_endpoint(request, problem).await
}

async fn wrong_method(request: Request) -> Response {
    let message = "this path does not take this method";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    no_endpoint(request, Problem::new(status, "method_not_allowed", message)).await
}

/// In the dialect of whoever asks at such a path.
async fn no_endpoint(request: Request, problem: Problem) -> Response {
    let face = endpoints::face(request.uri().path(), request.headers());
    endpoints::refuse(face, request, problem).await
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
    let exposed =
        [answer::REQUEST_ID, answer::COST, answer::DROPPED, REPLAYED, header::RETRY_AFTER];
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods(Any)
            // Not a star, which does not cover `authorization`.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(exposed),
    )
}

/// Opens the port of the settings.
pub(crate) async fn listen(app: &App) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let wanted = SocketAddr::new(app.settings.host, app.settings.port);
    let listener = TcpListener::bind(wanted)
        .await
        .map_err(|error| anyhow::anyhow!("cannot listen on {wanted}: {error}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves HTTP/1.1 and HTTP/2 until `stop`, then lets answers under way finish.
pub(crate) async fn serve(app: Arc<App>, listener: TcpListener, stop: impl Future<Output = ()>) {
    // Pages that may call from elsewhere need the router's layers.
    let direct = app.settings.cors_origins.iter().all(|origin| origin.trim().is_empty());
    let router = TowerToHyperService::new(router(&app));
    let service = move |peer: Peer, mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let found = endpoints::direct(request.method(), request.uri().path());
        match found.filter(|_| direct) {
            Some((face, operation)) => {
                let (app, request) = (Arc::clone(&app), request.map(Body::new));
                let answer = pipeline::serve(app, face, operation, Named::default(), request);
                Served::Direct(Box::pin(answer))
            }
            None => Served::Routed(Box::pin(router.call(request))),
        }
    };
    let server = Arc::new(Protocols::new());
    let connections = GracefulShutdown::new();
    let tasks = TaskTracker::new();
    let (closing, late) = (CancellationToken::new(), CancellationToken::new());
    tokio::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, Peer(peer.ip())),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let _ = stream.set_nodelay(true);
        let (server, service, watcher) =
            (Arc::clone(&server), service.clone(), connections.watcher());
        let (closing, late) = (closing.clone(), late.clone());
        tasks.spawn(async move {
            // One that has asked for nothing yet is not waited for.
            let begun = tokio::select! {
                begun = Protocols::begun(&stream) => begun,
                () = closing.cancelled() => None,
            };
            let Some(begun) = begun else { return };
            let service = service_fn(move |request| service(peer, request));
            let served = server.serve(begun, stream, service, watcher);
            tokio::select! {
                ended = served => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                },
                () = late.cancelled() => {}
            }
        });
    }
    closing.cancel();
    drop(listener);
    if tokio::time::timeout(DRAIN, connections.shutdown()).await.is_err() {
        tracing::warn!("some clients did not take their answer in time");
    }
    // Work on a request whose connection is dropped goes on in a task of its own, and is settled there.
    late.cancel();
    tasks.close();
    tasks.wait().await;
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

/// Opens any free port, where that of the settings is taken.
pub(crate) async fn listen_anywhere(app: &App) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(SocketAddr::new(app.settings.host, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
