//! Answers that are none of a provider's: what stands between it and the gateway says something of its own.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its runtime, and what it spawned with it"
)]

use std::io::Write as _;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::app::{Answer, App, Start, are_free};
use crate::scripted::{Provider, Scripted};
use crate::speak::{Client, Told};

/// Answers every request with these bytes.
async fn start(said: Vec<u8>) -> App {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = Vec::new();
            // The body is small, and ends with the request.
            while !asked.ends_with(b"}") {
                if stream.read_buf(&mut asked).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            drop(stream.write_all(&said).await);
            drop(stream.shutdown().await);
        }
    });
    App::start_with(Start::default().set("OPENAI_BASE_URL", url)).await
}

async fn ask(app: &App, path: &str) -> Answer {
    let body = json!({ "model": "gpt-4o", "max_tokens": 50,
                       "messages": [{ "role": "user", "content": "Hello" }] });
    let request = app.request(Method::POST, path).bearer_auth(&app.key);
    Answer::of(request.header("anthropic-version", "2023-06-01").json(&body)).await
}

#[tokio::test]
async fn a_status_of_neither_kind_is_the_providers_fault() {
    for status in [302, 304, 999] {
        let said = format!(
            "HTTP/1.1 {status} Odd\r\nlocation: /login\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let app = start(said.into_bytes()).await;
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let answer = ask(&app, path).await;
            let body = answer.body.to_string();
            assert_eq!(answer.status, 502, "{status} at {path}: {body}");
            assert!(body.contains(&format!("status {status}")), "{body}");
        }
        assert!(are_free(&app.close().await));
    }
}

/// An answer that is none is nobody's to pay, whatever its status, and another may have one.
#[tokio::test]
async fn a_success_that_is_no_answer_is_a_failure() {
    for said in [
        json!({ "error": { "message": "boom", "type": "server_error" } }),
        json!({ "detail": "Not found" }),
        json!({ "id": "c1", "choices": [] }),
        json!({}),
    ] {
        let text = said.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            text.len()
        );
        let app = start(format!("{head}{text}").into_bytes()).await;
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let answer = ask(&app, path).await;
            assert_eq!(answer.status, 502, "{said} at {path}: {}", answer.body);
        }
        let request = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
        let body = json!({ "model": "gpt-4o", "models": ["gpt-4o", "deepseek/deepseek-v4-pro"],
                           "messages": [{ "role": "user", "content": "Hello" }] });
        let answer = Answer::of(request.json(&body)).await;
        assert_eq!(answer.status, 200, "{said}: {}", answer.body);
        let receipts = app.close().await;
        let paid = receipts.iter().filter(|receipt| receipt.charge > ledger::Usd::ZERO);
        assert_eq!(paid.map(|receipt| receipt.provider.as_str()).collect::<Vec<_>>(), ["deepseek"]);
    }
}

/// A provider's signs of life are not yet an answer: where nothing else comes, another is asked.
#[tokio::test]
async fn comments_alone_are_no_answer() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let app = start(format!("{head}: keep-alive\n\n: keep-alive\n\n").into_bytes()).await;
    let request = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
    let body = json!({ "model": "gpt-4o", "models": ["gpt-4o", "deepseek/deepseek-v4-pro"],
                       "messages": [{ "role": "user", "content": "Hello" }], "stream": true });
    let answer = request.json(&body).send().await.expect("an answer");
    let text = answer.text().await.expect("whole");
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("keep-alive"), "{text}");
    let receipts = app.close().await;
    let answered = receipts.iter().filter(|receipt| receipt.outcome == ledger::Outcome::Ok);
    assert_eq!(answered.map(|one| one.provider.as_str()).collect::<Vec<_>>(), ["deepseek"]);
}

