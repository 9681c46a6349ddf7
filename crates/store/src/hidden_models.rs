//! Models that clients do not see.

use serde_json::json;

use crate::engine::Sql;
use crate::{Store, StoreError};

const ALL: Sql = sql!("SELECT model_id, created_at FROM tollgate.hidden_models ORDER BY model_id");
const HIDE: Sql = sql!(
    "INSERT INTO tollgate.hidden_models (model_id, created_at) VALUES ($1, $2) ",
    "ON CONFLICT (model_id) DO NOTHING"
);
const UNHIDE: Sql = sql!("DELETE FROM tollgate.hidden_models WHERE model_id = $1");

/// A model that clients do not see.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct HiddenModel {
    /// `provider/model`.
    pub model_id: String,
    /// Since when, in microseconds since 1970.
    pub created_at: i64,
}

impl Store {
    /// All of them, in their order.
    pub async fn hidden_models(&self) -> Result<Vec<HiddenModel>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?)
    }

    /// Hides a model: whether it was seen before.
    pub async fn hide_model(&self, model_id: &str, at: i64) -> Result<bool, StoreError> {
        let mut conn = self.begin_act().await?;
        let new = on!(conn, HIDE, (q, c) => {
            q.bind(model_id).bind(at).execute(c).await.map(|done| done.rows_affected())
        })?;
        if new == 0 {
            return Ok(false);
        }
        self.changed(&mut conn, "model.hide", &format!("model {model_id}"), &json!({})).await?;
        conn.commit().await?;
        Ok(true)
    }

    /// Shows a model again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it is not hidden.
    pub async fn unhide_model(&self, model_id: &str) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let gone = on!(conn, UNHIDE, (q, c) => {
            q.bind(model_id).execute(c).await.map(|done| done.rows_affected())
        })?;
        if gone == 0 {
            return Err(StoreError::NotFound { what: "hidden model" });
        }
        self.changed(&mut conn, "model.unhide", &format!("model {model_id}"), &json!({})).await?;
        conn.commit().await
    }
}
