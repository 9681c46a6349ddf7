//! Who pays first spends what is there, and not a pico-dollar more; whoever has a budget keeps to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::task::JoinSet;

use crate::app::{Answer, App, Start, USER, signal};
use crate::books::{Books, number};
use crate::chat::say;
use crate::prices::pico_dollars;
use crate::speak::{Client, Told};

/// A chat with a ceiling, so that what it may cost is little more than what it does.
fn short() -> Value {
    let mut chat = say("openai", "gpt-4o", "Hello");
    chat["max_tokens"] = 16.into();
    chat
}

impl App {
    /// Makes the user pay first, with so many pico-dollars, and starts again: then the program knows of it.
    pub(crate) async fn pays_first(&mut self, pico: i128) {
        self.books.cli(&["user", "set", USER, "--pays", "first"]).await;
        let usd = dollars(pico);
        self.books.cli(&["credit", "add", "--user", USER, "--usd", &usd]).await;
        self.kill().await;
        self.restart().await;
    }

    /// What is left of the credit once nobody holds any of it.
    async fn left(&self) -> i128 {
        let shown = self.books.cli_json(&["credit", "show", "--user", USER]).await;
        assert_eq!(shown["prepaid"], true, "{shown}");
        pico_dollars(shown["balance"].as_str().expect("an amount"))
    }
}

fn dollars(pico: i128) -> String {
    format!("{}.{:012}", pico / 1_000_000_000_000, pico % 1_000_000_000_000)
}

/// What one short chat costs.
async fn price_of_one() -> i128 {
    let app = App::start().await;
    let answer = app.chatted(&short()).await;
    let cost = pico_dollars(answer.header("x-tollgate-cost"));
    app.close().await;
    cost
}

