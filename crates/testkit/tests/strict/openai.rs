use serde_json::{Value, json};
use testkit::strict::{Api, check};

use crate::wrong::{cut, each_is_found, put};

fn chat() -> Value {
    json!({
        "model": "gpt-6-sol",
        "messages": [
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_2", "content": "a cat"},
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "a dog"}]},
            {"role": "user", "content": "In json please"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "look",
            "strict": true,
            "parameters": {
                "type": "object",
                "properties": {"at": {"$ref": "#/$defs/place"}},
                "required": ["at"],
                "additionalProperties": false,
                "$defs": {"place": {"type": ["string", "null"]}},
            },
        }}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "answer",
            "strict": true,
            "schema": {"type": "object", "properties": {}, "required": [], "additionalProperties": false},
        }},
        "max_completion_tokens": 100,
        "stop": ["x"],
        "stream": true,
        "stream_options": {"include_usage": true},
        "metadata": {"a": "b"},
    })
}

#[test]
fn types_of_chat() {
    each_is_found(
        Api::OpenaiChat,
        &chat(),
        vec![
            (cut("/model"), "$.model"),
            (cut("/messages"), "$.messages"),
            (put("/top_k", 3), "$.top_k"),
            (put("/max_completion_tokens", 1.5), "$.max_completion_tokens"),
            (put("/temperature", "1"), "$.temperature"),
            (put("/user", Value::Null), "$.user"),
            (put("/stop", json!([1])), "$.stop[0]"),
            (put("/reasoning_effort", "most"), "$.reasoning_effort"),
            (put("/service_tier", "standard_only"), "$.service_tier"),
            (put("/logit_bias", json!({"7": "1"})), "$.logit_bias.7"),
            (put("/metadata", json!({"a": 1})), "$.metadata.a"),
            (put("/messages", json!({})), "$.messages"),
            (put("/messages/1/role", "human"), "$.messages[1].role"),
            (cut("/messages/1/role"), "$.messages[1].role"),
            (
                put("/messages/1/cache_control", json!({"type": "ephemeral"})),
                "$.messages[1].cache_control",
            ),
            (put("/messages/1/content", 1), "$.messages[1].content"),
            (put("/messages/1/content/0/type", "input_text"), "$.messages[1].content[0].type"),
            (cut("/messages/1/content/0/text"), "$.messages[1].content[0].text"),
            (put("/messages/1/content/1/detail", "low"), "$.messages[1].content[1].detail"),
            (
                put("/messages/1/content/1/image_url/detail", "tiny"),
                "$.messages[1].content[1].image_url.detail",
            ),
            (put("/messages/1/content/1/image_url", "data:"), "$.messages[1].content[1].image_url"),
            (put("/messages/0/content", Value::Null), "$.messages[0].content"),
            (put("/messages/2/reasoning_content", ""), "$.messages[2].reasoning_content"),
            (
                put("/messages/2/tool_calls/0/function/arguments", json!({})),
                "$.messages[2].tool_calls[0].function.arguments",
            ),
            (cut("/messages/2/tool_calls/0/type"), "$.messages[2].tool_calls[0].type"),
            (put("/messages/2/tool_calls/0/index", 0), "$.messages[2].tool_calls[0].index"),
            (put("/messages/3/name", "look"), "$.messages[3].name"),
            (put("/tools/0/function/input_schema", json!({})), "$.tools[0].function.input_schema"),
            (put("/tools/0/strict", true), "$.tools[0].strict"),
            (put("/tools/0/function/parameters", "{}"), "$.tools[0].function.parameters"),
            (put("/tool_choice", "any"), "$.tool_choice"),
            (put("/response_format/schema", json!({})), "$.response_format.schema"),
            (cut("/response_format/json_schema/name"), "$.response_format.json_schema.name"),
            (put("/response_format/type", "json"), "$.response_format.type"),
            (put("/stream_options/usage", true), "$.stream_options.usage"),
        ],
    );
}

