//! What pages for people are made of: receipts by account, key and model; a person's own sums; sessions.

use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::row::Row;
use crate::statements::Batched;
use crate::{Cursor, Key, Rollup, SecretHash, Session, Store, StoreError, Stored, Whose, rollups};
use ledger::Receipt;

/// How many receipts of one user are looked through for a page: those that a filter leaves out are soon many.
const LOOKED_AT: i64 = 20_000;
/// How many are looked through at first.
const AT_FIRST: i64 = 200;
/// Microseconds.
const DAY: i64 = 86_400_000_000;

const USERS_OF_ACCOUNT: Sql =
    sql!("SELECT DISTINCT user_id FROM tollgate.api_keys WHERE account_id = $1");
const LAST_DAY: Sql = sql!(
    "SELECT MAX(day) FROM tollgate.rollups WHERE grain = $1 AND id = $2 AND day <= $3 AND (item = $4 OR $4 = '')"
);
const FOUND: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    " FROM (SELECT * FROM tollgate.receipts WHERE user_id = $1 AND (started_at, request_id, attempt) < ($2, $3, $4) ",
    "ORDER BY started_at DESC, request_id DESC, attempt DESC LIMIT $5) AS looked ",
    "WHERE account_id = $6 AND (key_id = $7 OR $7 IS NULL) AND (provider || '/' || model = $8 OR $8 = '') ",
    "ORDER BY started_at DESC, request_id DESC, attempt DESC LIMIT $9"
);
const END_OF_LOOK: Sql = sql!(
    "SELECT started_at, request_id, attempt FROM tollgate.receipts ",
    "WHERE user_id = $1 AND (started_at, request_id, attempt) < ($2, $3, $4) ",
    "ORDER BY started_at DESC, request_id DESC, attempt DESC LIMIT 1 OFFSET $5"
);
const OF_REQUEST: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    ", batch_id FROM tollgate.receipts WHERE request_id = $1 ORDER BY attempt"
);
const OF_KEYS: Sql = sql!(
    "SELECT id, day, item, ",
    rollup_columns!(),
    " FROM tollgate.rollups WHERE grain = 'key' AND day >= $3 AND day < $4 AND id IN ",
    "(SELECT id FROM tollgate.api_keys WHERE user_id = $1 AND account_id = $2) ORDER BY day, item"
);
const NAMED: Sql = sql!(
    "SELECT id FROM tollgate.api_keys WHERE user_id = $1 AND account_id = $2 AND name = $3 ",
    "AND revoked_at IS NULL ORDER BY id LIMIT 1"
);
const SESSIONS: Sql = sql!(
    "SELECT hash, user_id, created_at, seen_at, expires_at FROM tollgate.sessions ",
    "WHERE user_id = $1 AND expires_at > $2 ORDER BY seen_at DESC LIMIT 100"
);
const END_OF_USER: Sql = sql!("DELETE FROM tollgate.sessions WHERE hash = $1 AND user_id = $2");
const IDENTITIES: Sql = sql!(
    "SELECT issuer, subject, created_at FROM tollgate.identities WHERE user_id = $1 ORDER BY issuer, subject"
);

/// Which receipts of an account are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptFilter {
    /// The account that has paid.
    pub account_id: Uuid,
    /// Only what that user has asked for.
    pub user_id: Option<Uuid>,
    /// Only with that key.
    pub key_id: Option<Uuid>,
    /// Only of that `provider/model`; an empty text is any.
    pub item: String,
}

/// A page of receipts, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptPage {
    /// The receipts.
    pub receipts: Vec<Receipt>,
    /// Where to go on; none at the end. A page may have little or nothing and yet not be the last.
    pub next: Option<Cursor>,
}

/// Who somebody is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Identity {
    /// The issuer of tokens.
    pub issuer: String,
    /// The name there.
    pub subject: String,
    /// Microseconds since 1970.
    pub created_at: i64,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    hash: Vec<u8>,
    #[sqlx(flatten)]
    session: Session,
}

impl Store {
    /// A page of an account's receipts, newest first, `limit` at most of those after `after`. It looks through so many
    /// and no more, whatever the filter leaves out.
    pub async fn receipts_page(
        &self,
        filter: &ReceiptFilter,
        after: Option<Cursor>,
        limit: u16,
    ) -> Result<ReceiptPage, StoreError> {
        let mut conn = self.read().await?;
        let users: Vec<(Uuid,)> = match filter.user_id {
            Some(user) => vec![(user,)],
            None => on!(conn, USERS_OF_ACCOUNT => _, (q, c) => {
                q.bind(filter.account_id).fetch_all(c).await
            })?,
        };
        let newest = Cursor { started_at: i64::MAX, request_id: Uuid::max(), attempt: i16::MAX };
        let after = last_use(&mut conn, filter, after.unwrap_or(newest)).await?;
        let Some(after) = after else { return Ok(ReceiptPage::default()) };
        let wanted = i64::from(limit).saturating_add(1);
        let mut receipts = Vec::new();
        let mut end: Option<Cursor> = None;
        for (user,) in users {
            let looked = look(&mut conn, filter, user, after, wanted).await?;
            receipts.extend(looked.receipts);
            // What is older than the place to which one was looked through belongs on the next page.
            end = end.max_by_place(looked.next);
        }
        receipts.sort_by_key(|receipt| std::cmp::Reverse(place(&Cursor::of(receipt))));
        if let Some(end) = end {
            receipts.retain(|receipt| place(&Cursor::of(receipt)) >= place(&end));
        }
        if receipts.len() > usize::from(limit) {
            receipts.truncate(usize::from(limit));
            end = receipts.last().map(Cursor::of);
        }
        Ok(ReceiptPage { receipts, next: end })
    }

