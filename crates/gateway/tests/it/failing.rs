//! A provider that fails in one way, below HTTP or in it, and otherwise answers as `OpenAI` does.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its runtime, and what it spawned with it"
)]

use std::future::pending;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What it answers, where it does.
pub(crate) const TEXT: &str = "one two three four five six ";

/// A way to fail.
#[derive(Copy, Clone, Debug)]
pub(crate) enum How {
    /// Something else is at that port.
    NotHttp,
    /// Closes the connection, so that what is on the way is lost, once it was asked.
    Reset,
    /// The same behind half of the answer.
    ResetInTheMidst,
    /// Never answers.
    Silent,
    /// Says nothing more behind half of the answer.
    SilentInTheMidst,
    /// Answers with an error, and when to come back.
    Status(u16),
    /// Answers well, with something that cannot be read.
    NotJson,
    /// The same in the middle of an answer that goes on to its end.
    GarbageInTheMidst,
    /// Waits so long before each part of its answer.
    Slow(Duration),
    /// Says that it works on its answer, and then why there is none.
    Busy,
    /// Says for eleven seconds that it works on its answer, and then nothing more.
    Thinking,
}

/// How a provider says so.
pub(crate) const ALIVE: &str = ": keep-alive\n\n";

pub(crate) struct Failing {
    /// With the version, as `OpenAI`'s is.
    pub(crate) url: String,
}

impl Failing {
    pub(crate) async fn start(how: How) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, how));
            }
        });
        Self { url }
    }
}

/// One request on a connection.
async fn serve(mut stream: TcpStream, how: How) -> Option<()> {
    if matches!(how, How::NotHttp) {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.ok()?;
        // Until the other side has had enough.
        while stream.read(&mut [0; 1024]).await.ok()? > 0 {}
        return None;
    }
    let asked = request(&mut stream).await?;
    let (head, parts) = answer(how, &asked);
    match how {
        How::Reset => return reset(&stream),
        How::Silent => pending().await,
        _ => stream.write_all(head.as_bytes()).await.ok()?,
    }
    for (number, part) in parts.iter().enumerate() {
        match how {
            How::ResetInTheMidst if number == parts.len() / 2 => return reset(&stream),
            How::SilentInTheMidst if number == parts.len() / 2 => pending().await,
            How::Slow(pause) => tokio::time::sleep(pause).await,
            How::Thinking => tokio::time::sleep(Duration::from_millis(500)).await,
            _ => {}
        }
        stream.write_all(part.as_bytes()).await.ok()?;
    }
    stream.shutdown().await.ok()
}

/// Reads the request on a connection: its body.
async fn request(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length?.trim().parse().ok()?;
        if bytes.len() >= at + 4 + length {
            return serde_json::from_slice(&bytes[at + 4..]).ok();
        }
    }
}

/// Closes a connection without a goodbye.
fn reset(stream: &TcpStream) -> Option<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok()
}

/// The head and the parts of the answer.
fn answer(how: How, asked: &Value) -> (String, Vec<String>) {
    let (status, kind, mut parts) = match how {
        How::Status(status) => {
            let error = json!({ "error": {
                "message": "Not now.", "type": "server_error", "param": null, "code": null } });
            (status, "application/json", vec![error.to_string()])
        }
        How::Busy => {
            let error = json!({ "error": { "message": "Busy.", "type": "server_error" } });
            (200, "text/event-stream", vec![ALIVE.to_owned(), format!("data: {error}\n\n")])
        }
        How::Thinking => (200, "text/event-stream", vec![ALIVE.to_owned(); 22]),
        How::NotJson => (200, "text/html", vec!["<html>It works!</html>".to_owned()]),
        _ if asked["stream"] == true => (200, "text/event-stream", events(asked)),
        _ => (200, "application/json", whole(asked)),
    };
    if matches!(how, How::GarbageInTheMidst) {
        let middle = parts.len() / 2;
        parts[middle] = String::from("data: }}}} what is this?\n\n");
    }
    let length: usize = parts.iter().map(String::len).sum();
    let retry = if status == 429 { "retry-after: 7\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} Anything\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{retry}\
         connection: close\r\n\r\n"
    );
    (head, parts)
}

fn usage() -> Value {
    json!({ "prompt_tokens": 8, "completion_tokens": 6, "total_tokens": 14 })
}

/// An answer that comes whole, in parts.
fn whole(asked: &Value) -> Vec<String> {
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"],
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": TEXT },
                      "finish_reason": "stop" }],
        "usage": usage(),
    });
    let text = answer.to_string();
    let part = text.len().div_ceil(6);
    text.as_bytes().chunks(part).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// A word in each event, and what ends a stream.
fn events(asked: &Value) -> Vec<String> {
    let event = |choices: Value, usage: Value| {
        let event = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
            "model": asked["model"], "choices": choices, "usage": usage,
        });
        format!("data: {event}\n\n")
    };
    let word = |word: &str| {
        let delta = json!({ "role": "assistant", "content": word });
        event(json!([{ "index": 0, "delta": delta, "finish_reason": null }]), Value::Null)
    };
    let mut events: Vec<String> = TEXT.split_inclusive(' ').map(word).collect();
    let end = json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]);
    events.push(event(end, Value::Null));
    events.push(event(json!([]), usage()) + "data: [DONE]\n\n");
    events
}
