use serde_json::{Value, json};
use testkit::strict::{Api, check};

use crate::wrong::{cut, each_is_found, put};

fn messages() -> Value {
    json!({
        "model": "claude-sonnet-4-6",
        "max_tokens": 4096,
        "system": [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "text", "text": "What is this?"},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "AAAA"},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
                {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {"at": "it"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "a cat"},
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true,
                 "content": [{"type": "text", "text": "it is dark"}]},
                {"type": "text", "text": "Well?"},
            ]},
        ],
        "tools": [{
            "name": "look",
            "description": "Looks.",
            "strict": true,
            "input_schema": {
                "type": "object",
                "properties": {"at": {"type": "string", "format": "uri"}},
                "additionalProperties": false,
            },
        }],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low"},
        "metadata": {"user_id": "u"},
        "stop_sequences": ["END"],
        "stream": true,
    })
}

#[test]
fn types_of_messages() {
    each_is_found(
        Api::Anthropic,
        &messages(),
        vec![
            (cut("/model"), "$.model"),
            (cut("/messages"), "$.messages"),
            (put("/stop", "END"), "$.stop"),
            (put("/max_completion_tokens", 1), "$.max_completion_tokens"),
            (put("/seed", 1), "$.seed"),
            (put("/stream", Value::Null), "$.stream"),
            (put("/service_tier", "default"), "$.service_tier"),
            (put("/metadata/session", "s"), "$.metadata.session"),
            (put("/output_config/effort", "none"), "$.output_config.effort"),
            (put("/thinking", json!({"type": "auto"})), "$.thinking.type"),
            (put("/system/0/type", "input_text"), "$.system[0].type"),
            (put("/system/0/cache_control/ttl", "30m"), "$.system[0].cache_control.ttl"),
            (put("/messages/0/role", "developer"), "$.messages[0].role"),
            (put("/messages/0/name", "n"), "$.messages[0].name"),
            (put("/messages/0/content/0/type", "image_url"), "$.messages[0].content[0].type"),
            (
                put("/messages/0/content/0/source/media_type", "image/jpg"),
                "$.messages[0].content[0].source.media_type",
            ),
            (
                put("/messages/0/content/0/source/type", "data"),
                "$.messages[0].content[0].source.type",
            ),
            (cut("/messages/0/content/1/text"), "$.messages[0].content[1].text"),
            (cut("/messages/1/content/0/signature"), "$.messages[1].content[0].signature"),
            (put("/messages/1/content/1/input", "{}"), "$.messages[1].content[1].input"),
            (cut("/messages/1/content/1/name"), "$.messages[1].content[1].name"),
            (put("/messages/2/content/0/name", "look"), "$.messages[2].content[0].name"),
            (put("/messages/2/content/0/content", json!({})), "$.messages[2].content[0].content"),
            (put("/messages/2/content/1/is_error", "yes"), "$.messages[2].content[1].is_error"),
            (put("/tools/0/parameters", json!({})), "$.tools[0].parameters"),
            (put("/tools/0/type", "function"), "$.tools[0].type"),
            (put("/tool_choice", "auto"), "$.tool_choice"),
            (put("/tool_choice/type", "required"), "$.tool_choice.type"),
            (put("/tool_choice/name", "look"), "$.tool_choice.name"),
            (put("/tools/0/input_schema/type", "array"), "$.tools[0].input_schema.type"),
        ],
    );
}

