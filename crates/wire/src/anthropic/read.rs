//! Wire to canonical.

use super::NAME;
use super::types::{
    Answer, Block as WireBlock, CacheControl, Content, Format as WireFormat, Message, Metadata,
    OutputConfig, Request, Source as WireSource, Thinking, Tool as WireTool,
};
use super::usage;
use crate::chat::{
    Block, CacheLife, Chat, Effort, Format, Media, MediaKind, Native, Output, Reasoning, Role,
    Sampling, Seal, Source, Tool, ToolChoice, Turn,
};
use crate::json::{self, Json, Malformed, TextOr};
use crate::reply::{Finish, Reply};

pub(super) fn request(body: &[u8]) -> Result<Chat, Malformed> {
    let text = json::utf8(body)?;
    let request: Request = json::read(text, "")?;
    let mut native: Vec<(String, Json)> = json::leftovers::<Request>(text);
    let config = request.output_config.as_ref();
    let config_text = config.map_or("{}", Json::get);
    let config: OutputConfig = json::read(config_text, "output_config")?;
    for (field, raw) in json::leftovers::<OutputConfig>(config_text) {
        native.push((format!("output_config.{field}"), raw));
    }
    let metadata = request.metadata.as_ref().map_or("{}", Json::get);
    let metadata: Metadata = json::read(metadata, "metadata")?;
    let messages = request.messages.ok_or_else(|| missing("messages", "an array of messages"))?;
    let nested = nested(&messages, request.tools.as_deref().unwrap_or_default());
    let mut turns = Vec::new();
    for (i, raw) in messages.iter().enumerate() {
        turns.push(turn(raw, &format!("messages[{i}]"))?);
    }
    let choice = request.tool_choice.unwrap_or_default();
    Ok(Chat {
        model: request.model.ok_or_else(|| missing("model", "the name of a model"))?,
        system: content(request.system, "system")?,
        turns,
        tools: tools(request.tools.as_deref().unwrap_or_default())?,
        tool_choice: match (choice.kind.as_deref(), choice.name) {
            (None, _) => ToolChoice::Unsaid,
            (Some("auto"), _) => ToolChoice::Auto,
            (Some("none"), _) => ToolChoice::None,
            (Some("any"), _) => ToolChoice::Required,
            (Some("tool"), Some(name)) => ToolChoice::One(name),
            (Some("tool"), None) => return Err(missing("tool_choice.name", "a tool's name")),
            (Some(_), _) => {
                return Err(Malformed::new("tool_choice.type", "must be auto, any, tool or none"));
            }
        },
        parallel_tools: choice.disable_parallel_tool_use.map(|off| !off),
        sampling: Sampling {
            temperature: request.temperature,
            top_p: request.top_p,
            top_k: request.top_k,
            stop: request.stop_sequences.unwrap_or_default(),
            ..Sampling::default()
        },
        reasoning: reasoning(request.thinking, config.effort)?,
        output: Output { format: format(config.format.or(request.output_format)), verbosity: None },
        max_tokens: request.max_tokens,
        stream: request.stream.unwrap_or(false),
        include_usage: true,
        user: metadata.user_id,
        service_tier: request.service_tier.map(|tier| match tier.as_str() {
            "standard_only" => "default".to_owned(),
            _ => tier,
        }),
        native: native
            .into_iter()
            .map(|(field, raw)| Native { dialect: NAME, field, raw })
            .chain(nested)
            .collect(),
    })
}

/// What known blocks and tools hold beyond the canonical form: citations, loading hints.
fn nested(messages: &[Json], tools: &[Json]) -> Vec<Native> {
    let mut known = Vec::new();
    for raw in messages {
        if let Ok(Message { content: Some(TextOr::List(list)), .. }) =
            serde_json::from_str(raw.get())
        {
            known.extend(list.into_iter().filter(|raw| {
                let block = serde_json::from_str::<WireBlock>(raw.get());
                block.is_ok_and(|block| {
                    block.kind.is_some_and(|kind| KNOWN.contains(&kind.as_str()))
                })
            }));
        }
    }
    let custom = |raw: &&Json| {
        let tool = serde_json::from_str::<WireTool>(raw.get()).unwrap_or_default();
        matches!(tool.kind.as_deref(), None | Some("custom"))
    };
    let custom: Vec<Json> = tools.iter().filter(custom).cloned().collect();
    let mut nested = json::inside::<WireBlock>("content", &known);
    nested.extend(json::inside::<WireTool>("tools", &custom));
    nested
}

/// Blocks that have a canonical form.
const KNOWN: [&str; 6] = ["text", "thinking", "tool_use", "tool_result", "image", "document"];

fn missing(path: &str, right: &str) -> Malformed {
    Malformed::new(path, format!("missing; {right} is required"))
}

fn turn(raw: &Json, path: &str) -> Result<Turn, Malformed> {
    let message: Message = json::read(raw.get(), path)?;
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
    Ok(Turn { role, blocks: content(message.content, path)?, name: None })
}

