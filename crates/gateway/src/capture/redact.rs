//! What of a body is recorded. Without content, that is its form: of fields that the dialects know, the numbers and the
//! words that are theirs too; of everything else, which a person or a model may have said, the length.

use serde_json::{Map, Value};

use super::words;

/// Fields whose words are of a list.
const LISTED: [&str; 16] = [
    "code",
    "detail",
    "effort",
    "finishReason",
    "finish_reason",
    "media_type",
    "mimeType",
    "object",
    "reasoning_effort",
    "role",
    "serviceTier",
    "service_tier",
    "status",
    "stop_reason",
    "tool_choice",
    "type",
];
/// Fields with a name that the operator or a provider has given.
const NAMES: [&str; 5] = ["model", "modelVersion", "model_name", "provider", "providerName"];
/// Fields with more fields of the dialects. What is below any other may be anything.
const BRANCHES: [&str; 38] = [
    "cache_creation",
    "candidates",
    "choices",
    "completion_tokens_details",
    "content",
    "content_block",
    "contents",
    "delta",
    "error",
    "function",
    "functionCall",
    "functionResponse",
    "generationConfig",
    "input",
    "input_tokens_details",
    "item",
    "message",
    "messages",
    "models",
    "output",
    "output_tokens_details",
    "part",
    "parts",
    "prompt_tokens_details",
    "promptTokensDetails",
    "reasoning",
    "response",
    "stream_options",
    "system",
    "systemInstruction",
    "thinking",
    "thinkingConfig",
    "tool_calls",
    "tools",
    "usage",
    "usageMetadata",
    "candidatesTokensDetails",
    "output_config",
];
/// A longer word is a text.
const LONGEST_WORD: usize = 80;

/// A body as it is recorded: JSON, or what is said of anything else.
pub(super) fn body(bytes: &[u8], content: bool) -> Value {
    let text = String::from_utf8_lossy(bytes);
    if content {
        let text = without_keys(&text);
        return serde_json::from_str(&text).unwrap_or(Value::String(text));
    }
    serde_json::from_str(&text).map_or_else(|_| length(bytes.len()), |json| form("", json))
}

/// The events of a stream, in their order.
pub(super) fn events(bytes: &[u8], content: bool) -> Value {
    let text = String::from_utf8_lossy(bytes);
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    let event = |data: &str| {
        if data == "[DONE]" { data.into() } else { body(data.as_bytes(), content) }
    };
    data.map(event).collect()
}

fn length(bytes: usize) -> Value {
    format!("[{bytes} bytes]").into()
}

/// A value below a field of that name, without what is said in it.
fn form(name: &str, value: Value) -> Value {
    match value {
        Value::String(text) if LISTED.contains(&name) && words::is_value(&text) => text.into(),
        Value::String(text) if NAMES.contains(&name) && is_word(&text) => text.into(),
        Value::String(text) => length(text.len()),
        // The arguments of a call are an object of whatever the tool is for; a list of input is one of messages.
        Value::Object(_) if name == "input" => length(value.to_string().len()),
        Value::Object(fields) => {
            let below = |(name, value): (String, Value)| {
                let leaf = !(value.is_object() || value.is_array());
                if !words::is_field(&name) {
                    return (length_of_name(&name), length(value.to_string().len()));
                }
                let kept = leaf || BRANCHES.contains(&name.as_str());
                let value = if kept { form(&name, value) } else { length(value.to_string().len()) };
                (name, value)
            };
            fields.into_iter().map(below).collect::<Map<_, _>>().into()
        }
        Value::Array(values) => values.into_iter().map(|value| form(name, value)).collect(),
        plain => plain,
    }
}

fn length_of_name(name: &str) -> String {
    format!("[{} bytes]", name.len())
}

/// Whether it looks like something that a program has chosen.
fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte);
    text.len() <= LONGEST_WORD && text.bytes().all(plain) && !is_key(text)
}

/// What credentials begin with, ours and those of providers.
const BRANDS: [&str; 4] = ["tg-", "sk-", "sk_", "AIza"];
/// What is shorter is none.
const SHORTEST_KEY: usize = 16;

fn is_key(word: &str) -> bool {
    word.len() >= SHORTEST_KEY && BRANDS.iter().any(|brand| word.starts_with(brand))
}

