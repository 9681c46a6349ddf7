//! Gemini generateContent. Field names are taken in both spellings, as proto3 JSON allows.

use serde_json::Value;

use super::{Ask, Choice, Format, Media, Thinking, Tool, array, string, text};
use crate::answer::Answer;
use crate::answer::errors::{bad_request, error};
use crate::provider::Provider;

const ROLES: [&str; 3] = ["user", "model", "function"];

pub(crate) fn either<'a>(body: &'a Value, camel: &str, snake: &str) -> Option<&'a Value> {
    body.get(camel).or_else(|| body.get(snake)).filter(|value| !value.is_null())
}

fn bad(param: &str, message: &str) -> Answer {
    bad_request(Provider::Gemini, param, message)
}

pub(crate) fn read(model: &str, body: &Value) -> Result<Ask, Answer> {
    if model.is_empty() {
        return Err(error(Provider::Gemini, 404, "The path names no model."));
    }
    let contents = body.get("contents").and_then(Value::as_array).filter(|list| !list.is_empty());
    let contents = contents
        .ok_or_else(|| bad("contents", "GenerateContentRequest.contents must not be empty."))?;
    for content in contents {
        // The role of a lone turn may be left out.
        let role = content.get("role").map_or("user", |role| role.as_str().unwrap_or_default());
        if !ROLES.contains(&role) {
            return Err(bad("contents", &format!("'{role}' is not a role: use user or model.")));
        }
        if array(content, "parts").is_empty() {
            return Err(bad(
                "contents",
                "GenerateContentRequest.contents.parts must not be empty.",
            ));
        }
    }
    let mut ask = Ask::new(model, body);
    fill(&mut ask, body, contents);
    if let Some(config) = either(body, "generationConfig", "generation_config") {
        configure(&mut ask, config)?;
    }
    Ok(ask)
}

fn fill(ask: &mut Ask, body: &Value, contents: &[Value]) {
    if let Some(system) = either(body, "systemInstruction", "system_instruction") {
        ask.system = text(system.get("parts").unwrap_or(system));
    }
    let user = contents.iter().rev().find(|content| string(content, "role") != Some("model"));
    let parts = user.map_or(&[][..], |content| array(content, "parts"));
    ask.media = parts.iter().filter_map(media).collect();
    let last = contents.last().filter(|last| string(last, "role") != Some("model"));
    let parts = last.map_or(&[][..], |content| array(content, "parts"));
    ask.results = parts.iter().filter_map(result).collect();
    for tool in array(body, "tools") {
        let list = either(tool, "functionDeclarations", "function_declarations");
        let list = list.and_then(Value::as_array).into_iter().flatten();
        ask.tools.extend(list.filter_map(declaration));
    }
    let config = either(body, "toolConfig", "tool_config");
    let config = config
        .and_then(|config| either(config, "functionCallingConfig", "function_calling_config"));
    if let Some(config) = config {
        let names = either(config, "allowedFunctionNames", "allowed_function_names");
        let names = names.and_then(Value::as_array).into_iter().flatten();
        let names: Vec<String> = names.filter_map(Value::as_str).map(str::to_owned).collect();
        if !names.is_empty() {
            ask.allow_only(&names);
        }
        ask.choice = match string(config, "mode").unwrap_or("AUTO").to_uppercase().as_str() {
            "NONE" => Choice::None,
            "ANY" => Choice::Required,
            _ => Choice::Auto,
        };
    }
}

fn configure(ask: &mut Ask, config: &Value) -> Result<(), Answer> {
    if let Some(ceiling) = either(config, "maxOutputTokens", "max_output_tokens") {
        let tokens = ceiling.as_u64().filter(|tokens| *tokens > 0);
        let message = "max_output_tokens must be positive.";
        ask.ceiling = Some(tokens.ok_or_else(|| bad("maxOutputTokens", message))?);
    }
    let stops = either(config, "stopSequences", "stop_sequences").and_then(Value::as_array);
    let stops = stops.into_iter().flatten();
    ask.stops = stops.filter_map(Value::as_str).map(str::to_owned).collect();
    let schema = either(config, "responseJsonSchema", "response_json_schema")
        .or_else(|| either(config, "responseSchema", "response_schema"));
    let mime = either(config, "responseMimeType", "response_mime_type");
    ask.format = match (schema, mime.and_then(Value::as_str)) {
        (Some(schema), _) => Format::Schema(schema.clone()),
        (None, Some("application/json")) => Format::Object,
        _ => Format::Text,
    };
    let answers = either(config, "candidateCount", "candidate_count").and_then(Value::as_u64);
    ask.answers = usize::try_from(answers.unwrap_or(1)).unwrap_or(1);
    let logprobs = either(config, "responseLogprobs", "response_logprobs");
    ask.logprobs = logprobs == Some(&Value::Bool(true));
    if let Some(thinking) = either(config, "thinkingConfig", "thinking_config") {
        ask.thinking = think(thinking)?;
    }
    Ok(())
}

fn think(config: &Value) -> Result<Thinking, Answer> {
    let budget = either(config, "thinkingBudget", "thinking_budget");
    let level = either(config, "thinkingLevel", "thinking_level");
    if budget.is_some() && level.is_some() {
        let message = "You can only set only one of thinking budget and thinking level.";
        return Err(bad("thinkingConfig", message));
    }
    let shown = either(config, "includeThoughts", "include_thoughts") == Some(&Value::Bool(true));
    Ok(match budget.and_then(Value::as_i64) {
        Some(0) => Thinking::Off,
        _ if shown => Thinking::Shown,
        None if level.is_none() => Thinking::Off,
        _ => Thinking::Hidden,
    })
}

fn media(part: &Value) -> Option<Media> {
    if let Some(data) = either(part, "inlineData", "inline_data") {
        let mime =
            either(data, "mimeType", "mime_type").and_then(Value::as_str).unwrap_or_default();
        return Some(Media::base64(kind(mime), mime, string(data, "data")?));
    }
    let file = either(part, "fileData", "file_data")?;
    let mime = either(file, "mimeType", "mime_type").and_then(Value::as_str).unwrap_or_default();
    let mut media = Media::url(kind(mime), either(file, "fileUri", "file_uri")?.as_str()?);
    mime.clone_into(&mut media.mime);
    Some(media)
}

fn kind(mime: &str) -> &'static str {
    match mime.split('/').next() {
        Some("image") => "image",
        Some("audio") => "audio",
        Some("video") => "video",
        _ => "file",
    }
}

fn result(part: &Value) -> Option<String> {
    let response = either(part, "functionResponse", "function_response")?.get("response")?;
    let keys = ["output", "error", "result"];
    let inner = keys.iter().find_map(|key| response.get(*key)).unwrap_or(response);
    Some(text(inner))
}

fn declaration(declaration: &Value) -> Option<Tool> {
    let schema = either(declaration, "parametersJsonSchema", "parameters_json_schema")
        .or_else(|| declaration.get("parameters"));
    Some(Tool {
        name: string(declaration, "name")?.to_owned(),
        schema: schema.cloned().unwrap_or_default(),
        free_form: false,
    })
}
