//! The end of one process and the beginning of the next: nobody who asks meanwhile loses anything.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ledger::Outcome;
use reqwest::Method;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::app::{Answer, App, Start, USER, signal};
use crate::books::{Books, binary};
use crate::chat::say;
use crate::network::until;
use crate::speak::Client;

const OPENAI: &str = "gpt-4o";

fn words(count: u32) -> String {
    (0..count).map(|number| format!("word {number}")).collect::<Vec<_>>().join(", ")
}

/// A slow stream, of which the first words are there.
async fn begun(app: &App, client: Client, fault: &str) -> reqwest::Response {
    app.simulator.push_fault(fault.parse().expect("a fault"));
    let body = client.ask("openai", OPENAI, &format!("say:{}", words(200)), true);
    let mut response = client.send(app, OPENAI, &body, true).send().await.expect("a head");
    assert_eq!(response.status(), 200);
    let mut text = String::new();
    while !text.contains("word") {
        let chunk = response.chunk().await.expect("a stream").expect("bytes");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    response
}

/// What is left of a stream, and whether the connection broke.
async fn rest(mut response: reqwest::Response) -> (String, bool) {
    let mut text = String::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => text.push_str(&String::from_utf8_lossy(&chunk)),
            Ok(None) => return (text, false),
            Err(_) => return (text, true),
        }
    }
}

/// Load balancers hear of the end before the door is closed, and clients of HTTP/1.1 with their next answer.
#[tokio::test]
async fn readiness_goes_before_the_door_is_closed() {
    let start = Start::default().set("TOLLGATE_DRAIN_GRACE_SECONDS", "3");
    let mut app = App::start_with(start).await;
    let kept = app.chatted(&say("openai", OPENAI, "Hello")).await;
    assert_eq!(kept.header("connection"), "");
    let begun = Instant::now();
    app.signal("TERM").await;
    let drained = loop {
        let ready = Answer::of(app.request(Method::GET, "/readyz")).await;
        if ready.status != 200 {
            break ready;
        }
    };
    assert_eq!((drained.status, drained.code()), (503, "draining"), "{}", drained.body);
    // On another connection, and on one of HTTP/2: both are served still.
    let answer = app.chatted(&say("openai", OPENAI, "Hello")).await;
    assert_eq!(answer.header("connection"), "close");
    let h2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("one");
    let over_h2 = h2.get(format!("{}/healthz", app.url)).send().await.expect("an answer");
    assert_eq!(over_h2.status(), 200);
    assert!(begun.elapsed() < Duration::from_secs(3), "too slow to tell");
    assert_eq!(app.ended().await.code(), Some(0), "{}", app.written_log());
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    app.books.audit().await;
    assert_eq!(app.books.receipts().await.len(), 2);
}

/// What comes until there is `word` in it.
async fn read_to(stream: &mut TcpStream, word: &str) -> String {
    let mut text = String::new();
    while !text.contains(word) {
        let mut bytes = [0; 4_096];
        let count = stream.read(&mut bytes).await.expect("bytes");
        assert!(count > 0, "it has ended before {word:?}: {text}");
        text.push_str(std::str::from_utf8(&bytes[..count]).expect("text"));
    }
    text
}

