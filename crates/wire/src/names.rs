//! Same dialect on both sides: the answer's bytes pass. What a receipt and a trace say of it is picked out of them.

use std::borrow::Cow;

use serde::Deserialize;

use crate::reply::Finish;
use crate::{json, skip};

/// The names that a whole answer gives itself, without reading the rest of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// Why the first answer ended, where it says so.
    pub finish: Option<Finish>,
}

/// What dialects call these, and why a Response did not come to its end.
#[derive(Default, Deserialize)]
struct Found {
    #[serde(alias = "responseId")]
    id: Option<String>,
    #[serde(alias = "modelVersion")]
    model: Option<String>,
    #[serde(alias = "candidates")]
    choices: Option<Vec<Choice>>,
    stop_reason: Option<String>,
    status: Option<String>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "finishReason")]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

/// It is there under both names.
struct Twice;

/// A member that has one of two names.
fn either<'a>(one: Option<&'a str>, other: Option<&'a str>) -> Result<Option<&'a str>, Twice> {
    if one.is_some() && other.is_some() { Err(Twice) } else { Ok(one.or(other)) }
}

/// What one look at an answer that has nothing unusual about it finds.
pub(crate) struct Picked<'a> {
    /// Its names.
    pub(crate) names: Names,
    /// `usage`, as it is written.
    pub(crate) usage: Option<&'a str>,
    /// `service_tier`, as it is written.
    pub(crate) service_tier: Option<&'a str>,
}

impl<'a> Picked<'a> {
    /// Of several choices only the first is looked at.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        const NAMES: [&str; 11] = [
            "id",
            "responseId",
            "model",
            "modelVersion",
            "choices",
            "candidates",
            "stop_reason",
            "status",
            "incomplete_details",
            "usage",
            "service_tier",
        ];
        let [id, response_id, model, version, choices, candidates, stop, status, rest @ ..] =
            skip::pick(text, NAMES)?;
        let [incomplete, usage, service_tier] = rest;
        let text = |picked| skip::text(picked).ok();
        let incomplete: Option<Incomplete> = skip::value(incomplete).ok()?;
        let incomplete = incomplete.and_then(|details| details.reason);
        let (stop, status) = (text(stop)?, text(status)?);
        let word = match either(choices, candidates).ok()? {
            None => None,
            Some(list) => {
                let [word, other] = skip::pick_first(list, ["finish_reason", "finishReason"])?;
                text(either(word, other).ok()?)?
            }
        };
        let names = Names {
            id: text(either(id, response_id).ok()?)?.map(Cow::into_owned),
            model: text(either(model, version).ok()?)?.map(Cow::into_owned),
            finish: finish([
                word.as_deref(),
                stop.as_deref(),
                incomplete.as_deref(),
                status.as_deref(),
            ]),
        };
        Some(Self { names, usage, service_tier })
    }
}

/// By the first word that there is: of the first choice, of Anthropic, and of Responses, which say why one is not whole.
fn finish(words: [Option<&str>; 4]) -> Option<Finish> {
    words.into_iter().flatten().next().map(Finish::from_word)
}

impl From<Found> for Names {
    fn from(found: Found) -> Self {
        let first = found.choices.and_then(|choices| choices.into_iter().next());
        let word = first.and_then(|choice| choice.finish_reason);
        let incomplete = found.incomplete_details.and_then(|details| details.reason);
        let words = [word, found.stop_reason, incomplete, found.status];
        let finish = finish(words.each_ref().map(Option::as_deref));
        Self { id: found.id, model: found.model, finish }
    }
}

impl Names {
    /// Looks at an answer of any dialect. One that cannot be read has no names.
    pub fn of(body: &[u8]) -> Self {
        let picked = json::utf8(body).ok().and_then(Picked::of);
        picked.map_or_else(|| Self::read(body), |picked| picked.names)
    }

    fn read(body: &[u8]) -> Self {
        Self::from(serde_json::from_slice::<Found>(body).unwrap_or_default())
    }
}