fn content(content: Option<Content>, path: &str) -> Result<Vec<Block>, Malformed> {
    let list = match content {
        None => return Ok(Vec::new()),
        Some(TextOr::Text(text)) => return Ok(vec![Block::Text(text)]),
        Some(TextOr::List(list)) => list,
    };
    let mut blocks = Vec::new();
    for (i, raw) in list.iter().enumerate() {
        blocks.extend(block(raw, &format!("{path}.content[{i}]"))?);
    }
    Ok(blocks)
}

/// A block, and the cache marker that follows it if it carries one.
fn block(raw: &Json, path: &str) -> Result<Vec<Block>, Malformed> {
    #[derive(serde::Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    let kind: Kind = json::read(raw.get(), path)?;
    let kind = kind.kind.ok_or_else(|| missing(&format!("{path}.type"), "the kind of block"))?;
    if !KNOWN.contains(&kind.as_str()) {
        // Blocks of server tools have shapes of their own, and new ones appear.
        return Ok(vec![Block::Native(Native { dialect: NAME, field: kind, raw: raw.clone() })]);
    }
    let wire: WireBlock = json::read(raw.get(), path)?;
    let lacks = |field: &str| missing(&format!("{path}.{field}"), "a value");
    let cache = wire.cache_control.as_ref().map(|control| Block::CachePoint(life(control)));
    let block = match kind.as_str() {
        "text" => Block::Text(wire.text.ok_or_else(|| lacks("text"))?),
        "thinking" => Block::Thinking {
            text: wire.thinking.unwrap_or_default(),
            seal: wire
                .signature
                .filter(|signature| !signature.is_empty())
                .map(|value| Seal { dialect: NAME, value }),
        },
        "tool_use" => Block::ToolUse {
            id: wire.id.ok_or_else(|| lacks("id"))?,
            name: wire.name.ok_or_else(|| lacks("name"))?,
            input: wire.input.unwrap_or_else(Json::empty_object),
            seal: None,
        },
        "tool_result" => Block::ToolResult {
            id: wire.tool_use_id.ok_or_else(|| lacks("tool_use_id"))?,
            name: None,
            blocks: content(wire.content, path)?,
            failed: wire.is_error.unwrap_or(false),
        },
        _ => match media(&kind, wire) {
            Some(media) => Block::Media(media),
            None => Block::Native(Native { dialect: NAME, field: kind, raw: raw.clone() }),
        },
    };
    Ok(std::iter::once(block).chain(cache).collect())
}

fn life(control: &CacheControl) -> CacheLife {
    if control.ttl.as_deref() == Some("1h") { CacheLife::Long } else { CacheLife::Short }
}

/// Nothing for a source that has no counterpart elsewhere.
fn media(kind: &str, wire: WireBlock) -> Option<Media> {
    let kind = if kind == "image" { MediaKind::Image } else { MediaKind::Document };
    let WireSource { kind: source, media_type, data, url, file_id } = wire.source?;
    let source = match source.as_deref()? {
        "base64" => Source::Base64(data?),
        "text" => Source::Text(data?),
        "url" => Source::Url(url?),
        "file" => Source::File { dialect: NAME, id: file_id? },
        _ => return None,
    };
    let mut media = Media::new(kind, source, media_type);
    media.name = wire.title;
    Some(media)
}

fn tools(list: &[Json]) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for (i, raw) in list.iter().enumerate() {
        let path = format!("tools[{i}]");
        let tool: WireTool = json::read(raw.get(), &path)?;
        let custom = matches!(tool.kind.as_deref(), None | Some("custom"));
        tools.push(match tool.kind {
            Some(kind) if !custom => {
                Tool::Native(Native { dialect: NAME, field: kind, raw: raw.clone() })
            }
            _ => Tool::Function {
                name: tool.name.ok_or_else(|| missing(&format!("{path}.name"), "a name"))?,
                description: tool.description,
                schema: tool.input_schema,
                strict: tool.strict,
                cache: tool.cache_control.as_ref().map(life),
            },
        });
    }
    Ok(tools)
}

fn reasoning(
    thinking: Option<Thinking>,
    effort: Option<String>,
) -> Result<Option<Reasoning>, Malformed> {
    if thinking.is_none() && effort.is_none() {
        return Ok(None);
    }
    let thinking = thinking.unwrap_or_default();
    let effort = match effort {
        Some(word) => Some(Effort::from_name(&word).ok_or_else(|| {
            Malformed::new("output_config.effort", "must be low, medium, high, xhigh or max")
        })?),
        None => None,
    };
    Ok(Some(Reasoning {
        effort: if thinking.kind.as_deref() == Some("disabled") {
            Some(Effort::None)
        } else {
            effort
        },
        budget: thinking.budget_tokens,
        show: thinking.display.map(|display| display != "omitted"),
    }))
}

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
    Ok(Reply {
        id: answer.id.unwrap_or_default(),
        model: answer.model.unwrap_or_default(),
        created: None,
        blocks: content(Some(TextOr::List(list)), "")?,
        finish: match answer.stop_reason.as_deref() {
            Some("stop_sequence") => Finish::StopSequence,
            Some("tool_use") => Finish::ToolUse,
            Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
            Some("refusal") => Finish::Filter,
            Some("pause_turn") => Finish::Pause,
            _ => Finish::Stop,
        },
        stop_sequence: answer.stop_sequence,
        usage: answer.usage.map(|usage| usage::read(usage.get())).transpose()?,
    })
}
