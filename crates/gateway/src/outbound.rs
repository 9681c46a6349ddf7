//! Step 6 of a request: what goes to one target. Bytes pass where both sides speak one dialect; elsewhere the request is
//! read into the canonical form and written again.

use std::collections::HashSet;

use bytes::Bytes;
use http::HeaderMap;
use memchr::memmem;
use wire::peek;
use wire::{Chat, Dialect, Reader, Unsupported, Written};

use crate::face::{Face, Speech};
use crate::inbound::{Inbound, Operation};
use crate::problem::Problem;
use crate::routing::Target;
use crate::{count, embed};

/// A request for one target, and how its answer goes back.
pub(crate) struct Outbound {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) carry: Carry,
    /// What could not be carried.
    pub(crate) dropped: Vec<String>,
}

/// How an answer goes back to the client.
pub(crate) enum Carry {
    /// As it comes.
    Same {
        /// What meters a stream.
        reader: fn(&'static dyn Dialect) -> Box<dyn Reader>,
        /// Whether the frame with the usage was asked for by us alone, and stays here.
        withhold_usage: bool,
    },
    /// Through the canonical form.
    Translated {
        /// Tool names of the provider's, and the client's in their place.
        renamed: Vec<(String, String)>,
    },
}

impl Carry {
    /// Answers pass, but for the frame with the usage where only we have asked for it. `OpenRouter`'s clients get it
    /// always.
    fn same(
        inbound: &Inbound,
        target: &Target,
        reader: fn(&'static dyn Dialect) -> Box<dyn Reader>,
    ) -> Self {
        let withhold_usage = hides_usage(inbound, target) && !inbound.face.openrouter;
        Self::Same { reader, withhold_usage }
    }

    /// Puts the client's name of a tool in the place of the provider's.
    pub(crate) fn restore(&self, name: &mut String) {
        if let Self::Translated { renamed } = self
            && let Some((_, original)) = renamed.iter().find(|(changed, _)| changed == name)
        {
            name.clone_from(original);
        }
    }
}

/// Whether a stream would not tell its usage, as the client has not asked for it.
fn hides_usage(inbound: &Inbound, target: &Target) -> bool {
    let reports_on_request = target.dialect().name() == wire::openai_chat::NAME;
    inbound.stream && reports_on_request && !inbound.peek.include_usage
}

/// Writes the request for `target`.
pub(crate) fn prepare(inbound: &Inbound, target: &Target) -> Result<Outbound, Problem> {
    if is_legacy(inbound, target) {
        let path = wire::openai_chat::completions::PATH.to_owned();
        return Ok(pass(inbound, target, path, |_| wire::openai_chat::completions::reader()));
    }
    if !same_dialect(inbound, target) || thinks_in_other_words(inbound, target) {
        return translate(inbound, target, path(inbound, target, false), inbound.chat()?);
    }
    let path = path(inbound, target, true);
    if passes(inbound, target) {
        Ok(pass(inbound, target, path, |dialect| dialect.reader()))
    } else {
        rewrite(inbound, target, path, inbound.chat()?)
    }
}

/// Whether the request for `target` is made of the canonical form.
pub(crate) fn is_read(inbound: &Inbound, target: &Target) -> bool {
    match inbound.operation {
        Operation::Chat => !goes_unread(inbound, target),
        Operation::Embed => !embed::is_same(inbound, target),
        Operation::Count => !count::is_same(inbound, target),
    }
}

/// In strict mode nothing may be left out.
pub(crate) fn check_strict(
    inbound: &Inbound,
    target: &Target,
    outbound: &Outbound,
) -> Result<(), Problem> {
    if !inbound.strict || outbound.dropped.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} cannot carry: {}; leave it out, or do without strict mode",
        target.provider,
        outbound.dropped.join(", ")
    );
    Err(Problem::bad_request(message).with_code("unsupported_parameter"))
}

pub(crate) fn same_dialect(inbound: &Inbound, target: &Target) -> bool {
    inbound.face.is(target.dialect().name())
}

