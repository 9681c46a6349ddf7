//! Sums of receipts by day and month, kept by the transaction that writes the receipts, so that a page over a million
//! of them reads a few rows. [`Store::verify_rollups`] proves that they are the sums.

use std::collections::{BTreeMap, HashMap};

use ledger::BudgetPeriod;
use uuid::Uuid;

use crate::engine::{Conn, Insert, Sql};
use crate::row::Row;
use crate::{Store, StoreError};

/// Microseconds.
pub(crate) const DAY: i64 = 86_400_000_000;

/// Of what rows are sums.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    /// A day of a model, of one replica.
    House,
    /// A day of a model that an account pays for.
    Account,
    /// A day of a model that a user has asked for.
    User,
    /// A day of a model with a key.
    Key,
    /// A month of an account.
    AccountMonth,
    /// A month of a key.
    KeyMonth,
}

impl Grain {
    const fn name(self) -> &'static str {
        match self {
            Self::House => "house",
            Self::Account => "account",
            Self::User => "user",
            Self::Key => "key",
            Self::AccountMonth => "account_month",
            Self::KeyMonth => "key_month",
        }
    }
}

/// One sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Rollup {
    /// The account, user or key; nil where rows of several are summed.
    pub id: Uuid,
    /// The day, or the first of the month: days since 1970.
    pub day: i64,
    /// `provider/model`, or nothing.
    pub item: String,
    /// How many receipts.
    pub receipts: i64,
    /// All prompt tokens, cached ones too.
    pub input_tokens: i64,
    /// All generated tokens, thinking ones too.
    pub output_tokens: i64,
    /// Prompt tokens read from a cache, which are among the input tokens.
    pub cache_read: i64,
    /// Thinking tokens, which are among the output tokens.
    pub reasoning: i64,
    /// What the providers charge, in pico-dollars as are the following.
    pub cost: i64,
    /// Our share.
    pub commission: i64,
    /// What is to be paid.
    pub charge: i64,
}

/// A sum that is not that of its receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupFault {
    /// Of what it is a sum.
    pub grain: Grain,
    /// What it has more than its receipts; negative: less.
    pub more: Rollup,
}

type Numbers = [i64; 8];

macro_rules! columns {
    () => {
        "receipts, input_tokens, output_tokens, cache_read, reasoning, cost, commission, charge"
    };
}

/// The sums of all columns, from whatever follows.
macro_rules! sums {
    () => {
        "CAST(SUM(receipts) AS BIGINT) AS receipts, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, \
         CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(cache_read) AS BIGINT) AS cache_read, \
         CAST(SUM(reasoning) AS BIGINT) AS reasoning, CAST(SUM(cost) AS BIGINT) AS cost, \
         CAST(SUM(commission) AS BIGINT) AS commission, CAST(SUM(charge) AS BIGINT) AS charge "
    };
}

const INTO: Sql = sql!("INSERT INTO tollgate.rollups (grain, id, day, item, ", columns!(), ")");
const ADD: &str = " ON CONFLICT (grain, id, day, item) DO UPDATE SET \
    receipts = rollups.receipts + excluded.receipts, input_tokens = rollups.input_tokens + excluded.input_tokens, \
    output_tokens = rollups.output_tokens + excluded.output_tokens, cache_read = rollups.cache_read + excluded.cache_read, \
    reasoning = rollups.reasoning + excluded.reasoning, cost = rollups.cost + excluded.cost, \
    commission = rollups.commission + excluded.commission, charge = rollups.charge + excluded.charge";
