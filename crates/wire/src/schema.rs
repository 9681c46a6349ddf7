//! JSON Schema in the variants that providers take.

use serde_json::{Map, Value, json};

use crate::json::Json;

/// Far deeper than any schema; keeps a hostile one from exhausting the stack.
const DEEPEST: u32 = 64;

/// JSON Schema of Gemini's older `Schema` message, an `OpenAPI` subset with upper-case types and `nullable`.
pub(crate) fn from_openapi(schema: &Json) -> Json {
    change(schema, |node| {
        if let Some(Value::String(kind)) = node.get_mut("type") {
            kind.make_ascii_lowercase();
        }
        if node.remove("nullable") == Some(Value::Bool(true))
            && let Some(kind) = node.get_mut("type")
        {
            *kind = json!([kind.take(), "null"]);
        }
        // Google's own ordering hint; not a word of JSON Schema.
        node.remove("propertyOrdering");
        node.remove("property_ordering");
    })
}

/// The schema with every object closed, which Anthropic requires of an output format.
pub(crate) fn closed(schema: &Json) -> Json {
    change(schema, |node| {
        if node.get("type").is_some_and(|kind| kind == "object") {
            node.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
    })
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

fn change(schema: &Json, edit: fn(&mut Map<String, Value>)) -> Json {
    let Ok(mut value) = serde_json::from_str::<Value>(schema.get()) else { return schema.clone() };
    visit(&mut value, edit, 0);
    Json::of(&value)
}

fn visit(value: &mut Value, edit: fn(&mut Map<String, Value>), depth: u32) {
    if depth > DEEPEST {
        return;
    }
    let Value::Object(node) = value else { return };
    for (key, child) in node.iter_mut() {
        match (key.as_str(), child) {
            // The keys of these are names of the client, not words of the schema.
            ("properties" | "$defs" | "definitions", Value::Object(named)) => {
                for child in named.values_mut() {
                    visit(child, edit, depth + 1);
                }
            }
            ("items" | "additionalProperties" | "not", child) => visit(child, edit, depth + 1),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(children)) => {
                for child in children {
                    visit(child, edit, depth + 1);
                }
            }
            _ => {}
        }
    }
    edit(node);
}
