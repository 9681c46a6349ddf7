//! Anthropic Messages.

use http::HeaderMap;
use serde_json::Value;

use super::errors::bad_request;
use super::reply::Reply;
use super::{Answer, Prompt, set};
use crate::ids;
use crate::provider::Provider;

const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];
const ROLES: [&str; 3] = ["user", "assistant", "system"];

fn bad(param: &str, message: &str) -> Answer {
    bad_request(Provider::Anthropic, param, message)
}

pub(super) fn read(headers: &HeaderMap, body: &Value) -> Result<Prompt, Answer> {
    let version = headers.get("anthropic-version");
    let version = version.ok_or_else(|| bad("anthropic-version", "header is required"))?;
    if !VERSIONS.iter().any(|known| version == known) {
        return Err(bad("anthropic-version", "this version is not known"));
    }
    let required = |field: &str| {
        let value = body.get(field).filter(|value| !value.is_null());
        value.ok_or_else(|| bad(field, "Field required"))
    };
    let model = required("model")?.as_str().unwrap_or_default();
    if model.is_empty() {
        return Err(bad("model", "must be the name of a model"));
    }
    let Some(ceiling) = required("max_tokens")?.as_u64() else {
        return Err(bad("max_tokens", "must be a whole number from 0 up"));
    };
    let messages = required("messages")?.as_array().map(Vec::as_slice).unwrap_or_default();
    if messages.is_empty() {
        return Err(bad("messages", "at least one message is required"));
    }
    for (index, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if !ROLES.contains(&role) {
            let param = format!("messages.{index}.role");
            return Err(bad(&param, &format!("'{role}' is not a role of a message")));
        }
    }
    Ok(Prompt::new(model, body, Some(ceiling)))
}

pub(super) fn fill(body: &mut Value, prompt: &Prompt, reply: &Reply, seed: u64) {
    let stop = if reply.truncated { "max_tokens" } else { "end_turn" };
    set(body, "/id", format!("msg_01{}", ids::base62(seed, 22)));
    set(body, "/model", prompt.model.as_str());
    set(body, "/content/0/text", reply.text.as_str());
    set(body, "/stop_reason", stop);
    set(body, "/usage/input_tokens", prompt.input_tokens);
    set(body, "/usage/output_tokens", reply.tokens);
}
