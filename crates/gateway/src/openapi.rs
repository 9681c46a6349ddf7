//! `/openapi.json`: the description of the API, put together from the table of routes and the types that the handlers read
//! and write.

use axum::response::Response;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::endpoints::{self, Described};
use crate::problem::Problem;
use crate::web::{self, Call, Doc, Policy, Route};

/// `GET /openapi.json`
pub(crate) async fn get(call: Call) -> Result<Response, Problem> {
    web::json(&describe(call.app.settings.public_url()))
}

/// An error of the native API.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Failed {
    error: FailedError,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct FailedError {
    /// A word for programs, or the status.
    code: Value,
    /// A sentence for people: what is wrong, and what would be right.
    message: String,
}

/// The whole description. `address` is where people reach the server.
pub(crate) fn describe(address: Option<&str>) -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    let mut put = |path: &str, method: &str, operation: Value| {
        // A star takes the rest of a path, which has no word of its own there.
        let path = path.replace("{*", "{");
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method.to_lowercase()] = operation;
    };
    for route in web::routes() {
        if let Some(doc) = &route.doc {
            put(route.path, route.method.as_str(), operation(&mut generator, route, doc));
        }
    }
    for described in endpoints::described() {
        put(described.path, described.method, of_endpoint(&mut generator, &described));
    }
    let _ = generator.subschema_for::<Failed>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "One API in front of OpenAI, Gemini, Anthropic and DeepSeek. Every endpoint takes a key in any \
                            of the places where the SDKs put it.",
            "license": { "name": "ISC" },
        },
        "servers": [{ "url": address.unwrap_or("/").trim_end_matches('/') }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "x-api-key": { "type": "apiKey", "in": "header", "name": "x-api-key" },
                "x-goog-api-key": { "type": "apiKey", "in": "header", "name": "x-goog-api-key" },
                "user": { "type": "apiKey", "in": "header", "name": "user" },
                "api-key": { "type": "apiKey", "in": "header", "name": "api-key" },
                "session": { "type": "apiKey", "in": "cookie", "name": "tollgate" },
            },
        },
    })
}

fn operation(generator: &mut SchemaGenerator, route: &Route, doc: &Doc) -> Value {
    let mut parameters = path_parameters(route.path);
    if let Some(shape) = doc.query {
        let shape = shape(generator);
        parameters.extend(query_parameters(generator, shape.as_value()));
    }
    let schema = doc.answer.map_or_else(|| json!({}), |shape| shape(generator).to_value());
    let mut responses = failures(route.policy);
    responses.insert(
        doc.status.to_string(),
        json!({
            "description": "What was asked for",
            "content": { "application/json": { "schema": schema } },
        }),
    );
    let mut operation = json!({
        "operationId": operation_id(route.method.as_str(), route.path),
        "summary": doc.summary,
        "tags": [tag(route.path)],
        "parameters": parameters,
        "responses": responses,
        "security": security(route.policy),
        "x-tollgate-policy": route.policy.to_string(),
    });
    if let Some(shape) = doc.body {
        operation["requestBody"] = json!({
            "required": !doc.body_optional,
            "content": { "application/json": { "schema": shape(generator) } },
        });
    }
    operation
}

/// An endpoint that calls a model takes and gives what its dialect says; that is described where the dialect comes from.
fn of_endpoint(generator: &mut SchemaGenerator, described: &Described) -> Value {
    let Described { method, path, summary, policy, source, example, shapes } = described;
    let mut responses = failures(*policy);
    let [asked, answered] = match shapes {
        Some((asked, answered)) => [asked, answered].map(|shape| shape(generator).to_value()),
        None => [json!({ "type": "object" }), json!({ "type": "object" })],
    };
    let mut content = match tag(path) {
        "Server" => json!({ "text/plain": { "schema": { "type": "string" } } }),
        _ => json!({ "application/json": { "schema": answered } }),
    };
    if *method == "POST" {
        content["text/event-stream"] = json!({ "schema": { "type": "string" } });
    }
    responses.insert("200".to_owned(), json!({ "description": "The answer", "content": content }));
    let mut operation = json!({
        "operationId": operation_id(method, path),
        "summary": summary,
        "tags": [tag(path)],
        "parameters": path_parameters(path),
        "responses": responses,
        "security": security(*policy),
        "x-tollgate-policy": policy.to_string(),
    });
    if let Some(source) = source {
        operation["externalDocs"] = json!({ "url": source });
    }
    if *method == "POST" {
        let example: Value =
            example.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": asked, "example": example } },
        });
    }
    operation
}

