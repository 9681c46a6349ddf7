//! Who signs in: passwords, other issuers' tokens, sessions, addresses that work once.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::engine::Sql;
use crate::{Store, StoreError, User};

const PASSWORD: Sql = sql!("SELECT password_hash FROM tollgate.users WHERE id = $1");
const SET_PASSWORD: Sql =
    sql!("UPDATE tollgate.users SET password_hash = $1 WHERE id = $2 AND kind = 'person'");
const SET_DISABLED: Sql = sql!("UPDATE tollgate.users SET disabled_at = $1 WHERE id = $2");
const SET_OPERATOR: Sql =
    sql!("UPDATE tollgate.users SET operator = $1 WHERE id = $2 AND kind = 'person'");
const END_SESSIONS: Sql = sql!("DELETE FROM tollgate.sessions WHERE user_id = $1");
const END_OTHER_SESSIONS: Sql =
    sql!("DELETE FROM tollgate.sessions WHERE user_id = $1 AND hash <> $2");
const END_SESSION: Sql = sql!(
    "DELETE FROM tollgate.sessions WHERE hash = $1 AND (user_id = $2 OR $2 IS NULL) ",
    "RETURNING (SELECT u.name FROM tollgate.users u WHERE u.id = user_id)"
);
const END_OLD_SESSIONS: Sql = sql!("DELETE FROM tollgate.sessions WHERE expires_at <= $1");
const BEGIN_SESSION: Sql = sql!(
    "INSERT INTO tollgate.sessions (hash, user_id, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $3, $4)"
);
const SESSION: Sql = sql!(
    "SELECT s.user_id, s.created_at, s.seen_at, s.expires_at FROM tollgate.sessions s ",
    "JOIN tollgate.users u ON u.id = s.user_id ",
    "WHERE s.hash = $1 AND s.expires_at > $2 AND u.disabled_at IS NULL"
);
const SEEN: Sql =
    sql!("UPDATE tollgate.sessions SET seen_at = $1 WHERE hash = $2 AND seen_at < $1");
const IDENTITY: Sql =
    sql!("SELECT user_id FROM tollgate.identities WHERE issuer = $1 AND subject = $2");
const ADD_IDENTITY: Sql = sql!(
    "INSERT INTO tollgate.identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4)"
);
const ADD_LINK: Sql = sql!(
    "INSERT INTO tollgate.links (hash, purpose, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)"
);
const DROP_LINKS: Sql = sql!("DELETE FROM tollgate.links WHERE purpose = $1 AND used_at IS NULL");
const DROP_LINKS_OF: Sql =
    sql!("DELETE FROM tollgate.links WHERE user_id = $1 AND used_at IS NULL");
const LINK: Sql = sql!(
    "SELECT user_id FROM tollgate.links WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3"
);
const USE_LINK: Sql = sql!(
    "UPDATE tollgate.links SET used_at = $3 ",
    "WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3 RETURNING user_id"
);
const OPERATORS: Sql =
    sql!("SELECT COUNT(*) FROM tollgate.users WHERE operator = TRUE AND disabled_at IS NULL");

/// SHA-256 of a secret that somebody else has.
pub type SecretHash = [u8; 32];

/// A browser that is signed in.
#[derive(Copy, Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Session {
    /// Who.
    pub user_id: Uuid,
    /// Microseconds since 1970, as are the following.
    pub created_at: i64,
    /// When it was last used, about.
    pub seen_at: i64,
    /// From when on it is none.
    pub expires_at: i64,
}

/// What an address that works once is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// To become the first operator.
    FirstOperator,
    /// To choose a password.
    Password(Uuid),
}

impl LinkPurpose {
    const fn parts(self) -> (&'static str, Option<Uuid>) {
        match self {
            Self::FirstOperator => ("first_operator", None),
            Self::Password(user) => ("password", Some(user)),
        }
    }
}

