//! API keys. The secret is never here: only its SHA-256, and what a person needs to recognise it.

use ledger::{BudgetPeriod, Usd};
use serde_json::json;
use uuid::Uuid;

use crate::covered::Covered;
use crate::engine::{Conn, Sql};
use crate::{BudgetOwner, NewBudget, Store, StoreError, budgets};

/// A key to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// The key.
    pub id: Uuid,
    /// The name of the user whose key it is.
    pub user: String,
    /// The name of whose account it spends from; `None`: the user's own.
    pub payer: Option<String>,
    /// What the user calls it.
    pub name: String,
    /// SHA-256 of the secret: 64 hexadecimal digits.
    pub hash: String,
    /// How the secret begins.
    pub prefix: String,
    /// How it ends.
    pub last4: String,
    /// What it may do, with spaces between.
    pub scopes: String,
    /// From when on it is refused, microseconds since 1970.
    pub expires_at: Option<i64>,
    /// The most that it may spend, in all or in each period.
    pub budget: Option<(BudgetPeriod, Usd)>,
    /// The only models it may use; `None`: all.
    pub models: Option<Vec<String>>,
    /// The only networks it may be used from; `None`: all.
    pub allowed_ips: Option<Vec<String>>,
    /// The most requests that it may begin in a minute.
    pub requests_per_minute: Option<i64>,
    /// The most tokens that it may use in a minute.
    pub tokens_per_minute: Option<i64>,
    /// The most requests of it that may be under way at once.
    pub concurrent_requests: Option<i64>,
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
    /// What it may do, with spaces between.
    pub scopes: String,
    /// Microseconds since 1970, as are the following.
    pub created_at: i64,
    /// When something of it was last changed.
    pub updated_at: Option<i64>,
    /// From when on it is refused.
    pub expires_at: Option<i64>,
    /// When it was revoked, for good.
    pub revoked_at: Option<i64>,
    /// When it was switched off, which can be undone.
    pub disabled_at: Option<i64>,
    /// When its user was shut out.
    pub user_disabled_at: Option<i64>,
    /// When it was last used, about.
    pub last_used_at: Option<i64>,
    /// The most that it may spend in all, where it was made with such a budget.
    pub budget: Option<Usd>,
    /// The only models it may use; `None`: all.
    pub models: Option<Vec<String>>,
    /// The only networks it may be used from; `None`: all.
    pub allowed_ips: Option<Vec<String>>,
    /// The most requests that it may begin in a minute.
    pub requests_per_minute: Option<i64>,
    /// The most tokens that it may use in a minute.
    pub tokens_per_minute: Option<i64>,
    /// The most requests of it that may be under way at once.
    pub concurrent_requests: Option<i64>,
    /// The key that has taken its place.
    pub rotated_to: Option<Uuid>,
}

/// Whose keys somebody may look at and change. Others are not there.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    Anybodys,
    /// A user's own, whoever pays.
    Users(Uuid),
    /// All that spend from an account.
    Accounts(Uuid),
    /// A user's own that spend from an account.
    UsersOfAccount(Uuid, Uuid),
}

impl Whose {
    /// The user and the account that a key must have.
    pub(crate) const fn parts(self) -> (Option<Uuid>, Option<Uuid>) {
        match self {
            Self::Anybodys => (None, None),
            Self::Users(user) => (Some(user), None),
            Self::Accounts(account) => (None, Some(account)),
            Self::UsersOfAccount(user, account) => (Some(user), Some(account)),
        }
    }

