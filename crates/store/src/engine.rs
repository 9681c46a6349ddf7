//! The two engines, and everything in which they differ.
//!
//! A statement is written once, with its tables as `tollgate.users`. On PostgreSQL that is the schema, named in full
//! because a pooler between transactions forgets any `search_path`; SQLite knows no schemas of a user's own, so
//! `sql!` takes the prefix away, at compile time.

use std::ops::{Deref, DerefMut};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{
    AssertSqlSafe, Connection as _, Database, Postgres, Sqlite, Transaction, pool::PoolConnection,
};

use crate::error::StoreError;
use crate::postgres_url::postgres_options;
use crate::terms::Terms;

/// Begins a write on SQLite: an ordinary `BEGIN` takes the write lock only at the first write, and then fails at once
/// where another process holds it, instead of waiting for it.
const SQLITE_BEGIN: &str = "BEGIN IMMEDIATE";

/// Begins a reading of many statements that all see the same. SQLite's ordinary `BEGIN` does.
const POSTGRES_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// For a transaction whose rows are to come in the order of an index. PostgreSQL's planner, which does not know what a
/// filter will let through, may else read and sort all that an account has for the first few.
const POSTGRES_BY_INDEX: &str =
    "BEGIN; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off";

/// Words of the common schema text that SQLite's strict tables know by another name. `STRICT` itself makes SQLite
/// refuse a text in a number's column, as PostgreSQL always does; without a number of its own for every row, a table is
/// one tree with its primary key, not two.
const SQLITE_WORDS: [(&str, &str); 6] = [
    ("BIGINT", "INTEGER"),
    ("BOOLEAN", "INTEGER"),
    (" UUID", " BLOB"),
    (" BYTEA", " BLOB"),
    ("\n);", "\n) STRICT, WITHOUT ROWID;"),
    (PREFIX, ""),
];

/// On PostgreSQL, text is ordered by bytes, as SQLite does, and not by the language of the server.
const POSTGRES_WORDS: [(&str, &str); 1] = [(" TEXT", " TEXT COLLATE \"C\"")];

/// One migration at a time. The lock ends with the transaction, so that it works through a pooler too. SQLite needs
/// none: its write transactions wait for each other.
pub(crate) const POSTGRES_LOCK: &str = "SELECT pg_advisory_xact_lock(7021180642971)";

/// Whether the table with what has been applied is there.
pub(crate) const HAS_MIGRATIONS: Sql = Sql {
    sqlite: "SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'",
    postgres: "SELECT 1::bigint FROM pg_tables WHERE schemaname = 'tollgate' AND tablename = 'schema_migrations'",
};

/// The clock of a server, in microseconds since 1970. SQLite has none, and is not asked.
pub(crate) const POSTGRES_CLOCK: Sql = Sql {
    sqlite: "",
    postgres: "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
};

/// PostgreSQL's schema. SQLite has a file instead. Asked first, because to make a schema needs a right that a careful
/// operator takes away once it is there.
pub(crate) const POSTGRES_SCHEMA: &str = "DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'tollgate') THEN
        CREATE SCHEMA tollgate;
    END IF;
END $$";

/// What keeps the tables as they are, by kind, table and name, and what each says: each engine has lists of its own. SQLite keeps
/// the constraints of a table in its text.
pub(crate) const SCHEMA: Sql = Sql {
    sqlite: "SELECT type, tbl_name, CASE WHEN type = 'table' THEN '' ELSE name END, sql FROM sqlite_schema \
        WHERE type IN ('table', 'trigger') AND name NOT LIKE 'sqlite_%'",
    postgres: "SELECT 'trigger', c.relname::text, t.tgname::text, pg_get_triggerdef(t.oid) || t.tgenabled::text \
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
        WHERE c.relnamespace = 'tollgate'::regnamespace AND NOT t.tgisinternal \
        UNION ALL SELECT 'constraint', c.relname::text, k.conname::text, pg_get_constraintdef(k.oid) \
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
        WHERE k.connamespace = 'tollgate'::regnamespace AND k.contype IN ('c', 'p', 'u', 'f') \
        UNION ALL SELECT 'function', p.proname::text, '', p.prosrc FROM pg_proc p \
        WHERE p.pronamespace = 'tollgate'::regnamespace",
};

