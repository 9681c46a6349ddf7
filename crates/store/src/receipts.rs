//! Receipts: written once, in batches; read by page.

use ledger::Receipt;
use uuid::Uuid;

use crate::engine::{Conn, Insert, Sql};
use crate::row::{COLUMNS, Row};
use crate::{Store, StoreError};

const INTO: Sql = sql!("INSERT INTO tollgate.receipts (", receipt_columns!(), ")");
const HASH: Sql =
    sql!("SELECT content_hash FROM tollgate.receipts WHERE request_id = $1 AND attempt = $2");
const OF_REQUEST: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    " FROM tollgate.receipts WHERE request_id = $1 ORDER BY attempt"
);
const NEWEST_OF_USER: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    " FROM tollgate.receipts WHERE user_id = $1 AND (started_at, request_id, attempt) < ($2, $3, $4) ",
    "ORDER BY started_at DESC, request_id DESC, attempt DESC LIMIT $5"
);
const ALL_AFTER: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    " FROM tollgate.receipts WHERE (request_id, attempt) > ($1, $2) ",
    "ORDER BY request_id, attempt LIMIT $3"
);

/// How many receipts [`Store::for_each_receipt`] reads at a time.
const PAGE: i64 = 1_000;

/// The place of a receipt among those of its user: the next page begins after it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The `started_at` of the last receipt of the page before.
    pub started_at: i64,
    /// Its request.
    pub request_id: Uuid,
    /// Its attempt.
    pub attempt: i16,
}

impl Cursor {
    /// The place of `receipt`.
    pub const fn of(receipt: &Receipt) -> Self {
        Self {
            started_at: receipt.started_at,
            request_id: receipt.request_id,
            attempt: receipt.attempt,
        }
    }
}

pub(crate) fn insert() -> Insert {
    Insert::new(INTO, COLUMNS, " ON CONFLICT (request_id, attempt) DO NOTHING")
}

impl Store {
    /// Writes receipts and returns how many were new. One that is there already, with the same content, is no error:
    /// so a batch whose answer was lost may be sent again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where a receipt of that id has other content; some of the others may be written all the
    /// same. On any other error none is.
    pub async fn insert_receipts(&self, receipts: &[Receipt]) -> Result<usize, StoreError> {
        let rows: Vec<Row> = receipts.iter().map(Row::of).collect::<Result<_, _>>()?;
        // A single statement is a transaction by itself, and saves two round trips.
        let single = self.inserts.receipts.is_single(rows.len());
        let mut conn = if single { self.write.acquire().await? } else { self.begin().await? };
        let mut new = 0;
        let mut rest = rows.as_slice();
        while let Some(chunk) = self.inserts.receipts.chunk(rest.len()) {
            let (now, later) = rest.split_at(chunk.rows);
            let written = on!(conn, chunk, (q, c) => {
                let q = now.iter().fold(q, |q, row| row.bind(q));
                q.execute(c).await.map(|done| done.rows_affected())
            })?;
            new += written;
            if written != now.len() as u64 {
                same_or_conflict(&mut conn, now).await?;
            }
            rest = later;
        }
        conn.commit().await?;
        usize::try_from(new).map_err(|_| StoreError::OutOfRange { what: "number of rows" })
    }

    /// The receipts of one request, one per attempt.
    pub async fn receipts_of_request(&self, request_id: Uuid) -> Result<Vec<Receipt>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> =
            on!(conn, OF_REQUEST => _, (q, c) => q.bind(request_id).fetch_all(c).await)?;
        rows.into_iter().map(Row::receipt).collect()
    }

    /// A page of a user's receipts, newest first: the first `limit` of those after `after`.
    pub async fn receipts_of_user(
        &self,
        user_id: Uuid,
        after: Option<Cursor>,
        limit: u16,
    ) -> Result<Vec<Receipt>, StoreError> {
        let newest = Cursor { started_at: i64::MAX, request_id: Uuid::max(), attempt: i16::MAX };
        let after = after.unwrap_or(newest);
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, NEWEST_OF_USER => _, (q, c) => {
            let q = q.bind(user_id).bind(after.started_at);
            let q = q.bind(after.request_id).bind(i64::from(after.attempt));
            q.bind(i64::from(limit)).fetch_all(c).await
        })?;
        rows.into_iter().map(Row::receipt).collect()
    }

    /// Gives every receipt to `look`, in the order of their ids, and returns how many there were. A row that cannot be
    /// read, or whose content is not what was written, is given as the error, and the next one follows.
    ///
    /// It reads by page, so that it holds nothing up; receipts written meanwhile may or may not be among them.
    pub async fn for_each_receipt(
        &self,
        mut look: impl FnMut(Result<Receipt, StoreError>) + Send,
    ) -> Result<u64, StoreError> {
        let mut after = (Uuid::nil(), 0_i64);
        let mut seen = 0;
        loop {
            let mut conn = self.read().await?;
            let rows: Vec<Row> = on!(conn, ALL_AFTER => _, (q, c) => {
                q.bind(after.0).bind(after.1).bind(PAGE).fetch_all(c).await
            })?;
            drop(conn);
            let Some(last) = rows.last() else { return Ok(seen) };
            after = (last.request_id, last.attempt);
            for row in rows {
                seen += 1;
                look(row.receipt());
            }
        }
    }
}

/// Of rows of which some were there already: whether those are the same. Also finds two of the batch that differ from
/// each other.
async fn same_or_conflict(conn: &mut Conn, rows: &[Row]) -> Result<(), StoreError> {
    for row in rows {
        let (stored,): (Vec<u8>,) = on!(*conn, HASH => _, (q, c) => {
            q.bind(row.request_id).bind(row.attempt).fetch_one(c).await
        })?;
        if stored != row.content_hash {
            return Err(StoreError::Conflict {
                request_id: row.request_id,
                attempt: i16::try_from(row.attempt).unwrap_or(i16::MAX),
            });
        }
    }
    Ok(())
}
