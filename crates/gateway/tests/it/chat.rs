//! `POST /api/layers/chat`: what is asked, what goes out, what comes back.

use ledger::Outcome;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::app::{Answer, App, Start};

/// A model of each provider.
pub(crate) const MODELS: [(&str, &str); 4] = [
    ("openai", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5"),
    ("gemini", "gemini-2.5-flash"),
    ("deepseek", "deepseek-v4-flash"),
];

/// A chat of one message.
pub(crate) fn say(provider: &str, model: &str, message: &str) -> Value {
    json!({ "providerName": provider, "model_name": model, "message": message })
}

#[tokio::test]
async fn a_chat_is_answered_and_billed() {
    let app = App::start().await;
    for (provider, model) in MODELS {
        let before = app.price_to_pay().await;
        let answer = app.chatted(&say(provider, model, "Hello")).await;
        let usage = &answer.body["usage"];
        let tokens = |name: &str| usage[name].as_i64().expect("a count");
        assert!(answer.body["content"].as_str().is_some_and(|text| text.contains("Hello")));
        assert!(tokens("inputTokens") > 0 && tokens("outputTokens") > 0, "{usage}");
        assert_eq!(tokens("totalTokens"), tokens("inputTokens") + tokens("outputTokens"));
        let shape = json!({ "content": answer.body["content"], "usage": {
            "inputTokens": usage["inputTokens"], "outputTokens": usage["outputTokens"],
            "totalTokens": usage["totalTokens"],
        }});
        assert_eq!(answer.body, shape, "nothing but the documented fields");

        let after = app.price_to_pay().await;
        let grown = |name: &str| {
            after[name].as_i64().expect("a count") - before[name].as_i64().expect("a count")
        };
        assert_eq!(grown("total_input_tokens"), tokens("inputTokens"));
        assert_eq!(grown("total_output_tokens"), tokens("outputTokens"));
        assert_eq!(grown("total_tokens"), tokens("totalTokens"));
    }
    assert_eq!(app.close().await.len(), MODELS.len());
}

#[tokio::test]
async fn the_answer_names_its_receipt_and_cost() {
    let app = App::start().await;
    let mut named = Vec::new();
    for (provider, model) in MODELS {
        let answer = app.chatted(&say(provider, model, "What does it cost?")).await;
        let (id, cost) = (answer.header("x-request-id"), answer.header("x-tollgate-cost"));
        named.push((id.to_owned(), cost.to_owned(), provider, model));
    }
    let receipts = app.close().await;
    assert_eq!(receipts.len(), named.len());
    for ((id, cost, provider, model), receipt) in named.iter().zip(&receipts) {
        assert_eq!(receipt.request_id.to_string(), *id);
        assert_eq!(receipt.charge.to_string(), *cost);
        assert_eq!((receipt.provider.as_str(), receipt.model.as_str()), (*provider, *model));
        assert_eq!((receipt.outcome, receipt.attempt), (Outcome::Ok, 1));
        assert_eq!(receipt.commission_bps, 500);
        assert!(receipt.upstream_id.is_some() && receipt.model_served.is_some());
    }
}

/// What the provider receives for the longest request there is, in its own words.
#[tokio::test]
async fn every_field_reaches_every_provider() {
    let app = App::start().await;
    let request = |provider: &str, model: &str| {
        json!({
            "providerName": provider, "model_name": model, "message": "And now?",
            "system": "Be brief.",
            "messages": [{ "role": "user", "content": "Is it open?" },
                         { "role": "assistant", "content": "It is." }],
            "max_tokens": 77, "temperature": 0.5, "stream": false,
        })
    };
    for (provider, model) in MODELS {
        app.chatted(&request(provider, model)).await;
    }
    let seen = app.simulator.seen();
    let sent = |index: usize| -> Value { serde_json::from_slice(&seen[index].body).expect("JSON") };
    let paths: Vec<&str> = seen.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/v1/chat/completions",
            "/v1/messages",
            "/v1beta/models/gemini-2.5-flash:generateContent",
            "/chat/completions"
        ]
    );
    for index in [0, 3] {
        let body = sent(index);
        let system = body["messages"][0]["role"].as_str().expect("a role");
        assert!(["system", "developer"].contains(&system), "{body}");
        let said =
            |place: usize| (&body["messages"][place]["role"], &body["messages"][place]["content"]);
        assert_eq!(body["messages"][0]["content"], "Be brief.");
        assert_eq!(said(1), (&"user".into(), &"Is it open?".into()));
        assert_eq!(said(2), (&"assistant".into(), &"It is.".into()));
        assert_eq!(said(3), (&"user".into(), &"And now?".into()));
        let ceiling = if index == 0 { "max_completion_tokens" } else { "max_tokens" };
        assert_eq!((&body[ceiling], &body["temperature"]), (&77.into(), &0.5.into()), "{body}");
        assert_eq!(body["model"], MODELS[index].1);
    }
    let anthropic = sent(1);
    assert!(anthropic["system"].to_string().contains("Be brief."), "{anthropic}");
    assert_eq!(anthropic["messages"].as_array().map(Vec::len), Some(3));
    assert_eq!((&anthropic["max_tokens"], &anthropic["temperature"]), (&77.into(), &0.5.into()));
    let gemini = sent(2);
    assert_eq!(gemini["systemInstruction"]["parts"][0]["text"], "Be brief.");
    assert_eq!(gemini["contents"][1]["role"], "model");
    assert_eq!(gemini["contents"][2]["parts"][0]["text"], "And now?");
    assert_eq!(gemini["generationConfig"]["maxOutputTokens"], 77);
    assert_eq!(gemini["generationConfig"]["temperature"], 0.5);
    app.close().await;
}

