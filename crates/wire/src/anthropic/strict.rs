//! The part of JSON Schema that Anthropic can hold an answer or a call to. What it cannot enforce is told to the model in
//! words instead. <https://docs.claude.com/en/docs/build-with-claude/structured-outputs>
//!
//! Keys keep their order: the schema is a part of what the provider caches.

use crate::json::{self, Json};

/// Far deeper than any schema that a provider takes.
const DEEPEST: u32 = 64;
/// Far larger, in bytes. Each level of a schema is read again.
const LARGEST: usize = 512 * 1024;

/// What is only enforced for these formats of strings.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// The schema as it can be enforced; none if it allows members of any name, which cannot be.
pub(super) fn enforceable(schema: &Json) -> Option<Json> {
    if schema.get().len() > LARGEST {
        return None;
    }
    node(&renamed(schema), 0)
}

/// The schema with its definitions where Anthropic looks for them.
pub(super) fn renamed(schema: &Json) -> Json {
    let old = schema.get().contains("\"definitions\"") && schema.get().len() <= LARGEST;
    if old { moved(schema, 0) } else { schema.clone() }
}

type Members = Vec<(String, Json)>;

fn object(members: &[(String, Json)]) -> Json {
    json::object_with(&Json::empty_object(), members)
}

fn list(raw: &Json) -> Option<Vec<Json>> {
    serde_json::from_str(raw.get()).ok()
}

fn moved(schema: &Json, depth: u32) -> Json {
    if depth > DEEPEST || !schema.is_object() {
        return schema.clone();
    }
    let members: Members = json::fields(schema.get())
        .into_iter()
        .map(|(name, value)| match name.as_str() {
            "definitions" => ("$defs".to_owned(), each(&value, |child| moved(child, depth + 1))),
            "$ref" => (name, reference(&value)),
            "properties" | "$defs" => (name, each(&value, |child| moved(child, depth + 1))),
            "enum" | "const" | "default" | "examples" => (name, value),
            _ => {
                let children = list(&value).filter(|_| value.get().starts_with('['));
                let changed = match children {
                    Some(children) => {
                        Json::of(&children.iter().map(|c| moved(c, depth + 1)).collect::<Vec<_>>())
                    }
                    None => moved(&value, depth + 1),
                };
                (name, changed)
            }
        })
        .collect();
    object(&members)
}

fn reference(value: &Json) -> Json {
    match value.as_string() {
        Some(path) => Json::of(&path.replacen("#/definitions/", "#/$defs/", 1)),
        None => value.clone(),
    }
}

/// An object whose keys are names of the client, with each value changed.
fn each(named: &Json, change: impl Fn(&Json) -> Json) -> Json {
    if !named.is_object() {
        return named.clone();
    }
    let members: Members = json::fields(named.get())
        .into_iter()
        .map(|(name, child)| {
            let child = change(&child);
            (name, child)
        })
        .collect();
    object(&members)
}

/// `each`, where a child may be impossible.
fn all(named: &Json, depth: u32) -> Option<Json> {
    let mut members = Members::new();
    for (name, child) in json::fields(named.get()) {
        members.push((name, node(&child, depth + 1)?));
    }
    Some(object(&members))
}

fn variants(raw: &Json, depth: u32) -> Option<Json> {
    let changed: Option<Vec<Json>> =
        list(raw)?.iter().map(|variant| node(variant, depth + 1)).collect();
    Some(Json::of(&changed?))
}

fn node(schema: &Json, depth: u32) -> Option<Json> {
    if depth > DEEPEST {
        return None;
    }
    let members = json::fields(schema.get());
    let get = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, v)| v);
    if get("$ref").is_some() {
        let mut kept = Members::new();
        for (name, value) in &members {
            match name.as_str() {
                "$ref" => kept.push((name.clone(), value.clone())),
                "$defs" => kept.push((name.clone(), all(value, depth)?)),
                _ => {}
            }
        }
        return Some(object(&kept));
    }
    let is_object = get("properties").is_some() || get("type").is_some_and(names_object);
    if is_open(&members, is_object) {
        return None;
    }
    let (mut kept, mut notes) = (Members::new(), Vec::new());
    for (name, value) in &members {
        let value = match name.as_str() {
            "properties" | "$defs" => all(value, depth)?,
            "anyOf" | "oneOf" | "allOf" => variants(value, depth)?,
            "items" if value.is_object() => node(value, depth + 1)?,
            "additionalProperties" | "$schema" | "$id" => continue,
            "type" | "required" | "enum" | "const" | "title" | "description" | "default" => {
                value.clone()
            }
            "format" if value.as_string().is_some_and(|f| FORMATS.contains(&f.as_str())) => {
                value.clone()
            }
            "minItems" if matches!(value.get(), "0" | "1") => value.clone(),
            _ => {
                notes.push(format!("{name}: {}", value.get()));
                continue;
            }
        };
        let name = if name == "oneOf" { "anyOf" } else { name };
        kept.push((name.to_owned(), value));
    }
    describe(&mut kept, &notes);
    if is_object {
        kept.push(("additionalProperties".to_owned(), Json::of(&false)));
    }
    Some(object(&kept))
}

