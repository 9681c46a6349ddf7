//! Whether the sums by day and month are those of their receipts.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::rollups::{DAY, Kept, PART, direct, month_of};
use crate::{Grain, Rollup, Store, StoreError};

/// A sum that is not that of its receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupFault {
    /// Of what it is a sum.
    pub grain: Grain,
    /// What it has more than its receipts; negative: less.
    pub more: Rollup,
}

/// What receipts have less than sums say.
macro_rules! less {
    () => {
        "-1, -input_tokens, -output_tokens, -cache_read, -reasoning, -(cost / 1000000000), -(cost % 1000000000), \
         -(commission / 1000000000), -(commission % 1000000000), -(charge / 1000000000), -(charge % 1000000000) \
         FROM tollgate.receipts"
    };
}

/// Whether a group comes to something.
macro_rules! not_even {
    () => {
        " HAVING SUM(receipts) <> 0 OR SUM(input_tokens) <> 0 OR SUM(output_tokens) <> 0 OR SUM(cache_read) <> 0 \
         OR SUM(reasoning) <> 0 OR SUM(cost_high) <> 0 OR SUM(cost_low) <> 0 OR SUM(commission_high) <> 0 \
         OR SUM(commission_low) <> 0 OR SUM(charge_high) <> 0 OR SUM(charge_low) <> 0 "
    };
}

/// The groups of both sides, receipts taken off, that do not come to nothing.
macro_rules! uneven {
    ($rollups:expr, $receipt:literal) => {
        sql!(
            "SELECT id, day, item, ",
            counted_sums!(),
            " FROM (",
            $rollups,
            " UNION ALL SELECT ",
            $receipt,
            " AS id, started_at / 86400000000 AS day, provider || '/' || model AS item, ",
            less!(),
            ") d GROUP BY id, day, item",
            not_even!(),
            "ORDER BY id, day, item"
        )
    };
}

/// The rows of a grain as one side.
macro_rules! side {
    ($grain:literal) => {
        concat!(
            "SELECT id, day, item, ",
            counted_columns!(),
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
    counted_sums!(),
    " FROM (SELECT day, item, ",
    counted_columns!(),
    " FROM tollgate.rollups WHERE grain = 'house' ",
    "UNION ALL SELECT started_at / 86400000000, provider || '/' || model, ",
    less!(),
    ") d GROUP BY day, item",
    not_even!(),
    "ORDER BY day, item"
);
const DAYS: Sql = sql!(
    "SELECT id, day, '' AS item, ",
    counted_sums!(),
    " FROM tollgate.rollups WHERE grain = $1 GROUP BY id, day"
);

const DIRECT_RECEIPTS: Sql = sql!(
    "SELECT request_id, attempt, account_id, user_id, key_id, provider, model, started_at, report ",
    "FROM tollgate.receipts WHERE (request_id, attempt) > ($1, $2) AND report LIKE '%\"direct\":%' ",
    "ORDER BY request_id, attempt LIMIT 1000"
);
const DIRECT_ROLLUPS: Sql = sql!(
    "SELECT grain, id, day, item, direct_high, direct_low FROM tollgate.rollups ",
    "WHERE direct_high <> 0 OR direct_low <> 0"
);

/// A receipt whose provider bills the account itself.
#[derive(sqlx::FromRow)]
struct Direct {
    request_id: Uuid,
    attempt: i64,
    account_id: Uuid,
    user_id: Uuid,
    key_id: Uuid,
    provider: String,
    model: String,
    started_at: i64,
    report: String,
}

/// What a sum of what providers bill accounts themselves is of, in the order of these.
type DirectKey = (String, Uuid, i64, String);

impl Store {
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
            let uneven: Vec<Kept> = on!(conn, sql => _, (q, c) => q.fetch_all(c).await)?;
            for more in uneven {
                look(RollupFault { grain, more: more.rollup() });
            }
        }
        let uneven: Vec<Kept> =
            on!(conn, UNEVEN_HOUSE => _, (q, c) => q.bind(Uuid::nil()).fetch_all(c).await)?;
        for more in uneven {
            look(RollupFault { grain: Grain::House, more: more.rollup() });
        }
        for (days, months) in [(Grain::Account, Grain::AccountMonth), (Grain::Key, Grain::KeyMonth)]
        {
            let mut sums: BTreeMap<(Uuid, i64), Kept> = BTreeMap::new();
            for (grain, sign) in [(months, 1), (days, -1)] {
                let rows: Vec<Kept> =
                    on!(conn, DAYS => _, (q, c) => q.bind(grain.name()).fetch_all(c).await)?;
                for mut row in rows {
                    let (id, day) = (row.id, month_of(row.day));
                    let sum = sums.entry((id, day)).or_insert(Kept { id, day, ..Kept::default() });
                    let pairs = sum.numbers().into_iter().zip(row.numbers());
                    pairs.for_each(|(sum, more)| {
                        *sum = sum.saturating_add(more.saturating_mul(sign));
                    });
                }
            }
            for mut more in sums.into_values() {
                if more.numbers().into_iter().any(|number| *number != 0) {
                    look(RollupFault { grain: months, more: more.rollup() });
                }
            }
        }
        for ((grain, id, day, item), more) in uneven_direct(&mut conn).await? {
            let grain = Grain::from_name(&grain).ok_or_else(|| StoreError::corrupt("a grain"))?;
            let direct = i64::try_from(more).unwrap_or(i64::MAX);
            look(RollupFault {
                grain,
                more: Rollup { id, day, item, direct, ..Rollup::default() },
            });
        }
        Ok(())
    }
}