/// A text without what looks like a credential in it.
fn without_keys(text: &str) -> String {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(part_of_word) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c| !part_of_word(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        clean.push_str(before);
        clean.push_str(if is_key(word) { "[credential]" } else { word });
        rest = after;
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{body, events};

    #[test]
    fn what_is_said_is_a_length() {
        let request = json!({
            "model": "gpt-4o", "temperature": 0.5, "stream": true, "user": "ada@example.org",
            "metadata": { "case": "secret" }, "my secret field": 1,
            "messages": [
                { "role": "user", "content": "secret" },
                { "role": "secret plan", "content": [{ "type": "text", "text": "secret" }] },
                { "role": "assistant", "tool_calls": [{ "id": "call_1", "type": "function",
                    "function": { "name": "secret", "arguments": "{\"secret\":1}" } }] },
            ],
            "input": { "secret": "secret" },
            "tools": [{ "type": "function", "function": { "name": "secret", "parameters": { "secret": {} } } }],
        });
        let told = body(request.to_string().as_bytes(), false);
        assert!(!told.to_string().contains("secret"), "{told}");
        assert_eq!(told["model"], "gpt-4o");
        assert_eq!((&told["temperature"], &told["stream"]), (&json!(0.5), &json!(true)));
        assert_eq!(told["messages"][0], json!({ "role": "user", "content": "[6 bytes]" }));
        assert_eq!(told["messages"][1]["content"][0]["type"], "text");
        assert_eq!(told["messages"][2]["tool_calls"][0]["id"], "[6 bytes]");
        assert_eq!(told["user"], "[15 bytes]");
        assert_eq!(body(b"no JSON", false), "[7 bytes]");
    }

    /// In no place where a dialect has a word or an id can a person put another.
    #[test]
    fn words_are_those_of_a_list() {
        let request = json!({
            "model": "gpt-4o", "service_tier": "secret", "secret": 1, "tool_choice": "secret",
            "reasoning_effort": "secret", "object": "secret.secret", "id": "secret-1",
            "messages": [
                { "role": "secret", "id": "secret_2", "type": "secret_20250101", "secret": true },
                { "role": "tool", "tool_call_id": "secret_3", "status": "secret",
                  "content": [{ "type": "tool_result", "tool_use_id": "secret_4", "secret": null }] },
            ],
            "output": [{ "type": "code_interpreter_call", "call_id": "secret_5", "code": "secret" }],
        });
        let told = body(request.to_string().as_bytes(), false);
        assert!(!told.to_string().contains("secret"), "{told}");
        assert_eq!(told["messages"][1]["content"][0]["type"], "tool_result");
        let kept = json!({
            "model": "claude-haiku-4-5", "service_tier": "flex", "stream": true,
            "tools": [{ "type": "web_search_20250305", "max_uses": 2 }],
            "error": { "type": "invalid_request_error", "code": "context_length_exceeded" },
            "messages": [{ "role": "assistant" }, { "role": "developer" }],
        });
        assert_eq!(body(kept.to_string().as_bytes(), false), kept);
    }

    #[test]
    fn credentials_are_never_recorded() {
        for key in [
            "tg-0123456789012345678901234567890123456789",
            "sk-proj-0123456789abcdef",
            "AIzaSy0123456789abcdef",
        ] {
            let request = json!({ "model": key, "messages": [
                { "role": "user", "content": format!("My key is '{key}', keep it.") }] });
            for content in [false, true] {
                let told = body(request.to_string().as_bytes(), content).to_string();
                assert!(!told.contains(&key[4..]), "{told}");
                assert_eq!(told.contains("keep it."), content);
            }
        }
        let word = json!({ "content": "task-oriented sk-learn, tg-1" });
        assert_eq!(body(word.to_string().as_bytes(), true), word);
    }

    #[test]
    fn events_are_a_list() {
        let stream =
            "event: x\ndata: {\"type\":\"text_delta\",\"text\":\"Hi\"}\n\ndata: [DONE]\n\n";
        let expected = json!([{ "type": "text_delta", "text": "[2 bytes]" }, "[DONE]"]);
        assert_eq!(events(stream.as_bytes(), false), expected);
        assert_eq!(events(stream.as_bytes(), true)[0]["text"], "Hi");
        assert_eq!(events(b"", false), Value::Array(Vec::new()));
    }
}
