//! `/requests`: what was asked and what it cost, by receipt.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use askama::Template;
use axum::response::Response;
use ledger::{Bill, Meter, Outcome, Receipt, Tried, UsageSource, sum_exact, to_hex};
use store::{Cursor, Grain, Key, ReceiptFilter, Stored, Whose};
use uuid::Uuid;

use super::html::{self, Html, Table};
use super::overview::Tile;
use super::page::{self, DAY, Desk, Frame, missing, query, told};
use super::sums;
use crate::answer;
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
    filtered: bool,
    csv: String,
    older: Option<String>,
    newest: Option<String>,
    /// Where a look through many has ended without a full page.
    looked_to: Option<String>,
}

/// `GET /requests`
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    page::settled(&call).await;
    let filter = filter(&call, &desk)?;
    let after = query(&call, "after").map(|text| cursor(&text).ok_or_else(missing)).transpose()?;
    if query(&call, "format").as_deref() == Some("csv") {
        return super::export::sheet(&call, filter, after).await;
    }
    let page = call.app.store.receipts_page(&filter, after, PER_PAGE).await.map_err(told)?;
    let keys = call.app.store.keys_page(desk.keys()?, None, CHOICE_KEYS).await.map_err(told)?;
    let address = |format: &str, after: Option<&Cursor>| {
        let key = filter.key_id.map(|id| id.to_string()).unwrap_or_default();
        let after = after.map(written).unwrap_or_default();
        let pairs =
            [("key", key.as_str()), ("model", &filter.item), ("format", format), ("after", &after)];
        let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
        if query.is_empty() { "/requests".to_owned() } else { format!("/requests?{query}") }
    };
    let filtered = filter.key_id.is_some() || !filter.item.is_empty();
    let used: BTreeSet<Uuid> = page.receipts.iter().map(|receipt| receipt.key_id).collect();
    let used: Vec<Uuid> = used.into_iter().collect();
    let used = call.app.store.keys_by_id(&used).await.map_err(told)?;
    let rows = page.receipts.iter().map(|receipt| row(receipt, &used)).collect();
    let names = ["When", "Model", "Key", "#Tokens in", "#Tokens out", "#Charge", ""];
    let table = Table::new("Requests, newest first", &names, rows);
    let table = if filtered || after.is_some() {
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
        models: models(&call, &desk, &filter.item).await?,
        keys: choices(&keys, filter.key_id),
        filtered,
        csv: address("csv", None),
        older: page.next.as_ref().map(|next| address("", Some(next))),
        newest: after.map(|_| address("", None)),
        looked_to: page.next.filter(|_| short).map(|next| html::day(next.started_at)),
    };
    page::show(&list)
}

