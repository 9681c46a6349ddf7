//! Requests with an idempotency key: one claims it, works, and leaves its result to the retries.
//!
//! A claim is taken by one statement, so that of any number of requests on any number of replicas one alone has it. It is
//! held for a time that its replica moves on, and is another's only once that has passed. Time is an argument: all
//! replicas are expected to agree on it to within a part of what a claim is held for.

use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::{Store, StoreError};

/// The idempotency key of a client: its own name for one request, among those of an API key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The API key.
    pub key_id: Uuid,
    /// What the client sent.
    pub name: String,
}

/// A wish to be the request that works on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClaim {
    /// What is claimed.
    pub key: IdempotencyKey,
    /// SHA-256 of everything that makes the request this one.
    pub fingerprint: [u8; 32],
    /// Who claims it.
    pub request_id: Uuid,
    /// Where it is worked on.
    pub replica: Uuid,
    /// Until when nobody else may have it, microseconds since 1970.
    pub held_until: i64,
    /// Until when the result is kept.
    pub expires_at: i64,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is granted: nobody else works on this.
    Granted,
    /// It is done, and this is what came of it.
    Done(Box<Kept>),
    /// There is neither work to do nor a result.
    Refused(Refusal),
}

/// Why a wish is refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key stands for another request.
    Other,
    /// Another works on it.
    Running {
        /// When what it will leave expires, which tells how long it has been at it.
        expires_at: i64,
    },
    /// It is done and charged, under this request, and its result was too large to be kept.
    TooLarge(Uuid),
    /// It is done and charged, under this request, and its result went with the process that had it.
    Lost(Uuid),
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The request that it came of.
    pub request_id: Uuid,
    /// Its status, from 200 to 299.
    pub status: u16,
    /// Whether it came bit by bit.
    pub streamed: bool,
    /// What kind of body it is.
    pub content_type: String,
    /// What of the request could not be carried.
    pub dropped: Option<String>,
    /// What it cost.
    pub cost: Option<String>,
    /// All of its bytes.
    pub body: Vec<u8>,
}

#[derive(sqlx::FromRow)]
struct Row {
    fingerprint: Vec<u8>,
    request_id: Uuid,
    state: String,
    held_until: i64,
    expires_at: i64,
    status: Option<i64>,
    streamed: Option<bool>,
    content_type: Option<String>,
    dropped: Option<String>,
    cost: Option<String>,
    body: Option<Vec<u8>>,
}

const RUNNING: &str = "running";

const CLAIM: Sql = sql!(
    "INSERT INTO tollgate.idempotency (key_id, name, fingerprint, request_id, replica, state, ",
    "held_until, expires_at) VALUES ($1, $2, $3, $4, $5, 'running', $6, $7) ",
    "ON CONFLICT (key_id, name) DO NOTHING"
);
const FIND: Sql = sql!(
    "SELECT fingerprint, request_id, state, held_until, expires_at, status, streamed, content_type, ",
    "dropped, cost, body FROM tollgate.idempotency WHERE key_id = $1 AND name = $2"
);
const CHARGED: Sql = sql!(
    "SELECT 1 FROM tollgate.receipts WHERE request_id = $1 AND (outcome = 'ok' OR charge > 0) LIMIT 1"
);
const TAKE_OVER: Sql = sql!(
    "UPDATE tollgate.idempotency SET fingerprint = $1, request_id = $2, replica = $3, ",
    "state = 'running', held_until = $4, expires_at = $5, status = NULL, streamed = NULL, ",
    "content_type = NULL, dropped = NULL, cost = NULL, body = NULL ",
    "WHERE key_id = $6 AND name = $7 AND request_id = $8 AND held_until = $9"
);
const KEEP: Sql = sql!(
    "UPDATE tollgate.idempotency SET state = 'kept', held_until = 0, status = $1, streamed = $2, ",
    "content_type = $3, dropped = $4, cost = $5, body = $6 ",
    "WHERE key_id = $7 AND name = $8 AND request_id = $9 AND state = 'running'"
);
const TOO_LARGE: Sql = sql!(
    "UPDATE tollgate.idempotency SET state = 'too_large', held_until = 0 ",
    "WHERE key_id = $1 AND name = $2 AND request_id = $3 AND state = 'running'"
);
const GIVE_UP: Sql = sql!(
    "DELETE FROM tollgate.idempotency ",
    "WHERE key_id = $1 AND name = $2 AND request_id = $3 AND state = 'running'"
);
const HOLD: Sql = sql!(
    "UPDATE tollgate.idempotency SET held_until = $1 ",
    "WHERE key_id = $2 AND name = $3 AND request_id = $4 AND state = 'running'"
);
const RELEASE: Sql =
    sql!("UPDATE tollgate.idempotency SET held_until = 0 WHERE replica = $1 AND state = 'running'");