/// All that a provider may get.
pub(crate) const OURS: [&str; 10] = [
    "host",
    "content-type",
    "content-length",
    "accept",
    "user-agent",
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "anthropic-version",
    "transfer-encoding",
];

/// The request to a provider is built from nothing.
#[tokio::test]
async fn no_header_of_the_client_reaches_a_provider() {
    let app = App::start().await;
    for (provider, model) in MODELS {
        let request = app
            .chat(&say(provider, model, "Hello"))
            .header("x-forwarded-for", "203.0.113.9")
            .header("openai-organization", "org-of-the-client")
            .header("anthropic-beta", "something")
            .header("x-stray", "stray");
        assert_eq!(Answer::of(request).await.status, 200);
    }
    for request in app.simulator.seen() {
        for (name, value) in &request.headers {
            assert!(OURS.contains(&name.as_str()), "{}: {name}: {value:?}", request.path);
            let value = value.to_str().expect("ASCII");
            assert!(!value.contains(&app.key), "{}: {name} has the client's key", request.path);
        }
        assert_eq!(request.query, None);
    }
    let credential = |index: usize, name: &str| {
        app.simulator.seen()[index].headers[name].to_str().expect("ASCII").to_owned()
    };
    assert_eq!(credential(0, "authorization"), "Bearer canary-openai_api_key");
    assert_eq!(credential(1, "x-api-key"), "canary-anthropic_api_key");
    assert_eq!(credential(2, "x-goog-api-key"), "canary-gemini_api_key");
    assert_eq!(credential(3, "authorization"), "Bearer canary-deepseek_api_key");
    app.close().await;
}

#[tokio::test]
async fn other_names_of_a_model_cost_the_same() {
    let app = App::start().await;
    for (provider, model, priced) in [
        ("google", "gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini", "gemini/gemini-2.5-flash", "gemini-2.5-flash"),
        ("google", "google/gemini-2.5-flash", "gemini-2.5-flash"),
        ("openai", "openai/gpt-4o", "gpt-4o"),
    ] {
        let answer = app.chatted(&say(provider, model, "Hello")).await;
        assert_ne!(answer.header("x-tollgate-cost"), "0", "{provider} {model}");
        let seen = app.simulator.seen();
        let sent = seen.last().expect("a request");
        let words = format!("{} {}", sent.path, String::from_utf8_lossy(&sent.body));
        assert!(words.contains(priced) && !words.contains(&format!("/{model}\"")), "{words}");
    }
    for receipt in app.close().await {
        assert!(["gemini", "openai"].contains(&receipt.provider.as_str()), "{receipt:?}");
        assert!(["gemini-2.5-flash", "gpt-4o"].contains(&receipt.model.as_str()), "{receipt:?}");
    }
}

