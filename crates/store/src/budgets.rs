//! Budgets: the most that a key, a user or an account may spend in a period.

use std::collections::HashMap;

use ledger::{BudgetPeriod, Scope, ScopeKind, Usd};
use serde_json::json;
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::{Store, StoreError, again};

const CURRENT: Sql = sql!(
    "SELECT id FROM tollgate.budgets WHERE owner_id = $1 AND period = $2 AND removed_at IS NULL"
);
const INSERT: Sql = sql!(
    "INSERT INTO tollgate.budgets (id, owner_kind, owner_id, period, limit_pico, created_at) ",
    "VALUES ($1, $2, $3, $4, $5, $6)"
);
const LIMIT: Sql = sql!("UPDATE tollgate.budgets SET limit_pico = $1 WHERE id = $2");
// What was spent or set aside before stays so.
const CEILING: Sql = sql!(
    "UPDATE tollgate.budget_periods SET ceiling = ",
    "CASE WHEN used + leased > $1 THEN used + leased ELSE $1 END WHERE budget_id = $2"
);
const RECALL: Sql = sql!(
    "UPDATE tollgate.slices SET recalled = TRUE WHERE scope_id = $1 AND closed_at IS NULL AND granted > spent"
);
const REMOVE: Sql =
    sql!("UPDATE tollgate.budgets SET removed_at = $1 WHERE id = $2 AND removed_at IS NULL");
const REMOVE_OTHERS: Sql = sql!(
    "UPDATE tollgate.budgets SET removed_at = $1 WHERE owner_id = $2 AND period <> $3 AND removed_at IS NULL"
);
const OF_OWNER: Sql = sql!(
    "SELECT id, period FROM tollgate.budgets WHERE owner_id = $1 AND removed_at IS NULL ORDER BY id"
);
const HAND_OVER: Sql =
    sql!("UPDATE tollgate.budgets SET owner_id = $1 WHERE owner_id = $2 AND removed_at IS NULL");
const ALL: Sql = sql!(
    "SELECT id, owner_kind, owner_id, period, limit_pico, created_at FROM tollgate.budgets ",
    "WHERE removed_at IS NULL ORDER BY created_at, id"
);
const PERIODS: Sql = sql!(
    "SELECT p.budget_id, p.period_start, p.used, p.leased FROM tollgate.budget_periods p ",
    "JOIN tollgate.budgets b ON b.id = p.budget_id WHERE b.removed_at IS NULL AND p.period_start >= $1"
);
const BUDGET: Sql =
    sql!("SELECT owner_kind, owner_id, period, limit_pico FROM tollgate.budgets WHERE id = $1");
// A ceiling may be above the limit, where more was spent or set aside before the limit was lowered.
const ROOM: Sql = sql!(
    "SELECT CASE WHEN b.limit_pico < p.ceiling THEN b.limit_pico ELSE p.ceiling END - p.used - p.leased ",
    "FROM tollgate.budget_periods p JOIN tollgate.budgets b ON b.id = p.budget_id ",
    "WHERE p.budget_id = $1 AND p.period_start = $2"
);
const OPEN: Sql = sql!(
    "INSERT INTO tollgate.budget_periods (budget_id, period_start, ceiling, before, used, leased) ",
    "VALUES ($1, $2, $3, $4, $4, 0) ON CONFLICT (budget_id, period_start) DO NOTHING"
);
// By the index on users: what an account pays for was asked for by those who have a key to it.
const SPENT_BY_KEY: Sql = sql!(
    "SELECT CAST(COALESCE(SUM(charge), 0) AS BIGINT) FROM tollgate.receipts WHERE key_id = $1 ",
    "AND user_id = (SELECT k.user_id FROM tollgate.api_keys k WHERE k.id = $1) ",
    "AND started_at >= $2 AND started_at < $3"
);
const SPENT_BY_USER: Sql = sql!(
    "SELECT CAST(COALESCE(SUM(charge), 0) AS BIGINT) FROM tollgate.receipts ",
    "WHERE user_id = $1 AND started_at >= $2 AND started_at < $3"
);
const SPENT_BY_ACCOUNT: Sql = sql!(
    "SELECT CAST(COALESCE(SUM(charge), 0) AS BIGINT) FROM tollgate.receipts WHERE account_id = $1 ",
    "AND user_id IN (SELECT k.user_id FROM tollgate.api_keys k WHERE k.account_id = $1) ",
    "AND started_at >= $2 AND started_at < $3"
);

/// Whose budget it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum BudgetOwner {
    /// A key's.
    Key(Uuid),
    /// A user's, whatever the key.
    User(Uuid),
    /// An account's, whoever spends from it.
    Account(Uuid),
}

impl BudgetOwner {
    const fn parts(self) -> (&'static str, Uuid) {
        match self {
            Self::Key(id) => ("key", id),
            Self::User(id) => ("user", id),
            Self::Account(id) => ("account", id),
        }
    }

