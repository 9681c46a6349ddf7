//! Asking issuers: little, not for long, and nobody whom an answer names.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_ANSWER: usize = 256 * 1_024;

/// A client that follows nothing.
pub(super) struct Fetch(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Fetch {
    pub(super) fn new() -> anyhow::Result<Self> {
        let connector = crate::upstream::connector(true)?;
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends a request and reads the answer, whatever its status.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let agent = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(agent));
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::ACCEPT, json);
        let exchange = async {
            let answer = self.0.request(request).await?;
            let status = answer.status();
            let whole = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
            let whole = whole.map_err(|error| anyhow::anyhow!("the answer: {error}"))?;
            anyhow::Ok((status, whole.to_bytes()))
        };
        tokio::time::timeout(TIMEOUT, exchange).await.context("no answer in time")?
    }

    /// The JSON that is at an address.
    pub(super) async fn get<T: DeserializeOwned>(&self, url: &Uri) -> anyhow::Result<T> {
        let request = Request::get(url).body(Full::default())?;
        let (status, body) = self.send(request).await?;
        if status != StatusCode::OK {
            bail!("{url} answered {status}");
        }
        serde_json::from_slice(&body).with_context(|| format!("{url} answered something else"))
    }
}

/// An address that may be asked: by TLS, or on this very machine.
pub(super) fn address(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']);
    let here = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let safe = match uri.scheme_str()? {
        "https" => true,
        "http" => here,
        _ => false,
    };
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (safe && plain && uri.query().is_none()).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn by_tls_or_on_this_machine() {
        for good in [
            "https://x.supabase.co/auth/v1",
            "https://10.0.0.1:8443/x",
            "http://localhost:9",
            "http://127.0.0.1:54321/auth/v1",
            "http://[::1]:9/x",
        ] {
            assert!(address(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "x",
            "http://x.supabase.co",
            "http://10.0.0.1",
            "ftp://localhost",
            "/auth/v1",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "http://localhost@evil.example",
            "https://user@x.example",
            "https://x.example/?a=b",
        ] {
            assert!(address(bad).is_none(), "{bad}");
        }
    }
}
