//! Requests with an `Idempotency-Key`: one answer and one charge, however often and wherever they are sent.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its runtime, and what it spawned with it"
)]

use std::time::{Duration, Instant};

use ledger::Outcome;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::app::{App, Start, USER};
use crate::books::Books;
use crate::cable::Cable;
use crate::chat::{MODELS, say};
use crate::speak::{Client, Told};

const HEADER: &str = "idempotency-key";
const REPLAYED: &str = "x-tollgate-replayed";
/// Everything that an answer says of itself, and that stays.
const SAME: [&str; 8] = [
    "content-type",
    "x-request-id",
    "request-id",
    "x-tollgate-cost",
    "x-tollgate-dropped",
    "trailer",
    "cache-control",
    "x-accel-buffering",
];

/// A request that can be sent again.
struct Ask {
    client: Client,
    model: &'static str,
    stream: bool,
    body: Value,
}

impl Ask {
    fn new(client: Client, at: usize, message: &str, stream: bool) -> Self {
        let (provider, model) = MODELS[at % MODELS.len()];
        let body = client.ask(provider, model, message, stream);
        Self { client, model, stream, body }
    }

    fn request(&self, app: &App, key: &str) -> RequestBuilder {
        self.client.send(app, self.model, &self.body, self.stream).header(HEADER, key)
    }

    async fn told(&self, app: &App, key: &str) -> Told {
        Told::of(self.client, self.request(app, key)).await
    }

