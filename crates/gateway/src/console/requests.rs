//! `/requests`: what was asked and what it cost, by receipt: by time or by size, and only what a filter lets through.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use ledger::{Meter, Outcome, Receipt};
use store::{Grain, Key, ReceiptPage, ReceiptPlace};
use uuid::Uuid;

use super::export;
use super::html::{self, Html, Table};
use super::page::{self, DAY, Desk, Frame, query, told};
use super::request_wishes::{self, Wishes};
use super::sums;
use crate::clock;
use crate::problem::Problem;
use crate::web::Call;

const PER_PAGE: u16 = 50;
/// How many days the choice of models looks back, and how many keys the choice of keys has.
const CHOICE_DAYS: i64 = 90;
const CHOICE_KEYS: u16 = 200;

/// One of a choice.
pub(crate) struct Pick {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) selected: bool,
}

#[derive(Template)]
#[template(path = "requests.html")]
struct List {
    frame: Frame,
    table: Table,
    models: Vec<Pick>,
    keys: Vec<Pick>,
    outcomes: Vec<Pick>,
    surfaces: Vec<Pick>,
    orders: Vec<Pick>,
    from: String,
    to: String,
    id: String,
    filtered: bool,
    csv: String,
    next: Option<String>,
    first: Option<String>,
    /// Where a look through many has ended without a full page.
    looked_to: Option<String>,
    /// Why the order is another than was asked for.
    not_sorted: Option<String>,
}

/// `GET /requests`
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    page::settled(&call).await;
    let mut wishes = Wishes::of(&call, &desk)?;
    let not_sorted = too_many(&call, &mut wishes).await?;
    if query(&call, "format").as_deref() == Some("csv") {
        return sheet(&call, wishes).await;
    }
    let page = found(&call, &desk, &wishes).await?;
    let keys = call.app.store.keys_page(desk.keys()?, None, CHOICE_KEYS).await.map_err(told)?;
    let filtered = wishes.is_narrow();
    let used: BTreeSet<Uuid> = page.receipts.iter().map(|receipt| receipt.key_id).collect();
    let used: Vec<Uuid> = used.into_iter().collect();
    let used = call.app.store.keys_by_id(&used).await.map_err(told)?;
    let rows = page.receipts.iter().map(|receipt| row(receipt, &used)).collect();
    let caption = format!("Requests, {}", wishes.order_text());
    let table = Table::of(&caption, wishes.heads(), rows);
    let table = if filtered || wishes.after.is_some() {
        table.or("No request here fits.", Some(("/requests", "Show all")))
    } else {
        table.or(
            "No request was made yet. Connect a program, or try a model here.",
            Some(("/playground", "Open the playground")),
        )
    };
    let short = page.receipts.len() < usize::from(PER_PAGE);
    let list = List {
        frame: Frame::new(&call, &desk, "Requests"),
        table,
        models: models(&call, &desk, &wishes.item).await?,
        keys: choices(&keys, wishes.filter.key_id),
        outcomes: request_wishes::outcomes(wishes.filter.ended),
        surfaces: request_wishes::surfaces(&wishes.filter.surface),
        orders: wishes.orders(),
        from: wishes.from.clone(),
        to: wishes.to.clone(),
        id: wishes.id_text.clone(),
        filtered,
        csv: wishes.address("csv", None),
        next: page.next.as_ref().map(|next| wishes.address("", Some(next))),
        first: wishes.after.map(|_| wishes.address("", None)),
        looked_to: page.next.filter(|_| short).map(|next| html::day(next.at.started_at)),
        not_sorted,
    };
    page::show(&list)
}

/// A page of the receipts that are wished for; of one request, all that there are.
async fn found(call: &Call, desk: &Desk, wishes: &Wishes) -> Result<ReceiptPage, Problem> {
    let store = &call.app.store;
    let Some(id) = wishes.id else {
        let page = store.receipts_page(&wishes.filter, wishes.order, wishes.after, PER_PAGE);
        return page.await.map_err(told);
    };
    let whose = desk.keys()?;
    let stored = store.stored_of_request(id).await.map_err(told)?;
    let receipts = stored.into_iter().map(|stored| stored.receipt);
    let own = |receipt: &Receipt| whose.has(receipt.user_id, receipt.account_id);
    Ok(ReceiptPage { receipts: receipts.filter(own).collect(), next: None })
}

/// Goes by time where too many would have to be read to go by size, and says so.
async fn too_many(call: &Call, wishes: &mut Wishes) -> Result<Option<String>, Problem> {
    if !wishes.by_size() || wishes.id.is_some() {
        return Ok(None);
    }
    let within = call.app.store.receipts_within(&wishes.filter).await.map_err(told)?;
    if within <= request_wishes::MOST_SORTED {
        return Ok(None);
    }
    wishes.by_time();
    Ok(Some(format!(
        "These are the newest first: {} requests are too many to be sorted by size. Choose days with {} at most.",
        html::grouped(within),
        html::grouped(request_wishes::MOST_SORTED)
    )))
}

