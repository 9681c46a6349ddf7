//! Every budget that a key spends from, and which of them it meets first.

use schemars::JsonSchema;
use serde::Serialize;
use store::{Budget, BudgetOwner, Key, PeriodUsage, Store};

use super::dollars::Dollars;
use super::limits::{self, Reset, rank};
use crate::clock;
use crate::problem::Problem;
use crate::snapshot::Snapshot;

/// A budget, and how it stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct KeyBudget {
    scope: Scope,
    /// Of one that is not the key's own.
    budget_id: Option<String>,
    guardrail_id: Option<String>,
    limit_usd: Dollars,
    spend_usd: Dollars,
    /// Nothing or less: requests are refused until it begins anew.
    remaining_usd: Dollars,
    reset_interval: Option<Reset>,
    resets_at: Option<String>,
    include_byok: bool,
}

/// Whose budget it is, in the order in which they are told.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Scope {
    /// The user's, whatever the key.
    Member,
    /// The account's, whoever spends from it.
    Workspace,
    /// The key's own.
    KeyLimit,
}

impl KeyBudget {
    /// Those of a key at this moment.
    pub(crate) async fn of(
        store: &Store,
        snapshot: &Snapshot,
        key: &Key,
        now: i64,
    ) -> Result<Vec<Self>, Problem> {
        let owners = [
            snapshot.budget_owner(key.id),
            BudgetOwner::User(key.user_id),
            BudgetOwner::Account(key.account_id),
        ];
        let own = snapshot.budgets.values().filter(|budget| owners.contains(&budget.owner));
        let mut own: Vec<&Budget> = own.collect();
        own.sort_by_key(|budget| (Scope::of(budget.owner), rank(budget.period)));
        let mut all = Vec::with_capacity(own.len());
        for budget in own {
            let owners = match budget.owner {
                BudgetOwner::Key(key) => snapshot.sharers(key),
                owner => vec![owner],
            };
            let usage = limits::used(store, &owners, now).await?;
            all.push(Self::one(budget, usage, now));
        }
        Ok(all)
    }

    fn one(budget: &Budget, usage: PeriodUsage, now: i64) -> Self {
        let (scope, period) = (Scope::of(budget.owner), budget.period);
        let spent = usage.of(period);
        Self {
            scope,
            budget_id: (scope != Scope::KeyLimit).then(|| budget.id.to_string()),
            guardrail_id: None,
            limit_usd: Dollars(budget.limit),
            spend_usd: Dollars::pico(spent),
            remaining_usd: Dollars::pico(budget.limit.pico().saturating_sub(spent)),
            reset_interval: Reset::of(period),
            resets_at: period.end(period.start(now)).map(clock::rfc3339),
            include_byok: false,
        }
    }

    /// The one that refuses first: one that is spent, or else that of which least is left.
    pub(crate) fn effective(budgets: &[Self]) -> Option<Self> {
        let spent = budgets.iter().find(|budget| budget.remaining_usd.0.pico() <= 0);
        spent.or_else(|| budgets.iter().min_by_key(|budget| budget.remaining_usd.0)).cloned()
    }
}

impl Scope {
    const fn of(owner: BudgetOwner) -> Self {
        match owner {
            BudgetOwner::User(_) => Self::Member,
            BudgetOwner::Account(_) => Self::Workspace,
            BudgetOwner::Key(_) => Self::KeyLimit,
        }
    }
}
