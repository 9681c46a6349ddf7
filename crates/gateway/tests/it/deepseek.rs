//! `DeepSeek` speaks three dialects with fewer words. What it knows passes to it; the rest is told or refused.

use ledger::Outcome;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::app::{Answer, App, Start};
use crate::scripted::{Provider, Scripted};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";
const MODEL: &str = "deepseek-v4-flash";

/// The least request at that path, with these members.
fn body(path: &str, more: &Value) -> Value {
    let turns = json!([{ "role": "user", "content": "Hello" }]);
    let mut body = match path {
        CHAT => json!({ "messages": turns }),
        MESSAGES => json!({ "messages": turns, "max_tokens": 50 }),
        _ => json!({ "input": "Hello" }),
    };
    body["model"] = MODEL.into();
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn ask(app: &App, path: &str, more: &Value) -> RequestBuilder {
    let request = app.request(Method::POST, path).bearer_auth(&app.key);
    request.header("anthropic-version", "2023-06-01").json(&body(path, more))
}

fn chat_answer(finish: &str) -> Scripted {
    let body = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [{ "index": 0, "finish_reason": finish,
                      "message": { "role": "assistant", "content": "Hi" } }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
                   "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 5 },
    });
    let head = "content-type: application/json".to_owned();
    Scripted { head, body: body.to_string(), times: 1 }
}

fn function() -> Value {
    json!({ "name": "w", "parameters": { "type": "object", "properties": {} } })
}

/// What it does not know of a dialect, and by which name that is told; or else refused.
fn unknown() -> Vec<(&'static str, Value, &'static str, bool)> {
    let mut strict = function();
    strict["strict"] = true.into();
    let (named, refused) = (false, true);
    vec![
        (CHAT, json!({ "n": 2 }), "n", refused),
        (CHAT, json!({ "seed": 7 }), "seed", named),
        (CHAT, json!({ "logit_bias": { "5": 1 } }), "logit_bias", named),
        (CHAT, json!({ "web_search_options": {} }), "web_search_options", refused),
        (CHAT, json!({ "prediction": { "type": "content", "content": "x" } }), "prediction", named),
        (
            CHAT,
            json!({ "modalities": ["text", "audio"], "audio": { "voice": "a", "format": "wav" } }),
            "audio",
            refused,
        ),
        (CHAT, json!({ "tools": [{ "type": "function", "function": strict }] }), "strict", named),
        (
            MESSAGES,
            json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] }),
            "web_search_20250305",
            refused,
        ),
        (
            MESSAGES,
            json!({ "mcp_servers": [{ "type": "url", "url": "x", "name": "y" }] }),
            "mcp_servers",
            refused,
        ),
        (MESSAGES, json!({ "top_k": 5 }), "top_k", named),
        (MESSAGES, json!({ "cache_control": { "type": "ephemeral" } }), "cache_control", named),
        (MESSAGES, json!({ "service_tier": "auto" }), "service_tier", named),
        (RESPONSES, json!({ "previous_response_id": "resp_1" }), "previous_response_id", refused),
        (RESPONSES, json!({ "conversation": "conv_1" }), "conversation", refused),
        (RESPONSES, json!({ "background": true }), "background", refused),
        (RESPONSES, json!({ "prompt": { "id": "p" } }), "prompt", refused),
        (
            RESPONSES,
            json!({ "tools": [{ "type": "file_search", "vector_store_ids": ["v"] }] }),
            "file_search",
            refused,
        ),
        (
            RESPONSES,
            json!({ "input": [{ "type": "item_reference", "id": "x" },
                              { "role": "user", "content": "Hello" }] }),
            "item_reference",
            refused,
        ),
        (RESPONSES, json!({ "prompt_cache_key": "k" }), "prompt_cache_key", named),
    ]
}

