//! Slices: what a replica may spend without asking, taken off what is available by one conditional update.
//!
//! Whoever locks rows on PostgreSQL does it in one order, so that two never wait for each other: the revision (who acts on
//! anything), the replica, budgets; then accounts and after them periods of budgets, each by its id and with its slices behind it.

use ledger::{BudgetPeriod, Scope, ScopeKind, Usd};
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::expiry::Ends;
use crate::{Store, StoreError, accounts, acts, again, budgets, expiry, replicas};

/// A replica that was heard of so lately lives, in microseconds.
const LIVE: i64 = 30_000_000;

// No other run begins, and nobody releases the replica, until what is granted to this run is written.
const EPOCH: Sql = locking!(
    "FOR KEY SHARE",
    "SELECT epoch FROM tollgate.replicas WHERE id = $1 AND released_at IS NULL"
);
const LIVING: Sql =
    sql!("SELECT COUNT(*) FROM tollgate.replicas WHERE heartbeat_at >= $1 AND released_at IS NULL");
const LEASE_ACCOUNT: Sql = sql!(
    "UPDATE tollgate.ledger_accounts SET leased = leased + $1 ",
    "WHERE id = $2 AND posted - leased - floor >= $1"
);
const LEASE_BUDGET: Sql = sql!(
    "UPDATE tollgate.budget_periods SET leased = leased + $1 ",
    "WHERE budget_id = $2 AND period_start = $3 AND ceiling - used - leased >= $1 ",
    "AND (SELECT b.limit_pico FROM tollgate.budgets b WHERE b.id = budget_id) - used - leased >= $1"
);
const GROW: Sql = sql!(
    "INSERT INTO tollgate.slices (replica_id, epoch, scope_id, period_start, scope_kind, granted, ",
    "spent, recalled, opened_at) VALUES ($1, $2, $3, $4, $5, $6, 0, FALSE, $7) ",
    "ON CONFLICT (replica_id, epoch, scope_id, period_start) DO UPDATE ",
    "SET granted = slices.granted + excluded.granted WHERE slices.closed_at IS NULL"
);
const SHRINK: Sql = sql!(
    "UPDATE tollgate.slices SET granted = granted - $1 WHERE replica_id = $2 AND scope_id = $3 ",
    "AND period_start = $4 AND epoch = $5 AND closed_at IS NULL AND granted - spent >= $1"
);
const SHRINK_STALE: Sql = sql!(
    "UPDATE tollgate.slices SET granted = granted - $1, ",
    "stale = CASE WHEN stale > $1 THEN stale - $1 ELSE 0 END ",
    "WHERE replica_id = $2 AND scope_id = $3 AND period_start = $4 AND epoch = $5 ",
    "AND closed_at IS NULL AND granted - spent >= $1"
);
const FREE_ACCOUNT: Sql =
    sql!("UPDATE tollgate.ledger_accounts SET leased = leased - $1 WHERE id = $2");
const FREE_BUDGET: Sql = sql!(
    "UPDATE tollgate.budget_periods SET leased = leased - $1 WHERE budget_id = $2 AND period_start = $3"
);
const ELSEWHERE: Sql = sql!(
    "SELECT CAST(COALESCE(SUM(granted - spent), 0) AS BIGINT) FROM tollgate.slices ",
    "WHERE scope_id = $1 AND period_start = $2 AND replica_id <> $3 AND closed_at IS NULL"
);
const LOCK_ACCOUNT: Sql =
    locking!("FOR NO KEY UPDATE", "SELECT 1 FROM tollgate.ledger_accounts WHERE id = $1");
