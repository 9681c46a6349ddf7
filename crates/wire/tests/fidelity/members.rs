//! A member that nobody knows, in every object of a request: it is carried or named, wherever it stands.

use std::collections::BTreeMap;

use serde_json::Value;
use wire::{dialect, in_words_of};

use crate::golden;
use crate::probes::{CHAT, CLAUDE, GEMINI, PROBES, RESPONSES};
use crate::targets::{To, groups};

/// What no dialect has.
const NEW: &str = "zznew";

/// What clients hand back of an answer is the provider's, and not a wish of theirs.
const HANDED_BACK: [&str; 3] = ["reasoning_details", "annotations", "citations"];

/// A place in a request: what leads there, and the type of what stands on the way.
type Shape = Vec<String>;

/// The pointers to the objects inside, each with its shape.
fn objects(value: &Value, pointer: &str, shape: &Shape, all: &mut Vec<(String, Shape)>) {
    match value {
        Value::Object(members) => {
            let mut shape = shape.clone();
            let kind = members.get("type").or_else(|| members.get("role")).and_then(Value::as_str);
            shape.extend(kind.map(|kind| format!("({kind})")));
            all.push((pointer.to_owned(), shape.clone()));
            for (name, child) in members {
                let mut inner = shape.clone();
                inner.push(name.clone());
                let name = name.replace('~', "~0").replace('/', "~1");
                objects(child, &format!("{pointer}/{name}"), &inner, all);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                objects(item, &format!("{pointer}/{at}"), shape, all);
            }
        }
        _ => {}
    }
}

/// Requests with one such member each: one for each shape that the probes and the golden requests have.
fn requests(client: &str) -> BTreeMap<Shape, String> {
    let probes = PROBES.iter().filter_map(|probe| probe.request(client));
    let golden = golden::requests_of(client);
    let mut all = BTreeMap::new();
    for text in probes.chain(golden) {
        let request: Value = serde_json::from_str(&text).unwrap();
        let mut found = Vec::new();
        objects(&request, "", &Vec::new(), &mut found);
        for (pointer, shape) in found {
            all.entry(shape).or_insert_with(|| {
                let mut request = request.clone();
                request.pointer_mut(&pointer).unwrap()[NEW] = Value::from(1);
                request.to_string()
            });
        }
    }
    all
}

/// Whether a note names the member or something around it.
fn names(note: &str, shape: &Shape) -> bool {
    let name = note.split([':', ' ']).next().unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    note.contains(NEW) || shape.iter().any(|word| word.trim_matches(['(', ')']) == last)
}

#[test]
fn a_new_member_is_carried_or_named_wherever_it_stands() {
    let mut silent = Vec::new();
    let mut tried = 0;
    for client in [CHAT, RESPONSES, CLAUDE, GEMINI] {
        let targets: Vec<&To> = groups()
            .filter_map(<[To]>::first)
            .filter(|to| to.dialect != client || to.provider == "deepseek")
            .collect();
        for (shape, request) in requests(client) {
            if shape.iter().any(|word| HANDED_BACK.contains(&word.as_str())) {
                continue;
            }
            let Ok(chat) = dialect(client).unwrap().read_request(request.as_bytes()) else {
                continue;
            };
            for to in &targets {
                let Ok(written) = to.write(&chat) else { continue };
                tried += 1;
                let carried = String::from_utf8(written.body).unwrap().contains(NEW);
                let named =
                    || written.dropped.iter().any(|note| names(&in_words_of(client, note), &shape));
                if !carried && !named() {
                    silent.push(format!(
                        "{client} to {}: {} {:?}",
                        to.name(),
                        shape.join("."),
                        written.dropped
                    ));
                }
            }
        }
    }
    println!("{tried} tried");
    assert!(silent.is_empty(), "lost without a name:\n{}", silent.join("\n"));
}

