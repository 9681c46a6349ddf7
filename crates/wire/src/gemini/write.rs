//! Canonical request to wire.

use super::names::Names;
use super::read::VALIDATED;
use super::types::{Content, GenerationConfig, Request, ThinkingConfig, ToolConfig};
use super::write_tools::{self, Tools};
use super::{NAME, schema, write_turns};
use crate::chat::{Chat, Effort, Format, Reasoning};
use crate::families::{Gemini, gemini_version};
use crate::json::{self, Json};
use crate::{Dropped, Target, Unsupported, Written, foreign};

pub(super) fn request(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    foreign::refuse_parts(chat, NAME)?;
    let family = Gemini::of(target.model);
    let names = Names::of(chat);
    let mut dropped = Dropped::default();
    let native = crate::natives(chat, NAME, |_| None, &mut dropped)?;
    let mut wire = Request::default();
    if !chat.system.is_empty() {
        let parts = write_turns::system(&chat.system, &names, &mut dropped)?;
        // Nothing but blanks is nothing.
        let content = Content { role: None, parts: Some(parts) };
        wire.system_instruction =
            Some(content).filter(|content| content.parts.iter().any(|parts| !parts.is_empty()));
    }
    wire.contents = Some(write_turns::contents(chat, family, &names, &mut dropped)?);
    let tools = write_tools::tools(chat, family, target, &names, &mut dropped)?;
    let (inner, outer) = split(native, "generationConfig.");
    let (tool_inner, outer) = split(outer, "toolConfig.");
    let config = config(chat, family, target, &mut dropped)?;
    let config = json::object_with(&config, &inner);
    wire.generation_config = (config.get() != "{}").then_some(config);
    let tool_config = tool_config(&tools, tool_inner);
    wire.tool_config = (tool_config.get() != "{}").then_some(tool_config);
    wire.tools = tools.list;
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
    let mut written = dropped.written(&json::object_with(&wire, &outer));
    written.renamed = names.renamed();
    Ok(written)
}

type Members = Vec<(String, Json)>;

/// Takes out the members whose name starts with `prefix`, without it.
fn split(members: Members, prefix: &str) -> (Members, Members) {
    let (inner, outer): (Members, Members) =
        members.into_iter().partition(|(field, _)| field.starts_with(prefix));
    let strip = |(field, raw): (String, Json)| {
        (field.strip_prefix(prefix).map(str::to_owned).unwrap_or(field), raw)
    };
    (inner.into_iter().map(strip).collect(), outer)
}

fn tool_config(tools: &Tools, mut native: Members) -> Json {
    const SHOW: &str = "includeServerSideToolInvocations";
    let is_mode = |field: &str| VALIDATED.strip_prefix("toolConfig.") == Some(field);
    let mode = native.iter().position(|(field, _)| is_mode(field));
    let mode = mode.and_then(|at| native.remove(at).1.as_string());
    let calling = tools.calling.as_ref().map(|calling| super::types::CallingConfig {
        mode: match (mode, calling.mode.as_deref()) {
            (Some(mode), Some("AUTO")) => Some(mode),
            _ => calling.mode.clone(),
        },
        allowed_function_names: calling.allowed_function_names.clone(),
    });
    if tools.show_invocations && native.iter().all(|(field, _)| field != SHOW) {
        native.push((SHOW.to_owned(), Json::of(&true)));
    }
    json::object_with(&ToolConfig { function_calling_config: calling }, &native)
}

