//! Pages of an account's receipts: what a filter lets through, by time or by size.
//!
//! No page reads more than a bounded number of rows, whatever the account has: it looks through a stretch of the account's
//! index and says where it has ended. Days on which nothing can fit are passed over by the sums of days.

use ledger::{Outcome, Receipt};
use uuid::Uuid;

use crate::engine::{Conn, Sql};
use crate::receipt_texts::{
    BY_SIZE, COUNT, COUNT_OF_TROUBLE, END, END_OF_TROUBLE, OF_KEY, OF_USER, ROWS_OF, TROUBLE_OF,
    USED, WITHIN,
};
use crate::row::Row;
use crate::{Cursor, Store, StoreError};

/// How many entries of the index are looked at for a page, where a key is all that is asked for.
const ENTRIES: i64 = 60_000;
/// How many rows are, where it takes a row to see whether it fits.
const ROWS: i64 = 12_000;
/// How many are looked at first, and by how much more then.
const FIRST: i64 = 400;
const MORE: i64 = 8;
/// How many stretches a page may be made of: each is a question or three.
const STRETCHES: usize = 150;
/// Microseconds.
const DAY: i64 = 86_400_000_000;

/// Which receipts of an account are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptFilter {
    /// The account that has paid.
    pub account_id: Uuid,
    /// Only what that user has asked for.
    pub user_id: Option<Uuid>,
    /// Only with that key.
    pub key_id: Option<Uuid>,
    /// Only of that provider; an empty text is any.
    pub provider: String,
    /// Only of that model; an empty text is any.
    pub model: String,
    /// Only by that surface; an empty text is any.
    pub surface: String,
    /// How they ended.
    pub ended: Ended,
    /// Only what began at that moment or later, in microseconds since 1970.
    pub from: Option<i64>,
    /// Only what began before that.
    pub to: Option<i64>,
}

/// How a request has ended.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// However.
    #[default]
    Anyhow,
    /// Other than with an answer that the client has.
    Badly,
    /// Like that.
    With(Outcome),
}

/// The order of a page.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum ReceiptOrder {
    /// By their beginning, the last first.
    #[default]
    Newest,
    /// By their beginning.
    Oldest,
    /// By a size, the largest first: only where [`Store::receipts_within`] says that there are few.
    Largest(Size),
    /// By a size, the smallest first: likewise.
    Smallest(Size),
}

/// What receipts can be ordered by beside their time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// What was charged.
    Charge,
    /// Prompt tokens.
    Input,
    /// Generated tokens.
    Output,
}

impl Size {
    fn of(self, receipt: &Receipt) -> i64 {
        let tokens = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        match self {
            Self::Charge => receipt.charge.pico(),
            Self::Input => tokens(receipt.report.total().input_tokens()),
            Self::Output => tokens(receipt.report.total().output_tokens()),
        }
    }
}

/// A place in a list of receipts: the next page begins after it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ReceiptPlace {
    /// The size that the list is ordered by; nothing where it goes by time.
    pub size: i64,
    /// The place in time.
    pub at: Cursor,
}

/// A page of receipts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptPage {
    /// The receipts.
    pub receipts: Vec<Receipt>,
    /// Where to go on; none at the end. A page may have little or nothing and yet not be the last.
    pub next: Option<ReceiptPlace>,
}

