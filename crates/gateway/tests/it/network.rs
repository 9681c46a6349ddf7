//! Clients that take their time or too much: each is let go in its limit, and the others notice nothing.

use std::time::{Duration, Instant};

use ledger::Outcome;
use reqwest::Method;
use rustix::process::setpriority_process;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{self, Handle, Runtime};
use tokio::task::JoinSet;

use crate::app::{Answer, App, Start, USER};
use crate::books::number;
use crate::chat::say;
use crate::cuts::is_error;
use crate::scripted::{Provider, Scripted};
use crate::speak::{Client, Told};

/// How much later than the program a test may begin to count.
const EARLY: Duration = Duration::from_millis(200);
/// What a busy machine may take on top of a limit.
const LATE: Duration = Duration::from_secs(8);
/// Long enough for everything else to happen meanwhile.
const SLOW: &str = "fault:delay:1500";
const OPENAI: &str = "gpt-4o";

fn address(app: &App) -> &str {
    app.url.trim_start_matches("http://")
}

async fn connect(app: &App) -> TcpStream {
    TcpStream::connect(address(app)).await.expect("a connection")
}

/// Everything until the connection ends, however it does.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

fn h2() -> reqwest::ClientBuilder {
    reqwest::Client::builder().http2_prior_knowledge().no_proxy()
}

impl App {
    async fn asked(&self, times: u64) {
        until("the provider is asked", || self.simulator.count() >= times).await;
    }
}

pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whoever says nothing, half a head, or nothing more, is let go when its time is up and not before.
#[tokio::test]
async fn connections_that_wait_for_nothing_are_closed() {
    const HEADER: Duration = Duration::from_secs(1);
    const IDLE: Duration = Duration::from_secs(3);
    let start = Start::default()
        .set("TOLLGATE_HEADER_TIMEOUT_SECONDS", "1")
        .set("TOLLGATE_IDLE_TIMEOUT_SECONDS", "3")
        .set("TOLLGATE_METRICS_ADDR", "127.0.0.1:0");
    let app = App::start_with(start).await;
    let metrics = app.metrics.as_ref().and_then(|url| url.strip_prefix("http://"));
    let (metrics, path) = metrics.and_then(|url| url.split_once('/')).expect("an address");
    let mut waiting = JoinSet::new();
    for (at, path) in [(address(&app), "healthz"), (metrics, path)] {
        let whole = format!("GET /{path} HTTP/1.1\r\nhost: {at}\r\n\r\n");
        let half = &whole[..whole.len() - 2];
        let after = format!("{whole}{half}");
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
        let said: [(&str, Duration, usize); 6] = [
            ("", HEADER, 0),
            (half, HEADER, 0),
            ("PRI * HTTP/2.0\r\n", HEADER, 0),
            (preface, HEADER, 0),
            (&whole, IDLE, 1),
            (&after, HEADER, 1),
        ];
        for (text, limit, answers) in said {
            let stream = TcpStream::connect(at).await.expect("a connection");
            waiting.spawn(ends(stream, text.to_owned(), limit, answers));
        }
    }
    while let Some(done) = waiting.join_next().await {
        done.expect("as it should");
    }
    app.close().await;
}

/// Says that, and waits until the other side has had enough of it: within the limit, after so many answers.
async fn ends(mut stream: TcpStream, text: String, limit: Duration, answers: usize) {
    let begun = Instant::now();
    stream.write_all(text.as_bytes()).await.expect("sent");
    let told = String::from_utf8_lossy(&rest(&mut stream).await).into_owned();
    let took = begun.elapsed();
    assert_eq!(told.matches("HTTP/1.1 200").count(), answers, "{text:?}: {told}");
    assert!(took + EARLY >= limit && took < limit + LATE, "{text:?} after {took:?}");
}