async fn models(call: &Call, desk: &Desk, chosen: &str) -> Result<Vec<Pick>, Problem> {
    let today = call.now / DAY;
    let days = (today - CHOICE_DAYS, today + 1);
    let store = &call.app.store;
    let rows = if desk.sees_all() {
        store.rollups(Grain::Account, desk.account, days).await
    } else {
        store.rollups_of_keys(desk.person.id, desk.account, days).await
    };
    let mut items: BTreeSet<String> = sums::by_item(&rows.map_err(told)?, sums::charge)
        .into_iter()
        .map(|(item, _)| item)
        .collect();
    if !chosen.is_empty() {
        items.insert(chosen.to_owned());
    }
    let all_of = |item: &String| Some(format!("{}/", item.split_once('/')?.0));
    let providers: Vec<String> = items.iter().filter_map(all_of).collect();
    items.extend(providers);
    let option = |item: String| Pick {
        selected: item == chosen,
        label: item.strip_suffix('/').map_or_else(|| item.clone(), |of| format!("All of {of}")),
        value: item,
    };
    Ok(items.into_iter().map(option).collect())
}

fn choices(keys: &[Key], chosen: Option<Uuid>) -> Vec<Pick> {
    let mut options: Vec<Pick> = keys
        .iter()
        .map(|key| Pick {
            value: key.id.to_string(),
            label: called(key),
            selected: Some(key.id) == chosen,
        })
        .collect();
    if let Some(id) = chosen.filter(|id| keys.iter().all(|key| key.id != *id)) {
        options.push(Pick { value: id.to_string(), label: "this key".to_owned(), selected: true });
    }
    options
}

/// What a key is called in a list.
pub(crate) fn called(key: &Key) -> String {
    let name = if key.name.is_empty() { "unnamed" } else { &key.name };
    format!("{name}\u{a0}…{}", key.last4)
}

fn row(receipt: &Receipt, keys: &[Key]) -> Vec<Html> {
    let usage = receipt.report.total();
    let key = keys.iter().find(|key| key.id == receipt.key_id);
    let key = key.map_or_else(String::new, |key| match key.revoked_at {
        Some(_) => format!("{} (revoked)", called(key)),
        None => called(key),
    });
    let at = Html::of(format!(
        "<a href=\"/requests/{}\">{}</a>",
        receipt.request_id,
        html::moment(receipt.started_at)
    ));
    let model = Html::whole(&format!("{}/{}", receipt.provider, receipt.model));
    vec![
        at,
        model.below(&Html::text(&receipt.surface)),
        Html::text(&key),
        html::count(usage.input_tokens()),
        html::count(usage.output_tokens()),
        html::money(receipt.charge.pico()),
        outcome(receipt.outcome),
    ]
}

pub(crate) fn outcome(outcome: Outcome) -> Html {
    match outcome {
        Outcome::Ok => Html::badge("good", "answered"),
        Outcome::ClientGone => Html::badge("warn", "hung up"),
        Outcome::UpstreamFailed => Html::badge("bad", "provider failed"),
        Outcome::Failed => Html::badge("bad", "no answer"),
        Outcome::Crashed => Html::badge("bad", "broke off"),
        Outcome::Unpriced => Html::badge("warn", "no price"),
    }
}

/// The columns of the sheet.
const COLUMNS: [&str; 18] = [
    "request_id",
    "attempt",
    "started_at",
    "ended_at",
    "provider",
    "model",
    "key_id",
    "surface",
    "outcome",
    "input_tokens",
    "cache_read_tokens",
    "output_tokens",
    "reasoning_tokens",
    "price_version",
    "cost_usd",
    "commission_usd",
    "charge_usd",
    "paid_to_provider_usd",
];

/// A row of it.
fn cells(receipt: &Receipt) -> Vec<String> {
    let usage = receipt.report.total();
    vec![
        receipt.request_id.to_string(),
        receipt.attempt.to_string(),
        clock::rfc3339(receipt.started_at),
        clock::rfc3339(receipt.ended_at),
        receipt.provider.clone(),
        receipt.model.clone(),
        receipt.key_id.to_string(),
        receipt.surface.clone(),
        receipt.outcome.name().to_owned(),
        usage.input_tokens().to_string(),
        usage.get(Meter::CacheRead).to_string(),
        usage.output_tokens().to_string(),
        usage.get(Meter::Reasoning).to_string(),
        receipt.price_version.to_string(),
        receipt.cost.to_string(),
        receipt.commission.to_string(),
        receipt.charge.to_string(),
        receipt.report.direct().unwrap_or_default().to_string(),
    ]
}

/// The sheet of all that fits.
async fn sheet(call: &Call, wishes: Wishes) -> Result<Response, Problem> {
    let Wishes { filter, order, after, .. } = wishes;
    let (store, filter) = (call.app.store.clone(), Arc::new(filter));
    let read = move |after: Option<ReceiptPlace>| {
        let (store, filter) = (store.clone(), Arc::clone(&filter));
        async move {
            let page = store.receipts_page(&filter, order, after, export::ROWS).await?;
            Ok((page.receipts.iter().map(cells).collect(), page.next))
        }
    };
    let (first, head) = (Box::pin(read(after)), COLUMNS.map(str::to_owned).to_vec());
    export::sheet(call, "requests.csv", head, first, move |after| read(Some(after))).await
}

/// Basis points as a percentage: 550 is 5.5 %.
pub(crate) fn percent(bps: u32) -> String {
    let (whole, rest) = (bps / 100, bps % 100);
    let rest = format!("{rest:02}");
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() { format!("{whole} %") } else { format!("{whole}.{rest} %") }
}

/// A meter's name for people.
pub(crate) fn meter(meter: Meter) -> String {
    meter.name().replace('_', " ")
}
