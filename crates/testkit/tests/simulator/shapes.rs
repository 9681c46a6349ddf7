//! Made-up answers have the shape of real ones: no field that no recording has, none missing that
//! all of them have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use testkit::Running;
use testkit::recordings::{Recording, load, require};

use crate::start;
use crate::talk::{APIS, Api, Kind};

type Paths = BTreeSet<String>;

/// Where there is something in a value; the content of these is up to the client or the model.
const OPAQUE: [&str; 5] = ["args", "input", "tools", "metadata", "schema"];

fn paths(value: &Value, at: &str, out: &mut Paths) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let at = format!("{at}/{key}");
                out.insert(at.clone());
                if !OPAQUE.contains(&key.as_str()) {
                    paths(value, &at, out);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                // Items of different types have nothing to do with each other.
                let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
                let at = format!("{at}[{kind}]");
                out.insert(at.clone());
                paths(item, &at, out);
            }
        }
        _ => {}
    }
}

fn of(value: &Value) -> Paths {
    let mut out = Paths::new();
    paths(value, "", &mut out);
    out
}

/// What a kind of event may have and what it must have.
#[derive(Default)]
struct Shape {
    seen: Paths,
    always: Option<Paths>,
}

impl Shape {
    fn add(&mut self, value: &Value) {
        let paths = of(value);
        self.always = Some(match self.always.take() {
            None => paths.clone(),
            Some(always) => always.intersection(&paths).cloned().collect(),
        });
        self.seen.extend(paths);
    }
}

/// The JSON of a stream, leniently: the recordings hold everything that providers send.
fn data(sse: &str) -> Vec<Value> {
    let lines = sse.lines().filter_map(|line| line.strip_prefix("data:"));
    lines.filter_map(|line| serde_json::from_str(line.trim()).ok()).collect()
}

/// What events are told apart by.
fn name(event: &Value) -> String {
    let kind = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kinds = ["/type", "/delta/type", "/content_block/type", "/item/type", "/part/type"];
    kinds.map(kind).join(" ")
}

fn shapes<'a>(events: impl Iterator<Item = &'a Value>) -> BTreeMap<String, Shape> {
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    for event in events {
        shapes.entry(name(event)).or_default().add(event);
    }
    shapes
}

/// Requests that bring out everything that is made up.
fn requests(api: Api) -> Vec<Value> {
    let said = "Both, please.";
    let plain = api.ask(said);
    let mut tools = api.ask(said);
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    api.offer(&mut tools, &[("one", schema.clone()), ("two", schema)]);
    let mut thinking = api.ask(said);
    match api.kind {
        Kind::Chat if api.provider == testkit::Provider::DeepSeek => {
            thinking["thinking"] = json!({"type": "enabled"});
        }
        Kind::Chat => {}
        Kind::Responses => {
            thinking["reasoning"] = json!({"effort": "low", "summary": "auto"});
            if api.provider == testkit::Provider::OpenAi {
                thinking["include"] = json!(["reasoning.encrypted_content"]);
            }
        }
        Kind::Messages => {
            thinking["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
        }
        Kind::Gemini => {
            let config = json!({"thinkingConfig": {"includeThoughts": true}});
            thinking["generationConfig"] = config;
        }
    }
    vec![plain, tools, thinking]
}

async fn made_up(sim: &Running, api: Api, streams: bool) -> Vec<Value> {
    let mut made = Vec::new();
    for request in requests(api) {
        let response = api.send(sim, &request, streams).await;
        assert_eq!(response.status(), 200, "{api:?}: {request}");
        let text = response.text().await.expect("text");
        if streams {
            made.extend(data(&text));
        } else {
            made.push(serde_json::from_str(&text).expect("JSON"));
        }
    }
    made
}

fn recorded(dir: &Path, file: &str, streams: bool) -> Vec<Value> {
    let good = |recording: &Recording| {
        recording.stream == streams && recording.response.status == 200 && is_recent(recording)
    };
    let recordings = load(dir, file).expect(file).into_iter().filter(good);
    recordings
        .flat_map(|recording| match recording.response.sse {
            Some(sse) => data(&sse),
            None => recording.response.body.into_iter().collect(),
        })
        .collect()
}

/// The first recordings of Responses lack fields that have been there ever since.
fn is_recent(recording: &Recording) -> bool {
    let Some(sse) = &recording.response.sse else { return true };
    recording.api != "openai.responses" || sse.contains("sequence_number")
}

/// What surrounds a place, if anything does.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Differences that are meant: each is a part of a complaint.
const MEANT: [&str; 6] = [
    // DeepSeek streamed neither thoughts in chat nor calls in Responses while it was recorded.
    "deepseek.chat     : extra /choices[]/delta/reasoning_content",
    "deepseek.chat     : extra /usage/completion_tokens_details",
    "deepseek.responses: nobody recorded 'response.function_call_arguments",
    "deepseek.responses: nobody recorded 'response.output_item",
    "deepseek.responses response.completed    : extra /response/output[function_call]",
    // Padding that hides the length of events.
    "/obfuscation",
];

#[tokio::test]
async fn made_up_answers_have_the_fields_of_real_ones() {
    let Some(dir) = require() else { return };
    let sim = start().await;
    let mut complaints = Vec::new();
    for api in APIS {
        for streams in [false, true] {
            let file = match (api.provider.as_str(), api.kind, streams) {
                ("deepseek", Kind::Messages, _) => "anthropic.messages".to_owned(),
                ("gemini", _, true) => "gemini.streamGenerateContent".to_owned(),
                ("gemini", _, false) => "gemini.generateContent".to_owned(),
                (provider, Kind::Chat, _) => format!("{provider}.chat"),
                (provider, Kind::Responses, _) => format!("{provider}.responses"),
                (provider, Kind::Messages, _) => format!("{provider}.messages"),
                (provider, Kind::Gemini, _) => format!("{provider}.generateContent"),
            };
            let recorded = recorded(&dir, &file, streams);
            assert!(!recorded.is_empty(), "{file}");
            let real = shapes(recorded.iter());
            for event in made_up(&sim, api, streams).await {
                // Kinds of events that nobody recorded cannot be compared.
                let Some(shape) = real.get(&name(&event)) else {
                    complaints.push(format!("{file}: nobody recorded '{}'", name(&event)));
                    continue;
                };
                let own = of(&event);
                let extra = own.difference(&shape.seen);
                complaints
                    .extend(extra.map(|path| format!("{file} {}: extra {path}", name(&event))));
                let always = shape.always.iter().flatten();
                // What is missing from something that is missing has been said, and items of
                // lists depend on the request.
                let missing = always.filter(|path| {
                    let here = parent(path).is_empty() || own.contains(parent(path));
                    here && !own.contains(*path) && !path.ends_with(']')
                });
                complaints
                    .extend(missing.map(|path| format!("{file} {}: lacks {path}", name(&event))));
            }
        }
    }
    complaints.retain(|complaint| !MEANT.iter().any(|meant| complaint.contains(meant)));
    complaints.sort();
    complaints.dedup();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
