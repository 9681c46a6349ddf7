//! Prices of other gateways: which of them come, and the version that they make.

use ledger::{
    Catalogue, Meter, Model, ModelInfo, ModelPrice, Rates, Status, Tariff, Terms, UnitPrice,
};
use store::Store;

use super::report::Report;
use crate::{catalogue, clock};

/// Which prices come.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// Those of models that have no price here
    Missing,
    /// All that differ: theirs take the place of ours
    Replace,
    /// None
    None,
}

/// What a model costs elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere {
    pub(super) provider: String,
    pub(super) model: String,
    /// What it does, such as `chat`.
    pub(super) mode: String,
    pub(super) rates: Rates,
}

/// Dearer than any token: a price above is a slip of the unit.
const DEAREST: i64 = 100_000_000_000_000;

/// A price of one unit, in dollars, as another program writes it.
pub(super) fn unit(text: &str) -> Result<UnitPrice, &'static str> {
    let price = ledger::Decimal::parse(text).map_err(|_| "its price is no decimal number")?;
    if price.is_negative() {
        return Err("a price is never negative");
    }
    if price == ledger::Decimal::ZERO {
        return Err("0 is not taken for a price; `tollgate prices import` takes the word free");
    }
    match i64::try_from(price.pico()) {
        Ok(0) => Err("it is less than a pico-dollar a token"),
        Ok(pico) if pico <= DEAREST => UnitPrice::from_pico(pico).ok_or("it is out of range"),
        _ => Err("it is more than 100 dollars a token; is the unit right?"),
    }
}

const WHAT: &str = "prices";

/// The models that change, with what is known of them beside the price.
pub(super) fn plan(
    base: &Catalogue,
    theirs: Vec<Elsewhere>,
    mode: Mode,
    report: &mut Report,
) -> Vec<Model> {
    let mut changed = Vec::new();
    for Elsewhere { provider, model, mode: kind, rates } in theirs {
        let known = base.get(&provider, &model);
        let ours = known.map(now).unwrap_or_default();
        let same = ours.get(Meter::Input).is_some()
            && rates.entries().all(|(meter, price)| {
                // Vectors have no output that could cost anything.
                ours.get(meter)
                    .map_or(meter == Meter::Output && kind == "embedding", |own| own == price)
            });
        if same {
            report.count(WHAT).here += 1;
            continue;
        }
        let id = format!("{provider}/{model}");
        let both = format!("here {}, there {}", shown(&ours), shown(&rates));
        match mode {
            Mode::None => report.refuse(WHAT, id, "--prices none leaves prices where they are", 1),
            Mode::Missing if !ours.is_empty() => {
                let why = format!("it has a price: {both}; --prices replace takes theirs");
                report.refuse(WHAT, id, why, 1);
            }
            _ => {
                if !ours.is_empty() {
                    report.note(format!("{id} gets another price: {both}."));
                }
                report.count(WHAT).comes += 1;
                let new = ModelInfo { mode: kind, status: Status::Active, ..ModelInfo::default() };
                let info = known.map_or(new, |known| known.info.clone());
                let tariff =
                    Tariff { valid_from: None, rates: vec![(ledger::Condition::default(), rates)] };
                let price = ModelPrice { tariffs: vec![tariff], ..ModelPrice::default() };
                changed.push(Model { provider, name: model, info, price });
            }
        }
    }
    changed
}

/// What a model costs at this moment, at the plainest terms.
fn now(model: &Model) -> Rates {
    model.price.rates(0, &Terms { at: clock::now(), ..Terms::default() }).unwrap_or_default()
}

/// Dollars for a million tokens, in and out.
fn shown(rates: &Rates) -> String {
    let million = |meter| {
        rates.get(meter).map_or_else(
            || "-".to_owned(),
            |price| ledger::sum_exact(i128::from(price.pico()) * 1_000_000),
        )
    };
    let (input, output) = (million(Meter::Input), million(Meter::Output));
    format!("{input} in and {output} out for a million tokens")
}

/// Writes the changed models over the newest version, as a version of its own. Nothing changed is no version.
pub(super) async fn write(
    store: &Store,
    (base, whole): (i64, &Catalogue),
    changed: &[Model],
    source: &str,
) -> anyhow::Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let mut text = vec!["import".to_owned(), source.to_owned(), base.to_string()];
    for model in changed {
        text.push(format!("{}/{}", model.provider, model.name));
        let prices = now(model);
        text.extend(
            prices.entries().map(|(meter, price)| format!("{}={}", meter.name(), price.pico())),
        );
    }
    let text: Vec<&str> = text.iter().map(String::as_str).collect();
    let sha256 = catalogue::fingerprint(&text);
    let whole = whole.overlaid(&changed.iter().cloned().collect());
    let note = format!("{} prices brought from {source}", changed.len());
    store.add_price_version(source, &note, &sha256, &whole, clock::now()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::unit;

    #[test]
    fn prices_are_exact_and_what_is_none_is_refused() {
        let pico = |text: &str| unit(text).map(ledger::UnitPrice::pico);
        assert_eq!(pico("1.5e-07"), Ok(150_000));
        assert_eq!(pico("0.00000015"), Ok(150_000));
        assert_eq!(pico("1.4999999999999999e-07"), Ok(150_000));
        for text in ["0", "0.0", "-1", "x", "", "1e-13", "101", "NaN"] {
            assert!(pico(text).is_err(), "{text}");
        }
    }
}
