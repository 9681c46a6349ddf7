//! Canonical to wire.

use super::NAME;
use super::types::{
    Answer, CallingConfig, Candidate, Content, Declaration, GenerationConfig, Request,
    ThinkingConfig, Tool as WireTool, ToolConfig,
};
use super::{usage, write_turns};
use crate::chat::{Chat, Effort, Format, Reasoning, Tool, ToolChoice};
use crate::families::Gemini;
use crate::json::{self, Json};
use crate::reply::{Finish, Reply};
use crate::{Dropped, Target, Unsupported, Written};

pub(super) fn request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    let family = Gemini::of(target.model);
    let mut dropped = Dropped::default();
    let native = crate::natives(chat, NAME, &mut dropped)?;
    let mut wire = Request::default();
    if !chat.system.is_empty() {
        wire.system_instruction = Some(Content {
            role: None,
            parts: Some(write_turns::system(&chat.system, &mut dropped)?),
        });
    }
    wire.contents = Some(write_turns::contents(chat, family, &mut dropped)?);
    wire.tools = tools(chat, &mut dropped)?;
    let (inner, outer) = split(native, "generationConfig.");
    let (tool_inner, outer) = split(outer, "toolConfig.");
    let config = json::object_with(&config(chat, family, target, &mut dropped), &inner);
    wire.generation_config = (config.get() != "{}").then_some(config);
    let calling = ToolConfig {
        function_calling_config: wire.tools.as_ref().and_then(|_| calling(&chat.tool_choice)),
    };
    let tool_config = json::object_with(&calling, &tool_inner);
    wire.tool_config = (tool_config.get() != "{}").then_some(tool_config);
    wire.service_tier = chat.service_tier.as_deref().and_then(|tier| match tier {
        "flex" | "priority" => Some(tier.to_owned()),
        "default" | "standard" => Some("standard".to_owned()),
        "auto" => None,
        _ => {
            dropped.note("service_tier");
            None
        }
    });
    dropped.unless_none("user", chat.user.as_ref());
    dropped.unless_none("verbosity", chat.output.verbosity.as_ref());
    if chat.parallel_tools == Some(false) {
        dropped.note("parallel_tool_calls");
    }
    Ok(dropped.written(&json::object_with(&wire, &outer)))
}

type Members = Vec<(String, Json)>;

/// Takes out the members whose name starts with `prefix`, without it.
fn split(members: Members, prefix: &str) -> (Members, Members) {
    let (inner, outer): (Members, Members) =
        members.into_iter().partition(|(field, _)| field.starts_with(prefix));
    let strip = |(field, raw): (String, Json)| (field.trim_start_matches(prefix).to_owned(), raw);
    (inner.into_iter().map(strip).collect(), outer)
}

fn config(
    chat: &Chat,
    family: Gemini,
    target: &Target<'_>,
    dropped: &mut Dropped,
) -> GenerationConfig {
    /// Google's limit.
    const MOST_STOPS: usize = 5;
    let asked = &chat.sampling;
    let mut config = GenerationConfig {
        temperature: asked.temperature,
        top_p: asked.top_p,
        top_k: asked.top_k,
        max_output_tokens: chat.max_tokens,
        presence_penalty: asked.presence_penalty,
        frequency_penalty: asked.frequency_penalty,
        // Google's seed has 32 bits.
        seed: asked.seed.map(|seed| seed & i64::from(i32::MAX)),
        ..GenerationConfig::default()
    };
    if asked.stop.len() > MOST_STOPS {
        dropped.note(format!("stop: {} -> {MOST_STOPS}", asked.stop.len()));
    }
    let stops: Vec<String> = asked.stop.iter().take(MOST_STOPS).cloned().collect();
    config.stop_sequences = (!stops.is_empty()).then_some(stops);
    match &chat.output.format {
        Format::Text => {}
        Format::JsonObject => config.response_mime_type = Some("application/json".to_owned()),
        Format::JsonSchema { schema, .. } => {
            config.response_mime_type = Some("application/json".to_owned());
            config.response_json_schema = Some(schema.clone());
        }
    }
    config.thinking_config =
        chat.reasoning.as_ref().and_then(|asked| thinking(asked, family, target.model, dropped));
    config
}