/// Supabase offers every schema it is told of to the internet, as the roles `anon` and `authenticated`. Row level
/// security without a policy, and no grants, keep them out twice; the owner of the tables is not affected. SQLite has
/// no roles.
pub(crate) const POSTGRES_LOCK_OUT: &str = "DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'tollgate' AND NOT rowsecurity LOOP
        EXECUTE format('ALTER TABLE tollgate.%I ENABLE ROW LEVEL SECURITY', name);
    END LOOP;
    REVOKE ALL ON SCHEMA tollgate FROM PUBLIC;
    REVOKE ALL ON ALL TABLES IN SCHEMA tollgate FROM PUBLIC;
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tollgate FROM PUBLIC;
    FOR name IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA tollgate FROM %I', name);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA tollgate FROM %I', name);
        EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tollgate FROM %I', name);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA tollgate REVOKE ALL ON TABLES FROM %I', name);
    END LOOP;
END $$";

/// How long SQLite waits for a lock of another process.
const BUSY: Duration = Duration::from_secs(10);

/// How long to wait for a connection to PostgreSQL: for a server that has gone, for one of ours that is free, or for one to say
/// that it is there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What stands before every table's name in the texts.
const PREFIX: &str = "tollgate.";

/// One statement, as each engine takes it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl Sql {
    pub(crate) const fn sqlite(self) -> &'static str {
        self.sqlite
    }

    pub(crate) const fn postgres(self) -> &'static str {
        self.postgres
    }
}

/// A constant statement, from one or more literals.
macro_rules! sql {
    ($($part:tt)+) => {{
        const POSTGRES: &str = concat!($($part)+);
        const BYTES: [u8; $crate::engine::stripped_len(POSTGRES)] = $crate::engine::strip(POSTGRES);
        // Whole characters are taken away, so what is left is text.
        const SQLITE: &str = match ::std::str::from_utf8(&BYTES) { Ok(text) => text, Err(_) => "" };
        $crate::engine::Sql { sqlite: SQLITE, postgres: POSTGRES }
    }};
}

/// A constant statement that locks the rows it reads until the end of the transaction: on PostgreSQL as `$lock` says. On
/// SQLite nobody else writes meanwhile.
macro_rules! locking {
    ($lock:literal, $($part:tt)+) => {{
        const FREE: $crate::engine::Sql = sql!($($part)+);
        const POSTGRES: &str = concat!($($part)+, " ", $lock);
        $crate::engine::Sql { sqlite: FREE.sqlite, postgres: POSTGRES }
    }};
}

/// Runs the same Rust on either engine: `q` is the query, `c` the connection. With `as T` its rows become `T`.
macro_rules! on {
    (@ $conn:expr, $sql:expr, $query:ident $(::<_, $row:ty>)?, ($q:ident, $c:ident) => $body:expr) => {
        match &mut $conn {
            $crate::engine::Conn::Sqlite(lease) => {
                let ($q, $c) = (::sqlx::$query$(::<_, $row>)?($sql.sqlite()), &mut **lease);
                $body
            }
            $crate::engine::Conn::Postgres(lease, terms) => {
                let $q = ::sqlx::$query$(::<_, $row>)?($sql.postgres()).persistent(terms.named);
                let $c = &mut **lease;
                terms.within(async { $body }).await
            }
        }
    };
    ($conn:expr, $sql:expr, ($q:ident, $c:ident) => $body:expr) => {
        on!(@ $conn, $sql, query, ($q, $c) => $body)
    };
    ($conn:expr, $sql:expr => $row:ty, ($q:ident, $c:ident) => $body:expr) => {
        on!(@ $conn, $sql, query_as::<_, $row>, ($q, $c) => $body)
    };
}

/// The length of `text` without the prefixes.
pub(crate) const fn stripped_len(text: &str) -> usize {
    let (mut at, mut len) = (0, 0);
    while at < text.len() {
        if has_prefix(text.as_bytes(), at) {
            at += PREFIX.len();
        } else {
            at += 1;
            len += 1;
        }
    }
    len
}

/// `text` without the prefixes; `N` is [`stripped_len`].
pub(crate) const fn strip<const N: usize>(text: &str) -> [u8; N] {
    let (mut at, mut len, mut stripped) = (0, 0, [0; N]);
    while at < text.len() {
        if has_prefix(text.as_bytes(), at) {
            at += PREFIX.len();
        } else {
            stripped[len] = text.as_bytes()[at];
            at += 1;
            len += 1;
        }
    }
    stripped
}

