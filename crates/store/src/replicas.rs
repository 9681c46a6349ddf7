//! Replicas: which run of each is the present one, how far its journal has come, and when it was last heard of.

use ledger::Usd;
use serde_json::json;
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::{Store, StoreError, again, slices};

/// Whose replica was not heard of for so long is taken for gone, in microseconds: six times as long as one that cannot
/// reach the database goes on spending.
const DEAD: i64 = 24 * 60 * 60 * 1_000_000;

const STATE: Sql = sql!(
    "SELECT epoch, run_id, cursor_seq, open_seq, EXISTS (SELECT 1 FROM tollgate.slices s ",
    "WHERE s.replica_id = r.id AND s.closed_at IS NULL) FROM tollgate.replicas r WHERE id = $1"
);
const MAKE: Sql = sql!(
    "INSERT INTO tollgate.replicas (id, cursor_seq, epoch, open_seq, heartbeat_at) ",
    "VALUES ($1, 0, 0, 0, 0) ON CONFLICT (id) DO NOTHING"
);
// Waits for whoever is being granted something right now.
const LOCK: Sql = locking!("FOR UPDATE", "SELECT epoch FROM tollgate.replicas WHERE id = $1");
const BEGIN: Sql = sql!(
    "UPDATE tollgate.replicas SET epoch = epoch + 1, run_id = $1, heartbeat_at = $2, released_at = NULL ",
    "WHERE id = $3 AND epoch = $4"
);
const HEARTBEAT: Sql = sql!(
    "UPDATE tollgate.replicas SET heartbeat_at = $1 WHERE id = $2 AND epoch = $3 AND released_at IS NULL"
);
const ALL: Sql = sql!(
    "SELECT r.id, r.epoch, r.cursor_seq, r.heartbeat_at, r.released_at, ",
    "CAST(COALESCE((SELECT SUM(s.granted - s.spent) FROM tollgate.slices s WHERE s.replica_id = r.id ",
    "AND s.closed_at IS NULL AND s.scope_kind = 'account'), 0) AS BIGINT) AS held, ",
    "(SELECT k.public_key FROM tollgate.seals k WHERE k.replica_id = r.id ORDER BY k.number DESC LIMIT 1) ",
    "AS public_key ",
    "FROM tollgate.replicas r ORDER BY r.heartbeat_at DESC, r.id"
);
const LIVE: Sql =
    sql!("SELECT COUNT(*) FROM tollgate.replicas WHERE heartbeat_at >= $1 AND released_at IS NULL");
const RELEASE: Sql =
    sql!("UPDATE tollgate.replicas SET released_at = $1 WHERE id = $2 AND heartbeat_at <= $3");

/// Where a replica stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    /// Which run of it is the present one.
    pub epoch: i64,
    /// The id that its process has given that run.
    pub run: Option<Uuid>,
    /// The last record of its journal that was applied.
    pub cursor: u64,
    /// The first record that a recovery would have to read.
    pub open: u64,
    /// Whether anything is set aside for it.
    pub holds: bool,
}

/// A replica, for its operator.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The replica.
    pub id: Uuid,
    /// Which run of it is the present one.
    pub epoch: i64,
    /// The last record of its journal that was applied.
    pub cursor: u64,
    /// When it was last heard of, microseconds since 1970.
    pub heartbeat_at: i64,
    /// When it was declared dead, if it was not heard of since.
    pub released_at: Option<i64>,
    /// What it holds of customers' credit.
    pub held: Usd,
    /// The key that has signed its latest seal.
    pub public_key: Option<[u8; 32]>,
}

/// The same as it is stored.
#[derive(sqlx::FromRow)]
struct Known {
    id: Uuid,
    epoch: i64,
    cursor_seq: i64,
    heartbeat_at: i64,
    released_at: Option<i64>,
    held: i64,
    public_key: Option<Vec<u8>>,
}