/// Where a provider leaves its counters out, the text is counted instead, and the receipt says so.
#[tokio::test]
async fn an_answer_without_counters_is_estimated_not_free() {
    let app = App::start().await;
    for (provider, model) in MODELS {
        let message = "fault:no_usage";
        let answer = app.chatted(&say(provider, model, message)).await;
        let text = answer.body["content"].as_str().expect("text");
        let tokens = |text: &str| text.len().div_ceil(4);
        assert_eq!(answer.body["usage"]["inputTokens"], tokens(message), "{provider}");
        assert_eq!(answer.body["usage"]["outputTokens"], tokens(text), "{provider}");
    }
    for receipt in app.close().await {
        assert_eq!(receipt.usage_source, ledger::UsageSource::Estimated);
        assert!(receipt.charge.pico() > 0);
    }
}

#[tokio::test]
async fn the_commission_is_the_one_that_is_set() {
    for (bps, share) in [("0", 0), ("1", 1), ("2500", 2_500), ("100000", 100_000)] {
        let app = App::start_with(Start::default().set("TOLLGATE_COMMISSION_BPS", bps)).await;
        app.chatted(&say("openai", "gpt-4o", "Hello")).await;
        let receipts = app.close().await;
        let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
        // gpt-4o costs whole micro-dollars a token here, so that every share is whole.
        let (cost, commission) = (receipt.cost.pico(), receipt.commission.pico());
        assert_eq!(commission * 10_000, cost * share, "{bps}");
        assert_eq!(receipt.charge.pico(), cost + commission);
    }
}

/// HTTP/2 without TLS, as a proxy in front speaks it, and both versions on one port.
#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let app = App::start().await;
    let h2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build();
    let h2 = h2.expect("a client");
    let chat = say("openai", "gpt-4o", "Hello");
    let url = format!("{}/api/layers/chat", app.url);
    let over_h2 = |key: &str| {
        h2.post(&url).header("user", crate::app::USER).header("api-key", key).json(&chat).send()
    };
    // Many at once on one connection.
    let mut answers = JoinSet::new();
    for _ in 0..20 {
        answers.spawn(over_h2(&app.key));
    }
    let mut costs = Vec::new();
    for answer in answers.join_all().await {
        let answer = answer.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
        costs.push(answer.headers()["x-tollgate-cost"].clone());
    }
    let h1 = app.chatted(&chat).await;
    assert!(costs.iter().all(|cost| *cost == h1.headers["x-tollgate-cost"]));
    let refused = over_h2("tg-nothing").await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 401);
    drop(h2);
    assert_eq!(app.close().await.len(), 21);
}

/// What a provider cannot be told is named, never silently lost.
#[tokio::test]
async fn what_cannot_be_carried_is_named() {
    let app = App::start().await;
    for (provider, model, dropped) in [
        ("openai", "gpt-4o", ""),
        ("anthropic", "claude-sonnet-4-5", "temperature: 1.5 -> 1"),
        ("openai", "o3", "temperature"),
    ] {
        let mut chat = say(provider, model, "Hello");
        chat["temperature"] = 1.5.into();
        assert_eq!(app.chatted(&chat).await.header("x-tollgate-dropped"), dropped, "{model}");
    }
    app.close().await;
}

/// Conversations as people send them, and not only in turns: every provider takes them all.
#[tokio::test]
async fn conversations_of_every_shape() {
    let app = App::start().await;
    let said = |roles: &str| -> Vec<Value> {
        let role = |letter| match letter {
            'u' => "user",
            'a' => "assistant",
            _ => "system",
        };
        let one =
            |(place, letter)| json!({ "role": role(letter), "content": format!("Number {place}") });
        roles.chars().enumerate().map(one).collect()
    };
    for roles in [
        "", "u", "ua", "uua", "uaua", "s", "su", "sua", "usua", "uas", "ss", "a", "au", "uaa", "aa",
    ] {
        for (provider, model) in MODELS {
            let mut chat = say(provider, model, "And then?");
            chat["messages"] = said(roles).into();
            chat["system"] = "Be kind.".into();
            app.chatted(&chat).await;
            let seen = app.simulator.seen();
            let sent = String::from_utf8_lossy(&seen.last().expect("a request").body).into_owned();
            for place in 0..roles.len() {
                assert_eq!(
                    sent.matches(&format!("Number {place}")).count(),
                    1,
                    "{provider} {roles}: {sent}"
                );
            }
            assert!(
                sent.contains("Be kind.") && sent.contains("And then?"),
                "{provider} {roles}: {sent}"
            );
        }
    }
    app.close().await;
}