/// Whether a `type` is or may be an object.
fn names_object(kind: &Json) -> bool {
    let is = |kind: &Json| kind.get() == "\"object\"";
    is(kind) || list(kind).is_some_and(|kinds| kinds.iter().any(is))
}

/// Whether members of any name are allowed, or anything at all.
fn is_open(members: &[(String, Json)], is_object: bool) -> bool {
    const SAYS_SOMETHING: [&str; 7] =
        ["type", "properties", "enum", "const", "anyOf", "oneOf", "allOf"];
    let get = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, v)| v.get());
    let more = get("additionalProperties");
    let named = get("properties").is_some_and(|named| named.trim() != "{}");
    let open_object = is_object && !named && more != Some("false");
    open_object
        || more.is_some_and(|more| more != "false")
        || get("patternProperties").is_some()
        || !members.iter().any(|(name, _)| SAYS_SOMETHING.contains(&name.as_str()))
}

fn describe(members: &mut Members, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let notes = format!("({})", notes.join(", "));
    match members.iter_mut().find(|(name, _)| name == "description") {
        Some((_, text)) => {
            let before = text.as_string().unwrap_or_default();
            *text = Json::of(&format!("{before} {notes}").trim_start());
        }
        None => members.push(("description".to_owned(), Json::of(&notes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(schema: &str) -> Option<String> {
        enforceable(&Json::parse(schema).unwrap()).map(|schema| schema.get().to_owned())
    }

    #[test]
    fn what_cannot_be_enforced_is_said_in_words_and_keys_keep_their_order() {
        let schema = r#"{"$schema":"x","type":"object","required":["z","a"],"properties":{
            "z":{"type":"integer","minimum":1,"maximum":9,"description":"How many"},
            "a":{"type":"array","minItems":2,"items":{"type":"string","format":"color","pattern":"^#"}},
            "m":{"oneOf":[{"type":"null"},{"type":"string","format":"date"}]},
            "f":{"type":"array","minItems":1,"items":{"const":1}}}}"#;
        let expected = concat!(
            r#"{"type":"object","required":["z","a"],"properties":{"#,
            r#""z":{"type":"integer","description":"How many (minimum: 1, maximum: 9)"},"#,
            r#""a":{"type":"array","items":{"type":"string","description":"(format: \"color\", pattern: \"^#\")"},"#,
            r#""description":"(minItems: 2)"},"#,
            r#""m":{"anyOf":[{"type":"null"},{"type":"string","format":"date"}]},"#,
            r#""f":{"type":"array","minItems":1,"items":{"const":1}}},"additionalProperties":false}"#
        );
        assert_eq!(strict(schema).as_deref(), Some(expected));
        assert_eq!(strict(expected).as_deref(), Some(expected), "it is a fixed point");
    }

    #[test]
    fn open_maps_have_no_strict_form() {
        for open in [
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
            r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":true}"#,
            r#"{"type":"object"}"#,
            r#"{"type":["object","null"]}"#,
            r#"{"type":"object","patternProperties":{"^x":{"type":"string"}},"additionalProperties":false}"#,
            r#"{"type":"object","properties":{"a":{}}}"#,
            r#"{"type":"array","items":{"type":"object","additionalProperties":{}}}"#,
            r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"object"}}}"##,
            "true",
            "{}",
        ] {
            assert_eq!(strict(open), None, "{open}");
        }
        let empty = r#"{"type":"object","properties":{},"additionalProperties":false}"#;
        assert_eq!(strict(empty).as_deref(), Some(empty));
    }

    #[test]
    fn old_definitions_move_and_properties_of_that_name_stay() {
        let schema = r##"{"type":"object","properties":{"definitions":{"$ref":"#/definitions/a"}},
            "definitions":{"a":{"type":"object","properties":{"next":{"$ref":"#/definitions/a"}}}}}"##;
        let expected = concat!(
            r##"{"type":"object","properties":{"definitions":{"$ref":"#/$defs/a"}},"##,
            r##""$defs":{"a":{"type":"object","properties":{"next":{"$ref":"#/$defs/a"}}}}}"##
        );
        assert_eq!(renamed(&Json::parse(schema).unwrap()).get(), expected);
    }

    #[test]
    fn hostile_depth_ends() {
        let deep = |n| format!("{}{}{}", "{\"items\":".repeat(n), "{}", "}".repeat(n));
        assert_eq!(strict(&deep(100)), None);
        assert_eq!(strict(&deep(5_000)), None);
    }
}
