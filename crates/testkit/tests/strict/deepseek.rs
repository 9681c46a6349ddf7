use serde_json::{Value, json};
use testkit::strict::Api;

use crate::wrong::{cut, each_is_found, put};

fn chat() -> Value {
    json!({
        "model": "deepseek-v4-pro",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "What is this?"},
            {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a cat, as json"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "thinking": {"type": "enabled"},
        "reasoning_effort": "high",
        "response_format": {"type": "json_object"},
        "max_tokens": 10,
        "user_id": "u-1",
    })
}

#[test]
fn chat_completions() {
    each_is_found(
        Api::DeepseekChat,
        &chat(),
        vec![
            (put("/max_completion_tokens", 1), "$.max_completion_tokens"),
            (put("/seed", 1), "$.seed"),
            (put("/user", "u"), "$.user"),
            (put("/user_id", "u@example.com"), "$.user_id"),
            (put("/reasoning_effort", "none"), "$.reasoning_effort"),
            (put("/thinking/budget_tokens", 1), "$.thinking.budget_tokens"),
            (put("/response_format/type", "json_schema"), "$.response_format.type"),
            (put("/response_format/json_schema", json!({})), "$.response_format.json_schema"),
            (put("/messages/0/role", "developer"), "$.messages[0].role"),
            (
                put("/messages/0/content", json!([{"type": "text", "text": "x"}])),
                "$.messages[0].content",
            ),
            (
                put("/messages/3/content", json!([{"type": "text", "text": "json"}])),
                "$.messages[3].content",
            ),
            (put("/messages/2/content", json!([])), "$.messages[2].content"),
            (put("/messages/2/refusal", Value::Null), "$.messages[2].refusal"),
            (put("/messages/3/content", "a cat"), "$.response_format"),
            (cut("/messages/3"), "$.messages[2].tool_calls + $.response_format"),
            (
                put("/messages/-", json!({"role": "assistant", "content": null})),
                "$.messages[4].content",
            ),
            (
                put("/tools/-", json!({"type": "custom", "custom": {"name": "x"}})),
                "$.tools[1].type",
            ),
            (put("/stream_options", json!({"include_usage": true})), "$.stream_options"),
        ],
    );
}

#[test]
fn messages() {
    let body = json!({
        "model": "deepseek-v4-pro",
        "max_tokens": 10,
        "messages": [
            {"role": "user", "content": "What is this?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "tool_use", "id": "t_1", "name": "look", "input": {}},
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t_1", "content": "a cat"}]},
        ],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "thinking": {"type": "enabled"},
        "output_config": {"effort": "high"},
        "temperature": 1.5,
    });
    each_is_found(
        Api::DeepseekAnthropic,
        &body,
        vec![
            (put("/tools/0/type", "custom"), "$.tools[0].type"),
            (put("/thinking/type", "adaptive"), "$.thinking.type"),
            (put("/output_config/format", json!({})), "$.output_config.format"),
            (put("/context_management", json!({})), "$.context_management"),
            (cut("/max_tokens"), "$.max_tokens"),
            (put("/temperature", 2.5), "$.temperature"),
            (
                put(
                    "/messages/2/content/-",
                    json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}),
                ),
                "$.messages[2].content[1].type",
            ),
            (
                put("/messages/1/content/0", json!({"type": "redacted_thinking", "data": "x"})),
                "$.messages[1].content[0].type",
            ),
            (cut("/messages/2"), "$.messages[1].content"),
        ],
    );
}
