//! `OpenAI` has two ways to its models: which one a request takes.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::app::{Answer, App};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const OPENROUTER: &str = "/api/v1/chat/completions";

fn ask(app: &App, path: &str, body: &Value) -> RequestBuilder {
    let request = app.request(Method::POST, path).bearer_auth(&app.key);
    request.header("anthropic-version", "2023-06-01").json(body)
}

/// The path that was called, and with what.
async fn called(app: &App, path: &str, body: &Value) -> (String, Value) {
    let answer = Answer::of(ask(app, path, body)).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    let seen = app.simulator.seen().pop().expect("a request");
    (seen.path.clone(), serde_json::from_slice(&seen.body).expect("JSON"))
}

fn chat(model: &str, more: &Value) -> Value {
    let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] });
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn function() -> Value {
    json!({ "name": "w", "parameters": { "type": "object", "properties": {} } })
}

#[tokio::test]
async fn functions_for_models_that_think() {
    let app = App::start().await;
    let tools = json!([{ "type": "function", "function": function() }]);
    // Only thoughts are in the way of functions.
    let quiet = chat("gpt-5.4", &json!({ "tools": tools, "reasoning_effort": "none" }));
    assert_eq!(called(&app, CHAT, &quiet).await, (CHAT.to_owned(), quiet));
    for more in [
        json!({ "tools": tools }),
        json!({ "tools": tools, "reasoning_effort": "low" }),
        json!({ "functions": [function()] }),
    ] {
        let (path, sent) = called(&app, CHAT, &chat("gpt-5.4", &more)).await;
        assert_eq!((path.as_str(), &sent["tools"][0]["name"]), (RESPONSES, &json!("w")), "{more}");
    }
    // One that cannot be told not to think.
    let loud = chat("gpt-6-astra", &json!({ "tools": tools, "reasoning_effort": "none" }));
    assert_eq!(called(&app, CHAT, &loud).await.0, RESPONSES);
    let older = chat("gpt-4o", &json!({ "functions": [function()] }));
    assert_eq!(called(&app, CHAT, &older).await, (CHAT.to_owned(), older));
}

#[tokio::test]
async fn the_older_name_of_the_ceiling_is_changed_for_models_that_refuse_it() {
    const NEWER: &str = "max_completion_tokens";
    let app = App::start().await;
    for (model, path, name) in [
        ("gpt-5-mini", CHAT, NEWER),
        ("gpt-4o", CHAT, "max_tokens"),
        // Written anew there, in the words of today.
        ("gpt-5-mini", OPENROUTER, NEWER),
        ("gpt-4o", OPENROUTER, NEWER),
    ] {
        let new = json!({ "max_tokens": 500 });
        let asked = chat(model, &json!({ "max_tokens": 500, "zznew": new }));
        let (_, sent) = called(&app, path, &asked).await;
        assert_eq!(sent, chat(model, &json!({ name: 500, "zznew": new })), "{path}");
    }
}

