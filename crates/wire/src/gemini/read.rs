//! Wire to canonical.

use super::read_parts::{Calls, parts};
use super::types::{
    Content, Declaration, Empty, GenerationConfig, Request, ThinkingConfig, Tool as WireTool,
    ToolConfig,
};
use super::{NAME, schema};
use crate::chat::{
    Chat, Effort, Format, Hosted, Native, Output, Reasoning, Role, Sampling, Tool, ToolChoice,
    Turn, WebSearch,
};
use crate::json::{self, Json, Malformed};
use crate::schema::object as an_object;
use crate::unknown;

pub(super) fn request(body: &[u8]) -> Result<Chat, Malformed> {
    let text = json::utf8(body)?;
    let mut native: Vec<Native> = Vec::new();
    let request: Request = unknown::read(text, "", NAME, "", &mut native)?;
    let mut config: GenerationConfig =
        part(request.generation_config.as_ref(), "generationConfig", &mut native)?;
    one_of_a_list(&mut config, &mut native);
    let tool_config: ToolConfig = part(request.tool_config.as_ref(), "toolConfig", &mut native)?;
    let mut calls = Calls::default();
    let mut system = Vec::new();
    parts(request.system_instruction, "systemInstruction", &mut calls, &mut native, &mut system)?;
    let contents = request
        .contents
        .ok_or_else(|| Malformed::new("contents", "missing; an array of contents is required"))?;
    let mut turns = Vec::new();
    for (i, raw) in contents.iter().enumerate() {
        turn(raw, &format!("contents[{i}]"), &mut calls, &mut native, &mut turns)?;
    }
    let tools = tools(request.tools.as_deref().unwrap_or_default(), &mut native)?;
    let tool_choice = tool_choice(tool_config, &mut native);
    native.iter_mut().for_each(spell);
    Ok(Chat {
        model: request.model.unwrap_or_default(),
        system,
        turns,
        tools,
        tool_choice,
        parallel_tools: None,
        reasoning: config.thinking_config.as_ref().and_then(reasoning).transpose()?,
        output: Output { format: format(&config), verbosity: None },
        max_tokens: config.max_output_tokens,
        stream: false,
        include_usage: true,
        user: None,
        service_tier: request.service_tier.map(|tier| match tier.to_ascii_lowercase().as_str() {
            "standard" => "default".to_owned(),
            tier => tier.to_owned(),
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
        native,
    })
}

/// A part of the request, and what it holds beyond its known members.
fn part<T: serde::de::DeserializeOwned>(
    raw: Option<&Json>,
    name: &str,
    native: &mut Vec<Native>,
) -> Result<T, Malformed> {
    unknown::read(raw.map_or("{}", Json::get), name, NAME, name, native)
}

fn own(field: &str, raw: Json) -> Native {
    Native { dialect: NAME, field: field.to_owned(), raw }
}

/// Fields may be spelt in snake case; they are known by the name in camel case.
fn spell(native: &mut Native) {
    native.field = camel(&native.field);
    if native.field == "generationConfig.responseModalities" {
        // In one spelling, because text alone is what every answer is.
        if let Ok(words) = serde_json::from_str::<Vec<String>>(native.raw.get()) {
            let words: Vec<_> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
            native.raw = Json::of(&words);
        }
    }
}

/// `text/x.enum` asks for one word of a list as plain text, which is no JSON and known to Google only.
fn one_of_a_list(config: &mut GenerationConfig, native: &mut Vec<Native>) {
    if config.response_mime_type.as_deref() != Some("text/x.enum") {
        return;
    }
    let mime = config.response_mime_type.take().map(|mime| Json::of(&mime));
    for (field, raw) in [
        ("responseMimeType", mime),
        ("responseSchema", config.response_schema.take()),
        ("responseJsonSchema", config.response_json_schema.take()),
    ] {
        native.extend(raw.map(|raw| own(&format!("generationConfig.{field}"), raw)));
    }
}

/// Google's libraries keep each element of a stream as a content of its own: what the model says in a row is one turn,
/// so that thoughts and the state that came behind them are together.
fn turn(
    raw: &Json,
    path: &str,
    calls: &mut Calls,
    lost: &mut Vec<Native>,
    turns: &mut Vec<Turn>,
) -> Result<(), Malformed> {
    let content: Content = unknown::read(raw.get(), path, "", "contents", lost)?;
    let role = match content.role.as_deref() {
        Some("model") => Role::Assistant,
        // Google takes results under `function` too, and a single content without a role.
        Some("user" | "function") | None => Role::User,
        Some(_) => return Err(Malformed::new(format!("{path}.role"), "must be user or model")),
    };
    match turns.last_mut() {
        Some(last) if last.role == role && role == Role::Assistant => {
            parts(Some(content), path, calls, lost, &mut last.blocks)
        }
        _ => {
            let mut blocks = Vec::new();
            parts(Some(content), path, calls, lost, &mut blocks)?;
            turns.push(Turn { role, blocks, name: None });
            Ok(())
        }
    }
}

fn tools(list: &[Json], lost: &mut Vec<Native>) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for (i, raw) in list.iter().enumerate() {
        let path = format!("tools[{i}]");
        let mut hosted = Vec::new();
        let tool: WireTool = unknown::read(raw.get(), &path, NAME, "", &mut hosted)?;
        let declarations = tool.function_declarations.unwrap_or_default();
        for (j, raw) in declarations.iter().enumerate() {
            let path = format!("{path}.functionDeclarations[{j}]");
            let place = "functionDeclarations";
            let declaration: Declaration = unknown::read(raw.get(), &path, "", place, lost)?;
            let Declaration { name, description, parameters, parameters_json_schema } = declaration;
            let missing = || Malformed::new(format!("{path}.name"), "missing; a name is required");
            let schema =
                an_object(parameters_json_schema, &format!("{path}.parametersJsonSchema"))?;
            let older = an_object(parameters, &format!("{path}.parameters"))?;
            tools.push(Tool::Function {
                name: name.ok_or_else(missing)?,
                description,
                schema: schema.or_else(|| older.as_ref().map(schema::from_openapi)),
                strict: None,
                cache: None,
            });
        }
        tools.extend(hosted.into_iter().map(|native| self::hosted(&native.field, &native.raw)));
    }
    Ok(tools)
}

/// A tool that runs at Google.
fn hosted(field: &str, value: &Json) -> Tool {
    let raw = json::object_with(&serde_json::Map::new(), &[(field.to_owned(), value.clone())]);
    let field = camel(field);
    let kind = match field.as_str() {
        "googleSearch" | "googleSearchRetrieval" => Hosted::WebSearch(WebSearch::default()),
        "urlContext" => Hosted::WebFetch,
        "codeExecution" => Hosted::CodeExecution,
        _ => return Tool::Native(Native { dialect: NAME, field, raw }),
    };
    Tool::Hosted { kind, native: Native { dialect: NAME, field, raw } }
}

/// What a tool that runs at Google says that no other dialect has words for.
pub(crate) fn terms(tool: &Native) -> Vec<Native> {
    let said = json::fields(tool.raw.get());
    let mut lost: Vec<Native> = said
        .iter()
        .flat_map(|(name, terms)| unknown::members::<Empty>(terms.get(), name))
        .collect();
    lost.iter_mut().for_each(spell);
    lost
}

/// A name, or several with dots between, in camel case.
fn camel(field: &str) -> String {
    let mut words = field.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

/// Where a mode stands that says no more than [`ToolChoice::Auto`] elsewhere.
pub(super) const VALIDATED: &str = "toolConfig.functionCallingConfig.mode";

fn tool_choice(config: ToolConfig, native: &mut Vec<Native>) -> ToolChoice {
    let Some(config) = config.function_calling_config else { return ToolChoice::Unsaid };
    let mut names = config.allowed_function_names.unwrap_or_default();
    let mode = config.mode.unwrap_or_default().to_ascii_uppercase();
    match mode.as_str() {
        "NONE" => ToolChoice::None,
        "ANY" if names.is_empty() => ToolChoice::Required,
        "ANY" if names.len() == 1 => ToolChoice::One(names.remove(0)),
        "ANY" => ToolChoice::Among { names, required: true },
        _ if !names.is_empty() => ToolChoice::Among { names, required: false },
        "VALIDATED" => {
            // The model decides, but a call follows its schema.
            native.push(own(VALIDATED, Json::of(&mode)));
            ToolChoice::Auto
        }
        _ => ToolChoice::Auto,
    }
}

/// Nothing where the object says nothing.
fn reasoning(config: &ThinkingConfig) -> Option<Result<Reasoning, Malformed>> {
    let mut reasoning = Reasoning { show: config.include_thoughts, ..Reasoning::default() };
    let level = config.thinking_level.as_deref().filter(|level| !level.ends_with("_UNSPECIFIED"));
    if level.is_none() && config.thinking_budget.is_none() && reasoning.show.is_none() {
        return None;
    }
    if let Some(level) = level {
        let Some(effort) = Effort::from_name(level) else {
            let path = "generationConfig.thinkingConfig.thinkingLevel";
            let right = "must be MINIMAL, LOW, MEDIUM, HIGH or XHIGH";
            return Some(Err(Malformed::new(path, right)));
        };
        reasoning.effort = Some(effort);
    }
    match config.thinking_budget {
        Some(0) => reasoning.effort = Some(Effort::None),
        // A negative budget lets the model decide.
        Some(budget) => reasoning.budget = u64::try_from(budget).ok(),
        None => {}
    }
    Some(Ok(reasoning))
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