const OF_ONE: Sql = sql!(
    "SELECT id, day, item, ",
    columns!(),
    " FROM tollgate.rollups WHERE grain = $1 AND id = $2 AND day >= $3 AND day < $4 ORDER BY day, item"
);
const OF_ALL: Sql = sql!(
    "SELECT $2 AS id, day, item, ",
    sums!(),
    "FROM tollgate.rollups WHERE grain = $1 AND day >= $3 AND day < $4 GROUP BY day, item ORDER BY day, item"
);
// The largest sums of a month.
const TOP: Sql = sql!(
    "SELECT id, day, item, ",
    columns!(),
    " FROM tollgate.rollups WHERE grain = $1 AND day = $2 ORDER BY charge DESC, id LIMIT $3"
);
const TOP_KEYS: Sql = sql!(
    "SELECT id, day, item, ",
    columns!(),
    " FROM tollgate.rollups WHERE grain = 'key_month' AND day = $1 ",
    "AND id IN (SELECT id FROM tollgate.api_keys WHERE account_id = $2) ORDER BY charge DESC, id LIMIT $3"
);
const TOTAL_OF_ONE: Sql = sql!(
    "SELECT $2 AS id, CAST(0 AS BIGINT) AS day, '' AS item, ",
    sums!(),
    "FROM tollgate.rollups WHERE grain = $1 AND id = $2 AND day >= $3 AND day < $4 HAVING COUNT(*) > 0"
);

/// The groups of both sides, receipts taken off, that do not come to nothing.
macro_rules! uneven {
    ($rollups:expr, $receipt:literal) => {
        sql!(
            "SELECT id, day, item, ",
            sums!(),
            "FROM (",
            $rollups,
            " UNION ALL SELECT ",
            $receipt,
            " AS id, started_at / 86400000000 AS day, provider || '/' || model AS item, -1, -input_tokens, ",
            "-output_tokens, -cache_read, -reasoning, -cost, -commission, -charge FROM tollgate.receipts) d ",
            "GROUP BY id, day, item HAVING SUM(receipts) <> 0 OR SUM(input_tokens) <> 0 OR SUM(output_tokens) <> 0 ",
            "OR SUM(cache_read) <> 0 OR SUM(reasoning) <> 0 OR SUM(cost) <> 0 OR SUM(commission) <> 0 ",
            "OR SUM(charge) <> 0 ORDER BY id, day, item"
        )
    };
}

/// The rows of a grain as one side.
macro_rules! side {
    ($grain:literal) => {
        concat!(
            "SELECT id, day, item, ",
            columns!(),
            " FROM tollgate.rollups WHERE grain = '",
            $grain,
            "'"
        )
    };
}

const UNEVEN_ACCOUNTS: Sql = uneven!(side!("account"), "account_id");
const UNEVEN_USERS: Sql = uneven!(side!("user"), "user_id");
const UNEVEN_KEYS: Sql = uneven!(side!("key"), "key_id");
// All replicas together are one, whose id is that of the least.
const UNEVEN_HOUSE: Sql = sql!(
    "SELECT $1 AS id, day, item, ",
    sums!(),
    "FROM (SELECT day, item, ",
    columns!(),
    " FROM tollgate.rollups WHERE grain = 'house' ",
    "UNION ALL SELECT started_at / 86400000000, provider || '/' || model, -1, -input_tokens, ",
    "-output_tokens, -cache_read, -reasoning, -cost, -commission, -charge FROM tollgate.receipts) d ",
    "GROUP BY day, item HAVING SUM(receipts) <> 0 OR SUM(input_tokens) <> 0 OR SUM(output_tokens) <> 0 ",
    "OR SUM(cache_read) <> 0 OR SUM(reasoning) <> 0 OR SUM(cost) <> 0 OR SUM(commission) <> 0 ",
    "OR SUM(charge) <> 0 ORDER BY day, item"
);
const DAYS: Sql = sql!(
    "SELECT id, day, '' AS item, ",
    sums!(),
    "FROM tollgate.rollups WHERE grain = $1 GROUP BY id, day"
);

pub(crate) fn statement() -> Insert {
    Insert::new(INTO, 12, ADD)
}

/// What of a receipt is summed with that of its like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    account: Uuid,
    user: Uuid,
    key: Uuid,
    day: i64,
    provider: String,
    model: String,
}

