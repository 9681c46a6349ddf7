//! Credit: what is paid in, given and corrected.

use ledger::Usd;
use serde_json::json;
use uuid::Uuid;

use crate::accounts::{self, ABSORBED, CASH, PROMO, Post};
use crate::covered::Covered;
use crate::engine::{Conn, Sql};
use crate::{Store, StoreError, again};

const GRANT: Sql = sql!(
    "INSERT INTO tollgate.credit_grants (id, account_id, source, amount, remaining, expires_at, created_at) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7)"
);
const LEFT: Sql = sql!(
    "SELECT id, remaining, COALESCE(expires_at, 9223372036854775807) AS expires_at ",
    "FROM tollgate.credit_grants WHERE account_id = $1 AND remaining > 0 ",
    "ORDER BY COALESCE(expires_at, 9223372036854775807), created_at, id"
);
pub(crate) const USE: Sql =
    sql!("UPDATE tollgate.credit_grants SET remaining = remaining - $1 WHERE id = $2");
/// Of what was paid, and not given: first that of one payment.
const LEFT_PAID: Sql = sql!(
    "SELECT id, remaining FROM tollgate.credit_grants WHERE account_id = $1 AND remaining > 0 ",
    "AND source = 'paid' ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END, ",
    "COALESCE(expires_at, 9223372036854775807), created_at, id"
);
const GIVEN: Sql = sql!(
    "SELECT CAST(COALESCE(SUM(remaining), 0) AS BIGINT) FROM tollgate.credit_grants ",
    "WHERE account_id = $1 AND source = 'promo'"
);
const CORRECTED: Sql = sql!(
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM tollgate.ledger_entries WHERE tx_id = $1 AND account_id = $2) ",
    "OR EXISTS (SELECT 1 FROM tollgate.receipts WHERE request_id = $1 AND account_id = $2)"
);
/// What an account was charged by that transaction or request, and what of it was taken back before.
const CHARGED: Sql = sql!(
    "SELECT CAST(COALESCE((SELECT SUM(charge) FROM tollgate.receipts WHERE request_id = $1 AND account_id = $2), ",
    "(SELECT -SUM(amount) FROM tollgate.ledger_entries WHERE tx_id = $1 AND account_id = $2), 0) AS BIGINT), ",
    "CAST(COALESCE((SELECT SUM(e.amount) FROM tollgate.ledger_transactions t ",
    "JOIN tollgate.ledger_entries e ON e.tx_id = t.id AND e.account_id = $2 ",
    "WHERE t.corrects = $1 AND t.kind = 'credit_note' AND t.id <> $3), 0) AS BIGINT)"
);
/// What was paid by that transaction, and what of it was paid out before.
const PAID: Sql = sql!(
    "SELECT CAST(COALESCE((SELECT SUM(e.amount) FROM tollgate.ledger_transactions t ",
    "JOIN tollgate.ledger_entries e ON e.tx_id = t.id AND e.account_id = $2 ",
    "WHERE t.id = $1 AND t.kind = 'top_up'), 0) AS BIGINT), ",
    "CAST(COALESCE((SELECT -SUM(e.amount) FROM tollgate.ledger_transactions t ",
    "JOIN tollgate.ledger_entries e ON e.tx_id = t.id AND e.account_id = $2 ",
    "WHERE t.corrects = $1 AND t.kind = 'refund' AND t.id <> $3), 0) AS BIGINT)"
);
const MOVE: Sql = sql!(
    "UPDATE tollgate.ledger_accounts SET posted = posted + $1 ",
    "WHERE id = $2 AND kind = 'customer' AND (prepaid = FALSE OR posted + $1 - leased >= floor)"
);

/// Where credit comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum CreditSource {
    /// It was paid for.
    Paid,
    /// It is a gift.
    Promo,
}

/// Credit to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCredit {
    /// The act: done again with the same content, it does nothing.
    pub id: Uuid,
    /// Whose.
    pub account_id: Uuid,
    /// More than nothing.
    pub amount: Usd,
    /// Where it comes from.
    pub source: CreditSource,
    /// When what is left of it is gone, microseconds since 1970.
    pub expires_at: Option<i64>,
    /// Who does it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Microseconds since 1970.
    pub at: i64,
}

/// What a correction is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum AdjustmentKind {
    /// The house takes a charge back.
    CreditNote,
    /// The house corrects itself.
    Adjustment,
    /// Money was paid out.
    Refund,
}

