//! Canonical to wire.

use super::NAME;
use super::types::{
    Allowed, Choice, Choose, Completion, Function, JsonSchema, Message, Named, Request,
    ResponseFormat, StreamOptions, Thinking, Tool as WireTool,
};
use super::{usage, write_turns};
use crate::chat::{Chat, Effort, Format, Reasoning, Sampling, Tool, ToolChoice};
use crate::families;
use crate::json::{self, Json, TextOr};
use crate::reply::{Finish, Reply};
use crate::{Dropped, Target, Unsupported, Written};

/// Rules of the provider and model within the dialect.
#[derive(Copy, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent rules of providers")]
pub(super) struct Rules {
    pub(super) openai: bool,
    pub(super) deepseek: bool,
    /// Gemini's compatible API, which wants its signatures back.
    pub(super) gemini: bool,
    /// An `OpenAI` model that reasons: `developer` role, `max_completion_tokens`, no sampling.
    pub(super) reasons: bool,
}

impl Rules {
    fn of(target: &Target<'_>) -> Self {
        let openai = target.provider == "openai";
        Self {
            openai,
            deepseek: target.provider == "deepseek",
            gemini: target.provider == "gemini",
            reasons: openai && (target.reasoning || !families::openai_samples(target.model)),
        }
    }
}

pub(super) fn request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    let rules = Rules::of(target);
    let mut dropped = Dropped::default();
    let mut native = crate::natives(chat, NAME, &mut dropped)?;
    let mut wire = Request { model: Some(target.model.to_owned()), ..Request::default() };
    sampling(chat, target, rules, &mut wire, &mut dropped);
    reasoning(chat.reasoning.as_ref(), rules, &mut wire, &mut dropped);
    let instruction = format(&chat.output.format, rules, &mut wire, &mut dropped);
    wire.messages = Some(write_turns::messages(chat, rules, instruction, &mut dropped)?);
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
    tools(chat, rules, &mut wire, &mut dropped)?;
    if rules.deepseek {
        wire.user_id = chat.user.as_deref().map(write_turns::plain_id);
        dropped.unless_none("verbosity", chat.output.verbosity.as_ref());
        dropped.unless_none("service_tier", chat.service_tier.as_ref());
        native.retain(|(field, _)| {
            let known = matches!(field.as_str(), "logprobs" | "top_logprobs");
            if !known {
                dropped.note(field);
            }
            known
        });
    } else {
        wire.user.clone_from(&chat.user);
        wire.verbosity.clone_from(&chat.output.verbosity);
        wire.service_tier.clone_from(&chat.service_tier);
    }
    Ok(dropped.written(&json::object_with(&wire, &native)))
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

fn reasoning(asked: Option<&Reasoning>, rules: Rules, wire: &mut Request, dropped: &mut Dropped) {
    let Some(asked) = asked else { return };
    let effort = asked.effort.or(asked.budget.map(Effort::from_budget));
    if let (None, Some(budget), Some(effort)) = (asked.effort, asked.budget, effort) {
        dropped.note(format!("reasoning: {budget} tokens -> {}", effort.name()));
    }
    if rules.deepseek {
        let kind = if effort == Some(Effort::None) { "disabled" } else { "enabled" };
        wire.thinking = Some(Thinking { kind: Some(kind.to_owned()) });
        // DeepSeek has three levels; it counts medium as high and xhigh as max itself.
        wire.reasoning_effort = effort.filter(|e| *e != Effort::None).map(|effort| {
            let level = match effort {
                Effort::None | Effort::Minimal | Effort::Low => "low",
                Effort::Medium | Effort::High => "high",
                Effort::Xhigh | Effort::Max => "max",
            };
            level.to_owned()
        });
    } else if rules.openai && !rules.reasons {
        dropped.note("reasoning");
    } else {
        wire.reasoning_effort = effort.map(|effort| effort.name().to_owned());
    }
}

/// Sets the format; returns the instruction that stands in for a schema where the provider takes none.
fn format(
    format: &Format,
    rules: Rules,
    wire: &mut Request,
    dropped: &mut Dropped,
) -> Option<String> {
    let object = || ResponseFormat { kind: Some("json_object".to_owned()), json_schema: None };
    match format {
        Format::Text => None,
        Format::JsonObject => {
            wire.response_format = Some(object());
            None
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
            wire.response_format = Some(ResponseFormat {
                kind: Some("json_schema".to_owned()),
                json_schema: Some(JsonSchema {
                    name: Some(name.clone().unwrap_or_else(|| "response".to_owned())),
                    description: description.clone(),
                    schema: Some(schema.clone()),
                    strict: *strict,
                }),
            });
            None
        }
    }
}