/// `OpenRouter`'s SDKs read an error in a stream as a chunk with all that a chunk has.
#[tokio::test]
async fn an_error_in_a_stream_is_a_chunk_for_openrouters_clients() {
    let app = App::start().await;
    for model in ["openai/gpt-4o", "deepseek/deepseek-v4-pro", "anthropic/claude-sonnet-4-5"] {
        for fault in ["error:2", "cut:2"] {
            app.simulator.push_fault(fault.parse().expect("a fault"));
            let body = json!({ "model": model, "stream": true,
                               "messages": [{ "role": "user", "content": "Tell me" }] });
            let request = app.request(Method::POST, "/api/v1/chat/completions");
            let answer = request.bearer_auth(&app.key).json(&body).send().await.expect("an answer");
            let text = answer.text().await.expect("whole");
            let last = text.trim_end().rsplit("data: ").next().unwrap_or_default();
            let last: Value = serde_json::from_str(last).expect("a chunk");
            let at = format!("{model}, {fault}: {text}");
            assert!(last["error"]["code"].as_u64().is_some_and(|code| code >= 500), "{at}");
            assert!(last["error"]["metadata"]["error_type"].is_string(), "{at}");
            assert_eq!(last["choices"][0]["finish_reason"], "error", "{at}");
            assert!(last["id"].is_string() && last["created"].is_u64(), "{at}");
            assert_eq!(text.matches("\"error\":{").count(), 1, "{at}");
        }
    }
    app.close().await;
}

/// Whole answers of the four dialects, each of which says "Hello." and has used 9 and 2 tokens.
fn wholes() -> [(Client, (&'static str, &'static str), Value); 4] {
    let chat = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{ "index": 0, "finish_reason": "stop",
                      "message": { "role": "assistant", "content": "Hello." } }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 },
    });
    let responses = json!({
        "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o", "status": "completed",
        "output": [{ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                     "content": [{ "type": "output_text", "text": "Hello.", "annotations": [] }] }],
        "usage": { "input_tokens": 9, "output_tokens": 2, "total_tokens": 11,
                   "input_tokens_details": { "cached_tokens": 0 },
                   "output_tokens_details": { "reasoning_tokens": 0 } },
    });
    let messages = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{ "type": "text", "text": "Hello." }], "stop_reason": "end_turn",
        "stop_sequence": null, "usage": { "input_tokens": 9, "output_tokens": 2 },
    });
    let gemini = json!({
        "candidates": [{ "index": 0, "finishReason": "STOP",
                         "content": { "role": "model", "parts": [{ "text": "Hello." }] } }],
        "usageMetadata": { "promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11 },
        "modelVersion": "gemini-2.5-flash", "responseId": "r1",
    });
    [
        (Client::Chat, ("openai", "gpt-4o"), chat),
        (Client::Responses, ("openai", "gpt-4o"), responses),
        (Client::Messages, ("anthropic", "claude-sonnet-4-5"), messages),
        (Client::Gemini, ("gemini", "gemini-2.5-flash"), gemini),
    ]
}

