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
        assert!(start.elapsed() < Duration::from_secs(5), "the endpoint is not taken up");
    }
}

/// One of a later priority is asked when those before it fail, with its own credential, and the receipt says so.
async fn another_account_stands_in(books: Books) {
    let app = app(books).await;
    let spare = elsewhere().await;
    add(&app, &spare, "spare", &["--priority", "1"]).await;
    known(&app, &spare, &json!({ "provider": { "order": ["openai/spare"] } })).await;
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
    // A model that one place does not have may be at another.
    app.simulator.push_fault(Fault::Status(404));
    let found = ask(&app, "Hello", json!({})).await;
    let tried = found.header("x-tollgate-attempts");
    assert!(tried.starts_with("openai/gpt-4o upstream_not_found "), "{tried}");
    assert_eq!(spare.count() - before, 2);
    // Where the one that has it is busy, that is what the client is told.
    app.simulator.push_fault(Fault::Status(503));
    spare.push_fault(Fault::Status(404));
    let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
    assert_eq!(Answer::of(asked.json(&body)).await.status, 503);
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
    known(&app, &eu, &json!({ "provider": { "order": ["openai/eu"] } })).await;
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

/// Who names an endpoint gets no other in its place, and who wants no fallbacks gets none, not even of one provider.
#[tokio::test]
async fn no_other_endpoint_is_asked_than_a_client_allows() {
    let app = app(Books::sqlite()).await;
    let told = async |more: Value| {
        let body = json!({
            "model": "openai/gpt-4o", "messages": [{ "role": "user", "content": "Hello" }],
            "provider": more,
        });
        let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
        Answer::of(asked.json(&body)).await
    };
    let nowhere = [
        json!({ "only": ["openai/nowhere"] }),
        json!({ "only": ["openai/nowhere", "anthropic"] }),
        json!({ "order": ["openai/nowhere"], "allow_fallbacks": false }),
    ];
    let is_refused = async || {
        let before = app.simulator.count();
        for wish in &nowhere {
            let answer = told(wish.clone()).await;
            assert_eq!(answer.status, 404, "{wish}: {}", answer.body);
            let message = answer.body["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains("no endpoint here"), "{wish}: {message}");
        }
        assert_eq!(app.simulator.count(), before);
    };
    is_refused().await;
    let spare = elsewhere().await;
    add(&app, &spare, "spare", &["--priority", "1"]).await;
    known(&app, &spare, &json!({ "provider": { "order": ["openai/spare"] } })).await;
    is_refused().await;
    let ignored = told(json!({ "only": ["openai/spare"], "ignore": ["openai/spare"] })).await;
    assert_eq!(ignored.status, 404, "{}", ignored.body);
    // The first alone, or those that are named.
    for (wish, stands_in) in [
        (json!({ "allow_fallbacks": false }), false),
        (json!({ "allow_fallbacks": false, "only": ["openai"] }), false),
        (json!({ "allow_fallbacks": false, "order": ["openai"] }), true),
        (json!({ "order": ["openai/nowhere"] }), true),
        (json!({}), true),
    ] {
        let before = spare.count();
        app.simulator.push_fault(Fault::Status(503));
        let answer = told(wish.clone()).await;
        let status = if stands_in { 200 } else { 503 };
        assert_eq!(answer.status, status, "{wish}: {}", answer.body);
        assert_eq!(spare.count() - before, u64::from(stands_in), "{wish}");
    }
    let before = (app.simulator.count(), spare.count());
    spare.push_fault(Fault::Status(503));
    let only = told(json!({ "order": ["OpenAI/Spare"], "allow_fallbacks": false })).await;
    assert_eq!(only.status, 503, "{}", only.body);
    assert_eq!((app.simulator.count(), spare.count()), (before.0, before.1 + 1));
    app.close().await;
}

/// One turn of a conversation that its provider stores: where it went, and how the answer is called.
async fn turn(app: &App, eu: &Running, body: Value) -> (bool, String) {
    let before = (app.simulator.count(), eu.count());
    let answer = turned(app, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let is_eu = eu.count() > before.1;
    assert_eq!(app.simulator.count() > before.0, !is_eu, "both were asked");
    (is_eu, answer.body["id"].as_str().expect("an id").to_owned())
}

async fn turned(app: &App, mut body: Value) -> Answer {
    body["model"] = json!("gpt-4o");
    let asked = app.request(Method::POST, "/v1/responses").bearer_auth(&app.key);
    Answer::of(asked.json(&body)).await
}

/// What goes on from an answer goes where that was given, though nothing that it says has been said before: by memory, and
/// by the receipt where the process has forgotten it.
#[tokio::test]
async fn what_goes_on_from_a_stored_answer_goes_where_that_is() {
    let mut app = app(Books::sqlite()).await;
    let eu = elsewhere().await;
    // So that their answers have different names.
    for _ in 0..500 {
        reqwest::get(eu.openai_url()).await.expect("any answer");
    }
    add(&app, &eu, "eu", &[]).await;
    app.kill().await;
    app.restart().await;
    let mut last = Vec::new();
    for number in 0..12 {
        let (place, mut id) = turn(&app, &eu, json!({ "input": format!("Chain {number}") })).await;
        for more in 0..3 {
            let input = format!("More of {number}: {more}");
            let body = json!({ "input": input, "previous_response_id": id });
            let (went, next) = turn(&app, &eu, body).await;
            assert_eq!(went, place, "chain {number} has moved");
            id = next;
        }
        last.push((place, id));
    }
    let places: HashSet<bool> = last.iter().map(|(place, _)| *place).collect();
    assert_eq!(places.len(), 2, "all went to one place");
    app.kill().await;
    app.restart().await;
    for (number, (place, id)) in last.iter().enumerate() {
        let input = format!("Much later, {number}");
        let body = json!({ "input": input, "previous_response_id": id });
        assert_eq!(turn(&app, &eu, body).await.0, *place, "chain {number} was forgotten");
    }
    // Nobody can stand in.
    let (place, id) = &last[0];
    let (home, other) = if *place { (&eu, &app.simulator) } else { (&app.simulator, &eu) };
    let before = other.count();
    home.push_fault(Fault::Status(503));
    let answer = turned(&app, json!({ "input": "Now?", "previous_response_id": id })).await;
    assert_eq!((answer.status, other.count()), (503, before), "{}", answer.body);
    // Who names what nobody knows is asked for at one of them.
    turn(&app, &eu, json!({ "input": "Hello", "previous_response_id": "resp_of_nobody" })).await;
    app.close().await;
}

/// All turns of a conversation that the provider keeps go to one place, whatever they say.
#[tokio::test]
async fn a_kept_conversation_stays_at_one_place() {
    let mut app = app(Books::sqlite()).await;
    let eu = elsewhere().await;
    add(&app, &eu, "eu", &[]).await;
    app.kill().await;
    app.restart().await;
    let mut places = HashSet::new();
    for number in 0..12 {
        let mut went = HashSet::new();
        for more in 0..4 {
            let id = format!("conv_{number}");
            let kept = if more == 1 { json!({ "id": id }) } else { json!(id) };
            let body = json!({ "input": format!("{number}: {more}"), "conversation": kept });
            went.insert(turn(&app, &eu, body).await.0);
        }
        assert_eq!(went.len(), 1, "conversation {number} has moved");
        places.extend(went);
    }
    assert_eq!(places.len(), 2, "all went to one place");
    app.close().await;
}
