//! Receipts: written once, in batches; read by page.

use ledger::Receipt;
use ledger::merkle::Hash;
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::insert::{Chunk, Insert};
use crate::row::{Row, Shared};
use crate::{Store, StoreError};

const INTO: Sql = Sql {
    // Whoever writes takes all of it back when a row is refused. ABORT takes back the statement's rows, and keeps a copy of every
    // page for that; for a function in a CHECK it does so whatever stands here.
    sqlite: "INSERT OR FAIL INTO receipts",
    postgres: "INSERT INTO tollgate.receipts",
};
const HASH: Sql = sql!(
    "SELECT content_hash, batch_id, leaf FROM tollgate.receipts WHERE request_id = $1 AND attempt = $2"
);
const OF_REQUEST: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    " FROM tollgate.receipts WHERE request_id = $1 ORDER BY attempt"
);
const NEWEST_OF_USER: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    " FROM tollgate.receipts WHERE user_id = $1 AND (started_at, request_id, attempt) < ($2, $3, $4) ",
    "ORDER BY started_at DESC, request_id DESC, attempt DESC LIMIT $5"
);
const ALL_AFTER: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    " FROM tollgate.receipts WHERE (request_id, attempt) > ($1, $2) ",
    "ORDER BY request_id, attempt LIMIT $3"
);

/// How many receipts [`Store::for_each_receipt`] reads at a time.
const PAGE: i64 = 1_000;

/// The place of a receipt among those of its user: the next page begins after it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The `started_at` of the last receipt of the page before.
    pub started_at: i64,
    /// Its request.
    pub request_id: Uuid,
    /// Its attempt.
    pub attempt: i16,
}

impl Cursor {
    /// The place of `receipt`.
    pub const fn of(receipt: &Receipt) -> Self {
        Self {
            started_at: receipt.started_at,
            request_id: receipt.request_id,
            attempt: receipt.attempt,
        }
    }
}

pub(crate) fn statement() -> Insert {
    let columns = concat!(receipt_columns!(), ", batch_id, leaf");
    let insert = Insert::new(INTO, columns, " ON CONFLICT (request_id, attempt) DO NOTHING");
    insert.with_common(concat!(common_columns!(), ", batch_id"))
}

impl Store {
    /// Writes receipts that are in no journal, as the batch `id`, and returns how many were new. One that is there already,
    /// with the same content, is no error: so a batch whose answer was lost may be sent again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where a receipt of that id has other content. On any error none is written.
    pub async fn insert_receipts(
        &self,
        id: Uuid,
        receipts: &[Receipt],
        at: i64,
    ) -> Result<usize, StoreError> {
        let mut conn = self.begin().await?;
        let rows = receipts.iter().map(Row::of);
        let (applied, _) = self.post(&mut conn, rows, (id, Uuid::nil(), at)).await?;
        conn.commit().await?;
        Ok(applied.new)
    }

    /// The receipts of one request, one per attempt.
    pub async fn receipts_of_request(&self, request_id: Uuid) -> Result<Vec<Receipt>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> =
            on!(conn, OF_REQUEST => _, (q, c) => q.bind(request_id).fetch_all(c).await)?;
        rows.into_iter().map(Row::receipt).collect()
    }

    /// A page of a user's receipts, newest first: the first `limit` of those after `after`.
    pub async fn receipts_of_user(
        &self,
        user_id: Uuid,
        after: Option<Cursor>,
        limit: u16,
    ) -> Result<Vec<Receipt>, StoreError> {
        let newest = Cursor { started_at: i64::MAX, request_id: Uuid::max(), attempt: i16::MAX };
        let after = after.unwrap_or(newest);
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, NEWEST_OF_USER => _, (q, c) => {
            let q = q.bind(user_id).bind(after.started_at);
            let q = q.bind(after.request_id).bind(i64::from(after.attempt));
            q.bind(i64::from(limit)).fetch_all(c).await
        })?;
        rows.into_iter().map(Row::receipt).collect()
    }

    /// Gives every receipt to `look`, in the order of their ids, and returns how many there were. A row that cannot be
    /// read, or whose content is not what was written, is given as the error, and the next one follows.
    ///
    /// It reads by page, so that it holds nothing up; receipts written meanwhile may or may not be among them.
    pub async fn for_each_receipt(
        &self,
        mut look: impl FnMut(Result<Receipt, StoreError>) + Send,
    ) -> Result<u64, StoreError> {
        let mut after = (Uuid::nil(), 0_i64);
        let mut seen = 0;
        loop {
            let mut conn = self.read().await?;
            let rows: Vec<Row> = on!(conn, ALL_AFTER => _, (q, c) => {
                q.bind(after.0).bind(after.1).bind(PAGE).fetch_all(c).await
            })?;
            drop(conn);
            let Some(last) = rows.last() else { return Ok(seen) };
            after = (last.request_id, last.attempt);
            for row in rows {
                seen += 1;
                look(row.receipt());
            }
        }
    }
}

