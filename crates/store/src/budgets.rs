//! Budgets: the most that a key, a user or an account may spend in a period.

use std::collections::{BTreeMap, HashMap};

use ledger::{BudgetPeriod, Scope, ScopeKind, Usd};
use serde_json::json;
use uuid::Uuid;

use crate::covered::Covered;
use crate::engine::{Conn, Sql};
use crate::proof::Digest;
use crate::row::Money;
use crate::{Store, StoreError, again};

const CURRENT: Sql = sql!(
    "SELECT id FROM tollgate.budgets WHERE owner_id = $1 AND period = $2 AND removed_at IS NULL"
);
const INSERT: Sql = sql!(
    "INSERT INTO tollgate.budgets (id, owner_kind, owner_id, period, limit_pico, created_at) ",
    "VALUES ($1, $2, $3, $4, $5, $6)"
);
const LIMIT: Sql = sql!("UPDATE tollgate.budgets SET limit_pico = $1 WHERE id = $2");
const LOCK_PERIODS: Sql = locking!(
    "FOR NO KEY UPDATE",
    "SELECT 1 FROM tollgate.budget_periods WHERE budget_id = $1 ORDER BY period_start"
);
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
// Whoever opens a period waits for those that count what was under way, and they for whoever opens one.
const LOCK: Sql = locking!("FOR UPDATE", "SELECT id FROM tollgate.budgets WHERE id = $1");
const NEWEST: Sql = locking!(
    "FOR KEY SHARE",
    "SELECT id, owner_kind, owner_id, period FROM tollgate.budgets ",
    "WHERE created_at >= $1 AND removed_at IS NULL ORDER BY id"
);
const IS_OPEN: Sql =
    sql!("SELECT 1 FROM tollgate.budget_periods WHERE budget_id = $1 AND period_start = $2");
// It was spent, whatever the limit says.
const COUNT: Sql = sql!(
    "UPDATE tollgate.budget_periods SET before = before + $1, used = used + $1, ",
    "ceiling = CASE WHEN used + leased + $1 > ceiling THEN used + leased + $1 ELSE ceiling END ",
    "WHERE budget_id = $2 AND period_start = $3"
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

    /// Whether it is this one's money.
    fn has(self, spent: &Money) -> bool {
        match self {
            Self::Key(id) => spent.key == id,
            Self::User(id) => spent.user == id,
            Self::Account(id) => spent.account == id,
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
            let mut conn = self.begin_act().await?;
            let (owner, id) = new.owner.parts();
            let detail = json!({ "period": new.period.name(), "usd": new.limit.to_string() });
            let row = [Covered::Budget(set(&mut conn, new).await?)];
            self.wrote(&mut conn, "budget.set", &format!("{owner} {id}"), &detail, &row).await?;
            conn.commit().await
        })
        .await
    }

    /// Takes a budget away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none of that id.
    pub async fn remove_budget(&self, id: Uuid, at: i64) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let removed = on!(conn, REMOVE, (q, c) => {
            q.bind(at).bind(id).execute(c).await.map(|done| done.rows_affected())
        })?;
        if removed == 0 {
            return Err(StoreError::NotFound { what: "budget" });
        }
        let (target, row) = (format!("budget {id}"), [Covered::Budget(id)]);
        self.wrote(&mut conn, "budget.remove", &target, &json!({}), &row).await?;
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

/// Sets a budget, and returns which it is: one of the same owner and period stays the one it is.
pub(crate) async fn set(conn: &mut Conn, new: NewBudget) -> Result<Uuid, StoreError> {
    let (_, owner) = new.owner.parts();
    let (period, limit) = (new.period.name(), new.limit.pico());
    let known: Option<(Uuid,)> =
        on!(*conn, CURRENT => _, (q, c) => q.bind(owner).bind(period).fetch_optional(c).await)?;
    // Its period is opened when something is first held of it: until then what is spent names no budget, and counts as
    // spent before.
    let Some((id,)) = known else { return insert(conn, new).await.map(|()| new.id) };
    on!(*conn, LIMIT, (q, c) => q.bind(limit).bind(id).execute(c).await.map(drop))?;
    // Periods before the slices of them, as everywhere.
    on!(*conn, LOCK_PERIODS, (q, c) => q.bind(id).execute(c).await.map(drop))?;
    on!(*conn, CEILING, (q, c) => q.bind(limit).bind(id).execute(c).await.map(drop))?;
    on!(*conn, RECALL, (q, c) => q.bind(id).execute(c).await.map(drop))?;
    Ok(id)
}

