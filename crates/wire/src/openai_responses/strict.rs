//! What the API asks of a schema that is to be followed exactly: every object closed, every property required. Other
//! providers ask for less under the same name. <https://platform.openai.com/docs/guides/structured-outputs>

use serde_json::{Map, Value};

use crate::Dropped;
use crate::json::Json;

/// Deeper than the API takes anyway.
const DEEPEST: u32 = 64;

/// Whether a provider holds a model to this schema; noted where `OpenAI` does not.
pub(crate) fn holds(schema: &Json, openai: bool, dropped: &mut Dropped) -> bool {
    let holds = !openai || fits(schema);
    if !holds {
        dropped.note("strict");
    }
    holds
}

/// Whether the API takes this schema as a strict one.
fn fits(schema: &Json) -> bool {
    serde_json::from_str(schema.get()).is_ok_and(|schema| node_fits(&schema, 0))
}

fn node_fits(value: &Value, depth: u32) -> bool {
    let Value::Object(node) = value else { return true };
    if depth > DEEPEST || !object_fits(node) {
        return false;
    }
    node.iter().all(|(key, child)| match (key.as_str(), child) {
        ("properties" | "$defs" | "definitions", Value::Object(named)) => {
            named.values().all(|child| node_fits(child, depth + 1))
        }
        ("anyOf", Value::Array(several)) => several.iter().all(|child| node_fits(child, depth + 1)),
        ("items", child) => node_fits(child, depth + 1),
        _ => true,
    })
}

/// Closed, and nothing optional.
fn object_fits(node: &Map<String, Value>) -> bool {
    let is_object = |kind: &Value| {
        kind == "object" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "object"))
    };
    let properties = node.get("properties").and_then(Value::as_object);
    if properties.is_none() && !node.get("type").is_some_and(is_object) {
        return true;
    }
    let required = node.get("required").and_then(Value::as_array);
    let is_required = |name: &String| required.is_some_and(|list| list.iter().any(|n| n == name));
    node.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.is_none_or(|properties| properties.keys().all(is_required))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_closed_and_complete() {
        for (schema, expected) in [
            (r#"{"type":"object","properties":{},"additionalProperties":false}"#, true),
            (r#"{"type":"object","properties":{}}"#, false),
            (r#"{"type":"object"}"#, false),
            (
                r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#,
                true,
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"string"}},"required":[],"additionalProperties":false}"#,
                false,
            ),
            (
                r##"{"type":["object","null"],"properties":{"a":{"$ref":"#/$defs/b"}},"required":["a"],"additionalProperties":false,"$defs":{"b":{"type":"object"}}}"##,
                false,
            ),
            (
                r#"{"type":"object","properties":{"type":{"type":"array","items":{"anyOf":[{"type":"null"},{"type":"object","properties":{"x":{}}}]}}},"required":["type"],"additionalProperties":false}"#,
                false,
            ),
            (r#"{"type":"string"}"#, true),
            ("7", true),
        ] {
            assert_eq!(fits(&Json::parse(schema).unwrap()), expected, "{schema}");
        }
    }

    #[test]
    fn an_abyss_does_not_fit() {
        let deep = format!("{}{{}}{}", "{\"items\":".repeat(100), "}".repeat(100));
        assert!(!fits(&Json::parse(&deep).unwrap()));
    }
}
