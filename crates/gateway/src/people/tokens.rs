//! Who somebody is that brings a token of an issuer that is trusted: Supabase, or one of OpenID Connect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use ring::hmac;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::fetch::{Fetch, address};
use super::jwks::{Place, Published};
use super::jwt::{Algorithm, Claims, Expected, Fault, Key, Token};
use super::sign_up;
use crate::app::App;
use crate::config::Settings;
use crate::pace::Pace;
use crate::problem::Problem;
use crate::snapshot::Person;

const MICROS: i64 = 1_000_000;
/// Of so many tokens it is known that they were found good.
const MOST_VERDICTS: usize = 10_000;
/// How long the word of an issuer that was asked counts, which may take a token back; in microseconds.
const WORD_LASTS: i64 = 5 * 60 * MICROS;
/// How often in a minute an issuer is asked about tokens.
const ASKED: i64 = 120;
/// A secret that is shorter can be guessed from one token.
const SHORTEST_SECRET: usize = 32;

/// The issuers that are trusted.
pub(crate) struct Tokens {
    /// None where no issuer is.
    pub(super) fetch: Option<Fetch>,
    issuers: Vec<Arc<Issuer>>,
    /// By the hash of the whole token: tokens of one issuer begin alike.
    verdicts: Mutex<HashMap<[u8; 32], Verdict>>,
}

/// Somebody whom a token vouches for.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// What to call them, if anything is known.
    pub(super) called: Option<String>,
}

struct Verdict {
    subject: Subject,
    /// What its issuer published when it was found: with other keys it is not worth anything.
    edition: Option<[u8; 32]>,
    /// Microseconds since 1970.
    until: i64,
}

/// An issuer, and what its tokens have to be like.
pub(super) struct Issuer {
    pub(super) name: String,
    audience: String,
    role: Option<&'static str>,
    pub(super) published: Published,
    secret: Option<Key>,
    ask: Option<Ask>,
}

/// An issuer that can be asked about a token.
struct Ask {
    url: Uri,
    key: HeaderValue,
    pace: Pace,
}

/// Why nobody is vouched for.
enum Refusal {
    Fault(Fault),
    /// No key has ever been heard of.
    Silent,
    TooOften(i64),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, code, message, wait) = match refusal {
            Refusal::Fault(fault) => {
                let message = format!("this token is not taken: {fault}");
                return Self::unauthorized("invalid_token", message);
            }
            Refusal::Silent => {
                let message =
                    "the issuer of this token does not answer, so that nothing can be said of it";
                (StatusCode::SERVICE_UNAVAILABLE, "issuer_unavailable", message, 30 * MICROS)
            }
            Refusal::TooOften(wait) => {
                let message = "too many tokens that its issuer would have to be asked about";
                (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message, wait)
            }
        };
        let mut problem = Self::new(status, code, message);
        problem.retry_after = u64::try_from(wait).ok().map(|wait| wait.div_ceil(1_000_000));
        problem
    }
}

