//! Answers that come packed, and clients that would take theirs so.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its runtime, and what it spawned with it"
)]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use ledger::Outcome;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::app::{App, Start, are_free};
use crate::speak::{Client, Told};

/// A provider that sends what it is told to, as it is told, on the first connection; the end is the end.
async fn provider() -> (String, mpsc::UnboundedSender<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let (sender, mut said) = mpsc::unbounded_channel::<Vec<u8>>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut asked = Vec::new();
        while !asked.ends_with(b"}") {
            stream.read_buf(&mut asked).await.expect("a request");
        }
        while let Some(bytes) = said.recv().await {
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
        drop(stream.shutdown().await);
        drop(stream.read_to_end(&mut asked).await);
    });
    (url, sender)
}

fn head(status: &str, kind: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

fn chunk(text: &str) -> String {
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
        "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }],
    });
    format!("data: {chunk}\n\n")
}

fn last() -> String {
    let stop = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
        "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }],
    });
    let usage = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [],
        "usage": { "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18 },
    });
    format!("data: {stop}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

fn ask(app: &App, client: Client, stream: bool) -> RequestBuilder {
    client.send(app, "gpt-4o", &client.ask("openai", "gpt-4o", "Hello", stream), stream)
}

/// Each event is there before the next is sent, in the client's dialect, and what was used is known.
#[tokio::test]
async fn a_packed_stream_is_not_held_up() {
    for client in [Client::Chat, Client::Messages] {
        let (url, says) = provider().await;
        let app = App::start_with(Start::default().set("OPENAI_BASE_URL", url)).await;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let mut pack = |text: &str| {
            gzip.write_all(text.as_bytes()).expect("packed");
            gzip.flush().expect("pressed on");
            std::mem::take(gzip.get_mut())
        };
        says.send(head("200 OK", "text/event-stream")).expect("sent");
        says.send(pack(&chunk("word0"))).expect("sent");
        let mut response = ask(&app, client, true).send().await.expect("an answer");
        assert_eq!(response.headers().get("content-encoding"), None);
        let mut text = String::new();
        for number in 1..4 {
            while !text.contains(&format!("word{}", number - 1)) {
                let bytes = response.chunk().await.expect("more").expect("no end");
                text.push_str(std::str::from_utf8(&bytes).expect("text"));
            }
            says.send(pack(&chunk(&format!("word{number}")))).expect("sent");
        }
        says.send(pack(&last())).expect("sent");
        says.send(gzip.finish().expect("whole")).expect("sent");
        drop(says);
        while let Some(bytes) = response.chunk().await.expect("an end") {
            text.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
        assert!(text.contains("word3"), "{client:?}: {text}");
        let receipts = app.close().await;
        assert_eq!((receipts.len(), receipts[0].outcome), (1, Outcome::Ok));
        let usage = receipts[0].report.total();
        assert_eq!((usage.input_tokens(), usage.output_tokens()), (11, 7));
    }
}

#[tokio::test]
async fn a_packed_stream_that_is_cut_is_one_that_broke_off() {
    let (url, says) = provider().await;
    let app = App::start_with(Start::default().set("OPENAI_BASE_URL", url)).await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(chunk("word").as_bytes()).expect("packed");
    gzip.flush().expect("pressed on");
    says.send(head("200 OK", "text/event-stream")).expect("sent");
    says.send(std::mem::take(gzip.get_mut())).expect("sent");
    drop(says);
    let told = Told::of(Client::Chat, ask(&app, Client::Chat, true)).await;
    assert!(told.raw.contains("word") && told.raw.contains("error"), "{}", told.raw);
    assert!(!told.raw.contains("[DONE]"), "{}", told.raw);
    let receipts = app.close().await;
    assert_eq!((receipts.len(), receipts[0].outcome), (1, Outcome::UpstreamFailed));
}

/// An error that comes packed is told in the client's words, like any.
#[tokio::test]
async fn a_packed_error_is_read() {
    for (client, stream) in [(Client::Chat, false), (Client::Messages, true)] {
        let (url, says) = provider().await;
        let app = App::start_with(Start::default().set("OPENAI_BASE_URL", url)).await;
        let error = json!({ "error": { "message": "max_tokens is too large: 9", "type": "invalid_request_error",
                                       "param": "max_tokens", "code": null } });
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(error.to_string().as_bytes()).expect("packed");
        says.send(head("400 Bad Request", "application/json")).expect("sent");
        says.send(gzip.finish().expect("whole")).expect("sent");
        drop(says);
        let told = Told::of(client, ask(&app, client, stream)).await;
        assert_eq!(told.status, 400, "{}", told.raw);
        assert!(told.raw.contains("max_tokens is too large: 9"), "{}", told.raw);
        assert!(are_free(&app.close().await));
    }
}

/// A stream that comes packed in a way that nobody asked for and that is not known is no answer.
#[tokio::test]
async fn a_stream_in_an_unknown_packing() {
    let (url, says) = provider().await;
    let app = App::start_with(Start::default().set("OPENAI_BASE_URL", url)).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: br\r\n\r\n";
    says.send(head.as_bytes().to_vec()).expect("sent");
    says.send(vec![11, 2]).expect("sent");
    drop(says);
    let told = Told::of(Client::Chat, ask(&app, Client::Chat, true)).await;
    assert_eq!(told.status, 502, "{}", told.raw);
    assert!(told.raw.contains("cannot be unpacked"), "{}", told.raw);
    assert!(are_free(&app.close().await));
}

/// Nothing is packed for a client that would take it so: answers are small, streams must not wait, and pages have secrets.
#[tokio::test]
async fn clients_get_answers_as_they_are() {
    let app = App::start().await;
    let packed =
        |request: RequestBuilder| request.header("accept-encoding", "gzip, deflate, br, zstd");
    let plain = |told: &Told| told.header("content-encoding").is_empty();
    for client in Client::ALL {
        for stream in [false, true] {
            let told = Told::of(client, packed(ask(&app, client, stream))).await;
            assert!(told.status == 200 && plain(&told), "{client:?} {stream}: {}", told.raw);
        }
        let nothing = client.ask("openai", "no-such-model", "Hello", false);
        let told = client.send(&app, "no-such-model", &nothing, false);
        let told = Told::of(client, packed(told)).await;
        assert!(told.status >= 400 && plain(&told), "{client:?}: {}", told.raw);
        assert!(serde_json::from_str::<Value>(&told.raw).is_ok(), "{}", told.raw);
    }
    for path in ["/openapi.json", "/api/v1/models", "/sign-in", "/healthz"] {
        let answer = packed(app.request(Method::GET, path)).send().await.expect("an answer");
        assert_eq!(answer.headers().get("content-encoding"), None, "{path}");
        answer.text().await.expect("text");
    }
    app.close().await;
}