fn config(
    chat: &Chat,
    family: Gemini,
    target: &Target<'_>,
    dropped: &mut Dropped,
) -> Result<GenerationConfig, Unsupported> {
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
        seed: asked.seed.map(|seed| short_seed(seed, dropped)),
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
        Format::JsonSchema { schema, description, .. } => {
            const PLACE: &str = "response_format.schema";
            dropped.unless_none("response_format.description", description.as_ref());
            config.response_mime_type = Some("application/json".to_owned());
            let refuse = |unfit: super::schema_tree::Unfit| Unsupported::new(PLACE, unfit.0);
            if write_tools::takes_json_schema(target.model) {
                let schema = schema::to_json_schema(schema, PLACE, dropped).map_err(refuse)?;
                config.response_json_schema = Some(schema);
            } else {
                let schema = schema::to_openapi(schema, PLACE, dropped).map_err(refuse)?;
                config.response_schema = Some(schema);
            }
        }
    }
    config.thinking_config =
        chat.reasoning.as_ref().and_then(|asked| thinking(asked, family, target.model, dropped));
    Ok(config)
}

/// The seed in 31 bits.
fn short_seed(seed: i64, dropped: &mut Dropped) -> i64 {
    let short = seed & i64::from(i32::MAX);
    if short != seed {
        dropped.note(format!("seed: {seed} -> {short}"));
    }
    short
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
            // To a model that does not think, not to think is nothing new.
            if asked.effort != Some(Effort::None) {
                dropped.note("reasoning");
            }
            return None;
        }
        Gemini::Budget => config.thinking_budget = Some(budget(asked, model, dropped)),
        Gemini::Level => config.thinking_level = level(asked, model, dropped),
    }
    let ThinkingConfig { include_thoughts, thinking_budget, thinking_level } = &config;
    // An empty one says nothing.
    let says = include_thoughts.is_some() || thinking_budget.is_some() || thinking_level.is_some();
    says.then_some(config)
}

/// <https://ai.google.dev/gemini-api/docs/thinking#set-budget>
fn budget(asked: &Reasoning, model: &str, dropped: &mut Dropped) -> i64 {
    let pro = model.contains("pro");
    let (least, most) = match (pro, model.contains("lite")) {
        (true, _) => (128, 32_768),
        (_, true) => (512, 24_576),
        _ => (0, 24_576),
    };
    let budget = match (asked.budget, asked.effort) {
        (_, Some(Effort::None)) if pro => {
            // It cannot stop thinking.
            dropped.note(format!("reasoning: none -> {least} tokens"));
            least
        }
        (_, Some(Effort::None)) => 0,
        (Some(budget), _) => {
            let near = budget.clamp(least, most);
            if near != budget {
                dropped.note(format!("reasoning: {budget} -> {near} tokens"));
            }
            near
        }
        (None, Some(Effort::Minimal)) => {
            dropped.note("reasoning: minimal -> 512 tokens");
            512
        }
        (None, Some(Effort::Low)) => 1_024,
        (None, Some(Effort::Medium)) => 8_192,
        (None, Some(Effort::High)) => 24_576,
        (None, Some(effort @ (Effort::Xhigh | Effort::Max))) => {
            dropped.note(format!("reasoning: {} -> {most} tokens", effort.name()));
            most
        }
        // As much as the model sees fit.
        (None, None) => return -1,
    };
    i64::try_from(budget).unwrap_or(i64::MAX)
}

/// <https://ai.google.dev/gemini-api/docs/thinking#thinking-levels>
fn level(asked: &Reasoning, model: &str, dropped: &mut Dropped) -> Option<String> {
    let effort = asked.effort.or(asked.budget.map(Effort::from_budget))?;
    if let (None, Some(budget)) = (asked.effort, asked.budget) {
        dropped.note(format!("reasoning: {budget} tokens -> {}", effort.name()));
    }
    let newest = gemini_version(model).is_some_and(|version| version >= 4);
    let level = match effort {
        Effort::None | Effort::Minimal if model.contains("flash") => "minimal",
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::Xhigh | Effort::Max if newest => "xhigh",
        Effort::High | Effort::Xhigh | Effort::Max => "high",
    };
    if level != effort.name() {
        dropped.note(format!("reasoning: {} -> {level}", effort.name()));
    }
    Some(level.to_ascii_uppercase())
}
