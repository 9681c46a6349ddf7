//! Lists for people, by whichever of their columns somebody likes, page after page. A page begins behind the row with which
//! the one before it ended, never at so many rows from the start: what comes and goes meanwhile moves no row to another page.
//!
//! A list is sorted either along an index or over rows of which there are as many as people make: keys, users, members. Sums
//! beside them come from rollups.

use std::fmt;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::StoreError;
use crate::engine::Sql;

/// What a row is sorted by, or known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Number(i64),
    Text(String),
    Id(Uuid),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Id(id) => id.simple().fmt(f),
        }
    }
}

/// One of the columns that a list can be sorted by: the word for it, and the expression.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Sort {
    Number(&'static str, &'static str),
    Text(&'static str, &'static str),
}

impl Sort {
    const fn word(self) -> &'static str {
        let (Self::Number(word, _) | Self::Text(word, _)) = self;
        word
    }

    const fn by(self) -> &'static str {
        let (Self::Number(_, by) | Self::Text(_, by)) = self;
        by
    }
}

/// A list: what can be sorted by, and the statement that the order is added to.
#[derive(Debug)]
pub struct Listing {
    pub(crate) sorts: &'static [Sort],
    /// What no two rows have in common, and whether that is a number.
    pub(crate) id: &'static str,
    pub(crate) is_numbered: bool,
    /// The columns, and from where on which conditions.
    pub(crate) columns: Sql,
    pub(crate) from: Sql,
    /// How many values the conditions need.
    pub(crate) binds: usize,
}

impl Listing {
    /// Whether it can be sorted by the column of that name.
    pub fn goes_by(&self, word: &str) -> bool {
        self.sorts.iter().any(|sort| sort.word() == word)
    }

    /// The first `limit` rows by a column; `None` where it cannot be sorted by that.
    pub fn by(&'static self, word: &str, descending: bool, limit: u16) -> Option<Seek> {
        let sort = *self.sorts.iter().find(|sort| sort.word() == word)?;
        Some(Seek { listing: self, sort, descending, after: None, limit })
    }
}

/// The rows of a list that are wanted.
#[derive(Clone, Debug)]
pub struct Seek {
    listing: &'static Listing,
    sort: Sort,
    descending: bool,
    after: Option<Place>,
    limit: u16,
}

/// Where a page ended: by what its last row was sorted, and which one that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) value: Scalar,
    pub(crate) id: Scalar,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// The rows, in the order that was asked for.
    pub rows: Vec<T>,
    /// Where to go on; none at the end.
    pub next: Option<Place>,
}

impl<T> Paged<T> {
    /// The same with other rows, one for each.
    pub fn map<U>(self, made: impl FnMut(T) -> U) -> Paged<U> {
        Paged { rows: self.rows.into_iter().map(made).collect(), next: self.next }
    }

    pub(crate) fn read<U>(
        self,
        made: impl FnMut(T) -> Result<U, StoreError>,
    ) -> Result<Paged<U>, StoreError> {
        Ok(Paged {
            rows: self.rows.into_iter().map(made).collect::<Result<_, _>>()?,
            next: self.next,
        })
    }
}

impl Seek {
    /// The rows behind that place, in the same order.
    #[must_use]
    pub fn behind(self, place: Option<Place>) -> Self {
        Self { after: place, ..self }
    }

    /// A place in this order as [`Seek::write`] has written it; `None` for what is no such place.
    pub fn read(&self, text: &str) -> Option<Place> {
        let rest = text.strip_prefix(&self.order())?.strip_prefix('~')?;
        let (id, value) = rest.split_once('~')?;
        let id = if self.listing.is_numbered {
            Scalar::Number(id.parse().ok()?)
        } else {
            Scalar::Id(Uuid::try_parse(id).ok()?)
        };
        let value = match self.sort {
            Sort::Number(..) => Scalar::Number(value.parse().ok()?),
            // PostgreSQL has no text with this in it.
            Sort::Text(..) => {
                Scalar::Text(Some(value).filter(|text| !text.contains('\0'))?.to_owned())
            }
        };
        Some(Place { value, id })
    }

    /// A place as an address has it, with the order that it belongs to.
    pub fn write(&self, place: &Place) -> String {
        format!("{}~{}~{}", self.order(), place.id, place.value)
    }

