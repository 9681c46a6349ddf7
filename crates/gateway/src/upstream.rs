//! The way out: HTTP/1.1 and HTTP/2, with TLS by rustls, on connections that are used again.

mod connections;
mod http1;
mod line;
mod packed;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http2;
use hyper::rt::Executor as _;
use hyper::service::Service as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::service::TowerToHyperService;

use crate::credentials::{InForce, Secret};
use crate::providers::{Address, Credential, Provider, Speaks};
use connections::{BodyError, Shared};
use http1::HeadWriter;
use line::{Line, Unanswered};

pub(crate) use connections::{Body, Connections};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For what somebody waits at a page.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// What a provider may send ahead in a stream over HTTP/2, in bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
/// So much that streams which nobody reads do not hold up the others of their connection.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// Longer than any answer of a model; a provider that sends more is broken.
const ANSWER_LIMIT_BYTES: usize = 128 * 1024 * 1024;

/// The client of all providers.
#[derive(Clone)]
pub(crate) struct Upstream {
    connector: TowerToHyperService<HttpsConnector<HttpConnector>>,
}

/// A request to a provider.
pub(crate) struct Outgoing<'a> {
    pub(crate) speaks: &'a Speaks,
    pub(crate) credential: &'a InForce,
    pub(crate) path: &'a str,
    /// Headers of the client's that mean something to the provider.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("no connection")]
    Connect(#[source] AnyError),
    #[error("no answer")]
    Broken(#[source] AnyError),
    #[error("no answer in time")]
    Timeout,
    /// Of this program itself.
    #[error("it was cut at the end")]
    Ending,
    #[error("an answer that cannot be unpacked")]
    Packed,
    #[error("an answer that is too long")]
    TooLong,
    #[error("a request that cannot be sent")]
    Unsendable(#[from] http::Error),
}

/// A connection to send a request on.
enum Way {
    Own(Box<Line>),
    Shared(Shared),
}

/// A request as it is sent.
struct Outbound<'a> {
    method: Method,
    path: PathAndQuery,
    headers: Headers<'a>,
    body: Bytes,
}

impl Upstream {
    /// A client that trusts the system's certificates.
    ///
    /// # Errors
    /// The system has no certificates, and a provider is to be called by TLS.
    pub(crate) fn new(needs_tls: bool) -> anyhow::Result<Self> {
        let connector = connector(needs_tls)?;
        Ok(Self { connector: TowerToHyperService::new(connector) })
    }

    /// Sends one JSON request and waits for the head of its answer, `until` then.
    pub(crate) async fn send(
        &self,
        provider: &Provider,
        outgoing: Outgoing<'_>,
        until: Instant,
    ) -> Result<Response<Body>, UpstreamError> {
        let Outgoing { speaks, credential, path, headers, body } = outgoing;
        let at = provider.address();
        let path = [at.base_path.as_str(), speaks.below, path].concat();
        let path = PathAndQuery::try_from(path).map_err(http::Error::from)?;
        let headers = Headers { speaks, credential, forwarded: headers };
        let request = Outbound { method: Method::POST, path, headers, body };
        match tokio::time::timeout_at(until.into(), self.exchange(&at, &request)).await {
            Ok(answer) => unpacked(answer?),
            Err(_) => Err(UpstreamError::Timeout),
        }
    }

    /// Asks a provider for its list of models: the status of the answer, whose body nobody reads.
    pub(crate) async fn list_models(
        &self,
        provider: &Provider,
        speaks: &Speaks,
        credential: &InForce,
    ) -> Result<StatusCode, UpstreamError> {
        let at = provider.address();
        let path = [at.base_path.as_str(), speaks.below, provider.row.models].concat();
        let path = PathAndQuery::try_from(path).map_err(http::Error::from)?;
        let headers = Headers { speaks, credential, forwarded: &HeaderMap::new() };
        let request = Outbound { method: Method::GET, path, headers, body: Bytes::new() };
        let exchange = Box::pin(self.exchange(&at, &request));
        match tokio::time::timeout(LIST_TIMEOUT, exchange).await {
            Ok(answer) => Ok(answer?.status()),
            Err(_) => Err(UpstreamError::Timeout),
        }
    }

    /// Sends a request on a connection that is there, or else on a new one. One that turns out to be closed before anything
    /// was sent is nothing to bother the client with.
    async fn exchange(
        &self,
        at: &Address,
        request: &Outbound<'_>,
    ) -> Result<Response<Body>, UpstreamError> {
        loop {
            let (way, used) = match at.connections.way() {
                Some(way) => (way, true),
                // Boxed, because it needs much room and seldom happens.
                None => (Box::pin(self.connect(at)).await?, false),
            };
            match way.exchange(at, request).await? {
                Ok(answer) => return Ok(answer),
                Err(Unanswered { unsent: true, .. }) if used => {}
                Err(Unanswered { error, .. }) => return Err(UpstreamError::Broken(error)),
            }
        }
    }

    async fn connect(&self, at: &Address) -> Result<Way, UpstreamError> {
        let io = self.connector.call(whole_uri(at, None)?).await;
        let io = io.map_err(UpstreamError::Connect)?;
        let broken = |error: hyper::Error| UpstreamError::Connect(error.into());
        if !io.connected().is_negotiated_h2() {
            return Ok(Way::Own(Line::open(io)));
        }
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(io);
        let (shared, connection) = handshake.await.map_err(broken)?;
        // It ends with its last request, and shutdown waits for those.
        TokioExecutor::new().execute(connection);
        at.connections.share(shared.clone());
        Ok(Way::Shared(shared))
    }

    /// Reads the rest of an answer, `until` then.
    pub(crate) async fn read(&self, body: Body, until: Instant) -> Result<Bytes, UpstreamError> {
        let whole = Limited::new(body, ANSWER_LIMIT_BYTES).collect();
        match tokio::time::timeout_at(until.into(), whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(UpstreamError::TooLong),
            Ok(Err(error)) => Err(match error.downcast_ref() {
                Some(BodyError::Packed(_)) => UpstreamError::Packed,
                _ => UpstreamError::Broken(error),
            }),
            Err(_) => Err(UpstreamError::Timeout),
        }
    }
}

/// An answer that comes packed, which was not asked for: something between the provider and here does that.
fn unpacked(mut answer: Response<Body>) -> Result<Response<Body>, UpstreamError> {
    match answer.headers_mut().remove(header::CONTENT_ENCODING).as_ref().map(HeaderValue::as_bytes)
    {
        None | Some(b"" | b"identity") => Ok(answer),
        Some(b"gzip" | b"x-gzip") => Ok(answer.map(Body::unpacked)),
        Some(_) => Err(UpstreamError::Packed),
    }
}

/// Connects to servers, by TLS where their addresses say so, trusting the system's certificates.
///
/// # Errors
/// The system has no certificates, and TLS is needed.
pub(crate) fn connector(needs_tls: bool) -> anyhow::Result<HttpsConnector<HttpConnector>> {
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
    Ok(builder.https_or_http().enable_all_versions().wrap_connector(http))
}

impl Connections {
    fn way(&self) -> Option<Way> {
        self.shared().map(Way::Shared).or_else(|| self.line().map(Way::Own))
    }
}

impl Way {
    /// Sends a request in the form of this version of HTTP.
    async fn exchange(
        self,
        at: &Address,
        request: &Outbound<'_>,
    ) -> Result<Result<Response<Body>, Unanswered<AnyError>>, UpstreamError> {
        Ok(match self {
            Self::Own(mut line) => {
                match line.send(request.head(&at.host), request.body.clone()).await {
                    Ok(head) => Ok(head.map(|()| Body::own(line, at.connections.clone()))),
                    Err(Unanswered { error, unsent }) => {
                        Err(Unanswered { error: error.into(), unsent })
                    }
                }
            }
            Self::Shared(mut shared) => {
                let answer = shared.try_send_request(request.whole(at)?).await;
                answer.map(|answer| answer.map(Body::shared)).map_err(|mut failed| {
                    let unsent = failed.take_message().is_some();
                    Unanswered { error: failed.into_error().into(), unsent }
                })
            }
        })
    }
}

/// A URI with the provider's address.
fn whole_uri(at: &Address, path: Option<PathAndQuery>) -> Result<Uri, http::Error> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(at.scheme.clone());
    parts.authority = Some(at.authority.clone());
    parts.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
    Ok(Uri::from_parts(parts)?)
}