/// What may come instead of what was asked for.
fn failures(policy: Policy) -> Map<String, Value> {
    let mut statuses = vec![
        ("400", "The request makes no sense; the message names the field"),
        ("403", "The key may not do that, or the code or the address is not good for it"),
        ("404", "There is no such thing, or it is another's"),
        ("413", "The body is too long"),
        ("415", "The body is packed in a way that is not known"),
        ("503", "The books cannot be kept right now"),
    ];
    if !matches!(policy, Policy::Public | Policy::Form) {
        statuses.push(("401", "Nobody known asks"));
        statuses.push(("409", "It has been done, or is being done"));
        statuses.push(("429", "Too many requests"));
    }
    if policy == Policy::Inference {
        statuses.push(("402", "The credit, or a budget, does not reach"));
        statuses.push(("422", "The same Idempotency-Key came with another body"));
        statuses.push(("500", "The provider failed"));
        statuses.push(("502", "The provider failed"));
        statuses.push(("504", "The provider took too long"));
        statuses.push(("529", "The provider is overloaded"));
    }
    let schema = json!({ "type": "object" });
    let failure = |(status, description): (&str, &str)| {
        let content = json!({ "application/json": { "schema": schema } });
        (status.to_owned(), json!({ "description": description, "content": content }))
    };
    statuses.into_iter().map(failure).collect()
}

fn security(policy: Policy) -> Value {
    match policy {
        Policy::Public | Policy::Form => json!([]),
        Policy::Api(_) | Policy::Inference | Policy::House => {
            json!([{ "bearer": [] }, { "x-api-key": [] }, { "x-goog-api-key": [] }, { "api-key": [] }])
        }
        Policy::Native(_) => json!([{ "user": [], "api-key": [] }, { "user": [], "bearer": [] }]),
        Policy::Page | Policy::Operator => json!([{ "session": [] }]),
    }
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let parameter = |name: &str| {
        json!({
            "name": name.trim_start_matches('*'), "in": "path", "required": true,
            "schema": { "type": "string", "minLength": 1 },
        })
    };
    names.map(parameter).collect()
}

/// One for each field of an object.
fn query_parameters(generator: &SchemaGenerator, schema: &Value) -> Vec<Value> {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let object = name.and_then(|name| generator.definitions().get(name)).unwrap_or(schema);
    let required = |name: &str| {
        object["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name))
    };
    let fields = object["properties"].as_object().into_iter().flatten();
    let parameter = |(name, schema): (&String, &Value)| json!({ "name": name, "in": "query", "required": required(name), "schema": schema });
    fields.map(parameter).collect()
}

/// `get_api_v1_keys_hash`
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<_> =
        std::iter::once(method.to_lowercase()).chain(words.map(str::to_owned)).collect();
    words.join("_")
}

fn tag(path: &str) -> &'static str {
    match path {
        path if path.starts_with("/api/v1/") => "OpenRouter",
        path if path.starts_with("/v1beta/") || path.starts_with("/v1alpha/") => "Gemini",
        path if path.starts_with("/v1/messages") => "Anthropic",
        path if path.starts_with("/v1/") => "OpenAI",
        path if path.starts_with("/api/") => "Native",
        _ => "Server",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::describe;

    #[test]
    fn every_operation_has_a_name_of_its_own_and_every_reference_leads_somewhere() {
        let whole = describe(Some("https://gate.example/"));
        assert_eq!(whole["servers"][0]["url"], "https://gate.example");
        let mut names = HashSet::new();
        for (path, item) in whole["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{method} {path}: {name}");
                assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
                if operation["x-tollgate-policy"] == "key:inference" {
                    let body = &operation["requestBody"]["content"]["application/json"];
                    assert!(body["example"].is_object(), "{method} {path}: no example");
                }
                for parameter in operation["parameters"].as_array().unwrap() {
                    let place = format!("{{{}}}", parameter["name"].as_str().unwrap());
                    assert!(parameter["in"] == "query" || path.contains(&place), "{path}");
                }
            }
        }
        assert!(names.len() > 20, "{}", names.len());
        let text = whole.to_string();
        for reference in text.split("\"$ref\":\"").skip(1) {
            let reference = reference.split('"').next().unwrap();
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(whole.pointer(pointer).is_some(), "{reference}");
        }
    }
}
