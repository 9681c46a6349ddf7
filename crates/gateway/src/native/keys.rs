//! `/api/keys/…`: a user's own keys.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode, Uri};
use ledger::Usd;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{NewKey, StoreError};
use uuid::Uuid;

use super::json::read_json;
use crate::app::App;
use crate::auth::{Identity, native_identity};
use crate::problem::Problem;
use crate::{body, clock, keys, providers};

const LONGEST_NAME: usize = 100;
const SMALL_BODY_BYTES: u32 = 64 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Generate {
    name: Option<String>,
    expires_at: Option<String>,
    /// A number or its text: amounts of more digits than a JSON number keeps.
    budget_usd: Option<Value>,
    models: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Delete {
    key: Option<String>,
    id: Option<String>,
}

fn identify(app: &App, headers: &HeaderMap, uri: &Uri) -> Result<Identity, Problem> {
    let snapshot = app.snapshots.current();
    native_identity(&snapshot, headers, uri, clock::now(), app.settings.trust_user_header)
}

/// `GET /api/keys/list`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let identity = identify(&app, &headers, &uri)?;
    let keys = app.store.keys_of(identity.user_id).await.map_err(Problem::store)?;
    let keys: Vec<Value> = keys.iter().map(view).collect();
    Ok(Json(json!({ "keys": keys })))
}

/// A key as it may be shown, at any time.
pub(crate) fn view(key: &store::Key) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "key_prefix": key.prefix,
        "last4": key.last4,
        "created_at": clock::rfc3339(key.created_at),
        "last_used_at": key.last_used_at.map(clock::rfc3339),
        "expires_at": key.expires_at.map(clock::rfc3339),
        "revoked": key.revoked_at.is_some(),
        "budget_usd": key.budget.map(|budget| budget.to_string()),
        "models": key.models,
    })
}

/// `POST /api/keys/generate`
pub(crate) async fn generate(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let identity = identify(&app, &headers, &uri)?;
    let body = body::read(&headers, body, SMALL_BODY_BYTES).await?;
    let wanted: Generate = if body.is_empty() { Generate::default() } else { read_json(&body)? };
    let now = clock::now();
    let name = wanted.name.unwrap_or_default();
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "name: expected at most {LONGEST_NAME} characters on one line"
        )));
    }
    let expires_at = match wanted.expires_at.as_deref() {
        None => None,
        Some(text) => Some(clock::parse_moment(text).filter(|at| *at > now).ok_or_else(|| {
            Problem::bad_request(
                "expires_at: expected a moment to come, such as 2027-01-31T00:00:00Z",
            )
        })?),
    };
    let budget = match &wanted.budget_usd {
        None => None,
        Some(value) => Some(budget(value).ok_or_else(|| {
            Problem::bad_request("budget_usd: expected dollars, such as 5 or \"0.50\"")
        })?),
    };
    let models = match wanted.models {
        None => None,
        Some(ids) => Some(
            allowed_models(&app.snapshots.current().catalogue, &ids)
                .map_err(|message| Problem::bad_request(format!("models: {message}")))?,
        ),
    };
    let (key, stored) = create(&app.store, &identity.user, &name, expires_at, budget, models)
        .await
        .map_err(Problem::store)?;
    app.snapshots.refresh().await.map_err(Problem::store)?;
    Ok(Json(json!({ "key": key.expose_secret(), "id": stored.id })))
}

/// An amount of more than nothing.
fn budget(value: &Value) -> Option<Usd> {
    let amount = match value {
        Value::Number(number) => Usd::parse(&number.to_string()).ok(),
        Value::String(text) => Usd::parse(text).ok(),
        _ => None,
    };
    amount.filter(|amount| *amount > Usd::ZERO)
}

/// Ids of models as keys keep them, each with the name of its provider.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn allowed_models(
    catalogue: &ledger::Catalogue,
    ids: &[String],
) -> Result<Vec<String>, String> {
    if ids.is_empty() {
        return Err("expected at least one model; leave it out to allow all".to_owned());
    }
    let known = |id: &String| {
        let (provider, model) = id.split_once('/')?;
        let provider = providers::canonical(provider);
        catalogue.get(provider, model).map(|_| format!("{provider}/{model}"))
    };
    ids.iter()
        .map(|id| {
            known(id).ok_or_else(|| {
                let id = crate::routing::quoted(id);
                format!("{id} is not in the price list; expected ids such as openai/gpt-4o")
            })
        })
        .collect()
}

/// Makes a key for a user and stores its hash. The key itself is in the caller's hands alone.
pub(crate) async fn create(
    store: &store::Store,
    user: &str,
    name: &str,
    expires_at: Option<i64>,
    budget: Option<Usd>,
    models: Option<Vec<String>>,
) -> Result<(secrecy::SecretString, store::Key), StoreError> {
    let key = keys::generate();
    let hash = keys::hash(key.expose_secret()).ok_or(StoreError::NotFound { what: "key" })?;
    let (prefix, last4) = keys::prefix_and_last4(&key);
    let new = NewKey {
        id: clock::new_id(),
        user: user.to_owned(),
        name: name.to_owned(),
        hash: ledger::to_hex(&hash),
        prefix,
        last4,
        expires_at,
        budget,
        models,
        created_at: clock::now(),
    };
    let stored = store.add_key(new).await?;
    Ok((key, stored))
}

/// `DELETE /api/keys/delete`
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let identity = identify(&app, &headers, &uri)?;
    let wanted: Delete = read_json(&body::read(&headers, body, SMALL_BODY_BYTES).await?)?;
    let (of, now) = (Some(identity.user_id), clock::now());
    let revoked = match (&wanted.key, &wanted.id) {
        (Some(key), None) => {
            let hash = keys::hash(key).ok_or_else(not_found)?;
            app.store.revoke_key_by_hash(of, &ledger::to_hex(&hash), now).await
        }
        (None, Some(id)) => {
            let id = id.parse::<Uuid>().map_err(|_| not_found())?;
            app.store.revoke_key_by_id(of, id, now).await
        }
        _ => {
            return Err(Problem::bad_request(
                "expected one of {\"key\":\"tg-...\"} and {\"id\":\"...\"}",
            ));
        }
    };
    match revoked {
        Ok(true) => {}
        Ok(false) | Err(StoreError::NotFound { .. }) => return Err(not_found()),
        Err(error) => return Err(Problem::store(error)),
    }
    app.snapshots.refresh().await.map_err(Problem::store)?;
    Ok(Json(json!({ "message": "API key deleted successfully" })))
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "key_not_found", "you have no such API key")
}
