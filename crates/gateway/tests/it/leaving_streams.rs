//! Clients that hang up in the middle of a stream, streams under way at the program's end, and the receipt that is there
//! before a stream's last frame.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its runtime, and what it spawned with it"
)]

use std::time::{Duration, Instant};

use ledger::{Outcome, UsageSource};

use crate::app::{App, Start};
use crate::chat::MODELS;
use crate::speak::{Client, Told};

/// So many words, which come one by one.
fn words(count: u32) -> String {
    (0..count).map(|number| format!("word {number}")).collect::<Vec<_>>().join(", ")
}

/// A model of a provider for a client of its own dialect and one of another.
const PAIRS: [(Client, &str, &str); 9] = [
    (Client::Chat, "openai", "gpt-4o"),
    (Client::Responses, "openai", "gpt-4o"),
    (Client::Messages, "openai", "gpt-4o"),
    (Client::Messages, "anthropic", "claude-sonnet-4-5"),
    (Client::Chat, "anthropic", "claude-sonnet-4-5"),
    (Client::Chat, "deepseek", "deepseek-v4-flash"),
    (Client::Gemini, "deepseek", "deepseek-v4-flash"),
    (Client::Gemini, "gemini", "gemini-2.5-flash"),
    (Client::Native, "gemini", "gemini-2.5-flash"),
];

