//! Wire to canonical.

use std::collections::VecDeque;

use super::NAME;
use super::types::{
    Answer, Content, Declaration, FunctionCall, FunctionResponse, GenerationConfig, Part, Request,
    ThinkingConfig, Tool as WireTool, ToolConfig,
};
use super::usage;
use crate::chat::{
    Block, Chat, Effort, Format, Media, MediaKind, Native, Output, Reasoning, Role, Sampling, Seal,
    Source, Tool, ToolChoice, Turn,
};
use crate::json::{self, Json, Malformed};
use crate::reply::{Finish, Reply};
use crate::schema;

pub(super) fn request(body: &[u8]) -> Result<Chat, Malformed> {
    let text = json::utf8(body)?;
    let request: Request = json::read(text, "")?;
    let mut native = json::leftovers::<Request>(text);
    let config_text = request.generation_config.as_ref().map_or("{}", Json::get);
    let config: GenerationConfig = json::read(config_text, "generationConfig")?;
    for (field, raw) in json::leftovers::<GenerationConfig>(config_text) {
        native.push((format!("generationConfig.{field}"), raw));
    }
    let tool_config_text = request.tool_config.as_ref().map_or("{}", Json::get);
    let tool_config: ToolConfig = json::read(tool_config_text, "toolConfig")?;
    for (field, raw) in json::leftovers::<ToolConfig>(tool_config_text) {
        native.push((format!("toolConfig.{field}"), raw));
    }
    let mut calls = Calls::default();
    let system = parts(request.system_instruction, "systemInstruction", &mut calls)?;
    let contents = request
        .contents
        .ok_or_else(|| Malformed::new("contents", "missing; an array of contents is required"))?;
    let mut turns = Vec::new();
    for (i, raw) in contents.iter().enumerate() {
        turns.push(turn(raw, &format!("contents[{i}]"), &mut calls)?);
    }
    Ok(Chat {
        model: request.model.unwrap_or_default(),
        system,
        turns,
        tools: tools(request.tools.as_deref().unwrap_or_default())?,
        tool_choice: tool_choice(tool_config),
        parallel_tools: None,
        reasoning: config.thinking_config.as_ref().map(reasoning).transpose()?,
        output: Output { format: format(&config), verbosity: None },
        max_tokens: config.max_output_tokens,
        stream: false,
        include_usage: true,
        user: None,
        service_tier: request.service_tier.map(|tier| match tier.as_str() {
            "standard" => "default".to_owned(),
            _ => tier,
        }),
        sampling: Sampling {
            temperature: config.temperature,
            top_p: config.top_p,
            top_k: config.top_k,
            presence_penalty: config.presence_penalty,
            frequency_penalty: config.frequency_penalty,
            seed: config.seed,
            stop: config.stop_sequences.unwrap_or_default(),
        },
        native: native
            .into_iter()
            .map(|(field, raw)| Native { dialect: NAME, field, raw })
            .collect(),
    })
}

fn turn(raw: &Json, path: &str, calls: &mut Calls) -> Result<Turn, Malformed> {
    let content: Content = json::read(raw.get(), path)?;
    let role = match content.role.as_deref() {
        Some("model") => Role::Assistant,
        // Google takes results under `function` too, and a single content without a role.
        Some("user" | "function") | None => Role::User,
        Some(_) => return Err(Malformed::new(format!("{path}.role"), "must be user or model")),
    };
    Ok(Turn { role, blocks: parts(Some(content), path, calls)?, name: None })
}

/// Calls without an id get one here, and results without an id the one of the first open call of their function.
#[derive(Default)]
struct Calls {
    open: VecDeque<(String, String)>,
    made: usize,
}

impl Calls {
    fn call(&mut self, id: Option<String>, name: &str) -> String {
        let id =
            id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}_{name}", self.made));
        self.made += 1;
        self.open.push_back((id.clone(), name.to_owned()));
        id
    }

    fn answer(&mut self, id: Option<String>, name: &str) -> String {
        let found = self.open.iter().position(|(open, function)| match &id {
            Some(id) => open == id,
            None => function == name,
        });
        let open = found.and_then(|at| self.open.remove(at)).map(|(id, _)| id);
        id.or(open).unwrap_or_else(|| format!("call_{name}"))
    }
}

