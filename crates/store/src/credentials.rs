//! Credentials of providers, sealed. What opens them is never here, nor is what they are when opened.

use serde_json::json;
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::{Store, StoreError};

/// A credential in force, sealed: that of a provider, or of a further endpoint of it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ProviderCredential {
    /// Its id: no other row is sealed as this one.
    pub id: Uuid,
    /// Whose credential it is.
    pub provider: String,
    /// What the operator calls it; may be empty.
    pub name: String,
    /// Opens only with the master key.
    pub sealed: Vec<u8>,
    /// Which master key that is.
    pub key_id: String,
    /// How the secret ends; empty where that would tell too much of it.
    pub last4: String,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// Who has set it: written by the store, which knows who acts.
    pub created_by: String,
    /// Of which endpoint of the provider; empty for its own.
    pub endpoint: String,
    /// Where that endpoint is; empty where the provider's own is.
    pub base_url: String,
    /// Endpoints of lower numbers are tried first. The provider's own has 0.
    pub priority: i64,
    /// How many conversations it gets, compared with others of that priority.
    pub weight: i64,
}

impl ProviderCredential {
    /// How logs name what it opens: `openai`, `openai/eu`.
    pub fn place(&self) -> String {
        place(&self.provider, &self.endpoint)
    }
}

/// A credential, sealed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// The credential as it was read.
    pub from: ProviderCredential,
    /// Its new bytes.
    pub sealed: Vec<u8>,
    /// The master key that they open with.
    pub key_id: String,
}

const IN_FORCE: Sql = sql!(
    "SELECT id, provider, name, sealed, key_id, last4, created_at, created_by, endpoint, base_url, priority, weight ",
    "FROM tollgate.provider_credentials WHERE removed_at IS NULL ORDER BY provider, priority, endpoint"
);
const ADD: Sql = sql!(
    "INSERT INTO tollgate.provider_credentials (id, provider, name, sealed, key_id, last4, created_at, created_by, ",
    "endpoint, base_url, priority, weight) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
);
const REMOVE: Sql = sql!(
    "UPDATE tollgate.provider_credentials SET removed_at = $2, sealed = NULL ",
    "WHERE provider = $1 AND endpoint = $3 AND removed_at IS NULL RETURNING last4"
);
// Only what was read is sealed anew: who has replaced it meanwhile is right.
const RESEAL: Sql = sql!(
    "UPDATE tollgate.provider_credentials SET sealed = $2, key_id = $3 WHERE id = $1 AND key_id = $4 AND removed_at IS NULL"
);

impl Store {
    /// The credentials in force, at most one of each endpoint, in the order in which endpoints are tried.
    pub async fn provider_credentials(&self) -> Result<Vec<ProviderCredential>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, IN_FORCE => _, (q, c) => q.fetch_all(c).await)?)
    }

    /// Puts a credential in force, in the place of the one that its endpoint had.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] where the id is taken.
    pub async fn set_provider_credential(
        &self,
        new: &ProviderCredential,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let replaced = remove(&mut conn, (&new.provider, &new.endpoint), new.created_at).await?;
        let by = self.actor.as_deref().map_or("tollgate", |actor| actor.name.as_str());
        on!(conn, ADD, (q, c) => {
            let q = q.bind(new.id).bind(&new.provider).bind(&new.name).bind(&new.sealed);
            let q = q.bind(&new.key_id).bind(&new.last4).bind(new.created_at).bind(by);
            let q = q.bind(&new.endpoint).bind(&new.base_url).bind(new.priority).bind(new.weight);
            q.execute(c).await.map(drop)
        })
        .map_err(|error| StoreError::or_duplicate(error, "credential"))?;
        let mut detail = json!({
            "id": new.id, "name": new.name, "last4": new.last4, "replaced": replaced,
        });
        if !new.endpoint.is_empty() {
            detail["base_url"] = new.base_url.as_str().into();
            (detail["priority"], detail["weight"]) = (new.priority.into(), new.weight.into());
        }
        self.changed(&mut conn, "provider.credential.set", &target(&new.place()), &detail).await?;
        conn.commit().await
    }

    /// Takes the credential of an endpoint away, and deletes what is sealed; with it goes a further endpoint. The name of the
    /// provider's own is empty.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn remove_provider_credential(
        &self,
        (provider, endpoint): (&str, &str),
        at: i64,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let removed = remove(&mut conn, (provider, endpoint), at).await?;
        let last4 = removed.ok_or(StoreError::NotFound { what: "stored credential" })?;
        let detail = json!({ "last4": last4 });
        let target = target(&place(provider, endpoint));
        self.changed(&mut conn, "provider.credential.remove", &target, &detail).await?;
        conn.commit().await
    }

    /// Puts credentials, sealed anew, in the place of what was read of them: how many. One that was replaced or removed since
    /// stays as it is now.
    pub async fn reseal_provider_credentials(
        &self,
        resealed: &[Resealed],
    ) -> Result<usize, StoreError> {
        let mut conn = self.begin_act().await?;
        let mut done = 0;
        for Resealed { from, sealed, key_id } in resealed {
            let rows = on!(conn, RESEAL, (q, c) => {
                let q = q.bind(from.id).bind(sealed).bind(key_id).bind(&from.key_id);
                q.execute(c).await.map(|done| done.rows_affected())
            })?;
            if rows > 0 {
                let detail = json!({ "from": from.key_id, "to": key_id });
                let target = target(&from.place());
                self.changed(&mut conn, "provider.credential.reseal", &target, &detail).await?;
                done += 1;
            }
        }
        if done > 0 {
            conn.commit().await?;
        }
        Ok(done)
    }
}

fn place(provider: &str, endpoint: &str) -> String {
    if endpoint.is_empty() { provider.to_owned() } else { format!("{provider}/{endpoint}") }
}

/// How the audit log names an endpoint.
fn target(place: &str) -> String {
    format!("provider {place}")
}

/// Takes the credential in force away: how it ended, if there was one.
async fn remove(
    conn: &mut Conn,
    (provider, endpoint): (&str, &str),
    at: i64,
) -> Result<Option<String>, StoreError> {
    let removed: Option<(String,)> = on!(*conn, REMOVE => _, (q, c) => {
        q.bind(provider).bind(at).bind(endpoint).fetch_optional(c).await
    })?;
    Ok(removed.map(|(last4,)| last4))
}
