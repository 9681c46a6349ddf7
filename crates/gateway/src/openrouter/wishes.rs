//! What is asked of a key, checked field by field. Whoever asks grants no more than they have.

use schemars::JsonSchema;
use serde::Deserialize;
use store::KeyChange;

use super::dollars::Dollars;
use super::limits::{self, Limit, Reset};
use super::{Given, given};
use crate::manage::key_fields::{allowed_ips, expires_at, models, named, per_minute};
use crate::manage::keys::{self, Wanted};
use crate::problem::Problem;
use crate::scopes::Scopes;
use crate::web::Call;

/// A key to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct NewKeyWish {
    pub(super) name: String,
    /// The most that it may spend.
    limit: Option<Dollars>,
    /// How often that begins anew; null: never.
    limit_reset: Option<Reset>,
    expires_at: Option<String>,
    /// Without effect: what is charged for a call with an own key counts, what its provider bills does not.
    #[serde(rename = "include_byok_in_limit")]
    _include_byok_in_limit: Option<bool>,
    /// Only the user whose key asks.
    creator_user_id: Option<String>,
    /// Only the account of the key that asks.
    workspace_id: Option<String>,
    /// What it may do; only `inference` where nothing is said.
    scopes: Option<Vec<String>>,
    /// The only models it may use.
    models: Option<Vec<String>>,
    /// The only networks it may be used from.
    allowed_ips: Option<Vec<String>>,
    requests_per_minute: Option<i64>,
    tokens_per_minute: Option<i64>,
    /// The most requests under way at once.
    concurrent_requests: Option<i64>,
}

/// What is to be changed of a key. What is left out stays; null takes a limit away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct KeyWish {
    name: Option<String>,
    disabled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    limit: Given<Dollars>,
    #[serde(default, deserialize_with = "given")]
    limit_reset: Given<Reset>,
    /// Without effect: what is charged for a call with an own key counts, what its provider bills does not.
    #[serde(rename = "include_byok_in_limit")]
    _include_byok_in_limit: Option<bool>,
    /// Only the one that it has.
    workspace_id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    expires_at: Given<String>,
    scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    models: Given<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    allowed_ips: Given<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    requests_per_minute: Given<i64>,
    #[serde(default, deserialize_with = "given")]
    tokens_per_minute: Given<i64>,
    #[serde(default, deserialize_with = "given")]
    concurrent_requests: Given<i64>,
}

/// A name, which is not left empty here.
fn some_name(text: &str) -> Result<String, Problem> {
    let name = if text.is_empty() { Err("expected a name".to_owned()) } else { keys::name(text) };
    name.map_err(named("name"))
}

impl NewKeyWish {
    pub(super) fn wanted(self, call: &Call) -> Result<Wanted, Problem> {
        self.check_owner(call)?;
        let granted = call.who.grants();
        let scopes = match &self.scopes {
            None => Scopes::INFERENCE.and(granted),
            Some(names) => keys::scopes(names, granted).map_err(named("scopes"))?,
        };
        let name = some_name(&self.name)?;
        let limit = limits::wanted(Some(self.limit), Some(self.limit_reset), None)?;
        if limit == Some(None) && self.limit_reset.is_some() {
            let message = "limit_reset: there is no limit that could begin anew";
            return Err(Problem::bad_request(message));
        }
        let catalogue = &call.app.snapshots.current().catalogue;
        Ok(Wanted {
            expires_at: expires_at(self.expires_at, call.now)?,
            budget: limit.flatten(),
            models: models(catalogue, self.models)?,
            allowed_ips: allowed_ips(self.allowed_ips)?,
            requests_per_minute: per_minute("requests_per_minute", self.requests_per_minute)?,
            tokens_per_minute: per_minute("tokens_per_minute", self.tokens_per_minute)?,
            concurrent_requests: per_minute("concurrent_requests", self.concurrent_requests)?,
            ..Wanted::of(name, scopes)
        })
    }

    /// A key is made for the user whose key asks, and spends from the same account.
    fn check_owner(&self, call: &Call) -> Result<(), Problem> {
        let user = call.user()?.0.to_string();
        if self.creator_user_id.as_ref().is_some_and(|id| *id != user) {
            let message = format!("creator_user_id: expected your own, which is {user}");
            return Err(Problem::bad_request(message));
        }
        check_workspace(call, self.workspace_id.as_deref())
    }
}

/// There is one workspace: the account of the key that asks.
pub(super) fn check_workspace(call: &Call, id: Option<&str>) -> Result<(), Problem> {
    let own = call.who.account_id().unwrap_or_default().to_string();
    if id.is_some_and(|id| id != own) {
        let message = format!("workspace_id: this key has only the workspace {own}");
        return Err(Problem::bad_request(message));
    }
    Ok(())
}

impl KeyWish {
    /// `limit` is that which the key has.
    pub(super) fn change(self, call: &Call, limit: Option<Limit>) -> Result<KeyChange, Problem> {
        check_workspace(call, self.workspace_id.as_deref())?;
        let name = self.name.map(|name| some_name(&name)).transpose()?;
        let granted = call.who.grants();
        let scopes = self.scopes.map(|names| keys::scopes(&names, granted));
        let scopes = scopes.transpose().map_err(named("scopes"))?;
        let expires_at = self.expires_at.map(|text| expires_at(text, call.now)).transpose()?;
        let catalogue = &call.app.snapshots.current().catalogue;
        let requests = |number| per_minute("requests_per_minute", number);
        let tokens = |number| per_minute("tokens_per_minute", number);
        let concurrent = |number| per_minute("concurrent_requests", number);
        Ok(KeyChange {
            name,
            disabled: self.disabled,
            scopes: scopes.map(|scopes| scopes.to_string()),
            expires_at,
            budget: limits::wanted(self.limit, self.limit_reset, limit)?,
            models: self.models.map(|ids| models(catalogue, ids)).transpose()?,
            allowed_ips: self.allowed_ips.map(allowed_ips).transpose()?,
            requests_per_minute: self.requests_per_minute.map(requests).transpose()?,
            tokens_per_minute: self.tokens_per_minute.map(tokens).transpose()?,
            concurrent_requests: self.concurrent_requests.map(concurrent).transpose()?,
        })
    }
}
