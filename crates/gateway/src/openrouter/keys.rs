//! `/api/v1/keys`: a program that manages keys. Each is named by the SHA-256 of its secret.

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use store::{Key, StoreError, Whose};

use super::limits::{self, Limit, Limits};
use super::view::KeyView;
use super::wishes::{KeyWish, NewKeyWish, check_workspace};
use super::{Data, forbidden, not_found};
use crate::manage;
use crate::problem::Problem;
use crate::scopes::Scopes;
use crate::web::{self, Call};

/// How many keys a page has.
const PAGE: usize = 100;
const MICROS_PER_HOUR: i64 = 3_600 * 1_000_000;
/// How long a key that has been replaced may go on working, in hours.
const LONGEST_OVERLAP: u32 = 24 * 30;

/// Which keys are asked for: a page of 100.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ListQuery {
    /// How many to pass over.
    offset: Option<usize>,
    /// Those that are switched off too.
    include_disabled: Option<bool>,
    /// Those that are over too.
    include_expired: Option<bool>,
    /// Only the account of the key that asks.
    workspace_id: Option<String>,
}

/// A key with its secret, which is told this once.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Made {
    #[serde(serialize_with = "exposed")]
    #[schemars(with = "String")]
    key: SecretString,
    data: KeyView,
}

fn exposed<S: serde::Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// That a key is revoked, for good.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Deleted {
    deleted: bool,
}

/// How a key is replaced.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub(crate) struct Rotation {
    /// How long the old one goes on working, in hours; a day, where nothing is said.
    overlap_hours: Option<u32>,
}

/// `GET /api/v1/keys`: newest first.
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let query: ListQuery = call.query()?;
    check_workspace(&call, query.workspace_id.as_deref())?;
    let keys = page(&call, call.reach()?, &query).await.map_err(Problem::store)?;
    let data = views(&call, keys).await?;
    web::json(&Data { data })
}

async fn page(call: &Call, whose: Whose, query: &ListQuery) -> Result<Vec<Key>, StoreError> {
    let shows = |key: &Key| {
        let over = key.expires_at.is_some_and(|at| at <= call.now);
        (query.include_disabled == Some(true) || key.disabled_at.is_none())
            && (query.include_expired == Some(true) || !over)
    };
    let mut passed = query.offset.unwrap_or(0);
    let (mut shown, mut before) = (Vec::new(), None);
    loop {
        let keys = call.app.store.keys_page(whose, before, 1_000).await?;
        let Some(last) = keys.last() else { return Ok(shown) };
        before = Some(last.id);
        for key in keys.into_iter().filter(&shows) {
            if shown.len() == PAGE {
                return Ok(shown);
            }
            if passed == 0 {
                shown.push(key);
            } else {
                passed -= 1;
            }
        }
    }
}

/// Once the store has every receipt that was written before.
async fn views(call: &Call, keys: Vec<Key>) -> Result<Vec<KeyView>, Problem> {
    call.app.journal.applied().await.map_err(Problem::store)?;
    let snapshot = call.app.snapshots.current();
    KeyView::all(&call.app.store, &snapshot, keys, call.now).await
}

async fn view(call: &Call, key: Key) -> Result<KeyView, Problem> {
    call.app.journal.applied().await.map_err(Problem::store)?;
    let snapshot = call.app.snapshots.current();
    KeyView::one(&call.app.store, &snapshot, key, call.now).await
}

/// `POST /api/v1/keys`
pub(crate) async fn create(call: Call) -> Result<Response, Problem> {
    call.reach()?;
    let wanted = call.narrowed(call.json::<NewKeyWish>()?.wanted(&call)?)?;
    let (user, payer) = (call.user()?.1, payer(&call)?);
    let made = manage::keys::create(&call.store(), user, Some(&payer), wanted, call.now).await;
    told(&call, made.map_err(Problem::store)?).await
}

