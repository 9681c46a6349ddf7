//! Anthropic Messages, filled into a plain text answer.

use serde_json::{Value, json};

use super::reply::{self, Call, End};
use super::set;
use crate::ask::Ask;
use crate::provider::Provider;
use crate::{ids, seal};

pub(crate) fn whole(provider: Provider, template: &Value, ask: &Ask, seed: u64) -> Value {
    let reply = reply::to(ask, 0);
    let mut body = template.clone();
    let mut content = Vec::new();
    if let Some(thought) = &reply.thought {
        let visible = if thought.shown { thought.text.as_str() } else { "" };
        let signature = seal::seal(&thought.text);
        content.push(json!({"type": "thinking", "thinking": visible, "signature": signature}));
        body["usage"]["output_tokens_details"] = json!({"thinking_tokens": thought.tokens});
    }
    if !reply.text.is_empty() {
        content.push(json!({"type": "text", "text": reply.text}));
    }
    for (place, call) in (0_u64..).zip(&reply.calls) {
        content.push(tool_use(call, ids::mix(seed).wrapping_add(place)));
    }
    let (stop, sequence) = match reply.end {
        End::Stop => ("end_turn", Value::Null),
        End::Sequence(sequence) => ("stop_sequence", sequence.into()),
        End::Length => ("max_tokens", Value::Null),
        End::Calls => ("tool_use", Value::Null),
    };
    let id = match provider {
        Provider::DeepSeek => ids::uuid(seed),
        _ => format!("msg_01{}", ids::base62(seed, 22)),
    };
    let output = reply.tokens.saturating_add(reply.thought.map_or(0, |thought| thought.tokens));
    set(&mut body, "/id", id);
    set(&mut body, "/model", ask.model.as_str());
    set(&mut body, "/content", content);
    set(&mut body, "/stop_reason", stop);
    set(&mut body, "/stop_sequence", sequence);
    set(&mut body, "/usage/input_tokens", ask.input_tokens);
    set(&mut body, "/usage/output_tokens", output);
    body
}

/// Arguments that were cut short are no object, and so they are lost here.
fn tool_use(call: &Call, seed: u64) -> Value {
    let input: Value = serde_json::from_str(&call.arguments).unwrap_or(json!({}));
    let id = format!("toolu_01{}", ids::base62(seed, 22));
    json!({"type": "tool_use", "id": id, "name": call.name, "input": input})
}