impl Outbound<'_> {
    /// The head as HTTP/1.1 has it.
    fn head(&self, host: &HeaderValue) -> Vec<u8> {
        let mut head = HeadWriter::new(&self.method, self.path.as_str());
        head.header(&header::HOST, host);
        self.headers.each(self.has_body(), |name, value| head.header(&name, value));
        head.end(self.has_body().then_some(self.body.len()))
    }

    /// The request as HTTP/2 has it.
    fn whole(&self, at: &Address) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = whole_uri(at, Some(self.path.clone()))?;
        let headers = request.headers_mut();
        self.headers.each(self.has_body(), |name, value| {
            headers.append(name, value.clone());
        });
        Ok(request)
    }

    fn has_body(&self) -> bool {
        self.method != Method::GET
    }
}

/// What the headers of a request are made of: no other header of the client's goes on than what is forwarded on purpose.
struct Headers<'a> {
    speaks: &'a Speaks,
    credential: &'a InForce,
    /// Of the dialect's vendor.
    forwarded: &'a HeaderMap,
}

impl Headers<'_> {
    fn each(&self, with_body: bool, mut put: impl FnMut(HeaderName, &HeaderValue)) {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        const AGENT: HeaderValue =
            HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
        if with_body {
            put(header::CONTENT_TYPE, &JSON);
        }
        put(header::USER_AGENT, &AGENT);
        let own = self.speaks.headers.iter();
        for (name, value) in own.filter(|(name, _)| !self.forwarded.contains_key(*name)) {
            put(HeaderName::from_static(name), &HeaderValue::from_static(value));
        }
        for (name, value) in self.forwarded {
            put(name.clone(), value);
        }
        if let Some(Secret { bearer, bare, .. }) = &self.credential.secret {
            let (name, value) = match self.speaks.credential {
                Credential::Bearer => (header::AUTHORIZATION, bearer),
                Credential::XApiKey => (HeaderName::from_static("x-api-key"), bare),
                Credential::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), bare),
            };
            put(name, value);
        }
    }
}
