//! Users, each with a personal account, and organizations, which are kept beside them.

use serde_json::json;
use uuid::Uuid;

use crate::covered::Covered;
use crate::engine::{Conn, Sql};
use crate::people::target;
use crate::{Store, StoreError, accounts};

/// A user to be made. The caller makes the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The user.
    pub id: Uuid,
    /// The personal account, which gets the user's name.
    pub account_id: Uuid,
    /// A name that no other has.
    pub name: String,
    /// The person who owns an organization; without one it is a person.
    pub owner: Option<Uuid>,
    /// Whether this user runs the place.
    pub operator: bool,
    /// Whether the account spends only what was put into it.
    pub prepaid: bool,
    /// Microseconds since 1970.
    pub created_at: i64,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct User {
    /// The user.
    pub id: Uuid,
    /// The personal account.
    pub account_id: Uuid,
    /// The name.
    pub name: String,
    /// `person` or `organization`.
    pub kind: String,
    /// Whether this user runs the place.
    pub operator: bool,
    /// Whether the account spends only what was put into it.
    pub prepaid: bool,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// When this user was shut out.
    pub disabled_at: Option<i64>,
}

macro_rules! user_columns {
    () => {
        "u.id, a.id AS account_id, u.name, u.kind, u.operator, l.prepaid, u.created_at, u.disabled_at"
    };
}
macro_rules! user_tables {
    () => {
        "FROM tollgate.users u JOIN tollgate.accounts a ON a.user_id = u.id AND a.name = u.name \
         JOIN tollgate.ledger_accounts l ON l.id = a.id "
    };
}
pub(crate) use {user_columns, user_tables};

macro_rules! select {
    ($rest:literal) => {
        sql!("SELECT ", user_columns!(), " ", user_tables!(), $rest)
    };
}

const BY_NAME: Sql = select!("WHERE u.name = $1");
const BY_ID: Sql = select!("WHERE u.id = $1");
const ALL: Sql = select!("ORDER BY u.name");
const INSERT: Sql = sql!(
    "INSERT INTO tollgate.users (id, name, operator, kind, created_at) VALUES ($1, $2, $3, $4, $5)"
);
const INSERT_OWNER: Sql = sql!(
    "INSERT INTO tollgate.members (organization_id, user_id, role, created_at) VALUES ($1, $2, 'owner', $3)"
);
const INSERT_ACCOUNT: Sql =
    sql!("INSERT INTO tollgate.accounts (id, name, user_id, created_at) VALUES ($1, $2, $3, $4)");

impl Store {
    /// Adds a user and the personal account.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] where a user or an account has that name.
    pub async fn add_user(&self, new: NewUser) -> Result<User, StoreError> {
        let mut conn = self.begin_act().await?;
        let user = self.write_user(&mut conn, new).await?;
        conn.commit().await?;
        Ok(user)
    }

    /// The same, in a transaction that does more.
    pub(crate) async fn write_user(
        &self,
        conn: &mut Conn,
        new: NewUser,
    ) -> Result<User, StoreError> {
        let kind = if new.owner.is_some() { "organization" } else { "person" };
        on!(*conn, INSERT, (q, c) => {
            let q = q.bind(new.id).bind(&new.name).bind(new.operator).bind(kind).bind(new.created_at);
            q.execute(c).await.map(drop)
        })
        .map_err(|error| StoreError::or_duplicate(error, "user"))?;
        on!(*conn, INSERT_ACCOUNT, (q, c) => {
            let q = q.bind(new.account_id).bind(&new.name).bind(new.id).bind(new.created_at);
            q.execute(c).await.map(drop)
        })
        .map_err(|error| StoreError::or_duplicate(error, "account"))?;
        if let Some(owner) = new.owner {
            on!(*conn, INSERT_OWNER, (q, c) => {
                q.bind(new.id).bind(owner).bind(new.created_at).execute(c).await.map(drop)
            })?;
        }
        accounts::open(conn, new.account_id, new.prepaid).await?;
        let NewUser { id, account_id, name, operator, prepaid, created_at, .. } = new;
        let kind = kind.to_owned();
        let disabled_at = None;
        let user = User { id, account_id, name, kind, operator, prepaid, created_at, disabled_at };
        let detail = json!({ "operator": operator, "prepaid": prepaid });
        let account = [Covered::Account(account_id)];
        self.wrote(conn, "user.create", &target(&user), &detail, &account).await?;
        Ok(user)
    }

    /// The user of that id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn user_by_id(&self, id: Uuid) -> Result<User, StoreError> {
        let mut conn = self.read().await?;
        let user: Option<User> =
            on!(conn, BY_ID => _, (q, c) => q.bind(id).fetch_optional(c).await)?;
        user.ok_or(StoreError::NotFound { what: "user" })
    }

    /// The user of that name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn user(&self, name: &str) -> Result<User, StoreError> {
        let mut conn = self.read().await?;
        let user: Option<User> =
            on!(conn, BY_NAME => _, (q, c) => q.bind(name).fetch_optional(c).await)?;
        user.ok_or(StoreError::NotFound { what: "user" })
    }

    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let mut conn = self.read().await?;
        Ok(on!(conn, ALL => _, (q, c) => q.fetch_all(c).await)?)
    }
}
