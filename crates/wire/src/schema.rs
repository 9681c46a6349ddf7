//! JSON Schema in the variants that providers take.

use serde_json::{Map, Value, json};

use crate::json::{Json, Malformed};

/// The schema of a tool's arguments as a request has it. A text that holds one is none.
pub(crate) fn object(schema: Option<Json>, path: &str) -> Result<Option<Json>, Malformed> {
    match &schema {
        Some(given) if !given.is_object() => {
            Err(Malformed::new(path, "must be an object: a JSON Schema"))
        }
        _ => Ok(schema),
    }
}

/// The schema of a tool's arguments with the root that Anthropic requires.
pub(crate) fn rooted(schema: Option<&Json>) -> Json {
    let empty = || Json::of(&json!({ "type": "object", "properties": {} }));
    let Some(schema) = schema else { return empty() };
    match serde_json::from_str::<Map<String, Value>>(schema.get()) {
        Ok(node) if node.is_empty() => empty(),
        Ok(node) if node.get("type").is_some_and(|kind| kind == "object") => schema.clone(),
        Ok(mut node) => {
            node.insert("type".to_owned(), "object".into());
            Json::of(&node)
        }
        Err(_) => empty(),
    }
}
