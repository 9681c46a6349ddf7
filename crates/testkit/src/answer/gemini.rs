//! Gemini generateContent. Field names are taken in both spellings, as proto3 JSON allows.

use serde_json::Value;

use super::errors::{bad_request, error};
use super::reply::Reply;
use super::{Answer, Prompt, set};
use crate::ids;
use crate::provider::Provider;

const ROLES: [&str; 3] = ["user", "model", "function"];

fn either<'a>(body: &'a Value, camel: &str, snake: &str) -> Option<&'a Value> {
    body.get(camel).or_else(|| body.get(snake))
}

pub(super) fn read(model: &str, body: &Value) -> Result<Prompt, Answer> {
    let bad = |param: &str, message: &str| bad_request(Provider::Gemini, param, message);
    if model.is_empty() {
        return Err(error(Provider::Gemini, 404, "The path names no model."));
    }
    let contents = body.get("contents").and_then(Value::as_array).filter(|list| !list.is_empty());
    let contents = contents
        .ok_or_else(|| bad("contents", "GenerateContentRequest.contents must not be empty."))?;
    for content in contents {
        // The role of a lone turn may be left out.
        let role = content.get("role").map_or("user", |role| role.as_str().unwrap_or_default());
        if !ROLES.contains(&role) {
            return Err(bad("contents", &format!("'{role}' is not a role: use user or model.")));
        }
        if content.get("parts").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            return Err(bad(
                "contents",
                "GenerateContentRequest.contents.parts must not be empty.",
            ));
        }
    }
    let config = either(body, "generationConfig", "generation_config");
    let ceiling = config.and_then(|config| either(config, "maxOutputTokens", "max_output_tokens"));
    let Some(ceiling) = ceiling.filter(|value| !value.is_null()) else {
        return Ok(Prompt::new(model, body, None));
    };
    match ceiling.as_u64().filter(|tokens| *tokens > 0) {
        Some(tokens) => Ok(Prompt::new(model, body, Some(tokens))),
        None => Err(bad("maxOutputTokens", "max_output_tokens must be positive.")),
    }
}

pub(super) fn fill(body: &mut Value, prompt: &Prompt, reply: &Reply, seed: u64) {
    let finish = if reply.truncated { "MAX_TOKENS" } else { "STOP" };
    set(body, "/candidates/0/content/parts/0/text", reply.text.as_str());
    set(body, "/candidates/0/finishReason", finish);
    set(body, "/usageMetadata/promptTokenCount", prompt.input_tokens);
    set(body, "/usageMetadata/candidatesTokenCount", reply.tokens);
    let total = prompt.input_tokens.saturating_add(reply.tokens);
    set(body, "/usageMetadata/totalTokenCount", total);
    set(body, "/usageMetadata/promptTokensDetails/0/tokenCount", prompt.input_tokens);
    set(body, "/modelVersion", prompt.model.as_str());
    set(body, "/responseId", ids::base62(seed, 22));
}