/// A request of HTTP/1.1 says once whom it is for, or it is refused in the form of its path; one of HTTP/1.0 need not say it.
#[tokio::test]
async fn one_host_header_and_no_more() {
    let app = App::start().await;
    let of = |path: &str, more: &str| format!("POST {path}{more}content-length: 2\r\n\r\n{{}}");
    for (path, client) in [
        ("/v1/chat/completions", Client::Chat),
        ("/v1/messages", Client::Messages),
        ("/v1beta/models/gemini-2.5-flash:generateContent", Client::Gemini),
        ("/api/layers/chat", Client::Native),
    ] {
        for (more, status) in [
            (" HTTP/1.1\r\n", 400),
            (" HTTP/1.1\r\nhost: one\r\nhost: two\r\n", 400),
            (" HTTP/1.0\r\nhost: one\r\nhost: one\r\n", 400),
            // Nobody known.
            (" HTTP/1.1\r\nhost:\r\nconnection: close\r\n", 401),
            (" HTTP/1.0\r\n", 401),
        ] {
            let mut stream = connect(&app).await;
            stream.write_all(of(path, more).as_bytes()).await.expect("sent");
            // To the end of the connection, too.
            let told = String::from_utf8(rest(&mut stream).await).expect("text");
            let (head, body) = told.split_once("\r\n\r\n").expect("a head");
            let told_status = head.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok());
            let body = serde_json::from_str(body).unwrap_or(Value::Null);
            let good = told_status == Some(status) && is_error(client, &body);
            assert!(good, "{path}{more}: {told}");
        }
    }
    let asked = app.chatted(&say("openai", OPENAI, "Hello")).await;
    assert_eq!(asked.status, 200);
    app.close().await;
}

/// A connection of HTTP/2 that nobody uses ends; the next request makes another.
#[tokio::test]
async fn an_idle_connection_of_http2() {
    let app = App::start_with(Start::default().set("TOLLGATE_IDLE_TIMEOUT_SECONDS", "1")).await;
    let client = h2().build().expect("a client");
    let health = || client.get(format!("{}/healthz", app.url)).send();
    let mut peers = std::collections::HashSet::new();
    for _ in 0..2 {
        assert_eq!(health().await.expect("an answer").status(), 200);
        peers.extend(established(&app.url));
        let begun = Instant::now();
        until("the connection ends", || established(&app.url).is_empty()).await;
        assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    }
    assert_eq!(peers.len(), 2, "{peers:?}");
    app.close().await;
}

/// The ports of the clients that have a connection to a server now, by the kernel's own table.
fn established(url: &str) -> Vec<u16> {
    let port: u16 = url.rsplit_once(':').expect("a port").1.parse().expect("a number");
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table");
    let port_of = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    let row = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, peer, state) = (fields.next()?, fields.next()?, fields.next()?);
        let own = port_of(local)? == port && state == "01";
        port_of(peer).filter(|_| own)
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// Far more than what waits in the program and in sockets.
fn endless() -> Scripted {
    const SIZE: usize = 64 * 1024 * 1024;
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": OPENAI,
        "choices": [{ "index": 0, "delta": { "content": "x".repeat(16 * 1024) }, "finish_reason": null }],
    });
    let body = format!("data: {chunk}\n\n");
    let times = SIZE / body.len();
    Scripted { head: "content-type: text/event-stream".to_owned(), body, times }
}

/// A body that does not come is refused in the client's own words.
#[tokio::test]
async fn a_body_that_does_not_come() {
    let app = App::start_with(Start::default().set("TOLLGATE_BODY_TIMEOUT_SECONDS", "1")).await;
    let mut waiting = JoinSet::new();
    for client in Client::ALL {
        let mut stream = connect(&app).await;
        let (path, key) = (client.path(OPENAI, false), &app.key);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nuser: {USER}\r\napi-key: {key}\r\n\
             content-length: 1000\r\n\r\n{{\"model\":",
            address(&app)
        );
        waiting.spawn(async move {
            let begun = Instant::now();
            stream.write_all(head.as_bytes()).await.expect("sent");
            let told = String::from_utf8(rest(&mut stream).await).expect("text");
            let took = begun.elapsed();
            assert!(took + EARLY >= Duration::from_secs(1) && took < LATE, "{client:?}: {took:?}");
            assert!(told.starts_with("HTTP/1.1 408 "), "{client:?}: {told}");
            let (_, body) = told.split_once("\r\n\r\n").expect("a body");
            let body: Value = serde_json::from_str(body).expect("JSON");
            assert!(is_error(client, &body), "{client:?}: {body}");
        });
    }
    while let Some(done) = waiting.join_next().await {
        done.expect("as it should");
    }
    assert_eq!(app.simulator.count(), 0);
    assert!(app.close().await.is_empty());
}

/// One that nobody wants is not waited for any longer.
#[tokio::test]
async fn a_body_that_nobody_wants_and_does_not_come() {
    let app = App::start_with(Start::default().set("TOLLGATE_BODY_TIMEOUT_SECONDS", "1")).await;
    let mut waiting = JoinSet::new();
    for (method, path, status) in [("POST", "/nope", 404), ("PUT", "/v1/models", 405)] {
        let mut stream = connect(&app).await;
        let host = address(&app).to_owned();
        waiting.spawn(async move {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000\r\n\r\nabc"
            );
            let begun = Instant::now();
            stream.write_all(head.as_bytes()).await.expect("sent");
            let told = String::from_utf8(rest(&mut stream).await).expect("text");
            let took = begun.elapsed();
            assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
            assert!(took + EARLY >= Duration::from_secs(1) && took < LATE, "{path}: {took:?}");
        });
    }
    while let Some(done) = waiting.join_next().await {
        done.expect("as it should");
    }
    app.close().await;
}

