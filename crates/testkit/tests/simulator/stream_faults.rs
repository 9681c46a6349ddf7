//! What can go wrong with a stream, in every format.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Fault, Provider};

use crate::sse::events;
use crate::start;
use crate::talk::{APIS, Api, Kind};

const SAID: &str = "How much is a lorry?";

/// What arrives of a body, and whether it ended properly.
async fn received(mut response: reqwest::Response) -> (String, bool) {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break (String::from_utf8(bytes).expect("text"), true),
            Err(_) => break (String::from_utf8(bytes).expect("text"), false),
        }
    }
}

async fn with(sim: &testkit::Running, api: Api, fault: Fault) -> (String, bool) {
    sim.push_fault(fault);
    let response = api.send(sim, &api.ask(SAID), true).await;
    assert_eq!(response.status(), 200, "{api:?}");
    received(response).await
}

#[tokio::test]
async fn a_stream_is_cut_after_so_many_events() {
    let sim = start().await;
    for api in APIS {
        for count in [0, 1, 3] {
            let (text, whole) = with(&sim, api, Fault::CutAfter(count)).await;
            assert_eq!((events(&text).len(), whole), (count, false), "{api:?}");
        }
        let (all, _) = with(&sim, api, Fault::Slow(Duration::ZERO)).await;
        let (half, whole) = with(&sim, api, Fault::Cut).await;
        assert_eq!((events(&half).len(), whole), (events(&all).len() / 2, false), "{api:?}");
    }
}

#[tokio::test]
async fn an_event_can_be_torn() {
    let sim = start().await;
    for api in APIS {
        let (all, _) = with(&sim, api, Fault::Slow(Duration::ZERO)).await;
        let (torn, whole) = with(&sim, api, Fault::TearAfter(2)).await;
        let (two, _) = with(&sim, api, Fault::CutAfter(2)).await;
        let (three, _) = with(&sim, api, Fault::CutAfter(3)).await;
        assert!(!whole && two.len() < torn.len() && torn.len() < three.len(), "{api:?}: {torn}");
        let (last, _) = with(&sim, api, Fault::TearAfter(1_000)).await;
        assert_eq!(events(&last).len(), events(&all).len(), "{api:?}");
    }
}

#[tokio::test]
async fn a_message_asks_for_a_fault_of_an_answer() {
    let sim = start().await;
    for api in APIS {
        let ask = |message: &str| api.ask(message);
        let (all, whole) = received(
            api.send(&sim, &ask("say:one two three four five six seven eight nine ten"), true)
                .await,
        )
        .await;
        assert!(whole && all.contains("three"), "{api:?}: {all}");
        let cut = ask("fault:cut:3\nsay:one two three four five six seven eight nine ten");
        let (cut, whole) = received(api.send(&sim, &cut, true).await).await;
        assert_eq!((events(&cut).len(), whole), (3, false), "{api:?}");
        let slow = ask("fault:slow:0\nsay:one two three four five six seven eight nine ten");
        let (slow, _) = received(api.send(&sim, &slow, true).await).await;
        assert!(slow.contains("three") && !slow.contains("fault:"), "{api:?}: {slow}");
    }
}

#[tokio::test]
async fn an_error_in_the_middle_has_the_form_of_its_format() {
    let sim = start().await;
    for api in APIS {
        let (text, whole) = with(&sim, api, Fault::ErrorAfter(3)).await;
        let events = events(&text);
        assert!(whole && events.len() == 4, "{api:?}: {text}");
        let last = &events[3];
        match api.kind {
            Kind::Chat => assert!(last.data["error"]["message"].is_string() && last.name.is_none()),
            Kind::Responses => {
                assert_eq!(last.name.as_deref(), Some("error"));
                assert_eq!(last.data["code"], "server_error");
                assert_eq!(last.data["sequence_number"], 3);
            }
            Kind::Messages => {
                assert_eq!(last.name.as_deref(), Some("error"));
                assert_eq!(last.data["error"]["type"], "overloaded_error");
            }
            Kind::Gemini => assert_eq!(last.data["error"]["status"], "UNAVAILABLE"),
        }
    }
}

#[tokio::test]
async fn garbage_comes_among_good_events() {
    let sim = start().await;
    for api in APIS {
        let (good, _) = with(&sim, api, Fault::Slow(Duration::ZERO)).await;
        let (text, whole) = with(&sim, api, Fault::GarbageAfter(2)).await;
        assert!(whole, "{api:?}");
        let text = text.replace("\r\n", "\n");
        let frames: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(frames.len(), events(&good).len() + 1, "{api:?}");
        let bad = |frame: &&&str| {
            let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
            data != "[DONE]" && serde_json::from_str::<Value>(data).is_err()
        };
        assert_eq!(frames.iter().filter(bad).count(), 1, "{api:?}");
    }
}

#[tokio::test]
async fn the_end_can_be_missing() {
    let sim = start().await;
    for api in APIS {
        let (text, whole) = with(&sim, api, Fault::Unterminated).await;
        assert!(whole, "the body ends properly");
        let events = events(&text);
        let ended = events.iter().any(|event| match api.kind {
            Kind::Chat => event.data.is_null(),
            Kind::Responses => event.name.as_deref() == Some("response.completed"),
            Kind::Messages => event.name.as_deref() == Some("message_stop"),
            Kind::Gemini => event.data["candidates"][0].get("finishReason").is_some(),
        });
        assert!(!ended && !events.is_empty(), "{api:?}");
    }
}

