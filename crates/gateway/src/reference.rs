//! `/docs`: the description of the API as a page, for whoever would rather look than read JSON. It is made from that
//! description alone, so that it cannot say anything else.

use askama::Template;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::console::assets::{self, Assets};
use crate::console::{connect, page};
use crate::openapi;
use crate::problem::Problem;
use crate::web::Call;

/// How deep the fields of fields are shown.
const DEEPEST: usize = 3;
/// The order in which people look for them.
const TAGS: [(&str, &str); 6] = [
    ("OpenAI", "Base address for OpenAI's SDKs: this server with /v1."),
    ("Anthropic", "Base address for Anthropic's SDKs: this server, without a version."),
    ("Gemini", "Base address for Google's SDKs: this server, without a version."),
    ("OpenRouter", "Base address for OpenRouter's SDKs: this server with /api/v1."),
    ("Native", "Our own: the user's name and key in the headers user and api-key."),
    ("Server", "The server itself."),
];

/// Operations of one kind.
struct Section {
    name: &'static str,
    lead: &'static str,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    who: &'static str,
    /// Where the format is described by whom it comes from.
    source: Option<String>,
    parameters: Vec<Field>,
    body: Vec<Field>,
    answer: Vec<Field>,
    failures: Vec<(String, String)>,
    snippet: String,
}

/// A field of an object, or a parameter.
struct Field {
    name: String,
    kind: String,
    required: bool,
    text: String,
}

#[derive(Template)]
#[template(path = "reference.html")]
struct Page {
    assets: &'static Assets,
    base: String,
    sections: Vec<Section>,
}

/// `GET /docs`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    let base = connect::base(&call);
    let whole = openapi::describe(Some(&base));
    page::show(&Page { assets: assets::hrefs(), sections: sections(&whole, &base), base })
}

fn sections(whole: &Value, base: &str) -> Vec<Section> {
    let of_tag = |(name, lead): (&'static str, &'static str)| {
        let items = whole["paths"].as_object().into_iter().flatten();
        let all = items.flat_map(|(path, item)| {
            item.as_object().into_iter().flatten().map(move |(method, it)| (path, method, it))
        });
        let operations = all
            .filter(|(_, _, it)| it["tags"][0] == name)
            .map(|(path, method, it)| operation(whole, base, path, method, it))
            .collect();
        Section { name, lead, operations }
    };
    TAGS.into_iter().map(of_tag).collect()
}

fn operation(whole: &Value, base: &str, path: &str, method: &str, it: &Value) -> Operation {
    let parameters = it["parameters"].as_array().into_iter().flatten();
    let parameter = |one: &Value| Field {
        name: text(&one["name"]),
        kind: kind(whole, &one["schema"]),
        required: one["required"] == true,
        text: text(&one["schema"]["description"]),
    };
    let content = &it["requestBody"]["content"]["application/json"];
    let answers: Vec<(&String, &Value)> =
        it["responses"].as_object().into_iter().flatten().collect();
    let (good, bad): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(status, _)| status.starts_with('2'));
    let mut failures: Vec<(String, String)> =
        bad.into_iter().map(|(status, it)| (status.clone(), text(&it["description"]))).collect();
    failures.sort();
    let answer = good.first().map(|(_, it)| &it["content"]["application/json"]["schema"]);
    let policy = it["x-tollgate-policy"].as_str().unwrap_or_default();
    Operation {
        id: text(&it["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&it["summary"]),
        who: who(policy),
        source: it["externalDocs"]["url"].as_str().map(str::to_owned),
        parameters: parameters.map(parameter).collect(),
        body: fields(whole, &content["schema"]),
        answer: answer.map(|schema| fields(whole, schema)).unwrap_or_default(),
        failures,
        snippet: snippet(base, path, method, policy, content),
    }
}

/// Who may use it, for people.
fn who(policy: &str) -> &'static str {
    match policy {
        "anybody" => "anybody",
        "key" => "any key",
        "key:inference" => "a key that may ask models",
        "key:usage" => "a key that may read usage",
        "key:keys" => "a key that may manage keys",
        "key:operator" => "an operator's key that has the scope operator",
        "key:billing" => "a key that may see bills",
        "user:keys" => "a user's key that may manage keys",
        "user:usage" => "a user's key that may read usage",
        _ => "who may",
    }
}

/// The fields of an object, those of its objects behind a dot.
fn fields(whole: &Value, schema: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    collect(whole, schema, "", 0, &mut found);
    found
}