/// What of the account's receipts is wanted, of those that this person may see.
fn filter(call: &Call, desk: &Desk) -> Result<ReceiptFilter, Problem> {
    desk.keys()?;
    let key = query(call, "key").map(|text| text.parse::<Uuid>().map_err(|_| missing()));
    Ok(ReceiptFilter {
        account_id: desk.account,
        user_id: (!desk.sees_all()).then_some(desk.person.id),
        key_id: key.transpose()?,
        item: query(call, "model").unwrap_or_default(),
    })
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
    let option = |item: String| Pick { selected: item == chosen, label: item.clone(), value: item };
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

/// A place in the list, as an address has it.
fn written(cursor: &Cursor) -> String {
    format!("{}.{}.{}", cursor.started_at, cursor.request_id.simple(), cursor.attempt)
}

fn cursor(text: &str) -> Option<Cursor> {
    let mut parts = text.splitn(3, '.');
    Some(Cursor {
        started_at: parts.next()?.parse().ok()?,
        request_id: parts.next()?.parse().ok()?,
        attempt: parts.next()?.parse().ok()?,
    })
}

/// The columns of the sheet.
pub(super) const COLUMNS: [&str; 18] = [
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
pub(super) fn cells(receipt: &Receipt) -> Vec<String> {
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

/// One attempt of a request, with what proves it.
struct Attempt {
    receipt: Receipt,
    title: String,
    facts: Vec<(&'static str, Html)>,
    lines: Table,
    seal: Vec<(&'static str, Html)>,
}

impl Attempt {
    fn tiles(&self) -> Vec<Tile> {
        let Receipt { cost, commission, charge, attempt, commission_bps, .. } = &self.receipt;
        let (cost, whose, of) = match self.receipt.report.direct() {
            None => (*cost, "the lines below, added up", "cost"),
            Some(direct) => {
                (direct, "billed by the provider itself, to your own key", "provider's price")
            }
        };
        let tile = |label, value, note: &str| Tile {
            label,
            value,
            note: Html::text(note),
            spark: Html::default(),
        };
        vec![
            tile("Charge", html::money(charge.pico()), &self.title),
            tile("Provider's cost", html::money(cost.pico()), whose),
            tile(
                "Commission",
                html::money(commission.pico()),
                &format!("{} of the {of}", percent(*commission_bps)),
            ),
            tile("Outcome", outcome(self.receipt.outcome), &format!("attempt {attempt}")),
        ]
    }
}

#[derive(Template)]
#[template(path = "request.html")]
struct One {
    frame: Frame,
    id: Uuid,
    attempts: Vec<Attempt>,
}

/// `GET /requests/{id}`
pub(crate) async fn one(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    page::settled(&call).await;
    let id: Uuid = call.param("id").parse().map_err(|_| missing())?;
    let stored = call.app.store.stored_of_request(id).await.map_err(told)?;
    let whose = desk.keys()?;
    let mut attempts = Vec::new();
    for stored in stored {
        if whose.has(stored.receipt.user_id, stored.receipt.account_id) {
            attempts.push(attempt(&call, whose, stored).await?);
        }
    }
    if attempts.is_empty() {
        return Err(missing());
    }
    page::show(&One { frame: Frame::new(&call, &desk, "Request"), id, attempts })
}

async fn attempt(call: &Call, whose: Whose, stored: Stored) -> Result<Attempt, Problem> {
    let seal = seal(call, &stored).await?;
    let receipt = stored.receipt;
    let catalogue = call.app.store.catalogue(receipt.price_version).await.map_err(told)?;
    let took = receipt.ended_at.saturating_sub(receipt.started_at) / 1_000;
    let key = call.app.store.key(whose, receipt.key_id).await;
    let key = key.map_or_else(|_| receipt.key_id.to_string(), |key| called(&key));
    let source = match receipt.usage_source {
        UsageSource::Provider => "the provider's own counters",
        UsageSource::Estimated => {
            "estimated from the text: the provider gave no counters, or some that cannot be true"
        }
    };
    let mut facts = vec![
        ("Asked at", html::moment(receipt.started_at)),
        ("Took", Html::text(&format!("{} ms", html::grouped(took)))),
        ("Endpoint", Html::text(&receipt.surface)),
        ("Key", Html::link(&format!("/keys/{}", receipt.key_id), &key)),
        ("Price version", Html::text(&receipt.price_version.to_string())),
        ("Service tier", Html::text(receipt.report.service_tier.name())),
        ("Counted by", Html::text(source)),
    ];
    if let Some(served) = receipt.model_served.as_ref().filter(|served| **served != receipt.model) {
        facts.insert(2, ("Answered by", Html::text(served)));
    }
    if receipt.report.direct().is_some() {
        facts.push(("Called with", Html::text("your own key at the provider")));
    }
    let route = receipt.report.route.as_deref();
    if let Some(endpoint) = route.and_then(|route| route.endpoint.as_ref()) {
        facts.push(("Answered at", Html::text(&format!("{}/{endpoint}", receipt.provider))));
    }
    for tried in receipt.report.tried() {
        let Tried { provider, model, error, took_ms, .. } = tried;
        let at = answer::at(tried);
        let said = Html::text(&format!("{error}, after {} ms", html::grouped(*took_ms)));
        facts.push(("Tried in vain", Html::text(&format!("{provider}{at}/{model}")).below(&said)));
    }
    if let Some(id) = &receipt.upstream_id {
        facts.push(("Provider's id", Html::code(id)));
    }
    if let Some(bound) = receipt.bound {
        facts.push(("Held at most", html::money(bound.pico())));
    }
    Ok(Attempt {
        title: format!("{}/{}", receipt.provider, receipt.model),
        facts,
        lines: lines(&receipt, &catalogue),
        seal,
        receipt,
    })
}

/// Every counter with its unit price, as the price version has it: worked out again, so that it can be checked.
fn lines(receipt: &Receipt, catalogue: &ledger::Catalogue) -> Table {
    let bill = Bill::of(
        catalogue,
        &receipt.provider,
        &receipt.model,
        &receipt.report,
        receipt.started_at,
        receipt.commission_bps,
    );
    let names = ["What", "#Count", "#USD per million", "#Cost"];
    let lines = bill.map(|bill| bill.lines).unwrap_or_default();
    let rows = lines.iter().map(|(_, line)| {
        let (unit, per) = if line.meter.is_token() { (1_000_000, "") } else { (1, " each") };
        let price = sum_exact(i128::from(line.unit_price.pico()) * unit);
        let mut shown = String::new();
        let _ = write!(shown, "{price}{per}");
        vec![
            Html::text(&meter(line.meter)),
            html::count(line.quantity),
            Html::text(&shown),
            html::money(line.amount.pico()),
        ]
    });
    Table::new("Counters and prices", &names, rows.collect())
        .or("Nothing that has a price was counted.", None)
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

async fn seal(call: &Call, stored: &Stored) -> Result<Vec<(&'static str, Html)>, Problem> {
    let mut facts = vec![("Content hash", Html::code(&to_hex(&stored.content_hash)))];
    let Some(batch) = stored.batch else { return Ok(facts) };
    let mut found = None;
    let batches = BTreeSet::from([batch]);
    let looked = call.app.store.for_each_seal_of(&batches, |sealed| found = Some(sealed)).await;
    looked.map_err(told)?;
    if let Some(sealed) = found {
        let place = sealed.leaves.iter().position(|leaf| *leaf == stored.content_hash);
        let of = format!("{} of {}", place.map_or(0, |place| place + 1), sealed.seal.count);
        facts.push(("Leaf", Html::text(&of)));
        facts.push(("Merkle root", Html::code(&to_hex(&sealed.seal.root))));
        facts.push(("Seal", Html::text(&format!("number {} of its replica", sealed.seal.number))));
        facts.push(("Signed by", Html::code(&to_hex(&sealed.seal.public_key))));
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use store::Cursor;
    use uuid::Uuid;

    use super::{cursor, written};

    #[test]
    fn a_place_in_the_list_survives_an_address() {
        let place = Cursor {
            started_at: 1_795_000_000_000_001,
            request_id: Uuid::from_u128(7),
            attempt: 2,
        };
        assert_eq!(cursor(&written(&place)), Some(place));
        for text in ["", "1", "1.x.2", "1.00000000000000000000000000000007", "a.b.c"] {
            assert_eq!(cursor(text), None, "{text}");
        }
    }
}
