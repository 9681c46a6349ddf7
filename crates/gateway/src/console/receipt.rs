//! `/requests/{id}`: one request, what it cost, and what proves it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use askama::Template;
use axum::response::Response;
use ledger::{Bill, Receipt, Tried, UsageSource, sum_exact, to_hex};
use store::{StoreError, Stored, Whose};
use uuid::Uuid;

use super::html::{self, Html, Table};
use super::overview::Tile;
use super::page::{self, Desk, Frame, missing, told};
use super::requests::{called, meter, outcome, percent};
use crate::answer;
use crate::problem::Problem;
use crate::web::Call;

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

async fn seal(call: &Call, stored: &Stored) -> Result<Vec<(&'static str, Html)>, Problem> {
    let mut facts = vec![("Content hash", Html::code(&to_hex(&stored.content_hash)))];
    let Some(batch) = stored.batch else { return Ok(facts) };
    let mut found = None;
    let batches = BTreeSet::from([batch]);
    let looked = call.app.store.for_each_seal_of(&batches, |sealed| found = Some(sealed)).await;
    match looked {
        Err(newer @ StoreError::NewerSeal { .. }) => {
            facts.push(("Seal", Html::text(&newer.to_string())));
        }
        looked => looked.map_err(told)?,
    }
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