fn tools(
    chat: &Chat,
    rules: Rules,
    wire: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), Unsupported> {
    let mut tools = Vec::new();
    for tool in &chat.tools {
        tools.push(match tool {
            Tool::Function { name, description, schema, strict, cache } => {
                dropped.unless_none("cache_control", *cache);
                if rules.deepseek && *strict == Some(true) {
                    dropped.note("strict");
                }
                Json::of(&WireTool {
                    kind: Some("function".to_owned()),
                    function: Some(Function {
                        name: Some(name.clone()),
                        description: description.clone(),
                        parameters: schema.clone(),
                        strict: if rules.deepseek { None } else { *strict },
                    }),
                    cache_control: None,
                })
            }
            Tool::Native(native) if native.dialect == NAME && !rules.deepseek => native.raw.clone(),
            Tool::Native(native) => return Err(crate::foreign(native, "tool")),
        });
    }
    if tools.is_empty() {
        return Ok(());
    }
    wire.tools = Some(tools);
    wire.tool_choice = choice(&chat.tool_choice);
    if rules.deepseek {
        if let ToolChoice::Among { required, .. } = &chat.tool_choice {
            dropped.note("tool_choice.allowed_tools");
            wire.tool_choice = Some(Json::of(&if *required { "required" } else { "auto" }));
        }
        dropped.unless_none("parallel_tool_calls", chat.parallel_tools);
    } else {
        wire.parallel_tool_calls = chat.parallel_tools;
    }
    Ok(())
}

fn choice(choice: &ToolChoice) -> Option<Json> {
    let one = |name: &String| Choose {
        kind: Some("function".to_owned()),
        function: Some(Named { name: Some(name.clone()) }),
        ..Choose::default()
    };
    match choice {
        ToolChoice::Unsaid => None,
        ToolChoice::Auto => Some(Json::of(&"auto")),
        ToolChoice::None => Some(Json::of(&"none")),
        ToolChoice::Required => Some(Json::of(&"required")),
        ToolChoice::One(name) => Some(Json::of(&one(name))),
        ToolChoice::Among { names, required } => Some(Json::of(&Choose {
            kind: Some("allowed_tools".to_owned()),
            allowed_tools: Some(Allowed {
                mode: Some(if *required { "required" } else { "auto" }.to_owned()),
                tools: Some(names.iter().map(one).collect()),
            }),
            ..Choose::default()
        })),
    }
}

pub(super) fn reply(reply: &Reply) -> Vec<u8> {
    let finish = match reply.finish_for_client() {
        Finish::Stop | Finish::StopSequence | Finish::Pause => "stop",
        Finish::ToolUse => "tool_calls",
        Finish::Length => "length",
        Finish::Filter => "content_filter",
        Finish::Failed => "error",
    };
    let report = reply.usage.as_ref();
    let message =
        Message { role: Some("assistant".to_owned()), ..write_turns::answer(&reply.blocks) };
    let message = Json::of(&message);
    let completion = Completion {
        id: Some(reply.id.clone()),
        object: Some("chat.completion".to_owned()),
        created: Some(reply.created.unwrap_or(0)),
        model: Some(reply.model.clone()),
        usage: report.map(|report| Json::of(&usage::write(&report.total()))),
        service_tier: report.map(|report| tier(report.service_tier).to_owned()),
        ..Completion::default()
    };
    // SDKs require `content` and `refusal` to be there, if only as null.
    let mut absent = Vec::new();
    for field in ["content", "refusal"] {
        if !json::fields(message.get()).iter().any(|(name, _)| name == field) {
            absent.push((field.to_owned(), Json::of(&())));
        }
    }
    let message = json::object_with(&message, &absent);
    let choice =
        Choice { index: Some(0), finish_reason: Some(finish.to_owned()), ..Choice::default() };
    let choice = json::object_with(&choice, &[("message".to_owned(), message)]);
    let body = json::object_with(&completion, &[("choices".to_owned(), Json::of(&[choice]))]);
    body.get().as_bytes().to_vec()
}

fn tier(tier: ledger::ServiceTier) -> &'static str {
    match tier {
        ledger::ServiceTier::Flex => "flex",
        ledger::ServiceTier::Priority => "priority",
        ledger::ServiceTier::Standard | ledger::ServiceTier::Batch => "default",
    }
}