const fn has_prefix(text: &[u8], at: usize) -> bool {
    let (prefix, mut i) = (PREFIX.as_bytes(), 0);
    while i < prefix.len() {
        if at + i >= text.len() || text[at + i] != prefix[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Connections to one engine.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool, Terms),
}

/// One connection of either engine, by itself or in a transaction.
#[derive(Debug)]
pub(crate) enum Conn {
    Sqlite(Lease<Sqlite>),
    Postgres(Lease<Postgres>, Terms),
}

/// A connection for a while.
#[derive(Debug)]
pub(crate) enum Lease<DB: Database> {
    Plain(PoolConnection<DB>),
    Transaction(Transaction<'static, DB>),
}

impl<DB: Database> Deref for Lease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        match self {
            Self::Plain(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}

impl<DB: Database> DerefMut for Lease<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        match self {
            Self::Plain(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}

impl Pool {
    /// A connection to read with, or to write with by a single statement. Behind a pooler it is a transaction: a
    /// statement is prepared in one step and run in the next, and only a transaction keeps both on one server connection.
    pub(crate) async fn acquire(&self) -> Result<Conn, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Conn::Sqlite(Lease::Plain(pool.acquire().await?)),
            Self::Postgres(pool, terms) if terms.named => {
                let plain = pool.acquire().await.map_err(StoreError::away)?;
                Conn::Postgres(Lease::Plain(plain), terms.clone())
            }
            Self::Postgres(pool, terms) => terms.begin(pool, "BEGIN".into()).await?,
        })
    }

    /// A transaction to write in.
    pub(crate) async fn begin(&self) -> Result<Conn, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => {
                Conn::Sqlite(Lease::Transaction(pool.begin_with(SQLITE_BEGIN).await?))
            }
            Self::Postgres(pool, terms) => terms.begin(pool, terms.write.clone()).await?,
        })
    }

    /// A transaction to read in, which sees nothing that is written after its first look.
    pub(crate) async fn snapshot(&self) -> Result<Conn, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Conn::Sqlite(Lease::Transaction(pool.begin().await?)),
            Self::Postgres(pool, terms) => terms.begin(pool, POSTGRES_SNAPSHOT.into()).await?,
        })
    }

    /// A connection to read pages with whose order an index has.
    pub(crate) async fn by_index(&self) -> Result<Conn, StoreError> {
        let Self::Postgres(pool, terms) = self else { return self.acquire().await };
        terms.begin(pool, POSTGRES_BY_INDEX.into()).await
    }

    /// Knocks at the server once, past the pool: that would go on knocking by itself, more and more seldom, as long as its
    /// patience lasts.
    pub(crate) async fn reach(&self) -> Result<(), StoreError> {
        let Self::Postgres(pool, _) = self else { return Ok(()) };
        let options = pool.connect_options();
        let connected = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options)).await;
        let connected = connected.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        connected.map_err(StoreError::away)?.close().await.map_err(StoreError::away)
    }

    /// The same, whose statements are not waited for without end.
    pub(crate) fn bounded(self, bound: Duration) -> Self {
        match self {
            Self::Postgres(pool, terms) => Self::Postgres(pool, terms.bounded(bound)),
            Self::Sqlite(pool) => Self::Sqlite(pool),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool, _) => pool.close().await,
        }
    }
}