/// `DeepSeek` has a field of its own for thoughts, where `OpenRouter`'s clients look for others.
fn thinks_in_other_words(inbound: &Inbound, target: &Target) -> bool {
    inbound.face.openrouter
        && inbound.face.is(wire::openai_chat::NAME)
        && target.provider == "deepseek"
}

/// The older API goes to the older models as it is.
pub(crate) fn is_legacy(inbound: &Inbound, target: &Target) -> bool {
    matches!(inbound.face.speech, Speech::Completions) && target.completes
}

/// Whether the target takes the body as it stands.
fn passes(inbound: &Inbound, target: &Target) -> bool {
    let foreign = target.provider == "deepseek"
        && !wire::deepseek::documents(target.dialect().name(), &inbound.body, target.reasoning);
    let peek = &inbound.peek;
    // Clients of `OpenRouter`'s Chat have fields and ways of their own, which nobody else takes.
    let openrouter = if inbound.face.is(wire::openai_chat::NAME) {
        inbound.face.openrouter || peek.openrouter
    } else {
        !peek.models.is_empty() || peek.provider != peek::Preferences::default()
    };
    let limited = inbound.ceiling.is_none() || can_limit(inbound, target);
    !openrouter && !foreign && limited && !inbound.marks().sealed
}

/// Whether a body goes to a target as it came, so that it need not be understood here.
pub(crate) fn goes_unread(inbound: &Inbound, target: &Target) -> bool {
    let same = same_dialect(inbound, target) && !thinks_in_other_words(inbound, target);
    is_legacy(inbound, target) || (same && passes(inbound, target))
}

/// Whether a ceiling can be put into a body that goes as it came. One that names it already, be it as `null`, would say it
/// twice.
pub(crate) fn can_limit(inbound: &Inbound, target: &Target) -> bool {
    let body = &inbound.body;
    let names = |field: &str| memmem::find(body, format!("\"{field}\"").as_bytes()).is_some();
    // Letters can be written as numbers.
    let escaped = || {
        let behind = memmem::find_iter(body, b"\\u00").filter_map(|at| body.get(at + 4));
        behind.into_iter().any(|digit| (b'4'..=b'7').contains(digit))
    };
    ceiling_field(inbound, target).is_some_and(|field| !names(field) && !escaped())
}

/// The member of a body that limits the answer, where it is one of the body's own.
fn ceiling_field(inbound: &Inbound, target: &Target) -> Option<&'static str> {
    match target.dialect().name() {
        _ if is_legacy(inbound, target) => Some("max_tokens"),
        wire::openai_chat::NAME if target.provider == "openai" => Some("max_completion_tokens"),
        wire::openai_chat::NAME | wire::anthropic::NAME => Some("max_tokens"),
        wire::openai_responses::NAME => Some("max_output_tokens"),
        _ => None,
    }
}

