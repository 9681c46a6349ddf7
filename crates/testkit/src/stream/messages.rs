//! Anthropic Messages as events.

use serde_json::{Value, json};

use super::{Form, Stream, words};

pub(crate) fn stream(whole: &Value) -> Stream {
    let mut events = vec![start(whole)];
    let blocks = whole.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, block) in blocks.iter().enumerate() {
        let (opening, deltas) = parts_of(block);
        events.push(json!({
            "type": "content_block_start", "index": index, "content_block": opening,
        }));
        if index == 0 {
            events.push(json!({"type": "ping"}));
        }
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(delta(whole));
    events.push(json!({"type": "message_stop"}));
    Stream::new(Form::Messages, &events)
}

fn start(whole: &Value) -> Value {
    let mut message = whole.clone();
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    message["stop_sequence"] = Value::Null;
    if let Some(Value::Object(usage)) = message.get_mut("usage") {
        usage.insert("output_tokens".to_owned(), 1.into());
        usage.remove("output_tokens_details");
        usage.remove("server_tool_use");
        usage.remove("iterations");
    }
    json!({"type": "message_start", "message": message})
}

/// What only the start of a message tells about its usage.
const ONLY_AT_START: [&str; 4] = ["cache_creation", "service_tier", "speed", "inference_geo"];

fn delta(whole: &Value) -> Value {
    let mut usage = whole.get("usage").cloned().unwrap_or_default();
    if let Some(fields) = usage.as_object_mut() {
        fields.retain(|key, _| !ONLY_AT_START.contains(&key.as_str()));
    }
    let mut delta = json!({});
    for key in ["stop_reason", "stop_sequence", "stop_details", "container"] {
        if let Some(value) = whole.get(key) {
            delta[key] = value.clone();
        }
    }
    json!({"type": "message_delta", "delta": delta, "usage": usage})
}

/// A block as it is opened, and what is then added to it.
fn parts_of(block: &Value) -> (Value, Vec<Value>) {
    let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut opening = block.clone();
    let mut deltas: Vec<Value> = Vec::new();
    let kind = text("type");
    let mut add = |kind: &str, key: &str, pieces: Vec<&str>| {
        deltas.extend(pieces.into_iter().map(|piece| json!({"type": kind, key: piece})));
    };
    match kind {
        "text" => {
            opening["text"] = "".into();
            add("text_delta", "text", words(text("text")));
            if let Some(citations) = block.get("citations").and_then(Value::as_array) {
                opening["citations"] = json!([]);
                let cite =
                    |citation: &Value| json!({"type": "citations_delta", "citation": citation});
                deltas.extend(citations.iter().map(cite));
            }
        }
        "thinking" => {
            opening["thinking"] = "".into();
            opening["signature"] = "".into();
            add("thinking_delta", "thinking", words(text("thinking")));
            add("signature_delta", "signature", vec![text("signature")]);
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            opening["input"] = json!({});
            let input = block.get("input").filter(|input| **input != json!({}));
            let input = input.map(Value::to_string).unwrap_or_default();
            add("input_json_delta", "partial_json", vec![""]);
            add("input_json_delta", "partial_json", words(&input));
        }
        // Redacted thinking and the results of the provider's own tools come whole.
        _ => {}
    }
    (opening, deltas)
}
