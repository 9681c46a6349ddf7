//! Codes with which a program gets a key that somebody lets it have (PKCE, RFC 7636). Each works once.

use serde_json::json;
use uuid::Uuid;

use crate::engine::Sql;
use crate::{Key, NewKey, SecretHash, Store, StoreError, keys};

const ADD: Sql = sql!(
    "INSERT INTO tollgate.auth_codes (hash, user_id, challenge, method, settings, created_at, expires_at) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7)"
);
const DROP_OLD: Sql = sql!("DELETE FROM tollgate.auth_codes WHERE expires_at <= $1");
const LIVE: Sql = sql!(
    "SELECT user_id, challenge, method, settings, created_at, expires_at FROM tollgate.auth_codes ",
    "WHERE hash = $1 AND used_at IS NULL AND expires_at > $2"
);
const USE: Sql = sql!(
    "UPDATE tollgate.auth_codes SET used_at = $2 ",
    "WHERE hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING user_id"
);

/// A code, without its text.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct AuthCode {
    /// Whose key it will be.
    pub user_id: Uuid,
    /// What the program has to prove that it knows; nothing where it has not asked for that.
    pub challenge: String,
    /// How: `S256`, `plain`, or nothing.
    pub method: String,
    /// What the key will be like, in the words of whoever adds the code.
    pub settings: String,
    /// Microseconds since 1970, as is the following.
    pub created_at: i64,
    /// From when on it is none.
    pub expires_at: i64,
}

impl Store {
    /// Adds a code, of whose text that is the hash, and forgets those that are over.
    pub async fn add_auth_code(&self, hash: SecretHash, code: &AuthCode) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        on!(conn, DROP_OLD, (q, c) => q.bind(code.created_at).execute(c).await.map(drop))?;
        on!(conn, ADD, (q, c) => {
            let q = q.bind(hash.to_vec()).bind(code.user_id).bind(&code.challenge);
            let q = q.bind(&code.method).bind(&code.settings).bind(code.created_at);
            q.bind(code.expires_at).execute(c).await.map(drop)
        })
        .map_err(|error| StoreError::or_duplicate(error, "code"))?;
        let target = format!("user {}", code.user_id);
        self.changed(&mut conn, "auth_code.create", &target, &json!({})).await?;
        conn.commit().await
    }

    /// A code that still works, without using it up.
    pub async fn auth_code(
        &self,
        hash: SecretHash,
        at: i64,
    ) -> Result<Option<AuthCode>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, LIVE => _, (q, c) => {
            q.bind(hash.to_vec()).bind(at).fetch_optional(c).await
        })?)
    }

    /// Uses a code up and adds the key, or neither. Without a key the code is used up all the same: whoever brings it
    /// has not proved enough. `None` where the code does not work, or no longer.
    pub async fn redeem_auth_code(
        &self,
        hash: SecretHash,
        at: i64,
        new: Option<NewKey>,
    ) -> Result<Option<Key>, StoreError> {
        let mut conn = self.begin_act().await?;
        let used: Option<(Uuid,)> = on!(conn, USE => _, (q, c) => {
            q.bind(hash.to_vec()).bind(at).fetch_optional(c).await
        })?;
        let Some((user_id,)) = used else { return Ok(None) };
        let Some(new) = new else {
            let target = format!("user {user_id}");
            self.changed(&mut conn, "auth_code.refuse", &target, &json!({})).await?;
            conn.commit().await?;
            return Ok(None);
        };
        let key = keys::insert(&mut conn, &new).await?;
        let detail = json!({
            "user": key.user, "name": key.name, "scopes": key.scopes, "by": "auth_code",
        });
        let (target, written) = (keys::target(&key), keys::written(&new));
        self.wrote(&mut conn, "key.create", &target, &detail, &written).await?;
        conn.commit().await?;
        Ok(Some(key))
    }
}
