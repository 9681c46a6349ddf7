//! Recorded requests get their recorded answers.

use serde_json::{Value, json};
use testkit::recordings::{load, require};
use testkit::{Provider, Simulator};

use crate::{ANYWHERE, ask, post, result};

const APIS: [(&str, Provider); 4] = [
    ("openai.chat", Provider::OpenAi),
    ("deepseek.chat", Provider::DeepSeek),
    ("anthropic.messages", Provider::Anthropic),
    ("gemini.generateContent", Provider::Gemini),
];

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

#[tokio::test]
async fn every_recorded_request_gets_a_recorded_answer() {
    let Some(dir) = require() else { return };
    let sim = Simulator::new().recordings(&dir).expect("readable").keep_requests(false);
    let sim = sim.start(ANYWHERE).await.expect("a free port");
    for (api, provider) in APIS {
        let recordings = load(&dir, api).expect(api);
        let whole: Vec<_> = recordings.iter().filter(|recording| !recording.stream).collect();
        for recording in &whole {
            let same = |other: &&&testkit::Recording| {
                other.request.body == recording.request.body
                    && other.request.path_without_query() == recording.request.path_without_query()
            };
            let expected: Vec<_> = whole.iter().filter(same).collect();
            let body = recording.request.body.as_ref().expect("a body");
            let request = post(&sim, provider, &recording.request.path).json(body);
            let response = request.send().await.expect("sent");
            let status = response.status().as_u16();
            let text = response.text().await.expect("text");
            let found = expected.iter().any(|other| {
                other.response.status == status
                    && other.response.body_text.as_deref() == Some(text.as_str())
            });
            assert!(found, "{}: {status} {text:.200}", recording.id);
        }
    }
}