impl App {
    /// Begins a slow stream and returns once its first words are there.
    async fn begin(
        &self,
        (client, provider, model): (Client, &str, &str),
        fault: &str,
    ) -> reqwest::Response {
        self.simulator.push_fault(fault.parse().expect("a fault"));
        let body = client.ask(provider, model, &format!("say:{}", words(200)), true);
        let mut response = client.send(self, model, &body, true).send().await.expect("a head");
        assert_eq!(response.status(), 200);
        let mut text = String::new();
        // More than the frames that open a stream.
        while text.len() < 3_000 || !text.contains("word") {
            let chunk = response.chunk().await.expect("a stream").expect("bytes");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        response
    }

    /// Waits until the bill has output tokens of so many requests, by asking as a client does.
    async fn until_billed(&self, what: impl Fn(u64, u64) -> bool) {
        let start = Instant::now();
        loop {
            let paid = self.price_to_pay().await;
            let count = |name: &str| paid[name].as_u64().expect("a count");
            if what(count("total_input_tokens"), count("total_output_tokens")) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "{paid}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Where the provider stops to charge, its stream is cancelled at once; what came of it is paid.
#[tokio::test]
async fn a_client_that_hangs_up_in_mid_stream() {
    let app = App::start().await;
    let cancelled: Vec<_> =
        PAIRS.into_iter().filter(|(_, provider, _)| *provider != "gemini").collect();
    for (index, pair) in cancelled.iter().enumerate() {
        // Would take six seconds.
        let response = app.begin(*pair, "slow:15").await;
        drop(response);
        let count = u64::try_from(index + 1).expect("small");
        until("the provider's stream is cancelled", || app.simulator.aborted() == count).await;
        let least = count;
        app.until_billed(|input, output| input >= 250 * count && output >= least).await;
    }
    let receipts = app.close().await;
    assert_eq!(receipts.len(), cancelled.len());
    for receipt in receipts {
        assert_eq!(receipt.outcome, Outcome::ClientGone, "{receipt:?}");
        assert_eq!(receipt.usage_source, UsageSource::Estimated, "{receipt:?}");
        assert!(receipt.charge.pico() > 0, "{receipt:?}");
        let total = receipt.report.total();
        // Some of the words, and by far not all.
        assert!((1..300).contains(&total.output_tokens()), "{receipt:?}");
        assert!(total.input_tokens() > 250, "{receipt:?}");
    }
}

/// Gemini charges for all of it, so that all of it is read, and its own figures count.
#[tokio::test]
async fn what_cannot_be_cancelled_is_read_to_its_end() {
    let app = App::start().await;
    let pairs: Vec<_> =
        PAIRS.into_iter().filter(|(_, provider, _)| *provider == "gemini").collect();
    for (index, pair) in pairs.iter().enumerate() {
        let response = app.begin(*pair, "slow:2").await;
        drop(response);
        let count = u64::try_from(index + 1).expect("small");
        let all = u64::try_from(words(200).trim().len().div_ceil(4)).expect("small");
        app.until_billed(|_, output| output == all * count).await;
    }
    assert_eq!(app.simulator.aborted(), 0);
    for receipt in app.close().await {
        assert_eq!(receipt.outcome, Outcome::ClientGone, "{receipt:?}");
        assert_eq!(receipt.usage_source, UsageSource::Provider, "{receipt:?}");
    }
}

/// What goes on without its client and falls silent comes to an end, also where a retry may ask for its answer.
#[tokio::test]
async fn what_falls_silent_behind_its_client() {
    let app = App::start_with(Start::default().set("TOLLGATE_STREAM_IDLE_SECONDS", "1")).await;
    let (client, provider, model) = (Client::Gemini, "gemini", "gemini-2.5-flash");
    let body = client.ask(provider, model, &format!("say:{}", words(200)), true);
    for key in [None, Some("once")] {
        app.simulator.push_fault("hang:40".parse().expect("a fault"));
        let mut request = client.send(&app, model, &body, true);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let mut response = request.send().await.expect("a head");
        let chunk = response.chunk().await.expect("a stream").expect("bytes");
        assert!(String::from_utf8_lossy(&chunk).contains("word"), "{chunk:?}");
        drop(response);
    }
    app.until_billed(|input, output| input >= 500 && output > 0).await;
    let receipts = app.close().await;
    let mut outcomes: Vec<Outcome> = receipts.iter().map(|receipt| receipt.outcome).collect();
    outcomes.sort_by_key(|outcome| *outcome as u8);
    assert_eq!(outcomes, [Outcome::ClientGone, Outcome::UpstreamFailed]);
}

/// A client that hangs up before it has a head has asked all the same.
#[tokio::test]
async fn a_client_that_hangs_up_before_the_head() {
    let app = App::start().await;
    for (index, (client, provider, model)) in PAIRS.into_iter().enumerate() {
        app.simulator.push_fault("delay:300".parse().expect("a fault"));
        let body = client.ask(provider, model, &format!("say:{}", words(40)), true);
        let waiting = tokio::spawn(client.send(&app, model, &body, true).send());
        let asked = u64::try_from(index + 1).expect("small");
        until("the provider is asked", || app.simulator.count() == asked).await;
        waiting.abort();
        assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
    }
    // The end waits for what is under way.
    let receipts = app.close().await;
    assert_eq!(receipts.len(), PAIRS.len());
    for receipt in receipts {
        assert_eq!(receipt.outcome, Outcome::ClientGone, "{receipt:?}");
        let read = receipt.usage_source == UsageSource::Provider;
        assert_eq!(read, receipt.provider == "gemini", "{receipt:?}");
        assert!(receipt.charge.pico() > 0, "{receipt:?}");
    }
}

#[tokio::test]
async fn a_stream_under_way_is_finished_at_the_end() {
    let mut app = App::start().await;
    let mut streams = Vec::new();
    for pair in PAIRS {
        streams.push((pair, app.begin(pair, "slow:2").await));
    }
    app.signal("TERM").await;
    for ((client, ..), mut response) in streams {
        let mut rest = String::new();
        while let Some(chunk) = response.chunk().await.expect("a whole stream") {
            rest.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert!(is_end(client, &rest), "{client:?}: {rest}");
    }
    assert_eq!(app.ended().await.code(), Some(0), "{}", app.written_log());
    app.books.audit().await;
    let receipts = app.books.receipts().await;
    assert_eq!(receipts.len(), PAIRS.len());
    for receipt in receipts {
        assert_eq!((receipt.outcome, receipt.usage_source), (Outcome::Ok, UsageSource::Provider));
    }
}

/// Whether a text has what the client takes for the end.
fn is_end(client: Client, text: &str) -> bool {
    text.contains(match client {
        Client::Messages => "event: message_stop",
        Client::Responses => "event: response.completed",
        Client::Gemini => "\"finishReason\"",
        _ => "data: [DONE]",
    })
}

/// Who has read the last frame, and not a byte more, finds it on the bill; every time.
#[tokio::test]
async fn the_receipt_is_there_before_the_end() {
    let app = App::start().await;
    let mut asked = 0;
    let mut last = 0;
    for round in 0..200 {
        let (client, provider, model) = PAIRS[round % PAIRS.len()];
        let body = client.ask(provider, model, "Is it on the bill?", true);
        let mut response = client.send(&app, model, &body, true).send().await.expect("a head");
        let mut text = String::new();
        while !is_end(client, &text) {
            let chunk = response.chunk().await.expect("a stream").expect("an end");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        let paid = app.price_to_pay().await;
        let tokens = paid["total_tokens"].as_u64().expect("a count");
        asked += 1;
        assert!(tokens > last, "{client:?} × {model} in round {round} is not on the bill: {text}");
        last = tokens;
        drop(response);
    }
    assert_eq!(app.close().await.len(), asked);
}

/// The same for whole answers.
#[tokio::test]
async fn the_receipt_is_there_before_the_answer() {
    let app = App::start().await;
    let mut last = 0;
    for client in Client::ALL {
        for (provider, model) in MODELS {
            let body = client.ask(provider, model, "Is it on the bill?", false);
            assert_eq!(Told::of(client, client.send(&app, model, &body, false)).await.status, 200);
            let tokens = app.price_to_pay().await["total_tokens"].as_u64().expect("a count");
            assert!(tokens > last, "{client:?} × {model}");
            last = tokens;
        }
    }
    app.close().await;
}
