//! Signing in at an issuer of OpenID Connect: by a code that only this program can redeem (PKCE), for the browser that asked
//! alone. What has to be remembered meanwhile is with the browser, signed.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::fetch::{Fetch, address};
use super::jwks::Endpoints;
use super::pages::{self, NoticePage, local, page};
use super::sign_up;
use super::tokens::{Issuer, Tokens};
use crate::config::Settings;
use crate::problem::Problem;
use crate::web::{Call, session};

/// The cookie in which a sign-in waits.
const COOKIE: &str = "tollgate-sign-in";
/// How long it may take, in seconds.
const LASTS: i64 = 600;
const MICROS: i64 = 1_000_000;

/// The issuer at which people sign in, and how this program is known there.
pub(crate) struct Oidc {
    issuer: Arc<Issuer>,
    client_id: String,
    client_secret: SecretString,
    redirect_uri: String,
    /// Signs what waits in browsers. Of the secret, so that every replica has the same.
    signing: hmac::Key,
}

/// A sign-in that has begun.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    /// Microseconds since 1970.
    until: i64,
}

impl Oidc {
    /// # Errors
    /// Settings of which some are missing, by name.
    pub(super) fn from_settings(
        settings: &Settings,
        tokens: &Tokens,
    ) -> anyhow::Result<Option<Self>> {
        let (issuer, id, secret) = settings.oidc();
        let (issuer, id, secret) = match (issuer, id, secret) {
            (None, None, None) => return Ok(None),
            (Some(issuer), Some(id), Some(secret)) => (issuer, id, secret),
            _ => bail!(
                "TOLLGATE_OIDC_ISSUER, TOLLGATE_OIDC_CLIENT_ID and TOLLGATE_OIDC_CLIENT_SECRET: expected all three, or none"
            ),
        };
        let public = settings.public_url().context(
            "TOLLGATE_OIDC_ISSUER needs TOLLGATE_PUBLIC_URL too: the address to which people come back",
        )?;
        ensure!(
            address(public).is_some(),
            "TOLLGATE_PUBLIC_URL: expected a URL such as https://gate.example.com, with https, where people sign in \
             elsewhere"
        );
        let known = tokens.issuer(issuer).context("TOLLGATE_OIDC_ISSUER: expected a URL")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let derived = hmac::sign(&key, b"tollgate: sign-ins that wait");
        Ok(Some(Self {
            issuer: Arc::clone(known),
            client_id: id.to_owned(),
            client_secret: SecretString::from(secret),
            redirect_uri: format!("{public}/sign-in/oidc/callback"),
            signing: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
        }))
    }

    fn seal(&self, waiting: &Waiting) -> Result<String, Problem> {
        let json = serde_json::to_vec(waiting).map_err(Problem::internal)?;
        let text = URL_SAFE_NO_PAD.encode(json);
        let tag = hmac::sign(&self.signing, text.as_bytes());
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag)))
    }

    fn open(&self, sealed: &str, now: i64) -> Option<Waiting> {
        let (text, tag) = sealed.split_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.signing, text.as_bytes(), &tag).ok()?;
        let waiting: Waiting = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        Some(waiting).filter(|waiting| now < waiting.until)
    }

    /// What the issuer gives for a code: a token that says who has signed in.
    async fn redeem(
        &self,
        fetch: &Fetch,
        endpoints: &Endpoints,
        (code, verifier): (&str, &str),
    ) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Given {
            id_token: String,
        }
        let secret = self.client_secret.expose_secret();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", verifier),
        ];
        let mut request = Request::post(&endpoints.token)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if endpoints.secret_in_form {
            fields.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]);
        } else {
            let encoded = |text: &str| serde_urlencoded::to_string([("", text)]);
            let (id, secret) = (encoded(&self.client_id)?, encoded(secret)?);
            let (id, secret) = (id.trim_start_matches('='), secret.trim_start_matches('='));
            let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
            let mut basic = HeaderValue::try_from(basic)?;
            basic.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, basic);
        }
        let body = Bytes::from(serde_urlencoded::to_string(&fields)?);
        let (status, body) = fetch.send(request.body(Full::new(body))?).await?;
        ensure!(status == StatusCode::OK, "{} answered {status}", endpoints.token);
        Ok(serde_json::from_slice::<Given>(&body).context("no token in the answer")?.id_token)
    }
}

/// Where people sign in, if there is such a place.
fn place(call: &Call) -> Option<(&Oidc, &Fetch)> {
    call.app.people.oidc.as_ref().zip(call.app.people.tokens.fetch.as_ref())
}

