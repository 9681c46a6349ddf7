//! Good answers, refusals and fixtures of each provider.

use serde_json::{Value, json};
use testkit::strict::{Api, check, check_answer};
use testkit::{Provider, fixtures};

use crate::sse::{events, joined};
use crate::talk::{APIS, Kind};
use crate::{ask, is_error_of, path, post, result, say, start};

#[tokio::test]
async fn requests_and_answers_are_of_the_published_types() {
    let sim = start().await;
    for provider in Provider::ALL {
        let api = Api::of(path(provider)).expect("a known path");
        let request = ask(provider, "12345678");
        assert_eq!(check(api, &request), Vec::<String>::new(), "{provider}");
        let (status, body) = result(&sim, provider, &request).await;
        assert_eq!(status, 200);
        assert_eq!(check_answer(api, &body), Vec::<String>::new(), "{provider}");
    }
}

#[tokio::test]
async fn openai_answers_in_its_shape() {
    let sim = start().await;
    let response = say(&sim, Provider::OpenAi, "12345678").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers()["x-request-id"].to_str().expect("text").starts_with("req_"));
    let body: Value = response.json().await.expect("JSON");
    assert!(body["id"].as_str().expect("an id").starts_with("chatcmpl-"));
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "gpt-4o");
    assert_eq!(body["service_tier"], "default");
    assert!(body["system_fingerprint"].is_string());
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let text = body["choices"][0]["message"]["content"].as_str().expect("text");
    let usage = &body["usage"];
    assert_eq!(usage["prompt_tokens"], 2);
    assert_eq!(usage["completion_tokens"], text.len().div_ceil(4));
    assert_eq!(usage["total_tokens"], 2 + text.len().div_ceil(4));
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 0);
}

#[tokio::test]
async fn deepseek_answers_in_its_shape() {
    let sim = start().await;
    let (status, body) =
        result(&sim, Provider::DeepSeek, &ask(Provider::DeepSeek, "12345678")).await;
    assert_eq!(status, 200);
    assert_eq!(body["id"].as_str().expect("an id").len(), 36);
    let usage = &body["usage"];
    assert_eq!(usage["prompt_tokens"], 2);
    assert_eq!(usage["prompt_cache_hit_tokens"], 0);
    assert_eq!(usage["prompt_cache_miss_tokens"], 2);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
    assert!(body.get("service_tier").is_none());
}

#[tokio::test]
async fn anthropic_answers_in_its_shape() {
    let sim = start().await;
    let response = say(&sim, Provider::Anthropic, "12345678").await;
    assert!(response.headers().contains_key("request-id"));
    let body: Value = response.json().await.expect("JSON");
    assert!(body["id"].as_str().expect("an id").starts_with("msg_01"));
    assert_eq!(body["type"], "message");
    assert_eq!(body["stop_reason"], "end_turn");
    let text = body["content"][0]["text"].as_str().expect("text");
    let usage = &body["usage"];
    assert_eq!(usage["input_tokens"], 2);
    assert_eq!(usage["output_tokens"], text.len().div_ceil(4));
    assert_eq!(usage["cache_creation"]["ephemeral_5m_input_tokens"], 0);
    assert_eq!(usage["cache_creation"]["ephemeral_1h_input_tokens"], 0);
    assert_eq!(usage["service_tier"], "standard");
}

#[tokio::test]
async fn gemini_answers_in_its_shape() {
    let sim = start().await;
    let (status, body) = result(&sim, Provider::Gemini, &ask(Provider::Gemini, "12345678")).await;
    assert_eq!(status, 200);
    let candidate = &body["candidates"][0];
    assert_eq!(candidate["finishReason"], "STOP");
    assert_eq!(candidate["content"]["role"], "model");
    let text = candidate["content"]["parts"][0]["text"].as_str().expect("text");
    let usage = &body["usageMetadata"];
    assert_eq!(usage["promptTokenCount"], 2);
    assert_eq!(usage["promptTokensDetails"], json!([{"modality": "TEXT", "tokenCount": 2}]));
    assert_eq!(usage["candidatesTokenCount"], text.len().div_ceil(4));
    assert_eq!(usage["totalTokenCount"], 2 + text.len().div_ceil(4));
    assert_eq!(body["modelVersion"], "gemini-2.5-flash");
}

