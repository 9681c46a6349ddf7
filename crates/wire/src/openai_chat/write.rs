//! A canonical request to the wire.

use super::names::{self, Names};
use super::types::{
    JsonSchema, Reasoning as WireReasoning, Request, ResponseFormat, StreamOptions, Thinking,
};
use super::{EXTENSION_FIELDS, NAME, custom, write_tools, write_turns};
use crate::chat::{self, Chat, Effort, Format, Reasoning, Role, Sampling};
use crate::families;
use crate::json::{self, Json, TextOr};
use crate::{Dropped, Target, Unsupported, Written, foreign, openai_responses};

/// Rules of the provider and model within the dialect. Who is none of those named may be any server of the dialect, and
/// is given what `OpenRouter` takes.
#[derive(Copy, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent rules of providers")]
pub(super) struct Rules {
    pub(super) openai: bool,
    pub(super) deepseek: bool,
    /// Gemini's compatible API, which wants its signatures back.
    pub(super) gemini: bool,
    /// An `OpenAI` model that reasons: `developer` role, `max_completion_tokens`, no sampling.
    pub(super) reasons: bool,
    /// An `OpenAI` model that takes markers of what to cache.
    pub(super) marks: bool,
    /// No `OpenAI` model without ears.
    pub(super) hears: bool,
}

impl Rules {
    pub(super) fn of(target: &Target<'_>) -> Self {
        let openai = target.provider == "openai";
        Self {
            openai,
            deepseek: target.provider == "deepseek",
            gemini: target.provider == "gemini",
            reasons: openai && (target.reasoning || !families::openai_samples(target.model)),
            marks: openai && families::openai_caches_by_marker(target.model),
            hears: !openai || families::openai_hears(target.model),
        }
    }

    /// Whether this may be any server of the dialect.
    pub(super) fn any(self) -> bool {
        !(self.openai || self.deepseek || self.gemini)
    }
}

pub(super) fn request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    foreign::refuse_parts(chat, NAME)?;
    let rules = Rules::of(target);
    let mut dropped = Dropped::default();
    let mut names = Names::default();
    let mut native = crate::natives(chat, NAME, |_| None, &mut dropped)?;
    let custom = custom::take(&mut native);
    let free: Vec<String> = custom.iter().map(|(name, _)| name.clone()).collect();
    let mut wire = Request { model: Some(target.model.to_owned()), ..Request::default() };
    sampling(chat, target, rules, &mut wire, &mut dropped);
    reasoning(chat.reasoning.as_ref(), target, rules, &mut wire, &mut dropped);
    let instruction = format(chat, rules, &mut wire, &mut dropped);
    wire.messages =
        Some(write_turns::messages(chat, rules, instruction, &free, &mut names, &mut dropped)?);
    if chat.turns.last().is_some_and(|turn| turn.role == Role::Assistant) {
        dropped.note(crate::PREFILL);
    }
    if rules.openai {
        wire.max_completion_tokens = chat.max_tokens;
    } else {
        wire.max_tokens = chat.max_tokens;
    }
    if chat.stream {
        wire.stream = Some(true);
        // Without it no usage is sent, and nothing could be billed.
        wire.stream_options = Some(StreamOptions { include_usage: Some(true) });
    }
    write_tools::tools(chat, target, rules, &custom, &mut names, &mut wire, &mut dropped)?;
    who_and_how(chat, rules, &mut wire, &mut dropped);
    retain(&mut native, rules, &mut dropped)?;
    let mut written = dropped.written(&json::object_with(&wire, &native));
    written.renamed = names.into_renamed();
    Ok(written)
}