impl Tokens {
    /// # Errors
    /// Settings that are unsafe, or that miss one of their fellows, by name.
    pub(super) fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let issuers: Vec<Arc<Issuer>> =
            [supabase(settings)?, oidc(settings)?].into_iter().flatten().map(Arc::new).collect();
        let fetch = if issuers.is_empty() { None } else { Some(Fetch::new()?) };
        Ok(Self { fetch, issuers, verdicts: Mutex::default() })
    }

    /// Whether there is any issuer whose tokens are taken.
    pub(crate) fn are_taken(&self) -> bool {
        self.fetch.is_some()
    }

    /// The issuer of that name.
    pub(super) fn issuer(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.issuers.iter().find(|issuer| issuer.name == name)
    }

    /// The person whom a token is of.
    pub(crate) async fn person(
        &self,
        app: &App,
        token: &str,
        now: i64,
    ) -> Result<Arc<Person>, Problem> {
        let subject = self.subject(token, now).await?;
        let person = sign_up::person(app, &subject, now).await?;
        if person.disabled {
            let message = "the user of this token is shut out";
            return Err(Problem::unauthorized("user_disabled", message));
        }
        Ok(person)
    }

    async fn subject(&self, text: &str, now: i64) -> Result<Subject, Refusal> {
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if let Some(subject) = self.verdict(&hash, now) {
            return Ok(subject);
        }
        let token = Token::read(text)?;
        let issuer = self.issuer(&token.claims.iss).ok_or("its issuer is not trusted here")?;
        let until = self.verify(issuer, &token, text, now).await?;
        let subject = Subject::of(&token.claims);
        let (edition, relied_on) = issuer.published.edition(now);
        // A key may be withdrawn, whatever is said of the end of what it has signed. A secret of ours is not published.
        let until = if token.algorithm == Algorithm::Hs256 { until } else { until.min(relied_on) };
        self.keep(hash, Verdict { subject: subject.clone(), edition, until }, now);
        Ok(subject)
    }

    fn verdict(&self, hash: &[u8; 32], now: i64) -> Option<Subject> {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = verdicts.get(hash).filter(|verdict| now < verdict.until)?;
        let issuer = self.issuer(&found.subject.issuer)?;
        (issuer.published.edition(now).0 == found.edition).then(|| found.subject.clone())
    }

    fn keep(&self, hash: [u8; 32], verdict: Verdict, now: i64) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if verdicts.len() >= MOST_VERDICTS {
            verdicts.retain(|_, verdict| now < verdict.until);
            if verdicts.len() >= MOST_VERDICTS {
                verdicts.clear();
            }
        }
        verdicts.insert(hash, verdict);
    }

    /// Until when the token is good.
    async fn verify(
        &self,
        issuer: &Issuer,
        token: &Token<'_>,
        text: &str,
        now: i64,
    ) -> Result<i64, Refusal> {
        let fetch = self.fetch.as_ref().ok_or("its issuer is not trusted here")?;
        issuer.check(&token.claims, now)?;
        let until = token.claims.exp.saturating_mul(MICROS);
        let key = issuer.key(fetch, token, now).await;
        match (key, &issuer.ask) {
            (Ok(Some(key)), _) if key.signed(token) => Ok(until),
            (Ok(Some(_)), _) => Err("its signature does not fit".into()),
            // What no published key verifies, its issuer may know all the same.
            (Ok(None) | Err(()), Some(ask)) => {
                ask.about(fetch, text, token, now).await?;
                Ok(until.min(now + WORD_LASTS))
            }
            (Ok(None), None) => Err("its issuer has no such key".into()),
            (Err(()), None) => Err(Refusal::Silent),
        }
    }

    /// Whom a token is of that somebody was given who has signed in at the issuer, with that nonce.
    pub(super) async fn signed_in(
        &self,
        issuer: &Issuer,
        text: &str,
        nonce: &str,
        now: i64,
    ) -> Result<Subject, Problem> {
        let verified = async {
            let token = Token::read(text)?;
            self.verify(issuer, &token, text, now).await?;
            if token.claims.nonce.as_deref() != Some(nonce) {
                return Err("it is the answer to another sign-in".into());
            }
            Ok::<_, Refusal>(Subject::of(&token.claims))
        };
        Ok(verified.await?)
    }
}

impl Subject {
    fn of(claims: &Claims) -> Self {
        let called = claims.preferred_username.as_ref().or(claims.email.as_ref()).cloned();
        Self { issuer: claims.iss.clone(), subject: claims.sub.clone(), called }
    }
}

impl Issuer {
    fn check(&self, claims: &Claims, now: i64) -> Result<(), Fault> {
        let (issuer, audience) = (self.name.as_str(), self.audience.as_str());
        claims.check(Expected { issuer, audience, role: self.role, now: now / MICROS })
    }

    /// The key that a token has to be signed with: of those of this issuer, each of which is for one algorithm.
    async fn key(&self, fetch: &Fetch, token: &Token<'_>, now: i64) -> Result<Option<Key>, ()> {
        if token.algorithm == Algorithm::Hs256 {
            return Ok(self.secret.clone());
        }
        let wanted = (token.kid.as_deref(), token.algorithm);
        self.published.key(fetch, wanted, now).await
    }
}

impl Ask {
    /// Asks the issuer whose token it is.
    async fn about(
        &self,
        fetch: &Fetch,
        text: &str,
        token: &Token<'_>,
        now: i64,
    ) -> Result<(), Refusal> {
        #[derive(Deserialize)]
        struct User {
            id: String,
            aud: String,
            role: String,
            #[serde(default)]
            is_anonymous: bool,
        }
        self.pace.begin(ASKED, now).map_err(Refusal::TooOften)?;
        let request = Request::get(&self.url)
            .header("apikey", &self.key)
            .header(header::AUTHORIZATION, format!("Bearer {text}"))
            .body(Full::<Bytes>::default());
        let request = request.map_err(|_| "it is not for headers")?;
        let (status, body) = fetch.send(request).await.map_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "the issuer of a token does not answer");
            Refusal::Silent
        })?;
        let user: Option<User> = serde_json::from_slice(&body).ok();
        let user = user.filter(|_| status == StatusCode::OK);
        let is_theirs = user.is_some_and(|user| {
            let person = user.aud == AUTHENTICATED && user.role == AUTHENTICATED;
            person && !user.is_anonymous && user.id == token.claims.sub
        });
        if is_theirs { Ok(()) } else { Err("its issuer does not know it".into()) }
    }
}