/// By how much more sums say than receipts that providers bill accounts themselves. Amounts that receipts have in their
/// reports alone are added up here, in whole numbers that hold any sum.
async fn uneven_direct(conn: &mut Conn) -> Result<BTreeMap<DirectKey, i128>, StoreError> {
    let mut sums: BTreeMap<DirectKey, i128> = BTreeMap::new();
    let mut add = |grain: &str, id: Uuid, day: i64, item: &str, amount: i128| {
        // All replicas together are one.
        let id = if grain == Grain::House.name() { Uuid::nil() } else { id };
        *sums.entry((grain.to_owned(), id, day, item.to_owned())).or_default() += amount;
    };
    let kept: Vec<(String, Uuid, i64, String, i64, i64)> =
        on!(*conn, DIRECT_ROLLUPS => _, (q, c) => q.fetch_all(c).await)?;
    for (grain, id, day, item, high, low) in kept {
        add(&grain, id, day, &item, i128::from(high) * i128::from(PART) + i128::from(low));
    }
    let mut after = (Uuid::nil(), -1_i64);
    loop {
        let page: Vec<Direct> = on!(*conn, DIRECT_RECEIPTS => _, (q, c) => {
            q.bind(after.0).bind(after.1).fetch_all(c).await
        })?;
        let Some(last) = page.last() else { break };
        after = (last.request_id, last.attempt);
        for row in page {
            let (day, item) = (row.started_at / DAY, format!("{}/{}", row.provider, row.model));
            let less = -i128::from(direct(&row.report));
            add(Grain::House.name(), Uuid::nil(), day, &item, less);
            add(Grain::Account.name(), row.account_id, day, &item, less);
            add(Grain::User.name(), row.user_id, day, &item, less);
            add(Grain::Key.name(), row.key_id, day, &item, less);
            add(Grain::AccountMonth.name(), row.account_id, month_of(day), "", less);
            add(Grain::KeyMonth.name(), row.key_id, month_of(day), "", less);
        }
    }
    sums.retain(|_, sum| *sum != 0);
    Ok(sums)
}

impl Kept {
    fn numbers(&mut self) -> [&mut i64; 11] {
        [
            &mut self.receipts,
            &mut self.input_tokens,
            &mut self.output_tokens,
            &mut self.cache_read,
            &mut self.reasoning,
            &mut self.cost_high,
            &mut self.cost_low,
            &mut self.commission_high,
            &mut self.commission_low,
            &mut self.charge_high,
            &mut self.charge_low,
        ]
    }

    /// To be shown; where an amount is too large, as nothing.
    fn rollup(self) -> Rollup {
        let (id, day, item, receipts) = (self.id, self.day, self.item.clone(), self.receipts);
        self.try_into().unwrap_or(Rollup { id, day, item, receipts, ..Rollup::default() })
    }
}

impl std::fmt::Display for RollupFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = &self.more;
        let grain = self.grain.name();
        write!(
            f,
            "rollups {grain}/{}/{}/{}: more than its receipts say:",
            more.id, more.day, more.item
        )?;
        for (name, number) in [
            ("receipts", more.receipts),
            ("input_tokens", more.input_tokens),
            ("output_tokens", more.output_tokens),
            ("cache_read", more.cache_read),
            ("reasoning", more.reasoning),
        ] {
            if number != 0 {
                write!(f, " {name} {number}")?;
            }
        }
        for (name, amount) in [
            ("cost", more.cost),
            ("commission", more.commission),
            ("charge", more.charge),
            ("direct", more.direct),
        ] {
            if amount != 0 {
                write!(f, " {name} {} USD", ledger::sum_exact(amount.into()))?;
            }
        }
        Ok(())
    }
}