    fn order(&self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.sort.word())
    }

    /// The newest of what is numbered, before a number.
    pub(crate) const fn newest(listing: &'static Listing, before: Option<i64>, limit: u16) -> Self {
        let sort = Sort::Number(listing.id, listing.id);
        let after = match before {
            Some(number) => {
                Some(Place { value: Scalar::Number(number), id: Scalar::Number(number) })
            }
            None => None,
        };
        Self { listing, sort, descending: true, after, limit }
    }

    pub(crate) fn statement(&self) -> Statement<'_> {
        Statement(self)
    }

    /// One row more than a page has, so that it is known whether another follows.
    pub(crate) fn most(&self) -> i64 {
        i64::from(self.limit).saturating_add(1)
    }

    pub(crate) fn place(&self) -> Option<&Place> {
        self.after.as_ref()
    }

    /// The page that rows make which this statement has found.
    pub(crate) fn page<R>(&self, mut found: Vec<Placed<R>>, id: impl Fn(&R) -> Scalar) -> Paged<R> {
        let more = found.len() > usize::from(self.limit);
        found.truncate(usize::from(self.limit));
        let next = found.last().filter(|_| more).map(|last| Place {
            id: id(&last.row),
            value: match self.sort {
                Sort::Number(..) => Scalar::Number(last.place_number),
                Sort::Text(..) => Scalar::Text(last.place_text.clone()),
            },
        });
        Paged { rows: found.into_iter().map(|placed| placed.row).collect(), next }
    }
}

/// A row with what it is sorted by.
#[derive(sqlx::FromRow)]
pub(crate) struct Placed<T> {
    #[sqlx(flatten)]
    row: T,
    place_number: i64,
    place_text: String,
}

/// The text of a seek. Every part of it is a constant of ours: what somebody has typed is bound.
#[derive(Debug)]
pub(crate) struct Statement<'a>(&'a Seek);

impl Statement<'_> {
    pub(crate) fn sqlite(&self) -> AssertSqlSafe<String> {
        self.text(|sql| sql.sqlite)
    }

    pub(crate) fn postgres(&self) -> AssertSqlSafe<String> {
        self.text(|sql| sql.postgres)
    }

    fn text(&self, engine: fn(Sql) -> &'static str) -> AssertSqlSafe<String> {
        let Seek { listing, sort, descending, after, .. } = self.0;
        let (by, id, n) = (sort.by(), listing.id, listing.binds);
        let (columns, from) = (engine(listing.columns), engine(listing.from));
        let place = match sort {
            Sort::Number(..) => format!("CAST({by} AS BIGINT) AS place_number, '' AS place_text"),
            Sort::Text(..) => format!("CAST(0 AS BIGINT) AS place_number, {by} AS place_text"),
        };
        let (way, than) = if *descending { ("DESC", '<') } else { ("ASC", '>') };
        let behind = match after {
            Some(_) => format!(" AND ({by}, {id}) {than} (${}, ${})", n + 2, n + 3),
            None => String::new(),
        };
        AssertSqlSafe(format!(
            "SELECT {columns}, {place} {from}{behind} ORDER BY {by} {way}, {id} {way} LIMIT ${}",
            n + 1
        ))
    }
}

/// Reads what a seek finds, whose conditions have these values: a query binds those, how many rows, and the place.
macro_rules! seek {
    ($conn:expr, $seek:expr => $row:ty, |$q:ident| $bound:expr) => {
        on!($conn, $seek.statement() => $crate::lists::Placed<$row>, ($q, c) => {
            let q = $bound.bind($seek.most());
            let q = match $seek.place() {
                Some(place) => {
                    let q = $crate::lists::bind!(q, &place.value);
                    $crate::lists::bind!(q, &place.id)
                }
                None => q,
            };
            q.fetch_all(c).await
        })
    };
}

/// Binds a scalar, whatever it is.
macro_rules! bind {
    ($q:expr, $scalar:expr) => {
        match $scalar {
            $crate::lists::Scalar::Number(number) => $q.bind(*number),
            $crate::lists::Scalar::Text(text) => $q.bind(text.clone()),
            $crate::lists::Scalar::Id(id) => $q.bind(*id),
        }
    };
}
pub(crate) use {bind, seek};

/// What has `part` in it, whatever the case, as a pattern of LIKE with `!` before what is meant as it is.
pub(crate) fn having(part: &str) -> String {
    let part = part.to_ascii_lowercase();
    format!("%{}%", part.replace('!', "!!").replace('%', "!%").replace('_', "!_"))
}
