//! Reading a request far enough to answer it: the last user message and the number of tokens.

use serde_json::Value;

/// The text of the last user message in any of the formats.
pub(crate) fn last_user(body: &Value) -> Option<String> {
    // A lone text will do in these two.
    let lone = ["input", "prompt"].iter().find_map(|key| body.get(*key)?.as_str());
    if let Some(said) = lone {
        return Some(said.to_owned());
    }
    let turns = ["messages", "contents", "input"].iter().find_map(|key| body.get(*key))?;
    let turns = turns.as_array()?;
    let is_user = |turn: &&Value| match turn.get("role") {
        Some(role) => role == "user",
        // A lone turn of Gemini's has no role; an item of Responses that has none is no turn.
        None => turn.get("parts").is_some(),
    };
    let turn = turns.iter().rev().find(is_user)?;
    let content = turn.get("content").or_else(|| turn.get("parts"))?;
    Some(text_of(content))
}

/// A message without the fault in its first line, if it says something else behind it.
pub(crate) fn without_fault(said: &str) -> &str {
    match said.split_once('\n') {
        Some((first, rest)) if first.starts_with("fault:") => rest.trim(),
        _ => said,
    }
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

/// Fields that are part of a prompt, in all formats.
const PROMPT_FIELDS: [&str; 11] = [
    "messages",
    "contents",
    "input",
    "prompt",
    "instructions",
    "system",
    "systemInstruction",
    "system_instruction",
    "tools",
    "functions",
    "response_format",
];

/// Fields whose text is not read by a model word by word.
const NOT_TEXT: [&str; 22] = [
    "role",
    "type",
    "id",
    "data",
    "url",
    "file_data",
    "fileUri",
    "mimeType",
    "signature",
    "thoughtSignature",
    "image_url",
    "file_id",
    "filename",
    "media_type",
    "inline_data",
    "file_uri",
    "mime_type",
    "thought_signature",
    "encrypted_content",
    "call_id",
    "tool_call_id",
    "tool_use_id",
];

/// An estimate of the prompt's tokens that depends on nothing but the request: four bytes of text
/// a token, keys and punctuation not counted.
pub(crate) fn input_tokens(body: &Value) -> u64 {
    let fields = PROMPT_FIELDS.iter().filter_map(|field| body.get(field));
    tokens(fields.map(text_bytes).sum()).max(1)
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| !NOT_TEXT.contains(&key.as_str()))
            .map(|(_, value)| text_bytes(value))
            .sum(),
        _ => 0,
    }
}

/// Four bytes a token, rounded up.
pub(crate) fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_user_message_is_found_in_every_format() {
        let openai = json!({"messages": [
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "text", "text": "wo"}]},
            {"role": "assistant", "content": "three"},
        ]});
        assert_eq!(last_user(&openai).as_deref(), Some("two"));
        let gemini = json!({"contents": [{"parts": [{"text": "hello"}]}]});
        assert_eq!(last_user(&gemini).as_deref(), Some("hello"));
        let responses = json!({"input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "four"}]},
            {"type": "function_call_output", "call_id": "c", "output": "five"},
        ]});
        assert_eq!(last_user(&responses).as_deref(), Some("four"));
        assert_eq!(last_user(&json!({"input": "six"})).as_deref(), Some("six"));
        assert_eq!(last_user(&json!({"messages": "no"})), None);
    }

    #[test]
    fn tokens_are_counted_from_the_text_alone() {
        let body = json!({"model": "a-long-model-name", "messages": [
            {"role": "user", "content": "12345678"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        ]});
        assert_eq!(input_tokens(&body), 2);
        assert_eq!(input_tokens(&json!({})), 1);
    }
}
