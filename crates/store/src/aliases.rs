//! Other names for models.

use serde_json::json;

use crate::engine::Sql;
use crate::{Store, StoreError};

const ALL: Sql =
    sql!("SELECT alias, model_id, hidden, created_at FROM tollgate.model_aliases ORDER BY alias");
const SET: Sql = sql!(
    "INSERT INTO tollgate.model_aliases (alias, model_id, hidden, created_at) VALUES ($1, $2, $3, $4) ",
    "ON CONFLICT (alias) DO UPDATE SET model_id = excluded.model_id, hidden = excluded.hidden"
);
const REMOVE: Sql = sql!("DELETE FROM tollgate.model_aliases WHERE alias = $1");

/// Another name for a model.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ModelAlias {
    /// The name.
    pub alias: String,
    /// The model: `provider/model`.
    pub model_id: String,
    /// Whether it is in no list of models.
    pub hidden: bool,
    /// Microseconds since 1970.
    pub created_at: i64,
}

impl Store {
    /// All other names, in their order.
    pub async fn aliases(&self) -> Result<Vec<ModelAlias>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?)
    }

    /// Gives models other names, all or none; a name that is there is another model's from then on.
    pub async fn set_aliases(&self, aliases: &[ModelAlias]) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        for alias in aliases {
            on!(conn, SET, (q, c) => {
                let q = q.bind(&alias.alias).bind(&alias.model_id).bind(alias.hidden);
                q.bind(alias.created_at).execute(c).await.map(drop)
            })?;
            let detail = json!({ "model": alias.model_id, "hidden": alias.hidden });
            let target = format!("alias {}", alias.alias);
            self.changed(&mut conn, "alias.set", &target, &detail).await?;
        }
        conn.commit().await
    }

    /// Takes a name away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn remove_alias(&self, alias: &str) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let removed = on!(conn, REMOVE, (q, c) => {
            q.bind(alias).execute(c).await.map(|done| done.rows_affected())
        })?;
        if removed == 0 {
            return Err(StoreError::NotFound { what: "alias" });
        }
        self.changed(&mut conn, "alias.remove", &format!("alias {alias}"), &json!({})).await?;
        conn.commit().await
    }
}