/// Its own clients send fields that `OpenAI` refuses, and more than they need to.
#[tokio::test]
async fn openrouters_clients_are_translated_for_openai() {
    let app = App::start().await;
    let own = json!({ "transforms": ["middle-out"], "top_k": 3, "plugins": [], "min_p": 0.1 });
    let answer = Answer::of(ask(&app, OPENROUTER, &chat("openai/gpt-4o", &own))).await;
    let mut dropped: Vec<_> = answer.header("x-tollgate-dropped").split(", ").collect();
    dropped.sort_unstable();
    assert_eq!((answer.status, dropped), (200, vec!["min_p", "plugins", "top_k", "transforms"]));
    let seen = app.simulator.seen().pop().expect("a request");
    let sent: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(sent, chat("gpt-4o", &json!({})));
    let quiet =
        called(&app, OPENROUTER, &chat("openai/gpt-5.4", &json!({ "temperature": 0 }))).await;
    assert_eq!(quiet.1, chat("gpt-5.4", &json!({})));
    let web = json!({ "plugins": [{ "id": "web" }] });
    let (path, searching) = called(&app, OPENROUTER, &chat("openai/gpt-4o", &web)).await;
    assert_eq!(
        (path.as_str(), &searching["tools"]),
        (RESPONSES, &json!([{ "type": "web_search" }]))
    );
    // No message of a tool has a picture there.
    let picture = json!({ "type": "image_url", "image_url": "data:image/png;base64,AAAA" });
    let shown = chat(
        "openai/gpt-4o",
        &json!({ "messages": [
        { "role": "user", "content": "Look." },
        { "role": "assistant", "tool_calls": [
            { "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "c1", "content": [picture] },
    ] }),
    );
    let (_, sent) = called(&app, OPENROUTER, &shown).await;
    let at = |place: &str| sent.pointer(place).cloned().unwrap_or_default();
    assert_eq!((at("/messages/2/role"), at("/messages/3/role")), (json!("tool"), json!("user")));
    assert_eq!(
        at("/messages/3/content")
            .as_array()
            .map(|parts| { parts.iter().filter(|part| part["type"] == "image_url").count() }),
        Some(1),
        "{sent}"
    );
}

#[tokio::test]
async fn tools_that_take_free_text() {
    let app = App::start().await;
    let tool = json!({ "type": "custom", "custom": { "name": "note" } });
    let more = json!({ "tools": [tool], "max_tokens": 50 });
    let (path, sent) = called(&app, CHAT, &chat("gpt-5.4", &more)).await;
    assert_eq!(path, RESPONSES);
    assert_eq!(sent["tools"], json!([{ "type": "custom", "name": "note" }]));
    let body = chat("claude-sonnet-4-5", &more);
    let answer = Answer::of(ask(&app, CHAT, &body)).await;
    assert_eq!((answer.status, answer.header("x-tollgate-dropped")), (200, "tools.custom"));
    let seen = app.simulator.seen().pop().expect("a request");
    let sent: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(sent["tools"][0]["input_schema"]["required"], json!(["input"]));
}

#[tokio::test]
async fn a_search_of_the_web_is_had_over_responses() {
    let app = App::start().await;
    let search = json!({ "max_tokens": 50,
                         "tools": [{ "type": "web_search_20250305", "name": "web_search" }] });
    let (path, sent) = called(&app, "/v1/messages", &chat("gpt-4o", &search)).await;
    assert_eq!((path.as_str(), &sent["tools"][0]["type"]), (RESPONSES, &json!("web_search")));
    let own = json!({ "max_tokens": 50,
                      "tools": [{ "name": "w", "input_schema": { "type": "object" } }] });
    assert_eq!(called(&app, "/v1/messages", &chat("gpt-4o", &own)).await.0, CHAT);
}

#[tokio::test]
async fn sound_for_a_model_without_ears_stays_here() {
    let app = App::start().await;
    let sound = json!({ "contents": [{ "role": "user", "parts": [
        { "inlineData": { "mimeType": "audio/wav", "data": "AAAA" } }] }] });
    for model in ["gpt-4o", "gpt-5.4"] {
        let path = format!("/v1beta/models/{model}:generateContent");
        let answer = Answer::of(ask(&app, &path, &sound)).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.to_string().contains("audio: "), "{}", answer.body);
    }
    // A client of the provider's own format is told the part, whatever model it is for.
    let part = json!({ "type": "input_audio", "input_audio": { "data": "AAAA", "format": "wav" } });
    let sound = |model: &str| {
        json!({ "model": model, "messages": [
            { "role": "system", "content": "Listen." },
            { "role": "user", "content": [{ "type": "text", "text": "What is said?" }, part] }] })
    };
    for model in
        ["openai/gpt-4o", "openai/gpt-5.4", "anthropic/claude-sonnet-4-5", "deepseek/deepseek-chat"]
    {
        for path in [CHAT, OPENROUTER] {
            let answer = Answer::of(ask(&app, path, &sound(model))).await;
            assert_eq!(answer.status, 400, "{model}: {}", answer.body);
            let said = answer.body.to_string();
            assert!(said.contains("messages[1].content[1]: "), "{model}: {said}");
        }
    }
    assert_eq!(app.simulator.count(), 0);
    let heard = Answer::of(ask(&app, "/v1/chat/completions", &sound("openai/gpt-audio"))).await;
    assert_eq!(heard.status, 200, "{}", heard.body);
}