/// Sets the only budget of an owner, or takes all away, and returns those that were written.
pub(crate) async fn replace(
    conn: &mut Conn,
    owner: BudgetOwner,
    budget: Option<(BudgetPeriod, Usd)>,
    at: i64,
) -> Result<Vec<Covered>, StoreError> {
    let (_, id) = owner.parts();
    let before = of_owner(conn, id).await?;
    let kept = budget.map_or("", |(period, _)| period.name());
    on!(*conn, REMOVE_OTHERS, (q, c) => {
        q.bind(at).bind(id).bind(kept).execute(c).await.map(drop)
    })?;
    let mut written: Vec<Covered> = before.iter().map(|(id, _)| Covered::Budget(*id)).collect();
    let Some((period, limit)) = budget else { return Ok(written) };
    // As ids of ours are, by the owner's and the time.
    let new = NewBudget { id: budget_id(id, period, at), owner, period, limit, at };
    let set = Covered::Budget(set(conn, new).await?);
    if !written.contains(&set) {
        written.push(set);
    }
    Ok(written)
}

/// The budgets in force of an owner, each with its period.
async fn of_owner(conn: &mut Conn, owner: Uuid) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(on!(*conn, OF_OWNER => _, (q, c) => q.bind(owner).fetch_all(c).await)?)
}

/// Makes the budgets of a key those of another that takes its place, and returns them.
pub(crate) async fn hand_over(
    conn: &mut Conn,
    (from, to): (Uuid, Uuid),
    at: i64,
) -> Result<Vec<Covered>, StoreError> {
    let own = of_owner(conn, from).await?;
    let mut written = Vec::with_capacity(own.len());
    for (id, period) in own {
        written.push(Covered::Budget(id));
        // What was spent before is counted while it is known by whom.
        let period_start = period_of(&period)?.start(at);
        open_period(conn, Scope { kind: ScopeKind::Budget, id, period_start }).await?;
    }
    on!(*conn, HAND_OVER, (q, c) => q.bind(to).bind(from).execute(c).await.map(drop))?;
    Ok(written)
}

/// An id that no other budget has: one of an owner begins at a time.
fn budget_id(owner: Uuid, period: BudgetPeriod, at: i64) -> Uuid {
    Digest::of(b"budget").id(owner).text(period.name()).number(at).finish_id()
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
    on!(*conn, LOCK, (q, c) => q.bind(scope.id).execute(c).await.map(drop))?;
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

/// How much older than a budget a request may be that does not know of it and that began after it: replicas hear of a budget
/// within a second, unless they cannot reach the database. In microseconds.
const UNHEARD: i64 = 5 * 60 * 1_000_000;

/// What counts against open periods of budgets although it was under way when they were set, so that it names none of them. A
/// period that nobody has opened yet finds it among what was spent before; until the end of the transaction nobody else opens one.
pub(crate) async fn under_way(
    conn: &mut Conn,
    spent: &[Money],
) -> Result<BTreeMap<(Uuid, i64), i64>, StoreError> {
    let mut sums = BTreeMap::new();
    let Some(earliest) = spent.iter().map(|one| one.started_at).min() else { return Ok(sums) };
    let since = earliest.saturating_sub(UNHEARD);
    let newest: Vec<(Uuid, String, Uuid, String)> =
        on!(*conn, NEWEST => _, (q, c) => q.bind(since).fetch_all(c).await)?;
    for (id, kind, owner, period) in newest {
        let (owner, period) = (BudgetOwner::of(&kind, owner)?, period_of(&period)?);
        for one in spent.iter().filter(|one| one.charge > 0 && owner.has(one)) {
            // In whatever period it was held, it counts there.
            if one.scopes.iter().any(|scope| scope.id == id) {
                continue;
            }
            let sum = sums.entry((id, period.start(one.started_at))).or_insert(0_i64);
            let more = sum.checked_add(one.charge);
            *sum = more.ok_or(StoreError::OutOfRange { what: "sum of a batch" })?;
        }
    }
    let found: Vec<(Uuid, i64)> = sums.keys().copied().collect();
    for (id, start) in found {
        let is_open = on!(*conn, IS_OPEN, (q, c) => {
            q.bind(id).bind(start).fetch_optional(c).await.map(|row| row.is_some())
        })?;
        if !is_open {
            sums.remove(&(id, start));
        }
    }
    Ok(sums)
}

/// Counts what was under way, as if it had been spent before.
pub(crate) async fn count_before(
    conn: &mut Conn,
    (id, period_start): (Uuid, i64),
    sum: i64,
) -> Result<(), StoreError> {
    on!(*conn, COUNT, (q, c) => {
        q.bind(sum).bind(id).bind(period_start).execute(c).await.map(drop)
    })?;
    Ok(())
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
