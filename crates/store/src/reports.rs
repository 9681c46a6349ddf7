//! Sums over receipts: what a user owes, what a period cost.

use sqlx::{Decode, Postgres, Sqlite, Type};
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::{Store, StoreError, Whose};

/// Sums over receipts, exact however large.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many receipts.
    pub receipts: i64,
    /// All prompt tokens, cached ones too.
    pub input_tokens: i128,
    /// All generated tokens, thinking ones too.
    pub output_tokens: i128,
    /// Prompt tokens read from a cache, which are among the input tokens; the next three likewise.
    pub cache_read: i128,
    /// Prompt tokens written to the ordinary cache.
    pub cache_write_5m: i128,
    /// Prompt tokens written to the 1-hour cache.
    pub cache_write_1h: i128,
    /// Thinking tokens, which are among the output tokens.
    pub reasoning: i128,
    /// What the providers charge, in pico-dollars as are the following.
    pub cost: i128,
    /// Our share.
    pub commission: i128,
    /// What is to be paid.
    pub charge: i128,
}

/// From a moment on, and before another: microseconds since 1970.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first moment of it.
    pub from: i64,
    /// The first moment after it.
    pub to: i64,
}

impl Period {
    /// All time.
    pub const ALL: Self = Self { from: 0, to: i64::MAX };
}

/// What the rows of a usage report stand for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// A day (UTC) each.
    Day,
    /// A model each.
    Model,
    /// A key each.
    Key,
    /// A provider each.
    Provider,
    /// A user each.
    User,
}

/// Whose bill it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Payer {
    /// All that an account pays for.
    Account(Uuid),
    /// All that a user has asked for.
    User(Uuid),
}

/// One row of a usage report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// What it stands for: `2026-11-24`, `openai/gpt-4o`, `openai`, the id of a key or of a user.
    pub item: String,
    /// The same for people: the name of the key or the user.
    pub label: String,
    /// What was used.
    pub sums: Sums,
}

/// One line of a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillRow {
    /// The provider.
    pub provider: String,
    /// The provider's model.
    pub model: String,
    /// What was used.
    pub sums: Sums,
}

/// A column's sum in two parts, `high × 10⁹ + low`: so neither overflows before a thousand million rows, and both
/// engines have a type for it.
macro_rules! parts {
    ($column:literal) => {
        concat!(
            ", COALESCE(CAST(SUM(r.",
            $column,
            " / 1000000000) AS BIGINT), 0) AS ",
            $column,
            "_high, COALESCE(CAST(SUM(r.",
            $column,
            " % 1000000000) AS BIGINT), 0) AS ",
            $column,
            "_low"
        )
    };
}
const PART: i128 = 1_000_000_000;

macro_rules! sums {
    () => {
        concat!(
            "COUNT(*) AS receipts",
            parts!("input_tokens"),
            parts!("output_tokens"),
            parts!("cache_read"),
            parts!("cache_write_5m"),
            parts!("cache_write_1h"),
            parts!("reasoning"),
            parts!("cost"),
            parts!("commission"),
            parts!("charge"),
            " FROM tollgate.receipts r "
        )
    };
}

/// A report by `$item`, for everybody and for one user.
macro_rules! report {
    ($item:literal, $label:literal, $join:literal) => {
        [
            report!(@ $item, $label, $join, ""),
            report!(@ $item, $label, $join, " AND r.user_id = $3"),
        ]
    };
    (@ $item:literal, $label:literal, $join:literal, $filter:literal) => {
        sql!(
            "SELECT ", $item, " AS item, ", $label, " AS label, ", sums!(), $join,
            "WHERE r.started_at >= $1 AND r.started_at < $2", $filter, " GROUP BY 1"
        )
    };
}

