//! Whether the books agree with themselves: the database adds up on both sides of each rule, and what differs is named.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use ledger::{Scope, ScopeKind, sum_exact};
use uuid::Uuid;

use crate::accounts::Post;
use crate::engine::{Conn, Sql};
use crate::{Store, StoreError};

/// What is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFault {
    /// Where it stands.
    pub table: &'static str,
    /// In which row.
    pub row: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.table, self.row, self.what)
    }
}

/// What was looked at.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// Transactions of the ledger.
    pub transactions: u64,
    /// Customers' accounts.
    pub accounts: u64,
    /// Budgets in one of their periods.
    pub periods: u64,
}

/// An amount in two parts, `high × 10⁹ + low`, so that sums over any number of rows fit: see `reports.rs`.
macro_rules! parts {
    ($sign:literal, $amount:literal) => {
        concat!(
            $sign,
            "(",
            $amount,
            " / 1000000000) AS high, ",
            $sign,
            "(",
            $amount,
            " % 1000000000) AS low"
        )
    };
}

/// The sums of parts.
macro_rules! summed {
    ($sign:literal, $amount:literal) => {
        concat!(
            $sign,
            "SUM(",
            $amount,
            " / 1000000000) AS high, ",
            $sign,
            "SUM(",
            $amount,
            " % 1000000000) AS low"
        )
    };
}

/// The groups of `$rows`, which have the columns of `$key` and the parts of an amount, whose amounts do not sum to zero.
macro_rules! uneven {
    ($key:literal, $($rows:expr),+) => {
        sql!(
            "SELECT ", $key, ", CAST(SUM(high) AS BIGINT), CAST(SUM(low) AS BIGINT) FROM (",
            $($rows),+,
            ") d GROUP BY ", $key, " HAVING CAST(SUM(low) AS BIGINT) % 1000000000 <> 0 ",
            "OR CAST(SUM(high) AS BIGINT) + CAST(SUM(low) AS BIGINT) / 1000000000 <> 0 ORDER BY ", $key
        )
    };
}

const ENTRIES: Sql =
    uneven!("tx_id", "SELECT tx_id, ", parts!("", "amount"), " FROM tollgate.ledger_entries");
const POSTED: Sql = uneven!(
    "id",
    "SELECT id, ",
    parts!("", "posted"),
    " FROM tollgate.ledger_accounts WHERE kind = 'customer' ",
    "UNION ALL SELECT e.account_id, ",
    summed!("-", "e.amount"),
    " FROM tollgate.ledger_entries e ",
    "JOIN tollgate.ledger_accounts a ON a.id = e.account_id WHERE a.kind = 'customer' GROUP BY e.account_id"
);
const HOUSE: Sql = sql!(
    "SELECT id, posted, leased FROM tollgate.ledger_accounts ",
    "WHERE kind <> 'customer' AND (posted <> 0 OR leased <> 0)"
);
const LEASED: Sql = uneven!(
    "id",
    "SELECT id, ",
    parts!("", "leased"),
    " FROM tollgate.ledger_accounts ",
    "UNION ALL SELECT scope_id, ",
    summed!("-", "(granted - spent)"),
    " FROM tollgate.slices ",
    "WHERE closed_at IS NULL AND scope_kind = 'account' GROUP BY scope_id"
);
const LEASED_OF_BUDGETS: Sql = uneven!(
    "id, period_start",
    "SELECT budget_id AS id, period_start, ",
    parts!("", "leased"),
    " FROM tollgate.budget_periods ",
    "UNION ALL SELECT scope_id, period_start, ",
    summed!("-", "(granted - spent)"),
    " FROM tollgate.slices ",
    "WHERE closed_at IS NULL AND scope_kind = 'budget' GROUP BY scope_id, period_start"
);
const FLOORS: Sql = sql!(
    "SELECT id, posted, leased, floor FROM tollgate.ledger_accounts ",
    "WHERE prepaid = TRUE AND posted - leased < floor ORDER BY id"
);
const SLICES: Sql = sql!(
    "SELECT replica_id, epoch, scope_id FROM tollgate.slices WHERE spent < 0 OR spent > granted"
);
const CEILINGS: Sql = sql!(
    "SELECT p.budget_id, p.period_start, p.used, p.leased, p.ceiling, b.limit_pico ",
    "FROM tollgate.budget_periods p JOIN tollgate.budgets b ON b.id = p.budget_id ",
    "WHERE p.used + p.leased > p.ceiling OR p.ceiling < b.limit_pico ORDER BY p.budget_id, p.period_start"
);
/// By scope, as receipts write them in 25 bytes each, what was charged. No receipt has as many scopes as there are places.
const LISTED: Sql = sql!(
    "SELECT substr(r.scopes, n.column1 * 25 + 1, 25) AS scope, ",
    "CAST(SUM(r.charge / 1000000000) AS BIGINT), CAST(SUM(r.charge % 1000000000) AS BIGINT) ",
    "FROM tollgate.receipts r JOIN (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), ",
    "(12), (13), (14), (15)) n ON length(r.scopes) > n.column1 * 25 GROUP BY 1"
);
const PERIODS: Sql =
    sql!("SELECT budget_id, period_start, before, used FROM tollgate.budget_periods");
