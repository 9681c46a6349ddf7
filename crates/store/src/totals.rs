//! A few sums that the APIs answer with: what keys and others have used by now, and what was put into an account.

use ledger::BudgetPeriod;
use uuid::Uuid;

use crate::engine::Sql;
use crate::rollups::DAY;
use crate::{BudgetOwner, Store, StoreError, expiry};

// Days for the periods that are under way, months for all that was before.
macro_rules! used {
    ($amount:literal) => {
        sql!(
            "SELECT CAST(COALESCE(SUM(ever), 0) AS BIGINT) AS ever, CAST(COALESCE(SUM(month), 0) AS BIGINT) AS month, ",
            "CAST(COALESCE(SUM(week), 0) AS BIGINT) AS week, CAST(COALESCE(SUM(today), 0) AS BIGINT) AS today FROM (SELECT ",
            $amount,
            " AS ever, 0 AS month, 0 AS week, 0 AS today FROM tollgate.rollups WHERE grain = $6 AND id = $1 ",
            "UNION ALL SELECT 0, CASE WHEN day >= $2 THEN ",
            $amount,
            " ELSE 0 END, CASE WHEN day >= $3 THEN ",
            $amount,
            " ELSE 0 END, CASE WHEN day >= $4 THEN ",
            $amount,
            " ELSE 0 END FROM tollgate.rollups WHERE grain = $7 AND id = $1 AND day >= $5) sums"
        )
    };
}
const USED: Sql = used!("charge_high * 1000000000 + charge_low");
const DIRECT: Sql = used!("direct_high * 1000000000 + direct_low");
// Usage is what it is spent on; what was used before there was a ledger is among it.
const PUT_IN: Sql = sql!(
    "SELECT CAST(COALESCE(SUM(e.amount), 0) AS BIGINT) FROM tollgate.ledger_entries e ",
    "JOIN tollgate.ledger_transactions t ON t.id = e.tx_id ",
    "WHERE e.account_id = $1 AND t.kind NOT IN ('opening', 'usage')"
);

/// Amounts in pico-dollars, what was charged or what was paid to providers directly: ever, and in the periods that are under way (UTC).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct PeriodUsage {
    /// Ever.
    pub ever: i64,
    /// Since the first of the month.
    pub month: i64,
    /// Since Monday.
    pub week: i64,
    /// Since midnight.
    pub today: i64,
}

impl PeriodUsage {
    /// What counts for a budget of that period.
    pub const fn of(self, period: BudgetPeriod) -> i64 {
        match period {
            BudgetPeriod::Day => self.today,
            BudgetPeriod::Week => self.week,
            BudgetPeriod::Month => self.month,
            BudgetPeriod::Total => self.ever,
        }
    }
}

impl Store {
    /// What each of these has used by `now`, in their order.
    pub async fn usage_by(
        &self,
        owners: &[BudgetOwner],
        now: i64,
    ) -> Result<Vec<PeriodUsage>, StoreError> {
        self.sums_by(USED, owners, now).await
    }

    /// What providers bill for each of these by `now` to the account itself, whose own keys they were called with.
    pub async fn direct_by(
        &self,
        owners: &[BudgetOwner],
        now: i64,
    ) -> Result<Vec<PeriodUsage>, StoreError> {
        self.sums_by(DIRECT, owners, now).await
    }

    async fn sums_by(
        &self,
        sql: Sql,
        owners: &[BudgetOwner],
        now: i64,
    ) -> Result<Vec<PeriodUsage>, StoreError> {
        let start = |period: BudgetPeriod| period.start(now) / DAY;
        let (month, week) = (start(BudgetPeriod::Month), start(BudgetPeriod::Week));
        let today = start(BudgetPeriod::Day);
        let mut conn = self.snapshot().await?;
        let mut usage = Vec::with_capacity(owners.len());
        for owner in owners {
            // Of users there are no sums by the month.
            let (id, months, days) = match owner {
                BudgetOwner::Key(id) => (*id, "key_month", "key"),
                BudgetOwner::User(id) => (*id, "user", "user"),
                BudgetOwner::Account(id) => (*id, "account_month", "account"),
            };
            let one: PeriodUsage = on!(conn, sql => _, (q, c) => {
                let q = q.bind(id).bind(month).bind(week).bind(today).bind(month.min(week));
                q.bind(months).bind(days).fetch_one(c).await
            })?;
            usage.push(one);
        }
        Ok(usage)
    }

    /// What was put into an account, in pico-dollars, less what was taken out or has expired by `now`: its balance is that
    /// less what was used.
    pub async fn put_in(&self, account_id: Uuid, now: i64) -> Result<i64, StoreError> {
        let mut conn = self.read.snapshot().await?;
        let (sum,): (i64,) =
            on!(conn, PUT_IN => _, (q, c) => q.bind(account_id).fetch_one(c).await)?;
        let ends = expiry::ends(&mut conn, account_id, now).await?;
        Ok(sum.saturating_sub(ends.ended))
    }
}
