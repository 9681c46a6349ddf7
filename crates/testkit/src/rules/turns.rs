//! Calls and results that belong together, in Chat Completions and in Messages.

use serde_json::Value;

use crate::answer::Answer;
use crate::answer::errors::bad_request;
use crate::ask::{array, string};
use crate::provider::Provider;

/// Every call is answered by a message of its own, directly after it.
pub(super) fn chat(provider: Provider, body: &Value) -> Result<(), Answer> {
    let mut open: Vec<&str> = Vec::new();
    let mut answerable = false;
    for (index, message) in array(body, "messages").iter().enumerate() {
        let param = || format!("messages[{index}]");
        if string(message, "role") == Some("tool") {
            if !answerable {
                let message = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
                return Err(bad_request(provider, &format!("{}.role", param()), message));
            }
            let id = string(message, "tool_call_id").unwrap_or_default();
            open.retain(|open| *open != id);
            continue;
        }
        unanswered(provider, &open, &param())?;
        let calls = array(message, "tool_calls");
        open = calls.iter().filter_map(|call| string(call, "id")).collect();
        answerable = !calls.is_empty();
    }
    unanswered(provider, &open, "messages")
}

fn unanswered(provider: Provider, open: &[&str], param: &str) -> Result<(), Answer> {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(bad_request(provider, param, &message))
}

/// Blocks of this type, named by this key.
fn ids<'a>(blocks: &[&'a Value], kind: &str, key: &str) -> Vec<&'a str> {
    let of_kind = blocks.iter().filter(|block| string(block, "type") == Some(kind));
    of_kind.filter_map(|block| string(block, key)).collect()
}

/// Turns of one role in a row are one turn; each turn of calls is answered in the next one.
pub(super) fn messages(body: &Value) -> Result<(), Answer> {
    let mut turns: Vec<(usize, &str, Vec<&Value>)> = Vec::new();
    for (index, message) in array(body, "messages").iter().enumerate() {
        let role = string(message, "role").unwrap_or_default();
        let blocks = array(message, "content").iter();
        match turns.last_mut() {
            Some((_, last, list)) if *last == role => list.extend(blocks),
            _ => turns.push((index, role, blocks.collect())),
        }
    }
    let mut asked: Vec<&str> = Vec::new();
    let mut asked_in = 0;
    for (index, role, blocks) in &turns {
        let results = ids(blocks, "tool_result", "tool_use_id");
        if let Some(id) = results.iter().find(|id| !asked.contains(id)) {
            let message = format!(
                "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a \
                 corresponding `tool_use` block in the previous message."
            );
            let param = format!("messages.{index}.content.0");
            return Err(bad_request(Provider::Anthropic, &param, &message));
        }
        let first = blocks.iter().take(results.len());
        let in_front = first.filter(|block| string(block, "type") == Some("tool_result")).count();
        let missing: Vec<&str> = asked.iter().copied().filter(|id| !results.contains(id)).collect();
        if !missing.is_empty() || in_front < results.len() {
            let named = if missing.is_empty() { &asked } else { &missing };
            return Err(without_result(asked_in, named));
        }
        asked = match *role {
            "assistant" => ids(blocks, "tool_use", "id"),
            _ => Vec::new(),
        };
        asked_in = *index;
    }
    if asked.is_empty() { Ok(()) } else { Err(without_result(asked_in, &asked)) }
}

fn without_result(index: usize, ids: &[&str]) -> Answer {
    let message = format!(
        "`tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have \
         a corresponding `tool_result` block in the next message.",
        ids.join(", ")
    );
    bad_request(Provider::Anthropic, &format!("messages.{index}"), &message)
}