const BUDGETS: Sql = sql!("SELECT id FROM tollgate.budgets");
const RECEIPTS: Sql = sql!(
    "SELECT request_id, attempt FROM tollgate.receipts WHERE charge - commission <> cost - absorbed ",
    "OR charge > bound OR charge < 0 OR cost < 0 OR commission < 0 OR absorbed < 0 ",
    "ORDER BY request_id, attempt"
);
/// What the customers have, against what was ever posted to them: by receipts, and by whatever else there was.
const CONSERVED: Sql = uneven!(
    "one",
    "SELECT CAST(1 AS BIGINT) AS one, ",
    parts!("", "posted"),
    " FROM tollgate.ledger_accounts ",
    "UNION ALL SELECT CAST(1 AS BIGINT), ",
    summed!("", "charge"),
    " FROM tollgate.receipts ",
    "UNION ALL SELECT CAST(1 AS BIGINT), ",
    summed!("-", "e.amount"),
    " FROM tollgate.ledger_entries e ",
    "JOIN tollgate.ledger_accounts a ON a.id = e.account_id ",
    "JOIN tollgate.ledger_transactions t ON t.id = e.tx_id ",
    "WHERE a.kind = 'customer' AND t.kind NOT IN ('opening', 'usage')"
);
/// The entries of each batch against the sums of its receipts. Receipts of before there was a ledger are their account's.
const BATCHES: Sql = uneven!(
    "tx, account",
    "SELECT e.tx_id AS tx, e.account_id AS account, ",
    parts!("", "e.amount"),
    " FROM tollgate.ledger_entries e JOIN tollgate.ledger_transactions t ON t.id = e.tx_id ",
    "WHERE t.kind IN ('opening', 'usage') ",
    "UNION ALL SELECT COALESCE(batch_id, account_id), account_id, ",
    summed!("", "charge"),
    " FROM tollgate.receipts GROUP BY COALESCE(batch_id, account_id), account_id ",
    "UNION ALL SELECT s.tx, h.id, ",
    "CASE h.kind WHEN 'cost' THEN -s.cost_high WHEN 'commission' THEN -s.commission_high ELSE s.absorbed_high END, ",
    "CASE h.kind WHEN 'cost' THEN -s.cost_low WHEN 'commission' THEN -s.commission_low ELSE s.absorbed_low END ",
    "FROM (SELECT COALESCE(batch_id, account_id) AS tx, ",
    "SUM(cost / 1000000000) AS cost_high, SUM(cost % 1000000000) AS cost_low, ",
    "SUM(commission / 1000000000) AS commission_high, SUM(commission % 1000000000) AS commission_low, ",
    "SUM(absorbed / 1000000000) AS absorbed_high, SUM(absorbed % 1000000000) AS absorbed_low ",
    "FROM tollgate.receipts GROUP BY COALESCE(batch_id, account_id)) s ",
    "JOIN tollgate.ledger_accounts h ON h.kind IN ('cost', 'commission', 'absorbed')"
);
const TRANSACTIONS: Sql = sql!(
    "SELECT id, kind, corrects, actor, reason, content_hash, created_at FROM tollgate.ledger_transactions ",
    "WHERE id > $1 ORDER BY id LIMIT 1000"
);
const LINES: Sql = sql!(
    "SELECT tx_id, account_id, amount FROM tollgate.ledger_entries ",
    "WHERE tx_id > $1 AND tx_id <= $2 ORDER BY tx_id, line"
);
const ACCOUNTS: Sql = sql!("SELECT COUNT(*) FROM tollgate.ledger_accounts WHERE kind = 'customer'");

/// A sum of parts.
fn whole(high: i64, low: i64) -> i128 {
    i128::from(high) * 1_000_000_000 + i128::from(low)
}