/// Answers with a key that was just made, once it is known here.
async fn told(call: &Call, made: manage::keys::Made) -> Result<Response, Problem> {
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    let made = Made { key: made.secret, data: view(call, made.key).await? };
    let mut response = web::json(&made)?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The name of the account that a new key spends from.
fn payer(call: &Call) -> Result<String, Problem> {
    let (account, person) = (call.who.account_id(), call.person()?);
    if account == Some(person.account_id) {
        return Ok(person.name.clone());
    }
    let mut memberships = person.memberships.iter();
    let found = memberships.find(|membership| account == Some(membership.account_id));
    let name = found.map(|membership| membership.name.clone());
    name.ok_or_else(|| Problem::internal("a key of an account that its user has no part in"))
}

/// The key that the path names, if it is there for whoever calls.
async fn find(call: &Call) -> Result<(Whose, Key), Problem> {
    let whose = call.reach()?;
    let key = by_hash(call, whose, call.param("hash")).await?;
    Ok((whose, key))
}

/// A key that is not revoked.
pub(super) async fn by_hash(call: &Call, whose: Whose, hash: &str) -> Result<Key, Problem> {
    match call.app.store.key_by_hash(whose, hash).await {
        Ok(key) if key.revoked_at.is_none() => Ok(key),
        Ok(_) | Err(StoreError::NotFound { .. }) => Err(not_found("key")),
        Err(error) => Err(Problem::store(error)),
    }
}

/// A change that the store has made, unless the key went away meanwhile.
fn changed<T>(result: Result<T, StoreError>) -> Result<T, Problem> {
    result.map_err(|error| match error {
        StoreError::NotFound { .. } => not_found("key"),
        StoreError::Duplicate { .. } => {
            let message = "this key has been rotated; rotate the one that has taken its place";
            Problem::new(StatusCode::CONFLICT, "already_rotated", message)
        }
        error => Problem::store(error),
    })
}

/// `GET /api/v1/keys/{hash}`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let (_, key) = find(&call).await?;
    web::json(&Data { data: view(&call, key).await? })
}

/// `PATCH /api/v1/keys/{hash}`
pub(crate) async fn change(call: Call) -> Result<Response, Problem> {
    call.is_wide()?;
    let (whose, key) = find(&call).await?;
    let limit = limit(&call, &key).await?;
    let change = call.json::<KeyWish>()?.change(&call, limit)?;
    let key = changed(manage::keys::change(&call.store(), whose, key.id, change).await)?;
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    web::json(&Data { data: view(&call, key).await? })
}

/// What a key may spend by now.
async fn limit(call: &Call, key: &Key) -> Result<Option<Limit>, Problem> {
    // Another replica may have changed it just now.
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    let snapshot = call.app.snapshots.current();
    let usage = limits::used(&call.app.store, &snapshot.sharers(key.id), call.now).await?;
    Ok(Limits(&snapshot).of(key.id, usage))
}

/// `DELETE /api/v1/keys/{hash}`
pub(crate) async fn delete(call: Call) -> Result<Response, Problem> {
    let (whose, key) = find(&call).await?;
    if !changed(call.store().revoke_key(whose, key.id, call.now).await)? {
        return Err(not_found("key"));
    }
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    web::json(&Deleted { deleted: true })
}

/// `POST /api/v1/keys/{hash}/rotate`: another key in the place of one, which goes on working for a while.
pub(crate) async fn rotate(call: Call) -> Result<Response, Problem> {
    call.is_wide()?;
    let (whose, old) = find(&call).await?;
    let rotation = if call.body.is_empty() { Rotation::default() } else { call.json()? };
    let hours = rotation.overlap_hours.unwrap_or(24);
    if hours > LONGEST_OVERLAP {
        let message = format!("overlap_hours: expected a whole number from 0 to {LONGEST_OVERLAP}");
        return Err(Problem::bad_request(message));
    }
    // The secret of the new one is in the hands of whoever asks.
    if !Scopes::stored(&old.scopes).within(call.who.grants()) {
        return Err(forbidden("this key may do more than you may grant"));
    }
    let payer = payer(&call)?;
    let until = call.now.saturating_add(i64::from(hours) * MICROS_PER_HOUR);
    let (store, times) = (call.store(), (call.now, until));
    let made = manage::keys::rotate(&store, whose, &old, &payer, times).await;
    told(&call, changed(made)?).await
}
