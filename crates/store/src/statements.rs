//! The receipts of an account, as they are stored: what a bill that proves itself is made of.

use ledger::Receipt;
use ledger::merkle::Hash;
use uuid::Uuid;

use crate::engine::Sql;
use crate::row::Row;
use crate::{Period, Store, StoreError};

/// By the primary key, so that the pages together read each receipt once; by the account's index each of them would look for
/// its place among all that are left.
const OF_ACCOUNT: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    ", batch_id FROM tollgate.receipts WHERE (request_id, attempt) > ($1, $2) AND (account_id = $3) IS TRUE ",
    "AND started_at >= $4 AND started_at < $5 ORDER BY request_id, attempt LIMIT $6"
);

/// How many receipts are read at a time.
const PAGE: i64 = 1_000;

/// A receipt, with what of it is hashed as text and the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The receipt.
    pub receipt: Receipt,
    /// Its report, as it is stored.
    pub report: String,
    /// The hash of its content.
    pub content_hash: Hash,
    /// The batch that it came in, whose seal proves it. None for one of before there were batches.
    pub batch: Option<Uuid>,
}

/// A row, and the batch that it came in.
#[derive(sqlx::FromRow)]
pub(crate) struct Batched {
    #[sqlx(flatten)]
    row: Row,
    batch_id: Option<Uuid>,
}

impl Batched {
    pub(crate) fn stored(self) -> Result<Stored, StoreError> {
        self.row.stored(self.batch_id)
    }
}

impl Store {
    /// Gives every receipt of an account in a period to `look`, in the order of their ids, and returns how many there were.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a receipt is not what was written: a bill of it would be wrong.
    pub async fn for_each_of_account(
        &self,
        account_id: Uuid,
        period: Period,
        mut look: impl FnMut(Stored) + Send,
    ) -> Result<u64, StoreError> {
        let mut after = (Uuid::nil(), 0_i64);
        let mut seen = 0;
        loop {
            let mut conn = self.read().await?;
            let rows: Vec<Batched> = on!(conn, OF_ACCOUNT => _, (q, c) => {
                let q = q.bind(after.0).bind(after.1).bind(account_id);
                q.bind(period.from).bind(period.to).bind(PAGE).fetch_all(c).await
            })?;
            drop(conn);
            let Some(last) = rows.last() else { return Ok(seen) };
            after = (last.row.request_id, last.row.attempt);
            for row in rows {
                seen += 1;
                look(row.stored()?);
            }
        }
    }
}
