//! `/operator/prices`: what models cost and are sold for, every version of it, and what is wrong with it.

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::response::Response;
use ledger::{Catalogue, Meter, Model, Rates, Status, Terms, sum_exact};

use super::super::html::{self, Html, Table};
use super::super::list::List;
use super::super::page::{self, Desk, Frame, missing, told};
use super::super::requests::{meter, percent};
use super::price_lists::{self, Changed};
use super::upcoming;
use crate::problem::Problem;
use crate::web::Call;

/// Versions of which the history of a model is read.
const VERSIONS: usize = 20;

/// The list prices of the providers, as this program has come with them.
static SHIPPED: LazyLock<Catalogue> =
    LazyLock::new(|| crate::catalogue::shipped().unwrap_or_default());

#[derive(Template)]
#[template(path = "prices.html")]
struct Page {
    frame: Frame,
    version: i64,
    commission: String,
    /// What is to change, and what will be wrong then.
    upcoming: Table,
    planned: bool,
    later_alarms: Vec<Html>,
    alarms: Option<List>,
    models: List,
    versions: List,
}

/// `GET /operator/prices`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let snapshot = call.app.snapshots.current();
    let (catalogue, bps) = (Arc::clone(&snapshot.catalogue), call.app.live.load().commission_bps);
    let versions = call.app.store.price_versions().await.map_err(told)?;
    let alarms = found(&catalogue, bps, call.now);
    if let Some(sheet) = price_lists::sheet(&call, &snapshot, &alarms, &versions)? {
        return Ok(sheet);
    }
    let page = Page {
        frame: Frame::new(&call, &desk, "Prices"),
        planned: catalogue.upcoming(call.now).next().is_some(),
        upcoming: upcoming::table(&catalogue, snapshot.price_version, &desk.csrf, call.now),
        later_alarms: later_alarms(&catalogue, bps, call.now),
        version: snapshot.price_version,
        commission: percent(bps),
        alarms: price_lists::alarms(&call, alarms)?,
        models: price_lists::models(&call, &snapshot)?,
        versions: price_lists::versions(&call, versions)?,
    };
    page::show(&page)
}

pub(super) fn id(model: &Model) -> String {
    format!("{}/{}", model.provider, model.name)
}

pub(super) fn rates(model: &Model, at: i64) -> Option<Rates> {
    model.price.rates(0, &Terms { at, ..Terms::default() }).ok()
}

/// Dollars for a million tokens, with a commission on top.
pub(super) fn million(rates: &Rates, meter: Meter, bps: u32) -> Option<String> {
    let unit = i128::from(rates.get(meter)?.pico());
    // A pico-dollar a token is a millionth of a dollar for a million.
    Some(html::short(unit * 1_000_000 * (10_000 + i128::from(bps)) / 10_000))
}

/// A model that loses money, or cannot be sold.
#[derive(Clone)]
pub(super) struct Alarm {
    pub(super) model: String,
    pub(super) what: String,
}

/// What loses money, or cannot be sold.
pub(super) fn alarms(catalogue: &Catalogue, bps: u32, now: i64) -> Vec<Html> {
    let told = |Alarm { model, what }: Alarm| {
        Html::link(&format!("/operator/prices/models/{model}"), &model).and(&Html::text(&what))
    };
    found(catalogue, bps, now).into_iter().map(told).collect()
}