    fn of(kind: &str, id: Uuid) -> Result<Self, StoreError> {
        match kind {
            "key" => Ok(Self::Key(id)),
            "user" => Ok(Self::User(id)),
            "account" => Ok(Self::Account(id)),
            _ => Err(StoreError::corrupt("owner of a budget")),
        }
    }
}

/// A budget to be set.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct NewBudget {
    /// Its id, unless the owner has one for that period.
    pub id: Uuid,
    /// Whose.
    pub owner: BudgetOwner,
    /// How often it begins anew.
    pub period: BudgetPeriod,
    /// The most that may be spent in each.
    pub limit: Usd,
    /// Microseconds since 1970.
    pub at: i64,
}

/// A budget, and how it stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The budget.
    pub id: Uuid,
    /// Whose.
    pub owner: BudgetOwner,
    /// How often it begins anew.
    pub period: BudgetPeriod,
    /// The most that may be spent in each.
    pub limit: Usd,
    /// What is spent in the present one; nothing yet where nobody has held anything of it.
    pub used: Usd,
    /// What of it replicas hold.
    pub leased: Usd,
    /// Microseconds since 1970.
    pub created_at: i64,
}

fn period_of(name: &str) -> Result<BudgetPeriod, StoreError> {
    BudgetPeriod::from_name(name).ok_or_else(|| StoreError::corrupt("period of a budget"))
}

impl Store {
    /// Sets a budget, in place of one of the same owner and period. What is spent or set aside beyond a lower limit stays;
    /// what is only set aside is asked back.
    pub async fn set_budget(&self, new: NewBudget) -> Result<(), StoreError> {
        again(|| async {
            let mut conn = self.begin().await?;
            let (owner, id) = new.owner.parts();
            let detail = json!({ "period": new.period.name(), "usd": new.limit.to_string() });
            // First, because it makes others wait that would set the same.
            self.changed(&mut conn, "budget.set", &format!("{owner} {id}"), &detail).await?;
            set(&mut conn, new).await?;
            conn.commit().await
        })
        .await
    }

    /// Takes a budget away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none of that id.
    pub async fn remove_budget(&self, id: Uuid, at: i64) -> Result<(), StoreError> {
        let mut conn = self.begin().await?;
        let removed = on!(conn, REMOVE, (q, c) => {
            q.bind(at).bind(id).execute(c).await.map(|done| done.rows_affected())
        })?;
        if removed == 0 {
            return Err(StoreError::NotFound { what: "budget" });
        }
        self.changed(&mut conn, "budget.remove", &format!("budget {id}"), &json!({})).await?;
        conn.commit().await
    }

    /// The budgets in force, oldest first, with how each stands in the period of `now`.
    pub async fn budgets(&self, now: i64) -> Result<Vec<Budget>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<(Uuid, String, Uuid, String, i64, i64)> =
            on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?;
        let since = BudgetPeriod::Month.start(now).min(BudgetPeriod::Week.start(now));
        // Those in all begin at 0.
        let mut periods: Vec<(Uuid, i64, i64, i64)> = Vec::new();
        if !rows.is_empty() {
            let since = if rows.iter().any(|row| row.3 == "total") { 0 } else { since };
            periods = on!(conn, PERIODS => _, (q, c) => q.bind(since).fetch_all(c).await)?;
        }
        let periods: HashMap<(Uuid, i64), (i64, i64)> = periods
            .into_iter()
            .map(|(id, start, used, leased)| ((id, start), (used, leased)))
            .collect();
        let budget =
            |(id, kind, owner, period, limit, created_at): (_, String, _, String, _, _)| {
                let period = period_of(&period)?;
                let found = periods.get(&(id, period.start(now))).copied().unwrap_or_default();
                Ok(Budget {
                    id,
                    owner: BudgetOwner::of(&kind, owner)?,
                    period,
                    limit: Usd::from_pico(limit),
                    used: Usd::from_pico(found.0),
                    leased: Usd::from_pico(found.1),
                    created_at,
                })
            };
        rows.into_iter().map(budget).collect()
    }
}

async fn insert(conn: &mut Conn, new: NewBudget) -> Result<(), StoreError> {
    let (kind, owner) = new.owner.parts();
    on!(*conn, INSERT, (q, c) => {
        let q = q.bind(new.id).bind(kind).bind(owner).bind(new.period.name());
        q.bind(new.limit.pico()).bind(new.at).execute(c).await.map(drop)
    })?;
    Ok(())
}

pub(crate) async fn set(conn: &mut Conn, new: NewBudget) -> Result<(), StoreError> {
    let (_, owner) = new.owner.parts();
    let (period, limit) = (new.period.name(), new.limit.pico());
    let known: Option<(Uuid,)> =
        on!(*conn, CURRENT => _, (q, c) => q.bind(owner).bind(period).fetch_optional(c).await)?;
    // Its period is opened when something is first held of it: until then what is spent names no budget, and counts as
    // spent before.
    let Some((id,)) = known else { return insert(conn, new).await };
    // Slices before what they are of, as everywhere.
    on!(*conn, RECALL, (q, c) => q.bind(id).execute(c).await.map(drop))?;
    on!(*conn, LIMIT, (q, c) => q.bind(limit).bind(id).execute(c).await.map(drop))?;
    on!(*conn, CEILING, (q, c) => q.bind(limit).bind(id).execute(c).await.map(drop))?;
    Ok(())
}

