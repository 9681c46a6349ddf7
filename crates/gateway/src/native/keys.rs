//! `/api/keys/…`: a user's own keys.

use axum::response::Response;
use http::StatusCode;
use ledger::{BudgetPeriod, Usd};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{StoreError, Whose};
use uuid::Uuid;

use crate::manage::key_fields::{self, named};
use crate::manage::keys::{self, Wanted};
use crate::problem::Problem;
use crate::scopes::Scopes;
use crate::web::{self, Call};
use crate::{clock, keys as secrets};

/// What a new key is to be like.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "NativeKeyWish")]
pub(crate) struct Generate {
    name: Option<String>,
    /// A moment of RFC 3339, after which the key is refused.
    expires_at: Option<String>,
    /// The most that the key spends in all, in dollars: a number, or its text where a JSON number has too few digits.
    budget_usd: Option<Value>,
    /// The only models it may use, such as `openai/gpt-4o`.
    models: Option<Vec<String>>,
    /// Of `inference`, `usage`, `keys` and `billing`; the first three where none is named.
    scopes: Option<Vec<String>>,
    /// The only addresses and networks it may be used from.
    allowed_ips: Option<Vec<String>>,
    requests_per_minute: Option<i64>,
    tokens_per_minute: Option<i64>,
    /// The most requests under way at once.
    concurrent_requests: Option<i64>,
}

/// Which key: one of the two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "NativeKeyChoice")]
pub(crate) struct Delete {
    /// The key itself.
    key: Option<String>,
    /// Its id, as the list has it.
    id: Option<String>,
}

/// All keys of a user.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NativeKeys")]
pub(crate) struct KeyList {
    keys: Vec<KeyRow>,
}

/// A key as it may be shown, at any time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NativeKey")]
pub(crate) struct KeyRow {
    #[schemars(with = "String")]
    id: Uuid,
    name: String,
    /// How the key begins.
    key_prefix: String,
    /// How it ends.
    last4: String,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    revoked: bool,
    /// The most that the key spends, in dollars.
    budget_usd: Option<String>,
    models: Option<Vec<String>>,
}

/// A new key, which is told this once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NativeKeyMade")]
pub(crate) struct Generated {
    key: String,
    #[schemars(with = "String")]
    id: Uuid,
}

/// That it is done.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NativeKeyDeleted")]
pub(crate) struct Deleted {
    message: &'static str,
}

/// `GET /api/keys/list`
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let keys = call.app.store.keys_of(call.user()?.0).await.map_err(Problem::store)?;
    web::json(&KeyList { keys: keys.iter().map(KeyRow::of).collect() })
}

impl KeyRow {
    pub(crate) fn of(key: &store::Key) -> Self {
        Self {
            id: key.id,
            name: key.name.clone(),
            key_prefix: key.prefix.clone(),
            last4: key.last4.clone(),
            created_at: clock::rfc3339(key.created_at),
            last_used_at: key.last_used_at.map(clock::rfc3339),
            expires_at: key.expires_at.map(clock::rfc3339),
            revoked: key.revoked_at.is_some(),
            budget_usd: key.budget.map(|budget| budget.to_string()),
            models: key.models.clone(),
        }
    }
}

/// `POST /api/keys/generate`
pub(crate) async fn generate(call: Call) -> Result<Response, Problem> {
    let asked = if call.body.is_empty() { Generate::default() } else { call.json()? };
    let (_, user) = call.user()?;
    let wanted = call.narrowed(asked.wanted(&call)?)?;
    let made = keys::create(&call.store(), user, None, wanted, call.now).await;
    let made = made.map_err(Problem::store)?;
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    web::json(&Generated { key: made.secret.expose_secret().to_owned(), id: made.key.id })
}

impl Generate {
    fn wanted(self, call: &Call) -> Result<Wanted, Problem> {
        let granted = call.who.grants();
        let scopes = match self.scopes {
            // A key that was narrowed makes no wider one.
            None => Scopes::ORDINARY.and(granted),
            Some(names) => keys::scopes(&names, granted).map_err(named("scopes"))?,
        };
        let name = keys::name(&self.name.unwrap_or_default()).map_err(named("name"))?;
        let expires_at = key_fields::expires_at(self.expires_at, call.now)?;
        let limit = self.budget_usd.map(|value| {
            budget(&value).ok_or_else(|| {
                Problem::bad_request("budget_usd: expected dollars, such as 5 or \"0.50\"")
            })
        });
        let catalogue = &call.app.snapshots.current().catalogue;
        let (requests, tokens) = ("requests_per_minute", "tokens_per_minute");
        let concurrent = key_fields::per_minute("concurrent_requests", self.concurrent_requests)?;
        Ok(Wanted {
            expires_at,
            budget: limit.transpose()?.map(|limit| (BudgetPeriod::Total, limit)),
            models: key_fields::models(catalogue, self.models)?,
            allowed_ips: key_fields::allowed_ips(self.allowed_ips)?,
            requests_per_minute: key_fields::per_minute(requests, self.requests_per_minute)?,
            tokens_per_minute: key_fields::per_minute(tokens, self.tokens_per_minute)?,
            concurrent_requests: concurrent,
            ..Wanted::of(name, scopes)
        })
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
    web::json(&Deleted { message: "API key deleted successfully" })
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "key_not_found", "you have no such API key")
}