#[test]
fn rules_of_chat() {
    each_is_found(
        Api::OpenaiChat,
        &chat(),
        vec![
            (put("/temperature", 2.5), "$.temperature"),
            (put("/n", 0), "$.n"),
            (put("/max_completion_tokens", 0), "$.max_completion_tokens"),
            (put("/max_tokens", 9), "$.max_completion_tokens"),
            (put("/stop", json!(["1", "2", "3", "4", "5"])), "$.stop"),
            (put("/logit_bias", json!({"a": 1})), "$.logit_bias.a"),
            (put("/top_logprobs", 2), "$.top_logprobs"),
            (put("/stream", false), "$.stream_options"),
            (put("/messages", json!([])), "$.messages"),
            (put("/messages/1/content", json!([])), "$.messages[1].content"),
            (
                put("/messages/1/content/1/image_url/url", "data:image/png,AAAA"),
                "$.messages[1].content[1].image_url.url",
            ),
            (
                put("/messages/1/content/1/image_url/url", "data:image/png;base64,AA-_"),
                "$.messages[1].content[1].image_url.url",
            ),
            (
                put(
                    "/messages/1/content/-",
                    json!({"type": "input_audio", "input_audio": {"format": "wav", "data": "AA-_"}}),
                ),
                "$.messages[1].content[2].input_audio.data",
            ),
            (
                put(
                    "/messages/1/content/-",
                    json!({"type": "file", "file": {"filename": "a", "file_data": "data:application/pdf;base64,AAA"}}),
                ),
                "$.messages[1].content[2].file.file_data",
            ),
            // A message between the calls and one of the answers.
            (
                put("/messages/3", json!({"role": "user", "content": "?"})),
                "$.messages[2].tool_calls + $.messages[4].tool_call_id + $.messages[5].tool_call_id",
            ),
            (cut("/messages/4"), "$.messages[2].tool_calls"),
            (
                put("/messages/3/tool_call_id", "call_1"),
                "$.messages[4].tool_call_id + $.messages[2].tool_calls",
            ),
            (
                put("/messages/-", json!({"role": "assistant", "content": null})),
                "$.messages[6].content",
            ),
            (
                put(
                    "/messages/-",
                    json!({"role": "tool", "tool_call_id": "call_3", "content": ""}),
                ),
                "$.messages[6].tool_call_id",
            ),
            (
                put("/messages/2/tool_calls/0/function/name", "look at"),
                "$.messages[2].tool_calls[0].function.name",
            ),
            (put("/messages/5/tool_calls", json!([])), "$.messages[5].tool_calls"),
        ],
    );
}