/// A correction: an entry of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// The act: done again with the same content, it does nothing.
    pub id: Uuid,
    /// Whose account.
    pub account_id: Uuid,
    /// What the account gets; negative: what is taken.
    pub amount: Usd,
    /// What it is.
    pub kind: AdjustmentKind,
    /// The transaction, or the request of a receipt, that it corrects.
    pub corrects: Option<Uuid>,
    /// Who does it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Microseconds since 1970.
    pub at: i64,
}

/// How the audit log names an account.
fn target(account: Uuid) -> String {
    format!("account {account}")
}

impl Store {
    /// Adds credit to an account; false where that was done before.
    pub async fn add_credit(&self, new: NewCredit) -> Result<bool, StoreError> {
        let (kind, source, house) = match new.source {
            CreditSource::Paid => ("top_up", "paid", CASH),
            CreditSource::Promo => ("promo", "promo", PROMO),
        };
        let amount = new.amount.pico();
        if amount <= 0 {
            return Err(StoreError::OutOfRange { what: "credit" });
        }
        again(|| async {
            let mut conn = self.begin_act().await?;
            let before = accounts::lock(&mut conn, new.account_id).await?.posted;
            // What is owed is paid at once: that part is used up, and does not expire.
            let left = before.pico().min(0).saturating_add(amount).max(0);
            let post = Post {
                id: new.id,
                kind,
                corrects: None,
                actor: &new.actor,
                reason: &new.reason,
                at: new.at,
                lines: accounts::between(new.account_id, house, amount),
            };
            if !post.write(&mut conn).await? {
                return Ok(false);
            }
            on!(conn, GRANT, (q, c) => {
                let q = q.bind(new.id).bind(new.account_id).bind(source).bind(amount).bind(left);
                q.bind(new.expires_at).bind(new.at).execute(c).await.map(drop)
            })?;
            shift(&mut conn, new.account_id, amount).await?;
            let detail = json!({ "usd": new.amount.to_string(), "reason": new.reason });
            let rows = [Covered::Transaction(new.id), Covered::Grant(new.id)];
            self.wrote(&mut conn, "credit.add", &target(new.account_id), &detail, &rows).await?;
            conn.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Corrects an account; false where that was done before.
    ///
    /// # Errors
    /// [`StoreError::TooLittle`] where more is taken than is available; [`StoreError::NotFound`] where what it corrects is
    /// nothing of that account's.
    pub async fn adjust(&self, new: Adjustment) -> Result<bool, StoreError> {
        let (kind, house) = match new.kind {
            AdjustmentKind::CreditNote => ("credit_note", ABSORBED),
            AdjustmentKind::Adjustment => ("adjustment", ABSORBED),
            AdjustmentKind::Refund => ("refund", CASH),
        };
        let amount = new.amount.pico();
        let is_sensible = match new.kind {
            AdjustmentKind::CreditNote => amount > 0,
            AdjustmentKind::Adjustment => amount != 0,
            AdjustmentKind::Refund => amount < 0,
        };
        if !is_sensible {
            return Err(StoreError::OutOfRange { what: "correction" });
        }
        again(|| async {
            let mut conn = self.begin_act().await?;
            accounts::lock(&mut conn, new.account_id).await?;
            check_corrected(&mut conn, &new).await?;
            let post = Post {
                id: new.id,
                kind,
                corrects: new.corrects,
                actor: &new.actor,
                reason: &new.reason,
                at: new.at,
                lines: accounts::between(new.account_id, house, amount),
            };
            if !post.write(&mut conn).await? {
                return Ok(false);
            }
            shift(&mut conn, new.account_id, amount).await?;
            match new.corrects {
                _ if amount > 0 => {}
                Some(paid) if new.kind == AdjustmentKind::Refund => {
                    pay_out(&mut conn, new.account_id, amount.saturating_neg(), paid).await?;
                }
                _ => {
                    let left = &mut left(&mut conn, new.account_id).await?;
                    consume(&mut conn, left, amount.saturating_neg(), new.at).await?;
                }
            }
            let detail = json!({
                "kind": kind, "usd": new.amount.to_string(), "corrects": new.corrects,
                "reason": new.reason,
            });
            let (target, row) = (target(new.account_id), [Covered::Transaction(new.id)]);
            self.wrote(&mut conn, "credit.adjust", &target, &detail, &row).await?;
            conn.commit().await?;
            Ok(true)
        })
        .await
    }
}

/// What an adjustment corrects has to be something of that account's.
async fn check_corrected(conn: &mut Conn, new: &Adjustment) -> Result<(), StoreError> {
    let Some(corrects) = new.corrects else { return Ok(()) };
    let known = on!(*conn, CORRECTED, (q, c) => {
        let q = q.bind(corrects).bind(new.account_id);
        q.fetch_optional(c).await.map(|row| row.is_some())
    })?;
    if !known {
        return Err(StoreError::NotFound { what: "transaction or request of that account" });
    }
    let (most, done, to_be) = match new.kind {
        AdjustmentKind::CreditNote => (CHARGED, "charged", "taken back"),
        AdjustmentKind::Refund => (PAID, "paid", "paid out"),
        AdjustmentKind::Adjustment => return Ok(()),
    };
    let (sum, before): (i64, i64) = on!(*conn, most => _, (q, c) => {
        q.bind(corrects).bind(new.account_id).bind(new.id).fetch_one(c).await
    })?;
    let left = sum.saturating_sub(before).max(0);
    if new.amount.pico().saturating_abs() > left {
        let left = Usd::from_pico(left);
        let what = format!("of what was {done} there {left} USD are left to be {to_be}");
        return Err(StoreError::TooLittle { what });
    }
    Ok(())
}

/// Moves an account's balance, where its floor allows that.
pub(crate) async fn shift(conn: &mut Conn, account: Uuid, amount: i64) -> Result<(), StoreError> {
    let posted = accounts::balance(conn, account).await?.posted;
    if posted.pico().checked_add(amount).is_none() {
        return Err(StoreError::OutOfRange { what: "balance" });
    }
    let moved = on!(*conn, MOVE, (q, c) => {
        q.bind(amount).bind(account).execute(c).await.map(|done| done.rows_affected())
    })?;
    if moved == 1 {
        return Ok(());
    }
    let free = Usd::from_pico(accounts::balance(conn, account).await?.free());
    let what = format!("of the account's credit {free} USD are free");
    Err(StoreError::TooLittle { what })
}

/// Credit of which something is left.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Left {
    id: Uuid,
    remaining: i64,
    /// [`i64::MAX`] where it does not expire.
    pub(crate) expires_at: i64,
}

/// What is left of an account's credit: what expires first, then the oldest. The account has to be locked by the transaction, as
/// whoever has moved its balance has done.
pub(crate) async fn left(conn: &mut Conn, account: Uuid) -> Result<Vec<Left>, StoreError> {
    Ok(on!(*conn, LEFT => Left, (q, c) => q.bind(account).fetch_all(c).await)?)
}

/// Notes which of it was used up by what began at `at`, in its order; what had expired by then only where nothing else is left.
pub(crate) async fn consume(
    conn: &mut Conn,
    left: &mut [Left],
    amount: i64,
    at: i64,
) -> Result<(), StoreError> {
    let (expired, good): (Vec<_>, Vec<_>) = left.iter_mut().partition(|one| one.expires_at <= at);
    let mut order: Vec<&mut Left> = good.into_iter().chain(expired).collect();
    let grants = order.iter().map(|one| (one.id, one.remaining)).collect();
    for (one, used) in order.iter_mut().zip(take(conn, grants, amount).await?) {
        one.remaining -= used;
    }
    Ok(())
}

/// Notes which credit was paid out: of the payment that is named, then of others. What was given is never paid out.
async fn pay_out(
    conn: &mut Conn,
    account: Uuid,
    amount: i64,
    payment: Uuid,
) -> Result<(), StoreError> {
    let (given,): (i64,) = on!(*conn, GIVEN => _, (q, c) => q.bind(account).fetch_one(c).await)?;
    let posted = accounts::balance(conn, account).await?.posted.pico();
    if given > 0 && posted < given {
        let left = Usd::from_pico(posted.saturating_add(amount).saturating_sub(given).max(0));
        let what = format!("of what was paid {left} USD are left: the rest was given");
        return Err(StoreError::TooLittle { what });
    }
    let left: Vec<(Uuid, i64)> =
        on!(*conn, LEFT_PAID => _, (q, c) => q.bind(account).bind(payment).fetch_all(c).await)?;
    take(conn, left, amount).await.map(drop)
}

/// Takes an amount off grants, one after the other, as far as they go, and returns how much off each.
async fn take(
    conn: &mut Conn,
    grants: Vec<(Uuid, i64)>,
    mut amount: i64,
) -> Result<Vec<i64>, StoreError> {
    let mut taken = Vec::new();
    for (grant, remaining) in grants {
        let used = remaining.min(amount).max(0);
        taken.push(used);
        if used > 0 {
            on!(*conn, USE, (q, c) => q.bind(used).bind(grant).execute(c).await.map(drop))?;
            amount -= used;
        }
    }
    Ok(taken)
}
