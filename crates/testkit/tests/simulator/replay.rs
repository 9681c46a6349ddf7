//! Recorded requests get their recorded answers.

use std::collections::HashMap;

use serde_json::{Value, json};
use testkit::recordings::{load, require};
use testkit::{Fault, Provider, Simulator};

use crate::{ANYWHERE, ask, credentials, post, result};

/// The text of a recorded stream, in which one event is not followed by a blank line.
const SSE: &str = "data: {\"a\":1}\n\n: comment\r\n\r\ndata:  {\"b\": 2 }\n\ndata: [DONE]";

/// A folder with one exchange of each status, made up here.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let request = json!({"method": "POST", "path": "/v1/messages?beta=true", "headers": {},
        "body": {"model": "m", "messages": [{"role": "robot", "content": "Hello"}]}});
    let line = |id: &str, status: u16, body: Value| {
        json!({"id": id, "provider": "anthropic", "api": "anthropic.messages", "model": "m",
            "stream": false, "tags": [], "request": request,
            "response": {"status": status, "body": body, "headers": {
                "content-type": "text/plain", "transfer-encoding": "chunked", "x-mark": id}}})
    };
    let lines = [
        line("a-1", 429, json!({"n": 1})),
        line("a-2", 200, json!({"n": 2})),
        line("a-3", 200, json!({"n": 3})),
    ];
    let lines = lines.map(|line| line.to_string()).join("\n");
    std::fs::write(dir.path().join("anthropic.messages.jsonl"), lines).expect("written");
    std::fs::write(dir.path().join("expected_bills.jsonl"), "not read here").expect("written");
    dir
}