#[tokio::test]
async fn what_it_does_not_know_is_told() {
    let app = App::start().await;
    let mut wrong = Vec::new();
    for (path, more, name, refused) in unknown() {
        let before = app.simulator.count();
        let strict = Answer::of(ask(&app, path, &more).header("x-tollgate-strict", "true")).await;
        let said = format!("{path} {more}: {} {}", strict.status, strict.body);
        if strict.status != 400 || !strict.body.to_string().contains(name) {
            wrong.push(format!("strict {said}"));
        }
        if app.simulator.count() != before {
            wrong.push(format!("sent: {said}"));
        }
        let told = Answer::of(ask(&app, path, &more)).await;
        let dropped = told.header("x-tollgate-dropped");
        let right = if refused {
            told.status == 400 && told.body.to_string().contains(name)
        } else {
            told.status == 200 && dropped.split(", ").any(|word| word == name)
        };
        if !right {
            wrong.push(format!("{path} {more}: {} {dropped:?} {}", told.status, told.body));
        }
    }
    for seen in app.simulator.seen() {
        let sent = String::from_utf8_lossy(&seen.body).into_owned();
        for word in ["seed", "logit_bias", "prediction", "strict", "top_k", "tier"] {
            if sent.contains(word) {
                wrong.push(format!("{} got {sent}", seen.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_it_knows_passes_as_it_stands() {
    let app = App::start().await;
    let tools = json!([{ "type": "function", "function": function() }]);
    for (path, more) in [
        (CHAT, json!({ "temperature": 0.30, "thinking": { "type": "disabled" }, "tools": tools })),
        (
            MESSAGES,
            json!({ "system": [{ "type": "text", "text": "Be brief" }], "top_p": 0.5,
                    "tools": [{ "name": "w", "input_schema": { "type": "object" } }] }),
        ),
    ] {
        // Nobody would write it like that but this client.
        let text = body(path, &more).to_string().replacen('{', "{ \t", 1);
        let request = app.request(Method::POST, path).bearer_auth(&app.key);
        let request = request.header("content-type", "application/json").body(text.clone());
        let answer = Answer::of(request.header("x-tollgate-strict", "true")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let seen = app.simulator.seen().pop().expect("a request");
        assert_eq!(String::from_utf8_lossy(&seen.body), text);
    }
    let provider = Provider::start([]).await;
    let app =
        App::start_with(Start::default().set("DEEPSEEK_BASE_URL", provider.url.clone())).await;
    let more = json!({ "store": false, "input": [
        { "role": "user", "content": "Hello" },
        { "type": "function_call", "call_id": "c", "name": "w", "arguments": "{}" },
        { "type": "function_call_output", "call_id": "c", "output": "r" },
    ]});
    Answer::of(ask(&app, RESPONSES, &more)).await;
    assert_eq!(provider.asked(), [body(RESPONSES, &more)]);
}

/// Thoughts alone do not make a call one that it takes.
#[tokio::test]
async fn calls_and_results_are_texts() {
    let app = App::start().await;
    let more = json!({ "messages": [
        { "role": "user", "content": "Hello" },
        { "role": "assistant", "content": null, "reasoning_content": "Hm",
          "tool_calls": [{ "id": "c", "type": "function",
                           "function": { "name": "w", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "c", "content": [{ "type": "text", "text": "r" }] },
    ], "functions": [function()] });
    let answer = Answer::of(ask(&app, CHAT, &more)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let seen = app.simulator.seen().pop().expect("a request");
    let sent: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(sent["messages"][1]["content"], "");
    assert_eq!(sent["messages"][1]["reasoning_content"], "Hm");
    assert_eq!(sent["messages"][2]["content"], "r");
    assert_eq!((&sent["tools"][0]["function"]["name"], sent.get("functions")), (&json!("w"), None));
}

/// It breaks a whole answer off for want of capacity as it does a stream.
#[tokio::test]
async fn an_answer_that_it_broke_off_is_none() {
    const BROKEN: &str = "insufficient_system_resource";
    let provider = Provider::start([]).await;
    let start = Start::default()
        .set("DEEPSEEK_BASE_URL", provider.url.clone())
        .set("TOLLGATE_RETRIES", "1");
    let app = App::start_with(start).await;
    let others = json!({ "prompt_cache_key": "k" });
    for (path, more) in [(CHAT, json!({})), (RESPONSES, others)] {
        provider.say([chat_answer(BROKEN), chat_answer("stop")]);
        let answer = Answer::of(ask(&app, path, &more)).await;
        assert_eq!((answer.status, provider.asked().len()), (200, 2), "{}", answer.body);
        provider.say([chat_answer(BROKEN), chat_answer(BROKEN)]);
        let answer = Answer::of(ask(&app, path, &more)).await;
        assert_eq!((answer.status, provider.asked().len()), (503, 2), "{}", answer.body);
        assert!(answer.body.to_string().contains("broke off"), "{}", answer.body);
    }
    for (i, receipt) in app.close().await.iter().enumerate() {
        let failed = i % 2 == 1;
        let outcome = if failed { Outcome::Failed } else { Outcome::Ok };
        assert_eq!(receipt.outcome, outcome, "{receipt:?}");
        assert_eq!(receipt.charge == ledger::Usd::ZERO, failed, "{receipt:?}");
    }
}
