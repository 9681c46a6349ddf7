//! What another price of a model changes: every meter on every terms, and what is lost.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{Condition, Meter, Model, ServiceTier, UnitPrice, sum_exact};

use super::super::html;
use super::super::requests::meter;

/// One price, or one thing that prices go by, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) what: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    /// More than ten times as much or as little, or to nothing.
    pub(super) is_large: bool,
}

/// A change of a price by more than that factor is large.
const LARGE: i128 = 10;

type Prices = BTreeMap<(Condition, Meter), UnitPrice>;

/// All that changes from one price of a model to another, from `now` on.
pub(super) fn changes(old: &Model, new: &Model, now: i64) -> Vec<Change> {
    let mut changes = Vec::new();
    let (mut before, mut after) = (Prices::new(), Prices::new());
    for at in moments(old, new, now) {
        let (was, is) = (prices(old, at), prices(new, at));
        let all: BTreeSet<_> = was.keys().chain(is.keys()).copied().collect();
        for place in all {
            let (from, to) = (was.get(&place).copied(), is.get(&place).copied());
            // What is so since before is told there.
            let is_told =
                at > now && before.get(&place).copied() == from && after.get(&place).copied() == to;
            if from != to && !is_told {
                changes.push(Change::of_price(place, (from, to), (at > now).then_some(at)));
            }
        }
        (before, after) = (was, is);
    }
    let (was, is) = (terms(old), terms(new));
    let all: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for what in all {
        let (before, after) = (was.get(what).cloned(), is.get(what).cloned());
        if before != after {
            changes.push(Change { what: what.clone(), before, after, is_large: false });
        }
    }
    changes
}

/// All prices of a model alone, before or after.
pub(super) fn all(model: &Model, now: i64) -> Vec<(String, String)> {
    let one = |(place, price): (&(Condition, Meter), &UnitPrice)| {
        (called(*place, None), written(place.1, *price))
    };
    prices(model, now).iter().map(one).collect()
}

/// Now, and whenever other prices begin.
fn moments(old: &Model, new: &Model, now: i64) -> BTreeSet<i64> {
    let tariffs = old.price.tariffs.iter().chain(&new.price.tariffs);
    tariffs.filter_map(|tariff| tariff.valid_from).filter(|at| *at > now).chain([now]).collect()
}

fn prices(model: &Model, at: i64) -> Prices {
    let rates = model.price.tariff(at).map(|tariff| tariff.rates.as_slice()).unwrap_or_default();
    let entries = |(on, rates): &(Condition, ledger::Rates)| {
        rates.entries().map(|(of, price)| ((*on, of), price)).collect::<Vec<_>>()
    };
    rates.iter().flat_map(entries).collect()
}

/// What prices go by beside the meters: the prices of pictures by their size among it.
fn terms(model: &Model) -> BTreeMap<String, String> {
    let price = &model.price;
    let factor = |bps: u32| sum_exact(i128::from(bps) * 100_000_000);
    let mut terms: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |what: &str, value: Option<String>| {
        terms.extend(value.map(|value| (what.to_owned(), value)));
    };
    put("long context above, tokens", price.long_context_above.map(|most| most.to_string()));
    let windows = &price.off_peak;
    let is_known = *windows != ledger::Windows::default();
    let hours = serde_json::to_string(windows).ok().filter(|_| is_known);
    put("off-peak, minutes of the week", hours);
    put("factor, fast mode", price.multipliers.fast.map(factor));
    put("factor, United States", price.multipliers.us.map(factor));
    put("factor, European Union", price.multipliers.eu.map(factor));
    for (name, value) in &model.info.attributes {
        if let Some(picture) = name.strip_prefix("usd_per_image:") {
            put(&format!("picture, {}", picture.replace(':', ", ")), Some(value.clone()));
        }
    }
    terms
}

impl Change {
    fn of_price(
        place: (Condition, Meter),
        (from, to): (Option<UnitPrice>, Option<UnitPrice>),
        since: Option<i64>,
    ) -> Self {
        let is_large = from.zip(to).is_some_and(|(from, to)| {
            let (from, to) = (i128::from(from.pico()), i128::from(to.pico()));
            (to == 0) != (from == 0) || to > from * LARGE || from > to * LARGE
        });
        let text = |price: Option<UnitPrice>| price.map(|price| written(place.1, price));
        Self { what: called(place, since), before: text(from), after: text(to), is_large }
    }
}

fn called((on, of): (Condition, Meter), since: Option<i64>) -> String {
    let mut name = meter(of);
    if on.service_tier != ServiceTier::default() {
        name.push_str(", ");
        name.push_str(on.service_tier.name());
    }
    if on.long_context {
        name.push_str(", long context");
    }
    if on.off_peak {
        name.push_str(", off-peak");
    }
    if let Some(since) = since {
        name.push_str(", from ");
        name.push_str(&html::day(since));
    }
    name
}

/// Dollars for a million tokens, or for one of what is no token.
fn written(of: Meter, price: UnitPrice) -> String {
    let pico = i128::from(price.pico());
    if of.is_token() { sum_exact(pico * 1_000_000) } else { format!("{} each", sum_exact(pico)) }
}

#[cfg(test)]
mod tests {
    use ledger::{Catalogue, Model, PriceFiles, import};

    use super::changes;

    const NOW: i64 = 1_764_000_000_000_000;

    fn model(columns: &str, row: &str) -> Model {
        let models = format!("provider,model,{columns}\nopenai,m,{row}\n");
        let read = import(PriceFiles { models: &models, history: None, images: None });
        let read: Catalogue = read.expect("prices");
        read.get("openai", "m").expect("the model").clone()
    }

    #[test]
    fn every_meter_that_changes_or_is_lost_is_told() {
        let columns = "input_per_mtok,output_per_mtok,cached_input_read_per_mtok,batch_input_per_mtok,tier_threshold_tokens";
        let old = model(columns, "2,8,0.5,1,200000");
        let told = |new: &Model| -> Vec<String> {
            let told = changes(&old, new, NOW).into_iter();
            told.map(|change| {
                let [before, after] =
                    [change.before, change.after].map(|text| text.unwrap_or("-".to_owned()));
                let large = if change.is_large { " !" } else { "" };
                format!("{}: {before} > {after}{large}", change.what)
            })
            .collect()
        };
        assert_eq!(told(&old), Vec::<String>::new());
        assert_eq!(
            told(&model("price_per_token", "0.000002")),
            [
                "cache read: 0.5 > -",
                "output: 8 > 2",
                "input, batch: 1 > -",
                "long context above, tokens: 200000 > -",
            ]
        );
        assert_eq!(
            told(&model(columns, "20,81,free,1,200000")),
            ["input: 2 > 20", "cache read: 0.5 > 0 !", "output: 8 > 81 !"]
        );
        assert_eq!(
            told(&model(columns, "0.19,8,0.5,1,200000")),
            ["input: 2 > 0.19 !"],
            "ten times as little is large too"
        );
    }
}
