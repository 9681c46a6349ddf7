//! Inference with an `Idempotency-Key`: the same request again gets the first answer again, and is charged once.
//!
//! The first request claims its key in the database, before anything is sent, and leaves there what its client was
//! answered. A retry is given that, or is told to come back while the first still runs. What failed and cost nothing is given
//! up, and runs anew; a stream that broke off and was charged is an answer, and is given again as it broke off. What was
//! charged and has gone with its process is not bought a second time. A request without the header meets none of this.

mod capture;
mod claim;
mod replay;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use sha2::{Digest as _, Sha256};
use store::{Claimed, IdempotencyKey, NewClaim, Refusal, Store, StoreError};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock;
use crate::inbound::{Inbound, Operation};
use crate::problem::Problem;

pub(crate) use capture::Capture;
pub(crate) use claim::Claim;
pub(crate) use replay::REPLAYED;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST_KEY: usize = 255;
/// How long a result is kept, in microseconds, counted from the request that claims the key.
const KEPT_FOR: i64 = 24 * 60 * 60 * 1_000_000;
/// How long a claim is held, in microseconds, unless it is held for longer in time: so long it survives its process.
const HELD_FOR: i64 = 5 * 60 * 1_000_000;
/// How often claims that are worked on are held for longer, and what has expired is forgotten.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// So much is forgotten in one transaction: no other waits long for its end.
const FORGOTTEN_AT_ONCE: u32 = 16;
/// In seconds: a retry is told to wait as long again as the first has run, within these.
const WAIT: (i64, i64) = (1, 30);
/// Bodies from here on, in bytes, are hashed where no other request waits for it.
const LARGE: usize = 1024 * 1024;

/// The claims of this process.
pub(crate) struct Keys {
    store: Store,
    replica: Uuid,
    tasks: TaskTracker,
    /// Those that are worked on.
    live: Mutex<HashMap<Uuid, IdempotencyKey>>,
}

/// What a request is to do.
pub(crate) enum Turn {
    /// Its work: nobody has asked for the same, or the key is not given.
    Run(Option<Claim>),
    /// Nothing: this is the answer.
    Answer(Response),
}

impl Keys {
    /// What ends a claim is done on `tasks`.
    pub(crate) fn new(store: &Store, replica: Uuid, tasks: &TaskTracker) -> Arc<Self> {
        let (store, tasks, live) = (store.clone(), tasks.clone(), Mutex::default());
        Arc::new(Self { store, replica, tasks, live })
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Uuid, IdempotencyKey>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the claims that are worked on and forgets what has expired, until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = interval(LOOK_EVERY);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "claims of idempotency keys could not be looked after");
            }
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let claim = |(id, key): (&Uuid, &IdempotencyKey)| (key.clone(), *id);
        let claims: Vec<_> = self.live().iter().map(claim).collect();
        if !claims.is_empty() {
            self.store.hold_claims(&claims, clock::now().saturating_add(HELD_FOR)).await?;
        }
        while self.store.forget_results(clock::now(), FORGOTTEN_AT_ONCE).await?
            == u64::from(FORGOTTEN_AT_ONCE)
        {}
        Ok(())
    }

    /// Finds out whose turn it is.
    pub(crate) async fn turn(
        self: &Arc<Self>,
        inbound: &Inbound,
        parts: &Parts,
    ) -> Result<Turn, Problem> {
        // To count costs nothing, so that it may well be done again.
        if inbound.operation == Operation::Count {
            return Ok(Turn::Run(None));
        }
        match name(&parts.headers)? {
            Some(name) => Box::pin(self.claim(name, inbound, parts)).await,
            None => Ok(Turn::Run(None)),
        }
    }

    async fn claim(
        self: &Arc<Self>,
        name: String,
        inbound: &Inbound,
        parts: &Parts,
    ) -> Result<Turn, Problem> {
        let fingerprint = fingerprint(inbound, parts).await?;
        let now = clock::now();
        let new = NewClaim {
            key: IdempotencyKey { key_id: inbound.key_id, name },
            fingerprint,
            request_id: inbound.id,
            replica: self.replica,
            held_until: now.saturating_add(HELD_FOR),
            expires_at: now.saturating_add(KEPT_FOR),
        };
        let claim = Claim::new(Arc::clone(self), new.key.clone(), inbound.id);
        let store = self.store.clone();
        // Of its own, so that nobody who hangs up leaves it half done.
        let claiming = self.tasks.spawn(async move { (store.claim(&new, now).await, claim) });
        let (claimed, claim) = claiming.await.map_err(Problem::internal)?;
        match claimed.map_err(Problem::store)? {
            Claimed::Granted => Ok(Turn::Run(Some(claim))),
            Claimed::Done(kept) => {
                claim.refused();
                Ok(Turn::Answer(replay::response(*kept)))
            }
            Claimed::Refused(refusal) => {
                claim.refused();
                Err(told(refusal, now))
            }
        }
    }
}

/// What a request is told that is not to run.
fn told(refusal: Refusal, now: i64) -> Problem {
    let conflict = |code, message: String| Problem::new(StatusCode::CONFLICT, code, message);
    match refusal {
        Refusal::Other => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "idempotency-key: this key stands for another request; a new request needs a new key",
        ),
        Refusal::Running { expires_at } => {
            let message =
                "idempotency-key: the first request with this key still runs; try again later";
            let mut problem = conflict("idempotency_key_in_use", message.to_owned());
            let runs_for = now.saturating_sub(expires_at.saturating_sub(KEPT_FOR)) / 1_000_000;
            problem.retry_after = u64::try_from(runs_for.clamp(WAIT.0, WAIT.1)).ok();
            problem
        }
        Refusal::TooLarge(id) => conflict(
            "idempotency_result_too_large",
            format!(
                "idempotency-key: the request with this key was answered and charged as {id}; its answer was larger \
                 than {} bytes and was not kept. To ask again, and to pay again, use a new key",
                capture::MOST_BYTES
            ),
        ),
        Refusal::Lost(id) => conflict(
            "idempotency_result_lost",
            format!(
                "idempotency-key: the request with this key was answered and charged as {id}; its answer was lost in a \
                 crash. To ask again, and to pay again, use a new key"
            ),
        ),
    }
}

/// The key of a request, where it has one.
fn name(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bytes = value.as_bytes();
    let well_formed = (1..=LONGEST_KEY).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_graphic)
        && values.next().is_none();
    match std::str::from_utf8(bytes) {
        Ok(name) if well_formed => Ok(Some(name.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "idempotency-key: expected one key of 1 to {LONGEST_KEY} visible ASCII characters"
        ))),
    }
}

/// What makes a request the same as another: method, path, query without credentials, and the body, unpacked.
async fn fingerprint(inbound: &Inbound, parts: &Parts) -> Result<[u8; 32], Problem> {
    let path = parts.uri.path().to_owned();
    let (method, query) = (parts.method.clone(), inbound.query.clone().unwrap_or_default());
    let body = inbound.body.clone();
    if body.len() < LARGE {
        return Ok(digest(&method, &path, &query, &body));
    }
    let hashed = tokio::task::spawn_blocking(move || digest(&method, &path, &query, &body));
    hashed.await.map_err(Problem::internal)
}

/// None of the parts before the body has a line feed in it.
fn digest(method: &Method, path: &str, query: &str, body: &Bytes) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method.as_str(), path, query] {
        hash.update(part);
        hash.update(b"\n");
    }
    hash.update(body);
    hash.finalize().into()
}