/// What a request loses at a provider of the dialect, in the client's words.
fn lost(client: &str, request: &str, at: &str) -> Vec<String> {
    let chat = dialect(client).unwrap().read_request(request.as_bytes()).unwrap();
    let to = groups().filter_map(<[To]>::first).find(|to| to.dialect == at).unwrap();
    to.write(&chat).unwrap().dropped.iter().map(|note| in_words_of(client, note)).collect()
}

/// The words of Responses that OpenRouter's clients use.
#[test]
fn a_summary_asked_for_over_chat_reaches_responses() {
    let request = |word: &str| {
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"reasoning":{{"summary":"{word}"}}}}"#
        )
    };
    let to = groups().filter_map(<[To]>::first).find(|to| to.dialect == RESPONSES).unwrap();
    for word in ["auto", "detailed"] {
        let chat = dialect(CHAT).unwrap().read_request(request(word).as_bytes()).unwrap();
        let written: Value = serde_json::from_slice(&to.write(&chat).unwrap().body).unwrap();
        assert_eq!(written["reasoning"]["summary"], word);
    }
    assert_eq!(lost(CHAT, &request("detailed"), CLAUDE), ["reasoning.summary"]);
    assert_eq!(lost(CHAT, &request("auto"), CLAUDE).len(), 0);
}

/// A client, what it says, and the name of what is lost of that.
const NAMED: [(&str, &str, &str); 13] = [
    (
        CHAT,
        r#"{"model":"m","thinking":{"type":"enabled","budget":7},"messages":[{"role":"user","content":"x"}]}"#,
        "thinking.budget",
    ),
    (
        CHAT,
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.example/b.png","x":1}}]}]}"#,
        "messages.content.image_url.x",
    ),
    (
        CHAT,
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}","x":1}}]},{"role":"tool","tool_call_id":"a","content":""}]}"#,
        "messages.tool_calls.function.x",
    ),
    (
        CHAT,
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","x":1,"schema":{"type":"object","properties":{},"additionalProperties":false}}}}"#,
        "response_format.json_schema.x",
    ),
    (
        CHAT,
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","x":1}}]}"#,
        "tools.function.x",
    ),
    (
        RESPONSES,
        r#"{"model":"m","store":false,"input":[{"role":"user","content":"x"},{"type":"function_call","id":"fc_1","status":"completed","call_id":"a","name":"f","arguments":"{}","namespace":"n"},{"type":"function_call_output","id":"o","status":"completed","call_id":"a","output":"y"}]}"#,
        "input.namespace",
    ),
    (
        RESPONSES,
        r#"{"model":"m","store":false,"input":"x","text":{"format":{"type":"text","x":1}}}"#,
        "text.format.x",
    ),
    (
        CLAUDE,
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a.example/b.png","x":1}}]}]}"#,
        "content.source.x",
    ),
    (
        CLAUDE,
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x","x":1}]}"#,
        "messages.x",
    ),
    (
        GEMINI,
        r#"{"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"iVBORw0KGgo=","display_name":"a"}}]}]}"#,
        "parts.inlineData.displayName",
    ),
    (
        GEMINI,
        r#"{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"parts":[{"functionResponse":{"name":"f","response":{"output":"y"},"scheduling":"SILENT","willContinue":false}}]}]}"#,
        "parts.functionResponse.scheduling",
    ),
    (
        GEMINI,
        r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="},"mediaResolution":{"level":"MEDIA_RESOLUTION_MEDIUM"}}]}]}"#,
        "parts.mediaResolution",
    ),
    (
        GEMINI,
        r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"thinkingConfig":{"x":1}}}"#,
        "generationConfig.thinkingConfig.x",
    ),
];

#[test]
fn the_names_are_the_clients_own() {
    for (client, request, name) in NAMED {
        // Nothing but it: places in a stream, ids and states of items mean nothing to anybody else.
        let quiet = request.replace(":1}", ":null}").replace(":7}", ":null}");
        for at in [CHAT, CLAUDE].into_iter().filter(|at| *at != client) {
            assert_eq!(lost(client, request, at), [name], "{request}");
            if quiet != request {
                assert_eq!(lost(client, &quiet, at).len(), 0, "{quiet}");
            }
        }
    }
}
