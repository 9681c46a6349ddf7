//! Chat Completions of `OpenAI` and `DeepSeek`, filled into a plain text answer.

use serde_json::{Value, json};

use super::reply::{self, Call, End, Reply};
use super::set;
use crate::ask::{Ask, Choice};
use crate::ids;
use crate::provider::Provider;
use crate::stream::words;

pub(crate) fn whole(provider: Provider, template: &Value, ask: &Ask, seed: u64) -> Value {
    let replies: Vec<Reply> =
        (0..ask.answers.clamp(1, 128)).map(|number| reply::to(ask, number)).collect();
    let mut body = template.clone();
    let model = template.pointer("/choices/0").cloned().unwrap_or_default();
    let choices: Vec<Value> = replies
        .iter()
        .enumerate()
        .map(|(index, reply)| choice(provider, &model, ask, reply, index, seed))
        .collect();
    set(&mut body, "/choices", choices);
    let id = match provider {
        Provider::DeepSeek => ids::uuid(seed),
        _ => format!("chatcmpl-{}", ids::base62(seed, 29)),
    };
    set(&mut body, "/id", id);
    set(&mut body, "/model", ask.model.as_str());
    let output = replies.iter().map(Reply::all_tokens).sum::<u64>();
    set(&mut body, "/usage/prompt_tokens", ask.input_tokens);
    set(&mut body, "/usage/completion_tokens", output);
    set(&mut body, "/usage/total_tokens", ask.input_tokens.saturating_add(output));
    set(&mut body, "/usage/prompt_cache_hit_tokens", 0);
    set(&mut body, "/usage/prompt_cache_miss_tokens", ask.input_tokens);
    let reasoning = replies.iter().map(Reply::thought_tokens).sum::<u64>();
    let details = body.pointer("/usage/completion_tokens_details").is_some();
    if details {
        set(&mut body, "/usage/completion_tokens_details/reasoning_tokens", reasoning);
    } else if reasoning > 0 {
        body["usage"]["completion_tokens_details"] = json!({"reasoning_tokens": reasoning});
    }
    body
}

fn choice(
    provider: Provider,
    model: &Value,
    ask: &Ask,
    reply: &Reply,
    index: usize,
    seed: u64,
) -> Value {
    let mut choice = model.clone();
    set(&mut choice, "/index", index);
    set(&mut choice, "/message/content", reply.text.as_str());
    if let Some(thought) = reply.thought.as_ref().filter(|thought| thought.shown) {
        choice["message"]["reasoning_content"] = thought.text.as_str().into();
    }
    if !reply.calls.is_empty() {
        let calls = reply.calls.iter().enumerate();
        let seed = ids::mix(seed ^ u64::try_from(index).unwrap_or_default());
        let calls: Vec<Value> =
            calls.map(|(place, call)| tool_call(provider, place, call, seed)).collect();
        choice["message"]["tool_calls"] = calls.into();
        // DeepSeek has an empty text there instead.
        if provider != Provider::DeepSeek {
            set(&mut choice, "/message/content", Value::Null);
        }
    }
    if ask.logprobs && reply.calls.is_empty() {
        let tokens: Vec<Value> = words(&reply.text).into_iter().map(logprob).collect();
        choice["logprobs"] = json!({"content": tokens, "refusal": null});
    }
    let finish = match (&reply.end, &ask.choice) {
        (End::Length, _) => "length",
        // The real one says so when it had no choice.
        (End::Calls, Choice::Named(_)) if provider == Provider::OpenAi => "stop",
        (End::Calls, _) => "tool_calls",
        (End::Stop | End::Sequence(_), _) => "stop",
    };
    set(&mut choice, "/finish_reason", finish);
    choice
}

fn tool_call(provider: Provider, place: usize, call: &Call, seed: u64) -> Value {
    let seed = seed.wrapping_add(u64::try_from(place).unwrap_or_default());
    let id = match provider {
        Provider::DeepSeek => format!("call_{place:02}_{}", ids::base62(seed, 24)),
        _ => format!("call_{}", ids::base62(seed, 24)),
    };
    if call.free_form {
        let custom = json!({"name": call.name, "input": call.arguments});
        return json!({"id": id, "type": "custom", "custom": custom});
    }
    let function = json!({"name": call.name, "arguments": call.arguments});
    let mut call = json!({"id": id, "type": "function", "function": function});
    if provider == Provider::DeepSeek {
        call["index"] = place.into();
    }
    call
}

/// A piece of text as a token that was likely.
pub(super) fn logprob(piece: &str) -> Value {
    json!({"token": piece, "logprob": -0.25, "bytes": piece.as_bytes(), "top_logprobs": []})
}
