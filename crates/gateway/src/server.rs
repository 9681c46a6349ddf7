//! The way in: routes, the listener, and a clean end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

use crate::app::App;
use crate::face::Face;
use crate::inbound::Operation;
use crate::problem::Problem;
use crate::{endpoints, native, unread};

/// Headers have to arrive in this time, or the connection is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long answers under way may take once the end is asked for.
const DRAIN: Duration = Duration::from_mins(1);

/// All routes.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = endpoints::routes()
        .route("/api/layers/chat", endpoints::endpoint(Face::NATIVE, Operation::Chat))
        .route("/api/keys/list", get(native::keys::list))
        .route("/api/keys/generate", post(native::keys::generate))
        .route("/api/keys/delete", delete(native::keys::delete))
        .route("/api/usage/check", get(native::usage::check))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(name_request))
        .layer(middleware::from_fn(unread::throw_away))
        .layer(CatchPanicLayer::custom(panicked));
    if let Some(cors) = cors(&app.settings.cors_origins) {
        router = router.layer(cors);
    }
    router.with_state(Arc::clone(app))
}

async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    app.store.ping().await.map_err(Problem::store)?;
    Ok("ready\n")
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not take this method",
    )
}

fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Problem::internal("a handler panicked").into_response()
}

/// Gives an id to every answer that has none of a receipt.
async fn name_request(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if !response.headers().contains_key("x-request-id")
        && let Ok(id) = HeaderValue::try_from(crate::clock::new_id().to_string())
    {
        response.headers_mut().insert("x-request-id", id);
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
    let exposed = ["x-request-id", "x-tollgate-cost", "x-tollgate-dropped", "retry-after"]
        .map(http::HeaderName::from_static);
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
    let service = TowerToHyperService::new(router(&app));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(1_000);
    let connections = GracefulShutdown::new();
    let tasks = tokio_util::task::TaskTracker::new();
    tokio::pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let _ = stream.set_nodelay(true);
        let connection =
            server.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
        let watched = connections.watch(connection);
        tasks.spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, connections.shutdown()).await.is_err() {
        tracing::warn!("some clients did not take their answer in time");
    }
}

/// Opens any free port, where that of the settings is taken.
pub(crate) async fn listen_anywhere(app: &App) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(SocketAddr::new(app.settings.host, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