    /// Asks until the first request with the key has ended.
    async fn after_the_first(&self, app: &App, key: &str) -> Told {
        let start = Instant::now();
        loop {
            let told = self.told(app, key).await;
            if told.status != 409 {
                return told;
            }
            assert_eq!(told.header("retry-after"), "1", "{}", told.raw);
            assert!(start.elapsed() < Duration::from_secs(20), "{}", told.raw);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Every client, whole and streamed, with a model of its own provider and of others.
fn asks() -> Vec<Ask> {
    let all = Client::ALL.into_iter().enumerate();
    all.flat_map(|(at, client)| {
        [(0, false), (1, true), (2, false), (3, true)]
            .map(|(more, stream)| Ask::new(client, at + more, "Once", stream))
    })
    .collect()
}

fn is_replay(told: &Told) -> bool {
    told.header(REPLAYED) == "true"
}

fn assert_same(first: &Told, again: &Told, at: &str) {
    assert_eq!((first.status, again.status), (200, 200), "{at}: {} {}", first.raw, again.raw);
    assert!(!is_replay(first) && is_replay(again), "{at}");
    assert!(!first.broke && !again.broke, "{at}");
    assert!(!first.raw.is_empty(), "{at}");
    assert_eq!(first.raw, again.raw, "{at}");
    for name in SAME {
        assert_eq!(first.header(name), again.header(name), "{at}: {name}");
    }
    assert!(!first.header("x-request-id").is_empty(), "{at}");
}

#[tokio::test]
async fn a_retry_gets_the_first_answer() {
    retries(Books::sqlite()).await;
}

#[tokio::test]
async fn a_retry_gets_the_first_answer_on_postgres() {
    if let Some(books) = Books::postgres("retries").await {
        retries(books).await;
    }
}

async fn retries(books: Books) {
    let mut app = App::start_on(books, Start::default()).await;
    let asks = asks();
    let mut firsts = Vec::new();
    for (index, ask) in asks.iter().enumerate() {
        let (key, at) = (format!("key-{index}"), format!("{:?} × {}", ask.client, ask.model));
        let first = ask.told(&app, &key).await;
        assert_same(&first, &ask.after_the_first(&app, &key).await, &at);
        if ask.stream {
            assert!(first.has_ended(), "{at}: {}", first.raw);
        } else {
            assert!(!first.header("x-tollgate-cost").is_empty(), "{at}");
        }
        firsts.push((key, at, first));
    }
    // Whatever becomes of the process: what was kept is in the books.
    app.kill().await;
    app.restart().await;
    for (ask, (key, at, first)) in asks.iter().zip(&firsts) {
        assert_same(first, &ask.told(&app, key).await, at);
    }
    assert_eq!(app.simulator.count(), asks.len() as u64, "nothing was sent twice");
    let receipts = app.finish().await;
    app.books.remove().await;
    assert_eq!(receipts.len(), asks.len(), "nothing was charged twice");
    for (_, at, first) in &firsts {
        let named =
            receipts.iter().find(|r| r.request_id.to_string() == first.header("request-id"));
        assert_eq!(named.map(|receipt| receipt.outcome), Some(Outcome::Ok), "{at}");
    }
}

#[tokio::test]
async fn embeddings_are_kept_and_counts_are_not() {
    let app = App::start().await;
    let body = json!({ "model": "text-embedding-3-small", "input": "One axle." });
    let embed = || app.request(Method::POST, "/v1/embeddings").json(&body);
    let ask = || embed().bearer_auth(&app.key).header(HEADER, "embed");
    let first = Told::of(Client::Chat, ask()).await;
    assert_same(&first, &Told::of(Client::Chat, ask()).await, "embeddings");
    assert_eq!(app.simulator.count(), 1);

    let body = Client::Messages.ask("anthropic", MODELS[1].1, "How many?", false);
    for _ in 0..2 {
        let count = app.request(Method::POST, "/v1/messages/count_tokens").json(&body);
        let count = Client::Messages.credential(count, &app.key).header(HEADER, "not looked at");
        let told = Told::of(Client::Messages, count).await;
        assert_eq!((told.status, is_replay(&told)), (200, false), "{}", told.raw);
    }
    assert_eq!(app.simulator.count(), 3);
    assert_eq!(app.close().await.len(), 1);
}

/// The bytes of an answer as they come, up to the end of the connection.
async fn raw(app: &App, ask: &Ask, key: &str) -> String {
    let address = app.url.trim_start_matches("http://");
    let body = ask.body.to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\nte: trailers\r\n\
         {HEADER}: {key}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        ask.client.path(ask.model, ask.stream),
        app.key,
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    text
}

#[tokio::test]
async fn a_stream_has_its_cost_again() {
    let app = App::start().await;
    let ask = Ask::new(Client::Chat, 0, "What does it cost?", true);
    let trailer = |raw: &str| {
        let last = raw.rsplit_once("\r\n0\r\n");
        let (_, trailer) = last.unwrap_or_else(|| panic!("no last chunk: {raw}"));
        trailer.trim().to_owned()
    };
    let first = trailer(&raw(&app, &ask, "cost").await);
    let again = raw(&app, &ask, "cost").await;
    assert!(again.contains("\r\nx-tollgate-replayed: true\r\n"), "{again}");
    assert_eq!(trailer(&again), first);
    let charge = app.close().await[0].charge;
    assert_eq!(first, format!("x-tollgate-cost: {charge}"));
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_api_key() {
    let app = App::start().await;
    for (index, ask) in asks().iter().enumerate() {
        let (key, at) = (format!("key-{index}"), format!("{:?} × {}", ask.client, ask.model));
        assert_eq!(ask.told(&app, &key).await.status, 200, "{at}");
        let mut other = ask.body.clone();
        other["temperature"] = 1.into();
        let other = Ask { body: other, client: ask.client, model: ask.model, stream: ask.stream };
        let told = other.told(&app, &key).await;
        assert_eq!(told.status, 422, "{at}: {}", told.raw);
        assert!(crate::cuts::is_error(ask.client, &told.body()), "{at}: {}", told.raw);
        assert!(told.raw.contains("new key"), "{at}: {}", told.raw);
        assert_eq!(told.header("x-should-retry"), "false", "{at}");
    }
    // The same body at another path is another request.
    let (ask, sent) = (Ask::new(Client::Chat, 0, "Once", false), app.simulator.count());
    assert_eq!(ask.told(&app, "path").await.status, 200);
    let elsewhere = Ask { client: Client::RouterChat, ..ask };
    assert_eq!(elsewhere.told(&app, "path").await.status, 422);

    let theirs = app.books.cli(&["key", "create", "--user", USER]).await;
    let start = Instant::now();
    let told = loop {
        let ask = app.request(Method::POST, "/v1/chat/completions").json(&elsewhere.body);
        let told = Told::of(Client::Chat, ask.bearer_auth(&theirs).header(HEADER, "path")).await;
        // Until the program has heard of the key.
        if told.status != 401 || start.elapsed() > Duration::from_secs(10) {
            break told;
        }
    };
    assert_eq!((told.status, is_replay(&told)), (200, false), "{}", told.raw);
    assert_eq!(app.simulator.count(), sent + 2);
    app.close().await;
}

#[tokio::test]
async fn a_key_that_is_none_is_named() {
    let app = App::start().await;
    for client in Client::ALL {
        let ask = Ask::new(client, 0, "Hello", false);
        for key in ["", "two words", "\u{e9}", &"a".repeat(256)] {
            let told = ask.told(&app, key).await;
            assert_eq!(told.status, 400, "{client:?} {key:?}: {}", told.raw);
            assert!(crate::cuts::is_error(client, &told.body()), "{client:?}: {}", told.raw);
            assert!(told.raw.contains(HEADER), "{client:?}: {}", told.raw);
        }
    }
    assert_eq!(app.simulator.count(), 0);
    let longest = Ask::new(Client::Chat, 0, "Hello", false).told(&app, &"a".repeat(255)).await;
    assert_eq!(longest.status, 200, "{}", longest.raw);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_runs() {
    let app = App::start().await;
    for (index, stream) in [false, true].into_iter().enumerate() {
        let ask = Ask::new(Client::Chat, 0, "Only once", stream);
        let key = format!("at once {index}").replace(' ', "-");
        app.simulator.push_fault("delay:300".parse().expect("a fault"));
        let mut all = JoinSet::new();
        for _ in 0..8 {
            all.spawn(Told::of(Client::Chat, ask.request(&app, &key)));
        }
        let mut ran = Vec::new();
        for told in all.join_all().await {
            match told.status {
                200 => ran.push(told),
                409 => {
                    assert!(told.header("retry-after") == "1", "{}", told.raw);
                    assert_eq!(told.header("x-should-retry"), "true", "{}", told.raw);
                    assert_eq!(told.body()["error"]["code"], "idempotency_key_in_use");
                }
                _ => panic!("{}: {}", told.status, told.raw),
            }
        }
        ran.sort_by_key(is_replay);
        assert_eq!(ran.iter().filter(|told| !is_replay(told)).count(), 1);
        assert_same(&ran[0], &ask.after_the_first(&app, &key).await, "after all");
        assert_eq!(app.simulator.count(), index as u64 + 1);
    }
    assert_eq!(app.close().await.len(), 2);
}

/// Whoever hangs up gets the whole answer when it asks again, and pays once.
#[tokio::test]
async fn hanging_up_and_asking_again() {
    let app = App::start().await;
    let words: Vec<_> = (0..40).map(|number| format!("word {number}")).collect();
    let words = format!("say:{}", words.join(", "));
    let mut asked = 0;
    for (at, (client, stream)) in [
        (Client::Chat, false),
        (Client::Chat, true),
        (Client::Messages, true),
        (Client::Gemini, false),
        (Client::Gemini, true),
        (Client::Native, true),
    ]
    .into_iter()
    .enumerate()
    {
        for more in 0..2 {
            let ask = Ask::new(client, at + more, &words, stream);
            let key = format!("key-{asked}");
            asked += 1;
            // A stream is left in the middle, anything else before its head.
            let fault = if stream { "slow:8" } else { "delay:200" };
            app.simulator.push_fault(fault.parse().expect("a fault"));
            let first = tokio::spawn(ask.request(&app, &key).send());
            if stream {
                let mut first = first.await.expect("a task").expect("a head");
                assert!(first.chunk().await.expect("bytes").is_some());
                drop(first);
            } else {
                while app.simulator.count() < asked {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                first.abort();
            }
            let again = ask.after_the_first(&app, &key).await;
            assert_eq!((again.status, is_replay(&again)), (200, true), "{}", again.raw);
            assert!(again.raw.contains("39"), "{}", again.raw);
            assert!(!stream || again.has_ended(), "{}", again.raw);
            assert_eq!(app.simulator.count(), asked, "{client:?}");
        }
    }
    assert_eq!(app.simulator.aborted(), 0, "a stream was cancelled");
    let receipts = app.close().await;
    assert_eq!(receipts.len() as u64, asked);
    assert!(receipts.iter().all(|receipt| receipt.outcome == Outcome::Ok));
}

/// What failed is no answer: the same request runs anew, also where another was meant.
#[tokio::test]
async fn what_failed_runs_anew() {
    let app = App::start().await;
    let mut asked = 0;
    for (stream, fault) in [
        (false, "status:500"),
        (false, "status:400"),
        (false, "429:1"),
        (false, "garbage"),
        (true, "status:503"),
    ] {
        for client in [Client::Chat, Client::Messages, Client::Gemini] {
            let (ask, key) = (Ask::new(client, 0, "Again", stream), format!("key-{asked}"));
            app.simulator.push_fault(fault.parse().expect("a fault"));
            let first = ask.told(&app, &key).await;
            let failed = first.status != 200 || first.broke || first.failure().is_some();
            assert!(failed, "{client:?}, {fault}: {}", first.raw);
            let again = ask.told(&app, &key).await;
            let at = format!("{client:?}, {fault}: {}", again.raw);
            assert_eq!((again.status, is_replay(&again), again.broke), (200, false, false), "{at}");
            assert!(again.failure().is_none(), "{at}");
            assert_same(&again, &ask.after_the_first(&app, &key).await, &at);
            asked += 2;
            assert_eq!(app.simulator.count(), asked, "{at}");
        }
    }
    // Nothing was sent for this one.
    let unknown = Ask { model: "gpt-none", ..Ask::new(Client::Gemini, 0, "Hello", false) };
    assert_eq!(unknown.told(&app, "unknown").await.status, 404);
    let known = Ask::new(Client::Gemini, 0, "Hello", false);
    assert_eq!(known.after_the_first(&app, "unknown").await.status, 200);
    app.close().await;
}

/// A stream that broke off was paid for as far as it came: that is the answer, as often as it is asked for.
#[tokio::test]
async fn a_stream_that_broke_off_is_paid_once() {
    let app = App::start().await;
    let mut asked = 0;
    for fault in ["cut:4", "error:4", "unterminated"] {
        for client in [Client::Chat, Client::Messages, Client::Gemini] {
            let (ask, key) = (Ask::new(client, 0, "Again", true), format!("key-{asked}"));
            app.simulator.push_fault(fault.parse().expect("a fault"));
            let first = ask.told(&app, &key).await;
            assert!(first.broke || first.failure().is_some(), "{client:?}, {fault}: {}", first.raw);
            let again = ask.after_the_first(&app, &key).await;
            let at = format!("{client:?}, {fault}: {}", again.raw);
            assert_eq!((again.status, is_replay(&again)), (200, true), "{at}");
            assert_eq!((&again.raw, again.failure()), (&first.raw, first.failure()), "{at}");
            for name in SAME {
                assert_eq!(first.header(name), again.header(name), "{at}: {name}");
            }
            asked += 1;
            assert_eq!(app.simulator.count(), asked, "{at}");
        }
    }
    let receipts = app.close().await;
    assert_eq!(receipts.len() as u64, asked);
    let is_charged = |receipt: &ledger::Receipt| {
        receipt.charge > ledger::Usd::ZERO && receipt.outcome == Outcome::UpstreamFailed
    };
    assert!(receipts.iter().all(is_charged), "{receipts:?}");
}

#[tokio::test]
async fn an_answer_that_is_too_large() {
    let app = App::start().await;
    let text = "large ".repeat(800_000);
    let ask = Ask::new(Client::Chat, 0, &format!("say:{text}"), false);
    let first = ask.told(&app, "large").await;
    assert!(first.status == 200 && first.raw.len() > 4 * 1024 * 1024, "{}", first.status);
    let again = ask.told(&app, "large").await;
    assert_eq!(again.status, 409, "{}", again.raw.len());
    assert_eq!(again.body()["error"]["code"], "idempotency_result_too_large");
    assert!(again.raw.contains(first.header("x-request-id")), "{}", again.raw);
    assert_eq!((again.header("x-should-retry"), again.header("retry-after")), ("false", ""));
    assert_eq!(app.simulator.count(), 1);
    app.close().await;
}

/// A process that dies takes its claims with it, but not what was charged.
#[tokio::test]
async fn a_crash() {
    let mut app = App::start().await;
    let ask = Ask::new(Client::Chat, 0, "Still there?", false);
    app.simulator.push_fault("hang".parse().expect("a fault"));
    let first = tokio::spawn(ask.request(&app, "crash").send());
    while app.simulator.count() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ask.told(&app, "crash").await.status, 409);
    app.kill().await;
    assert!(first.await.expect("a task").is_err());
    app.restart().await;
    let anew = ask.told(&app, "crash").await;
    assert_eq!((anew.status, is_replay(&anew)), (200, false), "{}", anew.raw);
    assert_same(&anew, &ask.told(&app, "crash").await, "after the crash");
    assert_eq!(app.simulator.count(), 2);

    // As if it had died between the receipt and the result.
    app.kill().await;
    let lose = "UPDATE tollgate.idempotency SET state = 'running', status = NULL, streamed = NULL, \
                content_type = NULL, cost = NULL, body = NULL, held_until = 9000000000000000";
    app.books.shell(lose).await;
    app.restart().await;
    let lost = ask.told(&app, "crash").await;
    assert_eq!(lost.status, 409, "{}", lost.raw);
    assert_eq!(lost.body()["error"]["code"], "idempotency_result_lost");
    assert!(lost.raw.contains(anew.header("x-request-id")), "{}", lost.raw);
    assert_eq!(app.simulator.count(), 2);

    // A day later the key is as good as new.
    app.books.shell("UPDATE tollgate.idempotency SET expires_at = 1").await;
    let new = ask.told(&app, "crash").await;
    assert_eq!((new.status, is_replay(&new)), (200, false), "{}", new.raw);
    assert_eq!(app.simulator.count(), 3);
    let answered = app.close().await;
    assert_eq!(answered.iter().filter(|receipt| receipt.outcome == Outcome::Ok).count(), 2);
}

/// What a client has of a stream when the process dies is paid, and so its key does not buy it a second time.
#[tokio::test]
async fn a_crash_in_a_stream_is_paid_once() {
    let mut app = App::start().await;
    let ask = Ask::new(Client::Chat, 0, "Tell me", true);
    app.simulator.push_fault("hang:4".parse().expect("a fault"));
    let mut first = ask.request(&app, "crash").send().await.expect("a stream");
    let id = first.headers()["x-request-id"].to_str().expect("an id").to_owned();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(r#""content":"#) {
        seen.extend(first.chunk().await.expect("a chunk").expect("more of it"));
    }
    app.kill().await;
    app.restart().await;
    let lost = ask.told(&app, "crash").await;
    assert_eq!((lost.status, lost.header("x-should-retry")), (409, "false"), "{}", lost.raw);
    assert_eq!(lost.body()["error"]["code"], "idempotency_result_lost");
    assert!(lost.raw.contains(&id), "{}", lost.raw);
    assert_eq!(ask.told(&app, "another").await.status, 200);
    assert_eq!(app.simulator.count(), 2);
    let receipts = app.close().await;
    let crashed = receipts.iter().find(|receipt| receipt.outcome == Outcome::Crashed);
    assert!(crashed.is_some_and(|receipt| receipt.charge > ledger::Usd::ZERO), "{receipts:?}");
    assert_eq!(receipts.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_postgres() {
    let Some(books) = Books::postgres("claims").await else { return };
    let mut app = App::start_on(books, Start::default()).await;
    let (other, url) = app.another().await;
    let body = say("openai", "gpt-4o", "Only once");
    let ask = |base: &str, key: &str| {
        let chat = app.client.post(format!("{base}/api/layers/chat")).header("user", USER);
        let chat = chat.header("api-key", &app.key).header(HEADER, key).json(&body);
        Told::of(Client::Native, chat)
    };
    for round in 0..10 {
        let key = format!("round-{round}");
        app.simulator.push_fault("delay:50".parse().expect("a fault"));
        let mut all = JoinSet::new();
        for number in 0..8 {
            all.spawn(ask(if number % 2 == 0 { &app.url } else { &url }, &key));
        }
        let told = all.join_all().await;
        let ran = told.iter().filter(|told| told.status == 200 && !is_replay(told)).count();
        assert_eq!(ran, 1, "{told:?}");
        let (here, there) = (ask(&app.url, &key).await, ask(&url, &key).await);
        assert!(is_replay(&here) && is_replay(&there), "{here:?} {there:?}");
        assert_eq!(here.raw, there.raw);
        assert_eq!(app.simulator.count(), round + 1);
    }
    what_the_other_held(&app, other, &url, &body).await;
    let receipts = app.finish().await;
    assert_eq!(receipts.iter().filter(|receipt| receipt.outcome == Outcome::Ok).count(), 11);
    let crashed = receipts.iter().filter(|receipt| receipt.outcome == Outcome::Crashed);
    assert_eq!(crashed.filter(|receipt| receipt.charge > ledger::Usd::ZERO).count(), 1);
    app.books.remove().await;
}

/// What a replica held when it died is held until it is settled, by its next run or by whoever reads the books there: then a retry
/// is told what was charged, or runs.
async fn what_the_other_held(app: &App, mut other: tokio::process::Child, url: &str, body: &Value) {
    let ask = |base: &str, key: &str, stream: bool| {
        let mut body = body.clone();
        body["stream"] = stream.into();
        let chat = app.client.post(format!("{base}/api/layers/chat")).header("user", USER);
        chat.header("api-key", &app.key).header(HEADER, key).json(&body)
    };
    for (fault, stream) in [("hang", false), ("hang:4", true)] {
        app.simulator.push_fault(fault.parse().expect("a fault"));
        let asked = app.simulator.count();
        let first = tokio::spawn(ask(url, fault, stream).send());
        while app.simulator.count() == asked {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if stream {
            let mut first = first.await.expect("a task").expect("a stream");
            assert!(first.chunk().await.expect("bytes").is_some());
        }
    }
    let told = async |key, stream| Told::of(Client::Native, ask(&app.url, key, stream)).await;
    other.kill().await.expect("the process dies");
    for (key, stream) in [("hang", false), ("hang:4", true)] {
        let told = told(key, stream).await;
        assert_eq!(told.header("x-should-retry"), "true", "{}", told.raw);
        assert!(told.status == 409 && told.raw.contains("still runs"), "{}", told.raw);
    }
    app.books.cli(&["usage"]).await;
    let anew = told("hang", false).await;
    assert_eq!((anew.status, is_replay(&anew)), (200, false), "{}", anew.raw);
    let lost = told("hang:4", true).await;
    assert_eq!((lost.status, lost.header("x-should-retry")), (409, "false"), "{}", lost.raw);
    assert!(lost.raw.contains("answered and charged as"), "{}", lost.raw);
}

/// Without the books nobody can know whether it was asked before: nothing is sent. Who has no key needs no books.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_database_nothing_is_sent() {
    let Some(books) = Books::postgres("keyless").await else { return };
    let (cable, url) = Cable::to(&books);
    let mut app = App::start_on(books, Start::default().set("DATABASE_URL", url)).await;
    let ask = Ask::new(Client::Chat, 0, "Hello", false);
    let first = ask.told(&app, "one").await;
    cable.cut();
    for key in ["one", "two"] {
        let told = ask.told(&app, key).await;
        assert_eq!((told.status, told.header("x-should-retry")), (503, "true"), "{}", told.raw);
    }
    assert_eq!(app.simulator.count(), 1);
    let without = ask.client.send(&app, ask.model, &ask.body, false);
    assert_eq!(Told::of(Client::Chat, without).await.status, 200);
    app.kill().await;
    assert_eq!(app.books.receipts().await.len(), 2);
    assert_eq!(first.status, 200);
    app.books.remove().await;
}