    /// Whether a key of that user and account is among them.
    pub fn has(self, user: Uuid, account: Uuid) -> bool {
        let (users, accounts) = self.parts();
        users.is_none_or(|id| id == user) && accounts.is_none_or(|id| id == account)
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    user_id: Uuid,
    user_name: String,
    account_id: Uuid,
    name: String,
    hash: String,
    prefix: String,
    last4: String,
    scopes: String,
    created_at: i64,
    updated_at: Option<i64>,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    disabled_at: Option<i64>,
    user_disabled_at: Option<i64>,
    last_used_at: Option<i64>,
    budget_pico: Option<i64>,
    models: Option<String>,
    allowed_ips: Option<String>,
    requests_per_minute: Option<i64>,
    tokens_per_minute: Option<i64>,
    concurrent_requests: Option<i64>,
    rotated_to: Option<Uuid>,
}

macro_rules! key_columns {
    () => {
        "k.id, k.user_id, u.name AS user_name, k.account_id, k.name, k.hash, k.prefix, \
         k.last4, k.scopes, k.created_at, k.updated_at, k.expires_at, k.revoked_at, k.disabled_at, \
         u.disabled_at AS user_disabled_at, k.last_used_at, k.budget_pico, k.models, k.allowed_ips, \
         k.requests_per_minute, k.tokens_per_minute, k.concurrent_requests, k.rotated_to"
    };
}
pub(crate) use key_columns;

macro_rules! select {
    ($rest:literal) => {
        sql!(
            "SELECT ",
            key_columns!(),
            " FROM tollgate.api_keys k JOIN tollgate.users u ON u.id = k.user_id ",
            $rest
        )
    };
}

const ALL: Sql = select!("ORDER BY k.created_at, k.id");
const OF_USER: Sql = select!("WHERE k.user_id = $1 ORDER BY k.created_at, k.id");
const BY_ID: Sql = select!("WHERE k.id = $1");
const BY_HASH: Sql = select!("WHERE k.hash = $1");
// Newest first: the ids of keys grow with time.
const PAGE: Sql = select!("WHERE k.id < $1 AND k.revoked_at IS NULL ORDER BY k.id DESC LIMIT $2");
const PAGE_OF_USER: Sql = select!(
    "WHERE k.user_id = $3 AND k.id < $1 AND k.revoked_at IS NULL ORDER BY k.id DESC LIMIT $2"
);
const PAGE_OF_ACCOUNT: Sql = select!(
    "WHERE k.account_id = $3 AND k.id < $1 AND k.revoked_at IS NULL ORDER BY k.id DESC LIMIT $2"
);
const PAGE_OF_BOTH: Sql = select!(
    "WHERE k.user_id = $3 AND k.account_id = $4 AND k.id < $1 AND k.revoked_at IS NULL ORDER BY k.id DESC LIMIT $2"
);
const INSERT: Sql = sql!(
    "INSERT INTO tollgate.api_keys (id, user_id, account_id, name, hash, prefix, last4, ",
    "created_at, expires_at, budget_pico, models, scopes, allowed_ips, requests_per_minute, tokens_per_minute, ",
    "concurrent_requests) SELECT $1, u.id, a.id, $2, $3, $4, $5, $6, $7, $8, $9, $12, $13, $14, $15, $16 FROM tollgate.users u ",
    "JOIN tollgate.accounts a ON a.name = $11 WHERE u.name = $10"
);
const REVOKE: Sql =
    sql!("UPDATE tollgate.api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL");
const REVOKE_OF: Sql = sql!(
    "UPDATE tollgate.api_keys SET revoked_at = $1 ",
    "WHERE user_id = $2 AND account_id = $3 AND revoked_at IS NULL"
);
// Replicas write what each has seen, in any order: the latest stays.
const TOUCH: Sql = sql!(
    "UPDATE tollgate.api_keys SET last_used_at = $1 WHERE id = $2 ",
    "AND (last_used_at IS NULL OR last_used_at < $1)"
);

impl Store {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such user or account, [`StoreError::Duplicate`] where the id or the hash
    /// is taken.
    pub async fn add_key(&self, new: NewKey) -> Result<Key, StoreError> {
        let mut conn = self.begin_act().await?;
        let key = self.write_key(&mut conn, &new).await?;
        conn.commit().await?;
        Ok(key)
    }

    /// The same, in a transaction that does more.
    pub(crate) async fn write_key(&self, conn: &mut Conn, new: &NewKey) -> Result<Key, StoreError> {
        let key = insert(conn, new).await?;
        let detail = json!({ "user": key.user, "name": key.name, "scopes": key.scopes });
        self.wrote(conn, "key.create", &target(&key), &detail, &written(new)).await?;
        Ok(key)
    }

    /// A key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none of that id, or it is another's.
    pub async fn key(&self, whose: Whose, id: Uuid) -> Result<Key, StoreError> {
        let mut conn = self.read().await?;
        find(&mut conn, whose, id).await
    }

    /// Those of these keys that there are.
    pub async fn keys_by_id(&self, ids: &[Uuid]) -> Result<Vec<Key>, StoreError> {
        let mut conn = self.read().await?;
        let mut keys = Vec::with_capacity(ids.len());
        for id in ids {
            let row: Option<Row> =
                on!(conn, BY_ID => _, (q, c) => q.bind(*id).fetch_optional(c).await)?;
            keys.extend(row.map(Key::try_from).transpose()?);
        }
        Ok(keys)
    }

    /// The key whose secret has that hash; otherwise as [`Store::key`].
    pub async fn key_by_hash(&self, whose: Whose, hash: &str) -> Result<Key, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<Row> =
            on!(conn, BY_HASH => _, (q, c) => q.bind(hash).fetch_optional(c).await)?;
        let key: Key = row.ok_or(StoreError::NotFound { what: "key" })?.try_into()?;
        if whose.has(key.user_id, key.account_id) {
            Ok(key)
        } else {
            Err(StoreError::NotFound { what: "key" })
        }
    }