/// The client's headers that mean something in the target's dialect, which is its own.
fn forwarded(inbound: &Inbound, target: &Target) -> HeaderMap {
    let vendor = match target.dialect().name() {
        wire::anthropic::NAME => "anthropic-",
        wire::openai_chat::NAME | wire::openai_responses::NAME => "openai-",
        _ => return HeaderMap::new(),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &inbound.forwarded {
        if name.as_str().starts_with(vendor) {
            headers.append(name, value.clone());
        }
    }
    headers
}

fn path(inbound: &Inbound, target: &Target, same: bool) -> String {
    let own = target.dialect().request_path(&target.model, inbound.stream);
    match (&inbound.query, same) {
        (Some(query), true) => {
            let base = own.split_once('?').map_or(own.as_str(), |(base, _)| base);
            format!("{base}?{query}")
        }
        (None, true) if inbound.json_array => {
            own.split_once('?').map_or(own.as_str(), |(base, _)| base).to_owned()
        }
        _ => own,
    }
}

/// Whether the model refuses the older name of the ceiling, which is the only one that many programs know.
fn names_ceiling_as_of_old(inbound: &Inbound, target: &Target) -> bool {
    inbound.peek.older_ceiling
        && inbound.face.is(wire::openai_chat::NAME)
        && !is_legacy(inbound, target)
        && !wire::openai_chat::takes_max_tokens(&target.wire())
}

/// The body as it came, but for the model's name, a name that the model refuses, and what makes a stream report its usage.
pub(crate) fn pass(
    inbound: &Inbound,
    target: &Target,
    path: String,
    reader: fn(&'static dyn Dialect) -> Box<dyn Reader>,
) -> Outbound {
    let mut edits = Vec::new();
    let named = inbound.peek.model.as_ref().filter(|name| **name != target.model);
    if let (Some(at), Some(_)) = (&inbound.peek.model_at, named) {
        edits.push((at.clone(), serde_json::Value::from(target.model.as_str()).to_string()));
    }
    if hides_usage(inbound, target) {
        edits.extend(ask_for_usage(inbound));
    }
    if names_ceiling_as_of_old(inbound, target) {
        edits.extend(peek::rename_member(&inbound.body, "max_tokens", "max_completion_tokens"));
    }
    if let (Some(tokens), Some(field)) = (inbound.ceiling, ceiling_field(inbound, target)) {
        edits.extend(peek::set_member(&inbound.body, field, &tokens.to_string()));
    }
    let mut dropped = Vec::new();
    if target.dialect().name() == wire::gemini::NAME {
        let signatures = wire::gemini::stand_ins(&inbound.body, &target.model);
        dropped.extend(signatures.first().map(|_| wire::gemini::stand_in_note()));
        edits.extend(signatures);
    }
    let body = if edits.is_empty() {
        inbound.body.clone()
    } else {
        Bytes::from(peek::splice(&inbound.body, edits))
    };
    Outbound {
        path,
        headers: forwarded(inbound, target),
        body,
        carry: Carry::same(inbound, target, reader),
        dropped,
    }
}

/// `stream_options.include_usage`, without which a stream of this dialect tells nothing of its costs.
fn ask_for_usage(inbound: &Inbound) -> Option<(std::ops::Range<usize>, String)> {
    let Some(at) = inbound.peek.stream_options_at.clone() else {
        return peek::set_member(&inbound.body, "stream_options", r#"{"include_usage":true}"#);
    };
    let options = inbound.body.get(at.clone()).unwrap_or_default();
    let mut options: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(options).unwrap_or_default();
    options.insert("include_usage".to_owned(), true.into());
    Some((at, serde_json::Value::Object(options).to_string()))
}

/// One dialect on both sides, but not word for word: the request is written again, the answer passes.
fn rewrite(
    inbound: &Inbound,
    target: &Target,
    path: String,
    chat: &Chat,
) -> Result<Outbound, Problem> {
    let mut outbound = translate(inbound, target, path, chat)?;
    outbound.headers = forwarded(inbound, target);
    if matches!(&outbound.carry, Carry::Translated { renamed } if renamed.is_empty()) {
        outbound.carry = Carry::same(inbound, target, |dialect| dialect.reader());
    }
    Ok(outbound)
}

fn translate(
    inbound: &Inbound,
    target: &Target,
    path: String,
    chat: &Chat,
) -> Result<Outbound, Problem> {
    translated(inbound.face, path, target.dialect().write_request(chat, &target.wire()))
}

/// A request of a client's written for a target in its dialect.
pub(crate) fn translated(
    face: Face,
    path: String,
    written: Result<Written, Unsupported>,
) -> Result<Outbound, Problem> {
    let written = written.map_err(|Unsupported { field, reason }| {
        let field = face.word_for(&field);
        Problem::bad_request(format!("{field}: {reason}"))
            .with_code("unsupported_parameter")
            .about(&field)
    })?;
    let mut known = HashSet::new();
    let words = written.dropped.iter().map(|note| face.word_for(note));
    let dropped = words.filter(|word| known.insert(word.clone())).collect();
    Ok(Outbound {
        path,
        headers: HeaderMap::new(),
        body: Bytes::from(written.body),
        carry: Carry::Translated { renamed: written.renamed },
        dropped,
    })
}
