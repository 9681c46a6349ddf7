//! The lists on the page of prices: models, versions, alarms.

use std::collections::BTreeSet;

use axum::response::Response;
use ledger::{Meter, Model, Rates, Status};
use store::PriceVersion;

use super::super::export;
use super::super::html::Html;
use super::super::list::{Column, Filter, List, Value, Wish};
use super::prices::{Alarm, id, million, rates};
use crate::problem::Problem;
use crate::snapshot::Snapshot;
use crate::web::Call;

/// The names of the lists beside that of models.
const VERSIONS: &str = "versions";
const ALARMS: &str = "alarms";
const STATES: [(&str, &str); 5] = [
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
        Self { id: id(model), mode: model.info.mode.clone(), rates, bps, state }
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
    Column::text("state", "State", |row: &Row| Value::text(row.state)).shown(|row| {
        let kind = match row.state {
            "sold" => "good",
            "deprecated" => "warn",
            "no price" => "bad",
            _ => "plain",
        };
        Html::badge(kind, row.state)
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
        .filter(|row| state.is_empty() || row.state == state);
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
