//! Anthropic's messages.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{base64, given, is_true, json_schema, list, name, numbered, range, text};

/// What a request may mark for the cache at most.
const CACHE_MARKERS: usize = 4;

pub(super) fn messages(body: &Value, faults: &mut Vec<String>) {
    range(body, "$", "temperature", (0.0, 1.0), faults);
    range(body, "$", "top_p", (0.0, 1.0), faults);
    range(body, "$", "top_k", (0.0, f64::MAX), faults);
    range(body, "$", "max_tokens", (0.0, f64::MAX), faults);
    for (index, stop) in list(body, "stop_sequences").iter().enumerate() {
        if stop.as_str().is_some_and(|stop| stop.trim().is_empty()) {
            faults.push(format!("$.stop_sequences[{index}]: only white space"));
        }
    }
    thinking(body, faults);
    count_tokens(body, faults);
}

/// What holds for a prompt, whether it is answered or only counted.
pub(super) fn count_tokens(body: &Value, faults: &mut Vec<String>) {
    turns(body, faults);
    tools(body, faults);
    let markers = markers(body);
    if markers > CACHE_MARKERS {
        faults.push(format!("$: {markers} cache_control markers, more than {CACHE_MARKERS}"));
    }
    let format = body.get("output_config").and_then(|config| config.get("format"));
    if let Some(schema) = format.and_then(|format| format.get("schema")) {
        json_schema::sound(schema, "$.output_config.format.schema", faults);
        json_schema::anthropic_strict(schema, "$.output_config.format.schema", faults);
    }
}

fn thinking(body: &Value, faults: &mut Vec<String>) {
    let thinking = body.get("thinking").unwrap_or(&Value::Null);
    if text(thinking, "type") != Some("enabled") {
        return;
    }
    let budget = thinking.get("budget_tokens").and_then(Value::as_u64).unwrap_or_default();
    let most = body.get("max_tokens").and_then(Value::as_u64).unwrap_or_default();
    if budget < 1024 || budget >= most {
        faults.push("$.thinking.budget_tokens: not at least 1024 and below max_tokens".to_owned());
    }
    if body.get("temperature").and_then(Value::as_f64).is_some_and(|one| (one - 1.0).abs() > 0.0) {
        faults.push("$.temperature: must be 1 while thinking".to_owned());
    }
    if given(body, "top_k") {
        faults.push("$.top_k: not while thinking".to_owned());
    }
    let choice = body.get("tool_choice").and_then(|choice| text(choice, "type"));
    if matches!(choice, Some("any" | "tool")) {
        faults.push("$.tool_choice.type: a call cannot be forced while thinking".to_owned());
    }
}

/// One turn: a message and those of the same role that follow it.
struct Turn<'a> {
    role: &'a str,
    blocks: Vec<(String, &'a Value)>,
    path: String,
}

pub(super) fn turns(body: &Value, faults: &mut Vec<String>) {
    let messages = list(body, "messages");
    if messages.first().is_some_and(|first| text(first, "role") != Some("user")) {
        faults.push("$.messages[0].role: the first turn must be the user's".to_owned());
    }
    if body.get("messages").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        faults.push("$.messages: empty".to_owned());
    }
    for (path, block) in numbered(list(body, "system"), "$.system") {
        block_content(&path, block, faults);
    }
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let path = format!("$.messages[{index}]");
        let last = index + 1 == messages.len();
        message_content(message, &path, last, faults);
        let role = text(message, "role").unwrap_or_default();
        let within = format!("{path}.content");
        let blocks = numbered(list(message, "content"), &within);
        match turns.last_mut() {
            Some(turn) if turn.role == role => turn.blocks.extend(blocks),
            _ => turns.push(Turn { role, blocks: blocks.collect(), path }),
        }
    }
    calls(&turns, faults);
}

fn message_content(message: &Value, path: &str, last: bool, faults: &mut Vec<String>) {
    let prefill = last && text(message, "role") == Some("assistant");
    let empty = match message.get("content") {
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Array(blocks)) => blocks.is_empty(),
        _ => false,
    };
    if empty && !prefill {
        faults.push(format!("{path}.content: empty"));
    }
    let ending = match message.get("content") {
        Some(Value::String(text)) => Some(text.as_str()),
        Some(Value::Array(blocks)) => blocks.last().and_then(|block| text(block, "text")),
        _ => None,
    };
    if prefill && ending.is_some_and(|text| text.ends_with(char::is_whitespace)) {
        faults.push(format!("{path}.content: the last turn ends in white space"));
    }
    for (path, block) in numbered(list(message, "content"), &format!("{path}.content")) {
        block_content(&path, block, faults);
        for (path, inner) in numbered(list(block, "content"), &format!("{path}.content")) {
            block_content(&path, inner, faults);
        }
    }
}