/// A server that has no streams answers whole: its client gets the stream that it asked for all the same.
#[tokio::test]
async fn a_whole_answer_is_a_stream_for_whoever_asked_for_one() {
    let provider = Provider::start([]).await;
    let bases = ["OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GEMINI_BASE_URL"].into_iter();
    let start = bases.fold(Start::default(), |start, base| start.set(base, provider.url.clone()));
    let app = App::start_with(start).await;
    let says = |body: &Value| {
        let head = "content-type: application/json".to_owned();
        provider.say([Scripted { head, body: body.to_string(), times: 1 }]);
    };
    let error = json!({ "error": { "message": "boom", "type": "server_error" } });
    let mut asked = 0;
    for (client, (name, model), whole) in wholes() {
        // The same answer for a client of another dialect.
        let other = (client == Client::Chat).then_some(Client::Messages);
        for client in other.into_iter().chain([client]) {
            asked += 1;
            let body = client.ask(name, model, "Hello", true);
            says(&whole);
            let told = Told::of(client, client.send(&app, model, &body, true)).await;
            assert_eq!((told.status, told.header("content-type")), (200, "text/event-stream"));
            assert!(told.has_ended() && !told.broke, "{client:?}: {}", told.raw);
            assert_eq!(client.text(&told.whole()), "Hello.", "{client:?}: {}", told.raw);
        }
        // An error in its place is told as one, before there is a stream.
        says(&error);
        let body = client.ask(name, model, "Hello", true);
        let told = Told::of(client, client.send(&app, model, &body, true)).await;
        assert_eq!(told.status, 502, "{client:?}: {}", told.raw);
    }
    let receipts = app.close().await;
    let used = receipts.iter().filter(|receipt| receipt.outcome == ledger::Outcome::Ok);
    let used: Vec<_> = used.map(|receipt| receipt.report.total()).collect();
    assert_eq!(used.len(), asked, "{receipts:?}");
    assert!(used.iter().all(|used| (used.input_tokens(), used.output_tokens()) == (9, 2)));
}

/// A client's parser keeps an event to itself until its blank line comes.
#[tokio::test]
async fn the_last_event_has_its_blank_line() {
    let provider = Provider::start([]).await;
    let app = App::start_with(Start::default().set("OPENAI_BASE_URL", provider.url.clone())).await;
    let chunk = r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    for end in ["", "\n", "\r\n"] {
        let body = format!("{chunk}\n\ndata: [DONE]{end}");
        let head = "content-type: text/event-stream".to_owned();
        provider.say([Scripted { head, body, times: 1 }]);
        let body = Client::Chat.ask("openai", "gpt-4o", "Hello", true);
        let told = Told::of(Client::Chat, Client::Chat.send(&app, "gpt-4o", &body, true)).await;
        assert!(told.raw.ends_with(&format!("data: [DONE]{end}\n\n")), "{}", told.raw);
    }
    app.close().await;
}

fn packed(encoding: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {encoding}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_packed_answer_is_unpacked() {
    let said = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{ "index": 0, "finish_reason": "stop",
                      "message": { "role": "assistant", "content": "Hi" } }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 },
    });
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(said.to_string().as_bytes()).expect("written");
    let app = start(packed("gzip", &gzip.finish().expect("written"))).await;
    let answer = ask(&app, "/v1/chat/completions").await;
    assert_eq!((answer.status, &answer.body), (200, &said));
    assert_eq!(answer.header("content-encoding"), "");
    let receipts = app.close().await;
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].report.total().input_tokens(), 5);

    for said in [packed("br", b"\x0b\x02"), packed("gzip", b"{}")] {
        let app = start(said).await;
        let answer = ask(&app, "/v1/chat/completions").await;
        assert_eq!(answer.status, 502, "{}", answer.body);
        assert!(answer.body.to_string().contains("cannot be unpacked"), "{}", answer.body);
        assert!(are_free(&app.close().await));
    }
}

#[tokio::test]
async fn a_header_has_an_end() {
    let app = App::start().await;
    let mut body = json!({ "model": "claude-sonnet-4-5",
                           "messages": [{ "role": "user", "content": "Hello" }] });
    for i in 0..3000 {
        body[format!("field{i}")] = Value::from(1);
    }
    let request = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
    let answer = Answer::of(request.json(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let dropped = answer.header("x-tollgate-dropped");
    assert!((3500..=4096).contains(&dropped.len()), "{}", dropped.len());
    let names: Vec<&str> = dropped.split(", ").collect();
    let (last, shown) = names.split_last().expect("names");
    let more: usize = last
        .strip_prefix("and ")
        .and_then(|end| end.strip_suffix(" more"))
        .expect("an end")
        .parse()
        .expect("a number");
    assert_eq!(shown.len() + more, 3000, "{dropped}");
    assert!(shown.iter().all(|name| name.starts_with("field")));
}
