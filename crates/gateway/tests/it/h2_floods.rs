//! Clients of HTTP/2 that send frames which bring nothing, as fast as they can: each connection ends, whatever it is that
//! is sent, memory stays what it was, and a client that does as it should notices nothing.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its runtime, and what it spawned with it"
)]

use std::time::{Duration, Instant};

use ledger::Outcome;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::app::{App, Start};
use crate::network::until;
use crate::scripted::{Provider, Scripted};
use crate::speak::{Client, Told};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a flood may go on before its connection ends; a fast machine takes a small part of it.
const WITHIN: Duration = Duration::from_secs(30);
/// What the program may take more, in KiB.
const MORE_MEMORY: u64 = 24 * 1024;

const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 99;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    let mut bytes = vec![high, middle, low, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field of a head that is in no table.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).ok().filter(|length| *length < 127);
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(length(text).expect("a short text"));
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "gate")];
    own.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

/// A connection whose other half is read by a task, until it ends.
struct Raw {
    write: OwnedWriteHalf,
    ended: JoinHandle<Vec<u8>>,
}

impl Raw {
    async fn open(app: &App) -> Self {
        let address = app.url.trim_start_matches("http://");
        let (mut read, write) = TcpStream::connect(address).await.expect("open").into_split();
        let ended = tokio::spawn(async move {
            let (mut last, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
            // The end of what was told, which has the reason.
            while let Ok(count @ 1..) = read.read(&mut buffer).await {
                last.extend(&buffer[..count]);
                last.drain(..last.len().saturating_sub(4 * 1024));
            }
            last
        });
        let mut raw = Self { write, ended };
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat();
        raw.write.write_all(&begin).await.expect("sent");
        raw
    }

    /// Sends that over and over until the connection is gone: how often it was, and what was told at the end.
    async fn flood(mut self, mut next: impl FnMut(u32) -> Vec<u8>) -> (u32, String) {
        let (start, mut sent) = (Instant::now(), 0);
        let mut batch = Vec::new();
        while !self.ended.is_finished() {
            assert!(start.elapsed() < WITHIN, "it goes on after {sent}");
            batch.clear();
            for _ in 0..100 {
                batch.extend(next(sent));
                sent += 1;
            }
            match timeout(Duration::from_secs(1), self.write.write_all(&batch)).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(_)) => break,
            }
        }
        let told = timeout(WITHIN, self.ended).await.expect("it ends").expect("what was told");
        (sent, String::from_utf8_lossy(&told).into_owned())
    }
}

/// A request that a client of HTTP/2 makes who does as it should.
async fn good(app: &App) {
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy();
    let client = client.build().expect("a client");
    let body = Client::Chat.ask("openai", "gpt-4o", "Hello", false);
    let ask = client.post(format!("{}/v1/chat/completions", app.url)).bearer_auth(&app.key);
    let start = Instant::now();
    let answer = ask.json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// One kind of flood on a connection by itself; how often it was sent, and what was told at the end.
async fn flooded(app: &App, next: impl FnMut(u32) -> Vec<u8> + Send) -> (u32, String) {
    let before = app.memory_kib();
    let raw = Raw::open(app).await;
    let (flood, ()) = tokio::join!(raw.flood(next), good(app));
    let after = app.memory_kib();
    assert!(after < before + MORE_MEMORY, "{before} KiB, and then {after}");
    flood
}

#[tokio::test]
async fn frames_that_bring_nothing() {
    let app = App::start().await;
    good(&app).await;
    let window = 1_u32.to_be_bytes();
    for (name, bytes) in [
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 7])),
        ("PRIORITY of another", frame(PRIORITY, 0, 12_345, &[0, 0, 0, 3, 7])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &window)),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("SETTINGS with one", frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])),
        ("PING", frame(PING, 0, 0, b"flooding")),
        ("PING that answers none", frame(PING, ACK, 0, b"flooding")),
        ("an unknown one", frame(UNKNOWN, 0, 0, &[])),
        ("an unknown one that is long", frame(UNKNOWN, 0, 0, &[1; 16_384])),
    ] {
        let (sent, told) = flooded(&app, |_| bytes.clone()).await;
        // What waits in sockets was sent too.
        let most = 20_000 + 8 * 1024 * 1024 / u32::try_from(bytes.len()).expect("a length");
        assert!(sent < most, "{name}: {sent} {told}");
    }
    app.close().await;
}

