//! Chat completions.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{base64, given, is_true, length, list, name, numbered, openai, range, text};

pub(super) fn check(body: &Value, faults: &mut Vec<String>) {
    openai::sampling(body, faults);
    openai::tokens(body, &["max_tokens", "max_completion_tokens"], faults);
    openai::metadata(body, faults);
    log_probabilities(body, faults);
    if given(body, "max_tokens") && given(body, "max_completion_tokens") {
        faults.push("$.max_completion_tokens: not together with `max_tokens`".to_owned());
    }
    tools(body, faults);
    if body.get("messages").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        faults.push("$.messages: empty".to_owned());
    }
    for (path, message) in numbered(list(body, "messages"), "$.messages") {
        content(message, &path, faults);
    }
    tool_answers(list(body, "messages"), faults);
    let format = body.get("response_format").unwrap_or(&Value::Null);
    match text(format, "type") {
        Some("json_schema") => {
            let schema = format.get("json_schema").unwrap_or(&Value::Null);
            openai::format(schema, "$.response_format.json_schema", faults);
        }
        Some("json_object") => {
            let messages = body.get("messages").unwrap_or(&Value::Null);
            openai::says_json(messages, "$.response_format", faults);
        }
        _ => {}
    }
}

pub(super) fn log_probabilities(body: &Value, faults: &mut Vec<String>) {
    range(body, "$", "top_logprobs", (0.0, 20.0), faults);
    if given(body, "top_logprobs") && !is_true(body, "logprobs") {
        faults.push("$.top_logprobs: only with `logprobs`".to_owned());
    }
}

fn tools(body: &Value, faults: &mut Vec<String>) {
    length(body, "$", "tools", 128, faults);
    length(body, "$", "functions", 128, faults);
    let mut names = BTreeSet::new();
    for (path, tool) in numbered(list(body, "tools"), "$.tools") {
        let kind = text(tool, "type").unwrap_or("function");
        let inner = tool.get(kind).unwrap_or(&Value::Null);
        openai::function(inner, &format!("{path}.{kind}"), faults);
        if !text(inner, "name").is_none_or(|name| names.insert(name)) {
            faults.push(format!("{path}.{kind}.name: there is another tool of this name"));
        }
    }
    for (path, function) in numbered(list(body, "functions"), "$.functions") {
        openai::function(function, &path, faults);
    }
    for name in ["tool_choice", "parallel_tool_calls"] {
        if given(body, name) && list(body, "tools").is_empty() {
            faults.push(format!("$.{name}: only with `tools`"));
        }
    }
    let choice = body.get("tool_choice").unwrap_or(&Value::Null);
    for kind in ["function", "custom"] {
        let chosen = choice.get(kind).and_then(|inner| text(inner, "name"));
        if let Some(chosen) = chosen.filter(|chosen| !names.contains(chosen)) {
            faults.push(format!("$.tool_choice.{kind}.name: there is no tool `{chosen}`"));
        }
    }
}

fn content(message: &Value, path: &str, faults: &mut Vec<String>) {
    length(message, path, "content", usize::MAX, faults);
    length(message, path, "tool_calls", usize::MAX, faults);
    let says_something =
        ["tool_calls", "function_call", "refusal", "audio"].iter().any(|name| given(message, name));
    if text(message, "role") == Some("assistant") && !given(message, "content") && !says_something {
        faults.push(format!("{path}.content: only a message with calls may have none"));
    }
    for (path, part) in numbered(list(message, "content"), &format!("{path}.content")) {
        if let Some(url) = part.get("image_url").and_then(|image| text(image, "url")) {
            openai::picture(url, &format!("{path}.image_url.url"), faults);
        }
        if let Some(data) = part.get("input_audio").and_then(|audio| text(audio, "data")) {
            base64(data, &format!("{path}.input_audio.data"), faults);
        }
        if let Some(data) = part.get("file").and_then(|file| text(file, "file_data")) {
            openai::file(data, &format!("{path}.file.file_data"), faults);
        }
    }
    for (path, call) in numbered(list(message, "tool_calls"), &format!("{path}.tool_calls")) {
        if let Some(called) = call.get("function").and_then(|function| text(function, "name")) {
            name(called, &format!("{path}.function.name"), 64, "", faults);
        }
        if text(call, "id").is_some_and(|id| id.is_empty() || id.len() > 40) {
            faults.push(format!("{path}.id: not of 1 to 40 characters"));
        }
    }
}

/// Each call is answered, directly after the message that made it, and nothing else is.
pub(super) fn tool_answers(messages: &[Value], faults: &mut Vec<String>) {
    let mut open: Vec<&str> = Vec::new();
    let mut calling = String::new();
    for (path, message) in numbered(messages, "$.messages") {
        if text(message, "role") == Some("tool") {
            let Some(id) = text(message, "tool_call_id") else { continue };
            match open.iter().position(|call| *call == id) {
                Some(index) => drop(open.remove(index)),
                None => faults.push(format!("{path}.tool_call_id: `{id}` answers no open call")),
            }
            continue;
        }
        unanswered(&open, &calling, faults);
        open = list(message, "tool_calls").iter().filter_map(|call| text(call, "id")).collect();
        calling = path;
    }
    unanswered(&open, &calling, faults);
}

fn unanswered(open: &[&str], path: &str, faults: &mut Vec<String>) {
    for id in open {
        faults.push(format!("{path}.tool_calls: no tool message answers `{id}`"));
    }
}
