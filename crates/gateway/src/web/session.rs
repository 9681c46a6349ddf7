//! Sessions of browsers: a random token in a cookie, of which the store has the hash. They end after a time whatever is
//! done in them, and sooner where nothing is.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, header};
use rand::RngExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{SecretHash, Store, User};

use super::{Proof, SignedIn};
use crate::app::App;
use crate::problem::Problem;

/// The cookie of a session.
const SESSION: &str = "tollgate";
/// How long a session lasts at most.
const LONGEST: i64 = 7 * 24 * 3_600 * 1_000_000;
/// How long it lasts when nothing is done in it.
const IDLE: i64 = 12 * 3_600 * 1_000_000;
/// How often it is noted that it is in use.
const NOTED_EVERY: i64 = 60 * 1_000_000;

/// A secret of 256 bits, as text.
pub(crate) fn secret() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill(&mut bytes);
    ledger::to_hex(&bytes)
}

/// What the store has of a secret.
pub(crate) fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// The word that forms bring back, which only who has the cookie can know.
fn csrf(token: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"csrf ");
    hash.update(token.as_bytes());
    ledger::to_hex(&hash.finalize())
}

/// The name of a cookie that no other host can set. Without TLS, as on one's own machine, a browser takes no such name.
fn name(app: &App, what: &str) -> String {
    if app.settings.is_secure() { format!("__Host-{what}") } else { what.to_owned() }
}

/// A cookie that no script can read.
pub(crate) fn cookie(app: &App, what: &str, value: &str, seconds: i64) -> HeaderValue {
    let (name, secure) = (name(app, what), if app.settings.is_secure() { "; Secure" } else { "" });
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// The value of a cookie that the browser has brought.
pub(crate) fn brought<'a>(app: &App, parts: &'a Parts, what: &str) -> Option<&'a str> {
    let name = name(app, what);
    let lines = parts.headers.get_all(header::COOKIE).iter();
    let mut pairs = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(&name)?.strip_prefix('='))
}

/// Signs somebody in: the cookie to be set. Whatever session the browser had is another.
pub(crate) async fn begin(
    app: &App,
    store: &Store,
    user: &User,
    (by, from): (&str, IpAddr),
    now: i64,
) -> Result<HeaderValue, Problem> {
    let token = secret();
    let until = now.saturating_add(LONGEST);
    let detail = json!({ "by": by, "from": from.to_string() });
    let begun = store.begin_session_by(hash(&token), user, (now, until), &detail).await;
    begun.map_err(Problem::store)?;
    Ok(cookie(app, SESSION, &token, LONGEST / 1_000_000))
}

/// The cookie that takes the session's away.
pub(crate) fn end(app: &App) -> HeaderValue {
    cookie(app, SESSION, "", 0)
}

/// Who is signed in, if anybody.
pub(crate) async fn find(app: &App, parts: &Parts, now: i64) -> Result<Option<SignedIn>, Problem> {
    let token = brought(app, parts, SESSION).filter(|token| token.len() == 64);
    let Some(token) = token else { return Ok(None) };
    let hash = hash(token);
    let session = app.store.session(hash, now).await.map_err(Problem::store)?;
    let Some(session) = session.filter(|session| now - session.seen_at < IDLE) else {
        return Ok(None);
    };
    if now - session.seen_at > NOTED_EVERY {
        app.store.touch_session(hash, now).await.map_err(Problem::store)?;
    }
    let snapshot = app.snapshots.current();
    let person = snapshot.people.get(&session.user_id).filter(|person| !person.disabled);
    let proof = Proof::Session { hash, csrf: csrf(token) };
    Ok(person.map(|person| SignedIn { person: Arc::clone(person), proof }))
}
