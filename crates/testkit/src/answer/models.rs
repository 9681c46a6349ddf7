//! The lists of models.

use serde_json::{Value, json};

use super::{Answer, errors};
use crate::provider::Provider;

const OPENAI: [&str; 8] = [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1-mini",
    "gpt-5.4",
    "gpt-5.6-sol",
    "gpt-3.5-turbo-instruct",
    "text-embedding-3-small",
    "text-embedding-3-large",
];
const DEEPSEEK: [&str; 2] = ["deepseek-v4-flash", "deepseek-v4-pro"];
const ANTHROPIC: [(&str, &str); 3] = [
    ("claude-opus-5-5", "Claude Opus 5.5"),
    ("claude-sonnet-5", "Claude Sonnet 5"),
    ("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5"),
];
const GEMINI: [(&str, &str); 3] = [
    ("gemini-2.5-flash", "Gemini 2.5 Flash"),
    ("gemini-3.6-flash", "Gemini 3.6 Flash"),
    ("gemini-embedding-2", "Gemini Embedding 2"),
];

/// All models of a provider, or the one that was asked for.
pub(crate) fn answer(provider: Provider, wanted: Option<&str>) -> Answer {
    let models = all(provider);
    let Some(wanted) = wanted else { return Answer::json(200, &list(provider, &models)) };
    let is_it = |model: &&Value| {
        let name = model.get("id").or_else(|| model.get("name")).and_then(Value::as_str);
        name.is_some_and(|name| name.strip_prefix("models/").unwrap_or(name) == wanted)
    };
    match models.iter().find(is_it) {
        Some(model) => Answer::json(200, model),
        None => errors::no_model(provider, wanted),
    }
}

fn all(provider: Provider) -> Vec<Value> {
    let openai = |owner: &str, names: &[&str]| {
        let model = |name: &&str| json!({"id": name, "object": "model", "created": 1_793_000_000, "owned_by": owner});
        names.iter().map(model).collect()
    };
    match provider {
        Provider::OpenAi => openai("system", &OPENAI),
        Provider::DeepSeek => openai("deepseek", &DEEPSEEK),
        Provider::Anthropic => {
            let model = |(id, name): &(&str, &str)| json!({"type": "model", "id": id, "display_name": name, "created_at": "2026-02-19T00:00:00Z"});
            ANTHROPIC.iter().map(model).collect()
        }
        Provider::Gemini => GEMINI.iter().map(|(id, name)| gemini(id, name)).collect(),
    }
}

fn gemini(id: &str, name: &str) -> Value {
    let verbs: &[&str] = if id.contains("embedding") {
        &["embedContent", "batchEmbedContents"]
    } else {
        &["generateContent", "countTokens"]
    };
    json!({
        "name": format!("models/{id}"),
        "version": "001",
        "displayName": name,
        "description": "A model of the simulator.",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": verbs,
    })
}

fn list(provider: Provider, models: &[Value]) -> Value {
    let id = |model: Option<&Value>| model.and_then(|model| model.get("id")).cloned();
    match provider {
        Provider::OpenAi | Provider::DeepSeek => json!({"object": "list", "data": models}),
        Provider::Anthropic => json!({
            "data": models,
            "has_more": false,
            "first_id": id(models.first()),
            "last_id": id(models.last()),
        }),
        Provider::Gemini => json!({ "models": models }),
    }
}
