//! Rows of models.

use std::collections::BTreeMap;

use super::columns::{ATTRIBUTES, NAMED, price_column};
use super::table::{Row, Table, fault};
use super::{ImportFault, Models};
use crate::catalogue::{Model, ModelInfo, Status};
use crate::price::{Condition, ModelPrice, Multipliers, Rates, Tariff, UnitPrice};
use crate::time::{Windows, parse_date};
use crate::usage::Meter;
use crate::usd::parse_scaled;

const SECONDS_PER_HOUR: i64 = 3_600;

/// Rows of `provider,model,price_per_token`: one price for every token, in and out.
pub(super) fn read_plain(table: &Table, faults: &mut Vec<ImportFault>) -> Models {
    let mut models = Models::new();
    for row in table.rows() {
        let mut rates = Rates::default();
        match row.text("price_per_token") {
            "" => faults.push(
                row.fault("price_per_token", "expected a price; write free where it costs nothing"),
            ),
            "0" | "0.0" => {
                faults.push(row.fault(
                    "price_per_token",
                    "0 is not taken for a price; write free to charge nothing",
                ));
            }
            _ => {
                if let Some(price) = row.price("price_per_token", 0, faults) {
                    rates.set(Meter::Input, price);
                    rates.set(Meter::Output, price);
                }
            }
        }
        let price = ModelPrice {
            tariffs: vec![tariff(&[(Condition::default(), rates)])],
            ..ModelPrice::default()
        };
        insert(row, ModelInfo::plain(), price, &mut models, faults);
    }
    models
}

/// Rows of the full form.
pub(super) fn read_full(table: &Table, faults: &mut Vec<ImportFault>) -> Models {
    let mut models = Models::new();
    let known = |name: &str| {
        NAMED.contains(&name) || ATTRIBUTES.contains(&name) || price_column(name).is_some()
    };
    for (index, name) in table.columns().iter().enumerate() {
        if !known(name) {
            faults.push(fault(1, index.saturating_add(1), name, "unknown column"));
        }
    }
    if !table.require(&["provider", "model", "input_per_mtok", "output_per_mtok"], faults) {
        return models;
    }
    for row in table.rows() {
        let info = info(row, faults);
        let price = price(row, faults);
        insert(row, info, price, &mut models, faults);
    }
    models
}

fn insert(
    row: Row<'_>,
    info: ModelInfo,
    price: ModelPrice,
    models: &mut Models,
    faults: &mut Vec<ImportFault>,
) {
    let (Some(provider), Some(name)) = (row.name("provider", faults), row.name("model", faults))
    else {
        return;
    };
    let key = (provider.clone(), name.clone());
    if models.insert(key, Model { provider, name, info, price }).is_some() {
        faults.push(row.fault("model", "this provider and model stand in the file twice"));
    }
}

fn info(row: Row<'_>, faults: &mut Vec<ImportFault>) -> ModelInfo {
    let status = match row.text("status") {
        "" => Status::Unknown,
        word => Status::from_name(word).unwrap_or_else(|| {
            faults.push(row.fault("status", "expected active, deprecated, retired or unknown"));
            Status::Unknown
        }),
    };
    let date = row.text("deprecation_date");
    if !date.is_empty() && parse_date(date).is_none() {
        faults.push(row.fault("deprecation_date", "expected a date such as 2026-11-24"));
    }
    ModelInfo {
        mode: row.text("mode").to_owned(),
        status,
        deprecation_date: (!date.is_empty()).then(|| date.to_owned()),
        context_window: row.whole("context_window", faults),
        max_output_tokens: row.whole("max_output_tokens", faults),
        attributes: row
            .filled()
            .filter(|(column, _)| ATTRIBUTES.contains(column))
            .map(|(column, value)| (column.to_owned(), value.to_owned()))
            .collect(),
        source: row.text("source").to_owned(),
        as_of: row.text("as_of").to_owned(),
    }
}