#[tokio::test]
async fn a_stream_can_fall_silent() {
    let sim = start().await;
    for api in APIS {
        sim.push_fault(Fault::HangAfter(2));
        let mut response = api.send(&sim, &api.ask(SAID), true).await;
        let mut text = String::new();
        while events(&text).len() < 2 {
            let chunk = response.chunk().await.expect("a chunk").expect("a chunk");
            text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
        let more = tokio::time::timeout(Duration::from_millis(50), response.chunk()).await;
        assert!(more.is_err(), "{api:?}");
    }
}

#[tokio::test]
async fn events_can_be_slow() {
    let sim = start().await;
    for api in APIS {
        let begun = Instant::now();
        let (text, whole) = with(&sim, api, Fault::Slow(Duration::from_millis(3))).await;
        let gaps = u32::try_from(events(&text).len() - 1).expect("few");
        assert!(whole && begun.elapsed() >= Duration::from_millis(3) * gaps, "{api:?}");
    }
}

#[tokio::test]
async fn pieces_and_signs_of_life_change_nothing() {
    let sim = start().await;
    for api in APIS {
        let (plain, _) = with(&sim, api, Fault::Slow(Duration::ZERO)).await;
        let plain = events(&plain);
        for size in [1, 7] {
            let (text, whole) = with(&sim, api, Fault::Pieces(size)).await;
            assert!(whole && events(&text).len() == plain.len(), "{api:?}");
        }
        let (text, whole) = with(&sim, api, Fault::KeepAlive(2)).await;
        assert!(whole, "{api:?}");
        let signal = match api.kind {
            Kind::Chat | Kind::Responses => ": keep-alive\n\n: keep-alive\n\n",
            Kind::Messages => {
                "event: ping\ndata: {\"type\": \"ping\"}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n"
            }
            Kind::Gemini => "\r\n\r\n",
        };
        let rest = text.strip_prefix(signal).unwrap_or_else(|| panic!("{api:?}: {text}"));
        assert_eq!(events(rest).len(), plain.len(), "{api:?}");
    }
}

#[tokio::test]
async fn usage_can_be_left_out_of_a_stream() {
    let sim = start().await;
    for api in APIS {
        let (text, whole) = with(&sim, api, Fault::NoUsage).await;
        assert!(whole && !text.contains("\"usage\"") && !text.contains("usageMetadata"), "{text}");
        assert!(events(&text).len() > 5, "{api:?}");
    }
}

#[tokio::test]
async fn what_happens_before_the_first_byte_happens_to_streams_too() {
    let sim = start().await;
    for api in APIS {
        for fault in [Fault::Status(529), Fault::RateLimited { retry_after_seconds: 3 }] {
            sim.push_fault(fault);
            let response = api.send(&sim, &api.ask(SAID), true).await;
            let expected = if fault == Fault::Status(529) { 529 } else { 429 };
            assert_eq!(response.status(), expected, "{api:?}");
            let body: Value = response.json().await.expect("JSON");
            if api.provider == Provider::Gemini && expected == 429 {
                assert_eq!(body["error"]["details"][0]["retryDelay"], "3s");
            }
        }
        let (text, whole) = with(&sim, api, Fault::Empty).await;
        assert_eq!((text.as_str(), whole), ("", true));
    }
}

#[tokio::test]
async fn geminis_array_stays_json_unless_it_is_cut() {
    let sim = start().await;
    let api = APIS[3];
    let path = "/v1beta/models/gemini-3.6-flash:streamGenerateContent";
    let send = async |fault: Fault| -> String {
        sim.push_fault(fault);
        let request = crate::post(&sim, Provider::Gemini, path).json(&api.ask(SAID));
        received(request.send().await.expect("sent")).await.0
    };
    let elements = |text: &str| serde_json::from_str::<Vec<Value>>(text);
    let whole = elements(&send(Fault::KeepAlive(3)).await).expect("JSON");
    let failed = elements(&send(Fault::ErrorAfter(2)).await).expect("JSON");
    assert_eq!(failed.len(), 3);
    assert_eq!(failed[2]["error"]["code"], 503);
    assert_eq!(elements(&send(Fault::NoUsage).await).expect("JSON").len(), whole.len());
    assert!(elements(&send(Fault::CutAfter(2)).await).is_err());
    assert!(elements(&send(Fault::Unterminated).await).is_err());
}

#[tokio::test]
async fn a_whole_answer_is_one_event() {
    let sim = start().await;
    let api = APIS[4];
    let send = async |fault: Fault| {
        sim.push_fault(fault);
        received(api.send(&sim, &api.ask(SAID), false).await).await
    };
    let (good, _) = send(Fault::CutAfter(1)).await;
    assert!(serde_json::from_str::<Value>(&good).is_ok());
    assert_eq!(send(Fault::CutAfter(0)).await, (String::new(), false));
    let (text, whole) = send(Fault::KeepAlive(2)).await;
    assert!(whole && text.starts_with("\n\n{"), "{text}");
    assert!(send(Fault::ErrorAfter(0)).await.0.contains("\"error\""));
    assert!(serde_json::from_str::<Value>(&send(Fault::GarbageAfter(0)).await.0).is_err());
    let (text, whole) = send(Fault::Pieces(5)).await;
    assert!(whole && serde_json::from_str::<Value>(&text).is_ok());
}
