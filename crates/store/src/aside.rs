//! Receipts that no balance can take: kept, so that the journal can go on with the others and somebody can look at them.

use uuid::Uuid;

use crate::apply::{advance, number};
use crate::engine::Sql;
use crate::{Batch, Before, Entry, Store, StoreError};

const KEEP: Sql = sql!(
    "INSERT INTO tollgate.set_aside ",
    "(replica_id, seq, request_id, attempt, entry, reason, set_aside_at) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (replica_id, seq) DO NOTHING"
);
const ALL: Sql = sql!(
    "SELECT replica_id, seq, request_id, attempt, entry, reason, set_aside_at ",
    "FROM tollgate.set_aside ORDER BY set_aside_at, replica_id, seq"
);

/// A receipt that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SetAside {
    /// Whose journal it comes from.
    pub replica_id: Uuid,
    /// The number of its record there.
    pub seq: i64,
    /// The request.
    pub request_id: Uuid,
    /// The attempt.
    pub attempt: i64,
    /// The receipt, as [`Entry::encode`](crate::Entry::encode) writes it.
    pub entry: Vec<u8>,
    /// Why it could not be applied.
    pub reason: String,
    /// Microseconds since 1970.
    pub set_aside_at: i64,
}

impl Store {
    /// Keeps the receipts of a batch that cannot be applied, and moves the cursor behind it: no money is moved.
    ///
    /// # Errors
    /// Those of [`Store::apply`].
    pub async fn set_aside(&self, batch: &Batch, reason: &str) -> Result<(), StoreError> {
        let mut conn = self.begin().await?;
        let cursor = batch.lock(&mut conn).await?;
        for (seq, bytes) in batch.entries.behind(cursor) {
            let (seq, entry) = (number(seq)?, Entry::decode(bytes, &mut Before::default())?);
            on!(conn, KEEP, (q, c) => {
                let q = q.bind(batch.replica).bind(seq).bind(entry.0.request_id);
                let q = q.bind(entry.0.attempt).bind(bytes).bind(reason).bind(batch.at);
                q.execute(c).await.map(drop)
            })?;
        }
        advance(&mut conn, batch.replica, batch.seq, batch.open).await?;
        conn.commit().await
    }

    /// The receipts that were set aside, in the order in which they were.
    pub async fn set_asides(&self) -> Result<Vec<SetAside>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?)
    }
}
