//! Models that a request names beside its own: one that answers where its own declines, one that gives it advice. Who may
//! not use them may not reach them by another.

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::inbound::{Inbound, Operation};
use crate::problem::{Problem, shortened};
use crate::snapshot::KeyEntry;

/// What is said of a name, in characters.
const LONGEST: usize = 100;

/// The members of a request to Anthropic that name models.
#[derive(Default, Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    fallbacks: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Named {
    model: String,
}

#[derive(Deserialize)]
struct Tool {
    r#type: Option<String>,
    model: Option<String>,
}

/// Refuses a request that names a model which its key may not use. Only Anthropic looks at the names.
pub(crate) fn check(key: &KeyEntry, inbound: &Inbound, provider: &str) -> Result<(), Problem> {
    if key.models.is_none()
        || inbound.operation != Operation::Chat
        || !inbound.face.is(wire::anthropic::NAME)
        || provider != "anthropic"
    {
        return Ok(());
    }
    let request: Request<'_> = serde_json::from_slice(&inbound.body).map_err(|error| {
        Problem::bad_request(format!("a request of a key that may not use every model: {error}"))
    })?;
    for (field, model) in named(&request) {
        let allowed = model.as_ref().is_some_and(|model| key.may_use(provider, model));
        if !allowed {
            return Err(forbidden(field, provider, model.as_deref()));
        }
    }
    Ok(())
}

/// Each model with the field that names it; none where the choice is the provider's.
fn named(request: &Request<'_>) -> Vec<(&'static str, Option<String>)> {
    const FALLBACKS: &str = "fallbacks";
    let mut all = Vec::new();
    if let Some(fallbacks) = request.fallbacks.filter(|raw| raw.get() != "null") {
        match serde_json::from_str::<Vec<Named>>(fallbacks.get()) {
            Ok(list) => all.extend(list.into_iter().map(|named| (FALLBACKS, Some(named.model)))),
            Err(_) => all.push((FALLBACKS, None)),
        }
    }
    for raw in request.tools.iter().flatten() {
        let Ok(tool) = serde_json::from_str::<Tool>(raw.get()) else { continue };
        // A function of the client's has no such member.
        if tool.r#type.is_some_and(|kind| kind.starts_with("advisor")) {
            all.push(("tools", tool.model));
        }
    }
    all
}

fn forbidden(field: &str, provider: &str, model: Option<&str>) -> Problem {
    let message = match model {
        Some(model) => {
            format!("{field}: this API key may not use {provider}/{}", shortened(model, LONGEST))
        }
        None => format!("{field}: name the models; this API key may not use every one"),
    };
    Problem::new(StatusCode::FORBIDDEN, "model_not_allowed", message).about(field)
}