/// One stream of a connection of HTTP/2 that nobody reads ends; the others go on.
#[tokio::test]
async fn a_stream_of_http2_that_nobody_reads() {
    let provider = Provider::start([endless()]).await;
    let start = Start::default()
        .set("OPENAI_BASE_URL", provider.url.clone())
        .set("TOLLGATE_WRITE_TIMEOUT_SECONDS", "1");
    let app = App::start_with(start).await;
    let client = h2().http2_initial_stream_window_size(65_535).build().expect("a client");
    let body = Client::Chat.ask("openai", OPENAI, "Go on.", true);
    let ask = client.post(format!("{}/v1/chat/completions", app.url)).bearer_auth(&app.key);
    let mut response = ask.json(&body).send().await.expect("a head");
    assert_eq!(response.status(), 200);
    let before = established(&app.url);
    let given_up = || established(&provider.url).is_empty();
    until("the provider's stream is given up", given_up).await;
    let health = client.get(format!("{}/healthz", app.url)).send().await.expect("an answer");
    assert_eq!(health.status(), 200);
    assert_eq!(before, established(&app.url), "the connection is the same");
    let broke = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broke, "the stream looks whole");
    drop((response, client));
    let receipts = app.close().await;
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].outcome, Outcome::ClientGone);
}

/// Slow heads and streams that nobody reads, beside clients that do as they should.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_clients_beside_good_ones() {
    let silent = number("TOLLGATE_TEST_BAD_CLIENTS", 240);
    let deaf = silent / 4;
    may_open_many_files();
    let crowd = Crowd::new();
    let provider = crowd.run(Provider::start((0..deaf).map(|_| endless()))).await;
    let start = Start::default()
        .set("OPENAI_BASE_URL", provider.url.clone())
        .set("TOLLGATE_HEADER_TIMEOUT_SECONDS", "4")
        .set("TOLLGATE_WRITE_TIMEOUT_SECONDS", "4");
    let app = App::start_with(start).await;
    let alone = good(&app, || true).await;
    let before = app.memory_kib();
    let mut bad = JoinSet::new();
    for _ in 0..silent {
        let host = address(&app).to_owned();
        let stream = crowd.run(TcpStream::connect(host.clone())).await.expect("a connection");
        bad.spawn_on(slow_head(stream, host), crowd.handle());
    }
    let mut unread = Vec::new();
    for _ in 0..deaf {
        unread.push(crowd.run(deaf_stream(address(&app).to_owned(), app.key.clone())).await);
    }
    let ports: Vec<_> = unread.iter().map(|s| s.local_addr().expect("its own").port()).collect();
    let given_up = || !established(&app.url).iter().any(|port| ports.contains(port));
    let beside = good(&app, given_up).await;
    let grown = app.memory_kib().saturating_sub(before);
    while let Some(took) = bad.join_next().await {
        let took = took.expect("an end");
        // The program's own clock began a moment before this one.
        let limit = Duration::from_secs(4);
        assert!(took + EARLY >= limit && took < limit + LATE, "{took:?}");
    }
    until("all are given up", given_up).await;
    let (alone, beside) = (p99(alone), p99(beside));
    println!(
        "p99 {alone:?} alone, {beside:?} beside {silent} slow heads and {deaf} unread streams; {grown} KiB more"
    );
    assert!(grown < 256 * deaf + 16 * silent + 16 * 1024, "{grown} KiB");
    if std::env::var_os("TOLLGATE_TEST_RELEASE").is_some() {
        assert!(beside < 2 * alone.max(Duration::from_millis(2)), "{beside:?} after {alone:?}");
    }
    drop(unread);
    let receipts = app.close().await;
    let gone = receipts.iter().filter(|receipt| receipt.outcome == Outcome::ClientGone).count();
    assert_eq!(gone as u64, deaf);
    assert!(receipts.iter().all(|receipt| receipt.outcome != Outcome::UpstreamFailed));
}