#[tokio::test]
async fn a_request_is_matched_by_its_body_and_not_by_its_query() {
    let dir = folder();
    let sim = Simulator::new().recordings(dir.path()).expect("readable");
    let sim = sim.start(ANYWHERE).await.expect("a free port");
    let text = r#"{"messages":[{"content":"Hello","role":"robot"}],  "model":"m"}"#;
    let request = post(&sim, Provider::Anthropic, "/v1/messages").body(text);
    let response = request.send().await.expect("sent");
    assert_eq!(response.status(), 200, "a good answer goes before a bad one");
    assert_eq!(response.headers()["x-mark"], "a-2");
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert!(!response.headers().contains_key("transfer-encoding"));
    assert_eq!(response.text().await.expect("text"), r#"{"n":2}"#);
}

#[tokio::test]
async fn a_recording_can_be_asked_for_by_its_id() {
    let dir = folder();
    let sim = Simulator::new().recordings(dir.path()).expect("readable");
    let sim = sim.start(ANYWHERE).await.expect("a free port");
    for (id, status) in [("a-1", 429), ("a-3", 200), ("a-4", 400)] {
        let request = ask(Provider::Anthropic, &format!("recording:{id}"));
        assert_eq!(result(&sim, Provider::Anthropic, &request).await.0, status, "{id}");
    }
}

/// A folder with one streamed exchange of Chat Completions.
fn streamed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let body = json!({"model": "gpt-4o", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Hello"}]});
    let line = json!({"id": "c-1", "provider": "openai", "api": "openai.chat", "model": "gpt-4o",
        "stream": true, "tags": [],
        "request": {"method": "POST", "path": "/v1/chat/completions", "headers": {}, "body": body},
        "response": {"status": 200, "sse": SSE, "headers": {
            "content-type": "text/event-stream; x=1", "transfer-encoding": "chunked"}}});
    std::fs::write(dir.path().join("openai.chat.jsonl"), line.to_string()).expect("written");
    dir
}

#[tokio::test]
async fn a_recorded_stream_comes_byte_for_byte_in_any_pieces() {
    let dir = streamed();
    let sim = Simulator::new().recordings(dir.path()).expect("readable");
    let sim = sim.start(ANYWHERE).await.expect("a free port");
    let request = ask(Provider::OpenAi, "recording:c-1");
    for fault in [None, Some(Fault::Pieces(1)), Some(Fault::Pieces(1000))] {
        if let Some(fault) = fault {
            sim.push_fault(fault);
        }
        let response = crate::send(&sim, Provider::OpenAi, &request).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream; x=1");
        assert_eq!(response.text().await.expect("text"), SSE, "{fault:?}");
    }
    sim.push_fault(Fault::CutAfter(2));
    let response = crate::send(&sim, Provider::OpenAi, &request).await;
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn what_a_gateway_changes_does_not_hide_a_recording() {
    let dir = streamed();
    let sim = Simulator::new().recordings(dir.path()).expect("readable");
    let sim = sim.start(ANYWHERE).await.expect("a free port");
    let mut request = ask(Provider::OpenAi, "Hello");
    request["stream"] = true.into();
    for (model, options) in [
        ("gpt-4o", json!({"include_usage": true})),
        ("gpt-4o", json!({"include_usage": true, "include_obfuscation": false})),
        ("openai/gpt-4o", json!(null)),
    ] {
        request["model"] = model.into();
        request["stream_options"] = options;
        let response = crate::send(&sim, Provider::OpenAi, &request).await;
        assert_eq!(response.text().await.expect("text"), SSE, "{request}");
    }
    request["model"] = "gpt-4o-mini".into();
    let response = crate::send(&sim, Provider::OpenAi, &request).await;
    assert_ne!(response.text().await.expect("text"), SSE);
}

#[tokio::test]
async fn the_next_answer_can_be_chosen_whatever_is_asked() {
    let dir = folder();
    let sim = Simulator::new().recordings(dir.path()).expect("readable");
    let sim = sim.start(ANYWHERE).await.expect("a free port");
    sim.answer_next_with("a-1");
    sim.answer_next_with("a-3");
    sim.answer_next_with("nowhere");
    let models = reqwest::Client::new().get(format!("{}/models", sim.url())).bearer_auth("k");
    assert_eq!(models.send().await.expect("sent").status(), 200, "not for a model");
    let anything = ask(Provider::Gemini, "Hello");
    assert_eq!(result(&sim, Provider::Gemini, &anything).await, (429, json!({"n": 1})));
    sim.push_fault(Fault::Status(500));
    assert_eq!(result(&sim, Provider::Gemini, &anything).await.0, 500, "faults are applied to it");
    let (status, body) = result(&sim, Provider::Gemini, &anything).await;
    assert_eq!(status, 500);
    assert!(body["error"]["message"].as_str().expect("text").contains("nowhere"));
    assert_eq!(result(&sim, Provider::Gemini, &anything).await.0, 200, "as usual again");
    let request = post(&sim, Provider::Gemini, crate::path(Provider::Gemini)).json(&anything);
    let response = request.header("x-simulator-recording", "a-3").send().await.expect("sent");
    assert_eq!(response.text().await.expect("text"), r#"{"n":3}"#);
}

/// Each recorded request of these APIs gets the recorded answer, or one of them.
async fn replays(provider: Provider, apis: &[&str]) {
    let Some(dir) = require() else { return };
    let part = tempfile::tempdir().expect("a folder");
    for api in apis {
        let file = format!("{api}.jsonl");
        std::fs::copy(dir.join(&file), part.path().join(&file)).expect("copied");
    }
    let sim = Simulator::new().recordings(part.path()).expect("readable").keep_requests(false);
    let sim = sim.start(ANYWHERE).await.expect("a free port");
    let client = reqwest::Client::new();
    for api in apis {
        let recordings = load(part.path(), api).expect(api);
        // Some requests were recorded more than once, with different answers.
        let mut expected: HashMap<_, Vec<_>> = HashMap::new();
        let asked = |recording: &testkit::Recording| {
            let body = recording.request.body.as_ref().expect("a body").to_string();
            (recording.request.path_without_query().to_owned(), body)
        };
        for recording in &recordings {
            expected.entry(asked(recording)).or_default().push(&recording.response);
        }
        for recording in &recordings {
            let url = format!("{}{}", sim.url(), recording.request.path);
            let request = credentials(client.post(url), provider);
            let question = asked(recording);
            let response = request.body(question.1.clone()).send().await.expect("sent");
            let status = response.status().as_u16();
            let text = response.text().await.expect("text");
            let found = expected[&question].iter().any(|other| {
                let recorded = other.sse.as_deref().or(other.body_text.as_deref());
                other.status == status && recorded == Some(text.as_str())
            });
            assert!(found, "{}: {status} {text:.200}", recording.id);
        }
    }
}

#[tokio::test]
async fn recorded_requests_to_openai_get_their_recorded_answers() {
    let small = ["openai.responses_input_tokens", "openai.completions", "openai.embeddings"];
    replays(Provider::OpenAi, &small).await;
}

#[tokio::test]
async fn recorded_chats_get_their_recorded_answers() {
    replays(Provider::OpenAi, &["openai.chat"]).await;
}

#[tokio::test]
async fn recorded_responses_get_their_recorded_answers() {
    replays(Provider::OpenAi, &["openai.responses"]).await;
}

#[tokio::test]
async fn recorded_requests_to_deepseek_get_their_recorded_answers() {
    replays(Provider::DeepSeek, &["deepseek.chat", "deepseek.responses"]).await;
}

#[tokio::test]
async fn recorded_requests_to_anthropic_get_their_recorded_answers() {
    let apis = ["anthropic.messages", "anthropic.count_tokens"];
    replays(Provider::Anthropic, &apis).await;
}

#[tokio::test]
async fn recorded_requests_to_gemini_get_their_recorded_answers() {
    let apis = [
        "gemini.generateContent",
        "gemini.streamGenerateContent",
        "gemini.countTokens",
        "gemini.batchEmbedContents",
    ];
    replays(Provider::Gemini, &apis).await;
}
