//! The double-entry ledger: transactions whose lines sum to zero, written once.

use ledger::Usd;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::covered::Covered;
use crate::engine::{Conn, Sql};
use crate::{Period, Store, StoreError, expiry};

/// What providers are owed.
pub(crate) const COST: Uuid = Uuid::from_u128(1);
/// What the commission has brought.
pub(crate) const COMMISSION: Uuid = Uuid::from_u128(2);
/// What customers have paid in.
pub(crate) const CASH: Uuid = Uuid::from_u128(3);
/// What was given away.
pub(crate) const PROMO: Uuid = Uuid::from_u128(4);
/// What the house pays because nobody else does.
pub(crate) const ABSORBED: Uuid = Uuid::from_u128(5);

const OPEN: Sql = sql!(
    "INSERT INTO tollgate.ledger_accounts (id, kind, prepaid, posted, leased, floor) ",
    "VALUES ($1, 'customer', $2, 0, 0, 0) ON CONFLICT (id) DO NOTHING"
);
const BALANCE: Sql = sql!(
    "SELECT prepaid, posted, leased, floor FROM tollgate.ledger_accounts WHERE id = $1 AND kind = 'customer'"
);
const LOCK: Sql = locking!(
    "FOR NO KEY UPDATE",
    "SELECT prepaid, posted, leased, floor FROM tollgate.ledger_accounts WHERE id = $1 AND kind = 'customer'"
);
const SET: Sql = sql!("UPDATE tollgate.ledger_accounts SET prepaid = $1, floor = $2 WHERE id = $3");
const TRANSACTION: Sql = sql!(
    "INSERT INTO tollgate.ledger_transactions ",
    "(id, kind, corrects, actor, reason, content_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ",
    "ON CONFLICT (id) DO NOTHING"
);
const HASH: Sql = sql!("SELECT content_hash FROM tollgate.ledger_transactions WHERE id = $1");
const ENTRY: Sql = sql!(
    "INSERT INTO tollgate.ledger_entries (tx_id, line, account_id, amount) VALUES ($1, $2, $3, $4)"
);
const OF_ACCOUNT: Sql = sql!(
    "SELECT t.id, t.kind, CAST(SUM(e.amount) AS BIGINT) AS amount, t.corrects, t.actor, t.reason, t.created_at ",
    "FROM tollgate.ledger_entries e JOIN tollgate.ledger_transactions t ON t.id = e.tx_id ",
    "WHERE e.account_id = $1 AND (t.created_at, t.id) < ($2, $3) ",
    "GROUP BY t.id, t.kind, t.corrects, t.actor, t.reason, t.created_at ",
    "ORDER BY t.created_at DESC, t.id DESC LIMIT $4"
);

const CORRECTIONS: Sql = sql!(
    "SELECT t.id, t.kind, CAST(SUM(e.amount) AS BIGINT) AS amount, t.corrects, t.actor, t.reason, t.created_at ",
    "FROM tollgate.ledger_entries e JOIN tollgate.ledger_transactions t ON t.id = e.tx_id ",
    "WHERE e.account_id = $1 AND t.kind IN ('credit_note', 'adjustment', 'absorb') AND t.created_at >= $2 AND t.created_at < $3 ",
    "GROUP BY t.id, t.kind, t.corrects, t.actor, t.reason, t.created_at ORDER BY t.created_at, t.id"
);

/// What a customer has.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Whether the account spends only what was put into it.
    pub prepaid: bool,
    /// What is left; negative: what is owed.
    pub posted: Usd,
    /// What of it replicas hold.
    pub leased: Usd,
    /// How far it may go; negative: an agreed credit line.
    pub floor: Usd,
}

impl Balance {
    /// How far what nobody holds is above `floor`.
    fn above(&self, floor: Usd) -> i128 {
        let [posted, leased, floor] = [self.posted, self.leased, floor].map(Usd::pico);
        i128::from(posted) - i128::from(leased) - i128::from(floor)
    }

    /// What may still be set aside or charged; negative where a floor was raised above that.
    pub(crate) fn free(&self) -> i64 {
        let free = self.above(self.floor);
        i64::try_from(free).unwrap_or(if free < 0 { i64::MIN } else { i64::MAX })
    }
}

/// A transaction as one account sees it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Transaction {
    /// The transaction.
    pub id: Uuid,
    /// What it was: `usage`, `top_up`, `promo`, `expire`, `credit_note`, `adjustment`, `refund`, `absorb`, `opening`.
    pub kind: String,
    /// What it did to the account, in pico-dollars: positive is credit.
    pub amount: i64,
    /// The transaction, or the request of a receipt, that it corrects.
    pub corrects: Option<Uuid>,
    /// Who did it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Microseconds since 1970.
    pub created_at: i64,
}

impl Store {
    /// What a customer has at a moment: not what has expired by then, although it may not be taken off yet.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such account.
    pub async fn balance(&self, account_id: Uuid, now: i64) -> Result<Balance, StoreError> {
        let mut conn = self.read.snapshot().await?;
        let known = balance(&mut conn, account_id).await?;
        let ends = expiry::ends(&mut conn, account_id, now).await?;
        let posted = Usd::from_pico(known.posted.pico().saturating_sub(ends.ended));
        Ok(Balance { posted, ..known })
    }

    /// Says whether an account pays first, and how far it may go. Its replicas hear of it.
    ///
    /// # Errors
    /// [`StoreError::TooLittle`] where it owes more than that.
    pub async fn set_prepaid(
        &self,
        account_id: Uuid,
        prepaid: bool,
        floor: Usd,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let now = lock(&mut conn, account_id).await?;
        if prepaid && now.above(floor) < 0 {
            let what = format!("the account's balance is {} USD; add credit first", now.posted);
            return Err(StoreError::TooLittle { what });
        }
        on!(conn, SET, (q, c) => {
            q.bind(prepaid).bind(floor.pico()).bind(account_id).execute(c).await.map(drop)
        })?;
        let detail = json!({ "prepaid": prepaid, "floor_usd": floor.to_string() });
        let (target, row) = (format!("account {account_id}"), [Covered::Account(account_id)]);
        self.wrote(&mut conn, "account.pays", &target, &detail, &row).await?;
        conn.commit().await
    }

