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
        let (mut id, mut model, mut has_choices, mut word) = (None, None, false, None);
        let (mut stop, mut status, mut incomplete) = (None, None, None);
        let (mut usage, mut service_tier) = (None, None);
        skip::walk(text, |name, cursor| match name {
            "id" | "responseId" => cursor.keep(&mut id),
            "model" | "modelVersion" => cursor.keep(&mut model),
            "choices" | "candidates" if !has_choices => {
                has_choices = true;
                cursor.first(|name, cursor| match name {
                    "finish_reason" | "finishReason" => cursor.keep(&mut word),
                    _ => cursor.pass(),
                })
            }
            // Both of them.
            "choices" | "candidates" => None,
            "stop_reason" => cursor.keep(&mut stop),
            "status" => cursor.keep(&mut status),
            "incomplete_details" => cursor.keep(&mut incomplete),
            "usage" => cursor.keep(&mut usage),
            "service_tier" => cursor.keep(&mut service_tier),
            _ => cursor.pass(),
        })?;
        let text = |picked| skip::text(picked).ok();
        let incomplete: Option<Incomplete> = skip::value(incomplete).ok()?;
        let incomplete = incomplete.and_then(|details| details.reason);
        let (word, stop, status) = (text(word)?, text(stop)?, text(status)?);
        let names = Names {
            id: text(id)?.map(Cow::into_owned),
            model: text(model)?.map(Cow::into_owned),
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