const FORGET: Sql = sql!(
    "DELETE FROM tollgate.idempotency WHERE (key_id, name) IN (",
    "SELECT key_id, name FROM tollgate.idempotency WHERE expires_at <= $1 AND held_until <= $1 ",
    "ORDER BY expires_at LIMIT $2)"
);

/// Another may be in the way of a claim twice: it has ended, and somebody else was faster.
const TRIES: usize = 4;

impl Store {
    /// Claims an idempotency key, or says who has it.
    pub async fn claim(&self, new: &NewClaim, now: i64) -> Result<Claimed, StoreError> {
        let mut conn = self.begin().await?;
        let mut claimed = Claimed::Refused(Refusal::Running { expires_at: new.expires_at });
        for _ in 0..TRIES {
            if insert(&mut conn, new).await? {
                claimed = Claimed::Granted;
                break;
            }
            // It may have been given up since.
            let Some(row) = find(&mut conn, &new.key).await? else { continue };
            if row.is_free(&mut conn, now).await? {
                if take_over(&mut conn, new, &row).await? {
                    claimed = Claimed::Granted;
                    break;
                }
                continue;
            }
            claimed = row.claimed(new, now)?;
            break;
        }
        conn.commit().await?;
        Ok(claimed)
    }

    /// Keeps the result of a claim. False where the claim is another's by now.
    pub async fn keep_result(&self, key: &IdempotencyKey, kept: &Kept) -> Result<bool, StoreError> {
        let mut conn = self.begin().await?;
        let changed = on!(conn, KEEP, (q, c) => {
            let q = q.bind(i64::from(kept.status)).bind(kept.streamed).bind(&kept.content_type);
            let q = q.bind(&kept.dropped).bind(&kept.cost).bind(&kept.body);
            let q = q.bind(key.key_id).bind(&key.name).bind(kept.request_id);
            q.execute(c).await.map(|done| done.rows_affected())
        })?;
        conn.commit().await?;
        Ok(changed > 0)
    }

    /// Notes that the result of a claim is too large to be kept. False where the claim is another's by now.
    pub async fn keep_no_result(
        &self,
        key: &IdempotencyKey,
        request_id: Uuid,
    ) -> Result<bool, StoreError> {
        self.change(TOO_LARGE, key, request_id).await
    }

    /// Gives a claim up: the next request with the key runs anew. False where it was another's.
    pub async fn give_up_claim(
        &self,
        key: &IdempotencyKey,
        request_id: Uuid,
    ) -> Result<bool, StoreError> {
        self.change(GIVE_UP, key, request_id).await
    }

    async fn change(
        &self,
        sql: Sql,
        key: &IdempotencyKey,
        request_id: Uuid,
    ) -> Result<bool, StoreError> {
        let mut conn = self.begin().await?;
        let changed = on!(conn, sql, (q, c) => {
            let q = q.bind(key.key_id).bind(&key.name).bind(request_id);
            q.execute(c).await.map(|done| done.rows_affected())
        })?;
        conn.commit().await?;
        Ok(changed > 0)
    }

    /// Holds claims that are worked on for longer.
    pub async fn hold_claims(
        &self,
        claims: &[(IdempotencyKey, Uuid)],
        held_until: i64,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin().await?;
        for (key, request_id) in claims {
            on!(conn, HOLD, (q, c) => {
                let q = q.bind(held_until).bind(key.key_id).bind(&key.name).bind(*request_id);
                q.execute(c).await.map(drop)
            })?;
        }
        conn.commit().await
    }

