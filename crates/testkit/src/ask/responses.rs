//! Responses as `OpenAI` and `DeepSeek` read them.

use serde_json::Value;

use super::{Ask, Media, Thinking, Tool, array, field, string, text};
use crate::answer::Answer;
use crate::answer::errors::bad_request;
use crate::provider::Provider;

pub(crate) fn read(provider: Provider, body: &Value) -> Result<Ask, Answer> {
    let bad = |param: &str, message: &str| bad_request(provider, param, message);
    let model = string(body, "model").filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| bad("model", "The parameter 'model' is required."))?;
    let input = field(body, "input").ok_or_else(|| bad("input", "'input' is required."))?;
    let items = input.as_array().map_or(&[][..], Vec::as_slice);
    let roles = ["user", "assistant", "system", "developer"];
    for (index, item) in items.iter().enumerate() {
        if let Some(role) = string(item, "role").filter(|role| !roles.contains(role)) {
            let param = format!("input[{index}].role");
            let known = roles.join(", ");
            return Err(bad(&param, &format!("'{role}' is not one of the roles {known}.")));
        }
    }
    let mut ask = Ask::new(model, body);
    if let Some(value) = field(body, "max_output_tokens") {
        let tokens = value.as_u64().filter(|tokens| *tokens > 0);
        let message = "'max_output_tokens' must be a whole number from 1 up.";
        ask.ceiling = Some(tokens.ok_or_else(|| bad("max_output_tokens", message))?);
    }
    fill(&mut ask, body, items);
    Ok(ask)
}

fn fill(ask: &mut Ask, body: &Value, items: &[Value]) {
    string(body, "instructions").unwrap_or_default().clone_into(&mut ask.system);
    for item in items {
        if matches!(string(item, "role"), Some("system" | "developer")) {
            ask.system.push('\n');
            ask.system.push_str(&text(item.get("content").unwrap_or(&Value::Null)));
        }
    }
    let user = items.iter().rev().find(|item| string(item, "role") == Some("user"));
    let parts = user.map_or(&[][..], |item| array(item, "content"));
    ask.media = parts.iter().filter_map(media).collect();
    let is_result = |item: &&Value| {
        matches!(string(item, "type"), Some("function_call_output" | "custom_tool_call_output"))
    };
    let results = items.iter().rev().take_while(is_result);
    ask.results = results.map(|item| text(item.get("output").unwrap_or(&Value::Null))).collect();
    ask.results.reverse();
    ask.tools = array(body, "tools").iter().filter_map(tool).collect();
    if let Some(choice) = field(body, "tool_choice") {
        super::chat::choose(ask, choice);
    }
    ask.one_call_only = body.get("parallel_tool_calls") == Some(&Value::Bool(false));
    ask.format = body.pointer("/text/format").map(super::chat::format).unwrap_or_default();
    ask.thinking = thinking(body);
    let include = array(body, "include");
    ask.logprobs = include.iter().any(|name| name == "message.output_text.logprobs");
}

fn thinking(body: &Value) -> Thinking {
    let Some(reasoning) = field(body, "reasoning") else {
        // Who wants the state of reasoning wants it to happen.
        let mut include = array(body, "include").iter();
        let encrypted = include.any(|name| name == "reasoning.encrypted_content");
        return if encrypted { Thinking::Hidden } else { Thinking::Off };
    };
    if string(reasoning, "effort") == Some("none") {
        return Thinking::Off;
    }
    match field(reasoning, "summary") {
        Some(_) => Thinking::Shown,
        None => Thinking::Hidden,
    }
}

fn media(part: &Value) -> Option<Media> {
    match string(part, "type")? {
        "input_image" => {
            let source = string(part, "image_url").or_else(|| string(part, "file_id"))?;
            Some(Media::url("image", source))
        }
        "input_file" => {
            let keys = ["file_data", "file_url", "file_id"];
            Some(Media::url("file", keys.iter().find_map(|key| string(part, key))?))
        }
        _ => None,
    }
}

fn tool(tool: &Value) -> Option<Tool> {
    let kind = string(tool, "type").filter(|kind| matches!(*kind, "function" | "custom"))?;
    Some(Tool {
        name: string(tool, "name")?.to_owned(),
        schema: tool.get("parameters").cloned().unwrap_or_default(),
        free_form: kind == "custom",
    })
}
