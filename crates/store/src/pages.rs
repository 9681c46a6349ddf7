//! What pages for people are made of: the receipts of a request, a person's own sums, sessions.

use uuid::Uuid;

use crate::engine::Sql;
use crate::statements::Batched;
use crate::{Key, Rollup, SecretHash, Session, Store, StoreError, Stored, Whose, rollups};

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
const IDENTITIES: Sql = sql!(
    "SELECT issuer, subject, created_at FROM tollgate.identities WHERE user_id = $1 ORDER BY issuer, subject"
);

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

    /// Who a user is elsewhere.
    pub async fn identities_of(&self, user_id: Uuid) -> Result<Vec<Identity>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, IDENTITIES => _, (q, c) => q.bind(user_id).fetch_all(c).await)?)
    }
}