impl Store {
    /// Checks the books against themselves, all at one moment, while others go on writing. What is wrong is told to `look`:
    ///
    /// * each transaction's entries sum to zero, are those that were written, and where it posts receipts are their sums;
    /// * an account has what its entries sum to, leases what its open slices hold, and a prepaid one is above its floor;
    /// * a budget has used what its receipts say, and no more with what is leased than its ceiling, which is no less than
    ///   its limit;
    /// * a receipt's charge and what is absorbed are cost and commission, and the charge is within its bound;
    /// * what all customers have is what was ever put in, less what was charged.
    pub async fn audit(
        &self,
        mut look: impl FnMut(AuditFault) + Send,
    ) -> Result<Audited, StoreError> {
        let mut conn = self.snapshot().await?;
        let (accounts,): (i64,) = on!(conn, ACCOUNTS => _, (q, c) => q.fetch_one(c).await)?;
        accounts_of(&mut conn, &mut look).await?;
        leases(&mut conn, &mut look).await?;
        receipts(&mut conn, &mut look).await?;
        let periods = budgets(&mut conn, &mut look).await?;
        let transactions = transactions(&mut conn, &mut look).await?;
        Ok(Audited { transactions, accounts: accounts.unsigned_abs(), periods })
    }
}

type Look<'a> = &'a mut (dyn FnMut(AuditFault) + Send);

async fn accounts_of(conn: &mut Conn, look: Look<'_>) -> Result<(), StoreError> {
    let table = "ledger_accounts";
    let uneven: Vec<(Uuid, i64, i64)> = on!(*conn, POSTED => _, (q, c) => q.fetch_all(c).await)?;
    for (id, high, low) in uneven {
        let what = format!("it has {} USD more than its entries", sum_exact(whole(high, low)));
        look(AuditFault { table, row: id.to_string(), what });
    }
    let house: Vec<(Uuid, i64, i64)> = on!(*conn, HOUSE => _, (q, c) => q.fetch_all(c).await)?;
    for (id, ..) in house {
        let what = "an account of the house has a balance beside its entries".to_owned();
        look(AuditFault { table, row: id.to_string(), what });
    }
    let low: Vec<(Uuid, i64, i64, i64)> = on!(*conn, FLOORS => _, (q, c) => q.fetch_all(c).await)?;
    for (id, posted, leased, floor) in low {
        let [posted, leased, floor] = [posted, leased, floor].map(|pico| sum_exact(pico.into()));
        let what = format!(
            "it has {posted} USD, of which {leased} are leased: below its floor of {floor}"
        );
        look(AuditFault { table, row: id.to_string(), what });
    }
    let lost: Vec<(i64, i64, i64)> = on!(*conn, CONSERVED => _, (q, c) => q.fetch_all(c).await)?;
    for (_, high, low) in lost {
        let sum = sum_exact(whole(high, low));
        let what = format!("customers have {sum} USD more than was put in and not charged");
        look(AuditFault { table, row: "all".to_owned(), what });
    }
    Ok(())
}

async fn leases(conn: &mut Conn, look: Look<'_>) -> Result<(), StoreError> {
    let uneven: Vec<(Uuid, i64, i64)> = on!(*conn, LEASED => _, (q, c) => q.fetch_all(c).await)?;
    for (id, high, low) in uneven {
        let sum = sum_exact(whole(high, low));
        let what = format!("it leases {sum} USD more than its open slices hold");
        look(AuditFault { table: "ledger_accounts", row: id.to_string(), what });
    }
    let uneven: Vec<(Uuid, i64, i64, i64)> =
        on!(*conn, LEASED_OF_BUDGETS => _, (q, c) => q.fetch_all(c).await)?;
    for (id, start, high, low) in uneven {
        let sum = sum_exact(whole(high, low));
        let what = format!("it leases {sum} USD more than its open slices hold");
        look(AuditFault { table: "budget_periods", row: format!("{id}/{start}"), what });
    }
    let wrong: Vec<(Uuid, i64, Uuid)> = on!(*conn, SLICES => _, (q, c) => q.fetch_all(c).await)?;
    for (replica, epoch, scope) in wrong {
        let what = "more is spent than was granted".to_owned();
        look(AuditFault { table: "slices", row: format!("{replica}/{epoch}/{scope}"), what });
    }
    Ok(())
}

async fn receipts(conn: &mut Conn, look: Look<'_>) -> Result<(), StoreError> {
    let wrong: Vec<(Uuid, i64)> = on!(*conn, RECEIPTS => _, (q, c) => q.fetch_all(c).await)?;
    for (request, attempt) in wrong {
        let what = "its amounts do not add up, or are above its bound".to_owned();
        look(AuditFault { table: "receipts", row: format!("{request}/{attempt}"), what });
    }
    Ok(())
}