/// The number of the day since 1970; [`date`] writes it out.
const BY_DAY: [Sql; 2] = report!("r.started_at / 86400000000", "''", "");
const BY_MODEL: [Sql; 2] = report!("r.provider || '/' || r.model", "''", "");
const BY_PROVIDER: [Sql; 2] = report!("r.provider", "''", "");
const BY_KEY: [Sql; 2] = report!(
    "r.key_id",
    "COALESCE(MAX(k.name), '')",
    "LEFT JOIN tollgate.api_keys k ON k.id = r.key_id "
);
const BY_USER: [Sql; 2] = report!(
    "r.user_id",
    "COALESCE(MAX(u.name), '')",
    "LEFT JOIN tollgate.users u ON u.id = r.user_id "
);

macro_rules! bill {
    ($whose:literal) => {
        sql!(
            "SELECT r.provider, r.model, ",
            sums!(),
            "WHERE ",
            $whose,
            " = $1 AND r.started_at >= $2 AND r.started_at < $3 ",
            "GROUP BY r.provider, r.model ORDER BY r.provider, r.model"
        )
    };
}
const BILL_OF_ACCOUNT: Sql = bill!("r.account_id");
const BILL_OF_USER: Sql = bill!("r.user_id");
const OF_USER: Sql = sql!("SELECT ", sums!(), "WHERE r.user_id = $1");
const OF_USER_AND_ACCOUNT: Sql =
    sql!("SELECT ", sums!(), "WHERE r.user_id = $1 AND r.account_id = $2");
// By the index on users: what an account pays for was asked for by those who have a key to it.
const OF_ACCOUNT: Sql = sql!(
    "SELECT ",
    sums!(),
    "WHERE r.account_id = $1 AND r.user_id IN (SELECT o.user_id FROM tollgate.api_keys o WHERE o.account_id = $1)"
);
const TOTAL: Sql = sql!("SELECT ", sums!());

/// Declares the row of the sums and how its halves become one number.
macro_rules! parts_row {
    ($($column:ident: $high:ident, $low:ident;)+) => {
        #[derive(sqlx::FromRow)]
        struct Parts {
            receipts: i64,
            $($high: i64, $low: i64,)+
        }

        impl From<Parts> for Sums {
            fn from(parts: Parts) -> Self {
                Self {
                    receipts: parts.receipts,
                    $($column: i128::from(parts.$high) * PART + i128::from(parts.$low),)+
                }
            }
        }
    };
}
parts_row! {
    input_tokens: input_tokens_high, input_tokens_low;
    output_tokens: output_tokens_high, output_tokens_low;
    cache_read: cache_read_high, cache_read_low;
    cache_write_5m: cache_write_5m_high, cache_write_5m_low;
    cache_write_1h: cache_write_1h_high, cache_write_1h_low;
    reasoning: reasoning_high, reasoning_low;
    cost: cost_high, cost_low;
    commission: commission_high, commission_low;
    charge: charge_high, charge_low;
}

/// `Item` is text, or the id of a key or a user.
#[derive(sqlx::FromRow)]
struct ItemRow<Item> {
    item: Item,
    label: String,
    #[sqlx(flatten)]
    parts: Parts,
}

#[derive(sqlx::FromRow)]
struct ModelRow {
    provider: String,
    model: String,
    #[sqlx(flatten)]
    parts: Parts,
}

impl Store {
    /// What was used with these keys over all time.
    pub async fn usage_of(&self, whose: Whose) -> Result<Sums, StoreError> {
        let mut conn = self.read().await?;
        let parts: Parts = match whose {
            Whose::Anybodys => on!(conn, TOTAL => _, (q, c) => q.fetch_one(c).await)?,
            Whose::Users(id) => on!(conn, OF_USER => _, (q, c) => q.bind(id).fetch_one(c).await)?,
            Whose::Accounts(id) => {
                on!(conn, OF_ACCOUNT => _, (q, c) => q.bind(id).fetch_one(c).await)?
            }
            Whose::UsersOfAccount(user, account) => {
                on!(conn, OF_USER_AND_ACCOUNT => _, (q, c) => q.bind(user).bind(account).fetch_one(c).await)?
            }
        };
        Ok(parts.into())
    }

