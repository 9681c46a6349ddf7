//! The lists on the page of prices: models, versions, alarms.

use std::collections::BTreeSet;

use axum::response::Response;
use ledger::{Meter, Model, Rates, Status, UnitPrice, sum_exact};
use store::PriceVersion;

use super::super::export;
use super::super::html::{self, Html};
use super::super::list::{Column, Filter, List, Value, Wish};
use super::super::requests::meter;
use super::prices::{Alarm, id, million, rates};
use crate::problem::Problem;
use crate::snapshot::Snapshot;
use crate::web::Call;

/// The names of the lists beside that of models.
const VERSIONS: &str = "versions";
const ALARMS: &str = "alarms";
/// Of models that have other prices to come.
const TO_COME: &str = "to come";
const STATES: [(&str, &str); 6] = [
    (TO_COME, "With other prices to come"),
    ("sold", "Sold"),
    ("no price", "Without a price"),
    ("deprecated", "Deprecated"),
    ("retired", "Retired"),
    ("hidden", "Hidden"),
];

/// A model with its prices.
struct Row {
    id: String,
    mode: String,
    rates: Rates,
    /// The commission, in basis points.
    bps: u32,
    state: &'static str,
    /// When other prices begin.
    next: Option<i64>,
}

impl Row {
    fn of(model: &Model, bps: u32, now: i64, is_hidden: bool) -> Self {
        let state = match (model.price.prices_text(now), model.info.status) {
            _ if is_hidden => "hidden",
            (_, Status::Retired) => "retired",
            (false, _) if model.info.mode == "chat" => "no price",
            (_, Status::Deprecated) => "deprecated",
            _ => "sold",
        };
        let rates = rates(model, now).unwrap_or_default();
        let all = model.price.tariffs.iter().filter_map(|tariff| tariff.valid_from);
        let next = all.filter(|at| *at > now).min();
        Self { id: id(model), mode: model.info.mode.clone(), rates, bps, state, next }
    }

    /// Dollars for a million tokens, with a commission on top.
    fn price(&self, meter: Meter, bps: u32) -> Value {
        let unit = self.rates.get(meter).map(|unit| i128::from(unit.pico()));
        unit.map_or(Value::Nothing, |unit| {
            Value::Usd(unit * 1_000_000 * (10_000 + i128::from(bps)) / 10_000)
        })
    }

    fn shown(&self, meter: Meter, bps: u32) -> Html {
        let text = million(&self.rates, meter, bps);
        Html::text(&text.unwrap_or_else(|| "–".to_owned()))
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::text("model", "Model", |row: &Row| Value::text(&row.id))
        .shown(|row| Html::link(&format!("/operator/prices/models/{}", row.id), &row.id)),
    Column::text("kind", "Kind", |row: &Row| Value::text(&row.mode)),
    Column::number("input", "Input", |row: &Row| row.price(Meter::Input, 0))
        .shown(|row| row.shown(Meter::Input, 0)),
    Column::number("cached", "Cached", |row: &Row| row.price(Meter::CacheRead, 0))
        .shown(|row| row.shown(Meter::CacheRead, 0)),
    Column::number("output", "Output", |row: &Row| row.price(Meter::Output, 0))
        .shown(|row| row.shown(Meter::Output, 0)),
    Column::number("sold_input", "Sold, input", |row: &Row| row.price(Meter::Input, row.bps))
        .shown(|row| row.shown(Meter::Input, row.bps)),
    Column::number("sold_output", "Sold, output", |row: &Row| row.price(Meter::Output, row.bps))
        .shown(|row| row.shown(Meter::Output, row.bps)),
    Column::sheet("next_prices_at", |row: &Row| Value::time(row.next)),
    Column::text("state", "State", |row: &Row| Value::text(row.state)).shown(|row| {
        let kind = match row.state {
            "sold" => "good",
            "deprecated" => "warn",
            "no price" => "bad",
            _ => "plain",
        };
        let state = Html::badge(kind, row.state);
        let next = row.next.map(|at| Html::text(&format!("others from {}", html::day(at))));
        next.map_or_else(|| state.clone(), |next| state.below(&next))
    }),
];

const VERSION: &[Column<PriceVersion>] = &[
    Column::number("version", "Version", |one: &PriceVersion| Value::Number(one.id.into())),
    Column::time("since", "Since", |one: &PriceVersion| Value::Time(one.created_at)),
    Column::number("models", "Models", |one: &PriceVersion| Value::Number(i128::from(one.models))),
    Column::text("source", "Source", |one: &PriceVersion| Value::text(&one.source)),
    Column::text("sha256", "SHA-256", |one: &PriceVersion| Value::text(&one.sha256))
        .shown(|one| Html::code(&one.sha256.chars().take(12).collect::<String>())),
    Column::text("note", "Note", |one: &PriceVersion| Value::text(&one.note)),
];

/// One price of a model: now, before, or to come.
struct Price {
    from: Option<i64>,
    on: String,
    of: Meter,
    price: UnitPrice,
    bps: u32,
}

impl Price {
    /// For how many it is.
    fn per(&self) -> i128 {
        if self.of.is_token() { 1_000_000 } else { 1 }
    }

