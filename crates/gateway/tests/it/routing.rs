//! Where requests go when providers fail: to the next target, to the same once more, and past those that fail often.

use std::time::{Duration, Instant};

use ledger::Outcome;
use reqwest::Method;
use serde_json::json;
use testkit::Fault;

use crate::app::{Answer, App, Start, are_free};
use crate::telemetry::{Scraped, measured};

const MODELS: [&str; 2] = ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"];

/// As the answer names it.
const CLAUDE: &str = "claude-sonnet-4-5";

/// Asks both models, the first one first.
async fn ask(app: &App, models: &[&str]) -> Answer {
    let body = json!({ "models": models, "messages": [{ "role": "user", "content": "Which?" }] });
    let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
    Answer::of(asked.json(&body)).await
}

fn model(answer: &Answer) -> &str {
    answer.body["model"].as_str().unwrap_or_default()
}

/// What failed and may pass is tried again, as often as the operator says, and what was tried in vain is on the receipt.
#[tokio::test]
async fn a_request_is_tried_again() {
    let app = App::start_with(Start::default().set("TOLLGATE_RETRIES", "2")).await;
    for fault in [Fault::Status(500), Fault::Cut] {
        app.simulator.push_fault(fault);
    }
    let answer = ask(&app, &MODELS[..1]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let tried: Vec<String> = answer
        .header("x-tollgate-attempts")
        .split(", ")
        .map(|one| one.rsplit_once(' ').map_or(one, |(said, _)| said).to_owned())
        .collect();
    assert_eq!(tried, ["openai/gpt-4o upstream_error", "openai/gpt-4o upstream_unavailable"],);
    // One time too many.
    (0..3).for_each(|_| app.simulator.push_fault(Fault::Status(503)));
    let answer = ask(&app, &MODELS[..1]).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("x-tollgate-attempts").split(", ").count(), 3);
    // What is the client's fault is not tried again.
    app.simulator.push_fault(Fault::Status(400));
    assert_eq!(ask(&app, &MODELS[..1]).await.status, 400);
    assert_eq!(app.simulator.count(), 7);
    let receipts = app.close().await;
    let told: Vec<_> =
        receipts.iter().map(|r| (r.outcome, r.attempt, r.report.tried().len())).collect();
    let expected = [(Outcome::Ok, 3, 2), (Outcome::Failed, 3, 3), (Outcome::Failed, 1, 1)];
    assert_eq!(told, expected);
    assert!(are_free(&receipts[1..]) && receipts[0].charge.pico() > 0);
}

/// Where the provider says when to come back, that is waited for, if it is soon.
#[tokio::test]
async fn a_retry_comes_when_the_provider_says() {
    let app = App::start_with(Start::default().set("TOLLGATE_RETRIES", "1")).await;
    app.simulator.push_fault(Fault::RateLimited { retry_after_seconds: 1 });
    let begun = Instant::now();
    assert_eq!(ask(&app, &MODELS[..1]).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    app.simulator.push_fault(Fault::RateLimited { retry_after_seconds: 60 });
    let answer = ask(&app, &MODELS[..1]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "60"), "{}", answer.body);
    assert_eq!(app.simulator.count(), 3);
    app.close().await;
}

/// A provider that hangs leaves the next one its share of the time.
#[tokio::test]
async fn the_next_target_has_time_left() {
    for stream in [false, true] {
        let start = Start::default().set("TOLLGATE_UPSTREAM_TIMEOUT_SECONDS", "4");
        let app = App::start_with(start).await;
        app.simulator.push_fault(Fault::Hang);
        let body = json!({
            "models": MODELS, "stream": stream,
            "messages": [{ "role": "user", "content": "Which?" }],
        });
        let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
        let begun = Instant::now();
        let answer = asked.json(&body).send().await.expect("an answer");
        let tried = answer.headers()["x-tollgate-attempts"].to_str().expect("text").to_owned();
        assert_eq!(answer.status(), 200);
        answer.text().await.expect("a whole answer");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        assert!(tried.starts_with("openai/gpt-4o upstream_timeout "), "{tried}");
        let receipts = app.close().await;
        assert_eq!(receipts.len(), 1);
        assert_eq!((receipts[0].attempt, receipts[0].provider.as_str()), (2, "anthropic"));
    }
}