/// How a filter is asked about.
struct Way {
    /// 0 for newest first, 1 for oldest first.
    direction: usize,
    found: [Sql; 2],
    end: [Sql; 2],
    count: [Sql; 2],
    /// The key or user whose entries of the index are looked for.
    whose: Option<Uuid>,
    /// Whether every row of a stretch fits: no end has to be looked for.
    all: bool,
    /// How many entries may be looked at.
    budget: i64,
    first: i64,
    /// Whose days are looked up, so that others are passed over; those of all models where no model is asked for.
    days: Option<(&'static str, Uuid)>,
}

impl Way {
    fn of(filter: &ReceiptFilter, direction: usize) -> Self {
        let by_item = !filter.provider.is_empty();
        let by_row = by_item || !filter.surface.is_empty() || filter.ended != Ended::Anyhow;
        let (found, whose, days) = match (filter.key_id, filter.user_id) {
            (Some(key), _) => (OF_KEY, Some(key), Some(("key", key))),
            (None, Some(user)) => (OF_USER, Some(user), Some(("user", user))),
            (None, None) => (ROWS_OF, None, by_item.then_some(("account", filter.account_id))),
        };
        let is_trouble = !matches!(filter.ended, Ended::Anyhow | Ended::With(Outcome::Ok));
        let (found, end, count) = if is_trouble {
            (TROUBLE_OF, END_OF_TROUBLE, COUNT_OF_TROUBLE)
        } else {
            (found, END, COUNT)
        };
        // What is seldom is found without knowing on which days: a stretch of them is long.
        let (whose, days) = if is_trouble { (filter.key_id, None) } else { (whose, days) };
        let budget = if by_row { ROWS } else { ENTRIES };
        let first = if by_row { FIRST } else { FIRST * MORE };
        let all = whose.is_none() && !by_row;
        Self { direction, found, end, count, whose, all, budget, first, days }
    }
}

/// A part of the account's time: from behind `after` up to `until`, which is part of it.
#[derive(Copy, Clone)]
struct Stretch {
    after: Cursor,
    until: Cursor,
}

impl Store {
    /// A page of an account's receipts, `limit` at most of those after `after`. It looks through so many and no more,
    /// whatever the filter leaves out.
    pub async fn receipts_page(
        &self,
        filter: &ReceiptFilter,
        order: ReceiptOrder,
        after: Option<ReceiptPlace>,
        limit: u16,
    ) -> Result<ReceiptPage, StoreError> {
        match order {
            ReceiptOrder::Newest => self.by_time(filter, 0, after, limit).await,
            ReceiptOrder::Oldest => self.by_time(filter, 1, after, limit).await,
            ReceiptOrder::Largest(size) => self.by_size(filter, (size, 1), after, limit).await,
            ReceiptOrder::Smallest(size) => self.by_size(filter, (size, -1), after, limit).await,
        }
    }

    /// How many receipts the account has within the days of a filter, whatever else that asks for: so many have to be read
    /// for a page by size.
    pub async fn receipts_within(&self, filter: &ReceiptFilter) -> Result<i64, StoreError> {
        let (from, to) = span(filter);
        let days = (from / DAY, to.saturating_sub(1) / DAY + 1);
        let mut conn = self.read().await?;
        let (sum,): (i64,) = on!(conn, WITHIN => _, (q, c) => {
            q.bind(filter.account_id).bind(days.0).bind(days.1).fetch_one(c).await
        })?;
        Ok(sum)
    }

    async fn by_time(
        &self,
        filter: &ReceiptFilter,
        direction: usize,
        after: Option<ReceiptPlace>,
        limit: u16,
    ) -> Result<ReceiptPage, StoreError> {
        let mut conn = self.read.by_index().await?;
        let way = Way::of(filter, direction);
        let (from, to) = span(filter);
        let edges = if direction == 0 {
            Stretch { after: first_at(to), until: first_at(from) }
        } else {
            Stretch { after: last_before(from), until: last_before(to) }
        };
        let mut left = edges;
        if let Some(place) = after.map(|place| place.at) {
            left.after = if direction == 0 {
                earlier(place, edges.after)
            } else {
                later(place, edges.after)
            };
        }
        let (mut receipts, mut budget, mut width) = (Vec::new(), way.budget, way.first);
        let wanted = usize::from(limit) + 1;
        for _ in 0..STRETCHES {
            let Some(stretch) = used(&mut conn, filter, &way, left).await? else {
                return Ok(page(receipts, limit, None));
            };
            let (until, looked_at) =
                look(&mut conn, filter, &way, stretch, width.min(budget)).await?;
            let stretch = Stretch { until, ..stretch };
            let missing = i64::try_from(wanted - receipts.len()).unwrap_or(1);
            receipts.extend(found(&mut conn, filter, &way, stretch, missing).await?);
            if receipts.len() >= wanted || until == left.until {
                return Ok(page(receipts, limit, None));
            }
            left.after = until;
            budget -= looked_at;
            if looked_at >= width {
                width = width.saturating_mul(MORE);
            }
            if budget <= 0 {
                break;
            }
        }
        Ok(page(receipts, limit, Some(left.after)))
    }