fn parts(content: Option<Content>, path: &str, calls: &mut Calls) -> Result<Vec<Block>, Malformed> {
    let mut blocks = Vec::new();
    for (i, raw) in content.and_then(|content| content.parts).iter().flatten().enumerate() {
        let part: Part = json::read(raw.get(), &format!("{path}.parts[{i}]"))?;
        blocks.extend(block(part, raw, calls));
    }
    Ok(blocks)
}

fn block(part: Part, raw: &Json, calls: &mut Calls) -> Option<Block> {
    let seal = part.thought_signature.map(|value| Seal { dialect: NAME, value });
    if let Some(call) = part.function_call {
        let FunctionCall { id, name, args } = call;
        let name = name.unwrap_or_default();
        let id = calls.call(id, &name);
        return Some(Block::ToolUse {
            id,
            name,
            input: args.unwrap_or_else(Json::empty_object),
            seal,
        });
    }
    if let Some(response) = part.function_response {
        return Some(result(response, calls));
    }
    if let Some(blob) = part.inline_data {
        let kind = blob.mime_type.as_deref().map_or(MediaKind::Document, MediaKind::of_mime);
        let source = Source::Base64(blob.data.unwrap_or_default());
        return Some(Block::Media(Media::new(kind, source, blob.mime_type)));
    }
    if let Some(file) = part.file_data {
        let kind = file.mime_type.as_deref().map_or(MediaKind::Document, MediaKind::of_mime);
        return Some(Block::Media(Media::new(
            kind,
            at(file.file_uri.unwrap_or_default()),
            file.mime_type,
        )));
    }
    match (part.text, part.thought, seal) {
        (text, Some(true), seal) => Some(Block::Thinking { text: text.unwrap_or_default(), seal }),
        // A signature on plain text is optional to return; between two Gemini ends no translation takes place at all.
        (Some(text), _, _) => Some(Block::Text(text)),
        (None, _, Some(seal)) => Some(Block::Thinking { text: String::new(), seal: Some(seal) }),
        (None, _, None) => json::fields(raw.get())
            .into_iter()
            .next()
            .map(|(field, _)| Block::Native(Native { dialect: NAME, field, raw: raw.clone() })),
    }
}

/// Google's own file URIs mean nothing elsewhere; other `https` URIs do.
fn at(uri: String) -> Source {
    let own = uri.contains("generativelanguage.googleapis.com") || !uri.starts_with("http");
    if own { Source::File { dialect: NAME, id: uri } } else { Source::Url(uri) }
}

fn result(response: FunctionResponse, calls: &mut Calls) -> Block {
    let name = response.name.unwrap_or_default();
    let id = calls.answer(response.id.filter(|id| !id.is_empty()), &name);
    let whole = response.response.unwrap_or_else(Json::empty_object);
    let fields = json::fields(whole.get());
    // Google's convention: `output` or `error`, else the whole object is the output.
    let text = |raw: &Json| raw.as_string().unwrap_or_else(|| raw.get().to_owned());
    let (said, failed) = match fields.as_slice() {
        [(key, raw)] if key == "output" => (text(raw), false),
        [(key, raw)] if key == "error" => (text(raw), true),
        _ => (whole.get().to_owned(), false),
    };
    let mut blocks = vec![Block::Text(said)];
    for raw in response.parts.iter().flatten() {
        let part = serde_json::from_str::<Part>(raw.get()).unwrap_or_default();
        blocks.extend(block(part, raw, calls));
    }
    Block::ToolResult { id, name: Some(name), blocks, failed }
}

