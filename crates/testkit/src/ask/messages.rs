//! Anthropic Messages.

use http::HeaderMap;
use serde_json::Value;

use super::{Ask, Choice, Format, Media, Source, Thinking, Tool, array, field, string, text};
use crate::answer::Answer;
use crate::answer::errors::bad_request;
use crate::provider::Provider;

const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];
const ROLES: [&str; 3] = ["user", "assistant", "system"];

fn bad(param: &str, message: &str) -> Answer {
    bad_request(Provider::Anthropic, param, message)
}

/// Refuses a request without a version that is known. `DeepSeek` does not read it.
pub(crate) fn check_version(headers: &HeaderMap) -> Result<(), Answer> {
    let version = headers.get("anthropic-version");
    let version = version.ok_or_else(|| bad("anthropic-version", "header is required"))?;
    if VERSIONS.iter().any(|known| version == known) {
        return Ok(());
    }
    Err(bad("anthropic-version", "this version is not known"))
}

/// Reads a request; one whose tokens are counted needs no ceiling.
pub(crate) fn read(body: &Value, only_counts: bool) -> Result<Ask, Answer> {
    let required = |name: &str| field(body, name).ok_or_else(|| bad(name, "Field required"));
    let model = required("model")?.as_str().unwrap_or_default();
    if model.is_empty() {
        return Err(bad("model", "must be the name of a model"));
    }
    let mut ask = Ask::new(model, body);
    if !only_counts {
        let message = "must be a whole number from 0 up";
        let ceiling = required("max_tokens")?.as_u64();
        ask.ceiling = Some(ceiling.ok_or_else(|| bad("max_tokens", message))?);
    }
    let messages = required("messages")?.as_array().map(Vec::as_slice).unwrap_or_default();
    if messages.is_empty() {
        return Err(bad("messages", "at least one message is required"));
    }
    for (index, message) in messages.iter().enumerate() {
        let role = string(message, "role").unwrap_or_default();
        if !ROLES.contains(&role) {
            let param = format!("messages.{index}.role");
            return Err(bad(&param, &format!("'{role}' is not a role of a message")));
        }
    }
    fill(&mut ask, body, messages);
    Ok(ask)
}

fn fill(ask: &mut Ask, body: &Value, messages: &[Value]) {
    ask.system = text(body.get("system").unwrap_or(&Value::Null));
    for message in messages.iter().filter(|message| string(message, "role") == Some("system")) {
        ask.system.push('\n');
        ask.system.push_str(&text(message.get("content").unwrap_or(&Value::Null)));
    }
    let user = messages.iter().rev().find(|message| string(message, "role") == Some("user"));
    let parts = user.map_or(&[][..], |message| array(message, "content"));
    ask.media = parts.iter().filter_map(media).collect();
    let is_last = messages.last().is_some_and(|last| string(last, "role") == Some("user"));
    if is_last {
        let results = parts.iter().filter(|part| string(part, "type") == Some("tool_result"));
        ask.results =
            results.map(|part| text(part.get("content").unwrap_or(&Value::Null))).collect();
    }
    ask.tools = array(body, "tools").iter().filter_map(tool).collect();
    if let Some(choice) = field(body, "tool_choice") {
        ask.choice = match string(choice, "type") {
            Some("any") => Choice::Required,
            Some("none") => Choice::None,
            Some("tool") => Choice::Named(string(choice, "name").unwrap_or_default().to_owned()),
            _ => Choice::Auto,
        };
        ask.one_call_only = choice.get("disable_parallel_tool_use") == Some(&Value::Bool(true));
    }
    let format = body.pointer("/output_config/format").or_else(|| body.get("output_format"));
    if let Some(schema) = format.and_then(|format| format.get("schema")) {
        ask.format = Format::Schema(schema.clone());
    }
    let stops = array(body, "stop_sequences").iter();
    ask.stops = stops.filter_map(Value::as_str).map(str::to_owned).collect();
    ask.thinking = thinking(body);
}

pub(super) fn thinking(body: &Value) -> Thinking {
    let kind = body.pointer("/thinking/type").and_then(Value::as_str);
    if !matches!(kind, Some("enabled" | "adaptive" | "between_tools")) {
        return Thinking::Off;
    }
    match body.pointer("/thinking/display").and_then(Value::as_str) {
        Some("omitted") => Thinking::Hidden,
        _ => Thinking::Shown,
    }
}

fn media(part: &Value) -> Option<Media> {
    let kind = match string(part, "type")? {
        "image" => "image",
        "document" => "file",
        _ => return None,
    };
    let source = part.get("source")?;
    Some(match string(source, "type")? {
        "base64" => Media::base64(
            kind,
            string(source, "media_type").unwrap_or_default(),
            string(source, "data")?,
        ),
        "url" => Media::url(kind, string(source, "url")?),
        "file" => Media::url(kind, string(source, "file_id")?),
        "text" => Media {
            kind,
            mime: "text/plain".to_owned(),
            source: Source::Bytes(string(source, "data")?.len()),
        },
        _ => return None,
    })
}

/// A tool of the client. Those of the provider have no schema.
fn tool(tool: &Value) -> Option<Tool> {
    let schema = tool.get("input_schema")?.clone();
    Some(Tool { name: string(tool, "name")?.to_owned(), schema, free_form: false })
}
