//! `OpenAI` Chat Completions.

use serde_json::{Value, json};

use super::errors::bad_request;
use super::reply::Reply;
use super::{Answer, Prompt, set};
use crate::ids;
use crate::provider::Provider;

const ROLES: [&str; 6] = ["developer", "system", "user", "assistant", "tool", "function"];

pub(super) fn read(body: &Value) -> Result<Prompt, Answer> {
    let ceiling = ["max_completion_tokens", "max_tokens"];
    read_as(Provider::OpenAi, &ROLES, &ceiling, body)
}

/// Checks what `DeepSeek` has in common with `OpenAI`.
pub(super) fn read_as(
    provider: Provider,
    roles: &[&str],
    ceilings: &[&str],
    body: &Value,
) -> Result<Prompt, Answer> {
    let bad = |param: &str, message: &str| bad_request(provider, param, message);
    let model = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| bad("model", "The parameter 'model' is required."))?;
    let messages = body.get("messages").and_then(Value::as_array);
    let messages = messages.ok_or_else(|| bad("messages", "An array 'messages' is required."))?;
    if messages.is_empty() {
        return Err(bad("messages", "'messages' is empty: it must hold at least one message."));
    }
    for (index, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if !roles.contains(&role) {
            let param = format!("messages[{index}].role");
            let known = roles.join(", ");
            return Err(bad(&param, &format!("'{role}' is not one of the roles {known}.")));
        }
    }
    if !body.get("stream_options").is_none_or(Value::is_null) {
        return Err(bad("stream_options", "'stream_options' is allowed with a stream only."));
    }
    let ceiling = ceilings.iter().find_map(|name| Some((*name, body.get(*name)?)));
    let ceiling = ceiling.filter(|(_, value)| !value.is_null());
    let Some((name, value)) = ceiling else { return Ok(Prompt::new(model, body, None)) };
    match value.as_u64().filter(|tokens| *tokens > 0) {
        Some(tokens) => Ok(Prompt::new(model, body, Some(tokens))),
        None => Err(bad(name, &format!("'{name}' must be a whole number from 1 up."))),
    }
}

pub(super) fn fill(body: &mut Value, prompt: &Prompt, reply: &Reply, seed: u64) {
    set(body, "/id", format!("chatcmpl-{}", ids::base62(seed, 29)));
    fill_as(body, prompt, reply);
}

pub(super) fn fill_as(body: &mut Value, prompt: &Prompt, reply: &Reply) {
    let finish = if reply.truncated { "length" } else { "stop" };
    set(body, "/model", prompt.model.as_str());
    set(body, "/choices/0/message/content", reply.text.as_str());
    set(body, "/choices/0/finish_reason", finish);
    set(body, "/usage/prompt_tokens", prompt.input_tokens);
    set(body, "/usage/completion_tokens", reply.tokens);
    set(body, "/usage/total_tokens", prompt.input_tokens.saturating_add(reply.tokens));
}

pub(super) fn models(owner: &str, names: &[&str]) -> Answer {
    let model = |name: &&str| json!({"id": name, "object": "model", "created": 1_793_000_000, "owned_by": owner});
    let models: Vec<Value> = names.iter().map(model).collect();
    Answer::json(200, &json!({"object": "list", "data": models}))
}