/// Returns how many periods there are.
async fn budgets(conn: &mut Conn, look: Look<'_>) -> Result<u64, StoreError> {
    let table = "budget_periods";
    let wrong: Vec<(Uuid, i64, i64, i64, i64, i64)> =
        on!(*conn, CEILINGS => _, (q, c) => q.fetch_all(c).await)?;
    for (id, start, used, leased, ceiling, limit) in wrong {
        let sum = i128::from(used) + i128::from(leased);
        let [told, most, limit_told] = [sum, ceiling.into(), limit.into()].map(sum_exact);
        let what = if sum > i128::from(ceiling) {
            format!("{told} USD are used or leased, above its ceiling of {most}")
        } else {
            format!("its ceiling of {most} USD is below the budget's limit of {limit_told}")
        };
        look(AuditFault { table, row: format!("{id}/{start}"), what });
    }
    let listed: Vec<(Vec<u8>, i64, i64)> = on!(*conn, LISTED => _, (q, c) => q.fetch_all(c).await)?;
    let mut charged: BTreeMap<Scope, i128> = BTreeMap::new();
    for (bytes, high, low) in listed {
        match ledger::decode_scopes(Some(&bytes)).as_deref() {
            Some([scope]) => *charged.entry(*scope).or_default() += whole(high, low),
            _ => look(AuditFault {
                table: "receipts",
                row: format!("{bytes:02x?}"),
                what: "no scope is written like that".to_owned(),
            }),
        }
    }
    let periods: Vec<(Uuid, i64, i64, i64)> =
        on!(*conn, PERIODS => _, (q, c) => q.fetch_all(c).await)?;
    for (id, start, before, used) in &periods {
        let scope = Scope { kind: ScopeKind::Budget, id: *id, period_start: *start };
        let of_receipts = charged.remove(&scope).unwrap_or_default();
        let more = i128::from(*used) - i128::from(*before) - of_receipts;
        if more != 0 {
            let what = format!("{} USD more are used than its receipts say", sum_exact(more));
            look(AuditFault { table, row: format!("{id}/{start}"), what });
        }
    }
    let known: Vec<(Uuid,)> = on!(*conn, BUDGETS => _, (q, c) => q.fetch_all(c).await)?;
    // A budget that is not known was set in a database that this one replaces: it limits nobody.
    charged.retain(|scope, sum| *sum != 0 && known.contains(&(scope.id,)));
    for (scope, sum) in charged {
        let what = format!("it is missing: its receipts say {} USD", sum_exact(sum));
        look(AuditFault { table, row: format!("{}/{}", scope.id, scope.period_start), what });
    }
    Ok(periods.len() as u64)
}

#[derive(sqlx::FromRow)]
struct Transaction {
    id: Uuid,
    kind: String,
    corrects: Option<Uuid>,
    actor: String,
    reason: String,
    content_hash: Vec<u8>,
    created_at: i64,
}

/// Returns how many there are.
async fn transactions(conn: &mut Conn, look: Look<'_>) -> Result<u64, StoreError> {
    let uneven: Vec<(Uuid, i64, i64)> = on!(*conn, ENTRIES => _, (q, c) => q.fetch_all(c).await)?;
    for (id, high, low) in uneven {
        let what = format!("its entries sum to {} USD", sum_exact(whole(high, low)));
        look(AuditFault { table: "ledger_transactions", row: id.to_string(), what });
    }
    let uneven: Vec<(Uuid, Uuid, i64, i64)> =
        on!(*conn, BATCHES => _, (q, c) => q.fetch_all(c).await)?;
    for (id, account, high, low) in uneven {
        let sum = sum_exact(whole(high, low));
        let what = format!("on account {account} it has {sum} USD more than its receipts say");
        look(AuditFault { table: "ledger_transactions", row: id.to_string(), what });
    }
    let (mut seen, mut after) = (0, Uuid::nil());
    loop {
        let page: Vec<Transaction> =
            on!(*conn, TRANSACTIONS => _, (q, c) => q.bind(after).fetch_all(c).await)?;
        let Some(last) = page.last() else { return Ok(seen) };
        let entries: Vec<(Uuid, Uuid, i64)> =
            on!(*conn, LINES => _, (q, c) => q.bind(after).bind(last.id).fetch_all(c).await)?;
        after = last.id;
        let mut lines: HashMap<Uuid, Vec<(Uuid, i64)>> = HashMap::new();
        for (id, account, amount) in entries {
            lines.entry(id).or_default().push((account, amount));
        }
        for transaction in page {
            seen += 1;
            let lines = lines.remove(&transaction.id).unwrap_or_default();
            if !transaction.is_intact(lines) {
                let what = "it is not what was written".to_owned();
                let row = transaction.id.to_string();
                look(AuditFault { table: "ledger_transactions", row, what });
            }
        }
    }
}

impl Transaction {
    /// Whether it is what was hashed. SQL cannot hash: what a migration has written is checked by its receipts alone.
    fn is_intact(&self, lines: Vec<(Uuid, i64)>) -> bool {
        let post = Post {
            id: self.id,
            kind: &self.kind,
            corrects: self.corrects,
            actor: &self.actor,
            reason: &self.reason,
            at: self.created_at,
            lines,
        };
        self.kind == "opening" || post.hash() == self.content_hash
    }
}