    fn cost(&self) -> i128 {
        i128::from(self.price.pico()) * self.per()
    }

    fn sold(&self) -> i128 {
        self.cost() * (10_000 + i128::from(self.bps)) / 10_000
    }
}

const PRICE: &[Column<Price>] = &[
    Column::time("from", "From", |one: &Price| Value::time(one.from))
        .shown(|one| Html::text(&one.from.map_or_else(|| "the beginning".to_owned(), html::day))),
    Column::text("what", "What", |one: &Price| Value::Text(meter(one.of))),
    Column::text("terms", "On which terms", |one: &Price| Value::text(&one.on)),
    Column::number("per", "Per", |one: &Price| Value::Number(one.per()))
        .shown(|one| Html::text(if one.of.is_token() { "1M" } else { "1" })),
    Column::number("cost_usd", "Cost, USD", |one: &Price| Value::Usd(one.cost()))
        .shown(|one| Html::text(&sum_exact(one.cost()))),
    Column::number("sold_usd", "Sold, USD", |one: &Price| Value::Usd(one.sold()))
        .shown(|one| Html::text(&sum_exact(one.sold()))),
];

/// What a version of the prices has changed of a model.
pub(super) struct Changed {
    pub(super) version: PriceVersion,
    pub(super) rates: Rates,
    /// Whether the model is in that version.
    pub(super) is_there: bool,
}

impl Changed {
    fn price(&self, meter: Meter) -> Value {
        let unit = self.rates.get(meter).map(|unit| i128::from(unit.pico()));
        unit.map_or(Value::Nothing, |unit| Value::Usd(unit * 1_000_000))
    }

    fn shown(&self, meter: Meter) -> Html {
        Html::text(&million(&self.rates, meter, 0).unwrap_or_else(|| "–".to_owned()))
    }

