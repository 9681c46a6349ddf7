//! What clients prefer of several targets, in `OpenRouter`'s words: which endpoints of a provider,
//! `provider.sort` and `provider.max_price`.
//! <https://openrouter.ai/docs/features/provider-routing>

use std::cmp::Reverse;
use std::sync::Arc;

use http::StatusCode;
use ledger::{Catalogue, Decimal, Meter, Model, Rates, Terms, UsdError};
use wire::peek::{DataCollection, Dollars, MaxPrice, Preferences, Sort, SortBy};

use crate::inbound::{Inbound, Wanted};
use crate::problem::Problem;
use crate::providers::Provider;
use crate::routing::{Target, is_provider, quoted};

/// Basis points in the whole.
const WHOLE: i128 = 10_000;

/// Refuses wishes about what providers keep: nobody here can see to it, and to pass over them would be a breach of trust.
pub(crate) fn check_privacy(preferences: &Preferences) -> Result<(), Problem> {
    let field = match preferences {
        Preferences { zdr: Some(true), .. } => "zdr",
        Preferences { data_collection: Some(DataCollection::Deny), .. } => "data_collection",
        _ => return Ok(()),
    };
    let message = format!(
        "provider.{field}: what providers keep of a request is between them and the operator, and is not known here; leave it \
         out, or name the providers that you trust in provider.only"
    );
    Err(Problem::bad_request(message).with_code("unsupported_parameter"))
}

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

/// The place in a list of the first name that an endpoint has: `openai/eu`, or `openai` for all of that provider's.
fn place(names: &[String], endpoint: &Provider) -> Option<usize> {
    names
        .iter()
        .position(|name| is_provider(name, endpoint.row.name) || is_endpoint(name, endpoint))
}

fn is_endpoint(name: &str, endpoint: &Provider) -> bool {
    let (Some((provider, name)), Some(own)) = (name.split_once('/'), &endpoint.endpoint) else {
        return false;
    };
    is_provider(provider, endpoint.row.name) && name.eq_ignore_ascii_case(own)
}

/// The list whose names alone may be asked, though it says in which order.
fn closed_order(preferences: &Preferences) -> Option<&Vec<String>> {
    preferences.order.as_ref().filter(|_| preferences.allow_fallbacks == Some(false))
}

/// Whether a client that names endpoints would have the provider itself, so with a key of its own too.
pub(crate) fn wants_provider(preferences: &Preferences, provider: &str) -> bool {
    let names = |list: &Vec<String>| list.iter().any(|name| is_provider(name, provider));
    preferences.only.as_ref().is_none_or(names) && closed_order(preferences).is_none_or(names)
}

/// Leaves no other of a provider's endpoints than those that the client's preferences allow.
pub(crate) fn keep_endpoints(preferences: &Preferences, endpoints: &mut Vec<Arc<Provider>>) {
    let (only, ignore) = (preferences.only.as_ref(), preferences.ignore.as_ref());
    let order = closed_order(preferences);
    if only.or(ignore).or(order).is_none() {
        return;
    }
    endpoints.retain(|endpoint| {
        let among = |names: &Vec<String>| place(names, endpoint).is_some();
        let is_ignored = |names: &Vec<String>| names.iter().any(|name| is_endpoint(name, endpoint));
        only.is_none_or(among) && order.is_none_or(among) && !ignore.is_some_and(is_ignored)
    });
}

/// Puts endpoints that the client names first.
pub(crate) fn order_endpoints(preferences: &Preferences, endpoints: &mut [Arc<Provider>]) {
    if let Some(order) = &preferences.order {
        endpoints.sort_by_key(|endpoint| place(order, endpoint).unwrap_or(usize::MAX));
    }
}

/// How many endpoints of a model may be tried: the first alone where there are to be no fallbacks, and none is named.
pub(crate) fn most_endpoints(preferences: &Preferences) -> usize {
    let alone = preferences.allow_fallbacks == Some(false) && preferences.order.is_none();
    if alone { 1 } else { usize::MAX }
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
    let Some(MaxPrice { prompt, completion, image, audio, request }) = most else {
        return Ok(());
    };
    if image.is_some() || audio.is_some() || request.is_some() {
        let message = "provider.max_price: only prompt and completion are offered here";
        return Err(Problem::bad_request(message));
    }
    let rates = rates(model, at);
    for (field, most, meter) in
        [("prompt", prompt, Meter::Input), ("completion", completion, Meter::Output)]
    {
        let Some(Dollars(text)) = most else { continue };
        let most = match Decimal::parse(text) {
            Ok(most) if !most.is_negative() => most.pico(),
            // So much that nothing is too dear.
            Err(UsdError::OutOfRange) if !text.starts_with('-') => continue,
            _ => {
                let text = quoted(text);
                let expected = "expected dollars per million tokens, such as 2.5";
                let message = format!("provider.max_price.{field}: {text}; {expected}");
                return Err(Problem::bad_request(message));
            }
        };
        let Some(price) = rates.get(meter) else { continue };
        // A pico-dollar a token is a million of them for a million, and a basis point a hundred.
        let asked = i128::from(price.pico()).saturating_mul((WHOLE + i128::from(bps)) * 100);
        if asked > most {
            let (asked, most) = (ledger::sum_exact(asked), ledger::sum_exact(most));
            let (provider, name) = (&model.provider, &model.name);
            let message = format!(
                "provider.max_price: {provider}/{name} costs ${asked} for a million tokens of the {field}, and you allow ${most}"
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, "max_price_exceeded", message));
        }
    }
    Ok(())
}
