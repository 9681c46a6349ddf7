//! Responses of `OpenAI` and `DeepSeek`.

use serde_json::{Value, json};

use super::chat::logprob;
use super::reply::{self, Call, End, Reply};
use crate::ask::{Ask, Thinking, array, field};
use crate::provider::Provider;
use crate::stream::words;
use crate::{ids, seal};

/// Fields of the request that the answer repeats, with what stands there if they are not given.
const ECHOED: [(&str, &str); 21] = [
    ("background", "false"),
    ("frequency_penalty", "0.0"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("moderation", "null"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "0.0"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("safety_identifier", "null"),
    ("store", "true"),
    ("temperature", "1.0"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

pub(crate) fn whole(provider: Provider, body: &Value, ask: &Ask, seed: u64) -> Value {
    let reply = reply::to(ask, 0);
    let (status, details) = match reply.end {
        End::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        _ => ("completed", Value::Null),
    };
    let id = match provider {
        Provider::DeepSeek => ids::uuid(seed),
        _ => format!("resp_{}", ids::hex(seed, 50)),
    };
    let mut response = json!({
        "id": id,
        "object": "response",
        "created_at": super::CREATED,
        "completed_at": if status == "completed" { json!(super::CREATED + 1) } else { Value::Null },
        "status": status,
        "error": null,
        "incomplete_details": details,
        "model": ask.model,
        "output": output(provider, body, ask, &reply, seed),
        "service_tier": "default",
        "usage": usage(provider, ask, &reply),
    });
    for (key, default) in ECHOED {
        let given = field(body, key).cloned();
        response[key] = given.unwrap_or_else(|| serde_json::from_str(default).unwrap_or_default());
    }
    if provider == Provider::DeepSeek {
        response["content_filters"] = Value::Null;
    }
    let option = |pointer: &str| body.pointer(pointer).cloned().unwrap_or_default();
    response["reasoning"] =
        json!({"effort": option("/reasoning/effort"), "summary": option("/reasoning/summary")});
    let format = body.pointer("/text/format").cloned().unwrap_or(json!({"type": "text"}));
    let verbosity = body.pointer("/text/verbosity").cloned().unwrap_or("medium".into());
    response["text"] = json!({"format": format, "verbosity": verbosity});
    response
}

fn usage(provider: Provider, ask: &Ask, reply: &Reply) -> Value {
    let output = reply.all_tokens();
    let mut usage = json!({
        "input_tokens": ask.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": reply.thought_tokens()},
        "total_tokens": ask.input_tokens.saturating_add(output),
    });
    if provider == Provider::OpenAi {
        usage["input_tokens_details"]["cache_write_tokens"] = 0.into();
    }
    usage
}

fn output(provider: Provider, body: &Value, ask: &Ask, reply: &Reply, seed: u64) -> Vec<Value> {
    let id = |prefix: &str, place: u64| {
        let seed = ids::mix(seed).wrapping_add(place);
        match provider {
            Provider::DeepSeek => ids::uuid(seed),
            _ => format!("{prefix}_{}", ids::hex(seed, 50)),
        }
    };
    let mut items = Vec::new();
    if let Some(thought) = &reply.thought {
        let mut item = json!({"id": id("rs", 0), "type": "reasoning", "summary": []});
        if provider == Provider::DeepSeek {
            item["content"] = json!([{"type": "reasoning_text", "text": thought.text}]);
            item["status"] = "completed".into();
        } else if ask.thinking == Thinking::Shown {
            item["summary"] = json!([{"type": "summary_text", "text": thought.text}]);
        }
        let include = array(body, "include");
        if include.iter().any(|name| name == "reasoning.encrypted_content") {
            item["encrypted_content"] = seal::seal(&thought.text).into();
        }
        items.push(item);
    }
    let cut = reply.end == End::Length;
    if !reply.text.is_empty() {
        let logprobs: Vec<Value> = if ask.logprobs {
            words(&reply.text).into_iter().map(logprob).collect()
        } else {
            Vec::new()
        };
        let part = json!({
            "type": "output_text", "text": reply.text, "annotations": [], "logprobs": logprobs,
        });
        items.push(json!({
            "id": id("msg", 1), "type": "message", "role": "assistant", "content": [part],
            "phase": "final_answer", "status": status(cut),
        }));
    }
    for (place, call) in (2_u64..).zip(&reply.calls) {
        let last = place == 1 + u64::try_from(reply.calls.len()).unwrap_or_default();
        items.push(function_call(call, place, &id, seed, cut && last));
    }
    items
}

fn status(cut: bool) -> &'static str {
    if cut { "incomplete" } else { "completed" }
}

fn function_call(
    call: &Call,
    place: u64,
    id: &dyn Fn(&str, u64) -> String,
    seed: u64,
    cut: bool,
) -> Value {
    let call_id = format!("call_{}", ids::base62(ids::mix(seed).wrapping_add(place), 24));
    let (kind, prefix, key) = if call.free_form {
        ("custom_tool_call", "ctc", "input")
    } else {
        ("function_call", "fc", "arguments")
    };
    json!({
        "id": id(prefix, place), "type": kind, "status": status(cut), "call_id": call_id,
        "name": call.name, key: call.arguments,
    })
}