    async fn by_size(
        &self,
        filter: &ReceiptFilter,
        (size, sign): (Size, i64),
        after: Option<ReceiptPlace>,
        limit: u16,
    ) -> Result<ReceiptPage, StoreError> {
        let (from, to) = span(filter);
        let place =
            after.map_or((i64::MAX, LAST), |place| (place.size.saturating_mul(sign), place.at));
        let which: i64 = match size {
            Size::Charge => 1,
            Size::Input => 2,
            Size::Output => 3,
        };
        let mut conn = self.read().await?;
        let rows: Vec<Row> = on!(conn, BY_SIZE => _, (q, c) => {
            let q = q.bind(filter.account_id).bind(from).bind(to).bind(which).bind(sign);
            let q = q.bind(place.0).bind(place.1.started_at).bind(filter.key_id);
            let q = q.bind(filter.user_id).bind(&filter.provider).bind(&filter.model);
            let q = q.bind(&filter.surface).bind(outcome(filter)).bind(i64::from(limit) + 1);
            q.bind(place.1.request_id).bind(i64::from(place.1.attempt)).fetch_all(c).await
        })?;
        let mut receipts = rows.into_iter().map(Row::receipt).collect::<Result<Vec<_>, _>>()?;
        let is_more = receipts.len() > usize::from(limit);
        receipts.truncate(usize::from(limit));
        let last = receipts.last().filter(|_| is_more);
        let next = last.map(|last| ReceiptPlace { size: size.of(last), at: Cursor::of(last) });
        Ok(ReceiptPage { receipts, next })
    }
}

/// The last place that there is.
const LAST: Cursor = Cursor { started_at: i64::MAX, request_id: Uuid::max(), attempt: i16::MAX };

/// The days of a filter, as moments.
fn span(filter: &ReceiptFilter) -> (i64, i64) {
    (filter.from.unwrap_or(0).max(0), filter.to.unwrap_or(i64::MAX).max(0))
}

/// The place before everything that begins at that moment.
const fn first_at(started_at: i64) -> Cursor {
    Cursor { started_at, request_id: Uuid::nil(), attempt: 0 }
}

/// The place behind everything that begins before that moment.
const fn last_before(at: i64) -> Cursor {
    Cursor { started_at: at.saturating_sub(1), ..LAST }
}

/// The order of receipts.
const fn place(cursor: &Cursor) -> (i64, u128, i16) {
    (cursor.started_at, cursor.request_id.as_u128(), cursor.attempt)
}

fn earlier(a: Cursor, b: Cursor) -> Cursor {
    if place(&a) < place(&b) { a } else { b }
}

fn later(a: Cursor, b: Cursor) -> Cursor {
    if place(&a) < place(&b) { b } else { a }
}

fn page(mut receipts: Vec<Receipt>, limit: u16, mut end: Option<Cursor>) -> ReceiptPage {
    if receipts.len() > usize::from(limit) {
        receipts.truncate(usize::from(limit));
        end = receipts.last().map(Cursor::of);
    }
    ReceiptPage { receipts, next: end.map(|at| ReceiptPlace { size: 0, at }) }
}

/// The part of what is left in which there may be something: all of it, or the next day on which there is. None where
/// there is none.
async fn used(
    conn: &mut Conn,
    filter: &ReceiptFilter,
    way: &Way,
    left: Stretch,
) -> Result<Option<Stretch>, StoreError> {
    let is_over = |left: Stretch| {
        let (after, until) = (place(&left.after), place(&left.until));
        if way.direction == 0 { after <= until } else { after >= until }
    };
    if is_over(left) {
        return Ok(None);
    }
    let Some((grain, id)) = way.days else { return Ok(Some(left)) };
    // A place at the very edge of a day is behind it.
    let at = left.after.started_at;
    let day = if way.direction == 0 {
        (if left.after == first_at(at) { at.saturating_sub(1) } else { at }) / DAY
    } else {
        (if left.after == last_before(at.saturating_add(1)) { at.saturating_add(1) } else { at })
            / DAY
    };
    let (item, end) = items(filter);
    let (day,): (Option<i64>,) = on!(*conn, USED[way.direction] => _, (q, c) => {
        q.bind(grain).bind(id).bind(day).bind(item).bind(end).fetch_one(c).await
    })?;
    let Some(day) = day else { return Ok(None) };
    let (begin, end) = (day.saturating_mul(DAY), day.saturating_add(1).saturating_mul(DAY));
    let stretch = if way.direction == 0 {
        Stretch {
            after: earlier(left.after, first_at(end)),
            until: later(left.until, first_at(begin)),
        }
    } else {
        Stretch {
            after: later(left.after, last_before(begin)),
            until: earlier(left.until, last_before(end)),
        }
    };
    Ok(Some(stretch).filter(|stretch| !is_over(*stretch)))
}

/// The items of sums that a filter lets through, as a range.
fn items(filter: &ReceiptFilter) -> (String, String) {
    let ReceiptFilter { provider, model, .. } = filter;
    match (provider.as_str(), model.as_str()) {
        ("", _) => (String::new(), char::MAX.to_string()),
        (provider, "") => (format!("{provider}/"), format!("{provider}0")),
        (provider, model) => (format!("{provider}/{model}"), format!("{provider}/{model}\u{1}")),
    }
}

/// As it is stored, or as the texts know it; an empty text is any.
const fn outcome(filter: &ReceiptFilter) -> &'static str {
    match filter.ended {
        Ended::With(outcome) => outcome.name(),
        Ended::Anyhow => "",
        Ended::Badly => "not ok",
    }
}

