//! Legacy completions as chunks.

use serde_json::{Value, json};

use super::chat::Usage;
use super::{Form, Stream, words};
use crate::provider::Provider;

pub(crate) fn stream(whole: &Value, usage: Usage) -> Stream {
    let chunk = |choices: Vec<Value>| {
        let mut chunk = json!({"object": "text_completion", "choices": choices});
        for key in ["id", "created", "model"] {
            chunk[key] = whole.get(key).cloned().unwrap_or_default();
        }
        if usage == Usage::Alone {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let mut events = Vec::new();
    for choice in whole.get("choices").and_then(Value::as_array).into_iter().flatten() {
        let part = |text: &str, finish: Value| {
            let index = choice.get("index").cloned().unwrap_or_default();
            json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish})
        };
        let text = choice.get("text").and_then(Value::as_str).unwrap_or_default();
        events.extend(words(text).into_iter().map(|piece| chunk(vec![part(piece, Value::Null)])));
        let finish = choice.get("finish_reason").cloned().unwrap_or_default();
        events.push(chunk(vec![part("", finish)]));
    }
    if usage == Usage::Alone {
        let mut last = chunk(Vec::new());
        last["usage"] = whole.get("usage").cloned().unwrap_or_default();
        events.push(last);
    }
    Stream::new(Form::Chat(Provider::OpenAi), &events)
}
