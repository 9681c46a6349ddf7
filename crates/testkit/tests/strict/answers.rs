use serde_json::{Value, json};
use testkit::strict::{Api, check_answer, check_event};
use testkit::{Provider, fixtures};

use crate::wrong::{Change, cut, each_is_found_by, put};

#[test]
fn an_endpoint_is_told_by_its_path() {
    for (path, api) in [
        ("/v1/chat/completions", Some(Api::OpenaiChat)),
        ("/chat/completions", Some(Api::DeepseekChat)),
        ("/anthropic/v1/messages", Some(Api::DeepseekAnthropic)),
        ("/v1beta/models/tuned:x:streamGenerateContent", Some(Api::Gemini)),
        ("/v1beta/models/x:countTokens", Some(Api::GeminiCountTokens)),
        ("/v1beta/models/x:predict", None),
        ("/v1/models", None),
    ] {
        assert_eq!(Api::of(path), api, "{path}");
    }
}

fn answers(api: Api, sound: &Value, table: Vec<(Change, &str)>) {
    each_is_found_by(|body| check_answer(api, body), sound, table);
}

fn events(api: Api, sound: &Value, table: Vec<(Change, &str)>) {
    each_is_found_by(|event| check_event(api, event), sound, table);
}

#[test]
fn our_own_fixtures_are_sound() {
    let mut wrong = Vec::new();
    for fixture in fixtures().iter().filter(|fixture| fixture.status < 300) {
        let api = match fixture.provider {
            Provider::OpenAi => Api::OpenaiChat,
            Provider::DeepSeek => Api::DeepseekChat,
            Provider::Anthropic => Api::Anthropic,
            Provider::Gemini => Api::Gemini,
        };
        let faults = check_answer(api, &fixture.body);
        wrong.extend(faults.iter().map(|fault| format!("{} {fault}", fixture.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn chat() {
    answers(
        Api::OpenaiChat,
        &json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": null, "message": {
                "role": "assistant", "content": null, "refusal": null,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            }}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        }),
        vec![
            (cut("/created"), "$.created"),
            (put("/object", "chat.completion.chunk"), "$.object"),
            (put("/provider", "p"), "$.provider"),
            (put("/choices/0/finish_reason", "end_turn"), "$.choices[0].finish_reason"),
            (put("/choices/0/finish_reason", Value::Null), "$.choices[0].finish_reason"),
            (put("/choices/0/message/role", "model"), "$.choices[0].message.role"),
            (put("/choices/0/message/thinking", ""), "$.choices[0].message.thinking"),
            (cut("/choices/0/message/tool_calls/0/id"), "$.choices[0].message.tool_calls[0].id"),
            (
                put("/choices/0/message/tool_calls/0/function/arguments", json!({})),
                "$.choices[0].message.tool_calls[0].function.arguments",
            ),
            (put("/usage/total_tokens", "3"), "$.usage.total_tokens"),
            (put("/usage/input_tokens", 3), "$.usage.input_tokens"),
        ],
    );
    events(
        Api::OpenaiChat,
        &json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": null, "delta": {
                "role": "assistant", "content": "",
                "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f"}}],
            }}],
            "usage": null,
        }),
        vec![
            (put("/object", "chat.completion"), "$.object"),
            (cut("/choices/0/delta"), "$.choices[0].delta"),
            (put("/choices/0/message", json!({})), "$.choices[0].message"),
            (cut("/choices/0/delta/tool_calls/0/index"), "$.choices[0].delta.tool_calls[0].index"),
            (put("/choices/0/delta/content", 1), "$.choices[0].delta.content"),
            (put("/choices/0/finish_reason", "error"), "$.choices[0].finish_reason"),
            (cut("/choices"), "$.choices"),
        ],
    );
    let error =
        json!({"error": {"message": "m", "type": "server_error", "param": null, "code": null}});
    events(Api::OpenaiChat, &error, vec![(put("/error/status", 500), "$.error.status")]);
}

