//! A value that satisfies a JSON schema: always the same one.

use std::cell::Cell;

use serde_json::{Map, Value, json};

/// Schemas may refer to themselves, so that somewhere has to be an end.
const MOST_STEPS: usize = 24;

/// They may do so in many places at once.
const MOST_VALUES: usize = 2000;

/// Optional properties are filled in down to here, so that recursive schemas stay small.
const OPTIONAL_LEVEL: usize = 3;

pub(crate) fn sample(schema: &Value) -> Value {
    let sampler = Sampler { root: schema, values: Cell::new(0) };
    sampler.value(schema, "text", At::default())
}

struct Sampler<'a> {
    root: &'a Value,
    values: Cell<usize>,
}

/// Where in the value, and how far from the start.
#[derive(Clone, Copy, Default)]
struct At {
    level: usize,
    steps: usize,
}

impl At {
    fn inside(self) -> Self {
        Self { level: self.level + 1, steps: self.steps + 1 }
    }

    fn aside(self) -> Self {
        Self { steps: self.steps + 1, ..self }
    }
}

impl Sampler<'_> {
    fn value(&self, schema: &Value, name: &str, at: At) -> Value {
        self.values.set(self.values.get() + 1);
        if at.steps > MOST_STEPS || self.values.get() > MOST_VALUES {
            return Value::Null;
        }
        if let Some(target) = self.referred(schema) {
            return self.value(target, name, at.aside());
        }
        if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
            return value.clone();
        }
        for key in ["enum", "examples"] {
            if let Some(first) = schema.get(key).and_then(Value::as_array).and_then(|l| l.first()) {
                return first.clone();
            }
        }
        for key in ["anyOf", "oneOf", "any_of"] {
            if let Some(options) = schema.get(key).and_then(Value::as_array) {
                let is_null = |option: &&Value| kind(option) == Some("null".to_owned());
                let option = options.iter().find(|option| !is_null(option));
                return option.map_or(Value::Null, |option| self.value(option, name, at.aside()));
            }
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.all_of(schema, parts, name, at);
        }
        match kind(schema).as_deref() {
            Some("string") => string(schema, name).into(),
            Some("integer") => number(schema, true),
            Some("number") => number(schema, false),
            Some("boolean") => true.into(),
            Some("null") => Value::Null,
            Some("array") => self.array(schema, name, at),
            _ => self.object(schema, at),
        }
    }

    /// Follows a `$ref` within the same document.
    fn referred(&self, schema: &Value) -> Option<&Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }

    fn all_of(&self, schema: &Value, parts: &[Value], name: &str, at: At) -> Value {
        let mut rest = schema.clone();
        if let Some(fields) = rest.as_object_mut() {
            fields.remove("allOf");
        }
        let mut merged = Map::new();
        let mut scalar = None;
        for part in parts.iter().chain([&rest]) {
            if part.as_object().is_none_or(Map::is_empty) {
                continue;
            }
            match self.value(part, name, at.aside()) {
                Value::Object(fields) => merged.extend(fields),
                other => scalar = scalar.or(Some(other)),
            }
        }
        scalar.unwrap_or(Value::Object(merged))
    }

    fn object(&self, schema: &Value, at: At) -> Value {
        let mut object = Map::new();
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |key: &str| required.is_some_and(|names| names.iter().any(|name| name == key));
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, property) in properties.into_iter().flatten() {
            let nullable = property.get("nullable") == Some(&Value::Bool(true));
            if is_required(key) || (at.level < OPTIONAL_LEVEL && !nullable) {
                object.insert(key.clone(), self.value(property, key, at.inside()));
            }
        }
        object.into()
    }

    fn array(&self, schema: &Value, name: &str, at: At) -> Value {
        let prefix = schema.get("prefixItems").and_then(Value::as_array);
        let mut items: Vec<Value> =
            prefix.into_iter().flatten().map(|item| self.value(item, name, at.inside())).collect();
        let count = |key: &str| schema.get(key).and_then(Value::as_u64);
        let wanted = count("minItems").unwrap_or(u64::from(at.level < OPTIONAL_LEVEL));
        let wanted = wanted.min(count("maxItems").unwrap_or(u64::MAX)).min(MOST_ITEMS);
        if let Some(item) = schema.get("items").filter(|item| item.is_object()) {
            while u64::try_from(items.len()).is_ok_and(|length| length < wanted) {
                items.push(self.value(item, name, at.inside()));
            }
        }
        items.into()
    }
}

