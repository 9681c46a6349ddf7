//! The audit log: who did what to the place. An act and its entry are written in one transaction.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::{Store, StoreError, bump};

/// Who acts, and when. See [`Store::by`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The person, where one is known here.
    pub id: Option<Uuid>,
    /// The name that the log shows.
    pub name: String,
    /// By what: `cli`, `console`, `key`, `token`, `program`.
    pub via: &'static str,
    /// Microseconds since 1970.
    pub at: i64,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Act {
    /// Its number: entries are numbered without a gap.
    pub number: i64,
    /// Microseconds since 1970.
    pub at: i64,
    /// The person who did it, where one is known here.
    pub actor_id: Option<Uuid>,
    /// The same for people.
    pub actor: String,
    /// By what.
    pub via: String,
    /// What was done, such as `key.create`.
    pub action: String,
    /// To what, such as `key 0193…` or `user ada`.
    pub target: String,
    /// What is worth knowing of it: a JSON object.
    pub detail: String,
}

// Behind the lock of `bump`, so that two never take the same number.
const WRITE: Sql = sql!(
    "INSERT INTO tollgate.audit_log (number, at, actor_id, actor, via, action, target, detail) ",
    "SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7 FROM tollgate.audit_log"
);
const PAGE: Sql = sql!(
    "SELECT number, at, actor_id, actor, via, action, target, detail FROM tollgate.audit_log ",
    "WHERE number < $1 AND (action = $2 OR $2 = '') AND (actor = $3 OR $3 = '') ORDER BY number DESC LIMIT $4"
);

/// Which entries of the log are wanted; an empty text is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActFilter {
    /// What was done.
    pub action: String,
    /// Who did it.
    pub actor: String,
}

impl Store {
    /// The same store, whose changes are written into the audit log as those of `actor`. Without one they are the
    /// program's own.
    #[must_use]
    pub fn by(&self, actor: Actor) -> Self {
        Self { actor: Some(Arc::new(actor)), ..self.clone() }
    }

    /// A page of the audit log, newest first: the first `limit` entries before number `before`.
    pub async fn acts(
        &self,
        filter: &ActFilter,
        before: Option<i64>,
        limit: u16,
    ) -> Result<Vec<Act>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, PAGE => _, (q, c) => {
            let q = q.bind(before.unwrap_or(i64::MAX)).bind(&filter.action).bind(&filter.actor);
            q.bind(i64::from(limit)).fetch_all(c).await
        })?)
    }

    /// Notes an act that changed nothing here, such as a sign-in.
    pub async fn note_act(
        &self,
        action: &str,
        target: &str,
        detail: &Value,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin().await?;
        self.changed(&mut conn, action, target, detail).await?;
        conn.commit().await
    }

    /// Notes a change in the transaction that makes it, and counts the revision up.
    pub(crate) async fn changed(
        &self,
        conn: &mut Conn,
        action: &str,
        target: &str,
        detail: &Value,
    ) -> Result<(), StoreError> {
        bump(conn).await?;
        let (id, name, via, at) = match self.actor.as_deref() {
            Some(actor) => (actor.id, actor.name.as_str(), actor.via, actor.at),
            None => (None, "tollgate", "program", 0),
        };
        on!(*conn, WRITE, (q, c) => {
            let q = q.bind(at).bind(id).bind(name).bind(via).bind(action).bind(target);
            q.bind(detail.to_string()).execute(c).await.map(drop)
        })?;
        Ok(())
    }
}