/// A provider that fails often is passed over, tried now and then, and taken back when it answers. Whoever has no other
/// choice reaches it all the same.
#[tokio::test]
async fn a_provider_that_fails_often_is_passed_over() {
    let app = App::start().await;
    for _ in 0..10 {
        app.simulator.push_fault(Fault::Status(500));
        assert_eq!(model(&ask(&app, &MODELS).await), CLAUDE);
    }
    let before = app.simulator.count();
    let answer = ask(&app, &MODELS).await;
    let tried = answer.header("x-tollgate-attempts");
    assert_eq!((model(&answer), tried), (CLAUDE, ""));
    assert_eq!(app.simulator.count() - before, 1);
    // Without another choice the provider's own word counts.
    app.simulator.push_fault(Fault::Status(500));
    assert_eq!(ask(&app, &MODELS[..1]).await.status, 502);
    // Its rest is over in a second.
    let begun = Instant::now();
    while model(&ask(&app, &MODELS).await) != "gpt-4o" {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not taken back");
    }
    assert_eq!(model(&ask(&app, &MODELS).await), "gpt-4o");
    app.close().await;
}

/// An answer that cannot be read is a failure and not a success as well, though its head was good.
#[tokio::test]
async fn half_of_the_answers_cannot_be_read() {
    let app = App::start_with(measured()).await;
    for _ in 0..10 {
        assert_eq!(ask(&app, &MODELS[..1]).await.status, 200);
        app.simulator.push_fault(Fault::Garbage);
        assert_eq!(ask(&app, &MODELS[..1]).await.status, 502);
    }
    let openai = [("provider", "openai")];
    let metrics = Scraped::of(&app).await;
    assert!(metrics.count("tollgate_breaker_state", &openai) > 0, "{}", metrics.text);
    app.close().await;
}

/// A model that has too much to do is left alone as long as it says, and others of its provider are not.
#[tokio::test]
async fn a_model_that_has_too_much_to_do_is_left_alone() {
    let app = App::start().await;
    app.simulator.push_fault(Fault::RateLimited { retry_after_seconds: 30 });
    for _ in 0..2 {
        assert_eq!(model(&ask(&app, &MODELS).await), CLAUDE);
    }
    assert_eq!(app.simulator.count(), 3);
    let other = ask(&app, &["openai/gpt-4o-mini", MODELS[1]]).await;
    assert_eq!(model(&other), "gpt-4o-mini");
    app.close().await;
}

/// Models are compared with each other where the client says so, and too dear ones are left out.
#[tokio::test]
async fn price_decides_where_the_client_says_so() {
    const DEAR_FIRST: [&str; 3] = [MODELS[1], "openai/gpt-4o", "openai/gpt-4o-mini"];
    let app = App::start().await;
    let ask = async |provider: serde_json::Value| {
        let body = json!({ "models": DEAR_FIRST, "provider": provider,
            "messages": [{ "role": "user", "content": "Which?" }] });
        let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
        Answer::of(asked.json(&body)).await
    };
    for (wish, expected) in [
        (json!({}), CLAUDE),
        (json!({ "sort": "price" }), CLAUDE),
        (json!({ "sort": { "by": "price", "partition": "none" } }), "gpt-4o-mini"),
        // With the commission of 5 %, 2.5 dollars of the list are 2.625.
        (json!({ "max_price": { "prompt": 2.625, "completion": "10.5" } }), "gpt-4o"),
        (json!({ "max_price": { "prompt": 2.62 } }), "gpt-4o-mini"),
        (json!({ "max_price": { "completion": 5 } }), "gpt-4o-mini"),
    ] {
        let answer = ask(wish.clone()).await;
        assert_eq!(model(&answer), expected, "{wish}: {}", answer.body);
    }
    for (wish, status, words) in [
        (json!({ "max_price": { "prompt": 0.01 } }), 404, "and you allow $0.01"),
        (json!({ "max_price": { "prompt": "cheap" } }), 400, "expected dollars per million tokens"),
        (json!({ "max_price": { "image": 1 } }), 400, "only prompt and completion"),
        (json!({ "sort": "beauty" }), 400, "provider.sort"),
    ] {
        let answer = ask(wish.clone()).await;
        let text = answer.body.to_string();
        assert!(answer.status == status && text.contains(words), "{wish}: {text}");
    }
    app.close().await;
}