    /// What corrects the charges of an account in a period, oldest first: credit notes, adjustments, and what the house has
    /// paid because no credit was left for it.
    pub async fn corrections(
        &self,
        account_id: Uuid,
        period: Period,
    ) -> Result<Vec<Transaction>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, CORRECTIONS => _, (q, c) => {
            q.bind(account_id).bind(period.from).bind(period.to).fetch_all(c).await
        })?)
    }

    /// A page of an account's transactions, newest first: the first `limit` of those before `before`, a moment and an id.
    pub async fn transactions(
        &self,
        account_id: Uuid,
        before: Option<(i64, Uuid)>,
        limit: u16,
    ) -> Result<Vec<Transaction>, StoreError> {
        let (at, id) = before.unwrap_or((i64::MAX, Uuid::max()));
        let mut conn = self.read().await?;
        Ok(on!(conn, OF_ACCOUNT => _, (q, c) => {
            q.bind(account_id).bind(at).bind(id).bind(i64::from(limit)).fetch_all(c).await
        })?)
    }
}

/// Opens a customer's account, unless there is one.
pub(crate) async fn open(conn: &mut Conn, id: Uuid, prepaid: bool) -> Result<(), StoreError> {
    on!(*conn, OPEN, (q, c) => q.bind(id).bind(prepaid).execute(c).await.map(drop))?;
    Ok(())
}

pub(crate) async fn balance(conn: &mut Conn, account_id: Uuid) -> Result<Balance, StoreError> {
    read(conn, BALANCE, account_id).await
}

/// The balance, which nobody else moves before the end of the transaction.
pub(crate) async fn lock(conn: &mut Conn, account_id: Uuid) -> Result<Balance, StoreError> {
    read(conn, LOCK, account_id).await
}

async fn read(conn: &mut Conn, sql: Sql, account_id: Uuid) -> Result<Balance, StoreError> {
    let row: Option<(bool, i64, i64, i64)> =
        on!(*conn, sql => _, (q, c) => q.bind(account_id).fetch_optional(c).await)?;
    let (prepaid, posted, leased, floor) = row.ok_or(StoreError::NotFound { what: "account" })?;
    let [posted, leased, floor] = [posted, leased, floor].map(Usd::from_pico);
    Ok(Balance { prepaid, posted, leased, floor })
}

/// The two lines by which an account gets `amount` from another; negative: gives it.
pub(crate) fn between(account: Uuid, other: Uuid, amount: i64) -> Vec<(Uuid, i64)> {
    vec![(account, amount), (other, amount.saturating_neg())]
}

/// A transaction to be written.
#[derive(Clone, Debug)]
pub(crate) struct Post<'a> {
    pub(crate) id: Uuid,
    pub(crate) kind: &'a str,
    pub(crate) corrects: Option<Uuid>,
    pub(crate) actor: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) at: i64,
    /// Accounts and amounts, which sum to zero.
    pub(crate) lines: Vec<(Uuid, i64)>,
}

impl Post<'_> {
    /// SHA-256 of what it does, so that doing it twice is told from doing something else under the same id.
    pub(crate) fn hash(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(self.kind);
        hash.update(self.corrects.unwrap_or_default());
        for text in [self.actor, self.reason] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        // Of its lines those that are written.
        for (account, amount) in self.lines.iter().filter(|(_, amount)| *amount != 0) {
            hash.update(account);
            hash.update(amount.to_le_bytes());
        }
        hash.finalize().to_vec()
    }

    /// Writes one that cannot have been written before.
    ///
    /// # Errors
    /// [`StoreError::Done`] where it was.
    pub(crate) async fn write_new(&self, conn: &mut Conn) -> Result<(), StoreError> {
        if self.write(conn).await? { Ok(()) } else { Err(StoreError::Done { id: self.id }) }
    }

    /// Writes it; false where it was written before. Balances are moved by whoever calls.
    ///
    /// # Errors
    /// [`StoreError::Done`] where something else was done under its id.
    pub(crate) async fn write(&self, conn: &mut Conn) -> Result<bool, StoreError> {
        let sum: i128 = self.lines.iter().map(|(_, amount)| i128::from(*amount)).sum();
        if sum != 0 {
            return Err(StoreError::corrupt(format!(
                "transaction {}: its lines sum to {sum}",
                self.id
            )));
        }
        let hash = self.hash();
        let written = on!(*conn, TRANSACTION, (q, c) => {
            let q = q.bind(self.id).bind(self.kind).bind(self.corrects).bind(self.actor);
            let q = q.bind(self.reason).bind(&hash).bind(self.at);
            q.execute(c).await.map(|done| done.rows_affected())
        })?;
        if written == 0 {
            let (stored,): (Vec<u8>,) =
                on!(*conn, HASH => _, (q, c) => q.bind(self.id).fetch_one(c).await)?;
            return if stored == hash { Ok(false) } else { Err(StoreError::Done { id: self.id }) };
        }
        let lines = self.lines.iter().filter(|(_, amount)| *amount != 0);
        for ((account, amount), line) in lines.zip(1_i64..) {
            on!(*conn, ENTRY, (q, c) => {
                let q = q.bind(self.id).bind(line).bind(*account).bind(*amount);
                q.execute(c).await.map(drop)
            })?;
        }
        Ok(true)
    }
}
