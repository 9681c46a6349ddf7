//! The way out: one HTTP client for all providers, pooled, over HTTP/1.1 and HTTP/2, with TLS by rustls.

use std::time::Duration;

use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::ExposeSecret as _;

use crate::providers::{Credential, Provider, Speaks};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// What is read of an answer before the client has taken it, in bytes.
const MOST_BUFFERED: usize = 32 * 1024;
/// The same over HTTP/2, where the provider sends ahead.
const STREAM_WINDOW: u32 = 128 * 1024;
/// So much that streams which nobody reads do not hold up the others of their connection.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// Longer than any answer of a model; a provider that sends more is broken.
const ANSWER_LIMIT_BYTES: usize = 128 * 1024 * 1024;

/// The client.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

/// A request to a provider.
pub(crate) struct Outgoing<'a> {
    pub(crate) speaks: &'a Speaks,
    pub(crate) path: &'a str,
    /// Headers of the client's that mean something to the provider.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("no connection")]
    Connect(#[source] hyper_util::client::legacy::Error),
    #[error("no answer")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer in time")]
    Timeout,
    #[error("an answer that is too long")]
    TooLong,
    #[error("a request that cannot be sent")]
    Unsendable(#[from] http::Error),
}

impl Upstream {
    /// A client that trusts the system's certificates.
    ///
    /// # Errors
    /// The system has no certificates, and a provider is to be called by TLS.
    pub(crate) fn new(timeout: Duration, needs_tls: bool) -> anyhow::Result<Self> {
        let provider = rustls::crypto::ring::default_provider();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let builder = match HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider.clone())
        {
            Ok(builder) => builder,
            Err(error) if needs_tls => {
                anyhow::bail!(
                    "no certificates of authorities on this system ({error}); install ca-certificates"
                )
            }
            Err(_) => {
                let versions = rustls::ClientConfig::builder_with_provider(provider.into())
                    .with_safe_default_protocol_versions()?;
                let nobody = versions
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(nobody)
            }
        };
        let connector = builder.https_or_http().enable_all_versions().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(MOST_BUFFERED)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .build(connector);
        Ok(Self { client, timeout })
    }

    /// Sends one JSON request and waits for the head of its answer.
    pub(crate) async fn send(
        &self,
        provider: &Provider,
        outgoing: Outgoing<'_>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let Outgoing { speaks, path, headers, body } = outgoing;
        let path = format!("{}{}{path}", provider.base_path, speaks.below);
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(provider.scheme.clone());
        parts.authority = Some(provider.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(http::Error::from)?);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_parts(parts).map_err(http::Error::from)?;
        set_headers(request.headers_mut(), provider, speaks, headers)?;
        match tokio::time::timeout(self.timeout, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(UpstreamError::Connect(error)),
            Ok(Err(error)) => Err(UpstreamError::Broken(error.into())),
            Err(_) => Err(UpstreamError::Timeout),
        }
    }

    /// Reads the rest of an answer.
    pub(crate) async fn read(&self, body: Incoming) -> Result<Bytes, UpstreamError> {
        let whole = Limited::new(body, ANSWER_LIMIT_BYTES).collect();
        match tokio::time::timeout(self.timeout, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(UpstreamError::TooLong),
            Ok(Err(error)) => Err(UpstreamError::Broken(error)),
            Err(_) => Err(UpstreamError::Timeout),
        }
    }
}

/// The request is built from nothing but what is forwarded on purpose: no other header of the client's goes on.
fn set_headers(
    headers: &mut HeaderMap,
    provider: &Provider,
    speaks: &Speaks,
    forwarded: &HeaderMap,
) -> Result<(), http::Error> {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in speaks.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in forwarded {
        headers.insert(name, value.clone());
    }
    if let Some(key) = &provider.key {
        let (name, text) = match speaks.credential {
            Credential::Bearer => {
                (header::AUTHORIZATION, format!("Bearer {}", key.expose_secret()))
            }
            Credential::XApiKey => {
                (HeaderName::from_static("x-api-key"), key.expose_secret().to_owned())
            }
            Credential::XGoogApiKey => {
                (HeaderName::from_static("x-goog-api-key"), key.expose_secret().to_owned())
            }
        };
        let mut value = HeaderValue::try_from(text)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}