impl Conn {
    /// Makes what was written last.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(Lease::Transaction(transaction)) => transaction.commit().await?,
            Self::Postgres(Lease::Transaction(transaction), terms) => {
                terms.within(transaction.commit()).await?;
            }
            Self::Sqlite(Lease::Plain(_)) | Self::Postgres(Lease::Plain(_), _) => {}
        }
        Ok(())
    }

    /// Runs a script of our own: several statements without parameters.
    pub(crate) async fn script(&mut self, text: &str) -> Result<(), StoreError> {
        let query = sqlx::raw_sql(AssertSqlSafe(text));
        match self {
            Self::Sqlite(lease) => query.execute(&mut **lease).await.map(drop)?,
            Self::Postgres(lease, _) => query.execute(&mut **lease).await.map(drop)?,
        }
        Ok(())
    }

    /// The name of the engine in the section marks of the migrations.
    pub(crate) const fn section(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(..) => "postgres",
        }
    }

    /// The common schema text in the words of this engine.
    pub(crate) fn words(&self, text: &str) -> String {
        let words: &[(&str, &str)] = match self {
            Self::Sqlite(_) => &SQLITE_WORDS,
            Self::Postgres(..) => &POSTGRES_WORDS,
        };
        words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

/// Opens the pools to read and to write with.
pub(crate) async fn connect(url: &str, readers: u32) -> Result<(Pool, Pool), StoreError> {
    if url.starts_with("sqlite:") {
        connect_sqlite(url, readers).await
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        connect_postgres(url, readers).await
    } else {
        Err(StoreError::Url)
    }
}

/// One connection writes and checkpoints, so that no two of this process ever do; the others can only read.
async fn connect_sqlite(url: &str, readers: u32) -> Result<(Pool, Pool), StoreError> {
    let options = SqliteConnectOptions::from_str(url)?.busy_timeout(BUSY).foreign_keys(true);
    let writer = options
        .clone()
        .create_if_missing(true)
        // Of a new file. Half as many pages are half as many writes.
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL may lose the last commits when the power fails.
        .synchronous(SqliteSynchronous::Full)
        // Else REPLACE deletes the row it replaces without asking the trigger that forbids it.
        .pragma("recursive_triggers", "ON")
        // 32 MiB each. The ends of the indexes are written by every batch: they stay in memory, and many batches are
        // folded into the file at once instead of the same pages again and again.
        .pragma("cache_size", "-32768")
        .pragma("wal_autocheckpoint", "4096")
        // What a statement of many rows would have to undo is noted in memory, not in a temporary file.
        .pragma("temp_store", "MEMORY");
    let pool = || {
        let pool = SqlitePoolOptions::new().test_before_acquire(false);
        let pool = pool.idle_timeout(None).max_lifetime(None);
        // A full disk ends a transaction behind the driver's back, which from then on begins no other: another connection does.
        pool.after_release(|conn, _| Box::pin(is_out_of_transactions(conn)))
    };
    let write = pool().max_connections(1).connect_with(writer).await?;
    let (found,): (String,) = sqlx::query_as("SELECT sqlite_version()").fetch_one(&write).await?;
    if numbers(&found) < vec![3, 51, 3] {
        return Err(StoreError::SqliteTooOld { found });
    }
    let read = pool().max_connections(readers).connect_with(options.read_only(true)).await?;
    Ok((Pool::Sqlite(read), Pool::Sqlite(write)))
}

/// Once whatever was begun has been taken back.
async fn is_out_of_transactions(conn: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    conn.ping().await?;
    Ok(!conn.is_in_transaction())
}

async fn connect_postgres(url: &str, readers: u32) -> Result<(Pool, Pool), StoreError> {
    let (options, named) = postgres_options(url)?;
    // By itself, since a pool would try again for a while and then only say that it has waited.
    let mut first = PgConnection::connect_with(&options).await?;
    let (found,): (String,) = sqlx::query_as("SELECT current_setting('server_version_num')")
        .persistent(named)
        .fetch_one(&mut first)
        .await?;
    if found.parse::<u32>().is_ok_and(|number| number < 150_000) {
        return Err(StoreError::PostgresTooOld { found });
    }
    first.close().await?;
    let terms = Terms::new(named);
    let silent = Arc::clone(&terms.silent);
    let pool = PgPoolOptions::new()
        .max_connections(readers.saturating_add(1))
        .acquire_timeout(PATIENCE)
        .after_release(move |conn, _| Box::pin(Arc::clone(&silent).is_there(conn)))
        .connect_lazy_with(options);
    Ok((Pool::Postgres(pool.clone(), terms.clone()), Pool::Postgres(pool, terms)))
}

/// `3.51.3` as numbers, to be compared.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Pool, Sql, connect, numbers};

    #[test]
    fn sqlite_loses_the_prefix() {
        const STATEMENT: Sql = sql!("SELECT a FROM tollgate.a ", "JOIN tollgate.b");
        assert_eq!(STATEMENT.sqlite, "SELECT a FROM a JOIN b");
        assert_eq!(STATEMENT.postgres, "SELECT a FROM tollgate.a JOIN tollgate.b");
    }

    #[tokio::test]
    async fn sqlite_goes_on_once_its_disk_has_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("full.db").display());
        let (_, write) = connect(&url, 1).await.unwrap();
        let mut conn = write.begin().await.unwrap();
        conn.script("CREATE TABLE t (text TEXT)").await.unwrap();
        conn.commit().await.unwrap();
        let Pool::Sqlite(pool) = &write else { panic!("{write:?}") };
        sqlx::query("PRAGMA max_page_count = 16").execute(pool).await.unwrap();
        let mut conn = write.begin().await.unwrap();
        let full = conn.script("INSERT INTO t VALUES (zeroblob(1000000))").await.unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        drop(conn);
        let mut conn = write.begin().await.unwrap();
        conn.script("INSERT INTO t VALUES (zeroblob(1000000))").await.unwrap();
        conn.commit().await.unwrap();
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("3.9.9") < numbers("3.51.3") && numbers("3.51.2") < numbers("3.51.3"));
        assert!(numbers("3.54") > numbers("3.51.3"));
    }
}
