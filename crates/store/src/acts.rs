//! The audit log: who did what to the place. An act and its entry are written in one transaction.

use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::covered::Covered;
use crate::engine::{Conn, Sql};
use crate::{ACTS, Seek, Store, StoreError, proof};

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

// Behind the lock of `hold`, so that two never take the same number.
const NEXT: Sql = sql!("SELECT COALESCE(MAX(number), 0) + 1 FROM tollgate.audit_log");
const WRITE: Sql = sql!(
    "INSERT INTO tollgate.audit_log (number, at, actor_id, actor, via, action, target, detail) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
);
const SOMETHING: Sql = sql!(
    "SELECT CAST(1 AS BIGINT) WHERE EXISTS (SELECT 1 FROM tollgate.audit_log) ",
    "OR EXISTS (SELECT 1 FROM tollgate.price_versions) OR EXISTS (SELECT 1 FROM tollgate.users) ",
    "OR EXISTS (SELECT 1 FROM tollgate.receipts)"
);
const BUMP: Sql = sql!("UPDATE tollgate.revision SET value = value + 1 WHERE id = 1");
const HOLD: Sql = sql!("UPDATE tollgate.revision SET value = value WHERE id = 1");

/// Which entries of the log are wanted; an empty text is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActFilter {
    /// What was done.
    pub action: String,
    /// What the name of who did it has in it.
    pub actor: String,
    /// From that moment on, microseconds since 1970.
    pub from: Option<i64>,
    /// Before that moment.
    pub to: Option<i64>,
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
        Ok(self.acts_page(filter, &Seek::newest(&ACTS, before, limit)).await?.rows)
    }

    /// Notes an act that changed nothing here, such as a sign-in.
    pub async fn note_act(
        &self,
        action: &str,
        target: &str,
        detail: &Value,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        self.changed(&mut conn, action, target, detail).await?;
        conn.commit().await
    }

    /// Notes what was refused. Nothing here is another for it: programs have nothing to look up anew.
    pub async fn note_refusal(
        &self,
        action: &str,
        target: &str,
        detail: &Value,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let act = self.entry(&mut conn, (action, target), detail).await?;
        proof::add(&mut conn, self.signer.as_deref(), &act, &[]).await?;
        conn.commit().await
    }

    /// A transaction for an act. Acts come one after the other: each waits here for the one before, while it has nothing that
    /// another waits for.
    pub(crate) async fn begin_act(&self) -> Result<Conn, StoreError> {
        let mut conn = self.begin().await?;
        hold(&mut conn).await?;
        Ok(conn)
    }

    /// Notes a change in the transaction that makes it, begun by [`Store::begin_act`], and counts the revision up.
    pub(crate) async fn changed(
        &self,
        conn: &mut Conn,
        action: &str,
        target: &str,
        detail: &Value,
    ) -> Result<(), StoreError> {
        self.wrote(conn, action, target, detail, &[]).await
    }

    /// The same for a change of the books, after it: the rows that it has written are named in the proof.
    pub(crate) async fn wrote(
        &self,
        conn: &mut Conn,
        action: &str,
        target: &str,
        detail: &Value,
        covered: &[Covered],
    ) -> Result<(), StoreError> {
        bump(conn).await?;
        let act = self.entry(conn, (action, target), detail).await?;
        proof::add(conn, self.signer.as_deref(), &act, covered).await
    }

    /// Begins the chain of acts with all that the books have. Where they have nothing, the first act begins it.
    pub(crate) async fn open_chain(&self, conn: &mut Conn) -> Result<(), StoreError> {
        bump(conn).await?;
        let nothing: Option<(i64,)> =
            on!(*conn, SOMETHING => _, (q, c) => q.fetch_optional(c).await)?;
        if nothing.is_none() {
            return Ok(());
        }
        let act = self.entry(conn, (proof::OPENED, "books"), &Value::Object(Map::new())).await?;
        proof::open(conn, self.signer.as_deref(), &act).await
    }

    /// Writes the next entry of the log. The revision is counted up, or at least held, already.
    async fn entry(
        &self,
        conn: &mut Conn,
        (action, target): (&str, &str),
        detail: &Value,
    ) -> Result<Act, StoreError> {
        let (actor_id, actor, via, at) = match self.actor.as_deref() {
            Some(actor) => (actor.id, actor.name.as_str(), actor.via, actor.at),
            None => (None, "tollgate", "program", 0),
        };
        let (number,): (i64,) = on!(*conn, NEXT => _, (q, c) => q.fetch_one(c).await)?;
        let act = Act {
            number,
            at,
            actor_id,
            actor: actor.to_owned(),
            via: via.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.to_string(),
        };
        on!(*conn, WRITE, (q, c) => {
            let q = q.bind(number).bind(at).bind(actor_id).bind(actor).bind(via).bind(action);
            q.bind(target).bind(&act.detail).execute(c).await.map(drop)
        })?;
        Ok(act)
    }
}

/// No act begins before the end of the transaction.
pub(crate) async fn hold(conn: &mut Conn) -> Result<(), StoreError> {
    Ok(on!(*conn, HOLD, (q, c) => q.execute(c).await.map(drop))?)
}

/// Counts the revision up, in the transaction of the change itself.
async fn bump(conn: &mut Conn) -> Result<(), StoreError> {
    Ok(on!(*conn, BUMP, (q, c) => q.execute(c).await.map(drop))?)
}