#[tokio::test]
async fn a_ceiling_truncates_the_answer() {
    let sim = start().await;
    let cases = [
        (Provider::OpenAi, json!({"max_tokens": 3}), "/choices/0/finish_reason", "length"),
        (
            Provider::OpenAi,
            json!({"max_completion_tokens": 3}),
            "/choices/0/finish_reason",
            "length",
        ),
        (Provider::DeepSeek, json!({"max_tokens": 3}), "/choices/0/finish_reason", "length"),
        (Provider::Anthropic, json!({"max_tokens": 3}), "/stop_reason", "max_tokens"),
        (
            Provider::Gemini,
            json!({"generationConfig": {"maxOutputTokens": 3}}),
            "/candidates/0/finishReason",
            "MAX_TOKENS",
        ),
    ];
    for (provider, extra, finish, expected) in cases {
        let mut request = ask(provider, "Tell me a long story.");
        for (key, value) in extra.as_object().expect("an object") {
            request[key] = value.clone();
        }
        let (status, body) = result(&sim, provider, &request).await;
        assert_eq!(status, 200, "{provider}");
        assert_eq!(body.pointer(finish).expect("a reason"), expected, "{provider}");
        let output = ["/usage/completion_tokens", "/usage/output_tokens"];
        let output = output.iter().find_map(|place| body.pointer(place));
        let output = output.or_else(|| body.pointer("/usageMetadata/candidatesTokenCount"));
        assert_eq!(output.expect("a count"), 3, "{provider}");
    }
}

#[tokio::test]
async fn a_missing_credential_is_refused() {
    let sim = start().await;
    let client = reqwest::Client::new();
    for provider in Provider::ALL {
        let url = format!("{}{}", sim.url(), path(provider));
        let response = client.post(url).json(&ask(provider, "Hello")).send().await.expect("sent");
        let status = response.status().as_u16();
        let body: Value = response.json().await.expect("JSON");
        assert!(is_error_of(provider, status, &body), "{provider}: {body}");
        if provider == Provider::Gemini {
            assert_eq!(status, 400);
            assert_eq!(body["error"]["details"][0]["reason"], "API_KEY_INVALID");
        } else {
            assert_eq!(status, 401);
        }
    }
}

#[tokio::test]
async fn a_credential_is_found_wherever_the_provider_looks() {
    let sim = start().await;
    let client = reqwest::Client::new();
    let gemini = client.post(format!("{}{}?alt=json&key=x", sim.url(), path(Provider::Gemini)));
    let anthropic = client.post(format!("{}{}?beta=true", sim.url(), path(Provider::Anthropic)));
    let anthropic = anthropic.bearer_auth("x").header("anthropic-version", "2026-10-21");
    for (provider, request) in [(Provider::Gemini, gemini), (Provider::Anthropic, anthropic)] {
        let response = request.json(&ask(provider, "Hello")).send().await.expect("sent");
        assert_eq!(response.status(), 200, "{provider}");
    }
}

