//! Limits: how many requests and tokens a minute, and how many requests at once. Those of keys are with the keys.

use serde_json::json;
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::{KeyChange, Store, StoreError, Whose};

const ALL: Sql = sql!(
    "SELECT id, owner_kind, owner_id, model, requests_per_minute, tokens_per_minute, concurrent_requests ",
    "FROM tollgate.limits ORDER BY created_at, id"
);
const SET: Sql = sql!(
    "INSERT INTO tollgate.limits (id, owner_kind, owner_id, model, requests_per_minute, tokens_per_minute, ",
    "concurrent_requests, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ",
    "ON CONFLICT (owner_kind, owner_id, model) DO UPDATE SET requests_per_minute = excluded.requests_per_minute, ",
    "tokens_per_minute = excluded.tokens_per_minute, concurrent_requests = excluded.concurrent_requests"
);
const ID: Sql =
    sql!("SELECT id FROM tollgate.limits WHERE owner_kind = $1 AND owner_id = $2 AND model = $3");
const REMOVE: Sql = sql!(
    "DELETE FROM tollgate.limits WHERE id = $1 ",
    "RETURNING id, owner_kind, owner_id, model, requests_per_minute, tokens_per_minute, concurrent_requests"
);

/// Whose limits they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitOwner {
    /// A key's.
    Key(Uuid),
    /// A user's, whatever the key.
    User(Uuid),
    /// An account's, whoever spends from it.
    Account(Uuid),
    /// What an account may ask of a model, `provider/model`; without an account, what each may that has none of its own.
    Model(Option<Uuid>, String),
}

impl LimitOwner {
    /// Kind, id and model, as they are stored; a key's are not.
    fn parts(&self) -> (&'static str, Uuid, &str) {
        match self {
            Self::Key(id) => ("key", *id, ""),
            Self::User(id) => ("user", *id, ""),
            Self::Account(id) => ("account", *id, ""),
            Self::Model(account, model) => ("model", account.unwrap_or_default(), model),
        }
    }

    fn of(kind: &str, id: Uuid, model: String) -> Result<Self, StoreError> {
        match kind {
            "user" => Ok(Self::User(id)),
            "account" => Ok(Self::Account(id)),
            "model" => Ok(Self::Model(Some(id).filter(|id| !id.is_nil()), model)),
            _ => Err(StoreError::corrupt("owner of a limit")),
        }
    }
}

/// How much; `None` is any number.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most requests that may begin in a minute.
    pub requests_per_minute: Option<i64>,
    /// The most tokens that may be used in a minute.
    pub tokens_per_minute: Option<i64>,
    /// The most requests that may be under way at once.
    pub concurrent_requests: Option<i64>,
}

/// Limits of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its id; for a key's, the key's.
    pub id: Uuid,
    /// Whose.
    pub owner: LimitOwner,
    /// How much.
    pub limits: Limits,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    owner_kind: String,
    owner_id: Uuid,
    model: String,
    requests_per_minute: Option<i64>,
    tokens_per_minute: Option<i64>,
    concurrent_requests: Option<i64>,
}

impl TryFrom<Row> for Limit {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let limits = Limits {
            requests_per_minute: row.requests_per_minute,
            tokens_per_minute: row.tokens_per_minute,
            concurrent_requests: row.concurrent_requests,
        };
        let owner = LimitOwner::of(&row.owner_kind, row.owner_id, row.model)?;
        Ok(Self { id: row.id, owner, limits })
    }
}

impl Store {
    /// The limits of users, accounts and models, oldest first. Those of keys are with the keys.
    pub async fn limits(&self) -> Result<Vec<Limit>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Sets all limits of an owner, in place of those that there were; what is `None` is not limited. Its id: `limit.id`, where
    /// the owner had none before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such key, or it is revoked.
    pub async fn set_limit(&self, limit: Limit, at: i64) -> Result<Uuid, StoreError> {
        let Limit { id, owner, limits } = limit;
        if let LimitOwner::Key(key) = owner {
            let change = KeyChange {
                requests_per_minute: Some(limits.requests_per_minute),
                tokens_per_minute: Some(limits.tokens_per_minute),
                concurrent_requests: Some(limits.concurrent_requests),
                ..KeyChange::default()
            };
            return self.change_key(Whose::Anybodys, key, change, at).await.map(|key| key.id);
        }
        let mut conn = self.begin_act().await?;
        self.changed(&mut conn, "limit.set", &target(&owner), &detail(limits)).await?;
        let id = set(&mut conn, id, &owner, (limits, at)).await?;
        conn.commit().await?;
        Ok(id)
    }

    /// Takes limits away: those of that id, or all of the key of that id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there are none of that id, and no such key.
    pub async fn remove_limit(&self, id: Uuid, at: i64) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let removed: Option<Row> =
            on!(conn, REMOVE => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
        let Some(removed) = removed else {
            drop(conn);
            let limit = Limit { id, owner: LimitOwner::Key(id), limits: Limits::default() };
            let done = self.set_limit(limit, at).await.map(drop);
            return done.map_err(|error| match error {
                StoreError::NotFound { .. } => StoreError::NotFound { what: "limit" },
                error => error,
            });
        };
        let Limit { owner, limits, .. } = removed.try_into()?;
        self.changed(&mut conn, "limit.remove", &target(&owner), &detail(limits)).await?;
        conn.commit().await
    }
}

async fn set(
    conn: &mut Conn,
    id: Uuid,
    owner: &LimitOwner,
    (limits, at): (Limits, i64),
) -> Result<Uuid, StoreError> {
    let (kind, owner, model) = owner.parts();
    on!(*conn, SET, (q, c) => {
        let q = q.bind(id).bind(kind).bind(owner).bind(model).bind(limits.requests_per_minute);
        let q = q.bind(limits.tokens_per_minute).bind(limits.concurrent_requests).bind(at);
        q.execute(c).await.map(drop)
    })?;
    let (id,): (Uuid,) =
        on!(*conn, ID => _, (q, c) => q.bind(kind).bind(owner).bind(model).fetch_one(c).await)?;
    Ok(id)
}

/// How much, as the audit log has it.
fn detail(limits: Limits) -> serde_json::Value {
    json!({
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrent_requests": limits.concurrent_requests,
    })
}

/// As the audit log has it.
fn target(owner: &LimitOwner) -> String {
    match owner {
        LimitOwner::Model(None, model) => format!("model {model}"),
        LimitOwner::Model(Some(account), model) => format!("account {account} model {model}"),
        _ => {
            let (kind, id, _) = owner.parts();
            format!("{kind} {id}")
        }
    }
}
