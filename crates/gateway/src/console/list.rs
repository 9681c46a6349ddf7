//! Lists: columns that can be sorted by, what narrows the rows down, pages, and the same as a sheet.
//!
//! A [`Wish`] is what an address asks of a list, [`Column`]s are what there is to be seen of a row of it. Rows that are few
//! are all there and sorted here; of others the store gives a page. What is shown and the sheet come from the same columns.

use std::cmp::Ordering;

use askama::Template;
use store::{Listing, Paged, Place, Seek};

pub(crate) use super::columns::{Column, Value};
use super::html::{self, Head, SortLink, Table};
use super::page::DAY;
use super::requests::Pick;
use crate::clock;
use crate::problem::Problem;
use crate::web::Call;

/// What the address asks of a list. Several lists of one page have names, and each its own fields of the address.
pub(crate) struct Wish {
    /// The name; nothing where it is the page's only list.
    name: &'static str,
    path: String,
    pairs: Vec<(String, String)>,
    word: String,
    descending: bool,
    after: Option<String>,
    /// Whether the sheet is wanted.
    pub(crate) csv: bool,
    sortable: Vec<&'static str>,
}

/// Which sheets a page gives: `format=csv` and, where it has several lists, `list=` with the name of one.
fn wants_sheet(pairs: &[(String, String)], name: &str) -> bool {
    let is = |field: &str, value: &str| pairs.iter().any(|(f, v)| f == field && v == value);
    is("format", "csv") && (name.is_empty() || is("list", name))
}

/// Whether the sheet of that list is wanted.
pub(crate) fn wants_sheet_of(call: &Call, name: &str) -> bool {
    let query = call.parts.uri.query().unwrap_or_default();
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    wants_sheet(&pairs, name)
}

impl Wish {
    /// The wish for a list whose columns of these words can be sorted by; where the address says nothing, by `first`:
    /// `word`, or `-word` for the last first.
    pub(crate) fn of(
        call: &Call,
        name: &'static str,
        sortable: Vec<&'static str>,
        first: &str,
    ) -> Result<Self, Problem> {
        let query = call.parts.uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
            .map_err(|_| Problem::bad_request("the address is not one of a list"))?;
        let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let found = |field: &str| {
            let field = of_list(name, field);
            pairs.iter().find(|(known, _)| *known == field).map(|(_, value)| value.clone())
        };
        let sort = found("sort").unwrap_or_else(|| first.to_owned());
        let descending = sort.starts_with('-');
        let word = sort.strip_prefix('-').unwrap_or(&sort).to_owned();
        if sort != first && !sortable.contains(&word.as_str()) {
            let message = format!(
                "sort: this list goes by {}, or by one of them with - in front",
                sortable.join(", ")
            );
            return Err(Problem::bad_request(message));
        }
        let (after, csv) = (found("after"), wants_sheet(&pairs, name));
        let path = call.parts.uri.path().to_owned();
        Ok(Self { name, path, pairs, word, descending, after, csv, sortable })
    }

    /// The wish for rows that are all there: every column can be sorted by.
    pub(crate) fn whole<R>(
        call: &Call,
        name: &'static str,
        columns: &[Column<R>],
        first: &str,
    ) -> Result<Self, Problem> {
        let words = columns.iter().map(|column| column.word).filter(|word| !word.is_empty());
        Self::of(call, name, words.collect(), first)
    }

    /// The wish for a list of the store.
    pub(crate) fn listed<R>(
        call: &Call,
        name: &'static str,
        (listing, columns): (&Listing, &[Column<R>]),
        first: &str,
    ) -> Result<Self, Problem> {
        let words = columns.iter().map(|column| column.word).filter(|word| listing.goes_by(word));
        Self::of(call, name, words.collect(), first)
    }

    /// What the store is asked: a page behind the one before.
    pub(crate) fn seek(&self, listing: &'static Listing, limit: u16) -> Result<Seek, Problem> {
        let seek = listing.by(&self.word, self.descending, limit);
        let seek = seek.ok_or_else(|| Problem::internal("a list without that order"))?;
        let after = self.after.as_deref().map(|text| {
            let message =
                "after: this is no place in this list, sorted like this; begin at its first page";
            seek.read(text).ok_or_else(|| Problem::bad_request(message))
        });
        let after = after.transpose()?;
        Ok(seek.behind(after))
    }

