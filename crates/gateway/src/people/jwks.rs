//! The keys that an issuer publishes. They are kept; a key that is not among them has them fetched again, but seldom; and
//! while nobody answers, those that are known hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwapOption;
use http::Uri;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
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
    /// The hash of what was published: another one, other keys.
    of: [u8; 32],
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

    /// What is published by what is known, and until when that may be relied on: while nobody answers, for as long as nobody is
    /// asked again.
    pub(super) fn edition(&self, now: i64) -> (Option<[u8; 32]>, i64) {
        match self.known.load().as_deref() {
            Some(known) => (Some(known.of), (known.fetched_at + FRESH).max(now + PAUSE)),
            None => (None, now + PAUSE),
        }
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
        let of = serde_json::to_vec(&set.keys).map(|published| Sha256::digest(published).into())?;
        let mut keys: Vec<(Option<String>, Key)> = Vec::new();
        for published in set.keys.into_iter().take(MOST_KEYS) {
            // One that is not understood is another's.
            let Ok(published) = serde_json::from_value::<PublishedKey>(published) else { continue };
            if let Some(key) = published.key() {
                keys.push((published.kid, key));
            }
        }
        Ok(Known { keys, of, fetched_at: now, endpoints })
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::{Algorithm, FRESH, PAUSE, Place, Published};
    use crate::people::fetch::{Fetch, address};

    const NOW: i64 = 1_700_000_000_000_000;
    const SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"one","alg":"ES256",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        {"kty":"oct","k":"AAAA","kid":"two"}]}"#;

    #[derive(Default)]
    struct Server {
        asked: AtomicUsize,
        down: AtomicBool,
        rotated: AtomicBool,
    }

    async fn serve(server: Arc<Server>, listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            server.asked.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4_096]).await;
            let set = if server.rotated.load(Ordering::SeqCst) {
                SET.replace("one", "four")
            } else {
                SET.to_owned()
            };
            let (status, body) = if server.down.load(Ordering::SeqCst) {
                ("503 no", String::new())
            } else {
                ("200 OK", set)
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }

    #[tokio::test]
    async fn keys_are_asked_for_seldom_and_hold_while_nobody_answers() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let (server, mut tasks) = (Arc::new(Server::default()), JoinSet::new());
        tasks.spawn(serve(Arc::clone(&server), listener));
        let published = Published::new("x".to_owned(), Place::Keys(address(&url).expect("a URL")));
        let fetch = Fetch::new().expect("a client");
        let ask = async |kid: Option<&str>, at: i64| {
            let found = published.key(&fetch, (kid, Algorithm::Es256), at).await;
            let asked = server.asked.load(Ordering::SeqCst);
            (found.map(|key| key.is_some()), asked)
        };
        server.down.store(true, Ordering::SeqCst);
        assert_eq!(ask(Some("one"), NOW).await, (Err(()), 1), "never heard of");
        assert_eq!(
            ask(Some("one"), NOW + PAUSE - 1).await,
            (Err(()), 1),
            "not asked again so soon"
        );
        server.down.store(false, Ordering::SeqCst);
        let heard = NOW + PAUSE;
        assert_eq!(published.edition(heard), (None, heard + PAUSE));
        assert_eq!(ask(Some("one"), heard).await, (Ok(true), 2));
        let (edition, until) = published.edition(heard + 1);
        assert!(edition.is_some());
        assert_eq!(until, heard + FRESH, "no verdict outlasts what is known");
        assert_eq!(ask(None, heard).await, (Ok(true), 2), "the only one");
        for kid in ["three", "two", "../one", "ONE", ""] {
            assert_eq!(ask(Some(kid), heard + PAUSE - 1).await, (Ok(false), 2), "{kid}");
        }
        assert_eq!(ask(Some("three"), heard + PAUSE).await, (Ok(false), 3));
        assert_eq!(ask(Some("three"), heard + PAUSE + 1).await, (Ok(false), 3));
        assert_eq!(
            ask(Some("one"), heard + PAUSE + FRESH - 1).await,
            (Ok(true), 3),
            "fresh enough"
        );
        server.down.store(true, Ordering::SeqCst);
        let old = heard + PAUSE + FRESH;
        assert_eq!(ask(Some("one"), old).await, (Ok(true), 4), "what is known holds");
        assert_eq!(ask(Some("one"), old + 1).await, (Ok(true), 4));
        assert_eq!(ask(Some("one"), old + 100 * FRESH).await, (Ok(true), 5));
        assert_eq!(published.edition(old + 100 * FRESH).1, old + 100 * FRESH + PAUSE);
        assert_eq!(published.edition(old).0, edition, "nothing else was published");
        server.down.store(false, Ordering::SeqCst);
        server.rotated.store(true, Ordering::SeqCst);
        assert_eq!(ask(Some("one"), old + 200 * FRESH).await, (Ok(false), 6), "it is withdrawn");
        assert_ne!(published.edition(old).0, edition, "other keys");
        let rs256 = published.key(&fetch, (Some("four"), Algorithm::Rs256), old).await;
        assert!(rs256.is_ok_and(|key| key.is_none()), "a key is for one algorithm");
    }
}
