//! Keys that accounts have at providers themselves, sealed. What opens them is never here.

use serde_json::json;
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::{Store, StoreError};

/// A key of an account's at a provider, in force and sealed.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct OwnKey {
    /// Its id: no other row is sealed as this one.
    pub id: Uuid,
    /// Whose key it is.
    pub account_id: Uuid,
    /// At which provider.
    pub provider: String,
    /// What its owner calls it; may be empty.
    pub name: String,
    /// Opens only with the master key.
    pub sealed: Vec<u8>,
    /// Which master key that is.
    pub key_id: String,
    /// How the secret ends; empty where that would tell too much of it.
    pub last4: String,
    /// Whether the house's credential never takes its place.
    pub always: bool,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// Who has set it: written by the store, which knows who acts.
    pub created_by: String,
}

/// An own key, sealed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResealedOwn {
    /// The key as it was read.
    pub from: OwnKey,
    /// Its new bytes.
    pub sealed: Vec<u8>,
    /// The master key that they open with.
    pub key_id: String,
}

const IN_FORCE: Sql = sql!(
    "SELECT id, account_id, provider, name, sealed, key_id, last4, always, created_at, created_by ",
    "FROM tollgate.own_keys WHERE removed_at IS NULL ORDER BY account_id, provider"
);
const OF_ACCOUNT: Sql = sql!(
    "SELECT id, account_id, provider, name, sealed, key_id, last4, always, created_at, created_by ",
    "FROM tollgate.own_keys WHERE removed_at IS NULL AND account_id = $1 ORDER BY provider"
);
const ADD: Sql = sql!(
    "INSERT INTO tollgate.own_keys (id, account_id, provider, name, sealed, key_id, last4, always, created_at, created_by) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
);
const CHANGE: Sql = sql!(
    "UPDATE tollgate.own_keys SET always = $3 WHERE account_id = $1 AND provider = $2 AND removed_at IS NULL"
);
const REMOVE: Sql = sql!(
    "UPDATE tollgate.own_keys SET removed_at = $3, sealed = NULL ",
    "WHERE account_id = $1 AND provider = $2 AND removed_at IS NULL RETURNING last4"
);
// Only what was read is sealed anew: who has replaced it meanwhile is right.
const RESEAL: Sql = sql!(
    "UPDATE tollgate.own_keys SET sealed = $2, key_id = $3 WHERE id = $1 AND key_id = $4 AND removed_at IS NULL"
);

impl Store {
    /// All own keys in force, at most one of each account at each provider.
    pub async fn own_keys(&self) -> Result<Vec<OwnKey>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, IN_FORCE => _, (q, c) => q.fetch_all(c).await)?)
    }

    /// Those of an account, by provider.
    pub async fn own_keys_of(&self, account_id: Uuid) -> Result<Vec<OwnKey>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, OF_ACCOUNT => _, (q, c) => q.bind(account_id).fetch_all(c).await)?)
    }

    /// Puts a key in force, in the place of the one that its account had at that provider.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] where the id is taken.
    pub async fn set_own_key(&self, new: &OwnKey) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let replaced = remove(&mut conn, (new.account_id, &new.provider), new.created_at).await?;
        let by = self.actor.as_deref().map_or("tollgate", |actor| actor.name.as_str());
        on!(conn, ADD, (q, c) => {
            let q = q.bind(new.id).bind(new.account_id).bind(&new.provider).bind(&new.name);
            let q = q.bind(&new.sealed).bind(&new.key_id).bind(&new.last4).bind(new.always);
            q.bind(new.created_at).bind(by).execute(c).await.map(drop)
        })
        .map_err(|error| StoreError::or_duplicate(error, "key"))?;
        let detail = json!({
            "id": new.id, "name": new.name, "last4": new.last4, "always": new.always, "replaced": replaced,
        });
        let target = target((new.account_id, &new.provider));
        self.changed(&mut conn, "own_key.set", &target, &detail).await?;
        conn.commit().await
    }

    /// Says whether the house's credential may take the place of an own key that fails.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such key.
    pub async fn change_own_key(
        &self,
        whose: (Uuid, &str),
        always: bool,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let changed = on!(conn, CHANGE, (q, c) => {
            let q = q.bind(whose.0).bind(whose.1).bind(always);
            q.execute(c).await.map(|done| done.rows_affected())
        })?;
        if changed == 0 {
            return Err(StoreError::NotFound { what: "own key" });
        }
        let detail = json!({ "always": always });
        self.changed(&mut conn, "own_key.change", &target(whose), &detail).await?;
        conn.commit().await
    }

    /// Takes an own key away, and deletes what is sealed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn remove_own_key(&self, whose: (Uuid, &str), at: i64) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let removed = remove(&mut conn, whose, at).await?;
        let last4 = removed.ok_or(StoreError::NotFound { what: "own key" })?;
        let detail = json!({ "last4": last4 });
        self.changed(&mut conn, "own_key.remove", &target(whose), &detail).await?;
        conn.commit().await
    }

    /// Puts own keys, sealed anew, in the place of what was read of them: how many. One that was replaced or removed since
    /// stays as it is now.
    pub async fn reseal_own_keys(&self, resealed: &[ResealedOwn]) -> Result<usize, StoreError> {
        let mut conn = self.begin_act().await?;
        let mut done = 0;
        for ResealedOwn { from, sealed, key_id } in resealed {
            let rows = on!(conn, RESEAL, (q, c) => {
                let q = q.bind(from.id).bind(sealed).bind(key_id).bind(&from.key_id);
                q.execute(c).await.map(|done| done.rows_affected())
            })?;
            if rows > 0 {
                let detail = json!({ "from": from.key_id, "to": key_id });
                let target = target((from.account_id, &from.provider));
                self.changed(&mut conn, "own_key.reseal", &target, &detail).await?;
                done += 1;
            }
        }
        if done > 0 {
            conn.commit().await?;
        }
        Ok(done)
    }
}

/// How the audit log names an own key.
fn target((account_id, provider): (Uuid, &str)) -> String {
    format!("own key {provider} of account {account_id}")
}

/// Takes the key in force away: how it ended, if there was one.
async fn remove(
    conn: &mut Conn,
    (account_id, provider): (Uuid, &str),
    at: i64,
) -> Result<Option<String>, StoreError> {
    let removed: Option<(String,)> = on!(*conn, REMOVE => _, (q, c) => {
        q.bind(account_id).bind(provider).bind(at).fetch_optional(c).await
    })?;
    Ok(removed.map(|(last4,)| last4))
}