fn block_content(path: &str, block: &Value, faults: &mut Vec<String>) {
    match text(block, "type") {
        Some("text") if text(block, "text").is_some_and(|text| text.trim().is_empty()) => {
            faults.push(format!("{path}.text: empty"));
        }
        Some("tool_use" | "tool_result" | "server_tool_use") => {
            let field = if block.get("id").is_some() { "id" } else { "tool_use_id" };
            if let Some(id) = text(block, field) {
                name(id, &format!("{path}.{field}"), 128, "", faults);
            }
            if let Some(called) = text(block, "name") {
                name(called, &format!("{path}.name"), 128, "", faults);
            }
        }
        Some("image" | "document") => {
            let source = block.get("source").unwrap_or(&Value::Null);
            let data = text(source, "data").filter(|_| text(source, "type") == Some("base64"));
            if let Some(data) = data {
                base64(data, &format!("{path}.source.data"), faults);
            }
        }
        _ => {}
    }
}

/// The results of a turn's calls are the first blocks of the next, and all of them.
fn calls(turns: &[Turn<'_>], faults: &mut Vec<String>) {
    let mut open: Vec<&str> = Vec::new();
    let mut calling = "";
    for turn in turns {
        let mut others = false;
        for (path, block) in &turn.blocks {
            let (Some("tool_result"), Some(id)) = (text(block, "type"), text(block, "tool_use_id"))
            else {
                others |= text(block, "type") != Some("tool_result");
                continue;
            };
            if others {
                faults.push(format!("{path}: results come before everything else of a turn"));
            }
            match open.iter().position(|call| *call == id) {
                Some(index) => drop(open.remove(index)),
                None => faults.push(format!("{path}.tool_use_id: `{id}` answers no open call")),
            }
        }
        // A system message may stand between a call and its results.
        if turn.role == "system" {
            continue;
        }
        unanswered(&open, calling, faults);
        open.clear();
        calling = &turn.path;
        for (path, block) in &turn.blocks {
            if let (Some("tool_use"), Some(id)) = (text(block, "type"), text(block, "id")) {
                if open.contains(&id) {
                    faults.push(format!("{path}.id: there is another call `{id}` in this turn"));
                }
                open.push(id);
            }
        }
    }
    unanswered(&open, calling, faults);
}

fn unanswered(open: &[&str], path: &str, faults: &mut Vec<String>) {
    for id in open {
        faults.push(format!("{path}.content: no tool_result answers `{id}`"));
    }
}

pub(super) fn tools(body: &Value, faults: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for (path, tool) in numbered(list(body, "tools"), "$.tools") {
        if let Some(own) = text(tool, "name") {
            name(own, &format!("{path}.name"), 128, "", faults);
            if !names.insert(own) {
                faults.push(format!("{path}.name: there is another tool of this name"));
            }
        }
        if let Some(schema) = tool.get("input_schema") {
            let path = format!("{path}.input_schema");
            json_schema::sound(schema, &path, faults);
            if is_true(tool, "strict") {
                json_schema::anthropic_strict(schema, &path, faults);
            }
        }
    }
    let Some(choice) = body.get("tool_choice") else { return };
    if list(body, "tools").is_empty() && list(body, "mcp_servers").is_empty() {
        faults.push("$.tool_choice: only with `tools`".to_owned());
    }
    if let Some(chosen) = text(choice, "name").filter(|chosen| !names.contains(chosen)) {
        faults.push(format!("$.tool_choice.name: there is no tool `{chosen}`"));
    }
}

/// How often something is marked for the cache; what tools and schemas call so themselves does not count.
fn markers(body: &Value) -> usize {
    fn own(value: &Value) -> usize {
        usize::from(given(value, "cache_control"))
    }
    fn content(value: &Value) -> usize {
        list(value, "content").iter().map(|block| own(block) + content(block)).sum()
    }
    own(body)
        + list(body, "tools").iter().map(own).sum::<usize>()
        + list(body, "system").iter().map(own).sum::<usize>()
        + list(body, "messages").iter().map(content).sum::<usize>()
}