fn thinking(
    asked: &Reasoning,
    family: Gemini,
    model: &str,
    dropped: &mut Dropped,
) -> Option<ThinkingConfig> {
    let mut config = ThinkingConfig { include_thoughts: asked.show, ..ThinkingConfig::default() };
    match family {
        Gemini::Old => {
            dropped.note("reasoning");
            return None;
        }
        Gemini::Budget => {
            // 2.5 Pro cannot stop thinking; 128 is its least.
            let least = if model.contains("pro") { 128 } else { 0 };
            config.thinking_budget = match (asked.budget, asked.effort) {
                (_, Some(Effort::None)) => Some(least),
                (Some(budget), _) => i64::try_from(budget).ok(),
                (None, Some(Effort::Minimal)) => Some(512),
                (None, Some(Effort::Low)) => Some(1_024),
                (None, Some(Effort::Medium)) => Some(8_192),
                (None, Some(_)) => Some(24_576),
                (None, None) => Some(-1),
            };
        }
        Gemini::Level => {
            let effort = asked.effort.or(asked.budget.map(Effort::from_budget));
            let flash = model.contains("flash");
            if let (None, Some(budget), Some(effort)) = (asked.effort, asked.budget, effort) {
                dropped.note(format!("reasoning: {budget} tokens -> {}", effort.name()));
            }
            config.thinking_level = effort.map(|effort| {
                let level = match effort {
                    Effort::None | Effort::Minimal if flash => "minimal",
                    Effort::None | Effort::Minimal | Effort::Low => "low",
                    Effort::Medium => "medium",
                    Effort::High | Effort::Xhigh | Effort::Max => "high",
                };
                if level != effort.name() {
                    dropped.note(format!("reasoning: {} -> {level}", effort.name()));
                }
                level.to_ascii_uppercase()
            });
        }
    }
    Some(config)
}

fn tools(chat: &Chat, dropped: &mut Dropped) -> Result<Option<Vec<Json>>, Unsupported> {
    let (mut functions, mut tools) = (Vec::new(), Vec::new());
    for tool in &chat.tools {
        match tool {
            Tool::Function { name, description, schema, strict, cache } => {
                dropped.unless_none("cache_control", *cache);
                if *strict == Some(true) {
                    dropped.note("strict");
                }
                functions.push(Declaration {
                    name: Some(name.clone()),
                    description: description.clone(),
                    parameters: None,
                    // An empty object of parameters is refused; a function without arguments has none.
                    parameters_json_schema: schema.clone().filter(|schema| schema.get() != "{}"),
                });
            }
            Tool::Native(native) if native.dialect == NAME => tools.push(native.raw.clone()),
            Tool::Native(native) => return Err(crate::foreign(native, "tool")),
        }
    }
    if !functions.is_empty() {
        tools.insert(0, Json::of(&WireTool { function_declarations: Some(functions) }));
    }
    Ok((!tools.is_empty()).then_some(tools))
}

fn calling(choice: &ToolChoice) -> Option<CallingConfig> {
    let (mode, names) = match choice {
        ToolChoice::Unsaid => return None,
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::One(name) => ("ANY", Some(vec![name.clone()])),
        ToolChoice::Among { names, required: true } => ("ANY", Some(names.clone())),
        ToolChoice::Among { names, required: false } => ("VALIDATED", Some(names.clone())),
    };
    Some(CallingConfig { mode: Some(mode.to_owned()), allowed_function_names: names })
}

pub(super) fn reply(reply: &Reply) -> Vec<u8> {
    let finish = match reply.finish {
        Finish::Length => "MAX_TOKENS",
        Finish::Filter => "SAFETY",
        Finish::Failed => "OTHER",
        Finish::Stop | Finish::StopSequence | Finish::ToolUse | Finish::Pause => "STOP",
    };
    let content =
        Content { role: Some("model".to_owned()), parts: Some(write_turns::answer(&reply.blocks)) };
    let answer = Answer {
        candidates: Some(vec![Candidate {
            content: Some(content),
            finish_reason: Some(finish.to_owned()),
            index: Some(0),
        }]),
        prompt_feedback: None,
        usage_metadata: reply.usage.as_ref().map(|report| Json::of(&usage::write(&report.total()))),
        model_version: Some(reply.model.clone()),
        response_id: Some(reply.id.clone()),
    };
    Json::of(&answer).get().as_bytes().to_vec()
}
