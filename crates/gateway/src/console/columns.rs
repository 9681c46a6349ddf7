//! What there is to be seen of a row of a list, on the page and on the sheet.

use super::html::{self, Html};
use crate::clock;

/// What a column says of a row: what it is sorted by, and what stands in the sheet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Nothing,
    Text(String),
    Number(i128),
    /// Pico-dollars.
    Usd(i128),
    /// Microseconds since 1970.
    Time(i64),
}

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(crate) fn time(at: Option<i64>) -> Self {
        at.map_or(Self::Nothing, Self::Time)
    }

    fn shown(&self) -> Html {
        match self {
            Self::Nothing => Html::text("–"),
            Self::Text(text) => Html::text(text),
            Self::Number(number) => html::count(*number),
            Self::Usd(pico) => html::money(*pico),
            Self::Time(at) => html::moment(*at),
        }
    }

    /// As a sheet has it.
    fn told(self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Usd(pico) => ledger::sum_exact(pico),
            Self::Time(at) => clock::rfc3339(at),
        }
    }

    /// Whatever the case, as the store sorts.
    pub(super) fn folded(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.to_ascii_lowercase()),
            value => value,
        }
    }
}

/// A column of a list.
pub(crate) struct Column<R> {
    /// What it is called on a sheet and in `sort=`; nothing where it is on the page alone.
    pub(super) word: &'static str,
    /// What stands above it on the page; nothing where it is on the sheet alone.
    pub(super) head: &'static str,
    pub(super) numeric: bool,
    /// Whether people look for the largest or latest first.
    pub(super) falls: bool,
    pub(super) value: fn(&R) -> Value,
    show: Option<fn(&R) -> Html>,
}

impl<R> Column<R> {
    const fn new(word: &'static str, head: &'static str, value: fn(&R) -> Value) -> Self {
        Self { word, head, numeric: false, falls: false, value, show: None }
    }

    /// Words.
    pub(crate) const fn text(
        word: &'static str,
        head: &'static str,
        value: fn(&R) -> Value,
    ) -> Self {
        Self::new(word, head, value)
    }

    /// A number, which stands to the right.
    pub(crate) const fn number(
        word: &'static str,
        head: &'static str,
        value: fn(&R) -> Value,
    ) -> Self {
        Self { numeric: true, falls: true, ..Self::new(word, head, value) }
    }

    /// A moment.
    pub(crate) const fn time(
        word: &'static str,
        head: &'static str,
        value: fn(&R) -> Value,
    ) -> Self {
        Self { falls: true, ..Self::new(word, head, value) }
    }

    /// What is only on the sheet.
    pub(crate) const fn sheet(word: &'static str, value: fn(&R) -> Value) -> Self {
        Self::new(word, "", value)
    }

    /// What is only on the page, such as forms.
    pub(crate) const fn page(head: &'static str, show: fn(&R) -> Html) -> Self {
        Self { show: Some(show), ..Self::new("", head, |_| Value::Nothing) }
    }

    /// The same, which is shown in a way of its own.
    #[must_use]
    pub(crate) const fn shown(self, show: fn(&R) -> Html) -> Self {
        Self { show: Some(show), ..self }
    }

    pub(super) fn is_on_page(&self) -> bool {
        !self.head.is_empty() || self.word.is_empty()
    }

    pub(super) fn cell(&self, row: &R) -> Html {
        self.show.map_or_else(|| (self.value)(row).shown(), |show| show(row))
    }
}

/// What stands above the columns of a sheet.
pub(crate) fn words<R>(columns: &[Column<R>]) -> Vec<String> {
    let all = columns.iter().filter(|column| !column.word.is_empty());
    all.map(|column| column.word.to_owned()).collect()
}

/// A row of it.
pub(crate) fn line<R>(columns: &[Column<R>], row: &R) -> Vec<String> {
    let all = columns.iter().filter(|column| !column.word.is_empty());
    all.map(|column| (column.value)(row).told()).collect()
}
