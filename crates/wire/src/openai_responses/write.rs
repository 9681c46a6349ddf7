//! Canonical to wire: requests.

use super::names::{self, Names};
use super::read::STATEFUL;
use super::read_tools::KEPT;
use super::types::{Format as WireFormat, Reasoning as WireReasoning, Request, Text};
use super::{NAME, effort, strict, write_items, write_tools};
use crate::chat::{Chat, Effort, Format, Native, Output, Role, Sampling};
use crate::families;
use crate::json::{self, Json, TextOr};
use crate::openai_chat;
use crate::{Dropped, Target, Unsupported, Written, deferral, foreign};

/// Rules of the provider and model within the dialect.
#[derive(Copy, Clone)]
pub(super) struct Rules {
    pub(super) openai: bool,
    /// The model takes no pictures.
    pub(super) blind: bool,
    /// A model of `OpenAI` that reasons: no sampling.
    pub(super) reasons: bool,
    pub(super) breakpoints: bool,
    /// The request goes on with a conversation that the server has: its thoughts must not come twice.
    pub(super) continues: bool,
    /// Nothing is remembered, so that thoughts which are an id alone mean nothing.
    pub(super) stateless: bool,
}

type Members = Vec<(String, Json)>;

pub(super) fn request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    foreign::refuse_parts(chat, NAME)?;
    let mut dropped = Dropped::default();
    let searches = target.provider == "openai" && families::openai_finds_tools(target.model);
    let deferred = deferral::carried(chat, NAME, searches, &mut dropped);
    let mut own = natives(chat, target, &mut dropped)?;
    let names = Names::of(chat);
    let mut wire = Request { model: Some(target.model.to_owned()), ..Request::default() };
    let remembered = state(&mut own, &mut wire);
    let rules = rules(target, &own, remembered);
    if !rules.stateless && target.model.is_empty() {
        wire.model = None;
    }
    if wire.store == Some(false) && wire.include.is_none() && rules.reasons && said_nothing(chat) {
        // Without a memory on the server, its thoughts come back to it from the client.
        wire.include = Some(vec![ENCRYPTED.to_owned()]);
    }
    sampling(&chat.sampling, chat, target, rules, &mut wire, &mut dropped);
    let kept = take(&mut own, KEPT);
    let offer = write_tools::Offer { rules, searches, kept: &kept, deferred };
    write_tools::tools(chat, &offer, &mut own, &mut wire, &mut dropped)?;
    let items = write_items::input(chat, rules, &kept, &mut dropped)?;
    if chat.turns.last().is_some_and(|turn| turn.role == Role::Assistant) {
        dropped.note(crate::PREFILL);
    }
    wire.instructions = items.instructions;
    if !(items.list.is_empty() && rules.continues) {
        wire.input = Some(TextOr::List(items.list));
    }
    wire.reasoning = reasoning(chat, target, rules, &take(&mut own, "reasoning."), &mut dropped);
    wire.text = text(&chat.output, rules, &take(&mut own, "text."), &mut dropped);
    wire.max_output_tokens = chat.max_tokens.map(|most| {
        if most < LEAST_TOKENS {
            dropped.note(format!("max_output_tokens: {most} -> {LEAST_TOKENS}"));
        }
        most.max(LEAST_TOKENS)
    });
    wire.stream = chat.stream.then_some(true);
    wire.service_tier.clone_from(&chat.service_tier);
    user(chat, rules, &own, &mut wire, &mut dropped);
    let body = json::object_with(&wire, &own);
    Ok(Written { renamed: names.into_renamed(), ..dropped.written(&body) })
}

/// The API refuses a smaller limit.
const LEAST_TOKENS: u64 = 16;
pub(super) const ENCRYPTED: &str = "reasoning.encrypted_content";

/// Whether a client of this dialect said nothing on `store`, or this is a client of another one.
fn said_nothing(chat: &Chat) -> bool {
    !chat.native.iter().any(|native| native.dialect == NAME && native.field == "store")
}

/// The native fields that go on, of this dialect and those that Chat Completions shares with it.
fn natives(
    chat: &Chat,
    target: &Target<'_>,
    dropped: &mut Dropped,
) -> Result<Members, Unsupported> {
    const SHARED: [&str; 8] = [
        openai_chat::custom::KEPT,
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "moderation",
        "top_logprobs",
    ];
    let shared = |native: &Native| {
        let is_shared = native.dialect == openai_chat::NAME
            && target.provider == "openai"
            && SHARED.contains(&native.field.as_str());
        is_shared.then(|| match native.field.as_str() {
            openai_chat::custom::KEPT => openai_chat::custom::for_responses(&native.raw),
            _ => native.raw.clone(),
        })
    };
    crate::natives(chat, NAME, shared, dropped)
}

/// Takes `store` and `include` out of the native fields; whether anything is remembered.
fn state(own: &mut Members, wire: &mut Request) -> bool {
    // A client of another dialect keeps its conversation itself, and nothing of it should stay anywhere.
    wire.store = Some(false);
    own.retain(|(field, raw)| match field.as_str() {
        "store" => {
            wire.store = serde_json::from_str(raw.get()).unwrap_or_default();
            false
        }
        "include" => {
            wire.include = serde_json::from_str(raw.get()).ok();
            false
        }
        _ => true,
    });
    wire.store != Some(false)
}