fn price(row: Row<'_>, faults: &mut Vec<ImportFault>) -> ModelPrice {
    let mut rates: BTreeMap<Condition, Rates> = BTreeMap::new();
    for (column, _) in row.filled() {
        if let Some(place) = price_column(column)
            && let Some(price) = row.price(column, place.power, faults)
        {
            rates.entry(place.condition).or_default().set(place.meter, price);
        }
    }
    let plain = rates.entry(Condition::default()).or_default();
    // A thinking price equal to the output price says nothing of its own; dropping it lets thinking follow the output
    // price of every tier, which the files do not repeat.
    if plain.get(Meter::Reasoning) == plain.get(Meter::Output) {
        *plain = plain.entries().filter(|(meter, _)| *meter != Meter::Reasoning).collect();
    }
    if let Some(price) =
        row.price("input_per_audio_hour", 0, faults).and_then(|p| p.times(1, SECONDS_PER_HOUR).ok())
    {
        plain.set(Meter::InputAudioSecond, price);
    }
    search_fees(row, plain, faults);
    let windows =
        Windows::parse(row.text("offpeak_windows_utc")).unwrap_or_else(|| {
            faults.push(row.fault(
                "offpeak_windows_utc",
                "expected hours at weekdays such as 00:00-01:00@12345",
            ));
            Windows::default()
        });
    ModelPrice {
        tariffs: vec![tariff(&rates.into_iter().collect::<Vec<_>>())],
        long_context_above: row.whole("tier_threshold_tokens", faults),
        off_peak: windows,
        multipliers: Multipliers {
            fast: multiplier(row, "speed_fast_multiplier", faults),
            us: multiplier(row, "geo_us_multiplier", faults),
            eu: multiplier(row, "geo_eu_multiplier", faults),
        },
    }
}

/// Google charges a search per query from Gemini 3 on and per grounded answer before; its answers are counted both
/// ways, so that the one which is not charged is written as free. The others charge per call.
fn search_fees(row: Row<'_>, plain: &mut Rates, faults: &mut Vec<ImportFault>) {
    let Some(fee) = row.price("web_search_per_1k_calls", 3, faults) else { return };
    match (row.text("provider"), row.text("web_search_unit")) {
        ("gemini", "per_query") => {
            plain.set(Meter::SearchQuery, fee);
            plain.set(Meter::GroundedPrompt, UnitPrice::FREE);
        }
        ("gemini", "") => {
            plain.set(Meter::GroundedPrompt, fee);
            plain.set(Meter::SearchQuery, UnitPrice::FREE);
        }
        (_, "") => plain.set(Meter::WebSearch, fee),
        _ => faults.push(row.fault("web_search_unit", "expected nothing, or per_query for gemini")),
    }
}

/// A factor such as 1.1, in basis points.
fn multiplier(row: Row<'_>, field: &str, faults: &mut Vec<ImportFault>) -> Option<u32> {
    let text = row.text(field);
    if text.is_empty() {
        return None;
    }
    let factor = match parse_scaled(text, 4) {
        Ok((factor, true)) => {
            u32::try_from(factor).ok().filter(|factor| (1..=1_000_000).contains(factor))
        }
        _ => None,
    };
    if factor.is_none() {
        faults.push(row.fault(field, "expected a factor above 0 such as 1.1"));
    }
    factor
}

fn tariff(rates: &[(Condition, Rates)]) -> Tariff {
    let rates = rates.iter().filter(|(_, rates)| !rates.is_empty()).copied().collect();
    Tariff { valid_from: None, rates }
}

/// Pictures by quality and size: kept as attributes of their model.
pub(super) fn attach_image_prices(
    table: &Table,
    models: &mut Models,
    faults: &mut Vec<ImportFault>,
) {
    if !table.require(&["provider", "model", "quality", "size", "usd_per_image"], faults) {
        return;
    }
    for row in table.rows() {
        let (quality, size) = (row.text("quality"), row.text("size"));
        if row.price("usd_per_image", 0, faults).is_none() {
            continue;
        }
        let key = (row.text("provider").to_owned(), row.text("model").to_owned());
        match models.get_mut(&key) {
            Some(model) => {
                let name = format!("usd_per_image:{quality}:{size}");
                model.info.attributes.insert(name, row.text("usd_per_image").to_owned());
            }
            None => faults.push(row.fault("model", "this model is not in the file of models")),
        }
    }
}
