//! Statements that write many rows.

use std::sync::{Arc, OnceLock};

use sqlx::AssertSqlSafe;

use crate::engine::Sql;

/// A statement that inserts many rows at once, in a set of sizes whose texts never change and which stay prepared: a
/// small batch is one statement, a large one a few.
///
/// Its places are `?` on SQLite, which finds a numbered one by a walk over all numbers before it, and `$1`, `$2`, … on
/// PostgreSQL, which knows no other.
///
/// A statement is written when it is first used: most sizes are of use to neither engine.
#[derive(Debug)]
pub(crate) struct Insert(Vec<Chunk>);

/// An [`Insert`] of one size.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) rows: usize,
    shape: Arc<Shape>,
    sqlite: OnceLock<Arc<str>>,
    postgres: OnceLock<Arc<str>>,
}

/// What the sizes of an [`Insert`] have in common.
#[derive(Debug)]
struct Shape {
    head: Sql,
    columns: usize,
    tail: &'static str,
}

impl Shape {
    fn text(&self, head: &str, rows: usize, place: impl Fn(usize) -> String) -> Arc<str> {
        let row = |row: usize| {
            let first = row * self.columns + 1;
            let places: Vec<_> = (first..first + self.columns).map(&place).collect();
            format!("({})", places.join(","))
        };
        let rows: Vec<_> = (0..rows).map(row).collect();
        format!("{head} VALUES {}{}", rows.join(","), self.tail).into()
    }
}

impl Insert {
    /// `head` names table and columns (`columns` of them), `tail` follows the rows.
    pub(crate) fn new(head: Sql, columns: usize, tail: &'static str) -> Self {
        let shape = Arc::new(Shape { head, columns, tail });
        let chunk = |rows| Chunk {
            rows,
            shape: Arc::clone(&shape),
            sqlite: OnceLock::new(),
            postgres: OnceLock::new(),
        };
        Self([64, 48].into_iter().chain((1..=32).rev()).map(chunk).collect())
    }

    /// The largest size that `rows` fill; `None` for none.
    pub(crate) fn chunk(&self, rows: usize) -> Option<&Chunk> {
        self.0.iter().find(|chunk| chunk.rows <= rows)
    }
}

impl Chunk {
    pub(crate) fn sqlite(&self) -> AssertSqlSafe<Arc<str>> {
        let text = || self.shape.text(self.shape.head.sqlite, self.rows, |_| "?".to_owned());
        AssertSqlSafe(Arc::clone(self.sqlite.get_or_init(text)))
    }

    pub(crate) fn postgres(&self) -> AssertSqlSafe<Arc<str>> {
        let place = |place| format!("${place}");
        let text = || self.shape.text(self.shape.head.postgres, self.rows, place);
        AssertSqlSafe(Arc::clone(self.postgres.get_or_init(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::Insert;

    #[test]
    fn rows_are_taken_in_the_largest_chunks() {
        let insert =
            Insert::new(sql!("INSERT INTO tollgate.t (a, b)"), 2, " ON CONFLICT DO NOTHING");
        let sizes = |rows| insert.chunk(rows).map(|chunk| chunk.rows);
        assert_eq!(
            [0, 1, 5, 63, 64, 999].map(sizes).map(Option::unwrap_or_default),
            [0, 1, 5, 48, 64, 64]
        );
        let four = insert.chunk(4).unwrap();
        assert_eq!(
            &*four.sqlite().0,
            "INSERT INTO t (a, b) VALUES (?,?),(?,?),(?,?),(?,?) ON CONFLICT DO NOTHING"
        );
        assert!(four.postgres().0.contains("($1,$2),($3,$4)"));
    }
}
