//! Reading the PostgreSQL database of another program: nothing is written, everything is seen as of one moment, and no
//! statement is given a name, so that it works through any pooler.

use std::fmt::Write as _;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::StoreError;
use crate::postgres_url::{postgres_options, unnamed};

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Rows that a policy keeps from us are an error then, and not silently missing.
const ALL_ROWS: &str = "SET LOCAL row_security = off";
const SCHEMAS: &str = "SELECT nspname::text FROM pg_catalog.pg_namespace \
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' ORDER BY 1";
const COLUMNS: &str = "SELECT c.relname::text, a.attname::text FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname, a.attnum";
/// Rows that are fetched at once.
const BATCH: usize = 5_000;

/// How a column is read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Cast {
    /// As PostgreSQL writes it.
    Text,
    /// As JSON, whatever it is: an array of texts, say.
    Json,
}

/// A column that is wanted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, in any case.
    pub name: &'static str,
    /// How it is read.
    pub cast: Cast,
    /// Whether the table is none without it; one that may be missing is read as NULL.
    pub required: bool,
}

impl Column {
    /// One that must be there.
    pub const fn of(name: &'static str) -> Self {
        Self { name, cast: Cast::Text, required: true }
    }

    /// One that may be missing.
    pub const fn maybe(name: &'static str) -> Self {
        Self { name, cast: Cast::Text, required: false }
    }

    /// One that may be missing, read as JSON.
    pub const fn json(name: &'static str) -> Self {
        Self { name, cast: Cast::Json, required: false }
    }
}

/// A table that is wanted.
#[derive(Copy, Clone, Debug)]
pub struct Wanted {
    /// Its name, in any case.
    pub table: &'static str,
    /// Its columns, in the order in which they are read.
    pub columns: &'static [Column],
}

/// A table that was found: what to select from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name there.
    pub table: String,
    select: String,
}

/// The columns of a row, in the order in which they were wanted.
pub type Row = Vec<Option<String>>;

/// A database of another program, in one transaction that only reads.
#[derive(Debug)]
pub struct Foreign {
    conn: PgConnection,
    schema: String,
    /// Tables with their columns.
    tables: Vec<(String, Vec<String>)>,
}

impl Foreign {
    /// Connects and looks which tables there are in `schema`.
    ///
    /// # Errors
    /// [`StoreError::Url`] where the URL is none of PostgreSQL; [`StoreError::Missing`] where there is no such schema.
    pub async fn open(url: &str, schema: &str) -> Result<Self, StoreError> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(StoreError::ForeignUrl);
        }
        let mut conn = PgConnection::connect_with(&unnamed(postgres_options(url)?.0)).await?;
        for statement in [BEGIN, ALL_ROWS] {
            sqlx::raw_sql(statement).execute(&mut conn).await?;
        }
        let schemas: Vec<(String,)> =
            sqlx::query_as(SCHEMAS).persistent(false).fetch_all(&mut conn).await?;
        let schemas: Vec<String> = schemas.into_iter().map(|(name,)| name).collect();
        let schema = pick(&schemas, schema)
            .ok_or_else(|| missing("schema", schema, "the database", &schemas))?
            .clone();
        let rows: Vec<(String, Option<String>)> =
            sqlx::query_as(COLUMNS).bind(&schema).persistent(false).fetch_all(&mut conn).await?;
        let mut tables: Vec<(String, Vec<String>)> = Vec::new();
        for (table, column) in rows {
            if tables.last().is_none_or(|(last, _)| *last != table) {
                tables.push((table, Vec::new()));
            }
            if let Some((_, columns)) = tables.last_mut() {
                columns.extend(column);
            }
        }
        Ok(Self { conn, schema, tables })
    }

    /// The table of that name with those columns, whatever their case.
    ///
    /// # Errors
    /// [`StoreError::Missing`] names what is not there, and what is.
    pub fn find(&self, wanted: &Wanted) -> Result<Found, StoreError> {
        let alike: Vec<&(String, Vec<String>)> = self
            .tables
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted.table))
            .collect();
        let whole = |columns: &Vec<String>| {
            let mut required = wanted.columns.iter().filter(|column| column.required);
            required.all(|column| pick(columns, column.name).is_some())
        };
        // Of tables that differ in case alone the one that has the columns, and then the one written that way.
        let mut ranked = alike.clone();
        ranked.sort_by_key(|(name, columns)| (!whole(columns), name != wanted.table));
        let Some((table, columns)) = ranked.first() else {
            let names: Vec<String> = self.tables.iter().map(|(name, _)| name.clone()).collect();
            let place = format!("schema {}", self.schema);
            return Err(missing("table", wanted.table, &place, &names));
        };
        let mut select = String::from("SELECT ");
        for (place, column) in wanted.columns.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let _ = match (pick(columns, column.name), column.cast) {
                (Some(name), Cast::Text) => write!(select, "{comma}{}::text", quoted(name)),
                (Some(name), Cast::Json) => {
                    write!(select, "{comma}to_json({})::text", quoted(name))
                }
                (None, _) if !column.required => write!(select, "{comma}NULL::text"),
                (None, _) => {
                    let place = format!("table {table}");
                    return Err(missing("column", column.name, &place, columns));
                }
            };
        }
        let _ = write!(select, " FROM {}.{}", quoted(&self.schema), quoted(table));
        Ok(Found { table: table.clone(), select })
    }

    /// Whether there is a table of that name.
    pub fn has(&self, table: &str) -> bool {
        self.tables.iter().any(|(name, _)| name.eq_ignore_ascii_case(table))
    }

    /// Gives every row to `look`, and after each batch how many there were to `progress`.
    pub async fn each(
        &mut self,
        found: &Found,
        mut look: impl FnMut(Row),
        mut progress: impl FnMut(u64),
    ) -> Result<u64, StoreError> {
        let declare = format!("DECLARE tollgate_rows NO SCROLL CURSOR FOR {}", found.select);
        sqlx::raw_sql(AssertSqlSafe(declare)).execute(&mut self.conn).await?;
        let fetch = format!("FETCH FORWARD {BATCH} FROM tollgate_rows");
        let mut seen = 0;
        loop {
            let rows = sqlx::query(AssertSqlSafe(fetch.clone()))
                .persistent(false)
                .fetch_all(&mut self.conn)
                .await?;
            for row in &rows {
                let columns = (0..row.len()).map(|place| row.try_get::<Option<String>, _>(place));
                look(columns.collect::<Result<Row, _>>()?);
            }
            seen += rows.len() as u64;
            progress(seen);
            if rows.len() < BATCH {
                break;
            }
        }
        sqlx::raw_sql("CLOSE tollgate_rows").execute(&mut self.conn).await?;
        Ok(seen)
    }

    /// Ends the transaction, and hangs up.
    pub async fn close(mut self) -> Result<(), StoreError> {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.conn).await?;
        Ok(self.conn.close().await?)
    }
}

/// The name that is written that way, or else the first that differs in case alone.
fn pick<'a>(names: &'a [String], wanted: &str) -> Option<&'a String> {
    let exact = names.iter().find(|name| *name == wanted);
    exact.or_else(|| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn missing(what: &'static str, name: &str, place: &str, found: &[String]) -> StoreError {
    let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
    let (name, place) = (name.to_owned(), place.to_owned());
    StoreError::Missing { what, name, place, found }
}