fn found(catalogue: &Catalogue, bps: u32, now: i64) -> Vec<Alarm> {
    let mut below = Vec::new();
    let mut without = Vec::new();
    for model in catalogue.models().filter(|model| model.info.status != Status::Retired) {
        let alarm = |what: String| Alarm { model: id(model), what };
        if model.info.mode == "chat" && !model.price.prices_text(now) {
            without.push(alarm("has no price for text: it is refused".to_owned()));
        }
        let list = SHIPPED.get(&model.provider, &model.name).and_then(|list| rates(list, now));
        let (Some(list), Some(own)) = (list, rates(model, now)) else { continue };
        for (meter_of, unit) in list.entries() {
            let Some(sold) = own.applying(meter_of) else { continue };
            let sold = i128::from(sold.pico()) * (10_000 + i128::from(bps));
            let cost = i128::from(unit.pico()) * 10_000;
            if sold < cost {
                let (sold, cost) = (sum_exact(sold * 100), sum_exact(cost * 100));
                let name = meter(meter_of);
                below.push(alarm(format!(
                    "is sold below the provider's list price: {name} at ${sold} a million, which costs ${cost}"
                )));
                break;
            }
        }
    }
    below.extend(without);
    below
}

/// So many are told of.
const LATER_ALARMS: usize = 25;

/// What will be wrong once prices hold that are to come, and is not yet.
fn later_alarms(catalogue: &Catalogue, bps: u32, now: i64) -> Vec<Html> {
    let known = alarms(catalogue, bps, now);
    let moments = upcoming::moments(catalogue, now).into_iter();
    let later = moments.flat_map(|at| {
        let new = alarms(catalogue, bps, at).into_iter().filter(|alarm| !known.contains(alarm));
        new.map(move |alarm| Html::text(&format!("From {} on:", html::day(at))).and(&alarm))
    });
    later.take(LATER_ALARMS).collect()
}

#[derive(Template)]
#[template(path = "model.html")]
struct One {
    frame: Frame,
    id: String,
    facts: Vec<(&'static str, Html)>,
    prices: List,
    history: List,
}

/// `GET /operator/prices/models/{provider}/{model}`
pub(crate) async fn model(call: Call) -> Result<Response, Problem> {
    let desk = Desk::of(&call)?;
    let snapshot = call.app.snapshots.current();
    let (provider, name) = (call.param("provider"), call.param("model"));
    let found = snapshot.catalogue.get(provider, name).ok_or_else(missing)?;
    let bps = call.app.live.load().commission_bps;
    let info = &found.info;
    let tokens = |number: Option<u64>| number.map_or_else(|| Html::text("unknown"), html::count);
    let mut facts = vec![
        ("Kind", Html::text(&info.mode)),
        ("State", Html::text(info.status.name())),
        ("Context, tokens", tokens(info.context_window)),
        ("Longest answer, tokens", tokens(info.max_output_tokens)),
        ("Prices from", Html::text(&info.source)),
        ("Of", Html::text(&info.as_of)),
    ];
    if let Some(limit) = found.price.long_context_above {
        facts.push(("Long context above, tokens", html::count(limit)));
    }
    if let Some(date) = &info.deprecation_date {
        facts.push(("Ends", Html::text(date)));
    }
    let history = history(&call, provider, name).await?;
    let (prices, history) = match price_lists::of_model(&call, (found, bps), history)? {
        Ok(lists) => lists,
        Err(sheet) => return Ok(sheet),
    };
    let page =
        One { frame: Frame::new(&call, &desk, &id(found)), id: id(found), facts, prices, history };
    page::show(&page)
}

/// How the price of a model has changed from version to version.
async fn history(call: &Call, provider: &str, name: &str) -> Result<Vec<Changed>, Problem> {
    let versions = call.app.store.price_versions().await.map_err(told)?;
    let skipped = versions.len().saturating_sub(VERSIONS);
    let mut rows = Vec::new();
    let mut last = None;
    for version in versions.into_iter().skip(skipped) {
        let catalogue = call.app.store.catalogue(version.id).await.map_err(told)?;
        let price = catalogue.get(provider, name).map(|model| model.price.clone());
        if last.as_ref() == Some(&price) {
            continue;
        }
        let rates =
            catalogue.get(provider, name).and_then(|model| rates(model, version.created_at));
        let is_there = price.is_some();
        rows.push(Changed { version, rates: rates.unwrap_or_default(), is_there });
        last = Some(price);
    }
    Ok(rows)
}