    /// A field by which the rows are narrowed down.
    pub(crate) fn field(&self, name: &str) -> &str {
        let name = of_list(self.name, name);
        let found = self.pairs.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// The same where it is one of these.
    pub(crate) fn one_of(&self, name: &str, known: &[(&str, &str)]) -> Result<String, Problem> {
        let text = self.field(name);
        if text.is_empty() || known.iter().any(|(value, _)| *value == text) {
            return Ok(text.to_owned());
        }
        Err(Problem::bad_request(format!("{name}: there is no such one in this list")))
    }

    /// The moments from the first to the last of the days in `from` and `to`.
    pub(crate) fn days(&self) -> Result<(Option<i64>, Option<i64>), Problem> {
        let day = |name: &str| match self.field(name) {
            "" => Ok(None),
            text => clock::parse_moment(&format!("{text}T00:00:00Z")).map(Some).ok_or_else(|| {
                Problem::bad_request(format!("{name}: expected a day, such as 2026-11-24"))
            }),
        };
        Ok((day("from")?, day("to")?.map(|at| at.saturating_add(DAY))))
    }

    /// The rows in the order that is wished, where they are all there.
    pub(crate) fn sorted<R>(&self, columns: &[Column<R>], mut rows: Vec<R>) -> Vec<R> {
        if let Some(column) = columns.iter().find(|column| column.word == self.word) {
            let by = |a: &R, b: &R| -> Ordering {
                let (a, b) = ((column.value)(a).folded(), (column.value)(b).folded());
                if self.descending { b.cmp(&a) } else { a.cmp(&b) }
            };
            rows.sort_by(by);
        }
        rows
    }

    /// The address of this page with other fields of this list; an empty value takes a field away.
    fn href(&self, changed: &[(&str, &str)]) -> String {
        let changed: Vec<(String, &str)> =
            changed.iter().map(|(field, value)| (of_list(self.name, field), *value)).collect();
        let left = |known: &str| {
            !["done", "format", "list"].contains(&known)
                && changed.iter().all(|(field, _)| field != known)
        };
        let kept = self.pairs.iter().map(|(field, value)| (field.as_str(), value.as_str()));
        let kept = kept.filter(|(field, _)| left(field));
        let added = changed.iter().map(|(field, value)| (field.as_str(), *value));
        let pairs: Vec<_> = kept.chain(added).filter(|(_, value)| !value.is_empty()).collect();
        match serde_urlencoded::to_string(pairs) {
            Ok(query) if !query.is_empty() => format!("{}?{query}", self.path),
            _ => self.path.clone(),
        }
    }

    fn order(&self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.word)
    }

    /// A list of rows that are all there.
    pub(crate) fn list<R>(&self, caption: &str, columns: &[Column<R>], rows: &[R]) -> List {
        let shown: Vec<&Column<R>> = columns.iter().filter(|column| column.is_on_page()).collect();
        let id = if self.name.is_empty() { "list" } else { self.name };
        let heads: Vec<Head> = shown.iter().map(|column| self.head(id, column)).collect();
        let cells = |row: &R| shown.iter().map(|column| column.cell(row)).collect();
        let table = Table::of(caption, heads, rows.iter().map(cells).collect());
        let mut orders = Vec::new();
        for column in shown.iter().filter(|column| self.sortable.contains(&column.word)) {
            let ways = if column.falls { ["-", ""] } else { ["", "-"] };
            orders.extend(ways.map(|sign| {
                let value = format!("{sign}{}", column.word);
                let label = format!("{} {}", column.head, if sign.is_empty() { "↑" } else { "↓" });
                Pick { selected: value == self.order(), label, value }
            }));
        }
        if orders.iter().all(|pick| !pick.selected) {
            let label = self.word.replace('_', " ");
            orders.insert(0, Pick { value: self.order(), label, selected: true });
        }
        List {
            id,
            title: String::new(),
            is_tall: false,
            path: self.path.clone(),
            hidden: self.hidden(&[]),
            filters: Vec::new(),
            sort: of_list(self.name, "sort"),
            orders,
            table,
            csv: self.sheet(),
            clear: None,
            first: self.after.as_ref().map(|_| self.href(&[("after", "")])),
            next: None,
        }
    }

    /// A page of a list of the store.
    pub(crate) fn page<R>(
        &self,
        caption: &str,
        columns: &[Column<R>],
        (page, seek): (&Paged<R>, &Seek),
    ) -> List {
        let next = |place: &Place| self.href(&[("after", &seek.write(place))]);
        List { next: page.next.as_ref().map(next), ..self.list(caption, columns, &page.rows) }
    }

    /// The address of the sheet: `format` and `list` belong to the page and not to one of its lists.
    fn sheet(&self) -> String {
        let href = self.href(&[("after", "")]);
        let name =
            if self.name.is_empty() { String::new() } else { format!("&list={}", self.name) };
        format!("{href}{}format=csv{name}", if href.contains('?') { '&' } else { '?' })
    }

    /// What a form has to keep of the address: all but what it asks for itself.
    fn hidden(&self, asked: &[&str]) -> Vec<(String, String)> {
        let own: Vec<String> =
            asked.iter().chain(&["sort", "after"]).map(|field| of_list(self.name, field)).collect();
        let kept = |field: &String| {
            !["done", "format", "list"].contains(&field.as_str()) && !own.contains(field)
        };
        self.pairs.iter().filter(|(field, _)| kept(field)).cloned().collect()
    }