const LOCK_PERIOD: Sql = locking!(
    "FOR NO KEY UPDATE",
    "SELECT 1 FROM tollgate.budget_periods WHERE budget_id = $1 AND period_start = $2"
);
const RECALL: Sql = sql!(
    "UPDATE tollgate.slices SET recalled = TRUE WHERE scope_id = $1 AND period_start = $2 ",
    "AND replica_id <> $3 AND closed_at IS NULL AND granted > spent AND recalled = FALSE"
);
// Accounts before budgets, each in the order of their ids, as where they are charged.
const RECALLED: Sql = sql!(
    "SELECT DISTINCT scope_kind, scope_id, period_start FROM tollgate.slices ",
    "WHERE replica_id = $1 AND recalled = TRUE AND closed_at IS NULL ",
    "ORDER BY scope_kind, scope_id, period_start"
);
const HEARD: Sql = sql!(
    "UPDATE tollgate.slices SET recalled = FALSE WHERE replica_id = $1 AND scope_id = $2 ",
    "AND period_start = $3 AND recalled = TRUE AND closed_at IS NULL"
);
const OPEN: Sql = sql!(
    "SELECT DISTINCT scope_kind, scope_id, period_start FROM tollgate.slices ",
    "WHERE replica_id = $1 AND epoch < $2 AND closed_at IS NULL ",
    "ORDER BY scope_kind, scope_id, period_start"
);
const CLOSE: Sql = sql!(
    "UPDATE tollgate.slices SET closed_at = $1 WHERE replica_id = $2 AND epoch < $3 AND scope_id = $4 ",
    "AND period_start = $5 AND closed_at IS NULL RETURNING granted - spent"
);

/// What the ledger said to a replica that asked for more.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it may spend on top; nothing where there is less than it needs at least.
    pub granted: Usd,
    /// What is left for others.
    pub available: Usd,
    /// What other replicas hold.
    pub leased_elsewhere: Usd,
    /// The first moment of a budget's next period.
    pub renews_at: Option<i64>,
    /// When the first of an account's credit ends that is not used up.
    pub ends_at: Option<i64>,
}

/// What is available of a scope.
struct Room {
    available: i64,
    renews_at: Option<i64>,
    ends_at: Option<i64>,
}

impl Store {
    /// Sets `want` of a scope aside for a replica, or what can be had of it, but nothing where that is less than `least`. Of
    /// what is available a replica gets no more than half its share, unless it needs it at once.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] where another run of the replica has begun, it was released, or it has given everything back.
    pub async fn grant(
        &self,
        replica: Uuid,
        epoch: i64,
        scope: Scope,
        least: Usd,
        want: Usd,
        now: i64,
    ) -> Result<Grant, StoreError> {
        again(|| self.grant_once((replica, epoch), scope, (least, want), now)).await
    }

    async fn grant_once(
        &self,
        (replica, epoch): (Uuid, i64),
        scope: Scope,
        (least, want): (Usd, Usd),
        now: i64,
    ) -> Result<Grant, StoreError> {
        let mut conn = self.begin().await?;
        let ends = match scope.kind {
            ScopeKind::Account => expiry::ends(&mut conn, scope.id, now).await?,
            ScopeKind::Budget => Ends::default(),
        };
        if ends.ended > 0 {
            // What is taken off is an act of the program.
            acts::hold(&mut conn).await?;
        }
        check_epoch(&mut conn, replica, epoch).await?;
        let room = self.room(&mut conn, scope, (ends, now)).await?;
        let (living,): (i64,) =
            on!(conn, LIVING => _, (q, c) => q.bind(now.saturating_sub(LIVE)).fetch_one(c).await)?;
        let share = room.available / living.max(1).saturating_mul(2);
        let (least, want) = (least.pico().max(0), want.pico());
        let amount = if room.available < least { 0 } else { least.max(want.min(share)) };
        let (elsewhere,): (i64,) = on!(conn, ELSEWHERE => _, (q, c) => {
            q.bind(scope.id).bind(scope.period_start).bind(replica).fetch_one(c).await
        })?;
        let mut granted = 0;
        if amount > 0 && lease(&mut conn, scope, amount).await? {
            let grown = on!(conn, GROW, (q, c) => {
                let q = q.bind(replica).bind(epoch).bind(scope.id).bind(scope.period_start);
                let q = q.bind(kind_name(scope.kind)).bind(amount).bind(now);
                q.execute(c).await.map(|done| done.rows_affected())
            })?;
            if grown == 0 {
                return Err(StoreError::Fenced);
            }
            granted = amount;
        }
        conn.commit().await?;
        Ok(Grant {
            granted: Usd::from_pico(granted),
            available: Usd::from_pico(room.available.saturating_sub(granted).max(0)),
            leased_elsewhere: Usd::from_pico(elsewhere),
            renews_at: room.renews_at,
            ends_at: room.ends_at,
        })
    }

