//! Canonical to wire.

use super::NAME;
use super::types::{
    Answer, CacheControl, Choice, Format as WireFormat, Metadata, OutputConfig, Request, Thinking,
    Tool as WireTool,
};
use super::{usage, write_turns};
use crate::chat::{Block, CacheLife, Chat, Effort, Format, Reasoning, Tool, ToolChoice};
use crate::families::{Claude, Off};
use crate::json::{self, Json, TextOr};
use crate::reply::{Finish, Reply};
use crate::schema;
use crate::{Dropped, Target, Unsupported, Written};

/// Anthropic requires a limit; this one stands in where neither client nor catalogue names one.
const DEFAULT_MAX_TOKENS: u64 = 4_096;
/// The least budget that Anthropic takes.
const LEAST_BUDGET: u64 = 1_024;

pub(super) fn request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    let claude = Claude::of(target.model);
    let mut dropped = Dropped::default();
    let native = crate::natives(chat, NAME, &mut dropped)?;
    let mut wire = Request { model: Some(target.model.to_owned()), ..Request::default() };
    let mut config = OutputConfig::default();
    let limit = chat.max_tokens.or(target.max_output_tokens).unwrap_or(DEFAULT_MAX_TOKENS);
    wire.max_tokens = Some(limit);
    thinking(chat.reasoning.as_ref(), claude, limit, &mut wire, &mut config, &mut dropped);
    let thinks = wire.thinking.as_ref().is_some_and(|t| t.kind.as_deref() == Some("enabled"));
    sampling(chat, claude, thinks, &mut wire, &mut dropped);
    let mut system = chat.system.clone();
    system.extend(format(&chat.output.format, &mut config, &mut dropped).map(Block::Text));
    if !system.is_empty() {
        wire.system = Some(TextOr::List(write_turns::blocks(&system, false, &mut dropped)?));
    }
    wire.messages = Some(write_turns::messages(chat, claude, &mut dropped)?);
    tools(chat, claude, thinks, &mut wire, &mut dropped)?;
    wire.stop_sequences = (!chat.sampling.stop.is_empty()).then(|| chat.sampling.stop.clone());
    wire.stream = chat.stream.then_some(true);
    wire.metadata =
        chat.user.as_ref().map(|user| Json::of(&Metadata { user_id: Some(user.clone()) }));
    wire.service_tier = chat.service_tier.as_deref().map(|tier| match tier {
        "auto" => "auto".to_owned(),
        "default" | "standard" => "standard_only".to_owned(),
        other => {
            dropped.note(format!("service_tier: {other} -> auto"));
            "auto".to_owned()
        }
    });
    dropped.unless_none("verbosity", chat.output.verbosity.as_ref());
    let (inner, outer): (Vec<_>, Vec<_>) =
        native.into_iter().partition(|(field, _)| field.starts_with("output_config."));
    let inner: Vec<_> = inner
        .into_iter()
        .map(|(field, raw)| (field.trim_start_matches("output_config.").to_owned(), raw))
        .collect();
    let config = json::object_with(&config, &inner);
    wire.output_config = (config.get() != "{}").then_some(config);
    Ok(dropped.written(&json::object_with(&wire, &outer)))
}

fn sampling(chat: &Chat, claude: Claude, thinks: bool, wire: &mut Request, dropped: &mut Dropped) {
    let asked = &chat.sampling;
    dropped.unless_none("presence_penalty", asked.presence_penalty);
    dropped.unless_none("frequency_penalty", asked.frequency_penalty);
    dropped.unless_none("seed", asked.seed);
    // A model that thinks by budget takes none of these while it does.
    if !claude.sampling || thinks {
        dropped.unless_none("temperature", asked.temperature);
        dropped.unless_none("top_p", asked.top_p);
        dropped.unless_none("top_k", asked.top_k);
        return;
    }
    wire.temperature = asked.temperature.map(|temperature| {
        if temperature > 1.0 {
            dropped.note(format!("temperature: {temperature} -> 1"));
        }
        temperature.min(1.0)
    });
    if claude.one_sampler && wire.temperature.is_some() {
        dropped.unless_none("top_p", asked.top_p);
    } else {
        wire.top_p = asked.top_p;
    }
    wire.top_k = asked.top_k;
}

fn thinking(
    asked: Option<&Reasoning>,
    claude: Claude,
    limit: u64,
    wire: &mut Request,
    config: &mut OutputConfig,
    dropped: &mut Dropped,
) {
    let Some(asked) = asked else { return };
    let mode = |kind: &str| Thinking { kind: Some(kind.to_owned()), ..Thinking::default() };
    let effort = asked.effort.or(asked.budget.map(Effort::from_budget));
    if effort == Some(Effort::None) {
        match claude.off {
            Off::Disabled => wire.thinking = Some(mode("disabled")),
            Off::BetweenTools => wire.thinking = Some(mode("between_tools")),
            Off::Never => {
                dropped.note("reasoning: none -> low");
                config.effort = Some("low".to_owned());
            }
        }
        return;
    }
    if claude.budget {
        let wanted = asked.budget.unwrap_or(match effort {
            Some(Effort::None | Effort::Minimal | Effort::Low) => 2_048,
            Some(Effort::Medium) | None => 8_192,
            Some(Effort::High) => 16_384,
            Some(Effort::Xhigh) => 24_576,
            Some(Effort::Max) => 32_000,
        });
        // The budget must leave room for an answer within the limit.
        if limit <= LEAST_BUDGET {
            dropped.note("reasoning");
            return;
        }
        let budget_tokens = Some(wanted.clamp(LEAST_BUDGET, limit - 1));
        wire.thinking = Some(Thinking { budget_tokens, ..mode("enabled") });
        return;
    }
    if let (None, Some(budget), Some(effort)) = (asked.effort, asked.budget, effort) {
        dropped.note(format!("reasoning: {budget} tokens -> {}", effort.name()));
    }
    let display = asked.show.map(|show| if show { "summarized" } else { "omitted" }.to_owned());
    wire.thinking = Some(Thinking { display, ..mode("adaptive") });
    config.effort = effort.map(|effort| match effort {
        Effort::Minimal => "low".to_owned(),
        effort => effort.name().to_owned(),
    });
}

