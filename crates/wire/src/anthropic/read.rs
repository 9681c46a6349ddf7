//! Wire to canonical.

use std::collections::BTreeMap;

use super::read_blocks::{content, life, missing};
use super::types::{
    Answer, Choice, Format as WireFormat, HostedTool, Message, Metadata, OutputConfig, PlainTool,
    Request, StopDetails, Thinking, Tool as WireTool,
};
use super::{JSON_TOOL, NAME, search, usage};
use crate::chat::{
    Block, Chat, Effort, Format, Hosted, Native, Output, Reasoning, Role, Sampling, Tool,
    ToolChoice, Turn, WebSearch,
};
use crate::json::{self, Json, Malformed, TextOr};
use crate::reply::{Finish, Reply};
use crate::{schema, unknown};

pub(super) fn request(body: &[u8]) -> Result<Chat, Malformed> {
    let text = json::utf8(body)?;
    let mut native: Vec<Native> = Vec::new();
    let request: Request = unknown::read(text, "", NAME, "", &mut native)?;
    let config =
        part::<OutputConfig>(request.output_config.as_ref(), "output_config", &mut native)?;
    let metadata = part::<Metadata>(request.metadata.as_ref(), "metadata", &mut native)?;
    let thinking = part::<Thinking>(request.thinking.as_ref(), "thinking", &mut native)?;
    let messages = request.messages.ok_or_else(|| missing("messages", "an array of messages"))?;
    let mut turns = Vec::new();
    for (i, raw) in messages.iter().enumerate() {
        turns.push(turn(raw, &format!("messages[{i}]"), &mut native)?);
    }
    let system = content(request.system, "system", &mut native)?;
    let tools = tools(request.tools.as_deref().unwrap_or_default(), &mut native)?;
    let choice = request.tool_choice.unwrap_or_default();
    let thinks = request.thinking.is_some().then_some(thinking);
    Ok(Chat {
        model: request.model.ok_or_else(|| missing("model", "the name of a model"))?,
        system,
        turns,
        tools,
        parallel_tools: choice.disable_parallel_tool_use.map(|off| !off),
        tool_choice: tool_choice(choice)?,
        sampling: Sampling {
            temperature: request.temperature,
            top_p: request.top_p,
            top_k: request.top_k,
            stop: request.stop_sequences.unwrap_or_default(),
            ..Sampling::default()
        },
        reasoning: reasoning(thinks, config.effort, &mut native)?,
        output: Output { format: format(config.format.or(request.output_format)), verbosity: None },
        max_tokens: request.max_tokens,
        stream: request.stream.unwrap_or(false),
        include_usage: true,
        user: metadata.user_id,
        service_tier: request.service_tier.map(|tier| match tier.as_str() {
            "standard_only" => "default".to_owned(),
            _ => tier,
        }),
        native,
    })
}

fn own(field: impl Into<String>, raw: Json) -> Native {
    Native { dialect: NAME, field: field.into(), raw }
}

/// A part of a request; what it holds beyond its known members is kept under both names.
fn part<T: serde::de::DeserializeOwned + Default>(
    raw: Option<&Json>,
    name: &str,
    native: &mut Vec<Native>,
) -> Result<T, Malformed> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(T::default()) };
    unknown::read(raw.get(), name, NAME, name, native)
}

fn turn(raw: &Json, path: &str, lost: &mut Vec<Native>) -> Result<Turn, Malformed> {
    let message: Message = unknown::read(raw.get(), path, "", "messages", lost)?;
    let role = match message.role.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => {
            return Err(Malformed::new(
                format!("{path}.role"),
                "must be user, assistant or system",
            ));
        }
    };
    let blocks = search::restored(content(message.content, path, lost)?);
    Ok(Turn { role, blocks, name: None })
}

fn tool_choice(choice: Choice) -> Result<ToolChoice, Malformed> {
    Ok(match (choice.kind.as_deref(), choice.name) {
        (None, _) => ToolChoice::Unsaid,
        (Some("auto"), _) => ToolChoice::Auto,
        (Some("none"), _) => ToolChoice::None,
        (Some("any"), _) => ToolChoice::Required,
        (Some("tool"), Some(name)) => ToolChoice::One(name),
        (Some("tool"), None) => return Err(missing("tool_choice.name", "a tool's name")),
        (Some(_), _) => {
            return Err(Malformed::new("tool_choice.type", "must be auto, any, tool or none"));
        }
    })
}

/// The tools. What functions hold beyond the canonical form goes to `native`: for each member, its values by the tool's
/// name.
fn tools(list: &[Json], native: &mut Vec<Native>) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    let mut members: BTreeMap<String, Vec<(String, Json)>> = BTreeMap::new();
    for (i, raw) in list.iter().enumerate() {
        let path = format!("tools[{i}]");
        let mut lost = Vec::new();
        let tool: WireTool = unknown::read(raw.get(), &path, NAME, "tools", &mut lost)?;
        tools.push(match tool.kind {
            Some(kind) if kind.is_empty() => {
                return Err(missing(&format!("{path}.type"), "the kind of tool"));
            }
            Some(kind) if kind != "custom" => {
                let native = Native { dialect: NAME, field: kind, raw: raw.clone() };
                match hosted(&native) {
                    Some(kind) => Tool::Hosted { kind, native },
                    None => Tool::Native(native),
                }
            }
            _ => {
                let name = tool.name.ok_or_else(|| missing(&format!("{path}.name"), "a name"))?;
                let (of_tool, inside): (Vec<_>, Vec<_>) =
                    lost.into_iter().partition(|native| native.dialect == NAME);
                native.extend(inside);
                for Native { field, raw, .. } in of_tool {
                    members.entry(field).or_default().push((name.clone(), raw));
                }
                Tool::Function {
                    name,
                    description: tool.description,
                    schema: schema::object(tool.input_schema, &format!("{path}.input_schema"))?,
                    strict: tool.strict,
                    cache: tool.cache_control.as_ref().map(life),
                }
            }
        });
    }
    let whole = |values: Vec<_>| json::object_with(&Json::empty_object(), &values);
    native.extend(members.into_iter().map(|(field, values)| own(field, whole(values))));
    Ok(tools)
}

