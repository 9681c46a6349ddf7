//! What the types do not say: what belongs together, what excludes what, ranges and names.

mod anthropic;
mod chat;
mod deepseek;
mod gemini;
mod json_schema;
mod openai;
mod responses;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::Api;

pub(super) fn check(api: Api, body: &Value, faults: &mut Vec<String>) {
    match api {
        Api::OpenaiChat => chat::check(body, faults),
        Api::OpenaiResponses => responses::check(body, faults),
        Api::OpenaiEmbeddings => openai::embeddings(body, faults),
        Api::OpenaiCompletions => openai::completions(body, faults),
        Api::Anthropic => anthropic::messages(body, faults),
        Api::AnthropicCountTokens => anthropic::count_tokens(body, faults),
        Api::Gemini => gemini::generate(body, "$", faults),
        Api::GeminiCountTokens => gemini::count_tokens(body, faults),
        Api::GeminiEmbed | Api::GeminiBatchEmbed => {}
        Api::DeepseekChat => deepseek::chat(body, faults),
        Api::DeepseekAnthropic => deepseek::messages(body, faults),
    }
}

/// The elements of an array field; none where it is no array.
fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

/// The elements of a list, each with its path.
fn numbered<'a>(items: &'a [Value], path: &str) -> impl Iterator<Item = (String, &'a Value)> {
    items.iter().enumerate().map(move |(index, item)| (format!("{path}[{index}]"), item))
}

/// Whether a field is there and says something.
fn given(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|value| !value.is_null())
}

fn is_true(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool) == Some(true)
}

/// A field by its camel case name, in whichever spelling it is present.
fn either<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    super::schema::get(value.as_object()?, name)
}

/// Bytes within JSON: the standard alphabet, with padding.
fn base64(data: &str, path: &str, faults: &mut Vec<String>) {
    if data.is_empty() || STANDARD.decode(data).is_err() {
        faults.push(format!("{path}: not plain base64"));
    }
}

/// Bytes within proto3 JSON, which may also come in the alphabet that is safe in URLs.
fn proto_bytes(data: &str, path: &str, faults: &mut Vec<String>) {
    let safe = URL_SAFE.decode(data).is_ok() || URL_SAFE_NO_PAD.decode(data).is_ok();
    if data.is_empty() || !safe {
        base64(data, path, faults);
    }
}

/// A `data:` URL holds base64.
fn data_url(url: &str, path: &str, faults: &mut Vec<String>) {
    match url.split_once(";base64,") {
        Some((_, data)) => base64(data, path, faults),
        None => faults.push(format!("{path}: a data URL without base64")),
    }
}

fn range(value: &Value, path: &str, name: &str, (min, max): (f64, f64), faults: &mut Vec<String>) {
    let number = either(value, name).and_then(Value::as_f64);
    if let Some(number) = number.filter(|number| !(min..=max).contains(number)) {
        faults.push(format!("{path}.{name}: {number} is not within {min} to {max}"));
    }
}

/// A list that may be absent but not have more elements than `max`, or none.
fn length(value: &Value, path: &str, name: &str, max: usize, faults: &mut Vec<String>) {
    let items = either(value, name).and_then(Value::as_array);
    if let Some(count) = items.map(Vec::len).filter(|count| *count == 0 || *count > max) {
        faults.push(format!("{path}.{name}: {count} elements are not within 1 to {max}"));
    }
}

/// A name of ASCII letters, digits, `_`, `-` and what else is `allowed`.
fn name(found: &str, path: &str, max: usize, allowed: &str, faults: &mut Vec<String>) {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || allowed.contains(c);
    if found.is_empty() || found.len() > max || !found.chars().all(fits) {
        faults.push(format!(
            "{path}: `{found}` is not a name of up to {max} letters, digits, _ and -"
        ));
    }
}

/// Adds `what` as a fault at `path` when two or more of the fields are given.
fn at_most_one(fields: &Map<String, Value>, path: &str, names: &[&str], faults: &mut Vec<String>) {
    let present: Vec<&&str> =
        names.iter().filter(|name| super::schema::get(fields, name).is_some()).collect();
    if let [first, second, ..] = present.as_slice() {
        faults.push(format!("{path}.{second}: not together with `{first}`"));
    }
}
