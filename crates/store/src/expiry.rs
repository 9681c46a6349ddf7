//! Credit that expires. What replicas hold at its moment is of what ends first: so much of it stays until that is spent or given
//! back. The rest is taken off by whoever sees it first, before anything is set aside.

use ledger::Usd;
use serde_json::json;
use uuid::Uuid;

use crate::accounts::{self, CASH, PROMO, Post};
use crate::covered::Covered;
use crate::credit::{USE, shift};
use crate::engine::{Conn, Sql};
use crate::proof::Digest;
use crate::{Actor, Store, StoreError, acts, again};

/// Those that were not seen yet before those of which something is still held.
const EXPIRED: Sql = sql!(
    "SELECT account_id FROM tollgate.credit_grants WHERE remaining > 0 AND expires_at <= $1 ",
    "GROUP BY account_id ORDER BY MIN(CASE WHEN ended = TRUE THEN 1 ELSE 0 END), account_id LIMIT 100"
);
const ENDS: Sql = sql!(
    "SELECT CAST(COALESCE(SUM(CASE WHEN expires_at <= $2 THEN remaining ELSE 0 END), 0) AS BIGINT), ",
    "MIN(CASE WHEN expires_at > $2 THEN expires_at END) FROM tollgate.credit_grants ",
    "WHERE account_id = $1 AND remaining > 0"
);
const END: Sql = sql!(
    "UPDATE tollgate.credit_grants SET ended = TRUE ",
    "WHERE account_id = $1 AND remaining > 0 AND expires_at <= $2 AND ended = FALSE"
);
const MARK: Sql = sql!(
    "UPDATE tollgate.slices SET stale = granted - spent, stale_at = (SELECT MAX(expires_at) ",
    "FROM tollgate.credit_grants WHERE account_id = $1 AND remaining > 0 AND ended = TRUE) ",
    "WHERE scope_id = $1 AND period_start = 0 AND closed_at IS NULL"
);
const STALE: Sql = sql!(
    "SELECT CAST(COALESCE(SUM(CASE WHEN stale < granted - spent THEN stale ELSE granted - spent END), 0) AS BIGINT) ",
    "FROM tollgate.slices WHERE scope_id = $1 AND period_start = 0 AND closed_at IS NULL"
);
/// What ends first is used first, and so stays longest.
const ENDED: Sql = sql!(
    "SELECT id, source, remaining FROM tollgate.credit_grants ",
    "WHERE account_id = $1 AND remaining > 0 AND ended = TRUE ",
    "ORDER BY expires_at DESC, created_at DESC, id DESC"
);

/// What of an account's credit has expired at a moment and is not taken off yet, and when the next does.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) ended: i64,
    pub(crate) next: Option<i64>,
}

/// What was taken off.
#[derive(Default)]
struct Off {
    total: i64,
    rows: Vec<Covered>,
}

impl Store {
    /// Takes off credit that has expired, as far as nobody holds it, and returns how much. The rest goes when it is free.
    pub async fn expire_credit(&self, now: i64) -> Result<Usd, StoreError> {
        again(|| async {
            let mut conn = self.begin().await?;
            let mut accounts: Vec<(Uuid,)> =
                on!(conn, EXPIRED => _, (q, c) => q.bind(now).fetch_all(c).await)?;
            if accounts.is_empty() {
                return Ok(Usd::ZERO);
            }
            acts::hold(&mut conn).await?;
            // In the order in which all lock several.
            accounts.sort_unstable();
            let mut off = Off::default();
            for (account,) in accounts {
                end(&mut conn, account, now, &mut off).await?;
            }
            let total = Usd::from_pico(off.total);
            self.note(&mut conn, off, now).await?;
            conn.commit().await?;
            Ok(total)
        })
        .await
    }

    /// Takes off what of an account's credit has expired and nobody holds. Nobody else moves the account before the end of the
    /// transaction, of which the first was [`acts::hold`].
    pub(crate) async fn end_credit(
        &self,
        conn: &mut Conn,
        account: Uuid,
        now: i64,
    ) -> Result<(), StoreError> {
        let mut off = Off::default();
        end(conn, account, now, &mut off).await?;
        self.note(conn, off, now).await
    }

    async fn note(&self, conn: &mut Conn, off: Off, now: i64) -> Result<(), StoreError> {
        let Off { total, rows } = off;
        if total == 0 {
            return Ok(());
        }
        let program = Actor { id: None, name: "tollgate".to_owned(), via: "program", at: now };
        let detail = json!({ "usd": Usd::from_pico(total).to_string(), "grants": rows.len() });
        self.by(program).wrote(conn, "credit.expire", "accounts", &detail, &rows).await
    }
}

pub(crate) async fn ends(conn: &mut Conn, account: Uuid, now: i64) -> Result<Ends, StoreError> {
    let (ended, next) =
        on!(*conn, ENDS => _, (q, c) => q.bind(account).bind(now).fetch_one(c).await)?;
    Ok(Ends { ended, next })
}

async fn end(conn: &mut Conn, account: Uuid, now: i64, off: &mut Off) -> Result<(), StoreError> {
    accounts::lock(conn, account).await?;
    // What is held now was not before, when other credit expired.
    take_off(conn, account, now, off).await?;
    let more = on!(*conn, END, (q, c) => {
        q.bind(account).bind(now).execute(c).await.map(|done| done.rows_affected())
    })?;
    if more > 0 {
        on!(*conn, MARK, (q, c) => q.bind(account).execute(c).await.map(drop))?;
        take_off(conn, account, now, off).await?;
    }
    Ok(())
}

/// Takes off what has ended and is not held. The account is locked.
async fn take_off(
    conn: &mut Conn,
    account: Uuid,
    now: i64,
    off: &mut Off,
) -> Result<(), StoreError> {
    let ended: Vec<(Uuid, String, i64)> =
        on!(*conn, ENDED => _, (q, c) => q.bind(account).fetch_all(c).await)?;
    if ended.is_empty() {
        return Ok(());
    }
    let (stale,): (i64,) = on!(*conn, STALE => _, (q, c) => q.bind(account).fetch_one(c).await)?;
    let known = accounts::balance(conn, account).await?;
    let sum = ended.iter().fold(0_i64, |sum, (_, _, remaining)| sum.saturating_add(*remaining));
    // Nor does anybody come to owe anything because credit expires that is just being spent.
    let mut rest =
        sum.saturating_sub(stale).min(known.posted.pico().saturating_sub(known.leased.pico()));
    for (grant, source, remaining) in ended {
        let part = remaining.min(rest);
        if part <= 0 {
            break;
        }
        rest -= part;
        on!(*conn, USE, (q, c) => q.bind(part).bind(grant).execute(c).await.map(drop))?;
        shift(conn, account, part.saturating_neg()).await?;
        let house = if source == "promo" { PROMO } else { CASH };
        let post = Post {
            id: expiry_id(grant, now, remaining),
            kind: "expire",
            corrects: Some(grant),
            actor: "tollgate",
            reason: "expired",
            at: now,
            lines: accounts::between(account, house, part.saturating_neg()),
        };
        post.write_new(conn).await?;
        off.rows.push(Covered::Transaction(post.id));
        off.total = off.total.saturating_add(part);
    }
    Ok(())
}

/// One id for each moment at which a grant expires, and each part of it: of two parts the second leaves less.
fn expiry_id(grant: Uuid, now: i64, remaining: i64) -> Uuid {
    Digest::of(b"expire").id(grant).number(now).number(remaining).finish_id()
}
