//! What is known of a stream at any moment: its counters, its end. Most frames bring a few bytes of text and nothing else;
//! those are looked at without reading them as JSON.

use ledger::{Usage, UsageReport};

use super::alike::Alike;
use super::problem;
use super::read_reply::finish;
use super::types::{CallDelta, Chunk, ChunkChoice, Delta};
use super::{details, usage};
use crate::Problem;
use crate::json::{self, Json, TextOr};
use crate::problem::Kind;
use crate::reply::Finish;
use crate::sse::Frame;
use crate::stream::{End, Seen, Stage};

/// The counters of a stream.
pub(super) struct Gauge {
    seen: Seen,
    /// The usage that came last, and the largest figures of all.
    last: Option<UsageReport>,
    most: Usage,
    tier: Option<String>,
    /// Nothing counts any more.
    over: bool,
    begun: bool,
    /// The answer came whole, from a server that does not stream.
    unary: bool,
    /// What plain frames have in common.
    alike: Alike,
}

/// What a frame brings.
#[derive(Default)]
pub(super) struct Step {
    pub(super) chunk: Option<Chunk>,
    pub(super) problem: Option<Problem>,
    pub(super) done: bool,
}

impl Step {
    fn of_problem(problem: Problem) -> Self {
        Self { problem: Some(problem), ..Self::default() }
    }
}