#[tokio::test]
async fn what_a_provider_would_refuse_is_refused() {
    let sim = start().await;
    let (openai, deepseek) = (Provider::OpenAi, Provider::DeepSeek);
    let (anthropic, gemini) = (Provider::Anthropic, Provider::Gemini);
    let robot = json!([{"role": "robot", "content": "Hello"}]);
    let user = json!([{"role": "user", "content": "Hello"}]);
    let part = json!([{"text": "Hello"}]);
    let cases = [
        (openai, json!({"model": "m", "messages": []})),
        (openai, json!({"model": "m"})),
        (openai, json!({"messages": user})),
        (openai, json!({"model": "m", "messages": robot})),
        (openai, json!({"model": "m", "messages": user, "max_tokens": 0})),
        (openai, json!({"model": "m", "messages": user, "stream_options": {}})),
        (deepseek, json!({"model": "m", "messages": [{"role": "developer", "content": ""}]})),
        (anthropic, json!({"model": "m", "max_tokens": 5, "messages": []})),
        (anthropic, json!({"model": "m", "messages": user})),
        (anthropic, json!({"model": "m", "max_tokens": -1, "messages": user})),
        (anthropic, json!({"model": "m", "max_tokens": 5, "messages": robot})),
        (gemini, json!({"contents": []})),
        (gemini, json!({"contents": [{"role": "user", "parts": []}]})),
        (gemini, json!({"contents": [{"role": "assistant", "parts": part}]})),
        (
            gemini,
            json!({"contents": [{"parts": part}], "generationConfig": {"maxOutputTokens": 0}}),
        ),
    ];
    for (provider, request) in cases {
        let (status, body) = result(&sim, provider, &request).await;
        assert_eq!(status, 400, "{provider}: {request}");
        assert!(is_error_of(provider, status, &body), "{provider}: {body}");
    }
    for provider in Provider::ALL {
        let response = post(&sim, provider, path(provider)).body("{").send().await.expect("sent");
        assert_eq!(response.status(), 400, "{provider}");
    }
}

#[tokio::test]
async fn anthropic_wants_its_version() {
    let sim = start().await;
    for version in [None, Some("2020-01-01")] {
        let url = format!("{}{}", sim.url(), path(Provider::Anthropic));
        let mut request = reqwest::Client::new().post(url).header("x-api-key", "k");
        if let Some(version) = version {
            request = request.header("anthropic-version", version);
        }
        let request = request.json(&ask(Provider::Anthropic, "Hello"));
        let response = request.send().await.expect("sent");
        assert_eq!(response.status(), 400);
        let body: Value = response.json().await.expect("JSON");
        assert!(body["error"]["message"].as_str().expect("text").contains("anthropic-version"));
    }
}

#[tokio::test]
async fn an_unknown_path_is_refused_in_the_shape_of_its_provider() {
    let sim = start().await;
    for (provider, path) in [
        (Provider::Gemini, "/v1beta/models/gemini-2.5-flash:sing"),
        (Provider::OpenAi, "/v1/songs"),
        (Provider::Anthropic, "/v1/messages/songs"),
        (Provider::DeepSeek, "/songs"),
    ] {
        let response = post(&sim, provider, path).body("{}").send().await.expect("sent");
        assert_eq!(response.status(), 404, "{path}");
        let body: Value = response.json().await.expect("JSON");
        assert!(is_error_of(provider, 404, &body), "{body}");
    }
}

#[tokio::test]
async fn models_are_listed_by_each_provider_in_its_way() {
    let sim = start().await;
    let client = reqwest::Client::new();
    let get = async |path: &str, header: (&str, &str)| -> (u16, Value) {
        let request = client.get(format!("{}{path}", sim.url())).header(header.0, header.1);
        let response = request.send().await.expect("sent");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    };
    let (bearer, google) = (("authorization", "Bearer k"), ("x-goog-api-key", "k"));
    let anthropic = ("x-api-key", "k");
    for path in ["/v1/models", "/models"] {
        let (_, body) = get(path, bearer).await;
        assert_eq!(
            (&body["object"], &body["data"][0]["object"]),
            (&json!("list"), &json!("model"))
        );
    }
    let (_, body) = get("/v1/models", anthropic).await;
    assert_eq!((&body["has_more"], &body["data"][0]["type"]), (&json!(false), &json!("model")));
    assert_eq!(body["first_id"], body["data"][0]["id"]);
    let (_, body) = get("/v1beta/models", google).await;
    assert!(body["models"][0]["supportedGenerationMethods"].is_array());
    for (path, header, key, expected) in [
        ("/v1/models/gpt-4o", bearer, "id", "gpt-4o"),
        ("/v1/models/claude-sonnet-5", anthropic, "id", "claude-sonnet-5"),
        ("/v1beta/models/gemini-2.5-flash", google, "name", "models/gemini-2.5-flash"),
    ] {
        assert_eq!(get(path, header).await.1[key], expected);
    }
    assert_eq!(get("/v1/models/nothing", bearer).await.0, 404);
    assert_eq!(get("/v1beta/models", ("x-mark", "k")).await.0, 400, "no credential");
}