    fn head<R>(&self, list: &str, column: &Column<R>) -> Head {
        let is_current = column.word == self.word;
        let down = if is_current { !self.descending } else { column.falls };
        let sort = format!("{}{}", if down { "-" } else { "" }, column.word);
        let link = self.sortable.contains(&column.word).then(|| SortLink {
            href: self.href(&[("sort", &sort), ("after", "")]),
            id: format!("{list}-by-{}", column.word),
        });
        let order = html::order(is_current, self.descending);
        let is_hidden = column.word.is_empty();
        Head { name: column.head, numeric: column.numeric, is_hidden, link, order }
    }
}

/// A field of the address that belongs to one of several lists.
fn of_list(list: &str, field: &str) -> String {
    if list.is_empty() { field.to_owned() } else { format!("{list}-{field}") }
}

/// What rows are narrowed down by.
pub(crate) enum Filter {
    /// Some letters of a name.
    Search { field: &'static str, label: &'static str, hint: &'static str },
    /// One of these: what it is in the address, and for people. The first is what holds where nothing is chosen.
    Choice {
        field: &'static str,
        label: &'static str,
        all: &'static str,
        known: Vec<(String, String)>,
    },
    /// From one day to another.
    Days,
}

impl Filter {
    pub(crate) fn choice(
        field: &'static str,
        label: &'static str,
        all: &'static str,
        known: &[(&str, &str)],
    ) -> Self {
        let own = |(value, label): &(&str, &str)| ((*value).to_owned(), (*label).to_owned());
        Self::Choice { field, label, all, known: known.iter().map(own).collect() }
    }
}

/// A filter with what is in it.
struct Field {
    kind: &'static str,
    name: String,
    id: String,
    label: &'static str,
    hint: &'static str,
    value: String,
    choices: Vec<Pick>,
}

/// A list as it is shown.
#[derive(Template)]
#[template(path = "list.html")]
pub(crate) struct List {
    id: &'static str,
    title: String,
    is_tall: bool,
    path: String,
    hidden: Vec<(String, String)>,
    filters: Vec<Field>,
    sort: String,
    /// The ways to sort, where there are no heads to be pressed.
    orders: Vec<Pick>,
    table: Table,
    csv: String,
    clear: Option<String>,
    first: Option<String>,
    next: Option<String>,
}

impl askama::filters::HtmlSafe for List {}

impl List {
    #[must_use]
    pub(crate) fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// With what the rows are narrowed down by.
    #[must_use]
    pub(crate) fn filters(mut self, wish: &Wish, filters: Vec<Filter>) -> Self {
        let mut names = Vec::new();
        for filter in filters {
            match filter {
                Filter::Search { field, label, hint } => {
                    names.push(field);
                    self.filters.push(self.field(wish, ("search", field), label, hint));
                }
                Filter::Choice { field, label, all, known } => {
                    names.push(field);
                    let now = wish.field(field);
                    let none = Pick {
                        value: String::new(),
                        label: all.to_owned(),
                        selected: now.is_empty(),
                    };
                    let one = |(value, label): (String, String)| Pick {
                        selected: value == now,
                        label,
                        value,
                    };
                    let choices = std::iter::once(none).chain(known.into_iter().map(one)).collect();
                    self.filters
                        .push(Field { choices, ..self.field(wish, ("choice", field), label, "") });
                }
                Filter::Days => {
                    names.extend(["from", "to"]);
                    self.filters.push(self.field(wish, ("date", "from"), "From day", ""));
                    self.filters.push(self.field(wish, ("date", "to"), "To day", ""));
                }
            }
        }
        self.hidden = wish.hidden(&names);
        let is_narrowed = names.iter().any(|name| !wish.field(name).is_empty());
        let none: Vec<(&str, &str)> =
            names.iter().chain(&["after"]).map(|name| (*name, "")).collect();
        self.clear = is_narrowed.then(|| wish.href(&none));
        self
    }

    fn field(
        &self,
        wish: &Wish,
        (kind, field): (&'static str, &str),
        label: &'static str,
        hint: &'static str,
    ) -> Field {
        let (name, id) = (of_list(wish.name, field), format!("{}-{field}", self.id));
        let value = wish.field(field).to_owned();
        Field { kind, name, id, label, hint, value, choices: Vec::new() }
    }

    /// What to do where there are no rows at all: a sentence, and a link with its text. Where they are narrowed down to
    /// nothing, it is said how to see all.
    #[must_use]
    pub(crate) fn or(mut self, text: &str, link: Option<(&str, &str)>) -> Self {
        self.table = match &self.clear {
            Some(all) => {
                self.table.or("Nothing here fits what is looked for.", Some((all, "Show all")))
            }
            None => self.table.or(text, link),
        };
        self
    }

    /// A long one, which keeps its head in sight, and what comes after it in reach.
    #[must_use]
    pub(crate) fn tall(mut self) -> Self {
        self.is_tall = true;
        self
    }

    /// With a row below all others.
    #[must_use]
    pub(crate) fn totalled<R>(mut self, columns: &[Column<R>], total: &R) -> Self {
        let shown = columns.iter().filter(|column| column.is_on_page());
        self.table = self.table.foot(shown.map(|column| column.cell(total)).collect());
        self
    }
}
