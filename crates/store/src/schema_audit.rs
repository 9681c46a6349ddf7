//! Whether the database still refuses what the schema says that it refuses: its triggers and constraints are all there.

use std::collections::BTreeMap;

use sqlx::sqlite::SqlitePoolOptions;

use crate::engine::{Conn, Pool, SCHEMA};
use crate::{AuditFault, Store, StoreError, migrate};

/// What PostgreSQL says of the schema, a line each: on SQLite another one is made to compare with.
const POSTGRES: &str = include_str!("schema.postgres.txt");

/// By kind, table and name: what it says, without spaces and signs that mean nothing.
type Schema = BTreeMap<(String, String, String), String>;

impl Store {
    /// Compares triggers, constraints and tables with those that this program makes, and tells `look` of each that is missing,
    /// another one, or none of ours.
    pub async fn verify_schema(
        &self,
        mut look: impl FnMut(AuditFault) + Send,
    ) -> Result<(), StoreError> {
        let mut conn = self.read().await?;
        let found = schema(&mut conn).await?;
        let promised = match conn {
            Conn::Sqlite(_) => sqlite().await?,
            Conn::Postgres(..) => POSTGRES.lines().filter_map(read).collect(),
        };
        drop(conn);
        for (key, says) in &promised {
            let what = match found.get(key) {
                Some(found) if found == says => continue,
                Some(_) => "it is not what this program has made",
                None => "it is missing",
            };
            look(fault(key, what));
        }
        // What somebody adds may do anything, too; a table of theirs stands for itself.
        let added = found.keys().filter(|key| key.0 != "table" && !promised.contains_key(*key));
        for key in added {
            look(fault(key, "this program has not made it"));
        }
        Ok(())
    }

    /// The triggers and constraints as PostgreSQL tells them, a line each; on SQLite its tables too.
    pub async fn schema(&self) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        let line = |((kind, table, name), says)| format!("{kind} {table} {name} {says}");
        Ok(schema(&mut conn).await?.into_iter().map(line).collect())
    }
}

fn fault((kind, table, name): &(String, String, String), what: &str) -> AuditFault {
    let row = if name.is_empty() { table.clone() } else { format!("{table}.{name}") };
    AuditFault { table: "schema", row: format!("{kind} {row}"), what: what.to_owned() }
}

/// What [`Store::schema`] writes.
fn read(line: &str) -> Option<((String, String, String), String)> {
    let mut parts = line.splitn(4, ' ').map(str::to_owned);
    let key = (parts.next()?, parts.next()?, parts.next()?);
    Some((key, parts.next()?))
}

async fn schema(conn: &mut Conn) -> Result<Schema, StoreError> {
    let rows: Vec<(String, String, String, String)> =
        on!(*conn, SCHEMA => _, (q, c) => q.fetch_all(c).await)?;
    let plain = |says: &str| {
        let means = |sign: &char| !sign.is_whitespace() && !matches!(sign, '"' | '(' | ')');
        says.chars().filter(means).collect::<String>().to_lowercase()
    };
    Ok(rows
        .iter()
        .map(|(kind, table, name, says)| ((kind.clone(), table.clone(), name.clone()), plain(says)))
        .collect())
}

/// The schema of an SQLite database that this program has just made.
async fn sqlite() -> Result<Schema, StoreError> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    let pool = Pool::Sqlite(pool);
    let mut conn = pool.begin().await?;
    migrate::apply(&mut conn, 0).await?;
    let schema = schema(&mut conn).await;
    drop(conn);
    pool.close().await;
    schema
}
