//! generateContent in increments.

use serde_json::{Value, json};

use super::{Form, Stream, words};

/// So many pieces of text are one increment.
const WORDS: usize = 3;

pub(crate) fn stream(form: Form, whole: &Value) -> Stream {
    let candidates = whole.get("candidates").and_then(Value::as_array);
    let Some(candidates) = candidates.filter(|list| !list.is_empty()) else {
        // A prompt that was blocked has no candidates, and one increment.
        return Stream::new(form, std::slice::from_ref(whole));
    };
    let mut events: Vec<Value> = Vec::new();
    for candidate in candidates {
        let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
        let increments: Vec<Value> = parts.into_iter().flatten().flat_map(increments_of).collect();
        let last = increments.len().saturating_sub(1);
        for (place, part) in increments.iter().enumerate() {
            let content = json!({"role": "model", "parts": [part]});
            let mut increment = json!({"content": content});
            increment["index"] = candidate.get("index").cloned().unwrap_or(0.into());
            if place == last {
                let rest = candidate.as_object().into_iter().flatten();
                for (key, value) in rest.filter(|(key, _)| *key != "content") {
                    increment[key] = value.clone();
                }
            }
            events.push(event(whole, &increment));
        }
        if increments.is_empty() {
            events.push(event(whole, candidate));
        }
    }
    count_up(&mut events);
    Stream::new(form, &events)
}

fn event(whole: &Value, candidate: &Value) -> Value {
    let mut event = json!({"candidates": [candidate]});
    for (key, value) in whole.as_object().into_iter().flatten() {
        if key != "candidates" {
            event[key] = value.clone();
        }
    }
    event
}

fn increments_of(part: &Value) -> Vec<Value> {
    let Some(text) = part.get("text").and_then(Value::as_str) else { return vec![part.clone()] };
    let words = words(text);
    let mut increments: Vec<Value> = words
        .chunks(WORDS)
        .map(|piece| {
            let mut increment = json!({"text": piece.concat()});
            if part.get("thought") == Some(&Value::Bool(true)) {
                increment["thought"] = true.into();
            }
            increment
        })
        .collect();
    // A signature comes with the last increment of its part.
    match increments.last_mut() {
        Some(last) => *last = with_text_of(part, last),
        None => increments.push(part.clone()),
    }
    increments
}

fn with_text_of(part: &Value, increment: &Value) -> Value {
    let mut last = part.clone();
    last["text"] = increment.get("text").cloned().unwrap_or_default();
    last
}

/// Output grows from increment to increment; only the last one has all of it.
fn count_up(events: &mut [Value]) {
    let length = u64::try_from(events.len()).unwrap_or(1).max(1);
    for (place, event) in (1_u64..).zip(events.iter_mut()) {
        let Some(usage) = event.get_mut("usageMetadata").filter(|usage| usage.is_object()) else {
            continue;
        };
        let number = |key: &str| usage.get(key).and_then(Value::as_u64);
        let (Some(output), Some(total)) =
            (number("candidatesTokenCount"), number("totalTokenCount"))
        else {
            continue;
        };
        let so_far = output.saturating_mul(place) / length;
        usage["candidatesTokenCount"] = so_far.into();
        usage["totalTokenCount"] = total.saturating_sub(output.saturating_sub(so_far)).into();
    }
}
