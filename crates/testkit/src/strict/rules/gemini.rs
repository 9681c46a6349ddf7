//! Gemini's own API. Names come in either spelling.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{at_most_one, either as get, json_schema, length, numbered, proto_bytes, range};
use crate::strict::schema;

const PAYLOADS: [&str; 9] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    get(value, name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    get(value, name).and_then(Value::as_str)
}

pub(super) fn count_tokens(body: &Value, faults: &mut Vec<String>) {
    let inner = get(body, "generateContentRequest");
    match (get(body, "contents"), inner) {
        (Some(_), Some(_)) => {
            faults.push("$.generateContentRequest: not together with `contents`".to_owned());
        }
        (None, None) => faults.push("$.contents: missing".to_owned()),
        (Some(_), None) => contents(body, "$", faults),
        (None, Some(inner)) => generate(inner, "$.generateContentRequest", faults),
    }
}

pub(super) fn generate(body: &Value, path: &str, faults: &mut Vec<String>) {
    contents(body, path, faults);
    let system = get(body, "systemInstruction").unwrap_or(&Value::Null);
    parts(system, &format!("{path}.systemInstruction"), faults);
    let names = tools(body, path, faults);
    choice(body, path, &names, faults);
    let config = get(body, "generationConfig").unwrap_or(&Value::Null);
    generation(config, &format!("{path}.generationConfig"), faults);
}

fn contents(body: &Value, path: &str, faults: &mut Vec<String>) {
    length(body, path, "contents", usize::MAX, faults);
    for (path, content) in numbered(items(body, "contents"), &format!("{path}.contents")) {
        parts(content, &path, faults);
    }
    calls(items(body, "contents"), &format!("{path}.contents"), faults);
}

fn parts(content: &Value, path: &str, faults: &mut Vec<String>) {
    length(content, path, "parts", usize::MAX, faults);
    for (path, part) in numbered(items(content, "parts"), &format!("{path}.parts")) {
        let payloads: Vec<&&str> =
            PAYLOADS.iter().filter(|name| get(part, name).is_some()).collect();
        if payloads.len() != 1 {
            faults.push(format!("{path}: {} payloads instead of one", payloads.len()));
        }
        for name in ["functionCall", "functionResponse"] {
            if let Some(called) = get(part, name).and_then(|call| text(call, "name")) {
                function_name(called, &format!("{path}.{name}.name"), faults);
            }
        }
        let response = get(part, "functionResponse").and_then(|response| get(response, "response"));
        if response.is_some_and(|response| response.get("$ref").is_some()) {
            faults.push(format!(
                "{path}.functionResponse.response: `$ref` is read as a pointer to a part"
            ));
        }
        if let Some(data) = get(part, "inlineData").and_then(|data| text(data, "data")) {
            proto_bytes(data, &format!("{path}.inlineData.data"), faults);
        }
    }
}

/// Each turn of calls is answered by the next turn: as many responses, of the same names.
fn calls(contents: &[Value], path: &str, faults: &mut Vec<String>) {
    let mut open: Vec<&str> = Vec::new();
    let mut previous = None;
    for (path, content) in numbered(contents, path) {
        let named = |kind: &str| -> Vec<&str> {
            let parts = items(content, "parts").iter().filter_map(|part| get(part, kind));
            parts.filter_map(|call| text(call, "name")).collect()
        };
        let (calls, responses) = (named("functionCall"), named("functionResponse"));
        let role = text(content, "role").unwrap_or("user");
        // Contents of one role that follow each other are one turn.
        if previous == Some(role) {
            open.extend(calls);
            if !responses.is_empty() {
                answered(&mut open, &responses, &path, faults);
            }
            continue;
        }
        if role == "user" || !open.is_empty() {
            answered(&mut open, &responses, &path, faults);
        }
        if role == "model" {
            open = calls;
        }
        previous = Some(role);
    }
    // A request that ends in calls asks the model to answer itself.
    if !open.is_empty() {
        faults.push(format!("{path}: {} calls at the end have no response", open.len()));
    }
}

fn answered(open: &mut Vec<&str>, responses: &[&str], path: &str, faults: &mut Vec<String>) {
    let mut calls = std::mem::take(open);
    if calls.len() != responses.len() {
        let (calls, responses) = (calls.len(), responses.len());
        faults.push(format!("{path}.parts: {responses} function responses to {calls} calls"));
        return;
    }
    for name in responses {
        match calls.iter().position(|call| call == name) {
            Some(index) => drop(calls.remove(index)),
            None => {
                faults.push(format!("{path}.parts: a response of `{name}`, which was not called"));
            }
        }
    }
}