impl Store {
    /// A user's password as argon2 writes it; none where there is none.
    pub async fn password_hash(&self, user_id: Uuid) -> Result<Option<String>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<(Option<String>,)> =
            on!(conn, PASSWORD => _, (q, c) => q.bind(user_id).fetch_optional(c).await)?;
        Ok(row.and_then(|(hash,)| hash))
    }

    /// Sets a password and ends the sessions of the user, but for `keep`. Addresses at which one could be chosen work no more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such person.
    pub async fn set_password(
        &self,
        user: &User,
        hash: &str,
        keep: Option<SecretHash>,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let set = on!(conn, SET_PASSWORD, (q, c) => {
            q.bind(hash).bind(user.id).execute(c).await.map(|done| done.rows_affected())
        })?;
        if set == 0 {
            return Err(StoreError::NotFound { what: "user" });
        }
        match keep {
            Some(keep) => on!(conn, END_OTHER_SESSIONS, (q, c) => {
                q.bind(user.id).bind(keep.to_vec()).execute(c).await.map(drop)
            })?,
            None => {
                on!(conn, END_SESSIONS, (q, c) => q.bind(user.id).execute(c).await.map(drop))?;
            }
        }
        on!(conn, DROP_LINKS_OF, (q, c) => q.bind(user.id).execute(c).await.map(drop))?;
        self.changed(&mut conn, "user.password", &target(user), &json!({})).await?;
        conn.commit().await
    }

    /// Shuts somebody out, sessions and keys included, or lets them in again.
    pub async fn set_disabled(&self, user: &User, at: Option<i64>) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        on!(conn, SET_DISABLED, (q, c) => q.bind(at).bind(user.id).execute(c).await.map(drop))?;
        on!(conn, END_SESSIONS, (q, c) => q.bind(user.id).execute(c).await.map(drop))?;
        let action = if at.is_some() { "user.disable" } else { "user.enable" };
        self.changed(&mut conn, action, &target(user), &json!({})).await?;
        conn.commit().await
    }

    /// Says whether a person runs the place.
    pub async fn set_operator(&self, user: &User, operator: bool) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let set = on!(conn, SET_OPERATOR, (q, c) => {
            q.bind(operator).bind(user.id).execute(c).await.map(|done| done.rows_affected())
        })?;
        if set == 0 {
            return Err(StoreError::NotFound { what: "user" });
        }
        let detail = json!({ "operator": operator });
        self.changed(&mut conn, "user.operator", &target(user), &detail).await?;
        conn.commit().await
    }

    /// How many operators can sign in.
    pub async fn operators(&self) -> Result<i64, StoreError> {
        let mut conn = self.read().await?;
        let (count,): (i64,) = on!(conn, OPERATORS => _, (q, c) => q.fetch_one(c).await)?;
        Ok(count)
    }

    /// Begins a session, and forgets those that are over.
    pub async fn begin_session(
        &self,
        hash: SecretHash,
        user: &User,
        times: (i64, i64),
    ) -> Result<(), StoreError> {
        self.begin_session_by(hash, user, times, &json!({})).await
    }

    /// The same, with what is worth knowing of how somebody signed in: a JSON object without a secret.
    pub async fn begin_session_by(
        &self,
        hash: SecretHash,
        user: &User,
        (at, until): (i64, i64),
        detail: &Value,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        on!(conn, END_OLD_SESSIONS, (q, c) => q.bind(at).execute(c).await.map(drop))?;
        on!(conn, BEGIN_SESSION, (q, c) => {
            let q = q.bind(hash.to_vec()).bind(user.id).bind(at).bind(until);
            q.execute(c).await.map(drop)
        })?;
        self.changed(&mut conn, "session.begin", &target(user), detail).await?;
        conn.commit().await
    }

    /// The session of that token, of somebody who is not shut out.
    pub async fn session(&self, hash: SecretHash, at: i64) -> Result<Option<Session>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, SESSION => _, (q, c) => {
            q.bind(hash.to_vec()).bind(at).fetch_optional(c).await
        })?)
    }

    /// Notes that a session was used.
    pub async fn touch_session(&self, hash: SecretHash, at: i64) -> Result<(), StoreError> {
        let mut conn = self.begin().await?;
        on!(conn, SEEN, (q, c) => q.bind(at).bind(hash.to_vec()).execute(c).await.map(drop))?;
        conn.commit().await
    }

    /// Ends a session, whoever's it is. One that is over already is no act.
    pub async fn end_session(&self, hash: SecretHash) -> Result<(), StoreError> {
        self.end_one(hash, None).await
    }

    /// Ends a session, which has to be that user's.
    pub async fn end_session_of(&self, user_id: Uuid, hash: SecretHash) -> Result<(), StoreError> {
        self.end_one(hash, Some(user_id)).await
    }

    async fn end_one(&self, hash: SecretHash, user_id: Option<Uuid>) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        let ended: Option<(Option<String>,)> = on!(conn, END_SESSION => _, (q, c) => {
            q.bind(hash.to_vec()).bind(user_id).fetch_optional(c).await
        })?;
        if let Some((Some(name),)) = ended {
            let target = format!("person {name}");
            self.changed(&mut conn, "session.end", &target, &json!({})).await?;
        }
        conn.commit().await
    }

    /// Ends all sessions of a user, but for `keep`.
    pub async fn end_sessions(&self, user: &User, keep: SecretHash) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        on!(conn, END_OTHER_SESSIONS, (q, c) => {
            q.bind(user.id).bind(keep.to_vec()).execute(c).await.map(drop)
        })?;
        self.changed(&mut conn, "session.end_others", &target(user), &json!({})).await?;
        conn.commit().await
    }

    /// Who somebody is that an issuer of tokens calls `subject`.
    pub async fn identity(&self, issuer: &str, subject: &str) -> Result<Option<Uuid>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<(Uuid,)> = on!(conn, IDENTITY => _, (q, c) => {
            q.bind(issuer).bind(subject).fetch_optional(c).await
        })?;
        Ok(row.map(|(id,)| id))
    }

    /// Says who somebody is at an issuer.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] where that is known already.
    pub async fn add_identity(
        &self,
        (issuer, subject): (&str, &str),
        user: &User,
        at: i64,
    ) -> Result<(), StoreError> {
        let mut conn = self.begin_act().await?;
        on!(conn, ADD_IDENTITY, (q, c) => {
            let q = q.bind(issuer).bind(subject).bind(user.id).bind(at);
            q.execute(c).await.map(drop)
        })
        .map_err(|error| StoreError::or_duplicate(error, "identity"))?;
        let detail = json!({ "issuer": issuer, "subject": subject });
        self.changed(&mut conn, "user.identity", &target(user), &detail).await?;
        conn.commit().await
    }

    /// Makes an address that works once until `until`. One to become the first operator takes the place of earlier ones.
    pub async fn add_link(
        &self,
        hash: SecretHash,
        purpose: LinkPurpose,
        (at, until): (i64, i64),
    ) -> Result<(), StoreError> {
        let (name, user) = purpose.parts();
        let mut conn = self.begin_act().await?;
        if purpose == LinkPurpose::FirstOperator {
            on!(conn, DROP_LINKS, (q, c) => q.bind(name).execute(c).await.map(drop))?;
        }
        on!(conn, ADD_LINK, (q, c) => {
            let q = q.bind(hash.to_vec()).bind(name).bind(user).bind(at).bind(until);
            q.execute(c).await.map(drop)
        })?;
        let who = user.map_or_else(String::new, |user| format!("user {user}"));
        self.changed(&mut conn, "link.create", &who, &json!({ "purpose": name })).await?;
        conn.commit().await
    }

    /// Whose the address is that is for choosing a password, without using it up.
    pub async fn password_link(
        &self,
        hash: SecretHash,
        at: i64,
    ) -> Result<Option<Uuid>, StoreError> {
        Ok(self.link(hash, "password", at).await?.flatten())
    }

    /// Whether the address is good for becoming the first operator, without using it up.
    pub async fn operator_link(&self, hash: SecretHash, at: i64) -> Result<bool, StoreError> {
        Ok(self.link(hash, "first_operator", at).await?.is_some())
    }

    /// An address that is good for `purpose`, and whose it is, if it is anybody's.
    async fn link(
        &self,
        hash: SecretHash,
        purpose: &str,
        at: i64,
    ) -> Result<Option<Option<Uuid>>, StoreError> {
        let mut conn = self.read().await?;
        let row: Option<(Option<Uuid>,)> = on!(conn, LINK => _, (q, c) => {
            q.bind(hash.to_vec()).bind(purpose).bind(at).fetch_optional(c).await
        })?;
        Ok(row.map(|(user,)| user))
    }

    /// Uses an address up. False where it does not work, or no longer.
    pub async fn use_link(
        &self,
        hash: SecretHash,
        purpose: LinkPurpose,
        at: i64,
    ) -> Result<bool, StoreError> {
        let (name, user) = purpose.parts();
        let mut conn = self.begin().await?;
        let row: Option<(Option<Uuid>,)> = on!(conn, USE_LINK => _, (q, c) => {
            q.bind(hash.to_vec()).bind(name).bind(at).fetch_optional(c).await
        })?;
        if row.is_none_or(|(found,)| found != user) {
            return Ok(false);
        }
        conn.commit().await?;
        Ok(true)
    }
}

/// How the audit log names a user.
pub(crate) fn target(user: &User) -> String {
    format!("{} {}", user.kind, user.name)
}