/// Sets the only budget of an owner, or takes all away.
pub(crate) async fn replace(
    conn: &mut Conn,
    owner: BudgetOwner,
    budget: Option<(BudgetPeriod, Usd)>,
    at: i64,
) -> Result<(), StoreError> {
    let (_, id) = owner.parts();
    let kept = budget.map_or("", |(period, _)| period.name());
    on!(*conn, REMOVE_OTHERS, (q, c) => {
        q.bind(at).bind(id).bind(kept).execute(c).await.map(drop)
    })?;
    let Some((period, limit)) = budget else { return Ok(()) };
    // As ids of ours are, by the owner's and the time.
    set(conn, NewBudget { id: budget_id(id, period, at), owner, period, limit, at }).await
}

/// Makes the budgets of a key those of another that takes its place.
pub(crate) async fn hand_over(
    conn: &mut Conn,
    (from, to): (Uuid, Uuid),
    at: i64,
) -> Result<(), StoreError> {
    let own: Vec<(Uuid, String)> =
        on!(*conn, OF_OWNER => _, (q, c) => q.bind(from).fetch_all(c).await)?;
    for (id, period) in own {
        // What was spent before is counted while it is known by whom.
        let period_start = period_of(&period)?.start(at);
        open_period(conn, Scope { kind: ScopeKind::Budget, id, period_start }).await?;
    }
    on!(*conn, HAND_OVER, (q, c) => q.bind(to).bind(from).execute(c).await.map(drop))?;
    Ok(())
}

/// An id that no other budget has: one of an owner begins at a time.
fn budget_id(owner: Uuid, period: BudgetPeriod, at: i64) -> Uuid {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    hash.update(owner);
    hash.update(period.name());
    hash.update(at.to_le_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Opens a budget's period with what was spent in it before, unless that was done; what may still be set aside of it.
pub(crate) async fn open_period(
    conn: &mut Conn,
    scope: Scope,
) -> Result<(BudgetPeriod, i64), StoreError> {
    let known = budget(conn, scope.id).await?;
    let start = scope.period_start;
    let room = async |conn: &mut Conn| -> Result<Option<(i64,)>, StoreError> {
        Ok(on!(*conn, ROOM => _, (q, c) => q.bind(scope.id).bind(start).fetch_optional(c).await)?)
    };
    if let Some((room,)) = room(conn).await? {
        return Ok((known.period, room));
    }
    open(conn, scope.id, start, (&known, 0)).await?;
    let (room,) = room(conn).await?.ok_or(StoreError::NotFound { what: "period of a budget" })?;
    Ok((known.period, room))
}

/// Opens a period of which a receipt says that it was held there, but which this database does not know. `counted` is
/// what was written of it just now. False where there is no such budget either.
pub(crate) async fn reopen(
    conn: &mut Conn,
    id: Uuid,
    period_start: i64,
    counted: i64,
) -> Result<bool, StoreError> {
    match budget(conn, id).await {
        Ok(known) => open(conn, id, period_start, (&known, counted)).await.map(|()| true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a period of a budget is opened by.
struct Known {
    owner: BudgetOwner,
    period: BudgetPeriod,
    limit: i64,
}

async fn budget(conn: &mut Conn, id: Uuid) -> Result<Known, StoreError> {
    let row: Option<(String, Uuid, String, i64)> =
        on!(*conn, BUDGET => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
    let (kind, owner, period, limit) = row.ok_or(StoreError::NotFound { what: "budget" })?;
    Ok(Known { owner: BudgetOwner::of(&kind, owner)?, period: period_of(&period)?, limit })
}

/// Opens a period with what its owner has spent in it, less what is `counted` by itself.
async fn open(
    conn: &mut Conn,
    id: Uuid,
    start: i64,
    (known, counted): (&Known, i64),
) -> Result<(), StoreError> {
    let (spent, owner) = match known.owner {
        BudgetOwner::Key(owner) => (SPENT_BY_KEY, owner),
        BudgetOwner::User(owner) => (SPENT_BY_USER, owner),
        BudgetOwner::Account(owner) => (SPENT_BY_ACCOUNT, owner),
    };
    let end = known.period.end(start).unwrap_or(i64::MAX);
    let (before,): (i64,) =
        on!(*conn, spent => _, (q, c) => q.bind(owner).bind(start).bind(end).fetch_one(c).await)?;
    let before = before.saturating_sub(counted).max(0);
    on!(*conn, OPEN, (q, c) => {
        let q = q.bind(id).bind(start).bind(known.limit.max(before)).bind(before);
        q.execute(c).await.map(drop)
    })?;
    Ok(())
}