fn notice(status: StatusCode, text: &str) -> Result<Response, Problem> {
    page(status, &NoticePage { title: "You are not signed in", text })
}

const NO_PLACE: &str = "There is no other place to sign in.";
const SILENT: &str = "The place where you sign in does not answer. Try again in a while.";

/// `GET /sign-in/oidc`
pub(crate) async fn begin(call: Call) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    struct Asked {
        #[serde(default)]
        next: String,
    }
    let Some((oidc, fetch)) = place(&call) else { return notice(StatusCode::NOT_FOUND, NO_PLACE) };
    let Asked { next } = call.query()?;
    let endpoints = oidc.issuer.published.endpoints(fetch, call.now).await;
    let Some(endpoints) = endpoints else { return notice(StatusCode::BAD_GATEWAY, SILENT) };
    let waiting = Waiting {
        state: session::secret(),
        nonce: session::secret(),
        verifier: session::secret(),
        next: local(&next).to_owned(),
        until: call.now + LASTS * MICROS,
    };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(waiting.verifier.as_bytes()));
    let query = serde_urlencoded::to_string([
        ("response_type", "code"),
        ("client_id", &oidc.client_id),
        ("redirect_uri", &oidc.redirect_uri),
        ("scope", "openid email profile"),
        ("state", &waiting.state),
        ("nonce", &waiting.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let to = format!("{}?{}", endpoints.authorization, query.map_err(Problem::internal)?);
    let cookie = session::cookie(&call.app, COOKIE, &oidc.seal(&waiting)?, LASTS);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&to)).into_response())
}

/// `GET /sign-in/oidc/callback`
pub(crate) async fn callback(call: Call) -> Result<Response, Problem> {
    let mut response = come_back(&call).await?;
    // It works once.
    let gone = session::cookie(&call.app, COOKIE, "", 0);
    response.headers_mut().append(header::SET_COOKIE, gone);
    Ok(response)
}

#[derive(Deserialize)]
struct Back {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
}

async fn come_back(call: &Call) -> Result<Response, Problem> {
    let Some((oidc, fetch)) = place(call) else { return notice(StatusCode::NOT_FOUND, NO_PLACE) };
    if let Err(problem) = call.app.people.attempts.count_from(call.from(), call.now) {
        return pages::waiting(
            &problem,
            &NoticePage { title: "Wait a little", text: "Too many tries." },
        );
    }
    let stale = "This sign-in was not begun in this browser, or took too long. Begin again.";
    let Back { code, state, iss } = call.query()?;
    let sealed = session::brought(&call.app, &call.parts, COOKIE);
    let waiting = sealed.and_then(|sealed| oidc.open(sealed, call.now));
    let Some(waiting) = waiting.filter(|waiting| state.as_ref() == Some(&waiting.state)) else {
        return notice(StatusCode::BAD_REQUEST, stale);
    };
    // An answer of another issuer than the one that was asked (RFC 9207).
    if iss.is_some_and(|iss| iss != oidc.issuer.name) {
        return notice(StatusCode::BAD_REQUEST, stale);
    }
    let Some(code) = code else {
        return notice(StatusCode::FORBIDDEN, "The place where you sign in has refused you.");
    };
    let endpoints = oidc.issuer.published.endpoints(fetch, call.now).await;
    let Some(endpoints) = endpoints else { return notice(StatusCode::BAD_GATEWAY, SILENT) };
    let token = match oidc.redeem(fetch, &endpoints, (&code, &waiting.verifier)).await {
        Ok(token) => token,
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "a sign-in elsewhere came to nothing");
            return notice(StatusCode::BAD_GATEWAY, SILENT);
        }
    };
    let tokens = &call.app.people.tokens;
    let found = async {
        let who = tokens.signed_in(&oidc.issuer, &token, &waiting.nonce, call.now).await?;
        sign_up::person(&call.app, &who, call.now).await
    };
    match found.await {
        Ok(person) if !person.disabled => {
            let user = call.app.store.user_by_id(person.id).await.map_err(Problem::store)?;
            pages::enter(call, &user, &waiting.next, "oidc").await
        }
        Ok(person) => {
            pages::refused(call, &person.name, "oidc").await;
            notice(StatusCode::FORBIDDEN, "You are shut out here.")
        }
        Err(problem) if problem.status.is_server_error() => Err(problem),
        Err(problem) => {
            tracing::warn!(code = problem.code, problem = %problem.message, "a sign-in elsewhere was refused");
            pages::refused(call, "", "oidc").await;
            notice(
                StatusCode::FORBIDDEN,
                "Nobody here is known by this account. Ask an operator to let you in.",
            )
        }
    }
}
