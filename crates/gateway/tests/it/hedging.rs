//! A second endpoint is asked for a stream whose provider takes long to begin. One of the two is relayed and charged.

use std::time::{Duration, Instant};

use ledger::{Outcome, Receipt};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use testkit::{Fault, Running};
use tokio::task::JoinSet;

use crate::app::{Answer, App, Start};
use crate::books::Books;
use crate::credentials::{MASTER_KEY, master};
use crate::endpoints::{add, elsewhere};
use crate::faults::settled;

const SECOND: Duration = Duration::from_secs(1);

/// A gateway that does not wait long, with a spare endpoint of OpenAI's.
async fn app(settings: &[(&'static str, &'static str)]) -> (App, Running) {
    let start = Start::default().set(MASTER_KEY, master(1)).set("TOLLGATE_HEDGE_AFTER_MS", "500");
    let start = settings.iter().fold(start, |start, (name, value)| start.set(name, *value));
    let mut app = App::start_on(Books::sqlite(), start).await;
    let spare = elsewhere().await;
    add(&app, &spare, "spare", &["--priority", "1"]).await;
    // So that it is known.
    app.kill().await;
    app.restart().await;
    (app, spare)
}

async fn ask(app: &App, stream: bool) -> Answer {
    Answer::of(request(app, stream)).await
}

fn request(app: &App, stream: bool) -> RequestBuilder {
    let body = json!({
        "model": "openai/gpt-4o", "stream": stream,
        "messages": [{ "role": "user", "content": "Are you there?" }],
    });
    app.request(Method::POST, "/v1/chat/completions").bearer_auth(&app.key).json(&body)
}

/// Which attempt has answered and where, and what is said of the other.
fn told(receipt: &Receipt) -> String {
    let route = receipt.report.route.clone().unwrap_or_default();
    let place = |endpoint: Option<String>| endpoint.unwrap_or_else(|| "own".to_owned());
    let tried = route.tried.into_iter().map(|tried| {
        let error = tried.error;
        format!(", {} {error}", place(tried.endpoint))
    });
    format!("{} {}", receipt.attempt, place(route.endpoint)) + &tried.collect::<String>()
}

#[tokio::test]
async fn the_first_that_begins_is_relayed_and_charged_alone() {
    let (app, spare) = app(&[]).await;
    // Nobody is asked twice who answers soon.
    assert_eq!(ask(&app, true).await.status, 200);
    assert_eq!(spare.count(), 0);
    // The first would never have answered.
    let begun = Instant::now();
    app.simulator.push_fault(Fault::Hang);
    let answer = ask(&app, true).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(begun.elapsed() < 20 * SECOND);
    let tried = answer.header("x-tollgate-attempts").to_owned();
    assert!(tried.starts_with("openai/gpt-4o hedged ") && tried.ends_with("ms"), "{tried}");
    // The second never would.
    app.simulator.push_fault(Fault::Delay(3 * SECOND));
    spare.push_fault(Fault::Hang);
    let answer = ask(&app, true).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.header("x-tollgate-attempts").starts_with("openai@spare/gpt-4o hedged "));
    // The second fails, and the first answers after all.
    app.simulator.push_fault(Fault::Delay(3 * SECOND));
    spare.push_fault(Fault::Status(500));
    assert_eq!(ask(&app, true).await.status, 200);
    // What comes whole takes long because there is much of it.
    let before = spare.count();
    app.simulator.push_fault(Fault::Delay(SECOND));
    assert_eq!(ask(&app, false).await.status, 200);
    assert_eq!(spare.count(), before);
    let receipts = app.close().await;
    let expected = [
        "1 own",
        "2 spare, own hedged",
        "1 own, spare hedged",
        "1 own, spare upstream_error",
        "1 own",
    ];
    assert_eq!(receipts.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(receipts.iter().all(|r| r.outcome == Outcome::Ok && r.charge.pico() > 0));
}

/// So many at once; each has to be answered.
async fn all(app: &App, count: usize) {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        asked.spawn(Answer::of(request(app, true)));
    }
    for answer in asked.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// Each attempt is in the metrics once. An endpoint that was asked first and loses does badly, one that was asked second need not.
#[tokio::test]
async fn what_is_given_up_counts() {
    const MANY: usize = 10;
    let metrics = ("TOLLGATE_METRICS_ADDR", "127.0.0.1:0");
    let (app, spare) = app(&[metrics, ("TOLLGATE_HEDGE_AFTER_MS", "100")]).await;
    let check = async |requests: usize, failed: usize, hedged: usize| {
        let metrics = settled(&app, requests).await;
        let expected = [("ok", requests), ("failed", failed), ("hedged", hedged)];
        for (result, count) in expected {
            let labels = [("provider", "openai"), ("result", result)];
            let counted = metrics.count("tollgate_upstream_attempts_total", &labels);
            assert_eq!(counted, count as u64, "{result} of {requests} requests");
        }
        ["", "spare"].map(|endpoint| {
            let labels = [("provider", "openai"), ("endpoint", endpoint)];
            metrics.count("tollgate_breaker_state", &labels) > 0
        })
    };
    app.simulator.push_fault(Fault::Delay(SECOND));
    spare.push_fault(Fault::Status(500));
    all(&app, 1).await;
    check(1, 1, 0).await;
    for _ in 0..MANY {
        app.simulator.push_fault(Fault::Delay(SECOND));
        spare.push_fault(Fault::Hang);
    }
    all(&app, MANY).await;
    assert_eq!(check(1 + MANY, 1, MANY).await, [false, false]);
    // As many failures as there were answers.
    (0..=MANY).for_each(|_| app.simulator.push_fault(Fault::Hang));
    all(&app, 1 + MANY).await;
    assert_eq!(check(2 + 2 * MANY, 1, 1 + 2 * MANY).await, [true, false]);
    app.close().await;
}

#[tokio::test]
async fn where_both_fail_the_client_is_told_and_nothing_is_charged() {
    let (app, spare) = app(&[("TOLLGATE_UPSTREAM_TIMEOUT_SECONDS", "2")]).await;
    app.simulator.push_fault(Fault::Hang);
    spare.push_fault(Fault::Status(500));
    let answer = ask(&app, true).await;
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert_eq!((app.simulator.count(), spare.count()), (1, 1));
    let receipts = app.close().await;
    let [receipt] = &receipts[..] else { panic!("one receipt: {receipts:?}") };
    assert_eq!(told(receipt), "2 spare, own upstream_timeout, spare upstream_error");
    assert_eq!((receipt.outcome, receipt.charge.pico()), (Outcome::Failed, 0));
}
