//! Prices by date.
//!
//! A dated row gives a model's plain prices from that day on. What it leaves open (tiers, audio, service tiers) moves
//! with its price for input, as the providers' own changes have done. The row that is in force on the date of the
//! model file is that file's own row, which says more.

use std::collections::BTreeMap;

use super::table::{Row, Table};
use super::{ImportFault, Models};
use crate::price::{Condition, Rates, Tariff, UnitPrice};
use crate::time::parse_date;
use crate::usage::Meter;

const COLUMNS: [(&str, Meter); 5] = [
    ("input_per_mtok", Meter::Input),
    ("output_per_mtok", Meter::Output),
    ("cached_input_read_per_mtok", Meter::CacheRead),
    ("cache_write_5m_per_mtok", Meter::CacheWrite5m),
    ("cache_write_1h_per_mtok", Meter::CacheWrite1h),
];

/// One row: the day, where it has one, and its prices.
struct Dated {
    from: Option<i64>,
    rates: Rates,
}

/// Adds the dated prices of `table` to `models`.
pub(super) fn apply(table: &Table, models: &mut Models, faults: &mut Vec<ImportFault>) {
    if !table.require(
        &["provider", "model", "valid_from", "source", "input_per_mtok", "output_per_mtok"],
        faults,
    ) {
        return;
    }
    let today = models.values().filter_map(|model| parse_date(&model.info.as_of)).max();
    let mut series: BTreeMap<(String, String, String), Vec<Dated>> = BTreeMap::new();
    for row in table.rows() {
        // Prices by the hour stand in the model file, as off-peak windows.
        if !row.text("utc_from").is_empty() {
            continue;
        }
        let Some(dated) = read(row, faults) else { continue };
        let (provider, model) = (row.text("provider").to_owned(), row.text("model").to_owned());
        if models.contains_key(&(provider.clone(), model.clone())) {
            series.entry((provider, model, row.text("source").to_owned())).or_default().push(dated);
        } else {
            faults.push(row.fault("model", "this model is not in the file of models"));
        }
    }
    for ((provider, model, _), rows) in series {
        // A source without a single date has only observed prices: it does not say when they changed.
        if rows.iter().any(|row| row.from.is_some())
            && let Some(model) = models.get_mut(&(provider, model))
        {
            let off_peak = !model.price.off_peak.is_empty();
            model.price.tariffs = tariffs(&model.price.tariffs, rows, today, off_peak);
        }
    }
}

fn read(row: Row<'_>, faults: &mut Vec<ImportFault>) -> Option<Dated> {
    let text = row.text("valid_from");
    let from = parse_date(text);
    if !text.is_empty() && from.is_none() {
        faults.push(row.fault("valid_from", "expected a date such as 2026-11-24"));
        return None;
    }
    let mut rates = Rates::default();
    for (column, meter) in COLUMNS {
        if let Some(price) = row.price(column, 6, faults) {
            rates.set(meter, price);
        }
    }
    Some(Dated { from, rates })
}

fn tariffs(
    current: &[Tariff],
    mut rows: Vec<Dated>,
    today: Option<i64>,
    off_peak: bool,
) -> Vec<Tariff> {
    let Some(base) = current.first() else { return Vec::new() };
    rows.sort_by_key(|row| row.from);
    let in_force = rows.iter().rposition(|row| row.from.is_none_or(|from| Some(from) <= today));
    rows.iter()
        .enumerate()
        .map(|(index, row)| {
            if Some(index) == in_force {
                Tariff { valid_from: row.from, rates: base.rates.clone() }
            } else if off_peak && row.from.is_none() {
                Tariff { valid_from: None, rates: vec![(Condition::default(), row.rates)] }
            } else {
                derive(base, row, off_peak)
            }
        })
        .collect()
}

/// The tariff of a dated row, with all that it leaves open moved by the ratio of the input prices. Where the model has
/// off-peak hours, the row quotes those: it is the lower of the day's two prices in every list that has both.
fn derive(base: &Tariff, row: &Dated, off_peak: bool) -> Tariff {
    let quoted = Condition { off_peak, ..Condition::default() };
    let input = |rates: &Rates| rates.get(Meter::Input).map(UnitPrice::pico);
    let before = base
        .rates
        .iter()
        .find(|(condition, _)| *condition == quoted)
        .and_then(|(_, rates)| input(rates));
    let ratio = input(&row.rates).zip(before).filter(|(_, before)| *before > 0);
    let mut rates: Vec<(Condition, Rates)> = base
        .rates
        .iter()
        .map(|(condition, rates)| {
            (*condition, rates.entries().map(|(m, price)| (m, scale(m, price, ratio))).collect())
        })
        .collect();
    for (condition, rates) in &mut rates {
        if *condition == quoted {
            for (meter, price) in row.rates.entries() {
                rates.set(meter, price);
            }
        }
    }
    Tariff { valid_from: row.from, rates }
}

/// Fees per call do not move with the price of a token.
fn scale(meter: Meter, price: UnitPrice, ratio: Option<(i64, i64)>) -> UnitPrice {
    match ratio {
        Some((after, before)) if meter.is_token() => price.times(after, before).unwrap_or(price),
        _ => price,
    }
}