/// A client of HTTP/1.1 that has read nothing of an end may ask once more, and is told then; whoever does not ask holds
/// nothing up.
#[tokio::test]
async fn a_stream_across_the_end_leaves_room_for_one_more_request() {
    let mut app = App::start().await;
    let address = app.url.trim_start_matches("http://").to_owned();
    let body = Client::Chat.ask("openai", OPENAI, &format!("say:{}", words(100)), true).to_string();
    let stream = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n{body}",
        app.key,
        body.len()
    );
    let health = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut streams = Vec::new();
    for _ in 0..2 {
        app.simulator.push_fault("slow:20".parse().expect("a fault"));
        let mut connection = TcpStream::connect(&address).await.expect("a connection");
        connection.write_all(stream.as_bytes()).await.expect("sent");
        let head = read_to(&mut connection, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200") && !head.contains("connection:"), "{head}");
        assert!(!head.contains("[DONE]"), "{head}");
        streams.push(connection);
    }
    app.signal("TERM").await;
    until("the end has begun", || app.written_log().contains("ending: no new requests")).await;
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let mut last = streams.pop().expect("a connection");
    let mut first = streams.pop().expect("a connection");
    assert!(read_to(&mut first, "\r\n0\r\n\r\n").await.contains("[DONE]"));
    first.write_all(health.as_bytes()).await.expect("sent");
    let answer = read_to(&mut first, "ok\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert_eq!(first.read(&mut [0]).await.expect("the end"), 0);
    assert!(read_to(&mut last, "\r\n0\r\n\r\n").await.contains("[DONE]"));
    let done = Instant::now();
    assert_eq!(app.ended().await.code(), Some(0), "{}", app.written_log());
    assert!(done.elapsed() < Duration::from_secs(10), "{:?}", done.elapsed());
    app.books.audit().await;
    assert_eq!(app.books.receipts().await.len(), 2);
}

/// What is not there when the time is up is cut: the client is told, and pays for what it has.
#[tokio::test]
async fn what_is_left_is_cut() {
    for second in [false, true] {
        let seconds = if second { "60" } else { "1" };
        let mut app =
            App::start_with(Start::default().set("TOLLGATE_DRAIN_SECONDS", seconds)).await;
        let mut streams = Vec::new();
        for client in [Client::Chat, Client::Messages, Client::Responses, Client::Native] {
            streams.push((client, begun(&app, client, "slow:100").await));
        }
        let h2 =
            reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("one");
        app.simulator.push_fault("delay:30000".parse().expect("a fault"));
        let chat = say("openai", OPENAI, "Hello");
        let whole = h2.post(format!("{}/api/layers/chat", app.url)).header("user", USER);
        let whole = JoinSet::from_iter([Answer::of(whole.header("api-key", &app.key).json(&chat))]);
        until("all are asked", || app.simulator.count() == 5).await;
        let asked = Instant::now();
        app.signal("TERM").await;
        if second {
            let log = || app.written_log().contains("ending: no new requests");
            until("it has heard", log).await;
            app.signal("TERM").await;
        }
        for (client, response) in streams {
            let (text, _) = rest(response).await;
            let (error, end) = match client {
                Client::Messages => ("event: error", "message_stop"),
                Client::Responses => ("event: error", "response.completed"),
                _ => ("\"error\"", "[DONE]"),
            };
            assert!(text.contains(error) && !text.contains(end), "{client:?}: {text}");
        }
        for answer in whole.join_all().await {
            assert_eq!((answer.status, answer.code()), (503, "ending"), "{}", answer.body);
        }
        assert_eq!(app.ended().await.code(), Some(0), "{}", app.written_log());
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        app.books.audit().await;
        let receipts = app.books.receipts().await;
        assert_eq!(receipts.len(), 5);
        for receipt in receipts {
            let charged = receipt.charge.pico() > 0;
            let expected = match receipt.outcome {
                Outcome::UpstreamFailed => true,
                Outcome::Failed => false,
                other => panic!("{other:?}"),
            };
            assert_eq!(charged, expected, "{receipt:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_loses_nothing() {
    restart(Books::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_loses_nothing_on_postgres() {
    if let Some(books) = Books::postgres("draining").await {
        restart(books).await;
    }
}

/// Asks again and again, by connections that are kept, that are new every time, or of HTTP/2; every answer has to come.
async fn restart(books: Books) {
    // Held, and not listened on, so that nobody else takes it.
    let held = TcpSocket::new_v4().expect("a socket");
    held.set_reuseport(true).expect("an option");
    held.set_reuseaddr(true).expect("an option");
    held.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
    let port = held.local_addr().expect("an address").port().to_string();
    let start = Start::default()
        .set("PORT", port)
        .set("TOLLGATE_REUSE_PORT", "true")
        .set("TOLLGATE_DRAIN_GRACE_SECONDS", "1");
    let mut app = App::start_on(books, start).await;
    let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut load = JoinSet::new();
    for worker in 0..6 {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20));
        let client = match worker % 3 {
            0 => client,
            1 => client.pool_max_idle_per_host(0),
            _ => client.http2_prior_knowledge(),
        };
        let client = client.build().expect("a client");
        let (url, key) = (format!("{}/api/layers/chat", app.url), app.key.clone());
        let (over, count) = (Arc::clone(&over), Arc::clone(&count));
        load.spawn(async move {
            let chat = say("openai", OPENAI, "Hello");
            while !over.load(Ordering::Relaxed) {
                let request = client.post(&url).header("user", USER).header("api-key", &key);
                let answer = request.json(&chat).send().await;
                let answer = answer.unwrap_or_else(|error| panic!("worker {worker}: {error:?}"));
                assert_eq!(answer.status(), 200, "worker {worker}");
                answer.bytes().await.expect("a whole answer");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let served = |more: u64| {
        let (count, now) = (Arc::clone(&count), count.load(Ordering::Relaxed));
        move || count.load(Ordering::Relaxed) >= now + more
    };
    until("there is load", served(100)).await;
    let stream = begun(&app, Client::Chat, "slow:10").await;
    let (mut next, url) = app.another().await;
    assert_eq!(url, app.url);
    app.signal("TERM").await;
    assert_eq!(app.ended().await.code(), Some(0), "{}", app.written_log());
    let (text, broke) = rest(stream).await;
    assert!(!broke && text.contains("[DONE]"), "{text}");
    until("the next one serves", served(100)).await;
    over.store(true, Ordering::Relaxed);
    while let Some(done) = load.join_next().await {
        done.expect("every answer came");
    }
    end(&mut next).await;
    let answered = count.load(Ordering::Relaxed) + 1;
    println!("{answered} answers across a restart");
    app.books.audit().await;
    let receipts = app.books.receipts().await;
    assert_eq!(receipts.len() as u64, answered);
    assert!(receipts.iter().all(|receipt| receipt.outcome == Outcome::Ok));
    app.books.remove().await;
}

async fn end(process: &mut Child) {
    signal(process, "TERM").await;
    assert_eq!(process.wait().await.expect("an end").code(), Some(0));
}

/// A socket that is handed over stays open from one process to the next, and whoever comes between them waits.
#[tokio::test]
async fn a_socket_that_is_handed_over() {
    let books = Books::sqlite();
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let get = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    for _ in 0..2 {
        // Before there is anybody to take it.
        let mut early = TcpStream::connect(address).await.expect("a connection");
        early.write_all(get.as_bytes()).await.expect("sent");
        let mut process = handed(&books, &listener).await;
        let mut answer = String::new();
        early.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        end(&mut process).await;
    }
    books.remove().await;
}

/// Starts the program as systemd does: with a socket for its third file, and word of it.
async fn handed(books: &Books, listener: &StdListener) -> Child {
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --json";
    let socket = std::os::fd::OwnedFd::from(listener.try_clone().expect("a socket"));
    let mut process = Command::new("/bin/sh")
        .args(["-c", script])
        .arg(binary())
        .env_clear()
        .env("DATABASE_URL", &books.url)
        .current_dir(books.folder.path())
        .stdin(Stdio::from(socket))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("a shell");
    let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
    let wanted = listener.local_addr().expect("an address").to_string();
    // To the end of what it says: it would end where nobody listens to that.
    let mut text = String::new();
    while let Some(line) = lines.next_line().await.expect("its output") {
        text.push_str(&line);
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            assert!(text.contains(&wanted), "{text}");
            return process;
        }
    }
    panic!("it does not listen at {wanted}");
}