fn who_and_how(chat: &Chat, rules: Rules, wire: &mut Request, dropped: &mut Dropped) {
    /// The longest that the providers take.
    const LONGEST: (usize, usize) = (128, 512);
    let fit = |name: &str, longest: usize| name.chars().take(longest).collect::<String>();
    if rules.deepseek {
        wire.user_id = chat.user.as_deref().map(|name| fit(&names::plain(name), LONGEST.1));
        note_user(chat, wire.user_id.as_ref(), dropped);
        dropped.unless_none("verbosity", chat.output.verbosity.as_ref());
        dropped.unless_none("service_tier", chat.service_tier.as_ref());
        return;
    }
    if rules.openai {
        // OpenAI's newer word for `user`.
        wire.safety_identifier = chat.user.as_deref().map(|name| fit(name, LONGEST.0));
        note_user(chat, wire.safety_identifier.as_ref(), dropped);
    } else {
        wire.user.clone_from(&chat.user);
    }
    wire.verbosity.clone_from(&chat.output.verbosity);
    wire.service_tier.clone_from(&chat.service_tier);
}

fn note_user(chat: &Chat, given: Option<&String>, dropped: &mut Dropped) {
    if chat.user.as_ref() != given {
        dropped.note("user: name -> plain name");
    }
}

/// Takes out what the provider does not know.
fn retain(
    native: &mut Vec<(String, Json)>,
    rules: Rules,
    dropped: &mut Dropped,
) -> Result<(), Unsupported> {
    if rules.deepseek {
        let needed = native.iter().find(|(field, raw)| {
            (field == "n" && raw.get() != "1") || matches!(field.as_str(), "audio" | "modalities")
        });
        if let Some((field, _)) = needed {
            return Err(Unsupported::new(field, "the provider gives one answer, of text"));
        }
    }
    let kept = native.iter().any(|(field, raw)| field == "store" && raw.get() == "true");
    native.retain(|(field, raw)| {
        let known = if rules.deepseek {
            matches!(field.as_str(), "logprobs" | "top_logprobs")
        } else if rules.openai && field == "metadata" {
            // Labels of an answer that is kept.
            kept
        } else {
            !rules.openai || !EXTENSION_FIELDS.contains(&field.as_str())
        };
        // One answer is what comes anyway.
        if !(known || field == "n" || raw.get() == "false") {
            dropped.note(field);
        }
        known
    });
    Ok(())
}

fn sampling(
    chat: &Chat,
    target: &Target<'_>,
    rules: Rules,
    wire: &mut Request,
    dropped: &mut Dropped,
) {
    let Sampling { temperature, top_p, top_k, presence_penalty, frequency_penalty, seed, stop } =
        &chat.sampling;
    let quiet = chat.reasoning.as_ref().is_some_and(|r| r.effort == Some(Effort::None));
    let samples =
        !rules.reasons || (quiet && families::openai_samples_without_effort(target.model));
    if samples {
        wire.temperature = *temperature;
        wire.top_p = *top_p;
        wire.presence_penalty = *presence_penalty;
        wire.frequency_penalty = *frequency_penalty;
    } else {
        dropped.unless_none("temperature", *temperature);
        dropped.unless_none("top_p", *top_p);
        dropped.unless_none("presence_penalty", *presence_penalty);
        dropped.unless_none("frequency_penalty", *frequency_penalty);
    }
    if rules.openai || rules.deepseek {
        dropped.unless_none("top_k", *top_k);
    } else {
        wire.top_k = *top_k;
    }
    if rules.deepseek {
        dropped.unless_none("seed", *seed);
    } else {
        wire.seed = *seed;
    }
    if !stop.is_empty() {
        // Reasoning models from o3 on refuse it with a 400 (recording `openai.chat-f5ca63a14119`).
        if rules.reasons {
            dropped.note("stop");
        } else {
            let most = if rules.openai { 4 } else { 16 };
            if stop.len() > most {
                dropped.note(format!("stop: {} -> {most}", stop.len()));
            }
            wire.stop = Some(TextOr::List(stop.iter().take(most).cloned().collect()));
        }
    }
}

