//! Embeddings of `OpenAI` and Gemini: a vector of length one that depends on the text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Answer;
use super::errors::{bad_request, error};
use crate::ask::gemini::either;
use crate::ask::{array, field, string, text};
use crate::ids;
use crate::prompt::tokens;
use crate::provider::Provider;

const MOST_DIMENSIONS: u64 = 3072;

pub(crate) fn openai(body: &Value) -> Result<Answer, Answer> {
    let bad = |param: &str, message: &str| bad_request(Provider::OpenAi, param, message);
    let model = string(body, "model").filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| bad("model", "The parameter 'model' is required."))?;
    let input = field(body, "input").ok_or_else(|| bad("input", "'input' is required."))?;
    let inputs: Vec<String> = match input {
        Value::String(text) => vec![text.clone()],
        // A list of numbers is one text in tokens, and a list of lists is several.
        Value::Array(items) if items.iter().all(Value::is_number) => vec![input.to_string()],
        Value::Array(items) => {
            let spelled = |item: &Value| match item {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            items.iter().map(spelled).collect()
        }
        _ => Vec::new(),
    };
    if inputs.is_empty() || inputs.iter().any(String::is_empty) {
        return Err(bad("input", "'input' must hold text."));
    }
    let standard = if model.contains("3-large") { 3072 } else { 1536 };
    let dimensions = dimensions(body.get("dimensions"), standard)
        .ok_or_else(|| bad("dimensions", "'dimensions' is out of range."))?;
    let in_base64 = match string(body, "encoding_format") {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(bad("encoding_format", "It must be 'float' or 'base64'.")),
    };
    let item = |(index, text): (usize, &String)| {
        let vector = vector(text, dimensions);
        let embedding = if in_base64 { encoded(&vector) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let data: Vec<Value> = inputs.iter().enumerate().map(item).collect();
    let count: u64 = inputs.iter().map(|text| tokens(text.len())).sum();
    let usage = json!({"prompt_tokens": count, "total_tokens": count});
    Ok(Answer::json(200, &json!({"object": "list", "data": data, "model": model, "usage": usage})))
}

pub(crate) fn gemini(body: &Value) -> Result<Answer, Answer> {
    let (embedding, count) = gemini_one(body)?;
    let usage = usage_of(count);
    Ok(Answer::json(200, &json!({"embedding": embedding, "usageMetadata": usage})))
}

pub(crate) fn gemini_batch(body: &Value) -> Result<Answer, Answer> {
    let requests = array(body, "requests");
    if requests.is_empty() {
        return Err(bad_request(Provider::Gemini, "requests", "requests must not be empty."));
    }
    let mut embeddings = Vec::new();
    let mut count: u64 = 0;
    for request in requests {
        let (embedding, tokens) = gemini_one(request)?;
        embeddings.push(embedding);
        count = count.saturating_add(tokens);
    }
    let usage = usage_of(count);
    Ok(Answer::json(200, &json!({"embeddings": embeddings, "usageMetadata": usage})))
}

fn usage_of(count: u64) -> Value {
    let details = json!([{"modality": "TEXT", "tokenCount": count}]);
    json!({"promptTokenCount": count, "promptTokenDetails": details})
}

fn gemini_one(body: &Value) -> Result<(Value, u64), Answer> {
    let content = body.get("content").and_then(|content| content.get("parts"));
    let text = text(content.unwrap_or(&Value::Null));
    if text.is_empty() {
        return Err(error(Provider::Gemini, 400, "content contains an empty Part."));
    }
    let wanted = either(body, "outputDimensionality", "output_dimensionality");
    let dimensions = dimensions(wanted, MOST_DIMENSIONS)
        .ok_or_else(|| error(Provider::Gemini, 400, "outputDimensionality is out of range."))?;
    Ok((json!({"values": vector(&text, dimensions)}), tokens(text.len())))
}

/// None if the number is out of range.
fn dimensions(wanted: Option<&Value>, standard: u64) -> Option<usize> {
    let count = match wanted.filter(|value| !value.is_null()) {
        None => standard,
        Some(value) => value.as_u64().filter(|count| (1..=MOST_DIMENSIONS).contains(count))?,
    };
    usize::try_from(count).ok()
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut state = ids::fingerprint(text);
    let mut number = || {
        state = ids::mix(state);
        let part = u16::try_from(state % 2001).unwrap_or_default();
        f32::from(part) / 1000.0 - 1.0
    };
    let raw: Vec<f32> = (0..dimensions).map(|_| number()).collect();
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::EPSILON);
    raw.iter().map(|value| value / length).collect()
}

/// Little-endian numbers of four bytes each.
fn encoded(vector: &[f32]) -> Value {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    STANDARD.encode(bytes).into()
}
