//! Responses.

use serde_json::Value;

use super::{given, length, list, numbered, openai, range, text};

/// The items that hold a call, those that answer it, and the beginnings of the ids of items.
const CALLS: [&str; 3] = ["function_call", "custom_tool_call", "computer_call"];
const OUTPUTS: [&str; 3] =
    ["function_call_output", "custom_tool_call_output", "computer_call_output"];
const IDS: [(&str, &str); 4] =
    [("message", "msg"), ("reasoning", "rs"), ("function_call", "fc"), ("custom_tool_call", "ctc")];

pub(super) fn check(body: &Value, faults: &mut Vec<String>) {
    range(body, "$", "temperature", (0.0, 2.0), faults);
    range(body, "$", "top_p", (0.0, 1.0), faults);
    range(body, "$", "top_logprobs", (0.0, 20.0), faults);
    range(body, "$", "max_output_tokens", (16.0, f64::MAX), faults);
    openai::metadata(body, faults);
    openai::streaming(body, faults);
    let stored = ["previous_response_id", "conversation", "prompt"];
    if given(body, "previous_response_id") && given(body, "conversation") {
        faults.push("$.conversation: not together with `previous_response_id`".to_owned());
    }
    if !given(body, "input") && !stored.iter().any(|name| given(body, name)) {
        faults.push("$.input: missing".to_owned());
    }
    if !given(body, "model") && !given(body, "prompt") {
        faults.push("$.model: missing".to_owned());
    }
    tools(list(body, "tools"), "$.tools", faults);
    items(body, faults);
    format(body, faults);
}

fn tools(tools: &[Value], path: &str, faults: &mut Vec<String>) {
    for (path, tool) in numbered(tools, path) {
        match text(tool, "type") {
            Some("function") => openai::function(tool, &path, faults),
            Some("namespace") => self::tools(list(tool, "tools"), &format!("{path}.tools"), faults),
            _ => {}
        }
    }
}

fn format(body: &Value, faults: &mut Vec<String>) {
    let format = body.get("text").and_then(|text| text.get("format")).unwrap_or(&Value::Null);
    match text(format, "type") {
        Some("json_schema") => openai::format(format, "$.text.format", faults),
        Some("json_object") => {
            if let Some(input) = body.get("input") {
                openai::says_json(input, "$.text.format", faults);
            }
        }
        _ => {}
    }
}

fn items(body: &Value, faults: &mut Vec<String>) {
    length(body, "$", "input", usize::MAX, faults);
    let items = list(body, "input");
    for (index, item) in items.iter().enumerate() {
        let path = format!("$.input[{index}]");
        message(item, &path, faults);
        id(item, &path, faults);
        if text(item, "type") == Some("reasoning") && !followed(item, items.get(index + 1)) {
            faults.push(format!("{path}: not followed by what the model did with it"));
        }
    }
    // With state kept at the provider, or items by reference, the other half of a pair may be there.
    let elsewhere = given(body, "previous_response_id")
        || given(body, "conversation")
        || items.iter().any(|item| text(item, "type") == Some("item_reference"));
    pairs(items, elsewhere, faults);
}

fn message(item: &Value, path: &str, faults: &mut Vec<String>) {
    let Some(role) = text(item, "role") else { return };
    for (path, part) in numbered(list(item, "content"), &format!("{path}.content")) {
        let kind = text(part, "type").unwrap_or_default();
        let answered = matches!(kind, "output_text" | "refusal");
        if answered != (role == "assistant") {
            faults.push(format!("{path}.type: `{kind}` cannot be said by {role}"));
        }
        if let Some(url) = text(part, "image_url") {
            openai::picture(url, &format!("{path}.image_url"), faults);
        }
        if let Some(data) = text(part, "file_data") {
            openai::file(data, &format!("{path}.file_data"), faults);
        }
    }
}

fn id(item: &Value, path: &str, faults: &mut Vec<String>) {
    let (Some(kind), Some(id)) = (text(item, "type"), text(item, "id")) else { return };
    let beginning = IDS.iter().find(|(of, _)| *of == kind).map(|(_, beginning)| beginning);
    if let Some(beginning) = beginning.filter(|beginning| !id.starts_with(**beginning)) {
        faults.push(format!("{path}.id: `{id}` does not begin with {beginning}"));
    }
}

/// Whether reasoning stands before what it led to. Reasoning with an id is looked up, and then so is a message.
fn followed(reasoning: &Value, next: Option<&Value>) -> bool {
    next.is_some_and(|next| match text(next, "type") {
        None | Some("message") => {
            let known = given(next, "id") || !given(reasoning, "id");
            known && text(next, "role") == Some("assistant")
        }
        Some(kind) => !kind.ends_with("_output"),
    })
}

fn pairs(items: &[Value], elsewhere: bool, faults: &mut Vec<String>) {
    let of = |kinds: [&'static str; 3]| {
        numbered(items, "$.input").filter_map(move |(path, item)| {
            let kind = text(item, "type").filter(|kind| kinds.contains(kind))?;
            Some((path, kind, text(item, "call_id")?))
        })
    };
    let calls: Vec<(String, &str, &str)> = of(CALLS).collect();
    let outputs: Vec<(String, &str, &str)> = of(OUTPUTS).collect();
    for (path, _, id) in &calls {
        let answers = outputs.iter().filter(|(_, _, answered)| answered == id).count();
        let same = calls.iter().filter(|(_, _, other)| other == id).count();
        if same > 1 {
            faults.push(format!("{path}.call_id: there is another call `{id}`"));
        } else if answers != 1 && !(elsewhere && answers == 0) {
            faults.push(format!("{path}.call_id: {answers} outputs answer `{id}`"));
        }
    }
    for (path, kind, id) in &outputs {
        let called = kind.trim_end_matches("_output");
        let answered = calls.iter().any(|(_, kind, call)| call == id && *kind == called);
        if !answered && !elsewhere {
            faults.push(format!("{path}.call_id: `{id}` answers no {called}"));
        }
    }
}
