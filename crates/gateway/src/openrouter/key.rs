//! `GET /api/v1/key`: the key that asks, whatever it may do.

use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use store::{BudgetOwner, Key, Whose};

use super::budgets::KeyBudget;
use super::view::{self, Spent, Used, label};
use super::{Data, limits};
use crate::clock;
use crate::problem::Problem;
use crate::scopes::{Scope, Scopes};
use crate::snapshot::Snapshot;
use crate::web::{self, Call};

/// The key that asks.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CurrentKey {
    /// The key's start and end.
    label: String,
    #[serde(flatten)]
    spent: Spent,
    /// All that it spends from.
    budgets: Vec<KeyBudget>,
    effective_budget: Option<KeyBudget>,
    expires_at: Option<String>,
    is_free_tier: bool,
    /// Whether it manages keys and asks no model.
    is_management_key: bool,
    is_provisioning_key: bool,
    rate_limit: RateLimit,
    free_model_daily_requests: FreeRequests,
    allowed_data_regions: [&'static str; 1],
    /// Whose key it is.
    creator_user_id: String,
    /// The organization that pays, if one does.
    organization_id: Option<String>,
    /// The account that it spends from.
    workspace_id: String,
    /// What it may do.
    scopes: Vec<&'static str>,
}

/// How many requests it may begin.
#[derive(Debug, Serialize, JsonSchema)]
struct RateLimit {
    /// -1: as many as it likes.
    requests: i64,
    interval: &'static str,
    note: &'static str,
}

/// There are no models for nothing.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct FreeRequests {
    limit: i64,
    remaining: i64,
    used: i64,
}

/// Once the store has every receipt that was written before.
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let asking = call.key()?;
    call.app.journal.applied().await.map_err(Problem::store)?;
    let store = &call.app.store;
    let key = store.key(Whose::Anybodys, asking.id).await.map_err(Problem::store)?;
    let snapshot = call.app.snapshots.current();
    let own = limits::used(store, &[BudgetOwner::Key(key.id)], call.now).await?;
    let shared = view::shared(store, &snapshot, (key.id, own), call.now).await?;
    let direct = store.direct_by(&[BudgetOwner::Key(key.id)], call.now).await;
    let direct = limits::sum(&direct.map_err(Problem::store)?);
    let usage = Used { own, shared, direct };
    let budgets = KeyBudget::of(store, &snapshot, &key, call.now).await?;
    web::json(&Data { data: CurrentKey::of(&snapshot, &key, usage, budgets) })
}

impl CurrentKey {
    fn of(snapshot: &Snapshot, key: &Key, usage: Used, budgets: Vec<KeyBudget>) -> Self {
        let scopes = Scopes::stored(&key.scopes);
        let manages = scopes.has(Scope::Keys) && !scopes.has(Scope::Inference);
        let mut people = snapshot.people.values();
        let payer = people.find(|payer| payer.account_id == key.account_id);
        let organization = payer.filter(|payer| payer.is_organization);
        Self {
            label: label(key),
            spent: Spent::of(snapshot, key.id, usage),
            effective_budget: KeyBudget::effective(&budgets),
            budgets,
            expires_at: key.expires_at.map(clock::rfc3339),
            is_free_tier: false,
            is_management_key: manages,
            is_provisioning_key: manages,
            rate_limit: RateLimit {
                requests: key.requests_per_minute.unwrap_or(-1),
                interval: "60s",
                note: "-1 where the key has no limit of its own",
            },
            free_model_daily_requests: FreeRequests::default(),
            allowed_data_regions: ["global"],
            creator_user_id: key.user_id.to_string(),
            organization_id: organization.map(|organization| organization.id.to_string()),
            workspace_id: key.account_id.to_string(),
            scopes: scopes.names().collect(),
        }
    }
}