impl Gauge {
    pub(super) fn new() -> Self {
        Self {
            seen: Seen::default(),
            last: None,
            most: Usage::ZERO,
            tier: None,
            over: false,
            begun: false,
            unary: false,
            alike: Alike::default(),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen { usage: self.usage(), ..self.seen.clone() }
    }

    pub(super) fn usage(&self) -> Option<UsageReport> {
        let cut = self.over && !self.seen.whole && !self.seen.usage_final;
        let mut report = self.last.clone()?;
        if cut && let [pass] = report.passes.as_mut_slice() {
            pass.usage = self.most;
        }
        report.service_tier = usage::tier(self.tier.as_deref());
        Some(report)
    }

    pub(super) fn output_bytes(&self) -> u64 {
        self.seen.output_bytes
    }

    pub(super) fn stage(&self) -> Stage {
        Stage::of(self.seen.finish, self.seen.whole, self.seen.failed)
    }

    /// The id and the model of the answer.
    pub(super) fn names(&self) -> (&str, &str) {
        (&self.seen.id, &self.seen.model)
    }

    /// Takes a frame, read in full.
    pub(super) fn take(&mut self, frame: &Frame<'_>) -> Step {
        let data = frame.data.trim();
        if self.over || data.is_empty() {
            return Step::default();
        }
        if data == "[DONE]" {
            return self.done();
        }
        let chunk = match serde_json::from_str::<Chunk>(data) {
            Ok(chunk) if frame.event != "error" && !chunk.error.as_ref().is_some_and(truthy) => {
                chunk
            }
            Err(error) if frame.event != "error" => {
                let message = format!("the provider's stream cannot be read: {error}");
                return self.fail(Problem::own(Kind::Malformed, message));
            }
            _ => return self.fail(problem::in_stream(data.as_bytes())),
        };
        self.count(&chunk);
        let problem = match self.seen.finish {
            Some(Finish::Failed) => {
                self.seen.failed = true;
                self.over = true;
                Some(broken_off())
            }
            _ => None,
        };
        Step { chunk: Some(chunk), problem, done: false }
    }

    /// Takes a frame for its counters only.
    pub(super) fn skim(&mut self, frame: &Frame<'_>) {
        // Without the end of a line it was cut anywhere.
        let ended = matches!(frame.raw.last(), Some(b'\n' | b'\r'));
        let known = ended && !self.over && frame.event != "error" && self.known();
        let tier = self.tier.as_deref();
        let bytes = known.then(|| self.alike.bytes(&frame.data, tier)).flatten();
        if let Some(bytes) = bytes {
            self.seen.output_bytes += bytes;
        } else {
            self.alike.forget();
            drop(self.take(frame));
        }
    }

    pub(super) fn end(&mut self, how: End) -> Step {
        if self.over {
            return Step::default();
        }
        if self.unary && how == End::Closed {
            return self.done();
        }
        let (kind, message) = match how {
            End::Idle => (Kind::Timeout, "the provider's stream stopped coming"),
            End::Closed | End::Broken => (Kind::Upstream, "the provider's stream was cut short"),
        };
        self.over = true;
        Step::of_problem(Problem::own(kind, message))
    }

    fn done(&mut self) -> Step {
        if !self.begun {
            let message = "the provider's stream has no answer in it";
            return self.fail(Problem::own(Kind::Malformed, message));
        }
        (self.over, self.seen.whole) = (true, true);
        self.seen.usage_final = self.last.is_some();
        Step { done: true, ..Step::default() }
    }

    fn fail(&mut self, problem: Problem) -> Step {
        (self.over, self.seen.failed) = (true, true);
        Step::of_problem(problem)
    }

    /// Whether id and model are known, which never change.
    fn known(&self) -> bool {
        self.begun && !self.seen.id.is_empty() && !self.seen.model.is_empty()
    }

    fn count(&mut self, chunk: &Chunk) {
        for (own, given) in [(&mut self.seen.id, &chunk.id), (&mut self.seen.model, &chunk.model)] {
            if own.is_empty()
                && let Some(given) = given
            {
                own.clone_from(given);
            }
        }
        if chunk.service_tier.is_some() {
            self.tier.clone_from(&chunk.service_tier);
        }
        let choices = chunk.choices.as_deref().unwrap_or_default();
        self.begun |= !choices.is_empty();
        let mut ends = choices.is_empty();
        for choice in choices {
            self.seen.output_bytes += bytes_of(choice);
            self.unary |= choice.message.is_some();
            let Some(word) = &choice.finish_reason else { continue };
            ends = true;
            if choice.index.unwrap_or(0) == 0 {
                self.seen.finish = Some(finish(word));
            }
        }
        if let Some(usage) = &chunk.usage {
            let Ok(report) = usage::read(usage.get()) else {
                self.last.get_or_insert_with(json::unreadable);
                return;
            };
            for (meter, count) in report.total().nonzero() {
                self.most.set(meter, self.most.get(meter).max(count));
            }
            self.last = Some(report);
            self.seen.usage_final = ends && self.seen.finish.is_some();
        }
    }
}

/// Whether a JavaScript client takes this for an error.
fn truthy(error: &Json) -> bool {
    !matches!(error.get(), "null" | "false" | "0" | "\"\"")
}

/// `DeepSeek` broke off for want of capacity: the same request may succeed later.
fn broken_off() -> Problem {
    Problem {
        param: None,
        upstream: true,
        ..Problem::own(Kind::Overloaded, "the provider broke off its answer")
    }
}

/// The text of a `content` that may be a list of parts.
pub(super) fn text_of(delta: &Delta) -> String {
    match &delta.content {
        None => String::new(),
        Some(TextOr::Text(text)) => text.clone(),
        Some(TextOr::List(parts)) => parts
            .iter()
            .filter_map(|part| serde_json::from_str::<super::types::Part>(part.get()).ok()?.text)
            .collect(),
    }
}

/// The thoughts of a delta, which some servers tell under several names: each once.
pub(super) fn plain_thoughts(delta: &Delta) -> Option<&str> {
    let [one, other] = [&delta.reasoning_content, &delta.reasoning]
        .map(|thoughts| thoughts.as_deref().filter(|text| !text.is_empty()));
    one.or(other)
}

/// The arguments of a call, which some servers send as the object itself.
pub(super) fn arguments_of(arguments: &Json) -> String {
    arguments.as_string().unwrap_or_else(|| arguments.get().to_owned())
}

fn bytes_of(choice: &ChunkChoice) -> u64 {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let called = |call: &super::types::Called| {
        call.arguments.as_ref().map_or(0, |arguments| arguments_of(arguments).len())
    };
    let of_call = |call: &CallDelta| {
        call.function.as_ref().map_or(0, called)
            + call.custom.as_ref().map_or(0, |custom| length(&custom.input))
    };
    let of_delta = |delta: &Delta| {
        let told: usize = details::pieces(delta.reasoning_details.as_deref().unwrap_or_default())
            .map(|piece| piece.text.len())
            .sum();
        let thoughts = if told > 0 { told } else { plain_thoughts(delta).map_or(0, str::len) };
        text_of(delta).len()
            + length(&delta.refusal)
            + thoughts
            + delta.tool_calls.iter().flatten().map(of_call).sum::<usize>()
            + delta.function_call.as_ref().map_or(0, called)
            + delta.audio.as_ref().map_or(0, |audio| length(&audio.transcript))
    };
    let deltas = choice.delta.iter().chain(&choice.message);
    (deltas.map(of_delta).sum::<usize>() + length(&choice.text)) as u64
}