const AUTHENTICATED: &str = "authenticated";

fn supabase(settings: &Settings) -> anyhow::Result<Option<Issuer>> {
    let (url, secret, key) = settings.supabase();
    let Some(url) = url else {
        for (name, value) in [("SUPABASE_JWT_SECRET", secret), ("SUPABASE_KEY", key)] {
            if value.is_some() {
                bail!("{name} is set, but SUPABASE_URL is not, whose tokens it is for");
            }
        }
        return Ok(None);
    };
    let name = format!("{}/auth/v1", url.trim_end_matches('/'));
    let at = |path: &str| {
        let wanted = "SUPABASE_URL: expected a URL such as https://PROJECT.supabase.co, with https";
        address(&format!("{name}{path}")).context(wanted)
    };
    if secret.is_some_and(|secret| secret.len() < SHORTEST_SECRET) {
        bail!("SUPABASE_JWT_SECRET: expected at least {SHORTEST_SECRET} characters");
    }
    let ask = match key {
        Some(key) => {
            let key = HeaderValue::from_str(key).context("SUPABASE_KEY: expected a key")?;
            Some(Ask { url: at("/user")?, key, pace: Pace::default() })
        }
        None => None,
    };
    let keys = Place::Keys(at("/.well-known/jwks.json")?);
    Ok(Some(Issuer {
        published: Published::new(name.clone(), keys),
        name,
        audience: AUTHENTICATED.to_owned(),
        role: Some(AUTHENTICATED),
        secret: secret
            .map(|secret| Key::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))),
        ask,
    }))
}

fn oidc(settings: &Settings) -> anyhow::Result<Option<Issuer>> {
    let (Some(name), Some(audience), Some(_)) = settings.oidc() else { return Ok(None) };
    let document = format!("{}/.well-known/openid-configuration", name.trim_end_matches('/'));
    let document = address(&document).context(
        "TOLLGATE_OIDC_ISSUER: expected a URL such as https://login.example.com, with https",
    )?;
    Ok(Some(Issuer {
        name: name.to_owned(),
        audience: audience.to_owned(),
        role: None,
        published: Published::new(name.to_owned(), Place::Document(document)),
        secret: None,
        ask: None,
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::{Issuer, MICROS, Place, Published, Subject, Tokens, Verdict, address};

    const NOW: i64 = 1_700_000_000_000_000;

    /// A token that is known to be good is looked at again once other keys are published than it was found good by.
    #[test]
    fn a_verdict_holds_as_long_as_its_keys() {
        let keys = Place::Keys(address("https://issuer.example/keys").expect("an address"));
        let issuer = Issuer {
            name: "issuer".to_owned(),
            audience: String::new(),
            role: None,
            published: Published::new("issuer".to_owned(), keys),
            secret: None,
            ask: None,
        };
        let tokens =
            Tokens { fetch: None, issuers: vec![Arc::new(issuer)], verdicts: Mutex::default() };
        let subject = |issuer: &str| Subject {
            issuer: issuer.to_owned(),
            subject: "ada".to_owned(),
            called: None,
        };
        let keep = |hash: u8, issuer: &str, edition: Option<[u8; 32]>| {
            let verdict = Verdict { subject: subject(issuer), edition, until: NOW + MICROS };
            tokens.keep([hash; 32], verdict, NOW);
        };
        keep(1, "issuer", None);
        keep(2, "issuer", Some([7; 32]));
        keep(3, "another", None);
        let holds = |hash: u8, at: i64| tokens.verdict(&[hash; 32], at).is_some();
        assert!(holds(1, NOW) && holds(1, NOW + MICROS - 1) && !holds(1, NOW + MICROS));
        assert!(!holds(2, NOW), "other keys are published");
        assert!(!holds(3, NOW), "its issuer is not trusted any more");
    }
}
