//! Each fault, asked for in each of the three ways.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Fault, Provider, Simulator};

use crate::{ANYWHERE, ask, is_error_of, path, post, result, say, start};

#[tokio::test]
async fn a_status_has_the_shape_of_its_provider() {
    let sim = start().await;
    for provider in Provider::ALL {
        for status in [400, 401, 402, 403, 404, 422, 429, 500, 503, 504, 529] {
            let (got, body) =
                result(&sim, provider, &ask(provider, &format!("fault:status:{status}"))).await;
            assert_eq!(got, status, "{provider}");
            assert!(is_error_of(provider, status, &body), "{provider} {status}: {body}");
        }
    }
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    let sim = start().await;
    for provider in Provider::ALL {
        let response = say(&sim, provider, "fault:429:7").await;
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "7");
        let body: Value = response.json().await.expect("JSON");
        assert!(is_error_of(provider, 429, &body), "{body}");
        if provider == Provider::Gemini {
            assert_eq!(body["error"]["details"][0]["retryDelay"], "7s");
        }
    }
}

#[tokio::test]
async fn a_careless_provider_repeats_the_credential() {
    let sim = start().await;
    for provider in Provider::ALL {
        for status in [200, 400, 500] {
            let (got, body) =
                result(&sim, provider, &ask(provider, &format!("fault:echo:{status}"))).await;
            assert_eq!(got, status, "{provider}");
            assert!(body.to_string().contains("sk-test"), "{provider}: {body}");
        }
    }
}

#[tokio::test]
async fn a_delay_is_waited_for_and_then_answered() {
    let sim = start().await;
    let start = Instant::now();
    let response = say(&sim, Provider::OpenAi, "fault:delay:60").await;
    assert_eq!(response.status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_cut_sends_half_of_what_it_promised() {
    let sim = start().await;
    for provider in Provider::ALL {
        let mut response = say(&sim, provider, "fault:cut").await;
        assert_eq!(response.status(), 200);
        let promised = response.content_length().expect("a length");
        let mut received = 0;
        let error = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => received += chunk.len() as u64,
                Ok(None) => panic!("{provider}: the body ended as if it were whole"),
                Err(error) => break error,
            }
        };
        assert!(error.is_body() || error.is_decode(), "{error:?}");
        assert_eq!(received, promised / 2, "{provider}");
    }
}

#[tokio::test]
async fn a_cut_is_seen_over_http2_as_well() {
    let sim = start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let url = format!("{}{}", sim.url(), path(Provider::OpenAi));
    let request = client.post(url).bearer_auth("k").json(&ask(Provider::OpenAi, "fault:cut"));
    let response = request.send().await.expect("headers");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn a_hang_lasts_until_the_simulator_stops() {
    let sim = start().await;
    let request = post(&sim, Provider::OpenAi, path(Provider::OpenAi));
    let request = request.json(&ask(Provider::OpenAi, "fault:hang"));
    let request = request.timeout(Duration::from_millis(100));
    assert!(request.send().await.expect_err("no answer").is_timeout());
    sim.push_fault(Fault::Hang);
    let request = post(&sim, Provider::OpenAi, path(Provider::OpenAi));
    let pending = request.json(&ask(Provider::OpenAi, "Hello")).send();
    let stopping = async {
        while sim.count() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sim.stop().await;
    };
    let (answer, ()) = tokio::join!(pending, stopping);
    assert!(answer.is_err());
}

#[tokio::test]
async fn garbage_and_emptiness_come_with_status_200() {
    let sim = start().await;
    for provider in Provider::ALL {
        let response = say(&sim, provider, "fault:garbage").await;
        assert_eq!(response.status(), 200);
        let text = response.text().await.expect("text");
        assert!(!text.is_empty() && serde_json::from_str::<Value>(&text).is_err());
        let response = say(&sim, provider, "fault:empty").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.text().await.expect("text"), "");
    }
}

#[tokio::test]
async fn usage_can_be_left_out() {
    let sim = start().await;
    for provider in Provider::ALL {
        let (status, body) = result(&sim, provider, &ask(provider, "fault:no_usage")).await;
        assert_eq!(status, 200);
        assert!(body.get("usage").is_none() && body.get("usageMetadata").is_none());
        assert!(body.get("id").is_some() || body.get("candidates").is_some());
    }
}

#[tokio::test]
async fn queued_faults_come_first_and_in_order() {
    let sim = start().await;
    sim.push_fault(Fault::Status(500));
    sim.push_fault(Fault::RateLimited { retry_after_seconds: 1 });
    let models = reqwest::Client::new().get(format!("{}/models", sim.url())).bearer_auth("k");
    assert_eq!(models.send().await.expect("sent").status(), 200, "not a chat request");
    assert_eq!(say(&sim, Provider::OpenAi, "fault:status:503").await.status(), 500);
    assert_eq!(say(&sim, Provider::Gemini, "Hello").await.status(), 429);
    assert_eq!(say(&sim, Provider::OpenAi, "Hello").await.status(), 200);
}

#[tokio::test]
async fn a_standing_fault_gives_way_to_one_that_is_asked_for() {
    let sim = Simulator::new().fault(Fault::Status(503));
    let sim = sim.start(ANYWHERE).await.expect("a free port");
    assert_eq!(say(&sim, Provider::OpenAi, "Hello").await.status(), 503);
    assert_eq!(say(&sim, Provider::OpenAi, "fault:status:500").await.status(), 500);
}

#[tokio::test]
async fn an_unknown_fault_is_an_error_that_names_it() {
    let sim = start().await;
    let (status, body) =
        result(&sim, Provider::Anthropic, &ask(Provider::Anthropic, "fault:status:99")).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().expect("text").contains("'status:99'"));
}
