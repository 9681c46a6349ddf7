//! The keys that an issuer publishes. They are kept; a key that is not among them has them fetched again, but seldom; and
//! while nobody answers, those that are known hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwapOption;
use http::Uri;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::fetch::{Fetch, address};
use super::jwt::{Algorithm, Key, PublishedKey};

/// So long nobody is asked again, whatever comes; in microseconds, as is the following.
const PAUSE: i64 = 30 * 1_000_000;
/// How long keys are used before it is looked whether they are still published.
const FRESH: i64 = 10 * 60 * 1_000_000;
const MOST_KEYS: usize = 64;

/// Where an issuer publishes its keys.
pub(super) enum Place {
    Keys(Uri),
    /// A document that says where (OpenID Connect Discovery).
    Document(Uri),
}

/// What an issuer publishes.
pub(super) struct Published {
    issuer: String,
    place: Place,
    known: ArcSwapOption<Known>,
    /// When it was last asked, or 0; who asks, holds the lock.
    asked_at: AtomicI64,
    asking: Mutex<()>,
}

pub(super) struct Known {
    keys: Vec<(Option<String>, Key)>,
    fetched_at: i64,
    pub(super) endpoints: Option<Endpoints>,
}

/// Where people sign in at an issuer, and where programs get what came of it.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    pub(super) authorization: Uri,
    pub(super) token: Uri,
    /// Whether a program says who it is in the form, and not in a header.
    pub(super) secret_in_form: bool,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Published {
    pub(super) fn new(issuer: String, place: Place) -> Self {
        Self {
            issuer,
            place,
            known: ArcSwapOption::empty(),
            asked_at: AtomicI64::new(0),
            asking: Mutex::new(()),
        }
    }

    /// The key of that name for that algorithm; nothing where the issuer has none. An error: it was never heard of.
    pub(super) async fn key(
        &self,
        fetch: &Fetch,
        (kid, algorithm): (Option<&str>, Algorithm),
        now: i64,
    ) -> Result<Option<Key>, ()> {
        let find = |known: &Known| known.find(kid, algorithm);
        if let Some(known) = self.known.load_full() {
            let fresh = now - known.fetched_at < FRESH;
            let found = find(&known);
            if (fresh && found.is_some()) || !self.may_ask(now) {
                return Ok(found);
            }
        }
        self.refresh(fetch, now).await;
        self.known.load_full().map(|known| find(&known)).ok_or(())
    }

    /// Where people sign in.
    pub(super) async fn endpoints(&self, fetch: &Fetch, now: i64) -> Option<Endpoints> {
        if self.known.load().is_none() {
            self.refresh(fetch, now).await;
        }
        self.known.load_full()?.endpoints.clone()
    }

    fn may_ask(&self, now: i64) -> bool {
        let asked_at = self.asked_at.load(Ordering::SeqCst);
        asked_at == 0 || now - asked_at >= PAUSE
    }

    /// Asks again, unless that was just done. Who comes while somebody asks, waits for that answer.
    async fn refresh(&self, fetch: &Fetch, now: i64) {
        let _one = self.asking.lock().await;
        if !self.may_ask(now) {
            return;
        }
        self.asked_at.store(now, Ordering::SeqCst);
        match self.fetch(fetch, now).await {
            Ok(known) => self.known.store(Some(Arc::new(known))),
            Err(error) => {
                let issuer = &self.issuer;
                tracing::warn!(issuer, error = format!("{error:#}"), "no keys of this issuer");
            }
        }
    }

    async fn fetch(&self, fetch: &Fetch, now: i64) -> anyhow::Result<Known> {
        let (keys, endpoints) = match &self.place {
            Place::Keys(url) => (url.clone(), None),
            Place::Document(url) => {
                let document: Document = fetch.get(url).await?;
                let (keys, endpoints) = self.read(&document)?;
                (keys, Some(endpoints))
            }
        };
        let set: KeySet = fetch.get(&keys).await?;
        let mut keys: Vec<(Option<String>, Key)> = Vec::new();
        for published in set.keys.into_iter().take(MOST_KEYS) {
            // One that is not understood is another's.
            let Ok(published) = serde_json::from_value::<PublishedKey>(published) else { continue };
            if let Some(key) = published.key() {
                keys.push((published.kid, key));
            }
        }
        Ok(Known { keys, fetched_at: now, endpoints })
    }

    fn read(&self, document: &Document) -> anyhow::Result<(Uri, Endpoints)> {
        ensure!(document.issuer == self.issuer, "its document is of {:?}", document.issuer);
        let uri =
            |text: &str| address(text).with_context(|| format!("{text:?} is no safe address"));
        let methods = document.token_endpoint_auth_methods_supported.as_deref();
        let has = |method: &str| methods.is_some_and(|all| all.iter().any(|one| one == method));
        let endpoints = Endpoints {
            authorization: uri(&document.authorization_endpoint)?,
            token: uri(&document.token_endpoint)?,
            secret_in_form: has("client_secret_post") && !has("client_secret_basic"),
        };
        Ok((uri(&document.jwks_uri)?, endpoints))
    }
}

impl Known {
    /// A token that names no key can be meant only where there is one.
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Key> {
        let mut fitting = self.keys.iter().filter(|(name, key)| {
            key.algorithm() == algorithm && (kid.is_none() || name.as_deref() == kid)
        });
        let found = fitting.next()?;
        fitting.next().is_none().then(|| found.1.clone())
    }
}