    async fn room(
        &self,
        conn: &mut Conn,
        scope: Scope,
        (ends, now): (Ends, i64),
    ) -> Result<Room, StoreError> {
        match scope.kind {
            ScopeKind::Account => {
                if ends.ended > 0 {
                    self.end_credit(conn, scope.id, now).await?;
                }
                let available = accounts::balance(conn, scope.id).await?.free();
                Ok(Room { available, renews_at: None, ends_at: ends.next })
            }
            ScopeKind::Budget => {
                let (period, free) = budgets::open_period(conn, scope).await?;
                let renews_at = BudgetPeriod::end(period, scope.period_start.max(now));
                Ok(Room { available: free, renews_at, ends_at: None })
            }
        }
    }

    /// Gives back what a replica does not need.
    pub async fn give_back(
        &self,
        replica: Uuid,
        epoch: i64,
        scope: Scope,
        amount: Usd,
    ) -> Result<(), StoreError> {
        self.shrink(SHRINK, (replica, epoch), scope, amount).await
    }

    /// Gives back what was granted before credit expired, and cannot be spent any more.
    pub async fn give_back_stale(
        &self,
        replica: Uuid,
        epoch: i64,
        scope: Scope,
        amount: Usd,
    ) -> Result<(), StoreError> {
        self.shrink(SHRINK_STALE, (replica, epoch), scope, amount).await
    }

    async fn shrink(
        &self,
        how: Sql,
        (replica, epoch): (Uuid, i64),
        scope: Scope,
        amount: Usd,
    ) -> Result<(), StoreError> {
        let amount = amount.pico();
        if amount <= 0 {
            return Ok(());
        }
        again(|| async {
            let mut conn = self.begin().await?;
            lock(&mut conn, scope).await?;
            let found = on!(conn, how, (q, c) => {
                let q = q.bind(amount).bind(replica).bind(scope.id).bind(scope.period_start);
                q.bind(epoch).execute(c).await.map(|done| done.rows_affected())
            })?;
            if found == 0 {
                // It was taken away already, by a release.
                return Ok(());
            }
            free(&mut conn, scope, amount).await?;
            conn.commit().await
        })
        .await
    }

    /// Asks the other replicas for what they hold of a scope and do not need; whether there is any that was not asked yet.
    pub async fn recall(&self, scope: Scope, except: Uuid) -> Result<bool, StoreError> {
        again(|| async {
            let mut conn = self.begin().await?;
            lock(&mut conn, scope).await?;
            let asked = on!(conn, RECALL, (q, c) => {
                let q = q.bind(scope.id).bind(scope.period_start).bind(except);
                q.execute(c).await.map(|done| done.rows_affected())
            })?;
            conn.commit().await?;
            Ok(asked > 0)
        })
        .await
    }

    /// What others want back of a replica; asked once.
    pub async fn recalled(&self, replica: Uuid) -> Result<Vec<Scope>, StoreError> {
        // Who asks every second does not write every second.
        let mut conn = self.read().await?;
        let rows: Vec<Place> =
            on!(conn, RECALLED => _, (q, c) => q.bind(replica).fetch_all(c).await)?;
        drop(conn);
        let recalled: Vec<Scope> = rows.into_iter().map(scope).collect();
        if recalled.is_empty() {
            return Ok(recalled);
        }
        again(|| async {
            let mut conn = self.begin().await?;
            for scope in &recalled {
                lock(&mut conn, *scope).await?;
                on!(conn, HEARD, (q, c) => {
                    q.bind(replica).bind(scope.id).bind(scope.period_start).execute(c).await.map(drop)
                })?;
            }
            conn.commit().await
        })
        .await?;
        Ok(recalled)
    }