    fn source(&self) -> &str {
        if self.is_there { &self.version.source } else { "not in this version" }
    }
}

const CHANGED: &[Column<Changed>] = &[
    Column::number("version", "Version", |one: &Changed| Value::Number(one.version.id.into())),
    Column::time("since", "Since", |one: &Changed| Value::Time(one.version.created_at)),
    Column::number("input", "Input", |one: &Changed| one.price(Meter::Input))
        .shown(|one| one.shown(Meter::Input)),
    Column::number("cached", "Cached", |one: &Changed| one.price(Meter::CacheRead))
        .shown(|one| one.shown(Meter::CacheRead)),
    Column::number("output", "Output", |one: &Changed| one.price(Meter::Output))
        .shown(|one| one.shown(Meter::Output)),
    Column::text("source", "Source", |one: &Changed| Value::text(one.source())),
];

/// Every price of a model with the versions that have changed it; or the sheet of one of the two.
pub(super) fn of_model(
    call: &Call,
    (model, bps): (&Model, u32),
    history: Vec<Changed>,
) -> Result<Result<(List, List), Response>, Problem> {
    let mut prices = Vec::new();
    for tariff in &model.price.tariffs {
        for (condition, rates) in &tariff.rates {
            let mut on = condition.service_tier.name().to_owned();
            if condition.long_context {
                on.push_str(", long context");
            }
            if condition.off_peak {
                on.push_str(", off-peak");
            }
            let one =
                |(of, price)| Price { from: tariff.valid_from, on: on.clone(), of, price, bps };
            prices.extend(rates.entries().map(one));
        }
    }
    let wish = Wish::whole(call, "prices", PRICE, "-from")?;
    let prices = wish.sorted(PRICE, prices);
    if wish.csv {
        return export::whole(&format!("prices-{}.csv", model.name), PRICE, &prices).map(Err);
    }
    let list = wish.list("Prices", PRICE, &prices).titled("Prices");
    let wish = Wish::whole(call, "history", CHANGED, "-version")?;
    let history = wish.sorted(CHANGED, history);
    if wish.csv {
        return export::whole(&format!("history-{}.csv", model.name), CHANGED, &history).map(Err);
    }
    let caption = "Versions that have changed it, USD per million tokens";
    let changed = wish.list(caption, CHANGED, &history).titled("Versions that have changed it");
    Ok(Ok((list.or("It has no price.", None), changed)))
}

const ALARM: &[Column<Alarm>] = &[
    Column::text("model", "Model", |one: &Alarm| Value::text(&one.model))
        .shown(|one| Html::link(&format!("/operator/prices/models/{}", one.model), &one.model)),
    Column::text("alarm", "What is wrong", |one: &Alarm| Value::text(&one.what)),
];

/// The sheet of one of the lists, where it is wanted.
pub(super) fn sheet(
    call: &Call,
    snapshot: &Snapshot,
    alarms: &[Alarm],
    versions: &[PriceVersion],
) -> Result<Option<Response>, Problem> {
    let wish = Wish::whole(call, ALARMS, ALARM, "")?;
    if wish.csv {
        return export::whole("alarms.csv", ALARM, &wish.sorted(ALARM, alarms.to_vec())).map(Some);
    }
    let wish = Wish::whole(call, VERSIONS, VERSION, "-version")?;
    if wish.csv {
        let rows = wish.sorted(VERSION, versions.to_vec());
        return export::whole("price-versions.csv", VERSION, &rows).map(Some);
    }
    let (wish, rows, _) = wanted(call, snapshot)?;
    wish.csv.then(|| export::whole("prices.csv", COLUMNS, &rows)).transpose()
}

/// What is wanted of the models, and which providers there are.
fn wanted(call: &Call, snapshot: &Snapshot) -> Result<(Wish, Vec<Row>, BTreeSet<String>), Problem> {
    let wish = Wish::whole(call, "", COLUMNS, "model")?;
    let (part, provider) = (wish.field("q").to_lowercase(), wish.field("provider"));
    let state = wish.one_of("state", &STATES)?;
    let bps = call.app.live.load().commission_bps;
    let all = snapshot.catalogue.models();
    let providers = all.map(|model| model.provider.clone()).collect();
    let rows = snapshot
        .catalogue
        .models()
        .filter(|model| provider.is_empty() || model.provider == provider)
        .map(|model| Row::of(model, bps, call.now, snapshot.hides(model)))
        .filter(|row| row.id.to_lowercase().contains(&part))
        .filter(|row| match state.as_str() {
            "" => true,
            TO_COME => row.next.is_some(),
            state => row.state == state,
        });
    let rows = wish.sorted(COLUMNS, rows.collect());
    Ok((wish, rows, providers))
}

pub(super) fn models(call: &Call, snapshot: &Snapshot) -> Result<List, Problem> {
    let (wish, rows, providers) = wanted(call, snapshot)?;
    let known: Vec<(&str, &str)> =
        providers.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let filters = vec![
        Filter::Search { field: "q", label: "Model", hint: "Search" },
        Filter::choice("provider", "Provider", "All providers", &known),
        Filter::choice("state", "State", "All states", &STATES),
    ];
    let list = wish.list("Prices in USD per million tokens", COLUMNS, &rows);
    let list = list.filters(&wish, filters).tall();
    Ok(list.or("No model has a price yet.", Some(("/operator/prices/import", "Import prices"))))
}

pub(super) fn versions(call: &Call, versions: Vec<PriceVersion>) -> Result<List, Problem> {
    let wish = Wish::whole(call, VERSIONS, VERSION, "-version")?;
    let rows = wish.sorted(VERSION, versions);
    Ok(wish.list("Price versions", VERSION, &rows).titled("Versions"))
}

/// Where there is anything wrong.
pub(super) fn alarms(call: &Call, alarms: Vec<Alarm>) -> Result<Option<List>, Problem> {
    let wish = Wish::whole(call, ALARMS, ALARM, "")?;
    let rows = wish.sorted(ALARM, alarms);
    let list = wish.list("Alarms", ALARM, &rows).titled("Look at these").tall();
    Ok((!rows.is_empty()).then_some(list))
}
