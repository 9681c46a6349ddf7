//! API keys. The secret is never here: only its SHA-256, and what a person needs to recognise it.

use ledger::{BudgetPeriod, Usd};
use uuid::Uuid;

use crate::engine::Sql;
use crate::{BudgetOwner, NewBudget, Store, StoreError, budgets, bump};

/// A key to be made, which spends from its user's personal account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// The key.
    pub id: Uuid,
    /// The name of the user whose key it is.
    pub user: String,
    /// What the user calls it.
    pub name: String,
    /// SHA-256 of the secret: 64 hexadecimal digits.
    pub hash: String,
    /// How the secret begins.
    pub prefix: String,
    /// How it ends.
    pub last4: String,
    /// From when on it is refused, microseconds since 1970.
    pub expires_at: Option<i64>,
    /// The most that it may spend.
    pub budget: Option<Usd>,
    /// The only models it may use; `None`: all.
    pub models: Option<Vec<String>>,
    /// Microseconds since 1970.
    pub created_at: i64,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// That user's name.
    pub user: String,
    /// Whose money it spends.
    pub account_id: Uuid,
    /// What the user calls it.
    pub name: String,
    /// SHA-256 of the secret: 64 hexadecimal digits.
    pub hash: String,
    /// How the secret begins.
    pub prefix: String,
    /// How it ends.
    pub last4: String,
    /// Microseconds since 1970, as are the following.
    pub created_at: i64,
    /// From when on it is refused.
    pub expires_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// When it was last used, about.
    pub last_used_at: Option<i64>,
    /// The most that it may spend.
    pub budget: Option<Usd>,
    /// The only models it may use; `None`: all.
    pub models: Option<Vec<String>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    user_id: Uuid,
    user_name: String,
    account_id: Uuid,
    name: String,
    hash: String,
    prefix: String,
    last4: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
    budget_pico: Option<i64>,
    models: Option<String>,
}

macro_rules! select {
    ($rest:literal) => {
        sql!(
            "SELECT k.id, k.user_id, u.name AS user_name, k.account_id, k.name, k.hash, k.prefix, ",
            "k.last4, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, k.budget_pico, ",
            "k.models FROM tollgate.api_keys k JOIN tollgate.users u ON u.id = k.user_id ",
            $rest
        )
    };
}

const ALL: Sql = select!("ORDER BY k.created_at, k.id");
const OF_USER: Sql = select!("WHERE k.user_id = $1 ORDER BY k.created_at, k.id");
const BY_ID: Sql = select!("WHERE k.id = $1");
const INSERT: Sql = sql!(
    "INSERT INTO tollgate.api_keys (id, user_id, account_id, name, hash, prefix, last4, ",
    "created_at, expires_at, budget_pico, models) ",
    "SELECT $1, u.id, a.id, $2, $3, $4, $5, $6, $7, $8, $9 FROM tollgate.users u ",
    "JOIN tollgate.accounts a ON a.user_id = u.id AND a.name = u.name WHERE u.name = $10"
);
const ID_OF_HASH: Sql = sql!("SELECT id FROM tollgate.api_keys WHERE hash = $1");
const OWNER: Sql = sql!("SELECT user_id FROM tollgate.api_keys WHERE id = $1");
const REVOKE: Sql =
    sql!("UPDATE tollgate.api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL");
// Replicas write what each has seen, in any order: the latest stays.
const TOUCH: Sql = sql!(
    "UPDATE tollgate.api_keys SET last_used_at = $1 WHERE id = $2 ",
    "AND (last_used_at IS NULL OR last_used_at < $1)"
);

