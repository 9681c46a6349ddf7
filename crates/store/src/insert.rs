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
    /// Columns that have the same in all rows, and are bound once, behind everything else.
    common: &'static str,
    /// The same for rows that have something in common.
    pub(crate) alike: Option<Box<Chunk>>,
    sqlite: OnceLock<Arc<str>>,
    postgres: OnceLock<Arc<str>>,
}

/// What the sizes of an [`Insert`] have in common.
#[derive(Debug)]
struct Shape {
    head: Sql,
    columns: &'static str,
    tail: &'static str,
}

/// The names in a list of columns.
fn names(columns: &str) -> impl Iterator<Item = &str> {
    columns.split(',').map(str::trim).filter(|name| !name.is_empty())
}

impl Chunk {
    fn new(rows: usize, shape: &Arc<Shape>, common: &'static str) -> Self {
        let shape = Arc::clone(shape);
        let (sqlite, postgres) = (OnceLock::new(), OnceLock::new());
        Self { rows, shape, common, alike: None, sqlite, postgres }
    }

    /// `own` writes a place of one row, `common` one of all rows, counted from 1.
    fn text(
        &self,
        head: &str,
        own: impl Fn(usize) -> String,
        common: impl Fn(usize) -> String,
    ) -> Arc<str> {
        let Shape { columns, tail, .. } = *self.shape;
        let place_of = |name| names(self.common).position(|common| common == name);
        let places: Vec<_> = names(columns).map(place_of).collect();
        let last = self.rows * places.iter().filter(|place| place.is_none()).count();
        let mut used = 0;
        let mut row = || {
            let places = places.iter().map(|place| {
                used += usize::from(place.is_none());
                place.map_or_else(|| own(used), |place| common(last + place + 1))
            });
            format!("({})", places.collect::<Vec<_>>().join(","))
        };
        let rows: Vec<_> = (0..self.rows).map(|_| row()).collect();
        format!("{head} ({columns}) VALUES {}{tail}", rows.join(",")).into()
    }

    pub(crate) fn sqlite(&self) -> AssertSqlSafe<Arc<str>> {
        // The driver takes a name with a number for that argument, and counts places without a name by themselves.
        let text = || self.text(self.shape.head.sqlite, |_| "?".to_owned(), numbered);
        AssertSqlSafe(Arc::clone(self.sqlite.get_or_init(text)))
    }

    pub(crate) fn postgres(&self) -> AssertSqlSafe<Arc<str>> {
        let text = || self.text(self.shape.head.postgres, numbered, numbered);
        AssertSqlSafe(Arc::clone(self.postgres.get_or_init(text)))
    }
}

fn numbered(place: usize) -> String {
    format!("${place}")
}

impl Insert {
    /// `head` names the table, `tail` follows the rows.
    pub(crate) fn new(head: Sql, columns: &'static str, tail: &'static str) -> Self {
        let shape = Arc::new(Shape { head, columns, tail });
        let sizes = [64, 48].into_iter().chain((1..=32).rev());
        Self(sizes.map(|rows| Chunk::new(rows, &shape, "")).collect())
    }

    /// The same where rows may have these columns in common: the largest size binds them once then, in this order.
    pub(crate) fn with_common(mut self, common: &'static str) -> Self {
        if let Some(most) = self.0.first_mut() {
            most.alike = Some(Box::new(Chunk::new(most.rows, &most.shape, common)));
        }
        self
    }

    /// The largest size that `rows` fill; `None` for none.
    pub(crate) fn chunk(&self, rows: usize) -> Option<&Chunk> {
        self.0.iter().find(|chunk| chunk.rows <= rows)
    }
}

#[cfg(test)]
mod tests {
    use super::Insert;

    #[test]
    fn rows_are_taken_in_the_largest_chunks() {
        let head = sql!("INSERT INTO tollgate.t");
        let insert = Insert::new(head, "a, b", " ON CONFLICT DO NOTHING");
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

    #[test]
    fn what_all_rows_have_is_bound_once() {
        let insert = Insert::new(sql!("INSERT INTO tollgate.t"), "a, b, c, d", "");
        assert!(insert.chunk(64).unwrap().alike.is_none());
        let insert = insert.with_common("d, b");
        assert!(insert.chunk(63).unwrap().alike.is_none());
        let alike = insert.chunk(64).unwrap().alike.as_ref().unwrap();
        let row = "(?,$130,?,$129)";
        let rows = vec![row; 64].join(",");
        assert_eq!(*alike.sqlite().0, format!("INSERT INTO t (a, b, c, d) VALUES {rows}"));
        let row = |row: usize| format!("(${},$130,${},$129)", row * 2 + 1, row * 2 + 2);
        let rows = (0..64).map(row).collect::<Vec<_>>().join(",");
        let text = format!("INSERT INTO tollgate.t (a, b, c, d) VALUES {rows}");
        assert_eq!(*alike.postgres().0, text);
    }
}