#[test]
fn rules_of_tools_in_chat() {
    each_is_found(
        Api::OpenaiChat,
        &chat(),
        vec![
            (put("/tool_choice/function/name", "see"), "$.tool_choice.function.name"),
            (
                put("/tools/-", json!({"type": "function", "function": {"name": "look"}})),
                "$.tools[1].function.name",
            ),
            (
                put("/tools/-", json!({"type": "function", "function": {"name": "a.b"}})),
                "$.tools[1].function.name",
            ),
            (
                put(
                    "/tools/-",
                    json!({"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}),
                ),
                "$.tools[1].function.parameters.type",
            ),
            (
                put("/tools/0/function/parameters/required", json!([])),
                "$.tools[0].function.parameters.required",
            ),
            (
                put("/tools/0/function/parameters/additionalProperties", true),
                "$.tools[0].function.parameters.additionalProperties",
            ),
            (
                put("/tools/0/function/parameters/$defs/place/type", "text"),
                "$.tools[0].function.parameters[\"$defs\"].place.type",
            ),
            (
                put("/tools/0/function/parameters/properties/at", json!({"$ref": "#/$defs/time"})),
                "$.tools[0].function.parameters.properties.at[\"$ref\"]",
            ),
            (
                put(
                    "/tools/0/function/parameters/properties/at",
                    json!({"not": {"type": "string"}}),
                ),
                "$.tools[0].function.parameters.properties.at.not",
            ),
            (
                put("/response_format/json_schema/name", "the answer"),
                "$.response_format.json_schema.name",
            ),
            (
                cut("/response_format/json_schema/schema/additionalProperties"),
                "$.response_format.json_schema.schema.additionalProperties",
            ),
        ],
    );
}

#[test]
fn what_needs_something_else_of_chat() {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(check(Api::OpenaiChat, &body), Vec::<String>::new());
    body["response_format"] = json!({"type": "json_object"});
    body["tool_choice"] = json!("auto");
    body["parallel_tool_calls"] = json!(true);
    let faults = check(Api::OpenaiChat, &body);
    assert_eq!(
        crate::wrong::paths(&faults),
        ["$.tool_choice", "$.parallel_tool_calls", "$.response_format"]
    );
}

fn responses() -> Value {
    json!({
        "model": "gpt-6-sol",
        "instructions": "Be short.",
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "AAAA"},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a cat"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "A cat.", "annotations": []}]},
            {"type": "message", "role": "user", "content": "As json"},
        ],
        "tools": [{"type": "function", "name": "look", "strict": false, "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "look"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": false,
        "max_output_tokens": 100,
    })
}

#[test]
fn types_of_responses() {
    each_is_found(
        Api::OpenaiResponses,
        &responses(),
        vec![
            (put("/stop", "x"), "$.stop"),
            (put("/n", 1), "$.n"),
            (put("/seed", 1), "$.seed"),
            (put("/messages", json!([])), "$.messages"),
            (put("/max_tokens", 100), "$.max_tokens"),
            (put("/reasoning_effort", "low"), "$.reasoning_effort"),
            (put("/response_format", json!({})), "$.response_format"),
            (put("/reasoning/effort", "most"), "$.reasoning.effort"),
            (put("/reasoning/budget", 1), "$.reasoning.budget"),
            (put("/include/-", "everything"), "$.include[1]"),
            (put("/input", 1), "$.input + $.text.format"),
            (put("/input/0/content/0/type", "text"), "$.input[0].content[0].type"),
            (
                put("/input/0/content/1/image_url", json!({"url": "x"})),
                "$.input[0].content[1].image_url",
            ),
            (cut("/input/1/summary"), "$.input[1].summary"),
            (put("/input/1/content", ""), "$.input[1].content"),
            (put("/input/2/arguments", json!({})), "$.input[2].arguments"),
            (cut("/input/2/name"), "$.input[2].name"),
            (cut("/input/3/output"), "$.input[3].output"),
            (put("/input/3/is_error", true), "$.input[3].is_error"),
            (put("/input/3/type", "tool_result"), "$.input[3].type + $.input[2].call_id"),
            (put("/input/5/tool_calls", json!([])), "$.input[5].tool_calls"),
            (cut("/tools/0/parameters"), "$.tools[0].parameters"),
            (put("/tools/0/function", json!({})), "$.tools[0].function"),
            (put("/tool_choice/function", json!({})), "$.tool_choice.function"),
            (put("/text/format/schema", json!({})), "$.text.format.schema"),
            (put("/text/verbosity", "silent"), "$.text.verbosity"),
        ],
    );
}

#[test]
fn rules_of_responses() {
    each_is_found(
        Api::OpenaiResponses,
        &responses(),
        vec![
            (cut("/model"), "$.model"),
            (cut("/input"), "$.input"),
            (put("/max_output_tokens", 15), "$.max_output_tokens"),
            (put("/temperature", -1), "$.temperature"),
            (put("/stream_options", json!({})), "$.stream_options"),
            (put("/input/0/content/1/image_url", "AAAA"), "$.input[0].content[1].image_url"),
            (
                put(
                    "/input/0/content/-",
                    json!({"type": "input_file", "filename": "a", "file_data": "data:application/pdf;base64,AAA"}),
                ),
                "$.input[0].content[2].file_data",
            ),
            (
                put("/input/0/content/0", json!({"type": "output_text", "text": "x"})),
                "$.input[0].content[0].type",
            ),
            (put("/input/2/id", "call_1"), "$.input[2].id"),
            // The output goes, or the call: either way the pair is broken.
            (cut("/input/3"), "$.input[2].call_id"),
            (put("/input/3/type", "custom_tool_call_output"), "$.input[3].call_id"),
            (put("/input/2", json!({"role": "user", "content": "x"})), "$.input[1]"),
            (put("/input/5", json!({"type": "reasoning", "summary": []})), "$.input[5]"),
            // A message that the provider cannot look up beside reasoning that it can.
            (put("/input/2", json!({"role": "assistant", "content": "x"})), "$.input[1]"),
            (put("/input/-", json!({"type": "reasoning", "summary": []})), "$.input[6]"),
            (put("/tools/0/name", "look.at"), "$.tools[0].name"),
            (put("/tools/0/parameters/type", "string"), "$.tools[0].parameters.type"),
            (put("/input/5/content", "As text"), "$.text.format"),
        ],
    );
}

#[test]
fn types_of_the_other_endpoints() {
    each_is_found(
        Api::OpenaiEmbeddings,
        &json!({"model": "m", "input": ["a"], "encoding_format": "base64", "dimensions": 3}),
        vec![
            (cut("/input"), "$.input"),
            (cut("/model"), "$.model"),
            (put("/input", json!([])), "$.input"),
            (put("/input", json!([true])), "$.input[0]"),
            (put("/encoding_format", "int8"), "$.encoding_format"),
            (put("/dimensions", 0), "$.dimensions"),
            (put("/input_type", "query"), "$.input_type"),
        ],
    );
    each_is_found(
        Api::OpenaiCompletions,
        &json!({"model": "m", "prompt": [[1, 2]], "max_tokens": 3}),
        vec![
            (cut("/prompt"), "$.prompt"),
            (put("/prompt", json!([["a"]])), "$.prompt[0][0]"),
            (put("/logprobs", true), "$.logprobs"),
            (put("/logprobs", 6), "$.logprobs"),
            (put("/messages", json!([])), "$.messages"),
            (put("/stream_options", json!({"include_usage": true})), "$.stream_options"),
        ],
    );
}