    /// Gives back all that runs of a replica before `epoch` hold. Only when everything they have journaled is applied.
    pub async fn close_slices(
        &self,
        replica: Uuid,
        epoch: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        again(|| async {
            let mut conn = self.begin().await?;
            replicas::lock(&mut conn, replica).await?;
            close(&mut conn, replica, epoch, now).await?;
            conn.commit().await
        })
        .await
    }
}

/// Closes what is open of a replica. The replica is locked.
pub(crate) async fn close(
    conn: &mut Conn,
    replica: Uuid,
    epoch: i64,
    now: i64,
) -> Result<(), StoreError> {
    let open: Vec<Place> = on!(*conn, OPEN => _, (q, c) => {
        q.bind(replica).bind(epoch).fetch_all(c).await
    })?;
    for scope in open.into_iter().map(scope) {
        lock(conn, scope).await?;
        let closed: Vec<(i64,)> = on!(*conn, CLOSE => _, (q, c) => {
            let q = q.bind(now).bind(replica).bind(epoch).bind(scope.id).bind(scope.period_start);
            q.fetch_all(c).await
        })?;
        for (rest,) in closed {
            free(conn, scope, rest).await?;
        }
    }
    Ok(())
}

/// A scope as it is stored.
type Place = (String, Uuid, i64);

fn scope((kind, id, period_start): Place) -> Scope {
    let kind = if kind == "account" { ScopeKind::Account } else { ScopeKind::Budget };
    Scope { kind, id, period_start }
}

/// Nobody else moves what a scope has, or a slice of it, before the end of the transaction. Of several that are locked accounts
/// come before budgets, each in the order of their ids.
pub(crate) async fn lock(conn: &mut Conn, scope: Scope) -> Result<(), StoreError> {
    if matches!(conn, Conn::Sqlite(_)) {
        // Nobody else writes meanwhile.
        return Ok(());
    }
    match scope.kind {
        ScopeKind::Account => {
            on!(*conn, LOCK_ACCOUNT, (q, c) => q.bind(scope.id).execute(c).await.map(drop))?;
        }
        ScopeKind::Budget => on!(*conn, LOCK_PERIOD, (q, c) => {
            q.bind(scope.id).bind(scope.period_start).execute(c).await.map(drop)
        })?,
    }
    Ok(())
}

/// # Errors
/// [`StoreError::Fenced`] where this is not the present run of the replica.
pub(crate) async fn check_epoch(
    conn: &mut Conn,
    replica: Uuid,
    epoch: i64,
) -> Result<(), StoreError> {
    let found: Option<(i64,)> =
        on!(*conn, EPOCH => _, (q, c) => q.bind(replica).fetch_optional(c).await)?;
    if found == Some((epoch,)) { Ok(()) } else { Err(StoreError::Fenced) }
}

async fn lease(conn: &mut Conn, scope: Scope, amount: i64) -> Result<bool, StoreError> {
    let found = match scope.kind {
        ScopeKind::Account => on!(*conn, LEASE_ACCOUNT, (q, c) => {
            q.bind(amount).bind(scope.id).execute(c).await.map(|done| done.rows_affected())
        })?,
        ScopeKind::Budget => on!(*conn, LEASE_BUDGET, (q, c) => {
            let q = q.bind(amount).bind(scope.id).bind(scope.period_start);
            q.execute(c).await.map(|done| done.rows_affected())
        })?,
    };
    Ok(found == 1)
}

async fn free(conn: &mut Conn, scope: Scope, amount: i64) -> Result<(), StoreError> {
    match scope.kind {
        ScopeKind::Account => on!(*conn, FREE_ACCOUNT, (q, c) => {
            q.bind(amount).bind(scope.id).execute(c).await.map(drop)
        })?,
        ScopeKind::Budget => on!(*conn, FREE_BUDGET, (q, c) => {
            let q = q.bind(amount).bind(scope.id).bind(scope.period_start);
            q.execute(c).await.map(drop)
        })?,
    }
    Ok(())
}

/// The name of a kind in the database.
const fn kind_name(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Account => "account",
        ScopeKind::Budget => "budget",
    }
}
