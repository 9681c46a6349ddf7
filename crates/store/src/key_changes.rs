//! Keys that are there: changed, and replaced by others.

use ledger::{BudgetPeriod, Usd};
use serde_json::json;
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::keys::{find, insert, list, target, total, written};
use crate::{BudgetOwner, Key, NewKey, Store, StoreError, Whose, budgets};

/// What is to be changed of a key; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// What the user calls it.
    pub name: Option<String>,
    /// Whether it is switched off.
    pub disabled: Option<bool>,
    /// What it may do.
    pub scopes: Option<String>,
    /// From when on it is refused.
    pub expires_at: Option<Option<i64>>,
    /// The most that it may spend; it has no other budget then.
    pub budget: Option<Option<(BudgetPeriod, Usd)>>,
    /// The only models it may use.
    pub models: Option<Option<Vec<String>>>,
    /// The only networks it may be used from.
    pub allowed_ips: Option<Option<Vec<String>>>,
    /// The most requests that it may begin in a minute.
    pub requests_per_minute: Option<Option<i64>>,
    /// The most tokens that it may use in a minute.
    pub tokens_per_minute: Option<Option<i64>>,
    /// The most requests of it that may be under way at once.
    pub concurrent_requests: Option<Option<i64>>,
}

const CHANGE: Sql = sql!(
    "UPDATE tollgate.api_keys SET name = $1, scopes = $2, expires_at = $3, disabled_at = $4, models = $5, ",
    "allowed_ips = $6, requests_per_minute = $7, tokens_per_minute = $8, updated_at = $9, budget_pico = $10, ",
    "concurrent_requests = $11 WHERE id = $12"
);
const CARRY: Sql = sql!("UPDATE tollgate.api_keys SET budget_pico = $1 WHERE id = $2");
const ROTATED: Sql = sql!(
    "UPDATE tollgate.api_keys SET rotated_to = $1, updated_at = $2, ",
    "expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END WHERE id = $4"
);
impl Store {
    /// Changes a key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such key, or it is another's, or it is revoked.
    pub async fn change_key(
        &self,
        whose: Whose,
        id: Uuid,
        change: KeyChange,
        at: i64,
    ) -> Result<Key, StoreError> {
        let mut conn = self.begin_act().await?;
        let key = owned(&mut conn, whose, id).await?;
        let detail = change.changes();
        let budget_pico = match &change.budget {
            None => key.budget.map(Usd::pico),
            Some(budget) => budget.and_then(total),
        };
        let models = change.models.unwrap_or(key.models);
        let ips = change.allowed_ips.unwrap_or(key.allowed_ips);
        let disabled_at = match change.disabled {
            None => key.disabled_at,
            Some(disabled) => disabled.then(|| key.disabled_at.unwrap_or(at)),
        };
        let (requests, tokens, concurrent) = (
            change.requests_per_minute.unwrap_or(key.requests_per_minute),
            change.tokens_per_minute.unwrap_or(key.tokens_per_minute),
            change.concurrent_requests.unwrap_or(key.concurrent_requests),
        );
        let (models, ips) = (list(models.as_ref())?, list(ips.as_ref())?);
        on!(conn, CHANGE, (q, c) => {
            let q = q.bind(change.name.unwrap_or(key.name)).bind(change.scopes.unwrap_or(key.scopes));
            let q = q.bind(change.expires_at.unwrap_or(key.expires_at)).bind(disabled_at);
            let q = q.bind(models).bind(ips).bind(requests).bind(tokens).bind(at);
            q.bind(budget_pico).bind(concurrent).bind(id).execute(c).await.map(drop)
        })?;
        let mut budgets_written = Vec::new();
        if let Some(budget) = change.budget {
            budgets_written = budgets::replace(&mut conn, BudgetOwner::Key(id), budget, at).await?;
        }
        let key = find(&mut conn, Whose::Anybodys, id).await?;
        self.wrote(&mut conn, "key.change", &target(&key), &detail, &budgets_written).await?;
        conn.commit().await?;
        Ok(key)
    }

    /// Puts another key in the place of one, which is refused from `until` on. What it may do is for the caller to carry over;
    /// budgets become the new one's, with what is spent of them.
    ///
    /// # Errors
    /// As [`Store::change_key`]; [`StoreError::Duplicate`] where it has been done.
    pub async fn rotate_key(
        &self,
        whose: Whose,
        id: Uuid,
        new: NewKey,
        until: i64,
    ) -> Result<Key, StoreError> {
        let mut conn = self.begin_act().await?;
        let old = owned(&mut conn, whose, id).await?;
        if old.rotated_to.is_some() {
            return Err(StoreError::Duplicate { what: "rotation" });
        }
        insert(&mut conn, &new).await?;
        let mut handed = budgets::hand_over(&mut conn, (id, new.id), new.created_at).await?;
        let total = old.budget.map(Usd::pico);
        on!(conn, CARRY, (q, c) => q.bind(total).bind(new.id).execute(c).await.map(drop))?;
        let key = find(&mut conn, Whose::Anybodys, new.id).await?;
        on!(conn, ROTATED, (q, c) => {
            let q = q.bind(key.id).bind(new.created_at).bind(until).bind(id);
            q.execute(c).await.map(drop)
        })?;
        let detail = json!({ "to": key.id, "until": until });
        handed.extend(written(&new));
        self.wrote(&mut conn, "key.rotate", &target(&old), &detail, &handed).await?;
        conn.commit().await?;
        Ok(key)
    }
}

/// One that can be changed.
async fn owned(conn: &mut Conn, whose: Whose, id: Uuid) -> Result<Key, StoreError> {
    let key = find(conn, whose, id).await?;
    let live = Some(key).filter(|key| key.revoked_at.is_none());
    live.ok_or(StoreError::NotFound { what: "key" })
}

impl KeyChange {
    /// What is changed, for the audit log.
    fn changes(&self) -> serde_json::Value {
        let mut changes = serde_json::Map::new();
        let mut put = |name: &str, value: Option<serde_json::Value>| {
            changes.extend(value.map(|value| (name.to_owned(), value)));
        };
        put("name", self.name.as_ref().map(|name| json!(name)));
        put("disabled", self.disabled.map(|disabled| json!(disabled)));
        put("scopes", self.scopes.as_ref().map(|scopes| json!(scopes)));
        put("expires_at", self.expires_at.map(|at| json!(at)));
        let budget = |(period, limit): (BudgetPeriod, Usd)| json!({ "period": period.name(), "usd": limit.to_string() });
        put("budget", self.budget.map(|set| json!(set.map(budget))));
        put("models", self.models.as_ref().map(|models| json!(models)));
        put("allowed_ips", self.allowed_ips.as_ref().map(|ips| json!(ips)));
        put("requests_per_minute", self.requests_per_minute.map(|most| json!(most)));
        put("tokens_per_minute", self.tokens_per_minute.map(|most| json!(most)));
        put("concurrent_requests", self.concurrent_requests.map(|most| json!(most)));
        changes.into()
    }
}
