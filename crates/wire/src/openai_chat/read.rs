//! Wire to canonical.

use super::NAME;
use super::types::{
    CacheControl, Called, Choose, Completion, Content, Function, Message, Part, Request,
    ResponseFormat, Tool as WireTool, ToolCall,
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
    let model = request.model.clone().ok_or_else(|| missing("model", "the name of a model"))?;
    let messages =
        request.messages.as_deref().ok_or_else(|| missing("messages", "an array of messages"))?;
    let (system, turns) = conversation(messages)?;
    let native = json::leftovers::<Request>(text)
        .into_iter()
        .map(|(field, raw)| Native { dialect: NAME, field, raw })
        .chain(json::inside::<Message>("messages", messages))
        .collect();
    Ok(Chat {
        model,
        system,
        turns,
        tools: tools(&request)?,
        tool_choice: tool_choice(&request)?,
        parallel_tools: request.parallel_tool_calls,
        reasoning: reasoning(&request)?,
        output: Output { format: format(request.response_format)?, verbosity: request.verbosity },
        max_tokens: request.max_completion_tokens.or(request.max_tokens),
        stream: request.stream.unwrap_or(false),
        include_usage: request.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
        user: request.safety_identifier.or(request.user).or(request.user_id),
        service_tier: request.service_tier,
        sampling: Sampling {
            temperature: request.temperature,
            top_p: request.top_p,
            top_k: request.top_k,
            presence_penalty: request.presence_penalty,
            frequency_penalty: request.frequency_penalty,
            seed: request.seed,
            stop: match request.stop {
                Some(TextOr::Text(one)) => vec![one],
                Some(TextOr::List(several)) => several,
                None => Vec::new(),
            },
        },
        native,
    })
}

fn missing(path: &str, right: &str) -> Malformed {
    Malformed::new(path, format!("missing; {right} is required"))
}

fn conversation(messages: &[Json]) -> Result<(Vec<Block>, Vec<Turn>), Malformed> {
    let mut system = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    let mut last_function = None;
    for (i, raw) in messages.iter().enumerate() {
        let path = format!("messages[{i}]");
        let message: Message = json::read(raw.get(), &path)?;
        let name = message.name.clone();
        let (role, blocks) = match message.role.as_deref() {
            Some("system" | "developer") => {
                let blocks = content(message.content, &path)?;
                if turns.is_empty() {
                    system.extend(blocks);
                    continue;
                }
                (Role::System, blocks)
            }
            Some("user") => (Role::User, content(message.content, &path)?),
            Some("assistant") => {
                if message.function_call.is_some() {
                    last_function = Some(format!("call_fn_{i}"));
                }
                (Role::Assistant, assistant(message, &path, last_function.as_deref())?)
            }
            Some("tool") => {
                let id = message.tool_call_id.clone();
                let id =
                    id.ok_or_else(|| missing(&format!("{path}.tool_call_id"), "a call's id"))?;
                (Role::User, vec![tool_result(id, message, &path)?])
            }
            Some("function") => {
                let id = last_function.clone().unwrap_or_else(|| "call_fn".to_owned());
                (Role::User, vec![tool_result(id, message, &path)?])
            }
            _ => {
                let right = "must be one of developer, system, user, assistant, tool, function";
                return Err(Malformed::new(format!("{path}.role"), right));
            }
        };
        push(&mut turns, Turn { role, blocks, name });
    }
    Ok((system, turns))
}

/// Results of one round of calls come as messages of their own; together they are one turn.
fn push(turns: &mut Vec<Turn>, turn: Turn) {
    let results = |turn: &Turn| {
        turn.role == Role::User
            && !turn.blocks.is_empty()
            && turn
                .blocks
                .iter()
                .all(|b| matches!(b, Block::ToolResult { .. } | Block::CachePoint(_)))
    };
    match turns.last_mut() {
        Some(last) if results(last) && results(&turn) => last.blocks.extend(turn.blocks),
        _ => turns.push(turn),
    }
}

fn tool_result(id: String, message: Message, path: &str) -> Result<Block, Malformed> {
    let mut blocks = content(message.content, path)?;
    if message.cache_control.is_some() {
        blocks.push(cache_point(message.cache_control.as_ref()));
    }
    Ok(Block::ToolResult { id, name: message.name, blocks, failed: false })
}

fn assistant(
    message: Message,
    path: &str,
    function: Option<&str>,
) -> Result<Vec<Block>, Malformed> {
    let mut blocks = Vec::new();
    let thoughts = message.reasoning_content.or(message.reasoning).filter(|text| !text.is_empty());
    if let Some(text) = thoughts {
        blocks.push(Block::Thinking { text, seal: None });
    }
    blocks.extend(content(message.content, path)?);
    blocks.extend(message.refusal.filter(|text| !text.is_empty()).map(Block::Refusal));
    if let Some(audio) = message.audio {
        // Without the data this refers to an earlier answer that OpenAI keeps.
        let source = match (audio.data, audio.id) {
            (Some(data), _) => Source::Base64(data),
            (None, id) => Source::File { dialect: NAME, id: id.unwrap_or_default() },
        };
        let mut media = Media::new(MediaKind::Audio, source, None);
        media.transcript = audio.transcript;
        blocks.push(Block::Media(media));
    }
    for (i, call) in message.tool_calls.into_iter().flatten().enumerate() {
        blocks.push(tool_call(call, i, path));
    }
    if let Some(call) = message.function_call {
        let id = function.unwrap_or("call_fn").to_owned();
        blocks.push(tool_use(id, call, None));
    }
    Ok(blocks)
}

