//! Legacy completions.

use serde_json::{Value, json};

use super::reply::{self, End, Reply};
use crate::ask::Ask;
use crate::ids;

pub(crate) fn whole(ask: &Ask, seed: u64) -> Value {
    let replies: Vec<Reply> =
        (0..ask.answers.clamp(1, 128)).map(|number| reply::to(ask, number)).collect();
    let choice = |(index, reply): (usize, &Reply)| {
        let finish = if reply.end == End::Length { "length" } else { "stop" };
        json!({"text": reply.text, "index": index, "logprobs": null, "finish_reason": finish})
    };
    let choices: Vec<Value> = replies.iter().enumerate().map(choice).collect();
    let output = replies.iter().map(Reply::all_tokens).sum::<u64>();
    json!({
        "id": format!("cmpl-{}", ids::base62(seed, 29)),
        "object": "text_completion",
        "created": super::CREATED,
        "model": ask.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": ask.input_tokens,
            "completion_tokens": output,
            "total_tokens": ask.input_tokens.saturating_add(output),
        },
    })
}
