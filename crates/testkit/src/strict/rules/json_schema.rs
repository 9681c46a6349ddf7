//! JSON Schemas in requests: sound in themselves, and within what a provider understands.

use serde_json::{Map, Value};

use super::list;
use crate::strict::schema::join;

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Keywords whose value is one schema, several, or several by name.
const ONE: [&str; 8] =
    ["items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"];
const SEVERAL: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
const NAMED: [&str; 4] = ["properties", "$defs", "definitions", "patternProperties"];

/// Calls `visit` for a schema and for every one inside of it.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&Map<String, Value>, &str)) {
    let Some(fields) = schema.as_object() else { return };
    visit(fields, path);
    for (name, inner) in fields {
        let path = join(path, name);
        if ONE.contains(&name.as_str()) {
            walk(inner, &path, visit);
        } else if SEVERAL.contains(&name.as_str()) {
            for (index, inner) in inner.as_array().into_iter().flatten().enumerate() {
                walk(inner, &format!("{path}[{index}]"), visit);
            }
        } else if NAMED.contains(&name.as_str()) {
            for (name, inner) in inner.as_object().into_iter().flatten() {
                walk(inner, &join(&path, name), visit);
            }
        }
    }
}

/// What any validator of JSON Schema would refuse.
pub(super) fn sound(schema: &Value, path: &str, faults: &mut Vec<String>) {
    walk(schema, path, &mut |node, path| {
        if let Some(ty) = node.get("type") {
            known_type(ty, path, faults);
        }
        for name in ["properties", "$defs", "definitions"] {
            if let Some(other) = node.get(name).filter(|value| !value.is_object()) {
                faults.push(format!("{}: {other} is not an object of schemas", join(path, name)));
            }
        }
        for name in ["anyOf", "oneOf", "allOf", "enum"] {
            if node.get(name).is_some_and(|value| value.as_array().is_none_or(Vec::is_empty)) {
                faults.push(format!("{}: not a list with elements", join(path, name)));
            }
        }
        if let Some(required) = node.get("required") {
            let strings = required.as_array().is_some_and(|all| all.iter().all(Value::is_string));
            if !strings {
                faults.push(format!("{path}.required: not a list of names"));
            }
        }
        if let Some(target) = node.get("$ref").and_then(Value::as_str)
            && !resolves(schema, target)
        {
            faults.push(format!("{}: `{target}` is not in this schema", join(path, "$ref")));
        }
    });
}

fn known_type(ty: &Value, path: &str, faults: &mut Vec<String>) {
    let known = |ty: &Value| ty.as_str().is_some_and(|ty| TYPES.contains(&ty));
    let fits =
        known(ty) || ty.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(known));
    if !fits {
        faults.push(format!("{path}.type: {ty} is no type of JSON Schema"));
    }
}

fn resolves(schema: &Value, target: &str) -> bool {
    target.strip_prefix('#').is_some_and(|pointer| schema.pointer(pointer).is_some())
}

/// The schema of the arguments of a function: an object at the root.
pub(super) fn arguments(schema: &Value, path: &str, faults: &mut Vec<String>) {
    sound(schema, path, faults);
    let empty = schema.as_object().is_some_and(Map::is_empty);
    if !empty && schema.get("type").and_then(Value::as_str) != Some("object") {
        faults.push(format!("{path}.type: the root must be an object"));
    }
}

fn is_object(node: &Map<String, Value>) -> bool {
    node.contains_key("properties")
        || node.get("type").is_some_and(|ty| match ty {
            Value::Array(all) => all.iter().any(|ty| ty == "object"),
            one => one == "object",
        })
}

fn closed(node: &Map<String, Value>, path: &str, faults: &mut Vec<String>) {
    if is_object(node) && node.get("additionalProperties") != Some(&Value::Bool(false)) {
        faults.push(format!("{path}.additionalProperties: must be false in strict mode"));
    }
}

fn without(node: &Map<String, Value>, path: &str, words: &[&str], faults: &mut Vec<String>) {
    for word in words.iter().filter(|word| node.contains_key(**word)) {
        faults.push(format!("{}: not supported in strict mode", join(path, word)));
    }
}

/// The subset of `OpenAI`'s strict mode: closed objects, every property required.
pub(super) fn openai_strict(schema: &Value, path: &str, faults: &mut Vec<String>) {
    const REFUSED: [&str; 10] = [
        "allOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "dependentRequired",
        "dependentSchemas",
        "patternProperties",
        "unevaluatedProperties",
    ];
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        faults.push(format!("{path}.type: the root must be an object"));
    }
    if schema.get("anyOf").is_some() {
        faults.push(format!("{path}.anyOf: not at the root"));
    }
    walk(schema, path, &mut |node, path| {
        closed(node, path, faults);
        without(node, path, &REFUSED, faults);
        let Some(properties) = node.get("properties").and_then(Value::as_object) else { return };
        let required = node.get("required").and_then(Value::as_array);
        for name in properties.keys() {
            if !required.is_some_and(|all| all.iter().any(|one| one == name)) {
                faults.push(format!("{path}.required: lacks `{name}`, and strict mode wants all"));
            }
        }
    });
}

/// The subset of Anthropic's strict tools and output formats: closed objects, no limits of values.
pub(super) fn anthropic_strict(schema: &Value, path: &str, faults: &mut Vec<String>) {
    const REFUSED: [&str; 10] = [
        "oneOf",
        "not",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
    ];
    const FORMATS: [&str; 10] = [
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    ];
    walk(schema, path, &mut |node, path| {
        closed(node, path, faults);
        without(node, path, &REFUSED, faults);
        let format = node.get("format").and_then(Value::as_str);
        if let Some(format) = format.filter(|format| !FORMATS.contains(format)) {
            faults.push(format!("{path}.format: `{format}` is not supported in strict mode"));
        }
    });
}

/// What Gemini's own schema type wants beyond the types of its fields.
pub(super) fn openapi(schema: &Value, path: &str, faults: &mut Vec<String>) {
    let of_type = |node: &Value, wanted: &str| {
        node.get("type").and_then(Value::as_str).is_some_and(|ty| ty.eq_ignore_ascii_case(wanted))
    };
    if of_type(schema, "array") && schema.get("items").is_none() {
        faults.push(format!("{path}.items: missing"));
    }
    if schema.get("enum").is_some() && !of_type(schema, "string") {
        faults.push(format!("{path}.enum: only strings can be enumerated"));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for name in list(schema, "required").iter().filter_map(Value::as_str) {
        if !properties.is_some_and(|all| all.contains_key(name)) {
            faults.push(format!("{path}.required: `{name}` is no property"));
        }
    }
    for (name, inner) in properties.into_iter().flatten() {
        openapi(inner, &join(&format!("{path}.properties"), name), faults);
    }
    if let Some(items) = schema.get("items") {
        openapi(items, &format!("{path}.items"), faults);
    }
    for name in ["anyOf", "any_of"] {
        for (path, inner) in super::numbered(list(schema, name), &format!("{path}.{name}")) {
            openapi(inner, &path, faults);
        }
    }
}