/// Where a look at so many entries ends, and how many of them there are at most.
async fn look(
    conn: &mut Conn,
    filter: &ReceiptFilter,
    way: &Way,
    stretch: Stretch,
    entries: i64,
) -> Result<(Cursor, i64), StoreError> {
    if way.all {
        return Ok((stretch.until, 0));
    }
    let Stretch { after, until } = stretch;
    macro_rules! bound {
        ($q:ident) => {
            $q.bind(filter.account_id)
                .bind(after.started_at)
                .bind(after.request_id)
                .bind(i64::from(after.attempt))
                .bind(until.started_at)
                .bind(until.request_id)
                .bind(i64::from(until.attempt))
        };
    }
    let end: Option<(i64, Uuid, i64)> = on!(*conn, way.end[way.direction] => _, (q, c) => {
        bound!(q).bind(entries.saturating_sub(1)).fetch_optional(c).await
    })?;
    if let Some((started_at, request_id, attempt)) = end {
        let attempt = i16::try_from(attempt).unwrap_or(i16::MAX);
        return Ok((Cursor { started_at, request_id, attempt }, entries));
    }
    let (fewer,): (i64,) = on!(*conn, way.count[way.direction] => _, (q, c) => {
        bound!(q).fetch_one(c).await
    })?;
    Ok((until, fewer))
}

async fn found(
    conn: &mut Conn,
    filter: &ReceiptFilter,
    way: &Way,
    Stretch { after, until }: Stretch,
    wanted: i64,
) -> Result<Vec<Receipt>, StoreError> {
    let rows: Vec<Row> = on!(*conn, way.found[way.direction] => _, (q, c) => {
        let q = q.bind(filter.account_id).bind(after.started_at).bind(after.request_id);
        let q = q.bind(i64::from(after.attempt)).bind(until.started_at).bind(until.request_id);
        let q = q.bind(i64::from(until.attempt)).bind(way.whose).bind(filter.user_id);
        let q = q.bind(&filter.provider).bind(&filter.model).bind(&filter.surface);
        q.bind(outcome(filter)).bind(wanted).fetch_all(c).await
    })?;
    rows.into_iter().map(Row::receipt).collect()
}