impl Store {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such user, [`StoreError::Duplicate`] where the id or the hash is
    /// taken.
    pub async fn add_key(&self, new: NewKey) -> Result<Key, StoreError> {
        let models = new.models.as_ref().map(serde_json::to_string).transpose();
        let models = models.map_err(|_| StoreError::OutOfRange { what: "models of a key" })?;
        let mut conn = self.begin().await?;
        let added = on!(conn, INSERT, (q, c) => {
            let q = q.bind(new.id).bind(new.name).bind(new.hash).bind(new.prefix).bind(new.last4);
            let q = q.bind(new.created_at).bind(new.expires_at).bind(new.budget.map(Usd::pico));
            q.bind(models).bind(new.user).execute(c).await.map(|done| done.rows_affected())
        })
        .map_err(|error| StoreError::or_duplicate(error, "key"))?;
        if added == 0 {
            return Err(StoreError::NotFound { what: "user" });
        }
        if let Some(limit) = new.budget {
            let (owner, period) = (BudgetOwner::Key(new.id), BudgetPeriod::Total);
            let (id, at) = (new.id, new.created_at);
            budgets::set(&mut conn, NewBudget { id, owner, period, limit, at }).await?;
        }
        bump(&mut conn).await?;
        let row: Row = on!(conn, BY_ID => _, (q, c) => q.bind(new.id).fetch_one(c).await)?;
        conn.commit().await?;
        row.try_into()
    }

    /// The keys of a user, oldest first, revoked ones too.
    pub async fn keys_of(&self, user_id: Uuid) -> Result<Vec<Key>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, OF_USER => _, (q, c) => q.bind(user_id).fetch_all(c).await)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// All keys, oldest first, revoked ones too.
    pub async fn all_keys(&self) -> Result<Vec<Key>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Revokes a key, of `user` alone where one is given. False where it was revoked before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such key, or it is another's.
    pub async fn revoke_key_by_id(
        &self,
        user: Option<Uuid>,
        id: Uuid,
        at: i64,
    ) -> Result<bool, StoreError> {
        self.revoke(user, id, at).await
    }

    /// Revokes the key whose secret has that hash; otherwise as [`Store::revoke_key_by_id`].
    pub async fn revoke_key_by_hash(
        &self,
        user: Option<Uuid>,
        hash: &str,
        at: i64,
    ) -> Result<bool, StoreError> {
        let mut conn = self.read().await?;
        let found: Option<(Uuid,)> =
            on!(conn, ID_OF_HASH => _, (q, c) => q.bind(hash).fetch_optional(c).await)?;
        drop(conn);
        let (id,) = found.ok_or(StoreError::NotFound { what: "key" })?;
        self.revoke(user, id, at).await
    }

    async fn revoke(&self, user: Option<Uuid>, id: Uuid, at: i64) -> Result<bool, StoreError> {
        let mut conn = self.begin().await?;
        let owner: Option<(Uuid,)> =
            on!(conn, OWNER => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
        let (owner,) = owner.ok_or(StoreError::NotFound { what: "key" })?;
        if user.is_some_and(|user| user != owner) {
            return Err(StoreError::NotFound { what: "key" });
        }
        let changed = on!(conn, REVOKE, (q, c) => {
            q.bind(at).bind(id).execute(c).await.map(|done| done.rows_affected())
        })?;
        if changed == 0 {
            return Ok(false);
        }
        bump(&mut conn).await?;
        conn.commit().await?;
        Ok(true)
    }

    /// Notes when keys were last used, all in one transaction. No replica needs to hear of it, so the revision stays.
    pub async fn touch_keys(&self, used: &[(Uuid, i64)]) -> Result<(), StoreError> {
        // In the order of the ids, or two replicas may each wait for a row that the other has locked.
        let mut used = used.to_vec();
        used.sort_unstable();
        let mut conn = self.begin().await?;
        for (id, at) in &used {
            on!(conn, TOUCH, (q, c) => q.bind(*at).bind(*id).execute(c).await.map(drop))?;
        }
        conn.commit().await
    }
}

impl TryFrom<Row> for Key {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let models = row.models.map(|models| serde_json::from_str(&models)).transpose();
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            user: row.user_name,
            account_id: row.account_id,
            name: row.name,
            hash: row.hash,
            prefix: row.prefix,
            last4: row.last4,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            budget: row.budget_pico.map(Usd::from_pico),
            models: models.map_err(|_| StoreError::corrupt(format!("models of key {}", row.id)))?,
        })
    }
}
