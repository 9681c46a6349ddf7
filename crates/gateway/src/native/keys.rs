//! `/api/keys/…`: a user's own keys.

use axum::response::Response;
use http::StatusCode;
use ledger::{BudgetPeriod, Usd};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{StoreError, Whose};
use uuid::Uuid;

use crate::manage::keys::{self, Wanted};
use crate::problem::Problem;
use crate::scopes::Scopes;
use crate::web::{self, Call};
use crate::{clock, keys as secrets};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Generate {
    name: Option<String>,
    expires_at: Option<String>,
    /// A number or its text: amounts of more digits than a JSON number keeps.
    budget_usd: Option<Value>,
    models: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    allowed_ips: Option<Vec<String>>,
    requests_per_minute: Option<i64>,
    tokens_per_minute: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Delete {
    key: Option<String>,
    id: Option<String>,
}

/// `GET /api/keys/list`
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let keys = call.app.store.keys_of(call.user()?.0).await.map_err(Problem::store)?;
    let keys: Vec<Value> = keys.iter().map(view).collect();
    web::json(&json!({ "keys": keys }))
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
pub(crate) async fn generate(call: Call) -> Result<Response, Problem> {
    let asked = if call.body.is_empty() { Generate::default() } else { call.json()? };
    let (_, user) = call.user()?;
    let wanted = call.narrowed(asked.wanted(&call)?)?;
    let made = keys::create(&call.store(), user, None, wanted, call.now).await;
    let made = made.map_err(Problem::store)?;
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    web::json(&json!({ "key": made.secret.expose_secret(), "id": made.key.id }))
}

impl Generate {
    fn wanted(self, call: &Call) -> Result<Wanted, Problem> {
        let named =
            |field: &str, message: String| Problem::bad_request(format!("{field}: {message}"));
        let granted = call.who.grants();
        let scopes = match self.scopes {
            // A key that was narrowed makes no wider one.
            None => Scopes::ORDINARY.and(granted),
            Some(names) => keys::scopes(&names, granted).map_err(|e| named("scopes", e))?,
        };
        let name = keys::name(&self.name.unwrap_or_default()).map_err(|e| named("name", e))?;
        let mut wanted = Wanted::of(name, scopes);
        if let Some(text) = self.expires_at {
            let at = keys::expiry(&text, call.now).map_err(|e| named("expires_at", e))?;
            wanted.expires_at = Some(at);
        }
        if let Some(value) = &self.budget_usd {
            let limit = budget(value).ok_or_else(|| {
                Problem::bad_request("budget_usd: expected dollars, such as 5 or \"0.50\"")
            })?;
            wanted.budget = Some((BudgetPeriod::Total, limit));
        }
        if let Some(ids) = self.models {
            let catalogue = &call.app.snapshots.current().catalogue;
            wanted.models = Some(keys::models(catalogue, &ids).map_err(|e| named("models", e))?);
        }
        if let Some(texts) = self.allowed_ips {
            let networks = keys::allowed_ips(&texts).map_err(|e| named("allowed_ips", e))?;
            wanted.allowed_ips = Some(networks);
        }
        for (field, number, place) in [
            ("requests_per_minute", self.requests_per_minute, &mut wanted.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute, &mut wanted.tokens_per_minute),
        ] {
            *place = number.map(keys::per_minute).transpose().map_err(|e| named(field, e))?;
        }
        Ok(wanted)
    }
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

/// `DELETE /api/keys/delete`
pub(crate) async fn delete(call: Call) -> Result<Response, Problem> {
    let wanted: Delete = call.json()?;
    let (store, whose) = (call.store(), Whose::Users(call.user()?.0));
    let id = match (&wanted.key, &wanted.id) {
        (Some(key), None) => {
            let hash = secrets::hash(key).ok_or_else(not_found)?;
            match store.key_by_hash(whose, &ledger::to_hex(&hash)).await {
                Ok(key) => key.id,
                Err(StoreError::NotFound { .. }) => return Err(not_found()),
                Err(error) => return Err(Problem::store(error)),
            }
        }
        (None, Some(id)) => id.parse::<Uuid>().map_err(|_| not_found())?,
        _ => {
            return Err(Problem::bad_request(
                "expected one of {\"key\":\"tg-...\"} and {\"id\":\"...\"}",
            ));
        }
    };
    match store.revoke_key(whose, id, call.now).await {
        Ok(true) => {}
        Ok(false) | Err(StoreError::NotFound { .. }) => return Err(not_found()),
        Err(error) => return Err(Problem::store(error)),
    }
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    web::json(&json!({ "message": "API key deleted successfully" }))
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "key_not_found", "you have no such API key")
}
