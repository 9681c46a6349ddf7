//! An answer by the id that its provider gave it.

use ledger::Receipt;
use uuid::Uuid;

use crate::engine::Sql;
use crate::row::Row;
use crate::{Store, StoreError};

/// Among the newest of the user alone: an index on what providers call their answers would make every receipt dearer to
/// write, for a question that is asked of the last ones.
const OF_UPSTREAM: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    " FROM (SELECT * FROM tollgate.receipts WHERE user_id = $1 ORDER BY started_at DESC LIMIT $2) AS recent ",
    "WHERE upstream_id = $3 AND account_id = $4 ORDER BY started_at DESC, request_id DESC, attempt DESC LIMIT 1"
);

/// How many receipts of a user are looked through.
const RECENT: i64 = 10_000;

impl Store {
    /// The newest receipt of an answer that its provider gave this id, among the last ten thousand of a user, where the
    /// account has paid for it.
    pub async fn receipt_of_upstream(
        &self,
        user_id: Uuid,
        account_id: Uuid,
        upstream_id: &str,
    ) -> Result<Option<Receipt>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<Row> = on!(conn, OF_UPSTREAM => _, (q, c) => {
            let q = q.bind(user_id).bind(RECENT).bind(upstream_id).bind(account_id);
            q.fetch_optional(c).await
        })?;
        row.map(Row::receipt).transpose()
    }
}