fn tool_call(call: ToolCall, i: usize, path: &str) -> Block {
    if call.custom.is_some() {
        return Block::Native(Native {
            dialect: NAME,
            field: "tool_calls".to_owned(),
            raw: Json::of(&call),
        });
    }
    // Gemini's compatible API leaves ids empty; a call needs one to be answered.
    let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| minted(path, i));
    let signature = call.extra_content.and_then(|e| e.google).and_then(|g| g.thought_signature);
    let seal = signature.map(|value| Seal { dialect: crate::gemini::NAME, value });
    tool_use(id, call.function.unwrap_or_default(), seal)
}

fn minted(path: &str, i: usize) -> String {
    let place: String = path.chars().filter(char::is_ascii_digit).collect();
    format!("call_{place}_{i}")
}

fn tool_use(id: String, call: Called, seal: Option<Seal>) -> Block {
    let input =
        call.arguments.map_or_else(Json::empty_object, |arguments| match arguments.as_string() {
            Some(text) => Json::from_arguments(&text),
            None => arguments,
        });
    Block::ToolUse { id, name: call.name.unwrap_or_default(), input, seal }
}

fn cache_point(control: Option<&CacheControl>) -> Block {
    let ttl = control.and_then(|control| control.ttl.as_deref());
    Block::CachePoint(match ttl {
        Some("1h" | "12h") => CacheLife::Long,
        _ => CacheLife::Short,
    })
}

fn content(content: Option<Content>, path: &str) -> Result<Vec<Block>, Malformed> {
    let parts = match content {
        None => return Ok(Vec::new()),
        Some(TextOr::Text(text)) => return Ok(vec![Block::Text(text)]),
        Some(TextOr::List(parts)) => parts,
    };
    let mut blocks = Vec::new();
    for (i, raw) in parts.iter().enumerate() {
        let path = format!("{path}.content[{i}]");
        let part: Part = json::read(raw.get(), &path)?;
        let cache = part.cache_control.as_ref().or(part.prompt_cache_breakpoint.as_ref());
        let cache = cache.map(|control| cache_point(Some(control)));
        blocks.push(block(part, raw, &path)?);
        blocks.extend(cache);
    }
    Ok(blocks)
}

fn block(part: Part, raw: &Json, path: &str) -> Result<Block, Malformed> {
    let lacks = |field: &str| missing(&format!("{path}.{field}"), "a value");
    Ok(match part.kind.as_deref() {
        Some("text") => Block::Text(part.text.ok_or_else(|| lacks("text"))?),
        Some("refusal") => Block::Refusal(part.refusal.ok_or_else(|| lacks("refusal"))?),
        Some("image_url") => {
            let image = part.image_url.ok_or_else(|| lacks("image_url"))?;
            let url = image.url.ok_or_else(|| lacks("image_url.url"))?;
            let mut media = Media::from_url(MediaKind::Image, &url);
            media.detail = image.detail;
            Block::Media(media)
        }
        Some("input_audio") => {
            let audio = part.input_audio.ok_or_else(|| lacks("input_audio"))?;
            let data = audio.data.ok_or_else(|| lacks("input_audio.data"))?;
            let mime = format!("audio/{}", audio.format.as_deref().unwrap_or("wav"));
            Block::Media(Media::new(MediaKind::Audio, Source::Base64(data), Some(mime)))
        }
        Some("file") => {
            let file = part.file.ok_or_else(|| lacks("file"))?;
            let mut media = match (file.file_data, file.file_id) {
                (Some(data), _) => Media::from_url(MediaKind::Document, &data),
                (None, Some(id)) => {
                    Media::new(MediaKind::Document, Source::File { dialect: NAME, id }, None)
                }
                (None, None) => return Err(lacks("file.file_data")),
            };
            media.name = file.filename;
            Block::Media(media)
        }
        Some(kind) => {
            Block::Native(Native { dialect: NAME, field: kind.to_owned(), raw: raw.clone() })
        }
        None => return Err(lacks("type")),
    })
}

fn tools(request: &Request) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for (i, raw) in request.tools.iter().flatten().enumerate() {
        let path = format!("tools[{i}]");
        let tool: WireTool = json::read(raw.get(), &path)?;
        let cache = tool.cache_control.as_ref().map(|control| match cache_point(Some(control)) {
            Block::CachePoint(life) => life,
            _ => CacheLife::Short,
        });
        tools.push(match (tool.kind.as_deref(), tool.function) {
            (Some("function") | None, Some(f)) => function(f, &format!("{path}.function"), cache)?,
            (Some("function") | None, None) => {
                return Err(missing(&format!("{path}.function"), "a function"));
            }
            (Some(kind), _) => {
                Tool::Native(Native { dialect: NAME, field: kind.to_owned(), raw: raw.clone() })
            }
        });
    }
    for (i, raw) in request.functions.iter().flatten().enumerate() {
        let path = format!("functions[{i}]");
        tools.push(function(json::read(raw.get(), &path)?, &path, None)?);
    }
    Ok(tools)
}

