//! Sums of receipts by day and month, kept by the transaction that writes the receipts, so that a page over a million
//! of them reads a few rows. [`Store::verify_rollups`] proves that they are the sums.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ledger::{BudgetPeriod, UsageReport, Usd};
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::insert::Insert;
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
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::House => "house",
            Self::Account => "account",
            Self::User => "user",
            Self::Key => "key",
            Self::AccountMonth => "account_month",
            Self::KeyMonth => "key_month",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all =
            [Self::House, Self::Account, Self::User, Self::Key, Self::AccountMonth, Self::KeyMonth];
        all.into_iter().find(|grain| grain.name() == name)
    }
}

/// One sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// What the providers bill accounts themselves, whose own keys they were called with: part of nothing above.
    pub direct: i64,
}

/// The same as it is kept, with amounts in two parts: `high × 10⁹ + low`.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Kept {
    pub(crate) id: Uuid,
    pub(crate) day: i64,
    pub(crate) item: String,
    pub(crate) receipts: i64,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cache_read: i64,
    pub(crate) reasoning: i64,
    pub(crate) cost_high: i64,
    pub(crate) cost_low: i64,
    pub(crate) commission_high: i64,
    pub(crate) commission_low: i64,
    pub(crate) charge_high: i64,
    pub(crate) charge_low: i64,
    #[sqlx(default)]
    pub(crate) direct_high: i64,
    #[sqlx(default)]
    pub(crate) direct_low: i64,
}

pub(crate) const PART: i64 = 1_000_000_000;

impl TryFrom<Kept> for Rollup {
    type Error = StoreError;

    fn try_from(kept: Kept) -> Result<Self, StoreError> {
        let whole = |high: i64, low: i64| {
            let sum = i128::from(high) * i128::from(PART) + i128::from(low);
            i64::try_from(sum).map_err(|_| StoreError::OutOfRange { what: "sum of a day" })
        };
        Ok(Self {
            id: kept.id,
            day: kept.day,
            item: kept.item,
            receipts: kept.receipts,
            input_tokens: kept.input_tokens,
            output_tokens: kept.output_tokens,
            cache_read: kept.cache_read,
            reasoning: kept.reasoning,
            cost: whole(kept.cost_high, kept.cost_low)?,
            commission: whole(kept.commission_high, kept.commission_low)?,
            charge: whole(kept.charge_high, kept.charge_low)?,
            direct: whole(kept.direct_high, kept.direct_low)?,
        })
    }
}

type Numbers = [i64; 13];

/// Those that receipts have as columns too.
macro_rules! counted_columns {
    () => {
        "receipts, input_tokens, output_tokens, cache_read, reasoning, cost_high, cost_low, commission_high, \
         commission_low, charge_high, charge_low"
    };
}

macro_rules! rollup_columns {
    () => {
        concat!(counted_columns!(), ", direct_high, direct_low")
    };
}

/// The sums of the counted columns, from whatever follows.
macro_rules! counted_sums {
    () => {
        "CAST(SUM(receipts) AS BIGINT) AS receipts, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, \
         CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(cache_read) AS BIGINT) AS cache_read, \
         CAST(SUM(reasoning) AS BIGINT) AS reasoning, CAST(SUM(cost_high) AS BIGINT) AS cost_high, \
         CAST(SUM(cost_low) AS BIGINT) AS cost_low, CAST(SUM(commission_high) AS BIGINT) AS commission_high, \
         CAST(SUM(commission_low) AS BIGINT) AS commission_low, CAST(SUM(charge_high) AS BIGINT) AS charge_high, \
         CAST(SUM(charge_low) AS BIGINT) AS charge_low "
    };
}

/// The sums of all columns, from whatever follows.
macro_rules! rollup_sums {
    () => {
        concat!(
            counted_sums!(),
            ", CAST(SUM(direct_high) AS BIGINT) AS direct_high, CAST(SUM(direct_low) AS BIGINT) AS direct_low "
        )
    };
}

const ADD: &str = " ON CONFLICT (grain, id, day, item) DO UPDATE SET \
    receipts = rollups.receipts + excluded.receipts, input_tokens = rollups.input_tokens + excluded.input_tokens, \
    output_tokens = rollups.output_tokens + excluded.output_tokens, cache_read = rollups.cache_read + excluded.cache_read, \
    reasoning = rollups.reasoning + excluded.reasoning, cost_high = rollups.cost_high + excluded.cost_high, \
    cost_low = rollups.cost_low + excluded.cost_low, \
    commission_high = rollups.commission_high + excluded.commission_high, \
    commission_low = rollups.commission_low + excluded.commission_low, \
    charge_high = rollups.charge_high + excluded.charge_high, charge_low = rollups.charge_low + excluded.charge_low, \
    direct_high = rollups.direct_high + excluded.direct_high, direct_low = rollups.direct_low + excluded.direct_low";