/// What other dialects have too; each kind has had several dates.
fn hosted(native: &Native) -> Option<Hosted> {
    let kind = native.field.as_str();
    if kind.starts_with("web_fetch_") {
        return Some(Hosted::WebFetch);
    }
    if kind.starts_with("code_execution_") {
        return Some(Hosted::CodeExecution);
    }
    if kind.starts_with("tool_search_tool_") {
        return Some(Hosted::ToolSearch);
    }
    let tool: HostedTool = serde_json::from_str(native.raw.get()).ok()?;
    kind.starts_with("web_search_").then(|| {
        Hosted::WebSearch(WebSearch {
            max_uses: tool.max_uses,
            allowed_domains: tool.allowed_domains.unwrap_or_default(),
            blocked_domains: tool.blocked_domains.unwrap_or_default(),
            user_location: tool.user_location,
            context_size: None,
        })
    })
}

/// What a tool that runs at the provider says that no other dialect has words for.
pub(crate) fn terms(tool: &Native) -> Vec<Native> {
    let (kind, text) = (tool.field.as_str(), tool.raw.get());
    let mut lost = match hosted(tool) {
        Some(Hosted::WebSearch(_)) => unknown::members::<HostedTool>(text, kind),
        _ => unknown::members::<PlainTool>(text, kind),
    };
    for marker in lost.iter_mut().filter(|term| term.field.ends_with(".cache_control")) {
        "cache_control".clone_into(&mut marker.field);
    }
    lost
}

fn reasoning(
    thinking: Option<Thinking>,
    effort: Option<String>,
    native: &mut Vec<Native>,
) -> Result<Option<Reasoning>, Malformed> {
    let level = match effort.as_deref() {
        Some(word) => Some(Effort::from_name(word).ok_or_else(|| {
            Malformed::new("output_config.effort", "must be low, medium, high, xhigh or max")
        })?),
        None => None,
    };
    let Some(thinking) = thinking else {
        // Effort alone does not turn thinking on here; elsewhere it has no other meaning.
        if level.is_some() {
            native.push(own(UNSAID, Json::empty_object()));
        }
        return Ok(level.map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() }));
    };
    let off = thinking.is_off();
    if let (true, Some(word)) = (off, effort) {
        native.push(own("output_config.effort", Json::of(&word)));
    }
    let shown = thinking.display.is_none() && thinking.kind.as_deref() == Some("enabled");
    if shown {
        native.push(own(SHOWN_UNSAID, Json::empty_object()));
    }
    Ok(Some(Reasoning {
        effort: if off { Some(Effort::None) } else { level },
        budget: thinking.budget_tokens,
        show: thinking.display.map(|display| display != "omitted").or(shown.then_some(true)),
    }))
}

/// The native field that says that nothing was said of thinking; empty, so that nobody else misses it.
pub(super) const UNSAID: &str = "thinking";

/// Likewise, that nothing was said of showing thoughts, which are shown where thinking is enabled the older way.
pub(super) const SHOWN_UNSAID: &str = "thinking.display";

fn format(format: Option<WireFormat>) -> Format {
    match format.and_then(|format| format.schema) {
        Some(schema) => {
            Format::JsonSchema { name: None, description: None, schema, strict: Some(true) }
        }
        None => Format::Text,
    }
}

pub(super) fn reply(body: &[u8]) -> Result<Reply, Malformed> {
    let answer: Answer = json::read(json::utf8(body)?, "")?;
    let list = answer.content.ok_or_else(|| missing("content", "an array of blocks"))?;
    let answered = list.iter().any(|raw| raw.get().contains(JSON_TOOL));
    let mut blocks = content(Some(TextOr::List(list)), "", &mut Vec::new())?;
    let mut finish = finish(answer.stop_reason.as_deref());
    let calls = blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    if finish == Finish::ToolUse && answered && !calls {
        // The only call was the answer itself.
        finish = Finish::Stop;
    }
    let said = blocks.iter().any(|block| matches!(block, Block::Text(text) if !text.is_empty()));
    if finish == Finish::Filter && !said {
        blocks.extend(explanation(answer.stop_details.as_ref()).map(Block::Refusal));
    }
    Ok(Reply {
        id: answer.id.unwrap_or_default(),
        model: answer.model.unwrap_or_default(),
        created: None,
        blocks,
        finish,
        stop_sequence: answer.stop_sequence,
        usage: answer.usage.map(|usage| usage::read_or_mark(usage.get())),
    })
}

pub(super) fn finish(stop_reason: Option<&str>) -> Finish {
    match stop_reason {
        Some("stop_sequence") => Finish::StopSequence,
        Some("tool_use") => Finish::ToolUse,
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("refusal") => Finish::Filter,
        Some("pause_turn") => Finish::Pause,
        _ => Finish::Stop,
    }
}

/// Why the answer was refused; shown where nothing else is.
pub(super) fn explanation(details: Option<&Json>) -> Option<String> {
    let details: StopDetails = serde_json::from_str(details?.get()).ok()?;
    details.explanation.filter(|text| !text.is_empty())
}