fn rules(target: &Target<'_>, own: &Members, remembered: bool) -> Rules {
    let openai = target.provider == "openai";
    let reasons = openai && (target.reasoning || !families::openai_samples(target.model));
    Rules {
        openai,
        blind: target.provider == "deepseek" && !target.model.contains("vision"),
        reasons,
        breakpoints: openai && families::openai_caches_by_marker(target.model),
        continues: own.iter().any(|(field, _)| STATEFUL.contains(&field.as_str())),
        stateless: !remembered,
    }
}

/// Takes out the members whose name starts with `prefix`, without it.
fn take(own: &mut Members, prefix: &str) -> Members {
    let (inner, outer): (Members, Members) =
        std::mem::take(own).into_iter().partition(|(field, _)| field.starts_with(prefix));
    *own = outer;
    let strip = |(field, raw): (String, Json)| {
        (field.strip_prefix(prefix).unwrap_or_default().to_owned(), raw)
    };
    inner.into_iter().map(strip).collect()
}

fn sampling(
    asked: &Sampling,
    chat: &Chat,
    target: &Target<'_>,
    rules: Rules,
    wire: &mut Request,
    dropped: &mut Dropped,
) {
    let Sampling { temperature, top_p, top_k, presence_penalty, frequency_penalty, seed, stop } =
        asked;
    // The API has none; models that reason take none over Chat Completions either.
    if !stop.is_empty() {
        dropped.note("stop");
    }
    let quiet = chat.reasoning.as_ref().is_some_and(|r| r.effort == Some(Effort::None));
    if !rules.reasons || (quiet && families::openai_samples_without_effort(target.model)) {
        (wire.temperature, wire.top_p) = (*temperature, *top_p);
    } else {
        dropped.unless_none("temperature", *temperature);
        dropped.unless_none("top_p", *top_p);
    }
    dropped.unless_none("top_k", *top_k);
    dropped.unless_none("presence_penalty", *presence_penalty);
    dropped.unless_none("frequency_penalty", *frequency_penalty);
    dropped.unless_none("seed", *seed);
}

fn reasoning(
    chat: &Chat,
    target: &Target<'_>,
    rules: Rules,
    native: &Members,
    dropped: &mut Dropped,
) -> Option<Json> {
    let mut wire = WireReasoning::default();
    if let Some(asked) = &chat.reasoning {
        let effort = asked.effort.or(asked.budget.map(Effort::from_budget));
        if let (None, Some(budget), Some(effort)) = (asked.effort, asked.budget, effort) {
            dropped.note(format!("reasoning: {budget} tokens -> {}", effort.name()));
        }
        if rules.openai && !rules.reasons {
            // Not to think is what such a model does.
            if effort != Some(Effort::None) {
                dropped.note("reasoning");
            }
            return None;
        }
        let given =
            effort.map(
                |effort| {
                    if rules.openai { effort::nearest(target.model, effort) } else { effort }
                },
            );
        if let (Some(asked), Some(given)) = (effort, given)
            && asked != given
        {
            dropped.note(format!("reasoning.effort: {} -> {}", asked.name(), given.name()));
        }
        wire.effort = given.map(|effort| effort.name().to_owned());
        let summary = asked.show == Some(true) && !native.iter().any(|(name, _)| name == "summary");
        wire.summary = summary.then(|| "auto".to_owned());
    }
    let reasoning = json::object_with(&wire, native);
    (reasoning.get() != "{}").then_some(reasoning)
}

fn text(output: &Output, rules: Rules, native: &Members, dropped: &mut Dropped) -> Option<Json> {
    let of_kind = |kind: &str| WireFormat { kind: Some(kind.to_owned()), ..WireFormat::default() };
    let format = match &output.format {
        Format::Text => None,
        Format::JsonObject => Some(of_kind("json_object")),
        Format::JsonSchema { name, description, schema, strict } => Some(WireFormat {
            name: Some(names::legal(name.as_deref().unwrap_or("response")).into_owned()),
            description: description.clone(),
            schema: Some(schema.clone()),
            strict: strict.map(|strict| strict && strict::holds(schema, rules.openai, dropped)),
            ..of_kind("json_schema")
        }),
    };
    let text = json::object_with(&Text { format, verbosity: output.verbosity.clone() }, native);
    (text.get() != "{}").then_some(text)
}

/// The end user. `OpenAI` has a new field for it, which others do not know yet.
fn user(chat: &Chat, rules: Rules, own: &Members, wire: &mut Request, dropped: &mut Dropped) {
    let user = chat.user.as_deref().map(|user| names::short_id(user).into_owned());
    if user != chat.user {
        dropped.note("user: name -> plain name");
    }
    let said = |field: &str| own.iter().any(|(name, _)| name == field);
    if rules.openai && !said("safety_identifier") {
        wire.safety_identifier = user;
    } else if !said("user") {
        wire.user = user;
    }
}