/// Inserts as many rows as a statement has as those of a batch, from leaf `first` on. Tells of each what a seal has of it, and
/// whether it was new.
pub(crate) async fn insert(
    conn: &mut Conn,
    chunk: &Chunk,
    (batch, first): (Uuid, i64),
    rows: Vec<Row>,
) -> Result<Vec<(Hash, bool)>, StoreError> {
    let ids = rows.iter().zip(first..).map(|(row, leaf)| Id::of(row, leaf));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let alike = chunk.alike.as_deref().zip(common(&rows).cloned());
    let (chunk, common) = alike.map_or((chunk, None), |(alike, common)| (alike, Some(common)));
    let rows = rows.into_iter().zip(first..);
    let written = on!(*conn, chunk, (q, c) => {
        let q = match common {
            Some(common) => {
                let q = rows.fold(q, |q, (row, leaf)| row.bind_own(q).bind(leaf));
                common.bind(q).bind(batch)
            }
            None => rows.fold(q, |q, (row, leaf)| row.bind(q).bind(batch).bind(leaf)),
        };
        q.execute(c).await.map(|done| done.rows_affected())
    })?;
    if written == ids.len() as u64 {
        return Ok(ids.iter().map(|id| (id.content_hash, true)).collect());
    }
    look(conn, batch, &ids).await
}

/// What all these rows have in common, where they have everything.
fn common(rows: &[Row]) -> Option<&Shared> {
    let (first, rest) = rows.split_first()?;
    rest.iter().all(|row| row.common == first.common).then_some(&first.common)
}

/// What tells whether two receipts are the same.
struct Id {
    request_id: Uuid,
    attempt: i64,
    content_hash: Hash,
    /// Its place in the batch.
    leaf: i64,
}

impl Id {
    fn of(row: &Row, leaf: i64) -> Result<Self, StoreError> {
        let (request_id, attempt) = (row.request_id, row.attempt);
        Ok(Self { request_id, attempt, content_hash: row.leaf()?, leaf })
    }
}

