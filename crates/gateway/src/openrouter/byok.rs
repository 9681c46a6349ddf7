//! `/api/v1/byok`: the keys that an account brings to its providers, in `OpenRouter`'s shape. There is one of each provider.
//! <https://openrouter.ai/docs/api/api-reference/byok/list-byok-keys>

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{OwnKey, StoreError, Whose};
use uuid::Uuid;

use super::wishes::check_workspace;
use super::{Data, forbidden, not_found};
use crate::clock;
use crate::manage::own_keys::{self, Brought};
use crate::problem::Problem;
use crate::scopes::Scope;
use crate::web::{self, Call};

/// A key to be kept.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct ByokWish {
    /// `openai`, `anthropic`, `gemini` or `deepseek`. A key that is kept there already is replaced.
    provider: String,
    /// The provider's key. It is sealed, and never told again.
    key: String,
    name: Option<String>,
    /// Whether the house's credential never takes its place; false where nothing is said.
    always_use: Option<bool>,
    /// Only false: remove the key instead.
    disabled: Option<bool>,
    /// Only false: an own key always goes first.
    is_fallback: Option<bool>,
    /// Only null: narrow the API keys instead.
    allowed_models: Option<Vec<String>>,
    /// Only null.
    allowed_user_ids: Option<Vec<String>>,
    /// Only null.
    allowed_api_key_hashes: Option<Vec<String>>,
    /// Only the account of the key that asks.
    workspace_id: Option<String>,
}

/// What is to be changed of a key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct ByokChange {
    always_use: bool,
}

/// Which keys are wanted.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ByokQuery {
    /// Only that of this provider.
    provider: Option<String>,
    /// Only the account of the key that asks.
    workspace_id: Option<String>,
}

/// A key as it may be shown, at any time.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ByokView {
    id: String,
    provider: String,
    name: Option<String>,
    /// How the key ends.
    label: String,
    disabled: bool,
    is_fallback: bool,
    sort_order: u32,
    allowed_models: Option<Vec<String>>,
    allowed_user_ids: Option<Vec<String>>,
    allowed_api_key_hashes: Option<Vec<String>>,
    workspace_id: String,
    created_at: String,
    /// Whether the house's credential never takes its place.
    always_use: bool,
}

/// All keys of an account.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ByokList {
    data: Vec<ByokView>,
    total_count: usize,
}

/// That it is done.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ByokDeleted {
    deleted: bool,
}

impl ByokView {
    fn of(key: OwnKey) -> Self {
        Self {
            id: key.id.to_string(),
            provider: key.provider,
            name: Some(key.name).filter(|name| !name.is_empty()),
            label: format!("...{}", key.last4),
            disabled: false,
            is_fallback: false,
            sort_order: 0,
            allowed_models: None,
            allowed_user_ids: None,
            allowed_api_key_hashes: None,
            workspace_id: key.account_id.to_string(),
            created_at: clock::rfc3339(key.created_at),
            always_use: key.always,
        }
    }
}

impl ByokWish {
    /// What is not offered here is refused rather than passed over: it would narrow the key.
    fn check(&self, call: &Call) -> Result<(), Problem> {
        check_workspace(call, self.workspace_id.as_deref())?;
        let asked = [
            ("disabled", self.disabled == Some(true)),
            ("is_fallback", self.is_fallback == Some(true)),
            ("allowed_models", self.allowed_models.is_some()),
            ("allowed_user_ids", self.allowed_user_ids.is_some()),
            ("allowed_api_key_hashes", self.allowed_api_key_hashes.is_some()),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((field, _)) => {
                Err(Problem::bad_request(format!("{field}: not offered here; leave it out")))
            }
            None => Ok(()),
        }
    }
}

/// The account whose keys these are, for somebody who may manage all that it has. The owner of a provider's key may read there
/// what is asked with it, so that it takes more than an ordinary key, which may make others as it is.
fn account(call: &Call) -> Result<Uuid, Problem> {
    if !call.who.grants().has(Scope::Keys) {
        return Err(forbidden(
            "own keys are managed with a key that has the scopes keys and billing",
        ));
    }
    match call.reach()? {
        Whose::Accounts(account) => Ok(account),
        _ => Err(forbidden("an organization's own keys are its owners' and admins'")),
    }
}

/// `GET /api/v1/byok`
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let ByokQuery { provider, workspace_id } = call.query()?;
    check_workspace(&call, workspace_id.as_deref())?;
    let mut keys = call.app.store.own_keys_of(account(&call)?).await.map_err(Problem::store)?;
    if let Some(provider) = provider {
        let provider = own_keys::find(&call.app.providers, &provider)?;
        keys.retain(|key| key.provider == provider);
    }
    let data: Vec<ByokView> = keys.into_iter().map(ByokView::of).collect();
    web::json(&ByokList { total_count: data.len(), data })
}

/// `POST /api/v1/byok`
pub(crate) async fn create(call: Call) -> Result<Response, Problem> {
    call.is_wide()?;
    let account = account(&call)?;
    let wish: ByokWish = call.json()?;
    wish.check(&call)?;
    let (name, always) = (wish.name.unwrap_or_default(), wish.always_use.unwrap_or(false));
    let providers = &call.app.providers;
    let brought = Brought::read(providers, &wish.provider, &name, &wish.key, always)?;
    let made = own_keys::set(&call.store(), providers, account, brought).await;
    let made = made.map_err(Problem::store)?;
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    let mut response = web::json(&Data { data: ByokView::of(made) })?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The key that the path names.
async fn one(call: &Call) -> Result<OwnKey, Problem> {
    let keys = call.app.store.own_keys_of(account(call)?).await.map_err(Problem::store)?;
    let id = call.param("id");
    let found = keys.into_iter().find(|key| key.id.to_string() == id);
    found.ok_or_else(|| not_found("own key"))
}

/// `GET /api/v1/byok/{id}`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    web::json(&Data { data: ByokView::of(one(&call).await?) })
}

/// A change that the store has made, unless the key went away meanwhile.
fn changed(result: Result<(), StoreError>) -> Result<(), Problem> {
    result.map_err(|error| match error {
        StoreError::NotFound { .. } => not_found("own key"),
        error => Problem::store(error),
    })
}

/// `PATCH /api/v1/byok/{id}`
pub(crate) async fn change(call: Call) -> Result<Response, Problem> {
    call.is_wide()?;
    let key = one(&call).await?;
    let ByokChange { always_use } = call.json()?;
    let whose = (key.account_id, key.provider.as_str());
    changed(call.store().change_own_key(whose, always_use).await)?;
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    web::json(&Data { data: ByokView::of(OwnKey { always: always_use, ..key }) })
}

/// `DELETE /api/v1/byok/{id}`
pub(crate) async fn delete(call: Call) -> Result<Response, Problem> {
    call.is_wide()?;
    let key = one(&call).await?;
    let whose = (key.account_id, key.provider.as_str());
    changed(call.store().remove_own_key(whose, call.now).await)?;
    call.app.snapshots.refresh().await.map_err(Problem::store)?;
    web::json(&ByokDeleted { deleted: true })
}