/// Asks again and again, on all of these, until `attempts` are used up; how many were answered.
async fn storm(chats: &[RequestBuilder], callers: usize, attempts: u64) -> u64 {
    let (left, good) = (Arc::new(AtomicU64::new(attempts)), Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let chat = chats[caller % chats.len()].try_clone().expect("a request");
        let (left, good) = (Arc::clone(&left), Arc::clone(&good));
        tasks.spawn(async move {
            let next =
                || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            while next().is_ok() {
                // One of several processes may be gone.
                let Ok(answer) = chat.try_clone().expect("a request").send().await else {
                    continue;
                };
                match answer.status().as_u16() {
                    200 => drop(good.fetch_add(1, Ordering::SeqCst)),
                    402 => {}
                    status => {
                        let text = answer.text().await.unwrap_or_default();
                        assert_eq!(status, 503, "{text}");
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    good.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credit_for_so_many_requests() {
    const REQUESTS: i128 = 500;
    const CALLERS: usize = 200;
    let cost = price_of_one().await;
    let mut app = App::start().await;
    app.pays_first(cost * REQUESTS).await;
    let attempts = number("TOLLGATE_TEST_ATTEMPTS", 4_000);
    let good = storm(&[app.chat(&short())], CALLERS, attempts).await;
    let refused = Answer::of(app.chat(&short())).await;
    assert_eq!((refused.status, refused.code()), (402, "insufficient_credits"));
    let left = app.left().await;
    assert_eq!(left, cost * (REQUESTS - i128::from(good)), "{good} were answered");
    // What is left does not pay for what one more may cost at most.
    assert!((0..cost * 40).contains(&left), "{left} left, at {cost} each");
    assert_eq!(app.simulator.count(), good);
    let receipts = app.close().await;
    let spent: i128 = receipts.iter().map(|receipt| i128::from(receipt.charge.pico())).sum();
    assert_eq!((receipts.len() as u64, spent), (good, cost * i128::from(good)));
}

/// An account with credit for many requests makes them without asking the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_hardly_ever_asked() {
    const REQUESTS: u64 = 2_000;
    let mut app = App::start().await;
    app.pays_first(1_000_000_000_000).await;
    assert_eq!(storm(&[app.chat(&short())], 50, REQUESTS).await, REQUESTS);
    app.finish().await;
    let log = app.written_log();
    let count = |name: &str| -> u64 {
        let (_, rest) =
            log.rsplit_once(&format!("{name}=")).unwrap_or_else(|| panic!("{name}: {log}"));
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().expect("digits");
        digits.parse().expect("a number")
    };
    assert_eq!(count("holds"), REQUESTS);
    assert!(count("asks") * 50 < REQUESTS, "asked {} times", count("asks"));
}

/// Three processes on one database spend one account's credit, and one of them is killed and started again all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_spend_no_more_than_there_is() {
    const REQUESTS: i128 = 2_000;
    let Some(books) = Books::postgres("replicas").await else { return };
    let cost = price_of_one().await;
    let mut app = App::start_on(books, Start::default()).await;
    app.pays_first(cost * REQUESTS).await;
    let (mut second, second_url) = app.another().await;
    let (third, third_url) = app.another().await;
    let chat = |url: &str| {
        let chat = app.client.post(format!("{url}/api/layers/chat")).json(&short());
        chat.header("user", USER).header("api-key", &app.key)
    };
    let mut good = 0;
    let mut url = second_url;
    for _ in 0..5 {
        let chats = [chat(&app.url), chat(&url), chat(&third_url)];
        let storm = async { good += storm(&chats, 100, 700).await };
        // One dies, another stands still for a while.
        let kill = async {
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            signal(&third, "STOP").await;
            second.kill().await.expect("the process dies");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            signal(&third, "CONT").await;
        };
        tokio::join!(storm, kill);
        let (process, new): (Child, String) = app.another().await;
        (second, url) = (process, new);
    }
    second.kill().await.expect("the process dies");
    let left = app.left().await;
    assert!(left >= 0, "{left}");
    app.signal("TERM").await;
    assert!(app.ended().await.success());
    app.books.audit().await;
    let receipts = app.books.receipts().await;
    let spent: i128 = receipts.iter().map(|receipt| i128::from(receipt.charge.pico())).sum();
    assert!(spent <= cost * REQUESTS, "{spent} of {}", cost * REQUESTS);
    assert!(receipts.len() as u64 >= good, "{good} answers, {} receipts", receipts.len());
    println!("{good} answers seen, {} receipts, {left} pico-dollars left", receipts.len());
    app.books.remove().await;
}

/// A process whose place was given up spends no more, and says so from the first request on that it finds out by.
#[tokio::test]
async fn whose_place_is_taken_is_not_ready() {
    let mut app = App::start().await;
    app.pays_first(1_000_000_000_000).await;
    let ready = || Answer::of(app.request(Method::GET, "/readyz"));
    assert_eq!(ready().await.status, 200);
    let replicas = app.books.cli_json(&["replica", "list"]).await;
    let id = replicas[0]["id"].as_str().expect("an id");
    app.books.cli(&["replica", "release", id, "--force"]).await;
    let refused = Answer::of(app.chat(&short())).await;
    assert_eq!((refused.status, refused.code()), (503, "store_unavailable"), "{}", refused.body);
    let told = ready().await;
    assert_eq!((told.status, told.code()), (503, "store_unavailable"), "{}", told.body);
    app.kill().await;
    app.books.remove().await;
}

/// A client's own ceiling is kept or refused, with the one that would do.
#[tokio::test]
async fn a_ceiling_that_cannot_be_paid() {
    let mut app = App::start().await;
    // 10 dollars a million tokens of answer, and 5 %: about 1,000 tokens.
    app.pays_first(10_500_000_000).await;
    for client in
        [Client::Chat, Client::Messages, Client::Gemini, Client::Responses, Client::Native]
    {
        let mut body = client.ask("openai", "gpt-4o", "Hello", false);
        match client {
            Client::Gemini => body["generationConfig"] = json!({ "maxOutputTokens": 4000 }),
            Client::Responses => body["max_output_tokens"] = 4000.into(),
            _ => body["max_tokens"] = 4000.into(),
        }
        let told = Told::of(client, client.send(&app, "gpt-4o", &body, false)).await;
        // OpenAI's own clients know spent credit by another status.
        let status = if matches!(client, Client::Chat | Client::Responses) { 429 } else { 402 };
        let status = if client == Client::Gemini { told.status } else { status };
        assert_eq!(told.status, status, "{client:?}: {}", told.raw);
        assert!(told.raw.contains("up to 4000 tokens were asked for"), "{client:?}: {}", told.raw);
        assert_eq!(told.header("x-should-retry"), "false", "{client:?}");
        if status == 429 {
            let error = told.body()["error"].take();
            let words = (&error["type"], &error["code"]);
            assert_eq!(words, (&"insufficient_quota".into(), &"insufficient_quota".into()));
        }
        let affordable = told.raw.split(", and ").nth(1).and_then(|rest| rest.split(' ').next());
        let affordable: u64 = affordable.expect("a figure").parse().expect("a number");
        assert!((600..1_000).contains(&affordable), "{client:?}: {affordable}");
    }
    assert_eq!(app.simulator.count(), 0);
    assert!(app.close().await.is_empty());
}

/// A client that names no ceiling gets what can be paid: the provider ends the answer in its own words.
#[tokio::test]
async fn an_answer_as_long_as_there_is_credit() {
    let mut app = App::start_with(Start::default()).await;
    app.pays_first(10_500_000_000).await;
    let long = format!("say:{}", "word ".repeat(200));
    for (client, field) in [
        (Client::Chat, "max_completion_tokens"),
        (Client::Responses, "max_output_tokens"),
        (Client::Gemini, "max_completion_tokens"),
    ] {
        let before = app.left().await;
        let body = client.ask("openai", "gpt-4o", &long, false);
        let told = Told::of(client, client.send(&app, "gpt-4o", &body, false)).await;
        let sent = app.simulator.seen().pop();
        if told.status == 200 {
            let sent: Value = serde_json::from_slice(&sent.expect("a request").body).expect("JSON");
            let ceiling = sent[field].as_u64().unwrap_or_else(|| panic!("{client:?}: {sent}"));
            assert!(ceiling < 1_000, "{client:?}: {ceiling}");
            assert!(app.left().await < before);
        } else {
            assert!(told.raw.contains("does not pay"), "{client:?}: {}", told.raw);
        }
        assert!(app.left().await >= 0);
    }
    assert!(!app.close().await.is_empty());
}

/// A budget of a key, of a user and of an account: each ends what it is for, and says when it begins anew.
#[tokio::test]
async fn budgets_are_kept() {
    let cost = price_of_one().await;
    let app = App::start().await;
    let budget = dollars(cost * 30);
    let made =
        app.native(Method::POST, "/api/keys/generate").json(&json!({ "budget_usd": budget }));
    let made = Answer::of(made).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let key = made.body["key"].as_str().expect("a key").to_owned();
    let with = |key: &str| {
        app.request(Method::POST, "/api/layers/chat")
            .json(&short())
            .header("user", USER)
            .header("api-key", key)
    };
    let mut answered = 0_i128;
    let refused = loop {
        let answer = Answer::of(with(&key)).await;
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered <= 30);
    };
    assert!(answered > 0);
    assert_eq!((refused.status, refused.code()), (402, "insufficient_credits"));
    assert!(
        refused.message().starts_with("The budget of this API key ($"),
        "{}",
        refused.message()
    );
    // Another key of the same user goes on, until the user has a budget.
    app.chatted(&short()).await;
    app.books.cli(&["budget", "set", "--user", USER, "--period", "day", "--usd", "0.000001"]).await;
    let (refused, more) = refused_soon(&app).await;
    assert!(
        refused.message().contains("a day) has $0 left; it renews at 2"),
        "{}",
        refused.message()
    );
    let budgets = app.books.cli_json(&["budget", "list"]).await;
    assert_eq!(budgets.as_array().map(Vec::len), Some(2), "{budgets}");
    let spent = |kind: &str| {
        let found = budgets.as_array().into_iter().flatten().find(|b| b["owner"]["kind"] == kind);
        pico_dollars(found.expect("a budget")["spent"].as_str().expect("an amount"))
    };
    assert_eq!((spent("key"), spent("user")), (cost * answered, cost * (answered + 1 + more)));
    app.close().await;
}

/// Asks until the program has heard of a new budget; the refusal, and how many were answered before.
async fn refused_soon(app: &App) -> (Answer, i128) {
    let mut answered = 0;
    loop {
        let answer = Answer::of(app.chat(&short())).await;
        if answer.status == 402 {
            return (answer, answered);
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        answered += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