/// Those that h2 itself counts.
#[tokio::test]
async fn heads_that_do_not_end_and_requests_that_are_taken_back() {
    let app = App::start().await;
    good(&app).await;
    let get = head("GET", "/healthz", &[]);
    let (sent, told) = flooded(&app, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &get),
        _ => frame(CONTINUATION, 0, 1, &[]),
    })
    .await;
    assert!(told.contains("too_many_continuations"), "{sent} {told}");
    // A head that grows.
    let more = field("x-more", &"y".repeat(100)).repeat(100);
    let (_, told) = flooded(&app, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &get),
        _ => frame(CONTINUATION, 0, 1, &more),
    })
    .await;
    assert!(told.contains("too_many_continuations"), "{told}");
    let (_, told) = flooded(&app, |number| {
        let stream = number * 2 + 1;
        let ask = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get);
        [ask, frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
    })
    .await;
    assert!(told.contains("too_many_resets"), "{told}");
    // A body of nothing.
    let bearer = format!("Bearer {}", app.key);
    let post = head("POST", "/v1/chat/completions", &[("authorization", &bearer)]);
    let (_, told) = flooded(&app, |number| match number {
        0 => frame(HEADERS, END_HEADERS, 1, &post),
        _ => frame(0, 0, 1, &[]),
    })
    .await;
    assert!(told.contains("too_many_data_frames"), "{told}");
    // One byte at a time.
    let (_, told) = flooded(&app, |number| match number {
        0 => frame(HEADERS, END_HEADERS, 1, &post),
        _ => frame(0, 0, 1, b" "),
    })
    .await;
    assert!(told.contains("too_many_data_frames"), "{told}");
    app.close().await;
}

/// A flood beside a request that is under way ends that too, and it is settled like that of any client that goes.
#[tokio::test]
async fn a_flood_beside_a_request() {
    let app = App::start().await;
    let body = Client::Chat.ask("openai", "gpt-4o", "fault:hang:2\nHello", true).to_string();
    let bearer = format!("Bearer {}", app.key);
    let more = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let ask = frame(HEADERS, END_HEADERS, 1, &head("POST", "/v1/chat/completions", &more));
    let ask = [ask, frame(0, END_STREAM, 1, body.as_bytes())].concat();
    let mut raw = Raw::open(&app).await;
    raw.write.write_all(&ask).await.expect("sent");
    until("the provider is asked", || app.simulator.count() > 0).await;
    let update = frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
    let (_, told) = raw.flood(|_| update.clone()).await;
    let receipts = app.close().await;
    let outcomes: Vec<Outcome> = receipts.iter().map(|receipt| receipt.outcome).collect();
    assert_eq!(outcomes, [Outcome::ClientGone], "{told}");
}

/// A client with small windows tells of each frame that it has read, and more of that than of anything else comes.
#[tokio::test]
async fn a_client_that_reads_in_small_bites() {
    const CHUNKS: usize = 20_000;
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
        "choices": [{ "index": 0, "delta": { "content": "bite" }, "finish_reason": null }],
    });
    let head = "content-type: text/event-stream".to_owned();
    let provider =
        Provider::start([Scripted { head, body: format!("data: {chunk}\n\n"), times: CHUNKS }])
            .await;
    let app = App::start_with(Start::default().set("OPENAI_BASE_URL", provider.url.clone())).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy();
    let client = client.http2_initial_stream_window_size(512).build().expect("a client");
    let body = Client::Chat.ask("openai", "gpt-4o", "Hello", true);
    let ask = client.post(format!("{}/v1/chat/completions", app.url)).bearer_auth(&app.key);
    let told = Told::of(Client::Chat, ask.json(&body)).await;
    assert_eq!((told.status, told.raw.matches("bite").count()), (200, CHUNKS));
    assert_eq!(app.close().await.len(), 1);
}