#[test]
fn rules_of_messages() {
    each_is_found(
        Api::Anthropic,
        &messages(),
        vec![
            (put("/messages", json!([])), "$.messages"),
            (
                put("/messages/0", json!({"role": "assistant", "content": "Hi"})),
                "$.messages[0].role",
            ),
            (put("/messages/0/content/1/text", " "), "$.messages[0].content[1].text"),
            (put("/system/0/text", ""), "$.system[0].text"),
            (put("/messages/-", json!({"role": "user", "content": ""})), "$.messages[3].content"),
            (
                put("/messages/-", json!({"role": "assistant", "content": "{ "})),
                "$.messages[3].content",
            ),
            (
                put("/messages/0/content/0/source/data", "data:image/png;base64,AAAA"),
                "$.messages[0].content[0].source.data",
            ),
            (
                put("/messages/0/content/0/source/data", "AA-_"),
                "$.messages[0].content[0].source.data",
            ),
            (
                put("/messages/0/content/0/source/data", "AAA"),
                "$.messages[0].content[0].source.data",
            ),
            // Results: all of them, first, each of a call, in the next turn.
            (cut("/messages/2/content/0"), "$.messages[1].content"),
            (
                put("/messages/2/content/0", json!({"type": "text", "text": "So"})),
                "$.messages[2].content[1] + $.messages[2].content[2]",
            ),
            (
                put(
                    "/messages/2/content/0",
                    json!({"type": "tool_result", "tool_use_id": "toolu_3"}),
                ),
                "$.messages[2].content[0].tool_use_id",
            ),
            (cut("/messages/1/content/2"), "$.messages[2].content[0].tool_use_id"),
            (put("/messages/1/content/1/name", "look at"), "$.messages[1].content[1].name"),
            (
                put(
                    "/messages/1/content/0",
                    json!({"type": "server_tool_use", "id": "a.b", "name": "web_search", "input": {}}),
                ),
                "$.messages[1].content[0].id",
            ),
        ],
    );
}

#[test]
fn rules_of_tools_and_thinking() {
    each_is_found(
        Api::Anthropic,
        &messages(),
        vec![
            (put("/thinking/budget_tokens", 1023), "$.thinking.budget_tokens"),
            (put("/thinking/budget_tokens", 4096), "$.thinking.budget_tokens"),
            (put("/temperature", 0.5), "$.temperature"),
            (put("/top_k", 3), "$.top_k"),
            (put("/tool_choice", json!({"type": "any"})), "$.tool_choice.type"),
            (put("/stop_sequences/-", "\n"), "$.stop_sequences[1]"),
            (put("/tools/0/name", "look.at"), "$.tools[0].name"),
            (
                put("/tools/-", json!({"name": "look", "input_schema": {"type": "object"}})),
                "$.tools[1].name",
            ),
            (cut("/tools"), "$.tool_choice"),
            (
                cut("/tools/0/input_schema/additionalProperties"),
                "$.tools[0].input_schema.additionalProperties",
            ),
            (
                put("/tools/0/input_schema/properties/at/maxLength", 3),
                "$.tools[0].input_schema.properties.at.maxLength",
            ),
            (
                put("/tools/0/input_schema/properties/at/format", "phone"),
                "$.tools[0].input_schema.properties.at.format",
            ),
            (
                put(
                    "/output_config/format",
                    json!({"type": "json_schema", "schema": {"type": "object"}}),
                ),
                "$.output_config.format.schema.additionalProperties",
            ),
        ],
    );
}

#[test]
fn sampling_cache_markers_and_what_must_be_there() {
    let plain = json!({
        "model": "claude-haiku-4-5",
        "max_tokens": 10,
        "cache_control": {"type": "ephemeral"},
        "system": [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "c", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": "merged with the turn before"},
        ],
    });
    each_is_found(
        Api::Anthropic,
        &plain,
        vec![
            (cut("/max_tokens"), "$.max_tokens"),
            (put("/temperature", 1.1), "$.temperature"),
            (put("/top_p", 1.1), "$.top_p"),
            (
                put(
                    "/messages/0/content/-",
                    json!({"type": "text", "text": "d", "cache_control": {"type": "ephemeral"}}),
                ),
                "$",
            ),
        ],
    );
    let mut counted = plain;
    assert_eq!(crate::wrong::paths(&check(Api::AnthropicCountTokens, &counted)), ["$.max_tokens"]);
    counted.as_object_mut().expect("an object").remove("max_tokens");
    each_is_found(
        Api::AnthropicCountTokens,
        &counted,
        vec![
            (put("/stream", true), "$.stream"),
            (put("/temperature", 1), "$.temperature"),
            (put("/messages/0/content/0/text", ""), "$.messages[0].content[0].text"),
        ],
    );
}