/// A thread for the clients that misbehave and for what answers them, which runs when nobody else wants to: how long the good
/// ones wait is to say something of the program, and nothing of this process.
struct Crowd(Option<Runtime>);

impl Crowd {
    fn new() -> Self {
        let mut runtime = runtime::Builder::new_multi_thread();
        let last = || setpriority_process(None, 19).expect("a lower priority");
        Self(Some(
            runtime.worker_threads(1).enable_all().on_thread_start(last).build().expect("it"),
        ))
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("a runtime").handle()
    }

    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.handle().spawn(work).await.expect("an end")
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.0.take().expect("a runtime").shutdown_background();
    }
}

/// This side of the connections has files as well.
fn may_open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a limit");
}

/// Fifty requests a second, all of which have to be answered: a hundred and more, until `is_over`.
async fn good(app: &App, is_over: impl Fn() -> bool) -> Vec<Duration> {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let mut running = JoinSet::new();
    let mut count = 0;
    let body = Client::Messages.ask("anthropic", "claude-sonnet-4-5", "Hello", false);
    while count < 100 || (count < 1_000 && !is_over()) {
        pace.tick().await;
        count += 1;
        let request = Client::Messages.send(app, "claude-sonnet-4-5", &body, false);
        running.spawn(async move {
            let begun = Instant::now();
            let answer = Answer::of(request).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            begun.elapsed()
        });
    }
    running.join_all().await
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Sends a byte of a head now and then; how long it was let do so.
async fn slow_head(mut stream: TcpStream, host: String) -> Duration {
    let begun = Instant::now();
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: {host}\r\nx-slow: ");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 64];
    loop {
        let pause = tokio::time::timeout(Duration::from_millis(250), stream.read(&mut answer));
        match pause.await {
            Ok(_) => return begun.elapsed(),
            Err(_) if stream.write_all(b"a").await.is_err() => return begun.elapsed(),
            Err(_) => {}
        }
    }
}

/// A stream that is asked for and never read.
async fn deaf_stream(address: String, key: String) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("an option");
    let mut stream = socket.connect(address.parse().expect("an address")).await.expect("open");
    let body = Client::Chat.ask("openai", OPENAI, "Go on.", true).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n{body}",
        address,
        key,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

/// A hundred thousand brackets, where JSON begins and where it is only passed on.
#[tokio::test]
async fn deep_json() {
    const DEPTH: usize = 100_000;
    let app = App::start().await;
    for client in Client::ALL {
        let own = client.ask("openai", OPENAI, "Hello", false).to_string();
        let inner = own.strip_suffix('}').expect("an object");
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let (open, close) = (open.repeat(DEPTH), close.repeat(DEPTH));
            let tool = format!("[{{\"type\":\"function\",\"function\":{open}1{close}}}]");
            for (body, is_wrong) in [
                (format!("{open}1{close}"), true),
                (open.clone(), true),
                (format!("{inner},\"x\":{open}1{close}}}"), false),
                (format!("{inner},\"tools\":{tool}}}"), false),
                (format!("{inner},\"metadata\":{open}"), true),
            ] {
                let request = app.request(Method::POST, &client.path(OPENAI, false));
                let request = client.credential(request, &app.key).body(body);
                let told = Told::of(client, request).await;
                // What nobody looks at may be as deep as it likes, as long as it is whole.
                let ignored = told.status == 200 && !is_wrong;
                assert!(ignored || told.status == 400, "{client:?}: {} {}", told.status, told.raw);
                assert!(ignored || is_error(client, &told.body()), "{client:?}: {}", told.raw);
            }
        }
    }
    let forms = app.request(Method::POST, "/api/v1/auth/keys").body("[".repeat(60_000));
    assert_eq!(Answer::of(forms).await.status, 400);
    app.close().await;
}