    /// The keys of a user, oldest first, revoked ones too.
    pub async fn keys_of(&self, user_id: Uuid) -> Result<Vec<Key>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, OF_USER => _, (q, c) => q.bind(user_id).fetch_all(c).await)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// A page of keys that are not revoked, newest first: the first `limit` of those before `before`.
    pub async fn keys_page(
        &self,
        whose: Whose,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Key>, StoreError> {
        let before = before.unwrap_or(Uuid::max());
        let limit = i64::from(limit);
        let mut conn = self.read().await?;
        let rows: Vec<Row> = match whose {
            Whose::Anybodys => {
                on!(conn, PAGE => _, (q, c) => q.bind(before).bind(limit).fetch_all(c).await)?
            }
            Whose::Users(id) => on!(conn, PAGE_OF_USER => _, (q, c) => {
                q.bind(before).bind(limit).bind(id).fetch_all(c).await
            })?,
            Whose::Accounts(id) => on!(conn, PAGE_OF_ACCOUNT => _, (q, c) => {
                q.bind(before).bind(limit).bind(id).fetch_all(c).await
            })?,
            Whose::UsersOfAccount(user, account) => on!(conn, PAGE_OF_BOTH => _, (q, c) => {
                q.bind(before).bind(limit).bind(user).bind(account).fetch_all(c).await
            })?,
        };
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// All keys, oldest first, revoked ones too.
    pub async fn all_keys(&self) -> Result<Vec<Key>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Revokes a key. False where it was revoked before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such key, or it is another's.
    pub async fn revoke_key(&self, whose: Whose, id: Uuid, at: i64) -> Result<bool, StoreError> {
        let mut conn = self.begin_act().await?;
        let key = find(&mut conn, whose, id).await?;
        let changed = on!(conn, REVOKE, (q, c) => {
            q.bind(at).bind(id).execute(c).await.map(|done| done.rows_affected())
        })?;
        if changed == 0 {
            return Ok(false);
        }
        self.changed(&mut conn, "key.revoke", &target(&key), &json!({})).await?;
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

/// How the audit log names a key.
pub(crate) fn target(key: &Key) -> String {
    format!("key {}", key.id)
}

/// What of a budget is for all time, which the key's own row has too.
pub(crate) fn total((period, limit): (BudgetPeriod, Usd)) -> Option<i64> {
    (period == BudgetPeriod::Total).then(|| limit.pico())
}

pub(crate) fn list(items: Option<&Vec<String>>) -> Result<Option<String>, StoreError> {
    let text = items.map(serde_json::to_string).transpose();
    text.map_err(|_| StoreError::OutOfRange { what: "list of a key" })
}

pub(crate) async fn find(conn: &mut Conn, whose: Whose, id: Uuid) -> Result<Key, StoreError> {
    let row: Option<Row> = on!(*conn, BY_ID => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
    let key = row.filter(|row| whose.has(row.user_id, row.account_id));
    key.ok_or(StoreError::NotFound { what: "key" })?.try_into()
}

/// What is written of the books with a key: a budget of its id.
pub(crate) fn written(new: &NewKey) -> Vec<Covered> {
    new.budget.iter().map(|_| Covered::Budget(new.id)).collect()
}

pub(crate) async fn insert(conn: &mut Conn, new: &NewKey) -> Result<Key, StoreError> {
    let (models, ips) = (list(new.models.as_ref())?, list(new.allowed_ips.as_ref())?);
    let payer = new.payer.as_ref().unwrap_or(&new.user);
    let added = on!(*conn, INSERT, (q, c) => {
        let q = q.bind(new.id).bind(&new.name).bind(&new.hash).bind(&new.prefix).bind(&new.last4);
        let q = q.bind(new.created_at).bind(new.expires_at).bind(new.budget.and_then(total));
        let q = q.bind(models).bind(&new.user).bind(payer).bind(&new.scopes).bind(ips);
        let q = q.bind(new.requests_per_minute).bind(new.tokens_per_minute).bind(new.concurrent_requests);
        q.execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(|error| StoreError::or_duplicate(error, "key"))?;
    if added == 0 {
        return Err(StoreError::NotFound { what: "user" });
    }
    if let Some((period, limit)) = new.budget {
        let (id, owner, at) = (new.id, BudgetOwner::Key(new.id), new.created_at);
        budgets::set(conn, NewBudget { id, owner, period, limit, at }).await?;
    }
    let row: Row = on!(*conn, BY_ID => _, (q, c) => q.bind(new.id).fetch_one(c).await)?;
    row.try_into()
}

/// Revokes all keys of a user that spend from an account.
pub(crate) async fn revoke_of(
    conn: &mut Conn,
    user: Uuid,
    account: Uuid,
    at: i64,
) -> Result<(), StoreError> {
    on!(*conn, REVOKE_OF, (q, c) => {
        q.bind(at).bind(user).bind(account).execute(c).await.map(drop)
    })?;
    Ok(())
}

impl TryFrom<Row> for Key {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let corrupt = |_| StoreError::corrupt(format!("list of key {}", row.id));
        let read = |list: Option<String>| {
            list.map(|list| serde_json::from_str(&list)).transpose().map_err(corrupt)
        };
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            user: row.user_name,
            account_id: row.account_id,
            name: row.name,
            hash: row.hash,
            prefix: row.prefix,
            last4: row.last4,
            scopes: row.scopes,
            created_at: row.created_at,
            updated_at: row.updated_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            disabled_at: row.disabled_at,
            user_disabled_at: row.user_disabled_at,
            last_used_at: row.last_used_at,
            budget: row.budget_pico.map(Usd::from_pico),
            models: read(row.models)?,
            allowed_ips: read(row.allowed_ips)?,
            requests_per_minute: row.requests_per_minute,
            tokens_per_minute: row.tokens_per_minute,
            concurrent_requests: row.concurrent_requests,
            rotated_to: row.rotated_to,
        })
    }
}