impl Known {
    fn replica(self) -> Replica {
        Replica {
            id: self.id,
            epoch: self.epoch,
            cursor: self.cursor_seq.unsigned_abs(),
            heartbeat_at: self.heartbeat_at,
            released_at: self.released_at,
            held: Usd::from_pico(self.held),
            public_key: self.public_key.and_then(|key| key.try_into().ok()),
        }
    }
}

impl Store {
    /// Where a replica stands; `None` for one that this database has never heard of.
    pub async fn replica(&self, id: Uuid) -> Result<Option<ReplicaState>, StoreError> {
        let mut conn = self.read().await?;
        let found: Option<(i64, Option<Uuid>, i64, i64, bool)> =
            on!(conn, STATE => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
        Ok(found.map(|(epoch, run, cursor, open, holds)| ReplicaState {
            epoch,
            run,
            cursor: cursor.unsigned_abs(),
            open: open.unsigned_abs(),
            holds,
        }))
    }

    /// Begins another run of a replica that was at `known` (0: never), and returns its number. From then on no earlier run can
    /// take anything out of the ledger, or write into it. `run` names it, so that whoever has lost the answer can tell.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] where somebody else has begun one.
    pub async fn begin_epoch(
        &self,
        id: Uuid,
        known: i64,
        run: Uuid,
        now: i64,
    ) -> Result<i64, StoreError> {
        let mut conn = self.begin().await?;
        if known == 0 {
            on!(conn, MAKE, (q, c) => q.bind(id).execute(c).await.map(drop))?;
        }
        lock(&mut conn, id).await?;
        let begun = on!(conn, BEGIN, (q, c) => {
            q.bind(run).bind(now).bind(id).bind(known).execute(c).await.map(|done| done.rows_affected())
        })?;
        if begun == 0 {
            return Err(StoreError::Fenced);
        }
        conn.commit().await?;
        Ok(known.saturating_add(1))
    }

    /// Notes that a run of a replica lives.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] where it is not the present one any more, or was declared dead.
    pub async fn heartbeat(&self, id: Uuid, epoch: i64, now: i64) -> Result<(), StoreError> {
        let mut conn = self.begin().await?;
        let found = on!(conn, HEARTBEAT, (q, c) => {
            q.bind(now).bind(id).bind(epoch).execute(c).await.map(|done| done.rows_affected())
        })?;
        conn.commit().await?;
        if found == 1 { Ok(()) } else { Err(StoreError::Fenced) }
    }

    /// All replicas, the one last heard of first.
    pub async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Known> = on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?;
        Ok(rows.into_iter().map(Known::replica).collect())
    }

    /// How many replicas were heard of at `since` or later.
    pub async fn live_replicas(&self, since: i64) -> Result<i64, StoreError> {
        let mut conn = self.read().await?;
        let (live,): (i64,) = on!(conn, LIVE => _, (q, c) => q.bind(since).fetch_one(c).await)?;
        Ok(live)
    }

    /// Declares a replica dead and gives back what it holds; false where it was heard of in the last 24 hours and the
    /// operator does not insist. It can spend nothing any more; its receipts are still taken.
    pub async fn release(&self, id: Uuid, now: i64, force: bool) -> Result<bool, StoreError> {
        let last = if force { i64::MAX } else { now.saturating_sub(DEAD) };
        again(|| async {
            let mut conn = self.begin_act().await?;
            let detail = json!({ "force": force });
            self.changed(&mut conn, "replica.release", &format!("replica {id}"), &detail).await?;
            lock(&mut conn, id).await?;
            let found = on!(conn, RELEASE, (q, c) => {
                q.bind(now).bind(id).bind(last).execute(c).await.map(|done| done.rows_affected())
            })?;
            if found == 0 {
                return Ok(false);
            }
            slices::close(&mut conn, id, i64::MAX, now).await?;
            conn.commit().await?;
            Ok(true)
        })
        .await
    }
}

/// Nobody is granted anything, nor applies a journal, for a replica until the end of the transaction.
pub(crate) async fn lock(conn: &mut Conn, id: Uuid) -> Result<(), StoreError> {
    Ok(on!(*conn, LOCK, (q, c) => q.bind(id).fetch_optional(c).await.map(drop))?)
}
