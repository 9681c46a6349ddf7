//! Where requests go when providers fail: to the next target, to the same once more, and past those that fail often.

use std::time::{Duration, Instant};

use ledger::Outcome;
use reqwest::Method;
use serde_json::json;
use testkit::Fault;
use tokio::task::JoinSet;

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
    assert_eq!(answer.header("x-should-retry"), "false");
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

/// Nothing is said against a retry that nobody has made, so that the SDKs make theirs; only where it would be of no use.
#[tokio::test]
async fn clients_may_retry_what_was_not_tried_again() {
    let app = App::start().await;
    let paths = ["/v1/chat/completions", "/api/v1/chat/completions", "/v1/messages"];
    for path in paths {
        let model = if path == paths[2] { "claude-sonnet-4-5" } else { "gpt-4o" };
        let text = json!([{ "role": "user", "content": "Well?" }]);
        let body = json!({ "model": model, "max_tokens": 9, "messages": text });
        for (fault, word) in [
            (Fault::Status(429), ""),
            (Fault::Status(500), ""),
            (Fault::Status(502), ""),
            (Fault::Status(503), ""),
            (Fault::Status(504), ""),
            (Fault::Status(529), ""),
            (Fault::Cut, ""),
            (Fault::Garbage, ""),
            (Fault::RateLimited { retry_after_seconds: 3 }, "true"),
            (Fault::Status(400), "false"),
            (Fault::Status(401), "false"),
            (Fault::Status(404), "false"),
        ] {
            app.simulator.push_fault(fault);
            let asked = app.request(Method::POST, path).bearer_auth(&app.key);
            let answer = Answer::of(asked.json(&body)).await;
            assert!(answer.status >= 400, "{path} {fault:?}: {}", answer.body);
            assert_eq!(answer.header("x-should-retry"), word, "{path} {fault:?}");
        }
    }
    app.close().await;
}