fn tools(list: &[Json]) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for (i, raw) in list.iter().enumerate() {
        let path = format!("tools[{i}]");
        let tool: WireTool = json::read(raw.get(), &path)?;
        for (j, declaration) in tool.function_declarations.into_iter().flatten().enumerate() {
            let Declaration { name, description, parameters, parameters_json_schema } = declaration;
            let path = format!("{path}.functionDeclarations[{j}].name");
            tools.push(Tool::Function {
                name: name.ok_or_else(|| Malformed::new(path, "missing; a name is required"))?,
                description,
                schema: parameters_json_schema
                    .or_else(|| parameters.as_ref().map(schema::from_openapi)),
                strict: None,
                cache: None,
            });
        }
        for (field, value) in json::leftovers::<WireTool>(raw.get()) {
            let raw = json::object_with(&serde_json::Map::new(), &[(field.clone(), value)]);
            tools.push(Tool::Native(Native { dialect: NAME, field, raw }));
        }
    }
    Ok(tools)
}

fn tool_choice(config: ToolConfig) -> ToolChoice {
    let Some(config) = config.function_calling_config else { return ToolChoice::Unsaid };
    let mut names = config.allowed_function_names.unwrap_or_default();
    let mode = config.mode.unwrap_or_default().to_ascii_uppercase();
    match mode.as_str() {
        "NONE" => ToolChoice::None,
        "ANY" if names.is_empty() => ToolChoice::Required,
        "ANY" if names.len() == 1 => ToolChoice::One(names.remove(0)),
        "ANY" => ToolChoice::Among { names, required: true },
        _ if !names.is_empty() => ToolChoice::Among { names, required: false },
        _ => ToolChoice::Auto,
    }
}

fn reasoning(config: &ThinkingConfig) -> Result<Reasoning, Malformed> {
    let mut reasoning = Reasoning { show: config.include_thoughts, ..Reasoning::default() };
    if let Some(level) = &config.thinking_level {
        let right = "must be MINIMAL, LOW, MEDIUM, HIGH or XHIGH";
        // The unspecified value is Google's word for nothing said.
        reasoning.effort = match Effort::from_name(level) {
            None if level.ends_with("_UNSPECIFIED") => None,
            None => {
                return Err(Malformed::new("generationConfig.thinkingConfig.thinkingLevel", right));
            }
            effort => effort,
        };
    }
    match config.thinking_budget {
        Some(0) => reasoning.effort = Some(Effort::None),
        // A negative budget lets the model decide.
        Some(budget) => reasoning.budget = u64::try_from(budget).ok(),
        None => {}
    }
    Ok(reasoning)
}

fn format(config: &GenerationConfig) -> Format {
    let schema = config.response_json_schema.clone();
    let schema = schema.or_else(|| config.response_schema.as_ref().map(schema::from_openapi));
    match (schema, config.response_mime_type.as_deref()) {
        (Some(schema), _) => {
            Format::JsonSchema { name: None, description: None, schema, strict: None }
        }
        (None, Some("application/json")) => Format::JsonObject,
        (None, _) => Format::Text,
    }
}

pub(super) fn reply(body: &[u8]) -> Result<Reply, Malformed> {
    let answer: Answer = json::read(json::utf8(body)?, "")?;
    let blocked = answer.prompt_feedback.is_some_and(|f| f.block_reason.is_some());
    let candidate = answer.candidates.unwrap_or_default().into_iter().next();
    if candidate.is_none() && !blocked && answer.usage_metadata.is_none() {
        return Err(Malformed::new(
            "candidates",
            "missing; an answer has candidates or promptFeedback",
        ));
    }
    // The counters and the searches stand at different ends of the body.
    let usage = usage::read_body(body)?;
    let (content, reason) = candidate.map_or((None, None), |c| (c.content, c.finish_reason));
    let finish = match reason.as_deref() {
        Some("MAX_TOKENS") => Finish::Length,
        Some(
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION",
        ) => Finish::Filter,
        None if blocked => Finish::Filter,
        _ => Finish::Stop,
    };
    Ok(Reply {
        id: answer.response_id.unwrap_or_default(),
        model: answer.model_version.unwrap_or_default(),
        created: None,
        blocks: parts(content, "candidates[0].content", &mut Calls::default())?,
        finish,
        stop_sequence: None,
        usage,
    })
}