#[tokio::test]
async fn every_fixture_can_be_asked_for() {
    let sim = start().await;
    for fixture in fixtures() {
        let said = format!("fixture:{}", fixture.name);
        let response = say(&sim, fixture.provider, &said).await;
        assert_eq!(response.status().as_u16(), fixture.status, "{said}");
        for (name, value) in &fixture.headers {
            assert_eq!(response.headers()[name], value.as_str(), "{said}");
        }
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(body, fixture.body, "{}: {said}", fixture.provider);
        if fixture.status != 200 {
            assert!(is_error_of(fixture.provider, fixture.status, &body), "{said}");
        }
    }
    let (status, body) =
        result(&sim, Provider::OpenAi, &ask(Provider::OpenAi, "fixture:nowhere")).await;
    assert_eq!(status, 400);
    assert!(is_error_of(Provider::OpenAi, status, &body));
}

#[tokio::test]
async fn every_fixture_can_be_streamed_with_the_same_usage() {
    let sim = start().await;
    let good = fixtures().into_iter().filter(|fixture| fixture.status == 200);
    for fixture in good {
        let api = APIS
            .into_iter()
            .find(|api| api.provider == fixture.provider && !matches!(api.kind, Kind::Responses));
        let api = api.expect("a chat format");
        let at = format!("{}/{}", fixture.provider, fixture.name);
        let request = api.ask(&format!("fixture:{}", fixture.name));
        let response = api.send(&sim, &request, true).await;
        let stream = events(&response.text().await.expect("text"));
        let texts = ["/delta/text", "/choices/0/delta/content"];
        let mut text: String = texts.iter().map(|place| joined(&stream, place)).collect();
        let parts = stream
            .iter()
            .filter_map(|event| event.data.pointer("/candidates/0/content/parts")?.as_array());
        let shown = parts.flatten().filter(|part| part["thought"] != true);
        text.extend(shown.filter_map(|part| part["text"].as_str()));
        assert_eq!(text, fixture.text.unwrap_or_default(), "{at}");
        let usage = match api.kind {
            Kind::Messages => {
                let delta = stream.iter().find(|event| event.data["type"] == "message_delta");
                let mut usage = stream[0].data["message"]["usage"].clone();
                let delta = delta.expect("usage").data["usage"].clone();
                for (key, value) in delta.as_object().expect("usage") {
                    usage[key] = value.clone();
                }
                usage
            }
            Kind::Gemini => stream.last().expect("an end").data["usageMetadata"].clone(),
            _ => {
                let usage = stream.iter().rev().map(|event| &event.data["usage"]);
                usage.into_iter().find(|usage| usage.is_object()).expect("usage").clone()
            }
        };
        let key = if api.kind == Kind::Gemini { "usageMetadata" } else { "usage" };
        assert_eq!(usage, fixture.body[key], "{at}");
    }
}

#[tokio::test]
async fn an_error_is_given_to_a_request_for_a_stream_too() {
    let sim = start().await;
    let mut request = ask(Provider::OpenAi, "fixture:error_429");
    request["stream"] = true.into();
    assert_eq!(result(&sim, Provider::OpenAi, &request).await.0, 429);
}
