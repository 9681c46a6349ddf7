//! A provider that says what a test tells it to, answer by answer, and remembers what it was asked.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its runtime, and what it spawned with it"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One answer, as bytes after the status line and the headers.
#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) head: String,
    pub(crate) body: String,
    /// How often the body is sent.
    pub(crate) times: usize,
}

impl Scripted {
    /// A stream of these events, whole.
    pub(crate) fn events(events: &[Value]) -> Self {
        let body = events
            .iter()
            .map(|event| format!("data: {event}\r\n\r\n"))
            .collect::<Vec<_>>()
            .concat();
        Self { head: "content-type: text/event-stream".to_owned(), body, times: 1 }
    }
}

/// What the provider was asked, and how far its answers came.
#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Scripted>>,
    asked: Mutex<Vec<Value>>,
    sent: Mutex<usize>,
}

pub(crate) struct Provider {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Provider {
    pub(crate) async fn start(script: impl IntoIterator<Item = Scripted>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into_iter().collect()),
            ..Shared::default()
        });
        let state = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        Self { url, shared }
    }

    /// What to say from now on, in place of what was left to say.
    pub(crate) fn say(&self, script: impl IntoIterator<Item = Scripted>) {
        *self.shared.script.lock().expect("whole") = script.into_iter().collect();
    }

    /// Bytes of bodies that the connections have taken so far.
    pub(crate) fn sent(&self) -> usize {
        *self.shared.sent.lock().expect("whole")
    }

    /// What it was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.shared.asked.lock().expect("whole"))
    }
}

/// One request on a connection, which then closes.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut bytes = Vec::new();
    let body = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |text| text.trim().parse().expect("a number"));
            while bytes.len() < at + 4 + length {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            break serde_json::from_slice(&bytes[at + 4..]).expect("JSON");
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    shared.asked.lock().expect("whole").push(body);
    let next = shared.script.lock().expect("whole").pop_front();
    let Some(next) = next else { return };
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\nconnection: close\r\n\r\n", next.head);
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    for _ in 0..next.times {
        if stream.write_all(next.body.as_bytes()).await.is_err() {
            return;
        }
        *shared.sent.lock().expect("whole") += next.body.len();
    }
    drop(stream.shutdown().await);
    // Until the other side has read it all.
    let mut rest = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await);
}