    /// Lets go of every claim that earlier runs of a replica have, once they are settled: nobody works on them any more.
    pub async fn release_claims(&self, replica: Uuid) -> Result<u64, StoreError> {
        let mut conn = self.begin().await?;
        let released = on!(conn, RELEASE, (q, c) => {
            q.bind(replica).execute(c).await.map(|done| done.rows_affected())
        })?;
        conn.commit().await?;
        Ok(released)
    }

    /// Deletes up to `most` of what has expired, and returns how many.
    pub async fn forget_results(&self, now: i64, most: u32) -> Result<u64, StoreError> {
        let mut conn = self.begin().await?;
        let forgotten = on!(conn, FORGET, (q, c) => {
            q.bind(now).bind(i64::from(most)).execute(c).await.map(|done| done.rows_affected())
        })?;
        conn.commit().await?;
        Ok(forgotten)
    }
}

async fn insert(conn: &mut Conn, new: &NewClaim) -> Result<bool, StoreError> {
    let added = on!(*conn, CLAIM, (q, c) => {
        let q = q.bind(new.key.key_id).bind(&new.key.name).bind(new.fingerprint.to_vec());
        let q = q.bind(new.request_id).bind(new.replica).bind(new.held_until).bind(new.expires_at);
        q.execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(added > 0)
}

async fn find(conn: &mut Conn, key: &IdempotencyKey) -> Result<Option<Row>, StoreError> {
    Ok(on!(*conn, FIND => _, (q, c) => {
        q.bind(key.key_id).bind(&key.name).fetch_optional(c).await
    })?)
}

/// Takes a claim over, unless another has been faster.
async fn take_over(conn: &mut Conn, new: &NewClaim, old: &Row) -> Result<bool, StoreError> {
    let taken = on!(*conn, TAKE_OVER, (q, c) => {
        let q = q.bind(new.fingerprint.to_vec()).bind(new.request_id).bind(new.replica);
        let q = q.bind(new.held_until).bind(new.expires_at);
        let q = q.bind(new.key.key_id).bind(&new.key.name);
        let q = q.bind(old.request_id).bind(old.held_until);
        q.execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(taken > 0)
}

impl Row {
    /// Whether the key may be claimed anew: what is here has expired, or its process has gone and has charged nothing
    /// for it.
    async fn is_free(&self, conn: &mut Conn, now: i64) -> Result<bool, StoreError> {
        if self.held_until > now {
            return Ok(false);
        }
        if self.expires_at <= now {
            return Ok(true);
        }
        Ok(self.state == RUNNING && !self.is_charged(conn).await?)
    }

    async fn is_charged(&self, conn: &mut Conn) -> Result<bool, StoreError> {
        let found = on!(*conn, CHARGED, (q, c) => {
            q.bind(self.request_id).fetch_optional(c).await.map(|row| row.is_some())
        })?;
        Ok(found)
    }

    fn claimed(self, new: &NewClaim, now: i64) -> Result<Claimed, StoreError> {
        if self.fingerprint != new.fingerprint {
            return Ok(Claimed::Refused(Refusal::Other));
        }
        Ok(Claimed::Refused(match self.state.as_str() {
            "kept" => return Ok(Claimed::Done(Box::new(self.kept()?))),
            "too_large" => Refusal::TooLarge(self.request_id),
            _ if self.held_until > now => Refusal::Running { expires_at: self.expires_at },
            _ => Refusal::Lost(self.request_id),
        }))
    }

    fn kept(self) -> Result<Kept, StoreError> {
        let Self { request_id, dropped, cost, .. } = self;
        let corrupt = || StoreError::corrupt(format!("result of {request_id}"));
        let status = self.status.and_then(|status| u16::try_from(status).ok());
        Ok(Kept {
            request_id,
            status: status.ok_or_else(corrupt)?,
            streamed: self.streamed.ok_or_else(corrupt)?,
            content_type: self.content_type.ok_or_else(corrupt)?,
            dropped,
            cost,
            body: self.body.ok_or_else(corrupt)?,
        })
    }
}