/// Of rows of which some were there already: which are new, and whether the others are the same. One that a batch has
/// twice is new once.
async fn look(conn: &mut Conn, batch: Uuid, ids: &[Id]) -> Result<Vec<(Hash, bool)>, StoreError> {
    let mut told = Vec::with_capacity(ids.len());
    for id in ids {
        let (stored, of, leaf): (Vec<u8>, Option<Uuid>, Option<i64>) = on!(*conn, HASH => _, (q, c) => {
            q.bind(id.request_id).bind(id.attempt).fetch_one(c).await
        })?;
        if stored != id.content_hash {
            return Err(StoreError::Conflict {
                request_id: id.request_id,
                attempt: i16::try_from(id.attempt).unwrap_or(i16::MAX),
            });
        }
        told.push((id.content_hash, (of, leaf) == (Some(batch), Some(id.leaf))));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;
    use uuid::Uuid;

    use super::{insert, statement};
    use crate::engine::Conn;
    use crate::row::{Common, ContentHash, Row, Shared};
    use crate::{Store, StoreError};

    /// A database of SQLite.
    async fn sqlite() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let store = Store::open(&url, 1).await.unwrap();
        store.migrate(0).await.unwrap();
        (folder, store)
    }

    /// What a query finds in one of its columns.
    async fn column(store: &Store, sql: String, column: &str) -> Vec<String> {
        let Conn::Sqlite(mut lease) = store.read().await.unwrap() else { unreachable!() };
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *lease).await.unwrap();
        rows.iter().map(|row| sqlx::Row::get(row, column)).collect()
    }

    /// Writes rows, as many as a statement may have.
    async fn insert_all(
        store: &Store,
        conn: &mut Conn,
        rows: Vec<Row>,
    ) -> Result<Vec<bool>, StoreError> {
        let chunk = store.inserts.receipts.chunk(rows.len()).unwrap();
        assert_eq!(chunk.rows, rows.len());
        let told = insert(conn, chunk, (Uuid::from_u128(9), 0), rows).await?;
        Ok(told.into_iter().map(|(_, is_new)| is_new).collect())
    }

    /// Writes one batch, and returns how many receipts are there afterwards.
    async fn written(rows: Vec<Row>) -> (Result<Vec<bool>, StoreError>, u64) {
        let (_folder, store) = sqlite().await;
        let mut conn = store.begin().await.unwrap();
        let news = insert_all(&store, &mut conn, rows).await;
        match news {
            Ok(_) => conn.commit().await.unwrap(),
            Err(_) => drop(conn),
        }
        let kept = store.for_each_receipt(|_| ()).await.unwrap();
        (news, kept)
    }

    #[tokio::test]
    async fn a_row_that_is_refused_takes_the_others_with_it() {
        let row = |id| {
            let mut row = Row { request_id: Uuid::from_u128(id), ..Row::default() };
            row.seal();
            row
        };
        let rows = || (1..=5).map(row).collect::<Vec<_>>();
        let (news, kept) = written(rows()).await;
        assert_eq!((news.unwrap(), kept), (vec![true; 5], 5));
        // Four are written before the engine refuses the fifth.
        let mut refused = rows();
        refused[4].input_tokens = -1;
        refused[4].seal();
        let (news, kept) = written(refused).await;
        assert!(news.is_err(), "{news:?}");
        assert_eq!(kept, 0);
    }

    #[tokio::test]
    async fn no_row_is_written_without_its_hash() {
        let mut row = Row { request_id: Uuid::from_u128(1), ..Row::default() };
        row.seal();
        row.content_hash = ContentHash::from(vec![0; 31]);
        let (news, kept) = written(vec![row]).await;
        assert!(matches!(news, Err(StoreError::Corrupt { .. })), "{news:?}");
        assert_eq!(kept, 0);
    }

    /// All that there is of each receipt.
    async fn all(store: &Store) -> Vec<String> {
        let columns = concat!(receipt_columns!(), ", batch_id, leaf").split(',');
        let quoted: Vec<_> =
            columns.map(|column| format!("coalesce(quote({column}), '-')")).collect();
        let sql = format!(
            "SELECT {} AS says FROM receipts ORDER BY request_id",
            quoted.join(" || ' ' || ")
        );
        column(store, sql, "says").await
    }

    #[tokio::test]
    async fn what_rows_have_in_common_is_written_to_each() {
        let row = |id: u8, model: &str| {
            let common = Common {
                account_id: Uuid::from_u128(1),
                user_id: Uuid::from_u128(2),
                key_id: Uuid::from_u128(3),
                surface: "native".into(),
                provider: "openai".into(),
                model: model.into(),
                model_served: Some("served".into()),
                price_version: 4,
                commission_bps: 5,
                usage_source: "provider".into(),
                outcome: "ok".into(),
                scopes: Some(vec![6; 25]),
            };
            let mut row = Row {
                common: Shared::from(common),
                request_id: Uuid::from_u128(id.into()),
                upstream_id: Some(format!("chatcmpl-{id}").into()),
                input_tokens: id.into(),
                report: format!("{{{id}}}").into(),
                started_at: 7,
                bound: Some(id.into()),
                ..Row::default()
            };
            row.seal();
            row
        };
        for other in ["gpt-4o", "gpt-4o-mini"] {
            let rows = || (1..=64).map(|id| row(id, if id == 33 { other } else { "gpt-4o" }));
            let ((_one, by_one), (_many, at_once)) = (sqlite().await, sqlite().await);
            let mut conn = by_one.begin().await.unwrap();
            for (leaf, row) in (0..).zip(rows()) {
                let chunk = by_one.inserts.receipts.chunk(1).unwrap();
                insert(&mut conn, chunk, (Uuid::from_u128(9), leaf), vec![row]).await.unwrap();
            }
            conn.commit().await.unwrap();
            let mut conn = at_once.begin().await.unwrap();
            let news = insert_all(&at_once, &mut conn, rows().collect()).await.unwrap();
            conn.commit().await.unwrap();
            let written = all(&at_once).await;
            assert_eq!((news, written.len()), (vec![true; 64], 64));
            assert_eq!(written, all(&by_one).await);
            assert!(written[32].contains(&format!("'{other}'")), "{}", written[32]);
        }
    }

    /// Else it keeps a copy of each page that it changes, in case the function fails.
    #[tokio::test]
    async fn the_statement_calls_no_function() {
        let (_folder, store) = sqlite().await;
        let insert = statement();
        let alike = insert.chunk(64).unwrap().alike.as_ref().unwrap();
        for statement in [insert.chunk(2).unwrap(), alike] {
            let sql = format!("EXPLAIN {}", statement.sqlite().0);
            let steps = column(&store, sql, "opcode").await;
            assert!(steps.iter().any(|step| step == "IdxInsert"), "{steps:?}");
            assert!(!steps.iter().any(|step| step.contains("Function")), "{steps:?}");
        }
        let other = "EXPLAIN SELECT length(content_hash) FROM receipts".to_owned();
        let steps = column(&store, other, "opcode").await;
        assert!(steps.iter().any(|step| step.contains("Function")), "{steps:?}");
    }

    #[tokio::test]
    async fn nothing_changes_where_the_table_is_made_again() {
        let (_folder, store) = sqlite().await;
        let rows = (1_u8..=3).map(|id| {
            let mut row = Row {
                request_id: Uuid::from_u128(id.into()),
                common: Shared::from(Common {
                    model_served: (id > 1).then(|| "gpt-4o".into()),
                    scopes: (id > 1).then(|| vec![id; 25]),
                    ..Common::default()
                }),
                upstream_id: (id > 2).then(|| "chatcmpl-1".into()),
                bound: (id > 1).then_some(7),
                ..Row::default()
            };
            row.seal();
            row
        });
        let mut conn = store.begin().await.unwrap();
        insert_all(&store, &mut conn, rows.collect()).await.unwrap();
        conn.commit().await.unwrap();
        let before = all(&store).await;
        assert_eq!(before.len(), 3);
        let mut conn = store.begin().await.unwrap();
        conn.script("DELETE FROM schema_migrations WHERE version = 17").await.unwrap();
        conn.commit().await.unwrap();
        assert_eq!(store.migrate(1).await.unwrap(), 1);
        assert_eq!(all(&store).await, before);
        store.verify_schema(|fault| panic!("{fault}")).await.unwrap();
    }
}
