//! What the endpoints of `OpenAI` have in common.

use serde_json::Value;

use super::{base64, data_url, given, is_true, json_schema, length, name, range, text};

/// The fields of sampling and streaming that several endpoints share.
pub(super) fn sampling(body: &Value, faults: &mut Vec<String>) {
    range(body, "$", "temperature", (0.0, 2.0), faults);
    range(body, "$", "top_p", (0.0, 1.0), faults);
    range(body, "$", "frequency_penalty", (-2.0, 2.0), faults);
    range(body, "$", "presence_penalty", (-2.0, 2.0), faults);
    range(body, "$", "n", (1.0, 128.0), faults);
    length(body, "$", "stop", 4, faults);
    for (token, bias) in body.get("logit_bias").and_then(Value::as_object).into_iter().flatten() {
        if token.parse::<u64>().is_err() || !bias.as_f64().is_some_and(|bias| bias.abs() <= 100.0) {
            faults.push(format!("$.logit_bias.{token}: not a token with a bias of -100 to 100"));
        }
    }
    streaming(body, faults);
}

pub(super) fn streaming(body: &Value, faults: &mut Vec<String>) {
    if given(body, "stream_options") && !is_true(body, "stream") {
        faults.push("$.stream_options: only with `stream`".to_owned());
    }
}

/// A limit of tokens must be positive.
pub(super) fn tokens(body: &Value, names: &[&str], faults: &mut Vec<String>) {
    for name in names {
        if body.get(*name).and_then(Value::as_f64).is_some_and(|tokens| tokens < 1.0) {
            faults.push(format!("$.{name}: not positive"));
        }
    }
}

pub(super) fn metadata(body: &Value, faults: &mut Vec<String>) {
    let Some(metadata) = body.get("metadata").and_then(Value::as_object) else { return };
    if metadata.len() > 16 {
        faults.push("$.metadata: more than 16 pairs".to_owned());
    }
    for (key, value) in metadata {
        if key.len() > 64 || value.as_str().is_some_and(|value| value.chars().count() > 512) {
            faults.push(format!("$.metadata.{key}: too long"));
        }
    }
}

/// `{name, parameters, strict}` of a function, wherever it stands.
pub(super) fn function(function: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(found) = text(function, "name") {
        name(found, &format!("{path}.name"), 64, "", faults);
    }
    let Some(schema) = function.get("parameters").filter(|value| value.is_object()) else { return };
    let path = format!("{path}.parameters");
    json_schema::arguments(schema, &path, faults);
    if is_true(function, "strict") {
        json_schema::openai_strict(schema, &path, faults);
    }
}

/// `{name, schema, strict}` of an answer in JSON.
pub(super) fn format(format: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(found) = text(format, "name") {
        name(found, &format!("{path}.name"), 64, "", faults);
    }
    let Some(schema) = format.get("schema") else { return };
    let path = format!("{path}.schema");
    json_schema::sound(schema, &path, faults);
    if is_true(format, "strict") {
        json_schema::openai_strict(schema, &path, faults);
    }
}

/// JSON without a schema is refused unless some message says "json".
pub(super) fn says_json(messages: &Value, path: &str, faults: &mut Vec<String>) {
    if !messages.to_string().to_ascii_lowercase().contains("json") {
        faults.push(format!("{path}: no message contains the word json"));
    }
}

/// A picture by its address: on the web or within the request.
pub(super) fn picture(url: &str, path: &str, faults: &mut Vec<String>) {
    let web = url.starts_with("https://") || url.starts_with("http://");
    let data = url.starts_with("data:image/");
    if data {
        data_url(url, path, faults);
    } else if !web {
        faults.push(format!("{path}: neither a web address nor a data URL of a picture"));
    }
}

/// A file within the request.
pub(super) fn file(data: &str, path: &str, faults: &mut Vec<String>) {
    if data.starts_with("data:") {
        data_url(data, path, faults);
    } else {
        base64(data, path, faults);
    }
}

pub(super) fn embeddings(body: &Value, faults: &mut Vec<String>) {
    length(body, "$", "input", 2048, faults);
    tokens(body, &["dimensions"], faults);
}

pub(super) fn completions(body: &Value, faults: &mut Vec<String>) {
    sampling(body, faults);
    range(body, "$", "logprobs", (0.0, 5.0), faults);
}
