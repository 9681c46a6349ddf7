//! A key as it is shown, at any time.

use schemars::JsonSchema;
use serde::Serialize;
use store::{BudgetOwner, Key, PeriodUsage, Store};
use uuid::Uuid;

use super::dollars::Dollars;
use super::limits::{self, Limits, Reset, left};
use crate::clock;
use crate::problem::Problem;
use crate::scopes::Scopes;
use crate::snapshot::Snapshot;

/// What a key has used.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Used {
    pub(crate) own: PeriodUsage,
    /// What all keys have used that spend one budget with this one.
    pub(crate) shared: PeriodUsage,
    /// What providers bill the account themselves.
    pub(crate) direct: PeriodUsage,
}

/// What a key has used and may still use, in dollars.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Spent {
    limit: Option<Dollars>,
    limit_remaining: Option<Dollars>,
    limit_reset: Option<Reset>,
    /// What is charged for calls with own keys counts in any case, what their providers bill never does.
    include_byok_in_limit: bool,
    usage: Dollars,
    usage_daily: Dollars,
    usage_weekly: Dollars,
    usage_monthly: Dollars,
    /// What providers bill the account themselves for calls with its own keys, by the price list.
    byok_usage: Dollars,
    byok_usage_daily: Dollars,
    byok_usage_weekly: Dollars,
    byok_usage_monthly: Dollars,
}

impl Spent {
    pub(crate) fn of(
        snapshot: &Snapshot,
        key: Uuid,
        Used { own: usage, shared, direct }: Used,
    ) -> Self {
        let limit = Limits(snapshot).of(key, shared);
        Self {
            limit: limit.map(|(_, amount)| Dollars(amount)),
            limit_remaining: limit.map(|limit| Dollars(left(limit, shared))),
            limit_reset: limit.and_then(|(period, _)| Reset::of(period)),
            include_byok_in_limit: false,
            usage: Dollars::pico(usage.ever),
            usage_daily: Dollars::pico(usage.today),
            usage_weekly: Dollars::pico(usage.week),
            usage_monthly: Dollars::pico(usage.month),
            byok_usage: Dollars::pico(direct.ever),
            byok_usage_daily: Dollars::pico(direct.today),
            byok_usage_weekly: Dollars::pico(direct.week),
            byok_usage_monthly: Dollars::pico(direct.month),
        }
    }
}

/// A key. What `OpenRouter` does not have stands at the end.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyView {
    /// SHA-256 of the key, by which it is named here.
    hash: String,
    /// The key's start and end.
    label: String,
    name: String,
    disabled: bool,
    #[serde(flatten)]
    spent: Spent,
    created_at: String,
    updated_at: Option<String>,
    expires_at: Option<String>,
    /// Whose key it is.
    creator_user_id: String,
    external_user: Option<String>,
    /// The account that it spends from.
    workspace_id: String,
    /// What it may do.
    scopes: Vec<&'static str>,
    /// The only models it may use; null: all.
    models: Option<Vec<String>>,
    /// The only networks it may be used from; null: all.
    allowed_ips: Option<Vec<String>>,
    requests_per_minute: Option<i64>,
    tokens_per_minute: Option<i64>,
    concurrent_requests: Option<i64>,
    last_used_at: Option<String>,
    /// Whether another key has taken its place.
    rotated: bool,
}

impl KeyView {
    fn of(snapshot: &Snapshot, key: Key, usage: Used) -> Self {
        Self {
            label: label(&key),
            disabled: key.disabled_at.is_some(),
            spent: Spent::of(snapshot, key.id, usage),
            created_at: clock::rfc3339(key.created_at),
            updated_at: key.updated_at.map(clock::rfc3339),
            expires_at: key.expires_at.map(clock::rfc3339),
            creator_user_id: key.user_id.to_string(),
            external_user: None,
            workspace_id: key.account_id.to_string(),
            scopes: Scopes::stored(&key.scopes).names().collect(),
            last_used_at: key.last_used_at.map(clock::rfc3339),
            rotated: key.rotated_to.is_some(),
            hash: key.hash,
            name: key.name,
            models: key.models,
            allowed_ips: key.allowed_ips,
            requests_per_minute: key.requests_per_minute,
            tokens_per_minute: key.tokens_per_minute,
            concurrent_requests: key.concurrent_requests,
        }
    }

    /// Of several keys at one moment.
    pub(crate) async fn all(
        store: &Store,
        snapshot: &Snapshot,
        keys: Vec<Key>,
        now: i64,
    ) -> Result<Vec<Self>, Problem> {
        let owners: Vec<_> = keys.iter().map(|key| BudgetOwner::Key(key.id)).collect();
        let usage = store.usage_by(&owners, now).await.map_err(Problem::store)?;
        let direct = store.direct_by(&owners, now).await.map_err(Problem::store)?;
        let mut views = Vec::with_capacity(keys.len());
        for ((key, own), direct) in keys.into_iter().zip(usage).zip(direct) {
            let shared = shared(store, snapshot, (key.id, own), now).await?;
            views.push(Self::of(snapshot, key, Used { own, shared, direct }));
        }
        Ok(views)
    }

    pub(crate) async fn one(
        store: &Store,
        snapshot: &Snapshot,
        key: Key,
        now: i64,
    ) -> Result<Self, Problem> {
        let views = Self::all(store, snapshot, vec![key], now).await?;
        views.into_iter().next().ok_or_else(|| Problem::internal("a key without a view"))
    }
}

/// What all keys have used that spend one budget with a key, which itself has used `own`.
pub(crate) async fn shared(
    store: &Store,
    snapshot: &Snapshot,
    (key, own): (Uuid, PeriodUsage),
    now: i64,
) -> Result<PeriodUsage, Problem> {
    match snapshot.sharers(key).as_slice() {
        [_] => Ok(own),
        several => limits::used(store, several, now).await,
    }
}

/// How a person recognises a key.
pub(crate) fn label(key: &Key) -> String {
    format!("{}...{}", key.prefix, key.last4)
}