/// Sums over the new receipts of a batch.
#[derive(Debug, Default)]
pub(crate) struct Rollups(HashMap<Group, Numbers>);

impl Rollups {
    /// What there is to add of a receipt.
    pub(crate) fn of(row: &Row) -> (Group, Numbers) {
        let group = Group {
            account: row.account_id,
            user: row.user_id,
            key: row.key_id,
            day: row.started_at / DAY,
            provider: row.provider.clone(),
            model: row.model.clone(),
        };
        let [input, output] = [row.input_tokens, row.output_tokens];
        let (cached, reasoning) = (row.cache_read, row.reasoning);
        (group, [1, input, output, cached, reasoning, row.cost, row.commission, row.charge])
    }

    pub(crate) fn add(&mut self, (group, numbers): (Group, Numbers)) -> Result<(), StoreError> {
        add(self.0.entry(group).or_default(), &numbers)
    }

    /// Adds them to what is there, in the order of their keys, so that no two transactions each wait for the other.
    pub(crate) async fn write(
        self,
        conn: &mut Conn,
        texts: &Insert,
        replica: Uuid,
    ) -> Result<(), StoreError> {
        let mut rows: BTreeMap<(&'static str, Uuid, i64, String), Numbers> = BTreeMap::new();
        for (group, numbers) in self.0 {
            let Group { account, user, key, day, provider, model } = group;
            let (item, month) = (format!("{provider}/{model}"), month_of(day));
            for (grain, id, day, item) in [
                (Grain::House, replica, day, item.as_str()),
                (Grain::Account, account, day, &item),
                (Grain::User, user, day, &item),
                (Grain::Key, key, day, &item),
                (Grain::AccountMonth, account, month, ""),
                (Grain::KeyMonth, key, month, ""),
            ] {
                let row = rows.entry((grain.name(), id, day, item.to_owned())).or_default();
                add(row, &numbers)?;
            }
        }
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while let Some(chunk) = texts.chunk(left) {
            on!(*conn, chunk, (q, c) => {
                let q = rows.by_ref().take(chunk.rows).fold(q, |q, ((grain, id, day, item), numbers)| {
                    let q = q.bind(grain).bind(id).bind(day).bind(item);
                    numbers.into_iter().fold(q, |q, number| q.bind(number))
                });
                q.execute(c).await.map(drop)
            })?;
            left -= chunk.rows;
        }
        Ok(())
    }
}

fn add(sums: &mut Numbers, more: &Numbers) -> Result<(), StoreError> {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.checked_add(*more).ok_or(StoreError::OutOfRange { what: "sum of a day" })?;
    }
    Ok(())
}

/// The first day of the month that a day is in.
pub(crate) fn month_of(day: i64) -> i64 {
    BudgetPeriod::Month.start(day.saturating_mul(DAY)) / DAY
}

