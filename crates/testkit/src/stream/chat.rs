//! Chat Completions as chunks.

use serde_json::{Map, Value, json};

use super::{Form, Stream, words};
use crate::provider::Provider;

/// Where a stream reports usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Nowhere: the client did not ask.
    Nowhere,
    /// In a chunk of its own, without choices.
    Alone,
    /// On the last chunk of the answer, as `DeepSeek` has it.
    AtFinish,
}

impl Usage {
    pub(crate) fn asked(provider: Provider, body: &Value) -> Self {
        let asked = body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
        match provider {
            Provider::DeepSeek => Self::AtFinish,
            _ if asked => Self::Alone,
            _ => Self::Nowhere,
        }
    }
}

pub(crate) fn stream(provider: Provider, whole: &Value, usage: Usage) -> Stream {
    let chunks = Chunks { whole, usage };
    let choices = whole.get("choices").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let per_choice: Vec<Vec<Value>> =
        choices.iter().map(|choice| chunks.of(provider, choice)).collect();
    let longest = per_choice.iter().map(Vec::len).max().unwrap_or_default();
    let mut events: Vec<Value> = Vec::new();
    // Several choices are written at the same time.
    for place in 0..longest {
        events.extend(per_choice.iter().filter_map(|choice| choice.get(place).cloned()));
    }
    match usage {
        Usage::Alone => {
            let mut last = chunks.chunk(Vec::new());
            last["usage"] = whole.get("usage").cloned().unwrap_or_default();
            events.push(last);
        }
        Usage::AtFinish => {
            if let Some(last) = events.last_mut() {
                last["usage"] = whole.get("usage").cloned().unwrap_or_default();
            }
        }
        Usage::Nowhere => {}
    }
    Stream::new(Form::Chat(provider), &events)
}

struct Chunks<'a> {
    whole: &'a Value,
    usage: Usage,
}

impl Chunks<'_> {
    fn chunk(&self, choices: Vec<Value>) -> Value {
        let mut chunk = Map::new();
        for (key, value) in self.whole.as_object().into_iter().flatten() {
            if !matches!(key.as_str(), "choices" | "usage" | "object") {
                chunk.insert(key.clone(), value.clone());
            }
        }
        chunk.insert("object".to_owned(), "chat.completion.chunk".into());
        chunk.insert("choices".to_owned(), choices.into());
        if self.usage != Usage::Nowhere {
            chunk.insert("usage".to_owned(), Value::Null);
        }
        chunk.into()
    }

    fn of(&self, provider: Provider, choice: &Value) -> Vec<Value> {
        let mut deltas = deltas(provider, choice.get("message").unwrap_or(&Value::Null));
        let finish = choice.get("finish_reason").cloned().unwrap_or_default();
        let last = match provider {
            Provider::DeepSeek => json!({"content": ""}),
            _ => json!({}),
        };
        let index = choice.get("index").cloned().unwrap_or_default();
        let chunk = |delta: Value, logprobs: Value, finish: Value| {
            self.chunk(vec![json!({
                "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish,
            })])
        };
        let mut logprobs = Logprobs::of(choice);
        let mut chunks: Vec<Value> = Vec::new();
        for delta in deltas.drain(..) {
            let probability = logprobs.for_delta(&delta);
            chunks.push(chunk(delta, probability, Value::Null));
        }
        chunks.push(chunk(last, Value::Null, finish));
        chunks
    }
}

/// Gives each piece of the text the log probability of its place.
struct Logprobs {
    tokens: std::vec::IntoIter<Value>,
}

impl Logprobs {
    fn of(choice: &Value) -> Self {
        let tokens = choice.pointer("/logprobs/content").and_then(Value::as_array).cloned();
        Self { tokens: tokens.unwrap_or_default().into_iter() }
    }

    fn for_delta(&mut self, delta: &Value) -> Value {
        let is_text = delta.get("content").and_then(Value::as_str).is_some_and(|t| !t.is_empty());
        let token = if is_text { self.tokens.next() } else { None };
        token.map_or(Value::Null, |token| json!({"content": [token], "refusal": null}))
    }
}

fn deltas(provider: Provider, message: &Value) -> Vec<Value> {
    let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default();
    let calls = message.get("tool_calls").and_then(Value::as_array);
    let calls = calls.map_or(&[][..], Vec::as_slice);
    let mut first = match provider {
        Provider::DeepSeek => json!({"role": "assistant", "content": ""}),
        _ if calls.is_empty() => json!({"role": "assistant", "content": "", "refusal": null}),
        _ => json!({"role": "assistant", "content": null, "refusal": null}),
    };
    if message.get("reasoning_content").is_some() {
        first["content"] = Value::Null;
        first["reasoning_content"] = "".into();
    }
    let mut deltas = vec![first];
    for key in ["reasoning_content", "refusal", "content"] {
        deltas.extend(words(text(key)).into_iter().map(|piece| json!({ key: piece })));
    }
    if let Some(audio) = message.get("audio").filter(|audio| audio.is_object()) {
        deltas.push(json!({ "audio": audio }));
    }
    let annotations = message.get("annotations").and_then(Value::as_array);
    if let Some(list) = annotations.filter(|list| !list.is_empty()) {
        deltas.push(json!({ "annotations": list }));
    }
    for (index, call) in calls.iter().enumerate() {
        let kind = call.get("type").and_then(Value::as_str).unwrap_or("function");
        let inner = call.get(kind).unwrap_or(&Value::Null);
        let argument = if kind == "custom" { "input" } else { "arguments" };
        let piece = |text: &str| json!({ argument: text });
        let mut opening = json!({"index": index, "id": call.get("id"), "type": kind});
        opening[kind] = json!({"name": inner.get("name"), argument: ""});
        deltas.push(json!({"tool_calls": [opening]}));
        let arguments = inner.get(argument).and_then(Value::as_str).unwrap_or_default();
        for text in words(arguments) {
            deltas.push(json!({"tool_calls": [{"index": index, kind: piece(text)}]}));
        }
    }
    deltas
}
