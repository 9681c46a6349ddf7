//! Several endpoints of a provider: another account or region, asked in order, in place of one that fails, and always the
//! same for a conversation.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ledger::Outcome;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Fault, Running, Simulator};

use crate::app::{Answer, App, Start};
use crate::books::Books;
use crate::credentials::{MASTER_KEY, done, master};

async fn app(books: Books) -> App {
    App::start_on(books, Start::default().set(MASTER_KEY, master(1))).await
}

pub(crate) async fn elsewhere() -> Running {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Simulator::new().start(anywhere).await.expect("another simulator")
}

/// Adds an endpoint of OpenAI's.
pub(crate) async fn add(app: &App, place: &Running, name: &str, more: &[&str]) {
    let url = place.openai_url();
    let add = ["provider", "endpoint", "add", "openai", name, "--base-url", &url];
    done(&app.books, &master(1), &[&add[..], more].concat(), "sk-of-another-account").await;
}

async fn ask(app: &App, text: &str, more: Value) -> Answer {
    let mut body = json!({
        "model": "openai/gpt-4o", "messages": [{ "role": "user", "content": text }],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
    let answer = Answer::of(asked.json(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

/// Asks until the endpoint `place` has got something, which has to be within a second: what other texts went there before.
async fn known(app: &App, place: &Running, more: &Value) {
    let start = Instant::now();
    for number in 0.. {
        ask(app, &format!("Are you there, {number}?"), more.clone()).await;
        if place.count() > 0 {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(1), "the endpoint is not taken up");
    }
}

/// One of a later priority is asked when those before it fail, with its own credential, and the receipt says so.
async fn another_account_stands_in(books: Books) {
    let app = app(books).await;
    let spare = elsewhere().await;
    add(&app, &spare, "spare", &["--priority", "1"]).await;
    known(&app, &spare, &json!({ "provider": { "only": ["openai/spare"] } })).await;
    let (own, before) = (app.simulator.count(), spare.count());
    ask(&app, "Hello", json!({})).await;
    assert_eq!((app.simulator.count() - own, spare.count() - before), (1, 0));
    // What fails there is answered elsewhere…
    app.simulator.push_fault(Fault::Status(503));
    let answer = ask(&app, "Hello", json!({})).await;
    let tried = answer.header("x-tollgate-attempts").to_owned();
    assert!(tried.starts_with("openai/gpt-4o upstream_overloaded "), "{tried}");
    let seen = spare.seen();
    let headers = &seen.last().expect("a call").headers;
    assert_eq!(headers["authorization"], "Bearer sk-of-another-account");
    // … but not what is wrong with the request itself.
    app.simulator.push_fault(Fault::Status(400));
    let asked = app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key);
    let body = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hello" }] });
    assert_eq!(Answer::of(asked.json(&body)).await.status, 400);
    assert_eq!(spare.count() - before, 1);
    let id = answer.header("x-request-id").to_owned();
    let receipts = app.close().await;
    let receipt = receipts.iter().find(|r| r.request_id.to_string() == id).expect("a receipt");
    let route = receipt.report.route.as_ref().expect("a route");
    assert_eq!((receipt.outcome, receipt.attempt), (Outcome::Ok, 2));
    assert_eq!((route.endpoint.as_deref(), route.tried.len()), (Some("spare"), 1));
}

#[tokio::test]
async fn another_account_stands_in_on_sqlite() {
    another_account_stands_in(Books::sqlite()).await;
}

#[tokio::test]
async fn another_account_stands_in_on_postgres() {
    let Some(books) = Books::postgres("endpoints").await else { return };
    another_account_stands_in(books).await;
}

/// Conversations are spread over equals, and each stays where it began. One that is removed is asked no more.
#[tokio::test]
async fn a_conversation_stays_where_it_began() {
    let app = app(Books::sqlite()).await;
    let eu = elsewhere().await;
    add(&app, &eu, "eu", &[]).await;
    known(&app, &eu, &json!({ "provider": { "only": ["openai/eu"] } })).await;
    let mut places = HashSet::new();
    for number in 0..20 {
        let first = format!("Conversation {number}");
        let mut turns = vec![json!({ "role": "user", "content": first })];
        let mut went = HashSet::new();
        for turn in 0..3 {
            let before = eu.count();
            ask(&app, "", json!({ "messages": turns })).await;
            went.insert(eu.count() > before);
            turns.push(json!({ "role": "assistant", "content": "Go on." }));
            turns.push(json!({ "role": "user", "content": format!("And {turn}?") }));
        }
        assert_eq!(went.len(), 1, "conversation {number} has moved");
        places.extend(went);
    }
    assert_eq!(places.len(), 2, "all went to one place");
    let remove = ["provider", "endpoint", "remove", "openai", "eu"];
    done(&app.books, &master(1), &remove, "").await;
    let (start, mut quiet) = (Instant::now(), 0);
    while quiet < 20 {
        let before = eu.count();
        ask(&app, &format!("Afterwards {quiet}"), json!({})).await;
        quiet = if eu.count() == before { quiet + 1 } else { 0 };
        assert!(start.elapsed() < Duration::from_secs(20), "it is still asked");
    }
    app.close().await;
}

/// Who prefers speed gets the endpoint that was faster of late, and who prefers nothing the usual one.
#[tokio::test]
async fn the_faster_endpoint_goes_first_where_that_is_wished() {
    let mut app = app(Books::sqlite()).await;
    let spare = elsewhere().await;
    add(&app, &spare, "spare", &["--priority", "1"]).await;
    // What was measured so far is forgotten.
    app.kill().await;
    app.restart().await;
    let only = |name: &str| json!({ "stream": true, "provider": { "only": [name] } });
    app.simulator.push_fault(Fault::Delay(Duration::from_millis(500)));
    ask(&app, "Slowly", only("openai")).await;
    ask(&app, "Fast", only("openai/spare")).await;
    // Those first that leave the measure of the slow one as it is.
    for (wish, is_spare) in [
        (json!({ "provider": { "sort": "latency" } }), true),
        (json!({ "provider": { "sort": { "by": "throughput", "partition": "model" } } }), true),
        (json!({ "model": "openai/gpt-4o:nitro" }), true),
        (json!({}), false),
        (json!({ "provider": { "sort": "price" } }), false),
        (json!({ "model": "openai/gpt-4o:floor" }), false),
        // What is named comes before what is measured.
        (json!({ "provider": { "sort": "latency", "order": ["openai/spare", "openai"] } }), true),
    ] {
        let before = spare.count();
        ask(&app, "Hello", wish.clone()).await;
        assert_eq!(spare.count() > before, is_spare, "{wish}");
    }
    app.close().await;
}
