//! What happens at a moment, while requests come and go: credit ends, and a budget is set.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its runtime, and what it spawned with it"
)]

use ledger::Usd;
use serde_json::Value;

use crate::app::{App, USER};
use crate::chat::say;

/// A chat with a ceiling, so that it can be paid for.
fn short() -> Value {
    let mut chat = say("openai", "gpt-4o", "Hello");
    chat["max_tokens"] = 16.into();
    chat
}

/// Whoever asks without a pause is answered until the credit expires, and by nothing of it from then on.
#[tokio::test]
async fn credit_ends_at_its_moment() {
    let mut app = App::start().await;
    app.books.cli(&["user", "set", USER, "--pays", "first"]).await;
    let end = jiff::Timestamp::now().as_microsecond() + 4_000_000;
    let at = jiff::Timestamp::from_microsecond(end).expect("a moment").to_string();
    app.books.cli(&["credit", "add", "--user", USER, "--usd", "5", "--expires-at", &at]).await;
    app.kill().await;
    app.restart().await;
    let mut answered = 0_u64;
    loop {
        let answer = app.chat(&short()).send().await.expect("an answer");
        if answer.status() == 402 {
            break;
        }
        assert_eq!(answer.status(), 200);
        answered += 1;
    }
    assert!(answered > 0);
    let receipts = app.finish().await;
    assert!(
        receipts.iter().all(|receipt| receipt.started_at < end),
        "credit was spent that had expired"
    );
    app.books.audit().await;
}

/// A budget counts what was admitted before it was set, once that has ended.
#[tokio::test]
async fn a_budget_counts_what_was_under_way() {
    let mut app = App::start().await;
    app.simulator.push_fault("delay:4000".parse().expect("a fault"));
    let sent = app.simulator.count();
    let first = tokio::spawn(app.chat(&say("openai", "gpt-4o", "A long one")).send());
    while app.simulator.count() == sent {
        tokio::task::yield_now().await;
    }
    let budget = ["--user", USER, "--period", "total", "--usd", "5"];
    app.books.cli(&[&["budget", "set"][..], &budget].concat()).await;
    let scopes = async || app.books.count("SELECT 1 FROM tollgate.budget_periods").await;
    // Until the program has heard of the budget.
    while scopes().await == 0 {
        app.chatted(&short()).await;
    }
    assert_eq!(first.await.expect("a task").expect("an answer").status(), 200);
    let receipts = app.finish().await;
    let spent = receipts.iter().fold(0, |sum, receipt| sum + receipt.charge.pico());
    let listed = app.books.cli_json(&["budget", "list"]).await;
    assert_eq!(listed[0]["spent"], Usd::from_pico(spent).to_string());
    app.books.audit().await;
}
