//! What the simulator remembers, and how it is run.

use serde_json::Value;
use testkit::{Provider, Simulator};

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
