//! What clients prefer of several targets, in `OpenRouter`'s words: `provider.sort` and `provider.max_price`.
//! <https://openrouter.ai/docs/features/provider-routing>

use std::cmp::Reverse;
use std::sync::Arc;

use http::StatusCode;
use ledger::{Catalogue, Meter, Model, Rates, Terms, UnitPrice};
use wire::peek::{Dollars, MaxPrice, Sort, SortBy};

use crate::inbound::{Inbound, Wanted};
use crate::problem::Problem;
use crate::providers::Provider;
use crate::routing::{Target, quoted};

/// Basis points in the whole.
const WHOLE: i128 = 10_000;

/// By what the endpoints of a model are put in order, where the client says: behind the model's name for that one, or for all.
pub(crate) fn sort_of(inbound: &Inbound, wanted: &Wanted, model: &Model) -> Option<SortBy> {
    let named = wanted.model.rsplit_once(':').filter(|_| !wanted.model.ends_with(&model.name));
    match named {
        Some((_, "nitro")) => Some(SortBy::Throughput),
        Some((_, "floor")) => Some(SortBy::Price),
        _ => inbound.peek.provider.sort.map(|sort| sort.by),
    }
}

/// Puts the endpoints of a model in order. All of a provider's have one price.
pub(crate) fn sort_endpoints(by: SortBy, endpoints: &mut [Arc<Provider>]) {
    match by {
        SortBy::Price => {}
        SortBy::Throughput => endpoints.sort_by_key(|one| Reverse(one.speed.throughput())),
        SortBy::Latency => endpoints.sort_by_key(|one| one.speed.first_byte()),
    }
}

/// Puts models in order, each with all of its endpoints, where the client wants them compared with each other.
pub(crate) fn sort_models(
    sort: Option<Sort>,
    catalogue: &Catalogue,
    at: i64,
    targets: Vec<Target>,
) -> Vec<Target> {
    let Some(Sort { by, across_models: true }) = sort else { return targets };
    let mut models: Vec<Vec<Target>> = Vec::new();
    for target in targets {
        match models.last_mut().filter(|model| model.iter().any(|one| one.is(&target))) {
            Some(model) => model.push(target),
            None => models.push(vec![target]),
        }
    }
    // The lower the better.
    let rank = |model: &Vec<Target>| {
        let each = model.iter().map(|target| match by {
            SortBy::Price => price(catalogue, target, at),
            SortBy::Throughput => u64::MAX - target.endpoint.speed.throughput(),
            SortBy::Latency => target.endpoint.speed.first_byte(),
        });
        each.min()
    };
    models.sort_by_cached_key(rank);
    models.into_iter().flatten().collect()
}

fn rates(model: &Model, at: i64) -> Rates {
    model.price.rates(0, &Terms { at, ..Terms::default() }).unwrap_or_default()
}

/// What a token costs of the prompt and of the answer together.
fn price(catalogue: &Catalogue, target: &Target, at: i64) -> u64 {
    let Some(model) = catalogue.get(target.provider, &target.model) else { return u64::MAX };
    let rates = rates(model, at);
    let of = |meter| rates.get(meter).map_or(0, |price| price.pico().unsigned_abs());
    of(Meter::Input).saturating_add(of(Meter::Output))
}

/// Whether a model is too dear for its client, with the commission.
pub(crate) fn too_dear(
    most: Option<&MaxPrice>,
    model: &Model,
    at: i64,
    bps: u32,
) -> Result<(), Problem> {
    let Some(MaxPrice { prompt, completion, image, audio }) = most else { return Ok(()) };
    if image.is_some() || audio.is_some() {
        let message = "provider.max_price: only prompt and completion are offered here";
        return Err(Problem::bad_request(message));
    }
    let rates = rates(model, at);
    for (field, most, meter) in
        [("prompt", prompt, Meter::Input), ("completion", completion, Meter::Output)]
    {
        let Some(Dollars(text)) = most else { continue };
        let most = UnitPrice::parse(text, 6).map_err(|_| {
            let text = quoted(text);
            let expected = "expected dollars per million tokens, such as 2.5";
            Problem::bad_request(format!("provider.max_price.{field}: {text}; {expected}"))
        })?;
        let Some(price) = rates.get(meter) else { continue };
        let asked = i128::from(price.pico()).saturating_mul(WHOLE + i128::from(bps));
        if asked > i128::from(most.pico()).saturating_mul(WHOLE) {
            // A pico-dollar a token is a millionth of a dollar for a million.
            let asked = ledger::sum_exact(asked.saturating_mul(100));
            let (provider, name) = (&model.provider, &model.name);
            let message = format!(
                "provider.max_price: {provider}/{name} costs ${asked} for a million tokens of the {field}, and you allow ${text}"
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, "max_price_exceeded", message));
        }
    }
    Ok(())
}
