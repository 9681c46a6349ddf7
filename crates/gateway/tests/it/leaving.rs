//! Clients that hang up, and the program's own clean end.

use std::time::{Duration, Instant};

use ledger::Outcome;
use reqwest::RequestBuilder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::{MODELS, say};

/// Long enough for everything else to happen meanwhile.
const SLOW: &str = "fault:delay:700";

impl App {
    /// Waits until the providers have been asked so often.
    async fn until_asked(&self, times: u64) {
        let start = Instant::now();
        while self.simulator.count() < times {
            assert!(start.elapsed() < Duration::from_secs(10), "nothing was asked");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn h2() -> reqwest::Client {
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build();
    client.expect("a client")
}

/// The provider charges for what it was asked, whoever still waits for the answer.
#[tokio::test]
async fn a_client_that_hangs_up_is_billed() {
    hang_up(Books::sqlite()).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_is_billed_on_postgres() {
    if let Some(books) = Books::postgres("leaving").await {
        hang_up(books).await;
    }
}

async fn hang_up(books: Books) {
    let app = App::start_on(books, Start::default()).await;
    let mut leaving = JoinSet::new();
    for (provider, model) in MODELS {
        let chat = say(provider, model, SLOW);
        leaving.spawn(Answer::of(app.chat(&chat)));
        let over_h2 = h2().post(format!("{}/api/layers/chat", app.url)).header("user", USER);
        leaving.spawn(Answer::of(over_h2.header("api-key", &app.key).json(&chat)));
    }
    app.until_asked(8).await;
    leaving.shutdown().await;
    // The end waits for what is under way, so that nothing has to be waited for here.
    let receipts = app.close().await;
    assert_eq!(receipts.len(), 8);
    for receipt in receipts {
        assert_eq!(receipt.outcome, Outcome::ClientGone, "{receipt:?}");
        assert!(receipt.charge.pico() > 0);
    }
}

/// A request that its client gave up before it was whole has gone nowhere.
#[tokio::test]
async fn half_a_request_costs_nothing() {
    let app = App::start().await;
    let address = app.url.trim_start_matches("http://");
    let chat = say("openai", "gpt-4o", "Hello").to_string();
    let head = format!(
        "POST /api/layers/chat HTTP/1.1\r\nhost: {address}\r\nuser: {USER}\r\napi-key: {}\r\n\
         content-length: {}\r\n\r\n",
        app.key,
        chat.len()
    );
    for body in [&chat[..0], &chat[..10], &chat[..chat.len() - 1]] {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
        // No more will come; the answer, if any, is read to its end.
        stream.shutdown().await.expect("closed");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the end");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(app.simulator.count(), 0);
    assert!(app.close().await.is_empty());
}

#[tokio::test]
async fn answers_under_way_are_finished_at_the_end() {
    for signal in ["TERM", "INT"] {
        let mut app = App::start().await;
        let mut waiting = JoinSet::new();
        for (provider, model) in MODELS {
            let chat = say(provider, model, SLOW);
            waiting.spawn(Answer::of(app.chat(&chat)));
            let over_h2 = h2().post(format!("{}/api/layers/chat", app.url)).header("user", USER);
            waiting.spawn(Answer::of(over_h2.header("api-key", &app.key).json(&chat)));
        }
        app.until_asked(8).await;
        app.signal(signal).await;
        // The door is closed to new ones while the old ones are served.
        let start = Instant::now();
        let refused = loop {
            let late = app.request(reqwest::Method::GET, "/healthz");
            let late = RequestBuilder::send(late.header("connection", "close")).await;
            if late.is_err() || start.elapsed() > Duration::from_secs(10) {
                break late.is_err();
            }
        };
        assert!(refused, "still open after {signal}");
        for answer in waiting.join_all().await {
            assert_eq!(answer.status, 200, "{signal}: {}", answer.body);
        }
        let status = app.ended().await;
        assert_eq!(status.code(), Some(0), "{signal}: {}", app.written_log());
        app.books.audit().await;
        let receipts = app.books.receipts().await;
        assert_eq!(receipts.len(), 8);
        assert!(receipts.iter().all(|receipt| receipt.outcome == Outcome::Ok));
    }
}

/// Connections that nobody uses do not hold the end up.
#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let mut app = App::start().await;
    let address = app.url.trim_start_matches("http://").to_owned();
    let silent = TcpStream::connect(&address).await.expect("a connection");
    app.chatted(&say("openai", "gpt-4o", "Hello")).await;
    let h2 = h2();
    let health = h2.get(format!("{}/healthz", app.url)).send().await.expect("an answer");
    assert_eq!(health.text().await.expect("a body"), "ok\n");
    let start = Instant::now();
    app.signal("TERM").await;
    assert_eq!(app.ended().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop((silent, h2));
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let app = App::start().await;
    let port = app.url.rsplit_once(':').expect("a port").1.to_owned();
    let complaint = app.books.refused(&["serve", "--port", &port]).await;
    assert!(complaint.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{complaint}");
    app.close().await;
}

#[tokio::test]
async fn health_and_readiness() {
    let app = App::start().await;
    for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = Answer::of(app.request(reqwest::Method::GET, path)).await;
        assert_eq!((answer.status, answer.body), (200, body.into()));
    }
    app.close().await;
}