/// What one request makes the house call and pay for has an end.
#[tokio::test]
async fn a_request_has_few_models_and_attempts() {
    let app = App::start_with(Start::default().set("TOLLGATE_RETRIES", "5")).await;
    let models = ["openai/gpt-4o", "openai/gpt-4o-mini", MODELS[1], "openai/gpt-4.1"];
    let answer = ask(&app, &models).await;
    let message = answer.body["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(message.starts_with("models: 4 models are too many; expected at most 3"), "{message}");
    assert_eq!(app.simulator.count(), 0);
    (0..18).for_each(|_| app.simulator.push_fault(Fault::Status(500)));
    let answer = ask(&app, &models[..3]).await;
    assert_eq!((answer.status, answer.header("x-should-retry")), (502, "false"), "{}", answer.body);
    assert_eq!(app.simulator.count(), 10);
    let receipts = app.close().await;
    assert_eq!((receipts[0].attempt, receipts[0].report.tried().len()), (10, 10));
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
    assert_eq!(answer.header("x-should-retry"), "true");
    assert_eq!(app.simulator.count(), 3);
    app.close().await;
}

/// A provider that hangs leaves the next one half of the time.
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

/// However many targets are left, a slow answer is waited for. Of a stream that has not begun, as long as is set.
#[tokio::test]
async fn what_is_only_slow_is_not_cut() {
    let start = Start::default()
        .set("TOLLGATE_UPSTREAM_TIMEOUT_SECONDS", "20")
        .set("TOLLGATE_FIRST_BYTE_TIMEOUT_SECONDS", "3");
    let app = App::start_with(start).await;
    let ask = async |models: &[&str], stream: bool| {
        let body = json!({ "models": models, "stream": stream,
            "messages": [{ "role": "user", "content": "Slowly?" }] });
        let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
        Answer::of(asked.json(&body)).await
    };
    let three = ["openai/gpt-4o", "openai/gpt-4o-mini", MODELS[1]];
    // More than a third of the time.
    let slow = Fault::Delay(Duration::from_secs(7));
    for (models, stream, attempts) in [
        (&three[..], false, ""),
        (&three[..], true, "openai/gpt-4o upstream_timeout"),
        // Without another there is no limit but that of the whole.
        (&three[..1], true, ""),
    ] {
        app.simulator.push_fault(slow);
        let answer = ask(models, stream).await;
        assert_eq!(answer.status, 200, "{models:?} {stream}: {}", answer.body);
        let tried = answer.header("x-tollgate-attempts");
        let tried = tried.rsplit_once(' ').map_or(tried, |(said, _)| said);
        assert_eq!(tried, attempts, "{models:?} {stream}");
    }
    app.close().await;
}

/// Asks twelve times at once, which is more than opens a breaker, and nobody answers in the first place.
async fn at_once(app: &App, models: &[&str]) -> Vec<Answer> {
    let body = json!({ "models": models, "messages": [{ "role": "user", "content": "Which?" }] });
    let mut asked = JoinSet::new();
    for _ in 0..12 {
        app.simulator.push_fault(Fault::Hang);
        let one = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
        asked.spawn(Answer::of(one.json(&body)));
    }
    asked.join_all().await
}

/// Whoever asks for much and leaves little time for it says nothing of the providers.
#[tokio::test]
async fn a_short_share_of_the_time_opens_no_breaker() {
    let start = measured().set("TOLLGATE_UPSTREAM_TIMEOUT_SECONDS", "4");
    let app = App::start_with(start).await;
    for answer in at_once(&app, &MODELS).await {
        let tried = answer.header("x-tollgate-attempts");
        assert!(tried.starts_with("openai/gpt-4o upstream_timeout "), "{tried}");
        assert_eq!(model(&answer), CLAUDE, "{}", answer.body);
    }
    let metrics = Scraped::of(&app).await;
    assert_eq!(
        metrics.count("tollgate_breaker_state", &[("provider", "openai"), ("endpoint", "")]),
        0
    );
    // With all of the time it does.
    for answer in at_once(&app, &MODELS[..1]).await {
        assert_eq!(answer.status, 408, "{}", answer.body);
    }
    let metrics = Scraped::of(&app).await;
    assert!(
        metrics.count("tollgate_breaker_state", &[("provider", "openai"), ("endpoint", "")]) > 0
    );
    app.close().await;
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

/// A request that is refused here says nothing of a provider whose breaker is half-open, and leaves the try to the next.
#[tokio::test]
async fn what_is_refused_here_is_no_probe() {
    let app = App::start_with(measured()).await;
    for _ in 0..10 {
        app.simulator.push_fault(Fault::Status(500));
        assert_eq!(model(&ask(&app, &MODELS).await), CLAUDE);
    }
    let openai = [("provider", "openai"), ("endpoint", "")];
    let begun = Instant::now();
    while Scraped::of(&app).await.count("tollgate_breaker_state", &openai) != 1 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not half-open");
    }
    // OpenAI has no word for it.
    let body = json!({ "models": MODELS, "top_k": 5, "messages": [{ "role": "user", "content": "Which?" }] });
    let asked = app.request(Method::POST, "/api/v1/chat/completions").bearer_auth(&app.key);
    let answer = Answer::of(asked.header("x-tollgate-strict", "true").json(&body)).await;
    let tried = answer.header("x-tollgate-attempts");
    assert!(tried.starts_with("openai/gpt-4o unsupported_parameter "), "{tried}: {}", answer.body);
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
        (json!({ "max_price": { "prompt": "2625e-3", "completion": 1e300 } }), "gpt-4o"),
        (json!({ "max_price": { "prompt": 2.62 } }), "gpt-4o-mini"),
        (json!({ "max_price": { "completion": 5 } }), "gpt-4o-mini"),
    ] {
        let answer = ask(wish.clone()).await;
        assert_eq!(model(&answer), expected, "{wish}: {}", answer.body);
    }
    for (wish, status, words) in [
        (json!({ "max_price": { "prompt": 0.01 } }), 404, "and you allow $0.01"),
        // As Python and JavaScript write small numbers.
        (json!({ "max_price": { "prompt": 1e-5 } }), 404, "and you allow $0.00001"),
        (json!({ "max_price": { "prompt": "cheap" } }), 400, "expected dollars per million tokens"),
        (json!({ "max_price": { "prompt": -1 } }), 400, "expected dollars per million tokens"),
        (json!({ "max_price": { "prompt": -1e300 } }), 400, "expected dollars per million tokens"),
        (json!({ "max_price": { "image": 1 } }), 400, "only prompt and completion"),
        (json!({ "max_price": { "request": 1 } }), 400, "only prompt and completion"),
        (json!({ "sort": "beauty" }), 400, "provider.sort"),
        (json!({ "zdr": true }), 400, "provider.zdr"),
        (json!({ "data_collection": "deny" }), 400, "provider.data_collection"),
        (
            json!({ "quantizations": ["fp8"], "require_parameters": true }),
            400,
            "cannot carry: provider.quantizations",
        ),
    ] {
        let answer = ask(wish.clone()).await;
        let text = answer.body.to_string();
        assert!(answer.status == status && text.contains(words), "{wish}: {text}");
    }
    for (wish, dropped) in [
        (json!({ "zdr": false, "data_collection": "allow", "quantizations": null }), ""),
        (
            json!({ "quantizations": ["fp8"], "enforce_distillable_text": true }),
            "provider.enforce_distillable_text, provider.quantizations",
        ),
    ] {
        let answer = ask(wish.clone()).await;
        assert_eq!((answer.status, answer.header("x-tollgate-dropped")), (200, dropped), "{wish}");
    }
    app.close().await;
}