fn collect(whole: &Value, schema: &Value, above: &str, depth: usize, found: &mut Vec<Field>) {
    let (object, suffix) = inner(whole, schema);
    let Some(properties) = object["properties"].as_object().filter(|_| depth < DEEPEST) else {
        return;
    };
    let required = |name: &str| {
        object["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name))
    };
    for (name, schema) in properties {
        let full = if above.is_empty() { name.clone() } else { format!("{above}{suffix}.{name}") };
        let described = [schema, resolved(whole, schema)];
        let described = described.iter().find_map(|it| it["description"].as_str());
        found.push(Field {
            name: full.clone(),
            kind: kind(whole, schema),
            required: required(name),
            text: described.unwrap_or_default().to_owned(),
        });
        collect(whole, schema, &full, depth + 1, found);
    }
}

/// The object that a schema is, or has a list of, or may be; and how its name goes on where it is a list.
fn inner<'a>(whole: &'a Value, schema: &'a Value) -> (&'a Value, &'static str) {
    let schema = resolved(whole, schema);
    if schema["items"].is_object() {
        (resolved(whole, &schema["items"]), "[]")
    } else {
        (schema, "")
    }
}

/// Behind references, and without the choice of there being nothing.
fn resolved<'a>(whole: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..DEEPEST {
        let reference = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        let choice = schema["anyOf"].as_array().and_then(|choices| {
            let mut real = choices.iter().filter(|choice| choice["type"] != "null");
            real.next().filter(|_| real.next().is_none())
        });
        match (reference.and_then(|pointer| whole.pointer(pointer)), choice) {
            (Some(next), _) | (None, Some(next)) => schema = next,
            (None, None) => break,
        }
    }
    schema
}

/// The type of a value, for people.
fn kind(whole: &Value, schema: &Value) -> String {
    let schema = resolved(whole, schema);
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().filter(|word| !word.is_null()).map(text).collect();
        return words.join(" | ");
    }
    let mut types: Vec<String> = match &schema["type"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several.iter().map(text).collect(),
        _ => Vec::new(),
    };
    types.retain(|one| one != "null");
    let items = &schema["items"];
    for one in &mut types {
        if one == "array" && items.is_object() {
            *one = format!("{}[]", kind(whole, items));
        }
    }
    if types.is_empty() { "any".to_owned() } else { types.join(" | ") }
}

/// A line for a shell.
fn snippet(base: &str, path: &str, method: &str, policy: &str, content: &Value) -> String {
    let gemini = path.ends_with("/models/{id}") && method == "post";
    let path = if gemini {
        path.replace("{id}", "gemini-2.5-flash:generateContent")
    } else {
        path.to_owned()
    };
    let mut lines = vec![match method {
        "get" => format!("curl {base}{path}"),
        _ => format!("curl -X {} {base}{path}", method.to_uppercase()),
    }];
    match policy {
        "anybody" => {}
        _ if path.starts_with("/api/v1/") || !path.starts_with("/api/") => {
            lines.push("-H \"authorization: Bearer $TOLLGATE_KEY\"".to_owned());
        }
        _ => lines.push("-H \"user: $USER\" -H \"api-key: $TOLLGATE_KEY\"".to_owned()),
    }
    if let Some(example) = content["example"].as_object() {
        lines.push("-H \"content-type: application/json\"".to_owned());
        lines.push(format!("-d '{}'", compact(example)));
    }
    lines.join(" \\\n  ")
}

fn compact(example: &Map<String, Value>) -> String {
    serde_json::to_string(example).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{TAGS, sections};
    use crate::openapi;

    #[test]
    fn every_operation_of_the_description_is_on_the_page() {
        let whole = openapi::describe(Some("https://gate.example"));
        let items = whole["paths"].as_object().unwrap().values();
        let described: usize = items.map(|item| item.as_object().unwrap().len()).sum();
        let sections = sections(&whole, "https://gate.example");
        assert_eq!(sections.iter().map(|it| it.operations.len()).sum::<usize>(), described);
        assert!(sections.iter().all(|it| !it.operations.is_empty()), "{TAGS:?}");
        let all = || sections.iter().flat_map(|section| &section.operations);
        assert!(all().all(|it| it.who != "who may"), "a policy without words for people");
        let chat = all().find(|it| it.path == "/api/layers/chat").unwrap();
        let names: Vec<&str> = chat.body.iter().map(|field| field.name.as_str()).collect();
        assert!(names.contains(&"messages[].role") && names.contains(&"providerName"), "{names:?}");
        let role = chat.body.iter().find(|field| field.name == "messages[].role").unwrap();
        assert_eq!((role.kind.as_str(), role.required), ("system | user | assistant", true));
        let list = all().find(|it| it.path == "/api/keys/list").unwrap();
        assert!(list.answer.iter().any(|field| field.name == "keys[].key_prefix"));
    }
}