fn function_name(found: &str, path: &str, faults: &mut Vec<String>) {
    super::name(found, path, 128, ".:", faults);
    if !found.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        faults.push(format!("{path}: `{found}` begins with neither a letter nor _"));
    }
}

fn tools<'a>(body: &'a Value, path: &str, faults: &mut Vec<String>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (path, tool) in numbered(items(body, "tools"), &format!("{path}.tools")) {
        let declarations = items(tool, "functionDeclarations");
        if declarations.len() > 512 {
            faults.push(format!("{path}.functionDeclarations: more than 512"));
        }
        for (path, function) in numbered(declarations, &format!("{path}.functionDeclarations")) {
            let Some(fields) = function.as_object() else { continue };
            declaration(fields, &path, faults);
            if !text(function, "name").is_none_or(|name| names.insert(name)) {
                faults.push(format!("{path}.name: there is another function of this name"));
            }
        }
    }
    names
}

fn declaration(fields: &Map<String, Value>, path: &str, faults: &mut Vec<String>) {
    at_most_one(fields, path, &["parameters", "parametersJsonSchema"], faults);
    at_most_one(fields, path, &["response", "responseJsonSchema"], faults);
    if let Some(name) = schema::get(fields, "name").and_then(Value::as_str) {
        function_name(name, &format!("{path}.name"), faults);
    }
    if let Some(parameters) = schema::get(fields, "parameters") {
        json_schema::openapi(parameters, &format!("{path}.parameters"), faults);
    }
    if let Some(parameters) = schema::get(fields, "parametersJsonSchema") {
        json_schema::arguments(parameters, &format!("{path}.parametersJsonSchema"), faults);
    }
}

fn choice(body: &Value, path: &str, names: &BTreeSet<&str>, faults: &mut Vec<String>) {
    let config = get(body, "toolConfig").and_then(|config| get(config, "functionCallingConfig"));
    let Some(config) = config else { return };
    let path = format!("{path}.toolConfig.functionCallingConfig.allowedFunctionNames");
    let allowed = items(config, "allowedFunctionNames");
    let mode = text(config, "mode").unwrap_or("AUTO").to_ascii_uppercase();
    if !allowed.is_empty() && matches!(mode.as_str(), "AUTO" | "NONE") {
        faults.push(format!("{path}: only with mode ANY or VALIDATED"));
    }
    for name in allowed.iter().filter_map(Value::as_str).filter(|name| !names.contains(name)) {
        faults.push(format!("{path}: `{name}` is not declared"));
    }
}

fn generation(config: &Value, path: &str, faults: &mut Vec<String>) {
    let Some(fields) = config.as_object() else { return };
    for (name, limits) in [
        ("temperature", (0.0, 2.0)),
        ("topP", (0.0, 1.0)),
        ("presencePenalty", (-2.0, 2.0)),
        ("frequencyPenalty", (-2.0, 2.0)),
        ("candidateCount", (1.0, 8.0)),
        ("maxOutputTokens", (1.0, f64::from(i32::MAX))),
        ("seed", (f64::from(i32::MIN), f64::from(i32::MAX))),
        ("logprobs", (0.0, 20.0)),
    ] {
        range(config, path, name, limits, faults);
    }
    length(config, path, "stopSequences", 5, faults);
    at_most_one(fields, path, &["responseSchema", "responseJsonSchema"], faults);
    let mime = text(config, "responseMimeType").unwrap_or("text/plain");
    let shaped =
        ["responseSchema", "responseJsonSchema"].iter().any(|name| get(config, name).is_some());
    if !["text/plain", "application/json", "text/x.enum"].contains(&mime) {
        faults.push(format!("{path}.responseMimeType: `{mime}` cannot be asked for"));
    } else if shaped && mime == "text/plain" {
        faults.push(format!("{path}.responseMimeType: a schema needs application/json"));
    }
    if let Some(schema) = get(config, "responseSchema") {
        json_schema::openapi(schema, &format!("{path}.responseSchema"), faults);
    }
    if let Some(schema) = get(config, "responseJsonSchema") {
        json_schema::sound(schema, &format!("{path}.responseJsonSchema"), faults);
    }
    if get(config, "logprobs").is_some()
        && get(config, "responseLogprobs") != Some(&Value::Bool(true))
    {
        faults.push(format!("{path}.logprobs: only with `responseLogprobs`"));
    }
    if let Some(thinking) = get(config, "thinkingConfig").and_then(Value::as_object) {
        let path = format!("{path}.thinkingConfig");
        at_most_one(thinking, &path, &["thinkingBudget", "thinkingLevel"], faults);
    }
}
