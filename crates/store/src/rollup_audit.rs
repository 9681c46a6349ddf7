//! Whether the sums by day and month are those of their receipts.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::engine::Sql;
use crate::rollups::{Kept, month_of};
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
            rollup_sums!(),
            "FROM (",
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
            rollup_columns!(),
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
    rollup_sums!(),
    "FROM (SELECT day, item, ",
    rollup_columns!(),
    " FROM tollgate.rollups WHERE grain = 'house' ",
    "UNION ALL SELECT started_at / 86400000000, provider || '/' || model, ",
    less!(),
    ") d GROUP BY day, item",
    not_even!(),
    "ORDER BY day, item"
);
const DAYS: Sql = sql!(
    "SELECT id, day, '' AS item, ",
    rollup_sums!(),
    "FROM tollgate.rollups WHERE grain = $1 GROUP BY id, day"
);

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
        Ok(())
    }
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
        for (name, amount) in
            [("cost", more.cost), ("commission", more.commission), ("charge", more.charge)]
        {
            if amount != 0 {
                write!(f, " {name} {} USD", ledger::sum_exact(amount.into()))?;
            }
        }
        Ok(())
    }
}
