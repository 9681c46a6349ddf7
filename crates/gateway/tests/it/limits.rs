//! Limits of keys, users, accounts and models, on one replica: kept together, told in the client's dialect, changed while
//! the program runs.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::app::{Answer, App, Start, USER};
use crate::books::Books;
use crate::chat::say;
use crate::speak::{Client, Told};

const MODEL: &str = "openai/gpt-4o";
const PER_MINUTE: &str = "--requests-per-minute";
const AT_ONCE: &str = "--concurrent-requests";

impl App {
    fn hello(&self, key: &str) -> RequestBuilder {
        self.hello_of(key, USER, "gpt-4o")
    }

    fn hello_of(&self, key: &str, user: &str, model: &str) -> RequestBuilder {
        let chat = self.request(Method::POST, "/api/layers/chat");
        chat.json(&say("openai", model, "Hello")).header("user", user).header("api-key", key)
    }
}

/// How many of so many are answered; the last refusal.
async fn let_in(times: usize, request: impl Fn() -> RequestBuilder) -> (usize, Option<Answer>) {
    let (mut good, mut refused) = (0, None);
    for _ in 0..times {
        let answer = Answer::of(request()).await;
        match answer.status {
            200 => good += 1,
            429 => refused = Some(answer),
            status => panic!("{status}: {}", answer.body),
        }
    }
    (good, refused)
}