const OF_ONE: Sql = sql!(
    "SELECT id, day, item, ",
    rollup_columns!(),
    " FROM tollgate.rollups WHERE grain = $1 AND id = $2 AND day >= $3 AND day < $4 ORDER BY day, item"
);
const OF_ALL: Sql = sql!(
    "SELECT $2 AS id, day, item, ",
    rollup_sums!(),
    "FROM tollgate.rollups WHERE grain = $1 AND day >= $3 AND day < $4 GROUP BY day, item ORDER BY day, item"
);
// The largest sums of a month.
const TOP_KEYS: Sql = sql!(
    "SELECT id, day, item, ",
    rollup_columns!(),
    " FROM tollgate.rollups WHERE grain = 'key_month' AND day = $1 ",
    "AND id IN (SELECT id FROM tollgate.api_keys WHERE account_id = $2) ORDER BY charge_high + charge_low / 1000000000 DESC, id LIMIT $3"
);
const TOTAL_OF_ONE: Sql = sql!(
    "SELECT $2 AS id, CAST(0 AS BIGINT) AS day, '' AS item, ",
    rollup_sums!(),
    "FROM tollgate.rollups WHERE grain = $1 AND id = $2 AND day >= $3 AND day < $4 HAVING COUNT(*) > 0"
);

pub(crate) fn statement() -> Insert {
    let columns = concat!("grain, id, day, item, ", rollup_columns!());
    Insert::new(sql!("INSERT INTO tollgate.rollups"), columns, ADD)
}

/// What of a receipt is summed with that of its like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    account: Uuid,
    user: Uuid,
    key: Uuid,
    day: i64,
    provider: Arc<str>,
    model: Arc<str>,
}

/// Sums over the new receipts of a batch.
#[derive(Debug, Default)]
pub(crate) struct Rollups {
    /// Those of the group that came last, which the next receipt mostly belongs to as well.
    current: Option<(Group, Numbers)>,
    others: HashMap<Group, Numbers>,
}

impl Rollups {
    /// What there is to add of a receipt.
    pub(crate) fn of(row: &Row) -> (Group, Numbers) {
        let group = Group {
            account: row.common.account_id,
            user: row.common.user_id,
            key: row.common.key_id,
            day: row.started_at / DAY,
            provider: Arc::clone(&row.common.provider),
            model: Arc::clone(&row.common.model),
        };
        let [input, output] = [row.input_tokens, row.output_tokens];
        let (cached, reasoning) = (row.cache_read, row.reasoning);
        let [cost, commission, charge, direct] =
            [row.cost, row.commission, row.charge, direct(&row.report)]
                .map(|amount| (amount / PART, amount % PART));
        let numbers = [
            1,
            input,
            output,
            cached,
            reasoning,
            cost.0,
            cost.1,
            commission.0,
            commission.1,
            charge.0,
            charge.1,
            direct.0,
            direct.1,
        ];
        (group, numbers)
    }

    pub(crate) fn add(&mut self, (group, numbers): (Group, Numbers)) -> Result<(), StoreError> {
        match &mut self.current {
            Some((current, sums)) if *current == group => return add(sums, &numbers),
            _ => {}
        }
        self.turn_to(Some((group, numbers)))
    }

    fn turn_to(&mut self, next: Option<(Group, Numbers)>) -> Result<(), StoreError> {
        match std::mem::replace(&mut self.current, next) {
            Some((group, sums)) => add(self.others.entry(group).or_default(), &sums),
            None => Ok(()),
        }
    }

    /// Adds them to what is there, in the order of their keys, so that no two transactions each wait for the other.
    pub(crate) async fn write(
        mut self,
        conn: &mut Conn,
        texts: &Insert,
        replica: Uuid,
    ) -> Result<(), StoreError> {
        self.turn_to(None)?;
        let mut rows: BTreeMap<(&'static str, Uuid, i64, String), Numbers> = BTreeMap::new();
        for (group, numbers) in self.others {
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
                    numbers.into_iter().fold(q, sqlx::query::Query::bind)
                });
                q.execute(c).await.map(drop)
            })?;
            left -= chunk.rows;
        }
        Ok(())
    }
}

/// What the provider bills the account itself, in pico-dollars. No other report has that word.
pub(crate) fn direct(report: &str) -> i64 {
    if !report.contains("\"direct\":") {
        return 0;
    }
    let report: Option<UsageReport> = serde_json::from_str(report).ok();
    report.and_then(|report| report.direct()).map_or(0, Usd::pico)
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
        read(on!(conn, OF_ONE => _, (q, c) => {
            q.bind(grain.name()).bind(id).bind(from).bind(to).fetch_all(c).await
        })?)
    }

    /// The sums of the house over days from `from` on and before `to`, all replicas together.
    pub async fn house_rollups(&self, (from, to): (i64, i64)) -> Result<Vec<Rollup>, StoreError> {
        let mut conn = self.read().await?;
        read(on!(conn, OF_ALL => _, (q, c) => {
            let q = q.bind(Grain::House.name()).bind(Uuid::nil()).bind(from).bind(to);
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
        read(on!(conn, TOP_KEYS => _, (q, c) => {
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
        let row: Option<Kept> = on!(conn, TOTAL_OF_ONE => _, (q, c) => {
            let q = q.bind(grain.name()).bind(id).bind(from).bind(to);
            q.fetch_optional(c).await
        })?;
        row.unwrap_or_default().try_into()
    }
}

pub(crate) fn read(rows: Vec<Kept>) -> Result<Vec<Rollup>, StoreError> {
    rows.into_iter().map(TryInto::try_into).collect()
}
