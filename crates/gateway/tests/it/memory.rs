//! How much memory streams take: many slow ones, and ones that nobody reads.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{CannedStream, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::app::{App, Start};
use crate::scripted::{Provider, Scripted};
use crate::speak::Client;

const MODEL: &str = "gpt-4o";

/// What a stream may take beside the memory of the kernel's sockets: a connection to a client, with a buffer of 8 KiB for either
/// direction, is most of it.
const PER_STREAM_KIB: u64 = 40;
/// What all of it may take with a thousand of them.
const ALL_KIB: u64 = 60 * 1024;
/// What may wait in the program for a client that does not read.
const WAITING_KIB: u64 = 256;

/// A connection of its own that has asked for a stream, and has the head of the answer and the first bytes.
async fn begin(app: &App, client: Client) -> TcpStream {
    let body = client.ask("openai", MODEL, "Go on.", true).to_string();
    let address = app.url.trim_start_matches("http://");
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        client.path(MODEL, true),
        app.key,
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut first = [0; 1_024];
    let count = stream.read(&mut first).await.expect("an answer");
    let head = String::from_utf8_lossy(&first[..count]);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_slow_streams() {
    let count = if std::env::var_os("TOLLGATE_TEST_RELEASE").is_some() { 1_000 } else { 200 };
    let slow = CannedStream { events: 1_000, gap: Duration::from_millis(200) };
    for client in [Client::Chat, Client::Messages] {
        let start = Start { simulator: Simulator::new().canned_stream(slow), ..Start::default() };
        let app = App::start_with(start).await;
        // What the first ones take is there for all that follow.
        let mut warm = Vec::new();
        for _ in 0..20 {
            warm.push(begin(&app, client).await);
        }
        let before = app.memory_kib();
        let mut streams = Vec::new();
        while streams.len() + warm.len() < count {
            streams.push(begin(&app, client).await);
        }
        // A few events of each.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = app.memory_kib();
        let each = now.saturating_sub(before) / streams.len() as u64;
        println!(
            "{client:?}: {before} KiB before, {now} KiB with {count} streams: {each} KiB each"
        );
        assert!(each < PER_STREAM_KIB, "{each} KiB a stream");
        if count == 1_000 {
            assert!(now < ALL_KIB, "{now} KiB in all");
        }
        drop((warm, streams));
        app.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads() {
    // Many, so that what all of them share, such as a page of the allocator, is little of each.
    const STREAMS: u64 = 32;
    const WARM: usize = 4;
    const SIZE: usize = 64 * 1024 * 1024;
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [{ "index": 0, "delta": { "content": "x".repeat(16 * 1024) }, "finish_reason": null }],
    });
    let event = format!("data: {chunk}\n\n");
    let times = SIZE / event.len();
    let endless =
        Scripted { head: "content-type: text/event-stream".to_owned(), body: event, times };
    let provider = Provider::start([]).await;
    let app = App::start_with(Start::default().set("OPENAI_BASE_URL", provider.url.clone())).await;
    for client in [Client::Chat, Client::Messages] {
        let taken_before = provider.sent();
        provider.say((0..WARM).map(|_| endless.clone()));
        let mut open = Vec::new();
        for _ in 0..WARM {
            open.push(begin(&app, client).await);
        }
        until_still(&provider).await;
        let before = app.memory_kib();
        provider.say((0..STREAMS).map(|_| endless.clone()));
        let mut streams = JoinSet::new();
        for _ in 0..STREAMS {
            open.push(begin(&app, client).await);
        }
        until_still(&provider).await;
        let now = app.memory_kib();
        let each = now.saturating_sub(before) / STREAMS;
        println!(
            "{client:?}: {before} KiB before, {now} KiB with {STREAMS} streams: {each} KiB each"
        );
        assert!(each < WAITING_KIB, "{each} KiB wait in each stream");
        // What the sockets of both sides hold is the kernel's; the rest was not sent.
        let each = (provider.sent() - taken_before) / open.len();
        assert!(each < SIZE / 2, "{each} bytes of each were taken");
        // One that is read then comes whole.
        let mut read = open.pop().expect("a stream");
        streams.spawn(async move {
            let (mut total, mut buffer) = (0, vec![0; 256 * 1024]);
            while let Ok(count @ 1..) = read.read(&mut buffer).await {
                total += count;
                if total > SIZE / 2 {
                    break;
                }
            }
            total
        });
        assert!(streams.join_all().await.iter().all(|total| *total > SIZE / 2));
        drop(open);
    }
    app.close().await;
}

/// Waits until the provider cannot send any more.
async fn until_still(provider: &Provider) {
    let start = Instant::now();
    let mut last = 0;
    let mut still = 0;
    while still < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let sent = provider.sent();
        still = if sent == last && sent > 0 { still + 1 } else { 0 };
        last = sent;
        assert!(start.elapsed() < Duration::from_secs(20), "the provider goes on sending: {sent}");
    }
}