    /// The receipts of one request as they are stored, one per attempt.
    pub async fn stored_of_request(&self, request_id: Uuid) -> Result<Vec<Stored>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Batched> =
            on!(conn, OF_REQUEST => _, (q, c) => q.bind(request_id).fetch_all(c).await)?;
        rows.into_iter().map(Batched::stored).collect()
    }

    /// The sums of all keys of a user that spend from an account, over days from `from` on and before `to`.
    pub async fn rollups_of_keys(
        &self,
        user_id: Uuid,
        account_id: Uuid,
        (from, to): (i64, i64),
    ) -> Result<Vec<Rollup>, StoreError> {
        let mut conn = self.read().await?;
        rollups::read(on!(conn, OF_KEYS => _, (q, c) => {
            q.bind(user_id).bind(account_id).bind(from).bind(to).fetch_all(c).await
        })?)
    }

    /// The oldest key of that name that a user has to an account.
    pub async fn key_named(
        &self,
        user_id: Uuid,
        account_id: Uuid,
        name: &str,
    ) -> Result<Option<Key>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<(Uuid,)> = on!(conn, NAMED => _, (q, c) => {
            q.bind(user_id).bind(account_id).bind(name).fetch_optional(c).await
        })?;
        drop(conn);
        match row {
            Some((id,)) => self.key(Whose::UsersOfAccount(user_id, account_id), id).await.map(Some),
            None => Ok(None),
        }
    }

    /// The browsers in which a user is signed in, those that were used last first.
    pub async fn sessions_of(
        &self,
        user_id: Uuid,
        at: i64,
    ) -> Result<Vec<(SecretHash, Session)>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<SessionRow> =
            on!(conn, SESSIONS => _, (q, c) => q.bind(user_id).bind(at).fetch_all(c).await)?;
        let known = |row: SessionRow| Some((row.hash.try_into().ok()?, row.session));
        Ok(rows.into_iter().filter_map(known).collect())
    }

    /// Ends a session, which has to be that user's.
    pub async fn end_session_of(&self, user_id: Uuid, hash: SecretHash) -> Result<(), StoreError> {
        let mut conn = self.begin().await?;
        on!(conn, END_OF_USER, (q, c) => {
            q.bind(hash.to_vec()).bind(user_id).execute(c).await.map(drop)
        })?;
        conn.commit().await
    }

    /// Who a user is elsewhere.
    pub async fn identities_of(&self, user_id: Uuid) -> Result<Vec<Identity>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, IDENTITIES => _, (q, c) => q.bind(user_id).fetch_all(c).await)?)
    }
}

/// The order of receipts.
const fn place(cursor: &Cursor) -> (i64, u128, i16) {
    (cursor.started_at, cursor.request_id.as_u128(), cursor.attempt)
}

/// The later of two places where a look has ended.
trait Later {
    fn max_by_place(self, other: Self) -> Self;
}

impl Later for Option<Cursor> {
    fn max_by_place(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) if place(&a) < place(&b) => Some(b),
            (None, b) => b,
            (a, _) => a,
        }
    }
}

/// Where a look may begin: not later than the end of the last day on which there is anything that the filter lets through.
async fn last_use(
    conn: &mut Conn,
    filter: &ReceiptFilter,
    after: Cursor,
) -> Result<Option<Cursor>, StoreError> {
    let (grain, id) = match filter.key_id {
        Some(key) => ("key", key),
        None => ("account", filter.account_id),
    };
    let day = after.started_at / DAY;
    let (last,): (Option<i64>,) = on!(*conn, LAST_DAY => _, (q, c) => {
        q.bind(grain).bind(id).bind(day).bind(&filter.item).fetch_one(c).await
    })?;
    let Some(last) = last else { return Ok(None) };
    let started_at = last.saturating_add(1).saturating_mul(DAY);
    let end_of_day = Cursor { started_at, request_id: Uuid::nil(), attempt: 0 };
    Ok(Some(if place(&end_of_day) < place(&after) { end_of_day } else { after }))
}

/// Looks through a user's receipts, at few and then at more of them.
async fn look(
    conn: &mut Conn,
    filter: &ReceiptFilter,
    user: Uuid,
    after: Cursor,
    wanted: i64,
) -> Result<ReceiptPage, StoreError> {
    let mut looked_at = AT_FIRST.max(wanted);
    loop {
        let rows: Vec<Row> = on!(*conn, FOUND => _, (q, c) => {
            let q = q.bind(user).bind(after.started_at).bind(after.request_id);
            let q = q.bind(i64::from(after.attempt)).bind(looked_at).bind(filter.account_id);
            q.bind(filter.key_id).bind(&filter.item).bind(wanted).fetch_all(c).await
        })?;
        let enough = i64::try_from(rows.len()).is_ok_and(|found| found >= wanted);
        let mut next = None;
        if !enough {
            let end: Option<(i64, Uuid, i64)> = on!(*conn, END_OF_LOOK => _, (q, c) => {
                let q = q.bind(user).bind(after.started_at).bind(after.request_id);
                let q = q.bind(i64::from(after.attempt)).bind(looked_at.saturating_sub(1));
                q.fetch_optional(c).await
            })?;
            next = end.map(|(started_at, request_id, attempt)| Cursor {
                started_at,
                request_id,
                attempt: i16::try_from(attempt).unwrap_or(i16::MAX),
            });
        }
        if enough || next.is_none() || looked_at >= LOOKED_AT {
            let receipts = rows.into_iter().map(Row::receipt).collect::<Result<_, _>>()?;
            return Ok(ReceiptPage { receipts, next });
        }
        looked_at = looked_at.saturating_mul(10).min(LOOKED_AT);
    }
}