#[test]
fn responses() {
    let response = json!({
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        ],
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "error": null,
        "usage": {
            "input_tokens": 1, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 3,
        },
    });
    answers(
        Api::OpenaiResponses,
        &response,
        vec![
            (cut("/output"), "$.output"),
            (cut("/tools"), "$.tools"),
            (put("/choices", json!([])), "$.choices"),
            (put("/status", "done"), "$.status"),
            (put("/output/0/text", ""), "$.output[0].text"),
            (cut("/output/1/id"), "$.output[1].id"),
            (cut("/output/1/content/0/annotations"), "$.output[1].content[0].annotations"),
            (put("/output/1/content/0/type", "text"), "$.output[1].content[0].type"),
            (put("/output/2/arguments", json!({})), "$.output[2].arguments"),
            (put("/output/2/type", "tool_call"), "$.output[2].type"),
            (cut("/usage/input_tokens_details"), "$.usage.input_tokens_details"),
            (put("/usage/prompt_tokens", 1), "$.usage.prompt_tokens"),
        ],
    );
    events(
        Api::OpenaiResponses,
        &json!({"type": "response.completed", "sequence_number": 9, "response": response}),
        vec![
            (cut("/sequence_number"), "$.sequence_number"),
            (cut("/response/model"), "$.response.model"),
            (put("/type", "response.done"), "$.type"),
            (put("/delta", ""), "$.delta"),
        ],
    );
    events(
        Api::OpenaiResponses,
        &json!({
            "type": "response.output_text.delta", "sequence_number": 3, "item_id": "msg_1",
            "output_index": 0, "content_index": 0, "delta": "Hi", "logprobs": [],
        }),
        vec![
            (cut("/logprobs"), "$.logprobs"),
            (put("/output_index", "0"), "$.output_index"),
            (put("/text", "Hi"), "$.text"),
        ],
    );
}

#[test]
fn messages() {
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "text", "text": "Hi", "citations": null},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": null},
    });
    answers(
        Api::Anthropic,
        &message,
        vec![
            (cut("/usage"), "$.usage"),
            (put("/object", "message"), "$.object"),
            (put("/role", "model"), "$.role"),
            (put("/stop_reason", "stop"), "$.stop_reason"),
            (put("/content", "Hi"), "$.content"),
            (cut("/content/0/signature"), "$.content[0].signature"),
            (put("/content/1/type", "output_text"), "$.content[1].type"),
            (put("/content/1/annotations", json!([])), "$.content[1].annotations"),
            (cut("/content/2/input"), "$.content[2].input"),
            (put("/usage/input_tokens", Value::Null), "$.usage.input_tokens"),
            (put("/usage/total_tokens", 3), "$.usage.total_tokens"),
        ],
    );
    events(
        Api::Anthropic,
        &json!({"type": "message_start", "message": message}),
        vec![
            (put("/type", "message_begin"), "$.type"),
            (put("/index", 0), "$.index"),
            (cut("/message/content"), "$.message.content"),
        ],
    );
    events(
        Api::Anthropic,
        &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "H"}}),
        vec![
            (cut("/index"), "$.index"),
            (put("/delta/type", "text"), "$.delta.type"),
            (put("/delta/partial_json", ""), "$.delta.partial_json"),
            (cut("/delta/text"), "$.delta.text"),
        ],
    );
    events(
        Api::Anthropic,
        &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                "usage": {"output_tokens": 2}}),
        vec![
            (cut("/usage/output_tokens"), "$.usage.output_tokens"),
            (put("/delta/stop_reason", "stop"), "$.delta.stop_reason"),
            (put("/delta/text", ""), "$.delta.text"),
        ],
    );
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}});
    events(Api::Anthropic, &error, vec![(put("/error/type", "busy"), "$.error.type")]);
    events(Api::Anthropic, &json!({"type": "ping"}), vec![(put("/time", 1), "$.time")]);
    let counted = json!({"input_tokens": 1, "context_management": null});
    answers(Api::AnthropicCountTokens, &counted, vec![(cut("/input_tokens"), "$.input_tokens")]);
    assert!(!check_event(Api::AnthropicCountTokens, &counted).is_empty());
}

