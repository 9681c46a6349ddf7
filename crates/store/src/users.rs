//! Users, each with a personal account.

use uuid::Uuid;

use crate::engine::Sql;
use crate::{Store, StoreError, accounts, bump};

/// A user to be made. The caller makes the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The user.
    pub id: Uuid,
    /// The personal account, which gets the user's name.
    pub account_id: Uuid,
    /// A name that no other has.
    pub name: String,
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
    /// Whether this user runs the place.
    pub operator: bool,
    /// Whether the account spends only what was put into it.
    pub prepaid: bool,
    /// Microseconds since 1970.
    pub created_at: i64,
}

macro_rules! select {
    ($rest:literal) => {
        sql!(
            "SELECT u.id, a.id AS account_id, u.name, u.operator, l.prepaid, u.created_at ",
            "FROM tollgate.users u JOIN tollgate.accounts a ON a.user_id = u.id AND a.name = u.name ",
            "JOIN tollgate.ledger_accounts l ON l.id = a.id ",
            $rest
        )
    };
}

const BY_NAME: Sql = select!("WHERE u.name = $1");
const ALL: Sql = select!("ORDER BY u.name");
const INSERT: Sql =
    sql!("INSERT INTO tollgate.users (id, name, operator, created_at) VALUES ($1, $2, $3, $4)");
const INSERT_ACCOUNT: Sql =
    sql!("INSERT INTO tollgate.accounts (id, name, user_id, created_at) VALUES ($1, $2, $3, $4)");

impl Store {
    /// Adds a user and the personal account.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] where a user or an account has that name.
    pub async fn add_user(&self, new: NewUser) -> Result<User, StoreError> {
        let mut conn = self.begin().await?;
        on!(conn, INSERT, (q, c) => {
            let q = q.bind(new.id).bind(&new.name).bind(new.operator).bind(new.created_at);
            q.execute(c).await.map(drop)
        })
        .map_err(|error| StoreError::or_duplicate(error, "user"))?;
        on!(conn, INSERT_ACCOUNT, (q, c) => {
            let q = q.bind(new.account_id).bind(&new.name).bind(new.id).bind(new.created_at);
            q.execute(c).await.map(drop)
        })
        .map_err(|error| StoreError::or_duplicate(error, "account"))?;
        accounts::open(&mut conn, new.account_id, new.prepaid).await?;
        bump(&mut conn).await?;
        conn.commit().await?;
        let NewUser { id, account_id, name, operator, prepaid, created_at } = new;
        Ok(User { id, account_id, name, operator, prepaid, created_at })
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