    /// The sums over all receipts there are.
    pub async fn total(&self) -> Result<Sums, StoreError> {
        let mut conn = self.read().await?;
        let parts: Parts = on!(conn, TOTAL => _, (q, c) => q.fetch_one(c).await)?;
        Ok(parts.into())
    }

    /// What was used in a period, of `user` alone where one is given, in rows by `by`, in the order of their items.
    pub async fn usage_report(
        &self,
        user: Option<Uuid>,
        period: Period,
        by: By,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let [everybody, one] = match by {
            By::Day => BY_DAY,
            By::Model => BY_MODEL,
            By::Key => BY_KEY,
            By::Provider => BY_PROVIDER,
            By::User => BY_USER,
        };
        let mut conn = self.read().await?;
        let mut rows: Vec<UsageRow> = match by {
            By::Key | By::User => {
                let rows = items::<Uuid>(&mut conn, everybody, one, user, period).await?;
                rows.into_iter().map(|row| row.named(ToString::to_string)).collect()
            }
            By::Model | By::Provider => {
                let rows = items::<String>(&mut conn, everybody, one, user, period).await?;
                rows.into_iter().map(|row| row.named(String::clone)).collect()
            }
            By::Day => {
                let rows = items::<i64>(&mut conn, everybody, one, user, period).await?;
                rows.into_iter().map(|row| row.named(|day| date(*day))).collect()
            }
        };
        rows.sort_by(|a, b| a.item.cmp(&b.item));
        Ok(rows)
    }

    /// The bill of a period, a line per model.
    pub async fn bill(&self, payer: Payer, period: Period) -> Result<Vec<BillRow>, StoreError> {
        let (sql, id) = match payer {
            Payer::Account(id) => (BILL_OF_ACCOUNT, id),
            Payer::User(id) => (BILL_OF_USER, id),
        };
        let mut conn = self.read().await?;
        let rows: Vec<ModelRow> = on!(conn, sql => _, (q, c) => {
            q.bind(id).bind(period.from).bind(period.to).fetch_all(c).await
        })?;
        let line = |ModelRow { provider, model, parts }| BillRow {
            provider,
            model,
            sums: Sums::from(parts),
        };
        Ok(rows.into_iter().map(line).collect())
    }
}

impl<Item> ItemRow<Item> {
    /// The row under the name of its item, which is its label too where it has no other.
    fn named(self, name: impl Fn(&Item) -> String) -> UsageRow {
        let item = name(&self.item);
        let label = if self.label.is_empty() { item.clone() } else { self.label };
        UsageRow { item, label, sums: self.parts.into() }
    }
}

/// The rows of a report: over everybody, or over one user.
async fn items<Item>(
    conn: &mut Conn,
    everybody: Sql,
    one: Sql,
    user: Option<Uuid>,
    period: Period,
) -> Result<Vec<ItemRow<Item>>, StoreError>
where
    Item: Send + Unpin,
    for<'r> Item: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
{
    Ok(match user {
        None => on!(*conn, everybody => _, (q, c) => {
            q.bind(period.from).bind(period.to).fetch_all(c).await
        })?,
        Some(user) => on!(*conn, one => _, (q, c) => {
            q.bind(period.from).bind(period.to).bind(user).fetch_all(c).await
        })?,
    })
}

/// The date of a day since 1970-01-01, as `2026-11-24`.
///
/// Counted in years that begin in March, so that a leap day is the last of its year; 719 468 days lie between the
/// March of year 0 and 1970.
fn date(day: i64) -> String {
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day_of_month:02}", era * 400 + year + next_year)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_have_the_date_that_the_ledger_reads() {
        const DAY: i64 = 86_400_000_000;
        for day in (0..60_000).step_by(7).chain([0, 58, 59, 60, 11_015, 11_016, 20_781]) {
            assert_eq!(ledger::parse_date(&date(day)), Some(day * DAY), "day {day}");
        }
    }
}