fn reasoning(
    asked: Option<&Reasoning>,
    target: &Target<'_>,
    rules: Rules,
    wire: &mut Request,
    dropped: &mut Dropped,
) {
    let Some(asked) = asked else { return };
    shown(asked, rules, dropped);
    if rules.any() && (asked.budget.is_some() || asked.show.is_some()) {
        wire.reasoning = Some(WireReasoning {
            effort: asked.effort.map(|effort| effort.name().to_owned()),
            max_tokens: asked.budget,
            exclude: asked.show.map(|show| !show),
            ..WireReasoning::default()
        });
        return;
    }
    let effort = asked.effort.or(asked.budget.map(Effort::from_budget));
    if let (None, Some(budget), Some(effort)) = (asked.effort, asked.budget, effort) {
        dropped.note(format!("reasoning: {budget} tokens -> {}", effort.name()));
    }
    if rules.deepseek {
        let kind = if effort == Some(Effort::None) { "disabled" } else { "enabled" };
        wire.thinking = Some(Thinking { kind: Some(kind.to_owned()) });
        // It takes most words of others, and makes three levels of them itself.
        let effort = effort.filter(|e| *e != Effort::None).map(|effort| match effort {
            Effort::Minimal => {
                dropped.note("reasoning: minimal -> low");
                Effort::Low
            }
            effort => effort,
        });
        wire.reasoning_effort = effort.map(|effort| effort.name().to_owned());
    } else if rules.openai && !rules.reasons {
        if effort != Some(Effort::None) {
            dropped.note("reasoning");
        }
    } else {
        wire.reasoning_effort = effort.map(|effort| {
            let near = if rules.openai { nearest(effort, target.model) } else { effort };
            if near != effort {
                dropped.note(format!("reasoning: {} -> {}", effort.name(), near.name()));
            }
            near.name().to_owned()
        });
    }
}

/// Whether thoughts are shown is the provider's habit: `OpenAI` never does here, `DeepSeek` always.
fn shown(asked: &Reasoning, rules: Rules, dropped: &mut Dropped) {
    if rules.openai && rules.reasons && asked.show == Some(true) {
        dropped.note("reasoning.summary");
    }
    if rules.deepseek && asked.show == Some(false) {
        dropped.note("reasoning.exclude");
    }
}

/// The level that the model knows: the next one above, or else its highest.
fn nearest(effort: Effort, model: &str) -> Effort {
    let levels = families::openai_efforts(model);
    let above = levels.iter().find(|level| **level >= effort);
    above.or(levels.last()).copied().unwrap_or(effort)
}

/// Sets the format; returns the instruction that goes with it or stands in for it.
fn format(chat: &Chat, rules: Rules, wire: &mut Request, dropped: &mut Dropped) -> Option<String> {
    let object = || ResponseFormat { kind: Some("json_object".to_owned()), json_schema: None };
    match &chat.output.format {
        Format::Text => None,
        Format::JsonObject => {
            wire.response_format = Some(object());
            let turns = chat.turns.iter().flat_map(|turn| &turn.blocks);
            // Both refuse to write JSON for a prompt that does not speak of it.
            let wanting = (rules.openai || rules.deepseek)
                && !chat::speaks_of_json(chat.system.iter().chain(turns));
            wanting.then(|| "Answer with one JSON object.".to_owned())
        }
        Format::JsonSchema { schema, .. } if rules.deepseek => {
            dropped.note("response_format: json_schema -> json_object");
            wire.response_format = Some(object());
            Some(format!(
                "Answer with one JSON object that follows this JSON Schema:\n{}",
                schema.get()
            ))
        }
        Format::JsonSchema { name, description, schema, strict } => {
            let name = name.as_deref().filter(|name| !name.is_empty()).unwrap_or("response");
            wire.response_format = Some(ResponseFormat {
                kind: Some("json_schema".to_owned()),
                json_schema: Some(JsonSchema {
                    name: Some(Names::default().fit(name)),
                    description: description.clone(),
                    schema: Some(schema.clone()),
                    strict: strict.map(|strict| {
                        strict && openai_responses::holds(schema, rules.openai, dropped)
                    }),
                }),
            });
            None
        }
    }
}
