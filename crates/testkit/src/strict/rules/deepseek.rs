//! The dialects of `DeepSeek`.

use serde_json::Value;

use super::{anthropic, chat, given, length, list, name, numbered, openai, range, text};

pub(super) fn chat(body: &Value, faults: &mut Vec<String>) {
    range(body, "$", "temperature", (0.0, 2.0), faults);
    range(body, "$", "top_p", (0.0, 1.0), faults);
    range(body, "$", "frequency_penalty", (-2.0, 2.0), faults);
    range(body, "$", "presence_penalty", (-2.0, 2.0), faults);
    length(body, "$", "stop", 16, faults);
    length(body, "$", "tools", 128, faults);
    openai::streaming(body, faults);
    openai::tokens(body, &["max_tokens"], faults);
    chat::log_probabilities(body, faults);
    if let Some(user) = text(body, "user_id") {
        name(user, "$.user_id", 512, "", faults);
    }
    if body.get("messages").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        faults.push("$.messages: empty".to_owned());
    }
    for (path, tool) in numbered(list(body, "tools"), "$.tools") {
        let function = tool.get("function").unwrap_or(&Value::Null);
        openai::function(function, &format!("{path}.function"), faults);
    }
    for (path, message) in numbered(list(body, "messages"), "$.messages") {
        let calls = list(message, "tool_calls");
        let assistant = text(message, "role") == Some("assistant");
        if assistant && !given(message, "content") && calls.is_empty() {
            faults.push(format!("{path}.content: only a message with calls may have none"));
        }
        length(message, &path, "tool_calls", usize::MAX, faults);
        length(message, &path, "content", usize::MAX, faults);
    }
    chat::tool_answers(list(body, "messages"), faults);
    let format = body.get("response_format").and_then(|format| text(format, "type"));
    if format == Some("json_object") {
        let messages = body.get("messages").unwrap_or(&Value::Null);
        openai::says_json(messages, "$.response_format", faults);
    }
}

pub(super) fn messages(body: &Value, faults: &mut Vec<String>) {
    range(body, "$", "temperature", (0.0, 2.0), faults);
    range(body, "$", "top_p", (0.0, 1.0), faults);
    openai::tokens(body, &["max_tokens"], faults);
    anthropic::turns(body, faults);
    anthropic::tools(body, faults);
}
