//! What the simulator remembers, and how it is run.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{CannedStream, Fault, Provider, Simulator};

use crate::sse::events;
use crate::talk::{APIS, Kind};
use crate::{ANYWHERE, ask, path, post, say, start};

#[tokio::test]
async fn requests_are_kept_as_they_came() {
    let sim = start().await;
    let request = post(&sim, Provider::Gemini, &format!("{}?alt=json", path(Provider::Gemini)));
    let request = request.header("x-mark", "7").json(&ask(Provider::Gemini, "Hello"));
    assert_eq!(request.send().await.expect("sent").status(), 200);
    let seen = sim.seen();
    assert_eq!(sim.count(), 1);
    assert_eq!(seen[0].method, "POST");
    assert_eq!(seen[0].path, path(Provider::Gemini));
    assert_eq!(seen[0].query.as_deref(), Some("alt=json"));
    assert_eq!(seen[0].headers["x-mark"], "7");
    assert!(seen[0].headers.contains_key("x-goog-api-key"), "credentials are kept as well");
    let body: Value = serde_json::from_slice(&seen[0].body).expect("JSON");
    assert_eq!(body, ask(Provider::Gemini, "Hello"));
}

#[tokio::test]
async fn the_last_thousand_requests_are_kept() {
    let sim = Simulator::new().canned(true).start(ANYWHERE).await.expect("a free port");
    let client = reqwest::Client::new();
    let url = format!("{}{}", sim.url(), path(Provider::OpenAi));
    for number in 0..1003 {
        client.post(&url).body(number.to_string()).send().await.expect("sent");
    }
    let seen = sim.seen();
    assert_eq!((sim.count(), seen.len()), (1003, 1000));
    assert_eq!(seen[0].body, "3");
    assert_eq!(seen[999].body, "1002");
}

#[tokio::test]
async fn keeping_requests_can_be_switched_off() {
    let sim = Simulator::new().keep_requests(false).start(ANYWHERE).await.expect("a free port");
    say(&sim, Provider::OpenAi, "Hello").await;
    assert_eq!((sim.count(), sim.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_canned_answer_is_always_the_same() {
    let sim = Simulator::new().canned(true).start(ANYWHERE).await.expect("a free port");
    for provider in Provider::ALL {
        let first = say(&sim, provider, "Hello").await.text().await.expect("text");
        let second = say(&sim, provider, "Goodbye").await.text().await.expect("text");
        assert_eq!(first, second);
        assert!(serde_json::from_str::<Value>(&first).is_ok());
    }
}

#[tokio::test]
async fn a_canned_stream_has_as_many_events_as_it_was_told() {
    let stream = CannedStream { events: 250, gap: Duration::ZERO };
    let sim = Simulator::new().canned_stream(stream).start(ANYWHERE).await.expect("a free port");
    for api in APIS {
        let response = api.send(&sim, &api.ask("Hello"), true).await;
        let events = events(&response.text().await.expect("text"));
        let first =
            events.iter().map(|event| event.data.to_string()).find(|data| data.contains("word "));
        assert!(first.is_some(), "{api:?}");
        let with_text = events.iter().filter(|event| {
            // Some formats repeat the text at the end.
            let places = ["/delta", "/delta/text", "/choices/0/delta/content"];
            places.iter().any(|place| {
                event.data.pointer(place).is_some_and(|piece| *piece == "word " || *piece == "word")
            })
        });
        let expected = if api.kind == Kind::Gemini { 0 } else { 250 };
        assert_eq!(with_text.count(), expected, "{api:?}");
        let again = api.send(&sim, &api.ask("Goodbye"), true).await;
        assert_eq!(crate::sse::events(&again.text().await.expect("text")).len(), events.len());
    }
}

#[tokio::test]
async fn a_canned_stream_can_be_paced_and_can_fail() {
    let stream = CannedStream { events: 10, gap: Duration::from_millis(5) };
    let sim = Simulator::new().canned_stream(stream).start(ANYWHERE).await.expect("a free port");
    let api = APIS[0];
    let begun = Instant::now();
    api.send(&sim, &api.ask("Hello"), true).await.text().await.expect("text");
    assert!(begun.elapsed() >= Duration::from_millis(50));
    sim.push_fault(Fault::CutAfter(2));
    let cut = api.send(&sim, &api.ask("Hello"), true).await;
    assert!(cut.text().await.is_err());
    sim.push_fault(Fault::Status(503));
    assert_eq!(api.send(&sim, &api.ask("Hello"), true).await.status(), 503);
}

#[tokio::test]
async fn two_simulators_give_the_same_answers() {
    let (one, two) = (start().await, start().await);
    for provider in Provider::ALL {
        let first = say(&one, provider, "Hello").await.text().await.expect("text");
        let second = say(&two, provider, "Hello").await.text().await.expect("text");
        assert_eq!(first, second);
    }
}

#[tokio::test]
async fn http2_without_tls_is_spoken() {
    let sim = start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let url = format!("{}{}", sim.url(), path(Provider::OpenAi));
    let request = client.post(url).bearer_auth("k").json(&ask(Provider::OpenAi, "Hello"));
    let response = request.send().await.expect("sent");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_stopped_simulator_takes_no_connections() {
    let sim = start().await;
    let url = sim.url();
    assert_eq!(say(&sim, Provider::OpenAi, "Hello").await.status(), 200);
    sim.stop().await;
    assert!(reqwest::get(url).await.expect_err("refused").is_connect());
}