#[test]
fn generate_content() {
    let response = json!({
        "candidates": [{
            "index": 0, "finishReason": "STOP",
            "content": {"role": "model", "parts": [
                {"text": "Hm.", "thought": true},
                {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "AAAA"},
            ]},
        }],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
        "modelVersion": "m", "responseId": "r",
    });
    let table = || {
        vec![
            (put("/id", "r"), "$.id"),
            (put("/usage", json!({})), "$.usage"),
            (put("/candidates/0/finishReason", "stop"), "$.candidates[0].finishReason"),
            (put("/candidates/0/finish_reason", "STOP"), "$.candidates[0].finish_reason"),
            (put("/candidates/0/content/role", "assistant"), "$.candidates[0].content.role"),
            (
                put("/candidates/0/content/parts/0/thought", "Hm."),
                "$.candidates[0].content.parts[0].thought",
            ),
            (
                put("/candidates/0/content/parts/1/functionCall/args", "{}"),
                "$.candidates[0].content.parts[1].functionCall.args",
            ),
            (
                cut("/candidates/0/content/parts/1/functionCall/name"),
                "$.candidates[0].content.parts[1].functionCall.name",
            ),
            (put("/usageMetadata/promptTokenCount", "1"), "$.usageMetadata.promptTokenCount"),
            (put("/modelVersion", Value::Null), "$.modelVersion"),
        ]
    };
    answers(Api::Gemini, &response, table());
    events(Api::Gemini, &response, table());
    let error = json!({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}});
    events(Api::Gemini, &error, vec![(cut("/error/status"), "$.error.status")]);
    let counted = json!({"totalTokens": 3});
    answers(Api::GeminiCountTokens, &counted, vec![(cut("/totalTokens"), "$.totalTokens")]);
    let embedded = json!({"embedding": {"values": [0.5]}});
    answers(
        Api::GeminiEmbed,
        &embedded,
        vec![(put("/embedding/values/0", "x"), "$.embedding.values[0]")],
    );
    let embedded = json!({"embeddings": [{"values": [0.5]}]});
    answers(Api::GeminiBatchEmbed, &embedded, vec![(cut("/embeddings"), "$.embeddings")]);
}

#[test]
fn deepseek_embeddings_and_completions() {
    let usage = json!({
        "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
        "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 1,
    });
    answers(
        Api::DeepseekChat,
        &json!({
            "id": "d", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null,
                         "message": {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}}],
        }),
        vec![
            (cut("/usage/prompt_cache_hit_tokens"), "$.usage.prompt_cache_hit_tokens"),
            (put("/choices/0/message/refusal", Value::Null), "$.choices[0].message.refusal"),
            (put("/choices/0/finish_reason", "error"), "$.choices[0].finish_reason"),
        ],
    );
    events(
        Api::DeepseekChat,
        &json!({
            "id": "d", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "finish_reason": null, "delta": {"reasoning_content": "Hm."}}],
        }),
        vec![
            (put("/choices/0/delta/reasoning", "Hm."), "$.choices[0].delta.reasoning"),
            (cut("/choices/0/index"), "$.choices[0].index"),
        ],
    );
    answers(
        Api::OpenaiEmbeddings,
        &json!({"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
                "usage": {"prompt_tokens": 1, "total_tokens": 1}}),
        vec![
            (put("/data/0/embedding/0", "x"), "$.data[0].embedding[0]"),
            (cut("/usage/total_tokens"), "$.usage.total_tokens"),
        ],
    );
    let completion = json!({
        "id": "c", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "text": "Hi", "finish_reason": "stop", "logprobs": null}],
    });
    answers(
        Api::OpenaiCompletions,
        &completion,
        vec![
            (put("/choices/0/finish_reason", Value::Null), "$.choices[0].finish_reason"),
            (put("/choices/0/message", json!({})), "$.choices[0].message"),
        ],
    );
    let mut event = completion;
    event["choices"][0]["finish_reason"] = Value::Null;
    events(Api::OpenaiCompletions, &event, vec![(cut("/choices/0/text"), "$.choices[0].text")]);
}