/// Sets the format; returns the instruction that stands in for "some JSON", which Anthropic has no word for.
fn format(format: &Format, config: &mut OutputConfig, dropped: &mut Dropped) -> Option<String> {
    match format {
        Format::Text => None,
        Format::JsonObject => {
            dropped.note("response_format: json_object -> instruction");
            Some("Answer with one JSON object and nothing else.".to_owned())
        }
        Format::JsonSchema { schema, .. } => {
            config.format = Some(WireFormat {
                kind: Some("json_schema".to_owned()),
                schema: Some(schema::closed(schema)),
            });
            None
        }
    }
}

fn tools(
    chat: &Chat,
    claude: Claude,
    thinks: bool,
    wire: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), Unsupported> {
    let mut tools = Vec::new();
    for tool in &chat.tools {
        tools.push(match tool {
            Tool::Function { name, description, schema, strict, cache } => Json::of(&WireTool {
                name: Some(name.clone()),
                description: description.clone(),
                input_schema: Some(schema::rooted(schema.as_ref())),
                strict: *strict,
                cache_control: cache.map(cache_control),
                kind: None,
            }),
            Tool::Native(native) if native.dialect == NAME => native.raw.clone(),
            Tool::Native(native) => return Err(crate::foreign(native, "tool")),
        });
    }
    if tools.is_empty() {
        // Calls in the history need a definition, even where none may follow.
        tools = write_turns::called(chat).into_iter().map(stub).collect();
        wire.tools = (!tools.is_empty()).then_some(tools);
        return Ok(());
    }
    wire.tools = Some(tools);
    let kind = |kind: &str| Choice { kind: Some(kind.to_owned()), ..Choice::default() };
    let forced = claude.forced_tool && !thinks;
    let choice = match &chat.tool_choice {
        ToolChoice::Unsaid => None,
        ToolChoice::Auto => Some(kind("auto")),
        ToolChoice::None => Some(kind("none")),
        ToolChoice::Required if forced => Some(kind("any")),
        ToolChoice::One(name) if forced => {
            Some(Choice { name: Some(name.clone()), ..kind("tool") })
        }
        ToolChoice::Required | ToolChoice::One(_) => {
            dropped.note("tool_choice: required -> auto");
            Some(kind("auto"))
        }
        ToolChoice::Among { required, .. } => {
            dropped.note("tool_choice.allowed_tools");
            Some(kind(if *required && forced { "any" } else { "auto" }))
        }
    };
    wire.tool_choice = match (choice, chat.parallel_tools) {
        (choice, None) => choice,
        (choice, Some(parallel)) => {
            let choice = choice.unwrap_or_else(|| kind("auto"));
            // A choice of none has no such switch.
            let switch = (choice.kind.as_deref() != Some("none")).then_some(!parallel);
            Some(Choice { disable_parallel_tool_use: switch, ..choice })
        }
    };
    Ok(())
}

fn stub(name: &str) -> Json {
    Json::of(&WireTool {
        name: Some(name.to_owned()),
        input_schema: Some(schema::rooted(None)),
        ..WireTool::default()
    })
}

pub(super) fn cache_control(life: CacheLife) -> CacheControl {
    let ttl = match life {
        CacheLife::Short => None,
        CacheLife::Long => Some("1h".to_owned()),
    };
    CacheControl { kind: Some("ephemeral".to_owned()), ttl }
}

pub(super) fn reply(reply: &Reply) -> Vec<u8> {
    let stop = match reply.finish_for_client() {
        Finish::Stop | Finish::Failed => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::ToolUse => "tool_use",
        Finish::Length => "max_tokens",
        Finish::Filter => "refusal",
        Finish::Pause => "pause_turn",
    };
    let zero = ledger::UsageReport::default();
    let report = reply.usage.as_ref().unwrap_or(&zero);
    let answer = Answer {
        id: Some(reply.id.clone()),
        kind: Some("message".to_owned()),
        role: Some("assistant".to_owned()),
        model: Some(reply.model.clone()),
        content: Some(write_turns::answer(&reply.blocks)),
        stop_reason: Some(stop.to_owned()),
        usage: Some(Json::of(&usage::write(&report.total(), report.service_tier))),
        stop_sequence: None,
    };
    // SDKs require `stop_sequence` to be there, if only as null.
    let body =
        json::object_with(&answer, &[("stop_sequence".to_owned(), Json::of(&reply.stop_sequence))]);
    body.get().as_bytes().to_vec()
}