/// No more items than this, however many are asked for.
const MOST_ITEMS: u64 = 50;

/// The type in lower case; of several, the first that is not null.
fn kind(schema: &Value) -> Option<String> {
    let kind = match schema.get("type")? {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").or(kinds.first())?,
        kind => kind,
    };
    kind.as_str().map(str::to_lowercase)
}

fn string(schema: &Value, name: &str) -> String {
    let format = schema.get("format").and_then(Value::as_str);
    let text = match format {
        Some("date-time") => "2026-11-24T12:00:00Z",
        Some("date") => "2026-11-24",
        Some("time") => "12:00:00Z",
        Some("duration") => "PT1H",
        Some("email") => "keeper@example.com",
        Some("hostname") => "example.com",
        Some("uri") => "https://example.com/toll",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uuid") => "0f1e2d3c-4b5a-4697-8877-665544332211",
        _ => return sized(schema, name),
    };
    text.to_owned()
}

fn sized(schema: &Value, name: &str) -> String {
    let count = |key: &str| {
        let value = schema.get(key).and_then(Value::as_u64);
        value.and_then(|value| usize::try_from(value).ok())
    };
    let mut text = format!("some {name}");
    let least = count("minLength").unwrap_or(0).min(LONGEST);
    while text.chars().count() < least {
        text.push('x');
    }
    match count("maxLength") {
        Some(most) => text.chars().take(most).collect(),
        None => text,
    }
}

/// No text is made longer than this to satisfy `minLength`.
const LONGEST: usize = 10_000;

fn number(schema: &Value, whole: bool) -> Value {
    let limit = |key: &str| schema.get(key).and_then(Value::as_i64);
    let above = limit("exclusiveMinimum").map(|least| least.saturating_add(1));
    let below = limit("exclusiveMaximum").map(|most| most.saturating_sub(1));
    let least = limit("minimum").into_iter().chain(above).max();
    let most = limit("maximum").into_iter().chain(below).min();
    let mut value = least.unwrap_or(7).min(most.unwrap_or(i64::MAX));
    if let Some(step) = limit("multipleOf").filter(|step| *step > 0) {
        let rest = value.rem_euclid(step);
        if rest != 0 {
            value = value.saturating_add(step - rest);
        }
    }
    if whole || schema.get("multipleOf").is_some() {
        return json!(value);
    }
    serde_json::from_str(&format!("{value}.0")).unwrap_or_else(|_| json!(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_made() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 9, "maximum": 12},
                "half": {"type": "number", "maximum": 3},
                "unit": {"enum": ["c", "f"]},
                "when": {"type": "string", "format": "date"},
                "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "minItems": 2},
                "maybe": {"type": ["null", "string"]},
                "one": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/one"}]},
                "both": {"allOf": [{"$ref": "#/$defs/one"}, {"properties": {"b": {"type": "boolean"}}}]},
            },
            "$defs": {"one": {"type": "object", "properties": {"a": {"const": 1}}}},
        });
        let expected = json!({
            "city": "some city", "days": 9, "half": 3.0, "unit": "c", "when": "2026-11-24",
            "tags": ["some", "some"], "maybe": "some maybe", "one": {"a": 1},
            "both": {"a": 1, "b": true},
        });
        assert_eq!(sample(&schema), expected);
    }

    #[test]
    fn geminis_spelling_is_understood() {
        let schema = json!({"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}, "b": {"type": "STRING", "nullable": true}}, "required": ["a"]});
        assert_eq!(sample(&schema)["a"], 7);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(sample(&schema).to_string().len() < 200);
        let endless =
            json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]});
        assert!(sample(&endless)["next"].is_object());
        assert_eq!(sample(&json!({"$ref": "#"})), Value::Null);
        let wide = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]});
        assert_eq!(sample(&wide), Value::Null);
    }
}