fn function(f: Function, path: &str, cache: Option<CacheLife>) -> Result<Tool, Malformed> {
    let name = f.name.ok_or_else(|| missing(&format!("{path}.name"), "a name"))?;
    Ok(Tool::Function {
        name,
        description: f.description,
        schema: f.parameters,
        strict: f.strict,
        cache,
    })
}

fn tool_choice(request: &Request) -> Result<ToolChoice, Malformed> {
    let (path, raw) = match (&request.tool_choice, &request.function_call) {
        (Some(raw), _) => ("tool_choice", raw),
        (None, Some(raw)) => ("function_call", raw),
        (None, None) => return Ok(ToolChoice::Unsaid),
    };
    if let Some(word) = raw.as_string() {
        return match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(Malformed::new(path, "must be auto, none, required or an object")),
        };
    }
    let choose: Choose = json::read(raw.get(), path)?;
    if let Some(allowed) = choose.allowed_tools {
        let names = allowed.tools.unwrap_or_default().into_iter().filter_map(name_of).collect();
        return Ok(ToolChoice::Among {
            names,
            required: allowed.mode.as_deref() == Some("required"),
        });
    }
    name_of(choose).map(ToolChoice::One).ok_or_else(|| {
        Malformed::new(
            path,
            "must name a function: {\"type\":\"function\",\"function\":{\"name\":...}}",
        )
    })
}

fn name_of(choose: Choose) -> Option<String> {
    choose.function.and_then(|function| function.name).or(choose.name)
}

fn reasoning(request: &Request) -> Result<Option<Reasoning>, Malformed> {
    let level = |word: &str, path: &str| {
        Effort::from_name(word).ok_or_else(|| {
            Malformed::new(path, "must be none, minimal, low, medium, high, xhigh or max")
        })
    };
    let mut reasoning = Reasoning::default();
    let mut said = false;
    if let Some(asked) = &request.reasoning {
        said = true;
        reasoning.budget = asked.max_tokens;
        reasoning.show = asked.exclude.map(|exclude| !exclude).or(Some(true));
        if let Some(word) = &asked.effort {
            reasoning.effort = Some(level(word, "reasoning.effort")?);
        } else if asked.enabled == Some(false) {
            reasoning.effort = Some(Effort::None);
        }
    }
    if let Some(word) = &request.reasoning_effort {
        said = true;
        reasoning.effort = Some(level(word, "reasoning_effort")?);
    }
    if let Some(thinking) = &request.thinking {
        said = true;
        if thinking.kind.as_deref() == Some("disabled") {
            reasoning.effort = Some(Effort::None);
        }
    }
    Ok(said.then_some(reasoning))
}

fn format(format: Option<ResponseFormat>) -> Result<Format, Malformed> {
    let Some(format) = format else { return Ok(Format::Text) };
    match format.kind.as_deref() {
        Some("text") | None => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            let path = "response_format.json_schema";
            let given = format.json_schema.ok_or_else(|| missing(path, "a schema"))?;
            let schema = given.schema.unwrap_or_else(Json::empty_object);
            Ok(Format::JsonSchema {
                name: given.name,
                description: given.description,
                schema,
                strict: given.strict,
            })
        }
        Some(_) => {
            let right = "must be text, json_object or json_schema";
            Err(Malformed::new("response_format.type", right))
        }
    }
}

pub(super) fn reply(body: &[u8]) -> Result<Reply, Malformed> {
    let text = json::utf8(body)?;
    let completion: Completion = json::read(text, "")?;
    let choice = completion.choices.unwrap_or_default().into_iter().next();
    let choice = choice.ok_or_else(|| missing("choices", "at least one choice"))?;
    let mut blocks = choice.text.map(Block::Text).into_iter().collect::<Vec<_>>();
    if let Some(message) = choice.message {
        blocks.extend(assistant(message, "choices[0].message", None)?);
    }
    let usage = match completion.usage {
        Some(usage) => {
            let mut report = usage::read(usage.get())?;
            report.service_tier = usage::tier(completion.service_tier.as_deref());
            Some(report)
        }
        None => None,
    };
    Ok(Reply {
        id: completion.id.unwrap_or_default(),
        model: completion.model.unwrap_or_default(),
        created: completion.created,
        blocks,
        finish: match choice.finish_reason.as_deref() {
            Some("length") => Finish::Length,
            Some("tool_calls" | "function_call") => Finish::ToolUse,
            Some("content_filter") => Finish::Filter,
            Some("insufficient_system_resource" | "error") => Finish::Failed,
            _ => Finish::Stop,
        },
        stop_sequence: None,
        usage,
    })
}