/// Asks until it is answered so, which takes as long as the program takes to hear of a change.
async fn until(status: u16, message: &str, request: impl Fn() -> RequestBuilder) {
    let start = Instant::now();
    loop {
        let answer = Answer::of(request()).await;
        if answer.status == status && answer.message() == message {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{}: {}", answer.status, answer.body);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn id_of(books: &Books, key: &str) -> String {
    let listed = books.cli_json(&["key", "list"]).await;
    let last4 = &key[key.len() - 4..];
    let found = listed.as_array().into_iter().flatten().find(|row| row["last4"] == last4);
    found.expect("the key")["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn limits_of_all_kinds_are_kept_together() {
    let books = Books::sqlite();
    let first = books.add_user(USER).await;
    let second = books.cli(&["key", "create", "--user", USER]).await;
    let other = books.add_user("bob").await;
    let id = id_of(&books, &first).await;
    books.cli(&["limit", "set", "--key", &id, PER_MINUTE, "3"]).await;
    books.cli(&["limit", "set", "--user", USER, PER_MINUTE, "5"]).await;
    books.cli(&["limit", "set", "--model", MODEL, PER_MINUTE, "7"]).await;
    books.cli(&["limit", "set", "--model", MODEL, "--account", "bob", PER_MINUTE, "2"]).await;
    books.cli(&["limit", "set", "--account", "bob", PER_MINUTE, "4"]).await;
    let app = App::start_with_key(books, Start::default(), first.clone()).await;

    let (good, refused) = let_in(9, || app.hello(&first)).await;
    let refused = refused.expect("a refusal");
    assert_eq!((good, refused.code()), (3, "rate_limit_exceeded"), "{}", refused.body);
    assert_eq!(refused.message(), "this API key may use 3 requests per minute");
    assert!((1..=20).contains(&refused.header("retry-after").parse().expect("seconds")));
    // The six that were refused were not counted against the user.
    let (good, refused) = let_in(9, || app.hello(&second)).await;
    assert_eq!(good, 2);
    let refused = refused.expect("a refusal");
    assert_eq!(refused.message(), "the user of this API key may use 5 requests per minute");

    // Another account has limits of its own for the model, and for everything.
    let (good, refused) = let_in(9, || app.hello_of(&other, "bob", "gpt-4o")).await;
    assert_eq!(good, 2);
    let message = "the account of this API key may use 2 requests of openai/gpt-4o per minute";
    assert_eq!(refused.expect("a refusal").message(), message);
    let (good, refused) = let_in(9, || app.hello_of(&other, "bob", "gpt-4o-mini")).await;
    assert_eq!(good, 2);
    let message = "the account of this API key may use 4 requests per minute";
    assert_eq!(refused.expect("a refusal").message(), message);
    assert_eq!(app.close().await.len(), 9);
}

/// Each account by itself, where nothing else is said.
#[tokio::test]
async fn a_limit_of_a_model_is_one_of_each_account() {
    let books = Books::sqlite();
    let own = books.add_user(USER).await;
    let other = books.add_user("bob").await;
    books.cli(&["limit", "set", "--model", MODEL, PER_MINUTE, "2"]).await;
    let app = App::start_with_key(books, Start::default(), own.clone()).await;
    assert_eq!(let_in(4, || app.hello(&own)).await.0, 2);
    assert_eq!(let_in(4, || app.hello_of(&other, "bob", "gpt-4o")).await.0, 2);
    assert_eq!(let_in(4, || app.hello_of(&own, USER, "gpt-4o-mini")).await.0, 4);
    app.close().await;
}

#[tokio::test]
async fn a_change_is_in_force_at_once() {
    let app = App::start().await;
    let books = &app.books;
    let complaint = books.refused(&["limit", "set", "--model", "openai/none", AT_ONCE, "1"]).await;
    assert!(complaint.contains("--model: "), "{complaint}");
    let complaint = books.refused(&["limit", "set", "--user", USER]).await;
    assert!(complaint.contains("--requests-per-minute"), "{complaint}");
    let complaint = books.refused(&["limit", "set", "--user", USER, PER_MINUTE, "0"]).await;
    assert!(complaint.contains("from 1 to"), "{complaint}");
    let set = books.cli_json(&["limit", "set", "--account", USER, PER_MINUTE, "1"]).await;
    let message = "the account of this API key may use 1 requests per minute";
    until(429, message, || app.hello(&app.key)).await;
    // Another of the same owner takes its place.
    let again =
        books.cli_json(&["limit", "set", "--account", USER, "--tokens-per-minute", "9"]).await;
    assert_eq!(again["id"], set["id"]);
    let message = "the account of this API key may use 9 tokens per minute";
    until(429, message, || app.hello(&app.key)).await;
    let id = id_of(books, &app.key).await;
    books.cli(&["limit", "set", "--key", &id, AT_ONCE, "4"]).await;
    let listed = books.cli_json(&["limit", "list"]).await;
    let row = |id: &Value, kind: &str, owner: &Value, limits: [Option<i64>; 3]| {
        json!({
            "id": id, "owner": { "kind": kind, "id": owner }, "model": null,
            "requests_per_minute": limits[0], "tokens_per_minute": limits[1], "concurrent_requests": limits[2],
        })
    };
    let (account, key) = (&listed[0]["owner"]["id"], json!(id));
    let rows = [
        row(&set["id"], "account", account, [None, Some(9), None]),
        row(&key, "key", &key, [None, None, Some(4)]),
    ];
    assert_eq!(listed, json!(rows));
    let account_limits = set["id"].as_str().expect("an id");
    books.cli(&["limit", "remove", account_limits]).await;
    until(200, "", || app.hello(&app.key)).await;
    books.cli(&["limit", "remove", &id]).await;
    assert_eq!(books.cli_json(&["limit", "list"]).await, json!([]));
    let complaint = books.refused(&["limit", "remove", account_limits]).await;
    assert!(complaint.contains("limit"), "{complaint}");
    let acts = "SELECT * FROM tollgate.audit_log WHERE action = 'limit.set' AND actor = 'the command line'";
    assert_eq!(books.count(acts).await, 2);
    app.close().await;
}

/// A place is free again however a request ends.
#[tokio::test]
async fn places_come_back() {
    let books = Books::sqlite();
    let key = books.add_user(USER).await;
    books.cli(&["limit", "set", "--user", USER, AT_ONCE, "1"]).await;
    let app = App::start_with_key(books, Start::default(), key.clone()).await;
    let chat = |message: &str, stream: bool| {
        let body = Client::Chat.ask("openai", "gpt-4o", message, stream);
        Client::Chat.send(&app, "gpt-4o", &body, stream)
    };
    for message in ["Hello", "fault:status:500", "fault:garbage", "Hello", "fault:cut:0", "Hello"] {
        for stream in [false, true] {
            let told = Told::of(Client::Chat, chat(message, stream)).await;
            assert_ne!(told.status, 429, "{message} {stream}: {}", told.raw);
        }
    }
    // One that is under way keeps its place, until its client hangs up.
    let under_way = chat("fault:hang:2\nHello", true).send().await.expect("an answer");
    assert_eq!(under_way.status(), 200);
    let refused = Told::of(Client::Chat, chat("Hello", false)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{}", refused.raw);
    assert!(refused.raw.contains("may have 1 requests under way at once"), "{}", refused.raw);
    assert_eq!(refused.header("x-ratelimit-limit-requests"), "");
    drop(under_way);
    until(200, "", || app.hello(&key)).await;
    app.close().await;
}

/// Every kind of client is told of its limits in its own words, and of nothing where it has none.
#[tokio::test]
async fn clients_are_told_in_their_dialect() {
    let mut app = App::start().await;
    let free = Told::of(Client::Chat, hello(&app, Client::Chat)).await;
    let named = |told: &Told| {
        let names = told.headers.keys().map(|name| name.as_str().to_owned());
        names.filter(|name| name.contains("ratelimit")).collect::<Vec<_>>()
    };
    assert_eq!((free.status, named(&free)), (200, Vec::new()));
    for client in Client::ALL {
        let limits = [PER_MINUTE, "2", "--tokens-per-minute", "100000"];
        let key = app.books.cli(&[&["key", "create", "--user", USER], &limits[..]].concat()).await;
        app.knows(&key).await;
        app.key = key;
        let first = Told::of(client, hello(&app, client)).await;
        assert_eq!(first.status, 200, "{client:?}: {}", first.raw);
        Told::of(client, hello(&app, client)).await;
        let third = Told::of(client, hello(&app, client)).await;
        assert_eq!(third.status, 429, "{client:?}: {}", third.raw);
        assert_eq!(third.header("x-should-retry"), "true");
        let wait: u64 = third.header("retry-after").parse().expect("seconds");
        assert!((25..=30).contains(&wait), "{client:?}: {wait}");
        match client.base() {
            Client::Gemini => {
                assert_eq!((named(&first), named(&third)), (Vec::new(), Vec::new()));
                let error = &third.body()["error"];
                assert_eq!(error["status"], "RESOURCE_EXHAUSTED");
                assert_eq!(error["details"][0]["retryDelay"], format!("{wait}s"));
            }
            Client::Messages => anthropic(&first, &third),
            _ if client.is_router() => openrouter(&first, &third),
            _ => openai(&first, &third),
        }
    }
    app.close().await;
}

fn hello(app: &App, client: Client) -> RequestBuilder {
    let body = client.ask("openai", "gpt-4o", "Hello", false);
    client.send(app, "gpt-4o", &body, false)
}

fn openai(first: &Told, third: &Told) {
    let of = |told: &Told, name: &str| told.header(&format!("x-ratelimit-{name}")).to_owned();
    assert_eq!(of(first, "limit-requests"), "2");
    assert_eq!(of(first, "remaining-requests"), "1");
    assert_eq!(of(first, "reset-requests"), "30s");
    assert_eq!(of(first, "limit-tokens"), "100000");
    assert_eq!(of(first, "remaining-tokens"), "100000", "tokens are counted at the end");
    assert_eq!(of(first, "reset-tokens"), "0ms");
    assert_eq!(of(third, "limit-requests"), "2");
    assert_eq!(of(third, "remaining-requests"), "0");
    let millis: u64 = third.header("retry-after-ms").parse().expect("milliseconds");
    assert!((25_000..=30_000).contains(&millis), "{millis}");
}

fn anthropic(first: &Told, third: &Told) {
    let of =
        |told: &Told, name: &str| told.header(&format!("anthropic-ratelimit-{name}")).to_owned();
    assert_eq!(
        (of(first, "requests-limit"), of(first, "requests-remaining")),
        ("2".into(), "1".into())
    );
    assert_eq!(of(first, "tokens-limit"), "100000");
    assert_eq!(of(third, "requests-remaining"), "0");
    let reset = of(first, "requests-reset");
    let valid = reset.len() == 20 && reset.starts_with("20") && reset.ends_with('Z');
    assert!(valid, "{reset}");
    assert!(of(third, "requests-reset") > reset);
    assert_eq!(third.header("x-ratelimit-limit-requests"), "");
    assert_eq!(third.body()["error"]["type"], "rate_limit_error");
}

fn openrouter(first: &Told, third: &Told) {
    let of = |told: &Told, name: &str| told.header(&format!("x-ratelimit-{name}")).to_owned();
    assert_eq!((of(first, "limit"), of(first, "remaining")), ("2".into(), "1".into()));
    assert_eq!((of(third, "limit"), of(third, "remaining")), ("2".into(), "0".into()));
    let at = |told: &Told| of(told, "reset").parse::<u64>().expect("milliseconds since 1970");
    assert!((25_000..=60_000).contains(&(at(third) - at(first))));
    assert_eq!(third.body()["error"]["code"], 429);
}