/// More requests than there may be are told so at once, each in its own words; the one under way goes on.
#[tokio::test]
async fn one_request_too_many() {
    let app = App::start_with(Start::default().set("TOLLGATE_REQUESTS", "1")).await;
    let first =
        tokio::task::JoinSet::from_iter([Answer::of(app.chat(&say("openai", OPENAI, SLOW)))]);
    app.asked(1).await;
    for client in Client::ALL {
        let body = client.ask("openai", OPENAI, "Hello", false);
        overloaded(client, &Told::of(client, client.send(&app, OPENAI, &body, false)).await);
    }
    assert_eq!(Answer::of(app.request(Method::GET, "/readyz")).await.status, 200);
    assert!(first.join_all().await.iter().all(|answer| answer.status == 200));
    app.chatted(&say("openai", OPENAI, "Hello")).await;
    assert_eq!(app.close().await.len(), 2);
}

fn overloaded(client: Client, told: &Told) {
    let status = if client.base() == Client::Messages { [529, 503] } else { [503, 503] };
    assert!(status.contains(&told.status), "{client:?}: {} {}", told.status, told.raw);
    assert_eq!((told.header("retry-after"), told.header("x-should-retry")), ("1", "true"));
    assert!(is_error(client, &told.body()), "{client:?}: {}", told.raw);
}

/// The client counts whom a trusted proxy names.
#[tokio::test]
async fn one_request_too_many_of_one_client() {
    let start = Start::default()
        .set("TOLLGATE_REQUESTS_PER_ADDRESS", "1")
        .set("TOLLGATE_CONNECTIONS_PER_ADDRESS", "1")
        .set("TOLLGATE_TRUSTED_PROXIES", "127.0.0.1");
    let app = App::start_with(start).await;
    let ask = |from: &str, text: &str| {
        Answer::of(app.chat(&say("openai", OPENAI, text)).header("x-forwarded-for", from))
    };
    let first = JoinSet::from_iter([ask("2001:db8::1", SLOW)]);
    app.asked(1).await;
    let second = ask("2001:db8::2", "Hello").await;
    assert_eq!((second.status, second.code()), (429, "too_many_requests"), "{}", second.body);
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(ask("2001:db8:0:1::1", "Hello").await.status, 200);
    assert!(first.join_all().await.iter().all(|answer| answer.status == 200));
    assert_eq!(ask("2001:db8::2", "Hello").await.status, 200);
    assert_eq!(app.close().await.len(), 3);
}

/// Bodies that do not fit into the memory for them are refused at once, packed ones by what comes out of them.
#[tokio::test]
async fn bodies_beyond_the_memory_for_them() {
    let app = App::start_with(Start::default().set("TOLLGATE_BODY_MEMORY_BYTES", "60000")).await;
    let chat = |text: &str, size: usize| {
        let mut body = say("openai", OPENAI, text);
        body["system"] = "x".repeat(size).into();
        app.chat(&body)
    };
    let first = JoinSet::from_iter([Answer::of(chat(SLOW, 40_000))]);
    app.asked(1).await;
    let refused = Answer::of(chat("Hello", 40_000)).await;
    assert_eq!((refused.status, refused.code()), (503, "overloaded"), "{}", refused.body);
    assert_eq!(refused.header("retry-after"), "1");
    // Unannounced, and packed.
    let long = json!({ "system": "x".repeat(40_000) }).to_string();
    let gzip = {
        use std::io::Write as _;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(long.as_bytes()).expect("packed");
        packer.finish().expect("packed")
    };
    let post = || app.native(Method::POST, "/api/layers/chat");
    let packed = Answer::of(post().header("content-encoding", "gzip").body(gzip)).await;
    assert_eq!((packed.status, packed.code()), (503, "overloaded"), "{}", packed.body);
    assert_eq!(Answer::of(chat("Hello", 10)).await.status, 200);
    assert!(first.join_all().await.iter().all(|answer| answer.status == 200));
    assert_eq!(Answer::of(chat("Hello", 40_000)).await.status, 200);
    assert_eq!(app.close().await.len(), 3);
}

