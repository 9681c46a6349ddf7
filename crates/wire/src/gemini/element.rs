//! One element of a stream, as far as it has to be looked into to know what was used. A whole answer is an element too.

use ledger::UsageReport;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use super::problem;
use super::usage::{self, Running};
use crate::Problem;
use crate::problem::Kind;
use crate::reply::Finish;
use crate::stream::{Seen, Stage};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Element<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    prompt_feedback: Option<Feedback>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    model_version: Option<&'a RawValue>,
    #[serde(borrow)]
    response_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    pub(super) grounding_metadata: Option<&'a RawValue>,
    continuation_token: Option<String>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Searches {
    web_search_queries: Option<Vec<String>>,
}

impl<'a> Candidate<'a> {
    /// Whether it is the first answer of possibly several; the others are counted but not carried.
    pub(super) fn is_first(&self) -> bool {
        self.index.unwrap_or(0) == 0
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &'a RawValue> + '_ {
        let content = self.content.as_ref();
        content.and_then(|content| content.parts.as_ref()).into_iter().flatten().copied()
    }
}

/// How much a part holds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Weight<'a> {
    text: Option<Length>,
    #[serde(borrow)]
    function_call: Option<Call<'a>>,
    inline_data: Option<serde::de::IgnoredAny>,
}

/// What a picture or sound weighs, whatever its length.
const MEDIA_BYTES: u64 = 4_000;

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// The bytes of a string, which is not kept.
struct Length(u64);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Length;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Length, E> {
                Ok(Length(text.len() as u64))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// How an answer ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ending {
    /// For a reason of its own.
    Finished(Finish),
    /// At the limit of one request: `finishReason: CONTINUATION`. The rest is had with the token.
    Hop,
}

/// What is known of an answer, element by element.
#[derive(Default)]
pub(super) struct Watch {
    seen: Seen,
    pub(super) usage: Running,
    ending: Option<Ending>,
    blocked: bool,
    calls: bool,
}

impl Watch {
    /// Reads an element and keeps what it says of the answer as a whole.
    pub(super) fn take<'a>(&mut self, data: &'a str) -> Result<Element<'a>, Problem> {
        if problem::is_wrapped(data) {
            self.seen.failed = true;
            return Err(problem::in_stream(data));
        }
        let element: Element<'a> = match serde_json::from_str(data) {
            Ok(element) => element,
            // The last frame of a stream that broke off.
            Err(error) if error.is_eof() => {
                self.seen.failed = true;
                return Err(Problem::own(Kind::Upstream, "the stream was cut inside an element"));
            }
            Err(_) => {
                self.seen.failed = true;
                let message = "an element of the stream is not an answer";
                return Err(Problem::own(Kind::Malformed, message));
            }
        };
        if element.error.is_some() {
            self.seen.failed = true;
            return Err(problem::in_stream(data));
        }
        self.look(&element);
        Ok(element)
    }

    fn look(&mut self, element: &Element<'_>) {
        // Every element has them; the first one counts.
        let known = |slot: &mut String, said: Option<&RawValue>| {
            if let (true, Some(said)) = (slot.is_empty(), said) {
                *slot = serde_json::from_str(said.get()).unwrap_or_default();
            }
        };
        known(&mut self.seen.id, element.response_id);
        known(&mut self.seen.model, element.model_version);
        match element.usage_metadata.map(|raw| usage::counts(raw.get())) {
            Some(Ok(counts)) => self.usage.take(counts),
            Some(Err(_)) => self.usage.cannot_be_read(),
            None => {}
        }
        let feedback = element.prompt_feedback.as_ref();
        self.blocked |= feedback.is_some_and(|feedback| feedback.block_reason.is_some());
        for candidate in element.candidates.iter().flatten() {
            self.candidate(candidate);
        }
    }

    fn candidate(&mut self, candidate: &Candidate<'_>) {
        for part in candidate.parts() {
            let Ok(weight) = serde_json::from_str::<Weight<'_>>(part.get()) else { continue };
            self.calls |= weight.function_call.is_some() && candidate.is_first();
            // A call without arguments is handed on with the empty object.
            let arguments = weight.function_call.map_or(0, |call| call.args.map_or(2, length));
            let text = weight.text.map_or(0, |text| text.0);
            let media = if weight.inline_data.is_some() { MEDIA_BYTES } else { 0 };
            self.seen.output_bytes =
                self.seen.output_bytes.saturating_add(arguments + text + media);
        }
        if let Some(grounding) = candidate.grounding_metadata
            && let Ok(found) = serde_json::from_str::<Searches>(grounding.get())
        {
            self.usage.queries.take(found.web_search_queries.unwrap_or_default());
        }
        if !candidate.is_first() {
            return;
        }
        if let Some(token) = &candidate.continuation_token {
            self.seen.continuation = Some(token.clone());
        }
        if let Some(reason) = &candidate.finish_reason {
            self.ending = ending(reason).or(self.ending);
        }
    }

    /// Whether the answer has come to an end, be it the end of one request only.
    pub(super) fn has_ended(&self) -> bool {
        self.ending.is_some() || self.blocked
    }

    /// Why the answer ends; none if it has not, or goes on with another request.
    pub(super) fn finish(&self) -> Option<Finish> {
        match self.ending {
            Some(Ending::Finished(Finish::Stop)) if self.blocked => Some(Finish::Filter),
            Some(Ending::Finished(Finish::Stop)) if self.calls => Some(Finish::ToolUse),
            Some(Ending::Finished(finish)) => Some(finish),
            Some(Ending::Hop) => None,
            None => self.blocked.then_some(Finish::Filter),
        }
    }

    /// The answer's end has come.
    pub(super) fn end(&mut self) {
        self.seen.whole = self.has_ended();
    }

    pub(super) fn seen(&self) -> Seen {
        let usage = self.usage();
        let finish = self.finish();
        Seen {
            usage_final: usage.is_some() && self.has_ended(),
            usage,
            continuation: self.seen.continuation.clone().filter(|_| finish.is_none()),
            finish,
            ..self.seen.clone()
        }
    }

    pub(super) fn usage(&self) -> Option<UsageReport> {
        self.usage.report(self.has_ended())
    }

    pub(super) fn output_bytes(&self) -> u64 {
        self.seen.output_bytes
    }

    pub(super) fn stage(&self) -> Stage {
        Stage::of(self.finish(), self.seen.whole, self.seen.failed)
    }

    pub(super) fn id(&self) -> &str {
        &self.seen.id
    }

    pub(super) fn model(&self) -> &str {
        &self.seen.model
    }
}

fn length(raw: &RawValue) -> u64 {
    raw.get().len() as u64
}

/// <https://ai.google.dev/api/generate-content#FinishReason>
fn ending(reason: &str) -> Option<Ending> {
    Some(Ending::Finished(match reason {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "CONTINUATION" => return Some(Ending::Hop),
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED"
        | "MODEL_ARMOR" => Finish::Filter,
        // A call that went wrong, a picture that was not made, and reasons yet unknown: what came is all there is.
        _ => Finish::Stop,
    }))
}