impl Store {
    /// The sums of one account, user, key or replica over days from `from` on and before `to`.
    pub async fn rollups(
        &self,
        grain: Grain,
        id: Uuid,
        (from, to): (i64, i64),
    ) -> Result<Vec<Rollup>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, OF_ONE => _, (q, c) => {
            q.bind(grain.name()).bind(id).bind(from).bind(to).fetch_all(c).await
        })?)
    }

    /// The sums of the house over days from `from` on and before `to`, all replicas together.
    pub async fn house_rollups(&self, (from, to): (i64, i64)) -> Result<Vec<Rollup>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, OF_ALL => _, (q, c) => {
            let q = q.bind(Grain::House.name()).bind(Uuid::nil()).bind(from).bind(to);
            q.fetch_all(c).await
        })?)
    }

    /// The accounts that were charged most in the month that begins with `month`.
    pub async fn top_accounts(&self, month: i64, limit: u16) -> Result<Vec<Rollup>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, TOP => _, (q, c) => {
            let q = q.bind(Grain::AccountMonth.name()).bind(month).bind(i64::from(limit));
            q.fetch_all(c).await
        })?)
    }

    /// The keys of an account that were charged most in the month that begins with `month`.
    pub async fn top_keys(
        &self,
        account: Uuid,
        month: i64,
        limit: u16,
    ) -> Result<Vec<Rollup>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, TOP_KEYS => _, (q, c) => {
            q.bind(month).bind(account).bind(i64::from(limit)).fetch_all(c).await
        })?)
    }

    /// One sum over days from `from` on and before `to`; all nothing where there is none.
    pub async fn rollup_total(
        &self,
        grain: Grain,
        id: Uuid,
        (from, to): (i64, i64),
    ) -> Result<Rollup, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<Rollup> = on!(conn, TOTAL_OF_ONE => _, (q, c) => {
            let q = q.bind(grain.name()).bind(id).bind(from).bind(to);
            q.fetch_optional(c).await
        })?;
        Ok(row.unwrap_or_default())
    }

    /// Adds every receipt up again and compares, all at one moment. What differs is told to `look`.
    pub async fn verify_rollups(
        &self,
        mut look: impl FnMut(RollupFault) + Send,
    ) -> Result<(), StoreError> {
        let mut conn = self.snapshot().await?;
        for (grain, sql) in [
            (Grain::Account, UNEVEN_ACCOUNTS),
            (Grain::User, UNEVEN_USERS),
            (Grain::Key, UNEVEN_KEYS),
        ] {
            let uneven: Vec<Rollup> = on!(conn, sql => _, (q, c) => q.fetch_all(c).await)?;
            uneven.into_iter().for_each(|more| look(RollupFault { grain, more }));
        }
        let uneven: Vec<Rollup> =
            on!(conn, UNEVEN_HOUSE => _, (q, c) => q.bind(Uuid::nil()).fetch_all(c).await)?;
        uneven.into_iter().for_each(|more| look(RollupFault { grain: Grain::House, more }));
        for (days, months) in [(Grain::Account, Grain::AccountMonth), (Grain::Key, Grain::KeyMonth)]
        {
            let mut sums: BTreeMap<(Uuid, i64), Numbers> = BTreeMap::new();
            for (grain, sign) in [(months, 1), (days, -1)] {
                let rows: Vec<Rollup> =
                    on!(conn, DAYS => _, (q, c) => q.bind(grain.name()).fetch_all(c).await)?;
                for row in rows {
                    let sum = sums.entry((row.id, month_of(row.day))).or_default();
                    add(sum, &row.numbers().map(|number| number.saturating_mul(sign)))?;
                }
            }
            for ((id, day), numbers) in sums.into_iter().filter(|(_, sum)| *sum != [0; 8]) {
                look(RollupFault { grain: months, more: Rollup::from_numbers(id, day, numbers) });
            }
        }
        Ok(())
    }
}

impl Rollup {
    const fn numbers(&self) -> Numbers {
        [
            self.receipts,
            self.input_tokens,
            self.output_tokens,
            self.cache_read,
            self.reasoning,
            self.cost,
            self.commission,
            self.charge,
        ]
    }

    fn from_numbers(id: Uuid, day: i64, numbers: Numbers) -> Self {
        let [
            receipts,
            input_tokens,
            output_tokens,
            cache_read,
            reasoning,
            cost,
            commission,
            charge,
        ] = numbers;
        let item = String::new();
        Self {
            id,
            day,
            item,
            receipts,
            input_tokens,
            output_tokens,
            cache_read,
            reasoning,
            cost,
            commission,
            charge,
        }
    }
}

impl std::fmt::Display for RollupFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rollup { id, day, item, receipts, charge, .. } = &self.more;
        let grain = self.grain.name();
        write!(
            f,
            "rollups {grain}/{id}/{day}/{item}: it has {receipts} receipts and {} USD more than its receipts",
            ledger::sum_exact((*charge).into())
        )
    }
}
