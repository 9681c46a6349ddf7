//! Responses: what models refuse, and items that belong together.

use serde_json::Value;

use super::chat::{check_effort, not_with_reasoning, samples};
use super::families::reasons;
use crate::answer::Answer;
use crate::answer::errors::{bad_request, error, unsupported};
use crate::ask::{Ask, Format, array, field, string};
use crate::provider::Provider;
use crate::seal;

/// `OpenAI` does not make answers shorter than this.
const LEAST_TOKENS: u64 = 16;

pub(super) fn check(provider: Provider, body: &Value, ask: &Ask) -> Result<(), Answer> {
    if provider == Provider::OpenAi {
        abilities(body, ask)?;
        reasoning(body)?;
    }
    calls(provider, body)
}

fn abilities(body: &Value, ask: &Ask) -> Result<(), Answer> {
    let model = ask.model.as_str();
    if let Some(tokens) = ask.ceiling.filter(|tokens| *tokens < LEAST_TOKENS) {
        let message = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {LEAST_TOKENS}, but got \
             {tokens} instead."
        );
        return Err(unsupported("integer_below_min_value", "max_output_tokens", &message));
    }
    for name in ["stop", "n", "seed", "messages", "max_tokens", "logit_bias"] {
        if field(body, name).is_some() {
            let message = format!("Unknown parameter: '{name}'.");
            return Err(unsupported("unknown_parameter", name, &message));
        }
    }
    let effort = body.pointer("/reasoning/effort").and_then(Value::as_str);
    check_effort("reasoning.effort", effort, model)?;
    let encrypted = |name: &Value| name == "reasoning.encrypted_content";
    if array(body, "include").iter().any(encrypted) && !reasons(model) {
        let message = "Encrypted content is not supported with this model.";
        return Err(bad_request(Provider::OpenAi, "include", message));
    }
    if reasons(model) && !samples(effort, model) {
        not_with_reasoning(body)?;
    }
    if matches!(ask.format, Format::Object) {
        let input = body.get("input").map(Value::to_string).unwrap_or_default() + &ask.system;
        if !input.to_lowercase().contains("json") {
            let message = "Response input messages must contain the word 'json' in some form to use 'text.format' of \
                           type 'json_object'.";
            return Err(bad_request(Provider::OpenAi, "input", message));
        }
    }
    Ok(())
}

/// A reasoning item has to come back whole, and before what came of it.
fn reasoning(body: &Value) -> Result<(), Answer> {
    let bad = |param: &str, message: &str| Err(bad_request(Provider::OpenAi, param, message));
    let items = array(body, "input");
    let stored = body.get("store") != Some(&Value::Bool(false));
    for (index, item) in items.iter().enumerate() {
        if string(item, "type") != Some("reasoning") {
            continue;
        }
        let id = string(item, "id").unwrap_or_default();
        if item.get("status").is_some_and(Value::is_null) {
            let param = format!("input[{index}].status");
            return bad(&param, &format!("Invalid type for '{param}': null is not a status."));
        }
        if !item.get("summary").is_some_and(Value::is_array) {
            let param = format!("input[{index}].summary");
            return bad(&param, &format!("Missing required parameter: '{param}'."));
        }
        match field(item, "encrypted_content").and_then(Value::as_str) {
            Some(state) if !seal::holds(state, None) => {
                let message = format!("The encrypted content for item {id} could not be verified.");
                let code = "invalid_encrypted_content";
                return Err(unsupported(code, "input", &message));
            }
            None if !stored => {
                let message = format!(
                    "Item with id '{id}' not found. Items are not persisted when `store` is set to false."
                );
                return Err(error(Provider::OpenAi, 404, &message));
            }
            _ => {}
        }
        let follows = items.get(index + 1).is_some_and(|next| {
            let kind = string(next, "type").unwrap_or("message");
            let by_user = kind == "message" && string(next, "role") != Some("assistant");
            !by_user && !kind.ends_with("_output")
        });
        if !follows {
            let message = format!(
                "Item '{id}' of type 'reasoning' was provided without its required following item."
            );
            return bad("input", &message);
        }
    }
    Ok(())
}

/// Each call has its output, and each output its call.
fn calls(provider: Provider, body: &Value) -> Result<(), Answer> {
    let bad = |message: &str| Err(bad_request(provider, "input", message));
    let ids = |kinds: [&str; 2]| -> Vec<&str> {
        let items = array(body, "input").iter();
        let of_kind =
            items.filter(|item| string(item, "type").is_some_and(|kind| kinds.contains(&kind)));
        of_kind.filter_map(|item| string(item, "call_id")).collect()
    };
    let calls = ids(["function_call", "custom_tool_call"]);
    let outputs = ids(["function_call_output", "custom_tool_call_output"]);
    let what = if provider == Provider::DeepSeek { "tool call" } else { "function call" };
    if let Some(id) = calls.iter().find(|id| !outputs.contains(id)) {
        return bad(&format!("No tool output found for {what} {id}."));
    }
    // The call may be part of what was stored.
    let remembers =
        ["previous_response_id", "conversation"].iter().any(|key| field(body, key).is_some());
    match outputs.iter().find(|id| !calls.contains(id) && !remembers) {
        Some(id) => bad(&format!("No tool call found for function call output with call_id {id}.")),
        None => Ok(()),
    }
}