/// To translate a large body takes several times its bytes, which count; one that passes takes its own.
#[tokio::test]
async fn large_bodies_that_are_translated() {
    const CLAUDE: &str = "claude-sonnet-4-5";
    let start = Start::default().set("TOLLGATE_BODY_MEMORY_BYTES", (8 << 20).to_string());
    let app = App::start_with(start).await;
    let ask = |provider: &str, model: &str, size: usize| {
        let body = Client::Chat.ask(provider, model, &"x".repeat(size), false);
        Told::of(Client::Chat, Client::Chat.send(&app, model, &body, false))
    };
    app.simulator.push_fault("delay:4000".parse().expect("a fault"));
    let first = Client::Chat.ask("anthropic", CLAUDE, &"x".repeat(600 << 10), false);
    let first = Client::Chat.send(&app, CLAUDE, &first, false);
    let first = JoinSet::from_iter([Told::of(Client::Chat, first)]);
    app.asked(1).await;
    overloaded(Client::Chat, &ask("anthropic", CLAUDE, 600 << 10).await);
    assert_eq!(ask("anthropic", CLAUDE, 10).await.status, 200);
    assert_eq!(ask("openai", OPENAI, 600 << 10).await.status, 200);
    assert!(first.join_all().await.iter().all(|told| told.status == 200));
    assert_eq!(ask("anthropic", CLAUDE, 600 << 10).await.status, 200);
    // It would never fit.
    let refused = ask("anthropic", CLAUDE, 1 << 20).await;
    assert_eq!(refused.status, 413, "{}", refused.raw);
    assert!(refused.raw.contains("MiB of memory"), "{}", refused.raw);
    assert_eq!(ask("openai", OPENAI, 1 << 20).await.status, 200);
    assert_eq!(app.close().await.len(), 5);
}

/// Nobody is asked to send what is not going to be taken.
#[tokio::test]
async fn a_body_that_announces_too_much() {
    let app = App::start().await;
    let mut stream = connect(&app).await;
    let ask = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        app.key,
        u32::MAX
    );
    stream.write_all(ask.as_bytes()).await.expect("sent");
    let answer = String::from_utf8(rest(&mut stream).await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
    assert!(app.close().await.is_empty());
}

/// A body of millions of values takes no memory but its own, whoever is asked.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_body_of_too_many_values() {
    let app = App::start().await;
    let zeros = "0,".repeat(4 << 20);
    for model in ["anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash", "openai/gpt-4o"] {
        let body = format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":"x"}}],"tools":[{{"type":"function",
               "function":{{"name":"f","parameters":{{"type":"object","enum":[{zeros}0]}}}}}}]}}"#
        );
        let ask = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
        let refused = Answer::of(ask.body(body)).await;
        assert_eq!((refused.status, refused.code()), (413, "body_too_large"), "{}", refused.body);
        assert!(refused.message().contains("500000 values"), "{}", refused.message());
    }
    let most = app.most_memory_kib();
    println!("{most} KiB at most");
    assert!(most < 200 * 1024, "{most} KiB");
    assert!(app.close().await.is_empty());
}

/// A connection too many, of all or of one address, is told so by either version of HTTP, and there is room again when
/// another ends.
#[tokio::test]
async fn one_connection_too_many() {
    for setting in ["TOLLGATE_CONNECTIONS", "TOLLGATE_CONNECTIONS_PER_ADDRESS"] {
        let app = App::start_with(Start::default().set(setting, "3")).await;
        let health = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", address(&app));
        let mut kept = Vec::new();
        for _ in 0..3 {
            let mut stream = connect(&app).await;
            stream.write_all(health.as_bytes()).await.expect("sent");
            let mut answer = [0; 512];
            let count = stream.read(&mut answer).await.expect("an answer");
            assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
            kept.push(stream);
        }
        for client in [Client::Messages, Client::Chat, Client::Gemini] {
            let body = client.ask("openai", OPENAI, "Hello", false);
            let request = client.send(&app, OPENAI, &body, false);
            overloaded(client, &Told::of(client, request).await);
        }
        let over_h2 = h2().build().expect("a client");
        // It is busy, and not dead.
        for (path, status) in [("/readyz", 503), ("/healthz", 200)] {
            let told = over_h2.get(format!("{}{path}", app.url)).send().await.expect("an answer");
            assert_eq!(told.status(), status, "{setting}: {path}");
            let told = Answer::of(app.request(Method::GET, path)).await;
            assert_eq!((told.status, told.header("connection")), (status, "close"), "{path}");
        }
        drop(over_h2);
        until("they are gone", || established(&app.url).len() == 3).await;
        drop(kept.pop());
        until("there is room", || established(&app.url).len() == 2).await;
        // The program hears of an end a little later than the kernel.
        let begun = Instant::now();
        while Answer::of(app.request(Method::GET, "/readyz")).await.status != 200 {
            assert!(begun.elapsed() < LATE, "{setting}: no room");
        }
        drop(kept);
        app.close().await;
    }
}
