//! What a database server says of itself.

use crate::engine::{Conn, POSTGRES_SERVER};
use crate::{Store, StoreError};

/// A server, as it says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its major version.
    pub version: i64,
    /// Its clock, in microseconds since 1970.
    pub now: i64,
}

impl Store {
    /// What the server says of itself; SQLite has none.
    pub async fn server(&self) -> Result<Option<Server>, StoreError> {
        let mut conn = self.read().await?;
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(None);
        }
        let (version, now): (i64, i64) =
            on!(conn, POSTGRES_SERVER => _, (q, c) => q.fetch_one(c).await)?;
        Ok(Some(Server { version: version / 10_000, now }))
    }
}
